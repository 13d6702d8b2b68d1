//! Public and private keys: reading them from what people paste and providers serve, verifying and signing.

use crate::der::{Public, Validity};
use crate::encoding::Encoding;
use crate::scheme::Algorithm;

/// A key that must be fetched before a request can be checked. Only this crate makes one, after it has found the
/// address to be the provider's own.
///
/// Fetch it over TLS, follow no redirect, read at most 64 KiB, cache the answer by this value, and remember failures for a
/// while too. Then hand it to [`crate::Secret::fetched`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRequest {
    pub(crate) url: String,
    pub(crate) post: Option<String>,
    pub(crate) again: bool,
}

impl KeyRequest {
    /// Where the key is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The JSON body to POST; `None` is a GET. It may carry the account's credentials: never log it.
    #[must_use]
    pub fn post(&self) -> Option<&str> {
        self.post.as_deref()
    }

    /// Keys from this address were given, and the one that the request names is not among them: fetch anew, but not
    /// more often than every few minutes, since anyone can name a key.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.again
    }
}

impl std::fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRequest")
            .field("url", &self.url)
            .field("again", &self.again)
            .finish_non_exhaustive()
    }
}

/// A public key with the id it has in its set.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kid: Option<String>,
    pub(crate) key: Public,
}

/// The keys that one text holds: public ones, and perhaps the private one that they belong to.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) public: Vec<Named>,
    /// When the certificate is good, where the text is one.
    valid: Option<Validity>,
    private: Option<imp::Private>,
}

impl Public {
    /// Whether `signature` over `message` is this key's, made with `algorithm`. A key of another kind never is.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        imp::verify(self, algorithm, message, signature)
    }

    fn from_jwk(jwk: &[u8]) -> Option<Named> {
        let field = |name: &str| crate::json::find_text(jwk, name);
        let bytes = |name: &str| Encoding::Base64Url.decode(field(name)?.as_bytes());
        let key = match (field("/kty")?.as_ref(), field("/crv").as_deref()) {
            ("OKP", Some("Ed25519")) => Self::Ed25519(exactly(bytes("/x")?, 32)?),
            ("EC", Some("P-256")) => {
                let mut point = vec![4];
                point.extend(exactly(bytes("/x")?, 32)?);
                point.extend(exactly(bytes("/y")?, 32)?);
                Self::P256(point)
            }
            ("RSA", _) => {
                let number = |name| bytes(name).map(|bytes| crate::der::unpadded(&bytes));
                Self::Rsa { n: number("/n")?, e: number("/e")? }
            }
            _ => return None,
        };
        Some(Named { kid: field("/kid").map(std::borrow::Cow::into_owned), key })
    }
}

fn exactly(bytes: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    (bytes.len() == length).then_some(bytes)
}

/// How many keys of a set are read.
const KEYS_MAX: usize = 50;

