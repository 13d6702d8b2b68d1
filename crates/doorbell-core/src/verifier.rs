//! How the requests of one source are believed: its provider's row with the operator's options filled in, and its secrets,
//! read once. Also the gate for a source's verification when it is saved.

use crate::endpoint::{ExtraSignature, SigningSecret};
use crate::header::{self, HeaderRefused};
use crate::limits;
use crate::own_scheme::{self, Fault, bad, clip};
use crate::own_token;
use crate::secret::SecretText;
use crate::source::Verification;
use std::sync::Arc;
use webhook_signatures::{
    Described, Explanation, Field, Handshake, Incoming, Known, Provider, Refusal, Scheme, Secret,
    SecretError, SecretNeed, Setting, SignError, Signature, ToSign, Token, Verified,
};

/// The name of the provider whose scheme is written down in options.
const OWN_HMAC: &str = "hmac";
/// The name of the provider whose token is written down in options.
const OWN_JWT: &str = "jwt";

/// What can check a request. Only [`Verifier::new`] makes one, and never one that believes everybody by accident.
#[derive(Debug, Clone)]
pub struct Verifier {
    provider: Arc<Provider>,
    secrets: Vec<Secret>,
}

impl Verifier {
    /// Reads the options and secrets of a source.
    ///
    /// # Errors
    /// [`Misconfigured`], a sentence for the operator: such a source can believe nobody.
    pub fn new(of: &Verification) -> Result<Self, Misconfigured> {
        let provider = provider(&of.provider, &of.options)?;
        if let Some(setting) = provider.unset().next() {
            return Err(unset(setting));
        }
        if of.secrets.len() > limits::SECRETS {
            return Err(Misconfigured::TooManySecrets);
        }
        let secrets = secrets(&provider, &of.secrets)?;
        if secrets.is_empty() && needs_secret(&provider) {
            return Err(Misconfigured::NoSecret(of.provider.clone()));
        }
        Ok(Self { provider: Arc::new(provider), secrets })
    }

    /// The same, which also knows a key that was fetched because [`Refusal::Need`] asked for it.
    #[must_use]
    pub fn with_fetched(&self, key: Secret) -> Self {
        let mut secrets = self.secrets.clone();
        secrets.push(key);
        Self { provider: Arc::clone(&self.provider), secrets }
    }

    /// The provider's row.
    #[must_use]
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// The provider's question in a request, if it is one; `now` in Unix seconds. To be asked before [`Self::verify`].
    #[must_use]
    pub fn question(&self, incoming: &Incoming<'_>, now: i64) -> Option<Handshake> {
        webhook_signatures::handshake(&self.provider, &self.secrets, incoming, now)
    }

