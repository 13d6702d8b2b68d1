//! Signing with a JSON Web Token or a detached JWS.

use super::draft::Draft;
use super::message::Signer;
use super::{SignError, raw};
use crate::encoding::Encoding;
use crate::hash::Hash;
use crate::json;
use crate::jwt::name;
use crate::message::{self, Source};
use crate::scheme::{Algorithm, Claims, Jwt};
use crate::secret::Key;

/// How long a token with an `exp` is good, in seconds.
const LIFE_S: i64 = 60;

/// The event by which a transmitter tries whether its tokens arrive (`OpenID` Shared Signals Framework 1.0, 8.1.4).
const A_TEST: &str =
    r#"{"https://schemas.openid.net/secevent/ssf/event-type/verification":{"state":"test"}}"#;

pub(super) fn sign(signer: Signer<'_>, jwt: &Jwt, draft: &mut Draft<'_>) -> Result<(), SignError> {
    if let Some(stamp) = &jwt.stamp
        && let Some(at) = &stamp.at
    {
        draft.set(at, &stamp.unit.write(draft.now))?;
    }
    let payload = match &jwt.detached {
        Some(_) => detached(signer, jwt, draft)?,
        None => claims(signer, &jwt.claims, draft)?.into_bytes(),
    };
    let mut last = Err(SignError::Secret);
    for algorithm in &jwt.algorithms {
        let header = Encoding::Base64Url
            .encode(format!("{{\"alg\":\"{}\",\"typ\":\"JWT\"}}", name(*algorithm)).as_bytes());
        let body = Encoding::Base64Url.encode(&payload);
        let Some(signature) = signature(signer.key, *algorithm, &format!("{header}.{body}")) else {
            continue;
        };
        let shown = if jwt.detached.is_some() { "" } else { body.as_str() };
        let token = format!("{header}.{shown}.{}", Encoding::Base64Url.encode(&signature));
        let bearer = jwt.at.as_header().is_some_and(|name| name == "authorization");
        last = draft.set(&jwt.at, &if bearer { format!("Bearer {token}") } else { token });
        break;
    }
    last
}

fn signature(key: &Key, algorithm: Algorithm, signed: &str) -> Option<Vec<u8>> {
    match (algorithm, key) {
        (Algorithm::Hmac(hash), key) => {
            Some(key.hmac(hash)?.tag(&[signed.as_bytes()]).bytes().to_vec())
        }
        (algorithm, key) => raw(algorithm, key, &[signed.as_bytes()]),
    }
}

fn detached(signer: Signer<'_>, jwt: &Jwt, draft: &Draft<'_>) -> Result<Vec<u8>, SignError> {
    let incoming = draft.incoming();
    let stamp = jwt.stamp.as_ref().map(|stamp| stamp.unit.write(draft.now)).unwrap_or_default();
    let source = Source {
        provider: signer.provider,
        message: jwt.detached.as_deref().unwrap_or_default(),
        id: None,
        body_hash_query: None,
        incoming: &incoming,
        body: &draft.body,
        values: None,
        url: &draft.url,
        stamp: Some(stamp.as_bytes()),
        names: None,
        secret: "",
    };
    Ok(message::parts(source).map_err(SignError::Message)?.concat())
}

/// The claims that the scheme asks for.
fn claims(signer: Signer<'_>, wanted: &Claims, draft: &Draft<'_>) -> Result<String, SignError> {
    let now = draft.now;
    let mut pairs = vec![format!("\"jti\":{}", json::quote(draft.id)), format!("\"iat\":{now}")];
    let mut text = |claim: &str, value: &str| {
        pairs.push(format!(
            "{}:{}",
            json::quote(claim.trim_start_matches('/')),
            json::quote(value)
        ));
    };
    if let Some(issuer) = wanted.issuers.first() {
        text("iss", issuer);
    }
    for (claim, setting) in &wanted.equal {
        text(
            claim,
            signer
                .provider
                .setting(setting)
                .ok_or_else(|| SignError::Message(crate::Refusal::NotSet(setting.clone())))?,
        );
    }
    if let Some((claim, encoding)) = &wanted.body_hash
        && !(wanted.body_may_be_empty && draft.body.is_empty())
    {
        text(claim, &encoding.encode(&Hash::Sha256.of(&draft.body)));
    }
    if let Some(claim) = &wanted.url_hash {
        text(claim, &Encoding::Hex.encode(&Hash::Sha256.of(draft.url.as_bytes())));
    }
    pairs.extend(
        wanted
            .truths
            .iter()
            .map(|claim| format!("{}:true", json::quote(claim.trim_start_matches('/')))),
    );
    pairs.extend(
        wanted
            .present
            .iter()
            .map(|claim| format!("{}:{A_TEST}", json::quote(claim.trim_start_matches('/')))),
    );
    if wanted.expires {
        pairs.push(format!("\"nbf\":{now},\"exp\":{}", now.saturating_add(LIFE_S)));
    }
    Ok(format!("{{{}}}", pairs.join(",")))
}
