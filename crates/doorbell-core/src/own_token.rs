//! A JSON Web Token of the operator's own sender, written down in the options of a source: the provider `jwt`.

use crate::own_scheme::{
    ENCODINGS, Fault, KEY_WORDS, KEYS, bad, header, keys_at, pointer, tolerance, word,
};
use webhook_signatures::{
    Algorithm, Encoding, Field, Hash, Jwt, KeyForm, KeySource, Provider, Scheme, Setting,
};

const KNOWN: &str = "header, pointer, parameter, algorithms, secret_encoding, jwks_url, issuer, audience, body_hash, \
                     body_hash_encoding, tolerance";

/// The row with these options in it.
pub(crate) fn read(mut row: Provider, options: &[(String, String)]) -> Result<Provider, Fault> {
    let mut jwt = match row.schemes.first() {
        Some(Scheme::Jwt(jwt)) => jwt.as_ref().clone(),
        _ => return Ok(row),
    };
    for (option, value) in options {
        set(&mut jwt, &mut row.settings, (option, value))?;
    }
    check(&mut jwt)?;
    row.schemes = vec![Scheme::Jwt(Box::new(jwt))];
    Ok(row)
}

fn set(
    jwt: &mut Jwt,
    settings: &mut Vec<Setting>,
    (option, value): (&str, &str),
) -> Result<(), Fault> {
    match option {
        "header" => jwt.at = Field::Header(header(option, value)?.into()),
        "pointer" => jwt.at = Field::Json(pointer(option, value)?.into()),
        "parameter" => jwt.at = Field::Query(value.to_owned().into()),
        "algorithms" => jwt.algorithms = algorithms(option, value)?,
        "secret_encoding" => jwt.key = word(option, value, &KEYS, KEY_WORDS)?,
        "jwks_url" if value.starts_with("https://") => {
            jwt.source = KeySource::Setting("jwks_url".into());
            settings.push(keys_at(value.to_owned()));
        }
        "jwks_url" => return Err(bad(option, value, "use an https:// address")),
        "issuer" => jwt.claims.issuers = vec![value.to_owned().into()],
        "audience" => {
            jwt.claims.equal = vec![("/aud".into(), "audience".into())];
            settings.push(audience(value.to_owned()));
        }
        "body_hash" => {
            let written = jwt.claims.body_hash.as_ref().map_or(Encoding::Hex, |(_, how)| *how);
            jwt.claims.body_hash = Some((pointer(option, value)?.into(), written));
        }
        "body_hash_encoding" => {
            let written = word(option, value, &ENCODINGS, "use hex, base64 or base64url")?;
            let at = jwt.claims.body_hash.take().map_or_else(|| "".into(), |(at, _)| at);
            jwt.claims.body_hash = Some((at, written));
        }
        "tolerance" => {
            jwt.claims.issued = Some(tolerance(option, value)?);
            jwt.claims.expires = false;
        }
        _ => return Err(Fault::Unknown(crate::own_scheme::clip(option), KNOWN)),
    }
    Ok(())
}

/// What fits together: keys and algorithms of one kind, so that no public key is ever taken for a shared secret.
fn check(jwt: &mut Jwt) -> Result<(), Fault> {
    let public = jwt.algorithms.iter().filter(|algorithm| algorithm.is_asymmetric()).count();
    if public != 0 && public != jwt.algorithms.len() {
        let right = "either all by shared secret (HS…) or none";
        return Err(bad("algorithms", "…", right));
    }
    if public == 0 && jwt.source != KeySource::Given {
        return Err(bad(
            "jwks_url",
            "…",
            "name the public-key algorithms in the option algorithms",
        ));
    }
    if jwt.claims.body_hash.as_ref().is_some_and(|(at, _)| at.is_empty()) {
        return Err(Fault::Unset("body_hash"));
    }
    if public != 0 {
        jwt.key = KeyForm::Public;
    }
    Ok(())
}

fn algorithms(option: &str, value: &str) -> Result<Vec<Algorithm>, Fault> {
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let read: Result<Vec<_>, _> =
        names.map(|name| word(option, name, &ALGORITHMS, ALGORITHM_WORDS)).collect();
    let read = read?;
    if read.is_empty() { Err(bad(option, value, ALGORITHM_WORDS)) } else { Ok(read) }
}

fn audience(value: String) -> Setting {
    let title = "The `aud` that stands for you".into();
    Setting { name: "audience".into(), title, required: false, value: Some(value.into()) }
}