    /// Finds out why a request does not pass, by trying; `now` in Unix seconds, `known` the secrets of other sources.
    #[must_use]
    pub fn explain(&self, known: &[Known<'_>], incoming: &Incoming<'_>, now: i64) -> Explanation {
        webhook_signatures::explain(&self.provider, &self.secrets, known, incoming, now)
    }

    /// Checks a request and reads what it says it is; `now` in Unix seconds.
    ///
    /// # Errors
    /// Why it is not believed, for the operator only.
    pub fn verify_and_describe(
        &self,
        incoming: &Incoming<'_>,
        now: i64,
    ) -> Result<(Verified, Described), Refusal> {
        webhook_signatures::verify_and_describe(&self.provider, &self.secrets, incoming, now)
    }

    /// The check alone.
    ///
    /// # Errors
    /// Those of [`Self::verify_and_describe`].
    pub fn verify(&self, incoming: &Incoming<'_>, now: i64) -> Result<Verified, Refusal> {
        webhook_signatures::verify(&self.provider, &self.secrets, incoming, now)
    }
}

/// What is weak about a source's secrets though they work, each a sentence for the operator; or why it believes nobody: what
/// was good for an older version may not be for this one.
#[must_use]
pub fn warnings(of: &Verification) -> Vec<String> {
    let secrets = match Verifier::new(of) {
        Ok(verifier) => verifier.secrets,
        Err(why) => return vec![format!("it believes nobody and answers 503: {why}")],
    };
    let told = |(at, secret): (usize, &Secret)| {
        Some(format!("secret number {} is weak: {}", at + 1, secret.weakness()?))
    };
    secrets.iter().enumerate().filter_map(told).collect()
}

/// What is weak about an endpoint's signing secrets though they work, each a sentence for the operator. Those that are
/// about to expire are left out: they were replaced already.
#[must_use]
pub fn signing_warnings(secrets: &[SigningSecret]) -> Vec<String> {
    let Some(scheme) = webhook_signatures::find("standard-webhooks") else { return Vec::new() };
    let lasting = secrets.iter().filter(|one| one.expires.is_none());
    let told = |one: &SigningSecret| {
        let weakness = Secret::parse(scheme, one.secret.reveal()).ok()?.weakness()?;
        Some(format!(
            "the signing secret is weak: {weakness}; `doorbell endpoint rotate-secret` makes a good one"
        ))
    };
    lasting.filter_map(told).collect()
}

/// What can sign requests by a provider's scheme. Only [`Signer::new`] makes one.
#[derive(Debug, Clone)]
pub struct Signer {
    provider: Provider,
    secret: Secret,
}

impl Signer {
    /// Reads what an endpoint's further signature is to be.
    ///
    /// # Errors
    /// [`Unsignable`], a sentence for the operator.
    pub fn new(of: &ExtraSignature) -> Result<Self, Unsignable> {
        let provider = provider(&of.provider, &of.options)?;
        if let Some(setting) = provider.unset().next() {
            return Err(unset(setting).into());
        }
        let secret = Secret::parse(&provider, of.secret.reveal())
            .map_err(|why| Misconfigured::Secret { number: 1, why })?;
        let signer = Self { provider, secret };
        let headers: [(&str, &[u8]); 1] = [("content-type", b"application/json")];
        let probe = ToSign {
            id: "evt_1",
            now: 0,
            url: "https://example.com/",
            method: "POST",
            headers: &headers,
            body: b"{}",
        };
        let name = of.provider.clone();
        match signer.sign(&probe) {
            Ok(signed)
                if signed.url.is_none() && signed.body.is_none() && !signed.headers.is_empty() =>
            {
                // The id is on every request already, and is the same.
                let lines = signed.headers.iter();
                let mut others = lines.filter(|(name, value)| {
                    !(name.eq_ignore_ascii_case("webhook-id") && value == probe.id)
                });
                others.try_for_each(|(name, value)| header::may_add(name, value))?;
                Ok(signer)
            }
            Ok(_) | Err(SignError::Body) => Err(Unsignable::NotInHeaders(name)),
            Err(why) => Err(Unsignable::CannotSign(name, why)),
        }
    }

    /// Signs a request.
    ///
    /// # Errors
    /// Those of [`webhook_signatures::sign`].
    pub fn sign(&self, request: &ToSign<'_>) -> Result<Signature, SignError> {
        webhook_signatures::sign(&self.provider, &self.secret, request)
    }
}

/// Why an endpoint's requests cannot be signed by a further scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsignable {
    /// The options or the secret are none of the provider's.
    #[error(transparent)]
    Misconfigured(#[from] Misconfigured),
    /// The provider's signature has its place in the body or the URL.
    #[error(
        "the signature of {0} does not stand in header lines, so it cannot be added to other requests"
    )]
    NotInHeaders(String),
    /// A header line of the signature could not be added to a request.
    #[error(transparent)]
    Header(#[from] HeaderRefused),
    /// Nobody but the provider can sign so, or not with this secret.
    #[error("requests cannot be signed as {0} signs: {1}")]
    CannotSign(String, SignError),
}

/// Why a source can believe nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misconfigured {
    /// There is no such row.
    #[error(
        "there is no provider {0:?}: `doorbell providers` lists them; `hmac` and `jwt` take a scheme of your own"
    )]
    Provider(String),
    /// The provider has no such option.
    #[error("the provider {provider} has no option {option:?}: it takes {known}")]
    Option {
        /// The provider.
        provider: String,
        /// The option.
        option: String,
        /// The options that it has.
        known: String,
    },
    /// An option's value cannot be read.
    #[error("the option {option} cannot be {value:?}: {right}")]
    Value {
        /// The option.
        option: String,
        /// Its value.
        value: String,
        /// What would be right.
        right: &'static str,
    },
    /// A required option is not given.
    #[error("the option {option} must be given{what}")]
    Unset {
        /// The option.
        option: String,
        /// What it is, behind a colon; empty where its name says it.
        what: String,
    },
    /// No secret is given.
    #[error(
        "the source has no secret: add the one that {0} shows or was given (or choose the provider `none` to believe everybody)"
    )]
    NoSecret(String),
    /// A secret cannot be one of this provider.
    #[error("secret number {number} does not fit: {why}")]
    Secret {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        why: SecretError,
    },
    /// Too many of them.
    #[error("a source has at most {} secrets at once: remove the old ones", limits::SECRETS)]
    TooManySecrets,
}