impl Keys {
    /// Reads PEM, base64 or hex of a key, a JWK, a JWK set, or Google's map of certificates.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with('{') {
            return Self::from_json(text.as_bytes());
        }
        if text.starts_with("-----BEGIN") {
            return Self::from_pem(text);
        }
        let bytes = Encoding::Hex
            .decode(text.as_bytes())
            .or_else(|| crate::encoding::base64_pasted(text))?;
        if bytes.len() == 32 {
            return Some(Self::of(Public::Ed25519(bytes)));
        }
        Self::from_der(&bytes)
    }

    /// Whether a text says itself that it is a public key, also one of a kind that is not checked here: PEM, a JWK or a set of
    /// them, OpenSSH, one of Standard Webhooks, or DER however it is written. (32 bytes may be an Ed25519 key, and as well be
    /// anything else.)
    pub(crate) fn is_one(text: &str) -> bool {
        let text = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
        let is_jwk = is_jwk(text) || Self::from_json(text.as_bytes()).is_some();
        let is_marked = ["-----BEGIN", "---- BEGIN"].iter().any(|mark| text.contains(mark));
        let is_standard = text.starts_with("whpk_") || text.starts_with("whsk_");
        let mut words = text.split_whitespace();
        is_jwk || is_marked || is_standard || words.any(is_openssh) || is_encoded(text)
    }

    /// Whether a signature by this algorithm can be checked with one of them.
    pub(crate) fn fit(&self, algorithm: Algorithm) -> bool {
        self.public.iter().any(|named| match (algorithm, &named.key) {
            (Algorithm::Ed25519, Public::Ed25519(_))
            | (Algorithm::EcdsaP256 | Algorithm::EcdsaP256Fixed, Public::P256(_)) => true,
            (Algorithm::RsaSha1, Public::Rsa { n, .. }) => (128..=1024).contains(&n.len()),
            (Algorithm::RsaSha256 | Algorithm::RsaSha512, Public::Rsa { n, .. }) => {
                (256..=1024).contains(&n.len())
            }
            _ => false,
        })
    }

    /// From `SubjectPublicKeyInfo`, a certificate, or a bare RSA key.
    fn from_der(der: &[u8]) -> Option<Self> {
        let (key, valid) = crate::der::spki(der)?;
        Some(Self { valid, ..Self::of(key) })
    }

    fn of(key: Public) -> Self {
        Self { public: vec![Named { kid: None, key }], valid: None, private: None }
    }

    fn pair((private, public): (imp::Private, Public)) -> Self {
        Self { private: Some(private), ..Self::of(public) }
    }

    fn from_json(text: &[u8]) -> Option<Self> {
        let public: Vec<Named> = match crate::json::find(text, "/keys") {
            Some(keys) => crate::json::elements(keys, KEYS_MAX)?
                .into_iter()
                .filter_map(Public::from_jwk)
                .collect(),
            None => match crate::json::find_text(text, "/data/public_key") {
                // Kick serves a PEM in JSON.
                Some(pem) => return Self::from_pem(pem.trim()),
                // Plaid serves its JWK under `key`.
                None => Public::from_jwk(crate::json::find(text, "/key").unwrap_or(text))
                    .into_iter()
                    .collect(),
            },
        };
        (!public.is_empty()).then_some(Self { public, valid: None, private: None })
    }

    fn from_pem(text: &str) -> Option<Self> {
        let (label, der) = pem(text)?;
        if label == "PRIVATE KEY" {
            return imp::from_pkcs8(der).map(Self::pair);
        }
        Self::from_der(&der)
    }

    /// A bare Ed25519 public key.
    pub(crate) fn ed25519(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 32).then(|| Self::of(Public::Ed25519(bytes.to_vec())))
    }

    /// An Ed25519 seed, alone or with its public key after it, which must then belong to it.
    pub(crate) fn ed25519_private(bytes: &[u8]) -> Option<Self> {
        let (seed, public) = bytes.split_at_checked(32)?;
        let pair = imp::from_seed(seed)?;
        let fits = public.is_empty() || pair.1 == Public::Ed25519(public.to_vec());
        fits.then(|| Self::pair(pair))
    }

    /// The keys to try: those named `kid`, or all where no name is given on either side.
    pub(crate) fn candidates<'k>(
        &'k self,
        kid: Option<&'k str>,
    ) -> impl Iterator<Item = &'k Public> {
        self.public
            .iter()
            .filter(move |named| match (kid, &named.kid) {
                (Some(kid), Some(own)) => kid == own,
                _ => true,
            })
            .map(|named| &named.key)
    }

    /// The dates of the certificate, where it is not good at this time in Unix seconds; a bare key always is.
    pub(crate) fn out_of_date(&self, now: i64) -> Option<Validity> {
        self.valid.filter(|valid| !(valid.from..=valid.until).contains(&now))
    }

    /// Signs, where the text held a private key that fits `algorithm`.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        imp::sign(self.private.as_ref()?, algorithm, message)
    }
}

/// A key in JSON, or a set of them; but one alone that is a shared secret.
fn is_jwk(text: &str) -> bool {
    let kinds = text.matches("\"kty\"").count();
    let kind = crate::json::find_text(text.as_bytes(), "/kty");
    kinds > usize::from(kind.as_deref() == Some("oct"))
}

/// OpenSSH's base64 begins with the length of the kind's name and the name (RFC 4253, 6.6).
fn is_openssh(word: &str) -> bool {
    let begin = word.get(..16).and_then(crate::encoding::base64_pasted).unwrap_or_default();
    let name = begin.strip_prefix(&[0, 0, 0]).and_then(|rest| rest.get(1..)).unwrap_or_default();
    [b"ssh-", b"ecds", b"sk-s", b"sk-e"].iter().any(|kind| name.starts_with(*kind))
}

/// DER, or PEM once more encoded, in hex or base64 of either alphabet, in lines or not.
fn is_encoded(text: &str) -> bool {
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    let compact: String = text.split_whitespace().collect();
    let digits = compact.strip_prefix("0x").unwrap_or(&compact).replace(':', "");
    let base64 = || crate::encoding::base64_pasted(&compact.replace('-', "+").replace('_', "/"));
    let bytes = Encoding::Hex.decode(digits.as_bytes()).or_else(base64);
    bytes.is_some_and(|bytes| bytes.starts_with(b"-----BEGIN") || crate::der::is_key(&bytes))
}

/// The label and the bytes of the first PEM block.
fn pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let (inside, _) = rest.split_once("-----END ")?;
    let compact: String = inside.split_whitespace().collect();
    Some((label, crate::encoding::base64_pasted(&compact)?))
}

#[cfg(feature = "asymmetric")]
mod imp {
    use super::Public;
    use crate::scheme::Algorithm;
    use ring::rand::SystemRandom;
    use ring::signature as sig;

    /// A private key as bytes that the library reads.
    #[derive(Clone)]
    pub(crate) enum Private {
        Seed(Vec<u8>),
        Pkcs8(Vec<u8>),
    }