const ALGORITHM_WORDS: &str =
    "use HS256, HS384, HS512, RS256, RS512, ES256 or EdDSA, several parted by commas";
const ALGORITHMS: [(&str, Algorithm); 7] = [
    ("HS256", Algorithm::Hmac(Hash::Sha256)),
    ("HS384", Algorithm::Hmac(Hash::Sha384)),
    ("HS512", Algorithm::Hmac(Hash::Sha512)),
    ("RS256", Algorithm::RsaSha256),
    ("RS512", Algorithm::RsaSha512),
    ("ES256", Algorithm::EcdsaP256Fixed),
    ("EdDSA", Algorithm::Ed25519),
];

#[cfg(test)]
mod tests {
    use super::*;
    use webhook_signatures::{Incoming, Secret, ToSign, find, sign, verify};

    const NOW: i64 = 1_767_225_600;
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----";

    fn row(list: &[(&str, &str)]) -> Result<Provider, Fault> {
        let options: Vec<_> =
            list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        read(find("jwt").unwrap().clone(), &options)
    }

    /// Whether what `from` signs is believed by `to`, for this body and at this time.
    fn passes(from: &Provider, to: &Provider, secret: &str, (body, now): (&[u8], i64)) -> bool {
        let (headers, url) = ([("content-type", "application/json")], "https://x.example/in/x");
        let own = Secret::parse(from, secret).unwrap();
        let request =
            ToSign { id: "evt_1", now: NOW, url, method: "POST", headers: &headers, body: b"{}" };
        let signed = sign(from, &own, &request).unwrap();
        let url = signed.url.clone().unwrap_or_else(|| url.to_owned());
        let lines: Vec<_> =
            signed.headers.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        let incoming = Incoming { method: "POST", url: &url, headers: &lines, body };
        let Ok(secret) = Secret::parse(to, secret) else { return false };
        verify(to, &[secret], &incoming, now).is_ok()
    }

    #[test]
    fn tokens_of_every_kind_are_believed() {
        for (list, secret) in [
            (&[][..], "a secret"),
            (&[("parameter", "jwt"), ("algorithms", "HS512")], "a secret"),
            (&[("issuer", "https://i.example"), ("audience", "us")], "a secret"),
            (&[("header", "X-Token"), ("algorithms", "ES256, EdDSA")], PEM),
            (&[("body_hash", "/body_sha256"), ("body_hash_encoding", "base64")], "a secret"),
            (&[("tolerance", "60")], "a secret"),
        ] {
            let row = row(list).unwrap();
            assert!(passes(&row, &row, secret, (b"{}", NOW)), "{list:?}");
            assert!(!passes(&row, &row, secret, (b"{}", NOW + 90)), "{list:?} an old one");
        }
    }

    #[test]
    fn claims_and_algorithms_are_pinned() {
        let plain = row(&[]).unwrap();
        let passes = |from: &Provider, list: &[(&str, &str)], body: &[u8]| {
            passes(from, &row(list).unwrap(), "a secret", (body, NOW))
        };
        assert!(passes(&plain, &[], b"another body"), "the token alone says nothing of the body");
        assert!(!passes(&plain, &[("issuer", "x")], b"{}"));
        assert!(!passes(&plain, &[("audience", "x")], b"{}"));
        assert!(!passes(&plain, &[("algorithms", "HS384")], b"{}"));
        assert!(!passes(&plain, &[("body_hash", "/h")], b"{}"));
        let hashed = [("body_hash", "/h")];
        assert!(!passes(&row(&hashed).unwrap(), &hashed, b"another body"));
        let timed = row(&[("tolerance", "0")]).unwrap();
        assert!(!passes(&timed, &[], b"{}"), "without exp");
    }

    #[test]
    fn what_does_not_fit_together_is_said() {
        for list in [
            [("algorithms", "HS256,RS256")],
            [("algorithms", "none")],
            [("algorithms", "")],
            [("jwks_url", "http://x.example/")],
            [("jwks_url", "https://x.example/")],
            [("body_hash", "sha")],
        ] {
            assert!(matches!(row(&list), Err(Fault::Value { .. })), "{list:?}");
        }
        assert_eq!(row(&[("body_hash_encoding", "hex")]).unwrap_err(), Fault::Unset("body_hash"));
        assert!(matches!(row(&[("nope", "1")]), Err(Fault::Unknown(..))));
        let fetched = row(&[("algorithms", "RS256"), ("jwks_url", "https://x.example/k")]).unwrap();
        assert_eq!(fetched.key_address(), Some("https://x.example/k"));
    }
}