impl Misconfigured {
    fn of(provider: &str, fault: Fault) -> Self {
        match fault {
            Fault::Unknown(option, known) => {
                Self::Option { provider: provider.to_owned(), option, known: known.to_owned() }
            }
            Fault::Value { option, value, right } => Self::Value { option, value, right },
            Fault::Unset(option) => Self::Unset { option: option.to_owned(), what: String::new() },
        }
    }
}

/// Whether nothing can be believed without a secret from the operator: neither does the provider hand one out in its
/// first request, nor are its keys fetched.
fn needs_secret(provider: &Provider) -> bool {
    match provider.secret_need() {
        SecretNeed::Required => true,
        SecretNeed::HandedOut | SecretNeed::Fetched | SecretNeed::None => false,
        SecretNeed::OrSetting => provider.key_address().is_none(),
    }
}

fn secrets(provider: &Provider, texts: &[SecretText]) -> Result<Vec<Secret>, Misconfigured> {
    let read = |(at, text): (usize, &SecretText)| {
        Secret::parse(provider, text.reveal())
            .map_err(|why| Misconfigured::Secret { number: at + 1, why })
    };
    texts.iter().enumerate().map(read).collect()
}

/// The provider's row with the options in it.
fn provider(name: &str, options: &[(String, String)]) -> Result<Provider, Misconfigured> {
    if name == OWN_HMAC {
        return own_scheme::read(name, options).map_err(|fault| Misconfigured::of(name, fault));
    }
    let row = webhook_signatures::find(name).ok_or_else(|| Misconfigured::Provider(clip(name)))?;
    if name == OWN_JWT {
        return own_token::read(row.clone(), options)
            .map_err(|fault| Misconfigured::of(name, fault));
    }
    options.iter().try_fold(row.clone(), |row, (option, value)| set(row, option, value))
}

fn set(mut row: Provider, option: &str, value: &str) -> Result<Provider, Misconfigured> {
    let name = row.name.clone();
    let refused = |fault| Misconfigured::of(&name, fault);
    if option == "tolerance" {
        let tolerance = own_scheme::tolerance(option, value).map_err(refused)?;
        return Ok(row.with_tolerance(tolerance));
    }
    match (option, row.schemes.as_mut_slice()) {
        ("header", [Scheme::Token(Token::Header(name))]) => {
            *name = own_scheme::header(option, value).map_err(refused)?.into();
        }
        ("parameter", [Scheme::Token(Token::Query(name))]) => *name = value.to_owned().into(),
        ("pointer", [Scheme::Token(token @ Token::Header(_))]) => {
            let pointer = own_scheme::pointer(option, value).map_err(refused)?;
            *token = Token::Field(Field::Json(pointer.into()));
        }
        _ => {
            if !row.set(option, value.to_owned()) {
                return Err(unknown(&row, option));
            }
        }
    }
    if row.key_address().is_some_and(|address| !address.starts_with("https://")) {
        let right = "keys are fetched over TLS only: use an https:// address";
        return Err(refused(bad(option, value, right)));
    }
    Ok(row)
}

fn unset(setting: &Setting) -> Misconfigured {
    let (option, what) = (setting.name.to_string(), format!(": {}", setting.title));
    Misconfigured::Unset { option, what }
}