    pub(super) fn from_seed(seed: &[u8]) -> Option<(Private, Public)> {
        use sig::KeyPair as _;
        let pair = sig::Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some((Private::Seed(seed.to_vec()), Public::Ed25519(pair.public_key().as_ref().to_vec())))
    }

    pub(super) fn from_pkcs8(der: Vec<u8>) -> Option<(Private, Public)> {
        let public = public_of(&der)?;
        Some((Private::Pkcs8(der), public))
    }

    pub(super) fn verify(
        key: &Public,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let unparsed = |alg: &'static dyn sig::VerificationAlgorithm, key: &[u8]| {
            sig::UnparsedPublicKey::new(alg, key).verify(message, signature).is_ok()
        };
        let rsa = |params: &'static sig::RsaParameters, n: &[u8], e: &[u8]| {
            sig::RsaPublicKeyComponents { n, e }.verify(params, message, signature).is_ok()
        };
        match (algorithm, key) {
            (Algorithm::Ed25519, Public::Ed25519(key)) => unparsed(&sig::ED25519, key),
            (Algorithm::EcdsaP256, Public::P256(key)) => {
                unparsed(&sig::ECDSA_P256_SHA256_ASN1, key)
            }
            (Algorithm::EcdsaP256Fixed, Public::P256(key)) => {
                unparsed(&sig::ECDSA_P256_SHA256_FIXED, key)
            }
            (Algorithm::RsaSha1, Public::Rsa { n, e }) => {
                rsa(&sig::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, n, e)
            }
            (Algorithm::RsaSha256, Public::Rsa { n, e }) => {
                rsa(&sig::RSA_PKCS1_2048_8192_SHA256, n, e)
            }
            (Algorithm::RsaSha512, Public::Rsa { n, e }) => {
                rsa(&sig::RSA_PKCS1_2048_8192_SHA512, n, e)
            }
            _ => false,
        }
    }

    /// Blinding and ECDSA's nonce take randomness from the operating system: the one place where this crate does.
    pub(super) fn sign(private: &Private, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let rng = SystemRandom::new();
        match (algorithm, private) {
            (Algorithm::Ed25519, private) => {
                Some(ed25519(private)?.sign(message).as_ref().to_vec())
            }
            (Algorithm::EcdsaP256 | Algorithm::EcdsaP256Fixed, Private::Pkcs8(der)) => {
                let fixed = algorithm == Algorithm::EcdsaP256Fixed;
                let form = if fixed {
                    &sig::ECDSA_P256_SHA256_FIXED_SIGNING
                } else {
                    &sig::ECDSA_P256_SHA256_ASN1_SIGNING
                };
                let pair = sig::EcdsaKeyPair::from_pkcs8(form, der, &rng).ok()?;
                Some(pair.sign(&rng, message).ok()?.as_ref().to_vec())
            }
            (Algorithm::RsaSha256 | Algorithm::RsaSha512, Private::Pkcs8(der)) => {
                let pair = sig::RsaKeyPair::from_pkcs8(der).ok()?;
                let padding: &dyn sig::RsaEncoding = if algorithm == Algorithm::RsaSha256 {
                    &sig::RSA_PKCS1_SHA256
                } else {
                    &sig::RSA_PKCS1_SHA512
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &rng, message, &mut signature).ok()?;
                Some(signature)
            }
            // The library signs no SHA-1: there is nothing new to be signed with it.
            _ => None,
        }
    }

    fn ed25519(private: &Private) -> Option<sig::Ed25519KeyPair> {
        match private {
            Private::Seed(seed) => sig::Ed25519KeyPair::from_seed_unchecked(seed).ok(),
            Private::Pkcs8(der) => sig::Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok(),
        }
    }

    fn public_of(pkcs8: &[u8]) -> Option<Public> {
        use sig::KeyPair as _;
        if let Ok(pair) = sig::Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8) {
            return Some(Public::Ed25519(pair.public_key().as_ref().to_vec()));
        }
        let rng = SystemRandom::new();
        if let Ok(pair) =
            sig::EcdsaKeyPair::from_pkcs8(&sig::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, &rng)
        {
            return Some(Public::P256(pair.public_key().as_ref().to_vec()));
        }
        let pair = sig::RsaKeyPair::from_pkcs8(pkcs8).ok()?;
        let public = sig::RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
        Some(Public::Rsa { n: public.n, e: public.e })
    }
}

#[cfg(not(feature = "asymmetric"))]
mod imp {
    use super::Public;
    use crate::scheme::Algorithm;

    /// There is none without the feature.
    #[derive(Clone)]
    pub(crate) enum Private {}

    pub(super) fn verify(_: &Public, _: Algorithm, _: &[u8], _: &[u8]) -> bool {
        false
    }

    pub(super) fn from_seed(_: &[u8]) -> Option<(Private, Public)> {
        None
    }

    pub(super) fn from_pkcs8(_: Vec<u8>) -> Option<(Private, Public)> {
        None
    }

    pub(super) fn sign(_: &Private, _: Algorithm, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
