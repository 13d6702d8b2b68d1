//! What an operator pastes: a secret, a token, a password, a public key. It shows itself to nobody.

use crate::encoding::{Encoding, base64_pasted};
use crate::hash::{Hash, HmacKey};
use crate::key::{KeyRequest, Keys};
use crate::provider::Provider;
use crate::scheme::{Algorithm, KeyForm, Scheme};
use std::sync::Arc;

/// A secret or a key, read once for one provider and then cheap to use and to clone.
///
/// Give `verify` several while one replaces another: any may match. `Debug` prints `Secret(***)`.
#[derive(Clone)]
pub struct Secret(Arc<Inner>);

struct Inner {
    text: String,
    /// One for each of the provider's schemes, in their order.
    keys: Vec<Option<Key>>,
    from: Option<KeyRequest>,
    /// Bytes of the key of Standard Webhooks, which are to be random.
    key_bytes: Option<usize>,
}

/// A secret as one scheme uses it.
#[derive(Clone)]
pub(crate) enum Key {
    /// The text itself.
    Text,
    Hmac(HmacKey),
    /// One for each hash that the scheme allows: the token chooses among them.
    Hmacs(Vec<HmacKey>),
    Asymmetric(Keys),
}

/// Why a text is no secret for a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is empty or blank, or a prefix with nothing after it: anyone could sign with it.
    #[error("the secret is empty")]
    Empty,
    /// Its key is zeros only, which an HMAC cannot tell from no key: anyone could sign with it (RFC 2104, 2).
    #[error(
        "the secret's bytes are all zero, which is the same as no secret: anybody could sign with it"
    )]
    Zeros,
    /// It is not in the form that the provider's secrets have.
    #[error("the secret is not {0}")]
    Form(&'static str),
    /// It is longer than any secret is.
    #[error("the secret is longer than 64 KiB")]
    TooLong,
}

/// The shortest key that Standard Webhooks asks for, in bytes.
const STANDARD_MIN: usize = 24;
/// The longest text that is read, in bytes: room for a JWK set.
const TEXT_MAX: usize = 65_536;
/// The longest document of keys that is fetched, in bytes: a set of many keys with their certificates.
const FETCHED_MAX: usize = 262_144;

impl Secret {
    /// Reads what the operator pasted, in the form that this provider's secrets have.
    ///
    /// # Errors
    /// When it is empty, blank or a bare prefix such as `whsec_`, or not in that form.
    pub fn parse(provider: &Provider, text: &str) -> Result<Self, SecretError> {
        Self::read(provider, text, None)
    }

    /// A key that was fetched because [`crate::Refusal::Need`] asked for it.
    ///
    /// # Errors
    /// When the answer is no key.
    pub fn fetched(
        provider: &Provider,
        request: &KeyRequest,
        answer: &[u8],
    ) -> Result<Self, SecretError> {
        let text = std::str::from_utf8(answer).map_err(|_| SecretError::Form("text"))?;
        Self::read(provider, text, Some(request.clone()))
    }

    fn read(
        provider: &Provider,
        text: &str,
        from: Option<KeyRequest>,
    ) -> Result<Self, SecretError> {
        let most = if from.is_some() { FETCHED_MAX } else { TEXT_MAX };
        if text.len() > most {
            return Err(SecretError::TooLong);
        }
        if matches!(text.trim(), "" | "whsec_" | "whpk_" | "whsk_") {
            return Err(SecretError::Empty);
        }
        let mut first_error = None;
        let mut keys = Vec::with_capacity(provider.schemes.len());
        let choice = Choice::of(provider, text);
        for scheme in &provider.schemes {
            if !choice.fits(scheme) {
                keys.push(None);
                continue;
            }
            let key = key(scheme, text).map_err(|error| first_error.get_or_insert(error).clone());
            keys.push(key.ok());
        }
        match first_error {
            Some(error) if keys.iter().all(Option::is_none) => Err(error),
            _ => {
                let key_bytes =
                    provider.schemes.iter().find_map(|scheme| standard_len(scheme, text));
                Ok(Self(Arc::new(Inner { text: text.to_owned(), keys, from, key_bytes })))
            }
        }
    }

    /// A fresh secret for Standard Webhooks from 32 bytes of good randomness. [`Secret::expose`] is the text to keep.
    ///
    /// ```
    /// let secret = webhook_signatures::Secret::generate_standard([7; 32]);
    /// assert!(secret.expose().starts_with("whsec_"));
    /// ```
    #[must_use]
    pub fn generate_standard(bytes: [u8; 32]) -> Self {
        let text = format!("whsec_{}", Encoding::Base64.encode(&bytes));
        let hmac = Key::Hmac(HmacKey::new(Hash::Sha256, &bytes));
        Self(Arc::new(Inner {
            text,
            keys: vec![Some(hmac), None],
            from: None,
            key_bytes: Some(bytes.len()),
        }))
    }