fn unknown(row: &Provider, option: &str) -> Misconfigured {
    let own = match row.schemes.as_slice() {
        [Scheme::Token(Token::Header(_))] => "header, pointer, ",
        [Scheme::Token(Token::Query(_))] => "parameter, ",
        _ => "",
    };
    let settings: String =
        row.settings.iter().map(|setting| format!("{}, ", setting.name)).collect();
    let known = format!("{own}{settings}tolerance");
    Misconfigured::Option { provider: row.name.to_string(), option: clip(option), known }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Headers;
    use bytes::Bytes;

    fn verification(provider: &str, options: &[(&str, &str)], secrets: &[&str]) -> Verification {
        Verification {
            provider: provider.to_owned(),
            options: options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            secrets: secrets.iter().map(|s| SecretText::parse(s).unwrap()).collect(),
            public_url: None,
        }
    }

    fn refused(provider: &str, options: &[(&str, &str)], secrets: &[&str]) -> String {
        Verifier::new(&verification(provider, options, secrets)).unwrap_err().to_string()
    }

    fn believes(of: &Verification, headers: &[(&str, &str)], body: &[u8]) -> bool {
        let headers: Headers =
            headers.iter().map(|(n, v)| (n, Bytes::copy_from_slice(v.as_bytes()))).collect();
        let incoming =
            Incoming { method: "POST", url: "https://x.example.com/in/s", headers: &headers, body };
        Verifier::new(of).unwrap().verify(&incoming, 1_767_225_600).is_ok()
    }

    /// What an older version took may be refused by this one: the operator is told, and not only the sender.
    #[test]
    fn a_source_that_believes_nobody_says_so() {
        let told = warnings(&verification("onfleet", &[], &["0102", &"00".repeat(32)]));
        assert!(
            matches!(&told[..], [one] if one.contains("503") && one.contains("number 2")),
            "{told:?}"
        );
        assert_eq!(warnings(&verification("github", &[], &["a good long secret"])), [""; 0]);
    }

    #[test]
    fn every_row_of_the_table_can_be_chosen() {
        for row in webhook_signatures::all().iter().filter(|row| row.name != OWN_HMAC) {
            assert!(provider(&row.name, &[]).is_ok(), "{}", row.name);
        }
    }

    #[test]
    fn github_by_its_published_example() {
        let github = verification("github", &[], &["old secret", "It's a Secret to Everybody"]);
        let signed = [(
            "X-Hub-Signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        )];
        assert!(believes(&github, &signed, b"Hello, World!"));
        assert!(
            !believes(&github, &signed, b"Hello, World?")
                && !believes(&github, &[], b"Hello, World!")
        );
    }

    #[test]
    fn a_scheme_of_ones_own() {
        // printf 'v0:1767225600:hi' | openssl dgst -sha1 -hmac secret -binary | base64
        let options = [
            ("header", "X-Sig"),
            ("prefix", "v0="),
            ("algorithm", "SHA1"),
            ("encoding", "base64"),
            ("template", "v0:{timestamp}:{body}"),
            ("timestamp_header", "X-Time"),
            ("tolerance", "60"),
        ];
        let own = verification("hmac", &options, &["secret"]);
        let right = [("x-time", "1767225600"), ("x-sig", "v0=NM6i+wyVU+rL4i3qpYv20rSJo38=")];
        assert!(believes(&own, &right, b"hi") && !believes(&own, &right, b"ho"));
        let late = [("x-time", "1767225000"), ("x-sig", "v0=NM6i+wyVU+rL4i3qpYv20rSJo38=")];
        assert!(!believes(&own, &late, b"hi"));
    }

    #[test]
    fn a_token_in_a_header_of_ones_own() {
        let token = verification("token", &[("header", "X-Key")], &["abc"]);
        assert!(
            believes(&token, &[("x-key", "abc")], b"")
                && !believes(&token, &[("x-key", "abd")], b"")
        );
        assert!(!believes(&token, &[("x-webhook-token", "abc")], b""));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (found, sentence) in [
            (
                refused("githup", &[], &["x"]),
                "there is no provider \"githup\": `doorbell providers` lists them; `hmac` and `jwt` take a scheme of your own",
            ),
            (
                refused("github", &[], &[]),
                "the source has no secret: add the one that github shows or was given (or choose the provider `none` to believe everybody)",
            ),
            (
                refused("github", &[("header", "x")], &["x"]),
                "the provider github has no option \"header\": it takes tolerance",
            ),
            (
                refused("token", &[("hedder", "x")], &["x"]),
                "the provider token has no option \"hedder\": it takes header, pointer, tolerance",
            ),
            (
                refused("standard-webhooks", &[], &["whsec_"]),
                "secret number 1 does not fit: the secret is empty",
            ),
            (
                refused("hmac", &[("algorithm", "md5")], &["x"]),
                "the option algorithm cannot be \"md5\": use sha256, sha512, sha384 or sha1 (HMAC), ed25519, ecdsa-p256, ecdsa-p256-fixed, rsa-sha256 or rsa-sha512",
            ),
            (
                refused("hmac", &[("template", "{timestamp}.{body}")], &["x"]),
                "the option timestamp_header must be given",
            ),
            (
                refused("hmac", &[("template", "{id}.{body}")], &["x"]),
                "the option id_header must be given",
            ),
            (
                refused("hmac", &[("template", "{bodi}")], &["x"]),
                "the option template cannot be \"{bodi}\": use text with {body}, {timestamp}, {id}, {method}, {url}, {path}, {sorted_form} or {header:NAME}",
            ),
            (
                refused("hmac", &[("template", "fixed")], &["x"]),
                "the option template cannot be \"…\": it must contain {body}, or anybody could change the body",
            ),
            (
                refused("hmac", &[("header", "x y")], &["x"]),
                "the option header cannot be \"x y\": use a header name such as x-signature",
            ),
            (
                refused("stripe", &[("tolerance", "-1")], &["x"]),
                "the option tolerance cannot be \"-1\": use seconds, such as 300; 0: of any age",
            ),
            (
                refused("http-signature", &[("jwks_url", "http://keys.example.com/")], &[]),
                "the option jwks_url cannot be \"http://keys.example.com/\": keys are fetched over TLS only: use an https:// address",
            ),
            (
                refused("http-signature", &[], &[]),
                "the source has no secret: add the one that http-signature shows or was given (or choose the provider `none` to believe everybody)",
            ),
            (
                refused("github", &[], &["x"; limits::SECRETS + 1]),
                "a source has at most 10 secrets at once: remove the old ones",
            ),
        ] {
            assert_eq!(found, sentence);
        }
    }

    #[test]
    fn a_further_signature_passes_the_gate_of_added_headers() {
        let signer = |provider: &str, options: &[(&str, &str)]| {
            let Verification { provider, options, .. } = verification(provider, options, &[]);
            let secret = SecretText::parse("whsec_c2VjcmV0IG9mIHRoZSBlbmRwb2ludA==").unwrap();
            Signer::new(&ExtraSignature { provider, options, secret })
        };
        assert!(signer("hmac", &[("header", "X-Sig"), ("prefix", "v1=")]).is_ok());
        for name in [
            "webhook-signature",
            "webhook-id",
            "Doorbell-Attempt",
            "content-length",
            "host",
            "transfer-encoding",
            "connection",
            "te",
            "expect",
        ] {
            let refused = signer("hmac", &[("header", name)]).unwrap_err();
            assert!(matches!(refused, Unsignable::Header(_)), "{name}: {refused}");
        }
        let stamp = [("timestamp_header", "Host"), ("template", "{timestamp}{body}")];
        for options in [&stamp[..], &[("prefix", "a\r\nx: b")], &[("prefix", " a")]] {
            assert!(matches!(signer("hmac", options), Err(Unsignable::Header(_))), "{options:?}");
        }
        assert!(matches!(signer("standard-webhooks", &[]), Err(Unsignable::Header(_))));
        assert_eq!(
            signer("hmac", &[("header", "webhook-id")]).unwrap_err().to_string(),
            "headers that begin with webhook- or doorbell- are set by Doorbell itself: rename webhook-id"
        );
    }

    #[test]
    fn who_fetches_keys_needs_no_secret() {
        let jwks = [("jwks_url", "https://keys.example.com/jwks.json")];
        assert!(Verifier::new(&verification("http-signature", &jwks, &[])).is_ok());
        let any = [("topic_arn", "*")];
        assert!(Verifier::new(&verification("aws-sns", &any, &[])).is_ok());
    }

    #[test]
    fn whose_topics_are_believed_is_said() {
        for name in ["aws-sns", "aws-sns-v2"] {
            let why = refused(name, &[], &[]);
            assert!(why.starts_with("the option topic_arn must be given: The only topic"), "{why}");
            assert!(why.contains("`*`"), "{why}");
        }
    }

    #[test]
    fn nobody_is_believed_unless_it_is_written_out() {
        assert!(believes(&verification("none", &[], &[]), &[], b""));
        let headers = Headers::default();
        let nothing = Incoming {
            method: "POST",
            url: "https://x.example.com/",
            headers: &headers,
            body: b"",
        };
        for row in webhook_signatures::all().iter().filter(|row| !row.is_open()) {
            let verifier = Verifier::new(&verification(&row.name, &[], &[]));
            assert!(
                verifier.map_or(true, |verifier| verifier.verify(&nothing, 0).is_err()),
                "{}",
                row.name
            );
        }
    }
}
