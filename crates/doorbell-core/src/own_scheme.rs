//! A scheme of the operator's own, written down in the options of a source: the provider `hmac`.
//!
//! The vocabulary is that of the built-in rows: where the signature stands and how it is laid out, what is signed, by
//! which algorithm, what the key is, where the time stands and how old it may be.

use webhook_signatures::{
    Algorithm, Confidence, Encoding, Field, Hash, KeyForm, KeySource, Layout, Piece, Place,
    Provider, Scheme, Setting, Signed, Stamp, Tolerance, Unit, UrlForms,
};

/// What is wrong with an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no such option; these are known.
    Unknown(String, &'static str),
    /// It cannot have this value.
    Value { option: String, value: String, right: &'static str },
    /// It must be given.
    Unset(&'static str),
}

const KNOWN: &str = "header, prefix, pattern, signature_pointer, signature_parameter, algorithm, encoding, secret_encoding, \
                     jwks_url, template, id_header, timestamp_header, timestamp_pointer, timestamp_format, tolerance, url";

/// What the options have said so far.
struct Own {
    signed: Signed,
    at: Field,
    layout: Layout,
    stamp_at: Option<Field>,
    unit: Unit,
    tolerance: Tolerance,
    key: Option<KeyForm>,
    jwks_url: Option<String>,
}

impl Default for Own {
    fn default() -> Self {
        let at = Field::Header("x-signature".into());
        Self {
            signed: Signed::raw(Algorithm::Hmac(Hash::Sha256), "x-signature", Encoding::Hex),
            at,
            layout: Layout::Whole { prefix: "".into() },
            stamp_at: None,
            unit: Unit::Seconds,
            tolerance: Tolerance::both(300),
            key: None,
            jwks_url: None,
        }
    }
}

/// The row that these options describe, called `name`.
pub(crate) fn read(name: &str, options: &[(String, String)]) -> Result<Provider, Fault> {
    let mut own = Own::default();
    for (option, value) in options {
        own.set(option, value)?;
    }
    own.check()?;
    Ok(own.row(name))
}

impl Own {
    fn set(&mut self, option: &str, value: &str) -> Result<(), Fault> {
        match option {
            "header" => self.at = Field::Header(header(option, value)?.into()),
            "signature_pointer" => self.at = Field::Json(pointer(option, value)?.into()),
            "signature_parameter" => self.at = Field::Query(value.to_owned().into()),
            "prefix" => self.layout = Layout::Whole { prefix: value.to_owned().into() },
            "pattern" => {
                let right = "use PREFIX{signature}, or KEY={timestamp},KEY={signature}";
                let read = webhook_signatures::pattern(value);
                self.layout = read.map_err(|_| bad(option, value, right))?;
            }
            "id_header" => {
                self.signed.id = Some(Field::Header(header(option, value)?.into()));
            }
            "timestamp_header" => {
                self.stamp_at = Some(Field::Header(header(option, value)?.into()));
            }
            "timestamp_pointer" => {
                self.stamp_at = Some(Field::Json(pointer(option, value)?.into()));
            }
            "tolerance" => self.tolerance = tolerance(option, value)?,
            "jwks_url" if value.starts_with("https://") => self.jwks_url = Some(value.to_owned()),
            "jwks_url" => return Err(bad(option, value, "use an https:// address")),
            _ => return self.set_word(option, value),
        }
        Ok(())
    }

    /// Options whose values are words.
    fn set_word(&mut self, option: &str, value: &str) -> Result<(), Fault> {
        match option {
            "algorithm" => {
                self.signed.algorithm = word(option, value, &ALGORITHMS, ALGORITHM_WORDS)?;
            }
            "encoding" => {
                let right = "use hex, base64 or base64url";
                self.signed.encoding = word(option, value, &ENCODINGS, right)?;
            }
            "secret_encoding" => {
                self.key = Some(word(option, value, &KEYS, KEY_WORDS)?);
            }
            "template" => {
                let right = "use text with {body}, {timestamp}, {id}, {method}, {url}, {path}, {sorted_form} or {header:NAME}";
                let read = webhook_signatures::template(value);
                self.signed.message = read.map_err(|_| bad(option, value, right))?;
            }
            "timestamp_format" => {
                let right = "use seconds, milliseconds, rfc3339 or http-date";
                self.unit = word(option, value, &UNITS, right)?;
            }
            "url" => self.signed.url = word(option, value, &URLS, "use exact or ports")?,
            _ => return Err(Fault::Unknown(clip(option), KNOWN)),
        }
        Ok(())
    }

    fn has_stamp(&self) -> bool {
        let beside = match &self.layout {
            Layout::Fields(fields) => fields.stamp.is_some(),
            Layout::Positional => true,
            Layout::Whole { .. } => false,
        };
        beside || self.stamp_at.is_some()
    }

    fn check(&self) -> Result<(), Fault> {
        let message = &self.signed.message;
        if message.contains(&Piece::Timestamp) && !self.has_stamp() {
            return Err(Fault::Unset("timestamp_header"));
        }
        if message.contains(&Piece::Id) && self.signed.id.is_none() {
            return Err(Fault::Unset("id_header"));
        }
        let covers =
            |piece: &Piece| matches!(piece, Piece::Body | Piece::BodySha256 | Piece::SortedForm(_));
        if !message.iter().any(covers) {
            let right = "it must contain {body}, or anybody could change the body";
            return Err(bad("template", "…", right));
        }
        if self.jwks_url.is_some() && !self.signed.algorithm.is_asymmetric() {
            let right = "only ed25519, ecdsa-p256, ecdsa-p256-fixed, rsa-sha256 and rsa-sha512 have public keys";
            return Err(bad("jwks_url", "…", right));
        }
        Ok(())
    }

    fn row(self, name: &str) -> Provider {
        let Self { mut signed, at, layout, stamp_at, unit, tolerance, key, jwks_url } = self;
        let stamped = stamp_at.is_some()
            || matches!(&layout, Layout::Fields(fields) if fields.stamp.is_some());
        signed.stamp = stamped.then_some(Stamp { at: stamp_at, unit, tolerance });
        signed.signatures = vec![Place { at, layout }];
        let public = signed.algorithm.is_asymmetric();
        signed.key = if public { KeyForm::Public } else { key.unwrap_or(KeyForm::Utf8) };
        let id = signed.id.clone();
        if jwks_url.is_some() {
            signed.source = KeySource::Setting("jwks_url".into());
        }
        let mut row =
            Provider::new(name.to_owned(), "HMAC of your own", Scheme::Signed(Box::new(signed)));
        row.event_id = id;
        row.event_type = Some(Field::json("/type"));
        row.confidence = Confidence::Source("configuration".into());
        row.settings = jwks_url.map(keys_at).into_iter().collect();
        row
    }
}

pub(crate) fn keys_at(url: String) -> Setting {
    let title = "The address of the sender's JWK set".into();
    Setting { name: "jwks_url".into(), title, required: false, value: Some(url.into()) }
}

const ALGORITHM_WORDS: &str = "use sha256, sha512, sha384 or sha1 (HMAC), ed25519, ecdsa-p256, ecdsa-p256-fixed, rsa-sha256 \
                               or rsa-sha512";
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("sha256", Algorithm::Hmac(Hash::Sha256)),
    ("sha512", Algorithm::Hmac(Hash::Sha512)),
    ("sha384", Algorithm::Hmac(Hash::Sha384)),
    ("sha1", Algorithm::Hmac(Hash::Sha1)),
    ("ed25519", Algorithm::Ed25519),
    ("ecdsa-p256", Algorithm::EcdsaP256),
    ("ecdsa-p256-fixed", Algorithm::EcdsaP256Fixed),
    ("rsa-sha256", Algorithm::RsaSha256),
    ("rsa-sha512", Algorithm::RsaSha512),
];
pub(crate) const ENCODINGS: [(&str, Encoding); 3] =
    [("hex", Encoding::Hex), ("base64", Encoding::Base64), ("base64url", Encoding::Base64Url)];
pub(crate) const KEY_WORDS: &str = "use text, hex, base64 or whsec";
pub(crate) const KEYS: [(&str, KeyForm); 4] = [
    ("text", KeyForm::Utf8),
    ("hex", KeyForm::Hex),
    ("base64", KeyForm::Base64),
    ("whsec", KeyForm::Standard),
];
const UNITS: [(&str, Unit); 4] = [
    ("seconds", Unit::Seconds),
    ("milliseconds", Unit::Millis),
    ("rfc3339", Unit::Iso8601),
    ("http-date", Unit::HttpDate),
];
const URLS: [(&str, UrlForms); 2] = [("exact", UrlForms::AsIs), ("ports", UrlForms::Ports)];

pub(crate) fn word<T: Copy>(
    option: &str,
    value: &str,
    table: &[(&str, T)],
    right: &'static str,
) -> Result<T, Fault> {
    let found = table.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
    found.map(|(_, meant)| *meant).ok_or_else(|| bad(option, value, right))
}

/// A header's name.
pub(crate) fn header(option: &str, value: &str) -> Result<String, Fault> {
    if crate::header::is_token(value) {
        Ok(value.to_ascii_lowercase())
    } else {
        Err(bad(option, value, "use a header name such as x-signature"))
    }
}

/// A JSON pointer to a part of the body.
pub(crate) fn pointer(option: &str, value: &str) -> Result<String, Fault> {
    let good = value.len() > 1 && value.starts_with('/');
    if good {
        Ok(value.to_owned())
    } else {
        Err(bad(option, value, "use a JSON pointer such as /signature"))
    }
}

/// How far a signed time may be from the clock, in seconds.
pub(crate) fn tolerance(option: &str, value: &str) -> Result<Tolerance, Fault> {
    let seconds = value.parse().ok().filter(|seconds| *seconds <= 7 * 24 * 3600);
    seconds
        .map(Tolerance::both)
        .ok_or_else(|| bad(option, value, "use seconds, such as 300; 0: of any age"))
}

pub(crate) fn bad(option: &str, value: &str, right: &'static str) -> Fault {
    Fault::Value { option: option.to_owned(), value: clip(value), right }
}

pub(crate) fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use webhook_signatures::{Incoming, Secret, ToSign, sign, verify};

    const NOW: i64 = 1_767_225_600;
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----";

    fn options(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Each family that can be written down signs and is believed, and a changed body is not.
    #[test]
    fn families() {
        let form = b"b=2&a=1";
        let json = br#"{"type":"a","at":1767225600,"sig":""}"#;
        for (list, secret, body) in [
            (&[("prefix", "sha1="), ("algorithm", "sha1")][..], "secret", &json[..]),
            (
                &[("pattern", "t={timestamp},v1={signature}"), ("template", "{timestamp}.{body}")],
                "secret",
                json,
            ),
            (
                &[
                    ("pattern", "h1:{signature}; ts:{timestamp}"),
                    ("template", "{timestamp}:{body}"),
                    ("encoding", "base64"),
                ],
                "secret",
                json,
            ),
            (
                &[
                    ("id_header", "x-id"),
                    ("timestamp_header", "x-time"),
                    ("template", "{id}.{timestamp}.{body}"),
                    ("secret_encoding", "whsec"),
                    ("timestamp_format", "milliseconds"),
                ],
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                json,
            ),
            (&[("template", "{method}{url}{sorted_form}"), ("url", "ports")], "secret", form),
            (
                &[("template", "{method}\n{body_sha256}"), ("signature_parameter", "sig")],
                "secret",
                json,
            ),
            (&[("algorithm", "ed25519"), ("encoding", "base64"), ("header", "X-Ed")], PEM, json),
        ] {
            let row = read("hmac", &options(list)).unwrap();
            let secret = Secret::parse(&row, secret).unwrap();
            let kind: &[u8] = if body == form {
                b"application/x-www-form-urlencoded"
            } else {
                b"application/json"
            };
            let headers = [("content-type", kind)];
            let url = "https://x.example.com/in/x?a=b";
            let request =
                ToSign { id: "evt_1", now: NOW, url, method: "POST", headers: &headers, body };
            let signed = sign(&row, &secret, &request).unwrap();
            let url = signed.url.clone().unwrap_or_else(|| url.to_owned());
            let mut lines = vec![("content-type".to_owned(), kind.to_vec())];
            lines
                .extend(signed.headers.iter().map(|(n, v)| (n.to_string(), v.as_bytes().to_vec())));
            let incoming = Incoming { method: "POST", url: &url, headers: &lines, body };
            assert!(
                verify(&row, std::slice::from_ref(&secret), &incoming, NOW).is_ok(),
                "{list:?}"
            );
            let changed = [body, b"&z=1"].concat();
            let changed = Incoming { body: &changed, ..incoming };
            assert!(verify(&row, &[secret], &changed, NOW).is_err(), "{list:?}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        let fault = |list: &[(&str, &str)]| read("hmac", &options(list)).unwrap_err();
        assert_eq!(fault(&[("template", "{timestamp}{body}")]), Fault::Unset("timestamp_header"));
        assert!(matches!(fault(&[("template", "{url}")]), Fault::Value { .. }));
        assert!(matches!(fault(&[("jwks_url", "http://x.example/")]), Fault::Value { .. }));
        assert!(
            matches!(fault(&[("jwks_url", "https://x.example/")]), Fault::Value { .. }),
            "of an HMAC"
        );
        assert!(matches!(fault(&[("pattern", "{nothing}")]), Fault::Value { .. }));
        assert!(matches!(fault(&[("timestamp_pointer", "at")]), Fault::Value { .. }));
        assert!(matches!(fault(&[("nope", "1")]), Fault::Unknown(..)));
        let keyed = [("algorithm", "ed25519"), ("jwks_url", "https://x.example/keys")];
        let row = read("hmac", &options(&keyed)).unwrap();
        assert_eq!(row.key_address(), Some("https://x.example/keys"));
    }
}