    /// A fresh Ed25519 pair for Standard Webhooks from 32 bytes of good randomness: the private text (`whsk_…`, to sign
    /// with) and the public one (`whpk_…`, to give away). `None` without the feature `asymmetric`.
    #[must_use]
    pub fn generate_ed25519(seed: [u8; 32]) -> Option<(String, String)> {
        let keys = Keys::ed25519_private(&seed)?;
        let crate::der::Public::Ed25519(public) = &keys.public.first()?.key else { return None };
        let mut both = seed.to_vec();
        both.extend_from_slice(public);
        let (private, public) = (Encoding::Base64.encode(&both), Encoding::Base64.encode(public));
        Some((format!("whsk_{private}"), format!("whpk_{public}")))
    }

    /// The text as it was given. For storing and for showing once; never for a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0.text
    }

    /// What is wrong with this secret though it can be used; for a warning when it is configured.
    #[must_use]
    pub fn weakness(&self) -> Option<&'static str> {
        let text = &self.0.text;
        if self.0.keys.iter().flatten().all(|key| matches!(key, Key::Asymmetric(_))) {
            return None;
        }
        if text.trim() != text {
            return Some("it begins or ends with white space, which is part of the key");
        }
        if text.chars().count() < 8 {
            return Some("it is shorter than 8 characters and can be guessed");
        }
        if self.0.key_bytes.is_some_and(|bytes| bytes < STANDARD_MIN) {
            return Some("its key has less than 24 bytes, and can perhaps be guessed");
        }
        is_well_known(text).then_some("it is an example that everybody knows and can be guessed")
    }

    /// The secret as the scheme at this index uses it.
    pub(crate) fn key(&self, scheme: usize) -> Option<&Key> {
        self.0.keys.get(scheme)?.as_ref()
    }

    pub(crate) fn from(&self) -> Option<&KeyRequest> {
        self.0.from.as_ref()
    }
}

/// What people write where a secret is to come, and what providers' pages have as examples; letters and digits only.
const WELL_KNOWN: [&str; 25] = [
    "12345678",
    "123456789",
    "1234567890",
    "adminadmin",
    "adminpassword",
    "changeit",
    "changeme",
    "changethis",
    "itsasecrettoeverybody",
    "mysecret",
    "mysecretkey",
    "mywebhooksecret",
    "passw0rd",
    "password",
    "password1",
    "password123",
    "secretkey",
    "secrettoken",
    "supersecret",
    "testsecret",
    "userpassword",
    "webhooksecret",
    "whsecmfkq9r8gkyqrtwjupd8ilpzio2lalasw",
    "yoursecret",
    "yourwebhooksecret",
];

/// Whether it is one of these in any spelling, or one character over and over.
fn is_well_known(text: &str) -> bool {
    let letters: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let first = text.chars().next();
    WELL_KNOWN.contains(&letters.to_ascii_lowercase().as_str())
        || text.chars().all(|c| Some(c) == first)
}

impl Key {
    /// The key of an HMAC by this hash.
    pub(crate) fn hmac(&self, wanted: Hash) -> Option<&HmacKey> {
        match self {
            Self::Hmac(key) => Some(key).filter(|key| key.hash() == wanted),
            Self::Hmacs(keys) => keys.iter().find(|key| key.hash() == wanted),
            Self::Text | Self::Asymmetric(_) => None,
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What a text may be where a provider has both kinds of scheme: a public key or a shared secret, and never both, for what
/// everybody knows would then be the secret of an HMAC.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Any,
    Public,
    Shared,
}

impl Choice {
    fn of(provider: &Provider, text: &str) -> Self {
        let is_public = |scheme: &&Scheme| scheme.is_asymmetric();
        let public = provider.schemes.iter().filter(is_public).count();
        match (public, public == provider.schemes.len()) {
            (0, _) | (_, true) => Self::Any,
            _ if Keys::is_one(text) => Self::Public,
            _ => Self::Shared,
        }
    }

    fn fits(self, scheme: &Scheme) -> bool {
        match self {
            Self::Any => true,
            Self::Public => scheme.is_asymmetric(),
            Self::Shared => !scheme.is_asymmetric(),
        }
    }
}

const NOT_SHARED: &str = "a shared secret: it is a key";

fn key(scheme: &Scheme, text: &str) -> Result<Key, SecretError> {
    match scheme {
        Scheme::Signed(signed) => signed_key(signed.algorithm, signed.key, text),
        Scheme::Jwt(jwt) => token_key(&jwt.algorithms, jwt.key, text),
        Scheme::HttpSignature(scheme) => token_key(&scheme.algorithms, scheme.key, text),
        Scheme::Basic if !text.contains(':') => Err(SecretError::Form("of the form user:password")),
        Scheme::Token(_) | Scheme::Basic if text.contains(|c: char| c.is_control()) => {
            Err(SecretError::Form("one line of text"))
        }
        Scheme::None | Scheme::Token(_) | Scheme::Basic => Ok(Key::Text),
    }
}

/// Either the scheme's algorithms are all symmetric or none is: a row's test sees to it.
fn token_key(algorithms: &[Algorithm], form: KeyForm, text: &str) -> Result<Key, SecretError> {
    if algorithms.iter().any(|algorithm| algorithm.is_asymmetric()) {
        return public_key(algorithms, form, text);
    }
    // A public key as an HMAC secret is the classic confusion: everyone knows it.
    if Keys::is_one(text) {
        return Err(SecretError::Form(NOT_SHARED));
    }
    let bytes = key_bytes(form, text)?;
    let keyed = |algorithm: &Algorithm| {
        if let Algorithm::Hmac(hash) = algorithm { Some(HmacKey::new(*hash, &bytes)) } else { None }
    };
    Ok(Key::Hmacs(algorithms.iter().filter_map(keyed).collect()))
}

fn signed_key(algorithm: Algorithm, form: KeyForm, text: &str) -> Result<Key, SecretError> {
    if algorithm.is_asymmetric() {
        return public_key(&[algorithm], form, text);
    }
    let bytes = key_bytes(form, text)?;
    Ok(if let Algorithm::Hmac(hash) = algorithm {
        Key::Hmac(HmacKey::new(hash, &bytes))
    } else {
        Key::Text
    })
}

/// A key with which one of the algorithms can be checked.
fn public_key(algorithms: &[Algorithm], form: KeyForm, text: &str) -> Result<Key, SecretError> {
    let keys = asymmetric(form, text).ok_or(SecretError::Form(key_name(form)))?;
    if algorithms.iter().any(|algorithm| keys.fit(*algorithm)) {
        return Ok(Key::Asymmetric(keys));
    }
    Err(SecretError::Form(match algorithms {
        [Algorithm::Ed25519] => "an Ed25519 key, which this provider signs with",
        [Algorithm::EcdsaP256 | Algorithm::EcdsaP256Fixed] => {
            "an ECDSA key on the curve P-256, which this provider signs with"
        }
        [Algorithm::RsaSha1] => "an RSA key of 1024 to 8192 bits, which this provider signs with",
        [Algorithm::RsaSha256 | Algorithm::RsaSha512] => {
            "an RSA key of 2048 to 8192 bits, which this provider signs with"
        }
        _ => "a key of a kind that this provider signs with",
    }))
}

/// How long the key is, in bytes, for an HMAC of Standard Webhooks.
fn standard_len(scheme: &Scheme, text: &str) -> Option<usize> {
    let signed = scheme.as_signed()?;
    let standard = signed.key == KeyForm::Standard && !signed.algorithm.is_asymmetric();
    standard.then(|| key_bytes(signed.key, text).ok().map(|key| key.len())).flatten()
}

/// The bytes of a symmetric key.
pub(crate) fn key_bytes(form: KeyForm, text: &str) -> Result<Vec<u8>, SecretError> {
    let base64 = |text: &str| base64_pasted(text).ok_or(SecretError::Form("base64"));
    let bytes = match form {
        KeyForm::Utf8 => text.as_bytes().to_vec(),
        KeyForm::Base64 => base64(text)?,
        KeyForm::Hex => {
            Encoding::Hex.decode(text.as_bytes()).ok_or(SecretError::Form("hexadecimal"))?
        }
        KeyForm::Standard if text.starts_with("whsk_") || text.starts_with("whpk_") => {
            return Err(SecretError::Form("a symmetric one (whsec_…)"));
        }
        KeyForm::Standard => base64(text.strip_prefix("whsec_").unwrap_or(text))?,
        KeyForm::StandardOrUtf8 => match text.strip_prefix("whsec_") {
            Some(rest) => base64(rest)?,
            None => text.as_bytes().to_vec(),
        },
        KeyForm::Sha1 => Hash::Sha1.of(text.as_bytes()),
        KeyForm::StandardEd25519 | KeyForm::Public => {
            return Err(SecretError::Form("a symmetric one"));
        }
    };
    if bytes.is_empty() {
        return Err(SecretError::Empty);
    }
    if bytes.iter().all(|byte| *byte == 0) { Err(SecretError::Zeros) } else { Ok(bytes) }
}

pub(crate) fn asymmetric(form: KeyForm, text: &str) -> Option<Keys> {
    if form != KeyForm::StandardEd25519 {
        return Keys::parse(text);
    }
    match text.strip_prefix("whpk_") {
        Some(public) => Keys::ed25519(&base64_pasted(public)?),
        None => Keys::ed25519_private(&base64_pasted(text.strip_prefix("whsk_")?)?),
    }
}

fn key_name(form: KeyForm) -> &'static str {
    if form == KeyForm::StandardEd25519 {
        "a key of Standard Webhooks (whpk_… or whsk_…)"
    } else {
        "a public key: PEM, base64, hex, a JWK or a JWK set"
    }
}
