//! Signing as RFC 9421 has it.

use super::draft::Draft;
use super::message::Signer;
use super::{SignError, raw};
use crate::encoding::Encoding;
use crate::httpsig::{base_to_sign, content_digest, name};
use crate::scheme::{Algorithm, HttpSignature};

/// Method, address, the body's digest, and the id; the content type where there is one.
pub(super) fn sign(
    signer: Signer<'_>,
    scheme: &HttpSignature,
    draft: &mut Draft<'_>,
) -> Result<(), SignError> {
    draft.set_header("content-digest", content_digest(&draft.body));
    draft.set_header("webhook-id", draft.id.to_owned());
    let mut components = vec!["@method", "@target-uri", "content-digest", "webhook-id"];
    if draft.incoming().header("content-type").is_some() {
        components.push("content-type");
    }
    for algorithm in &scheme.algorithms {
        let keyid =
            signer.provider.setting("keyid").map(|id| format!(";keyid={}", crate::json::quote(id)));
        let parameters = format!(
            ";created={};alg=\"{}\"{}",
            draft.now,
            name(*algorithm),
            keyid.unwrap_or_default()
        );
        let (input, base) = base_to_sign(&draft.incoming(), &components, &parameters)
            .map_err(SignError::Message)?;
        let signature = match (algorithm, signer.key) {
            (Algorithm::Hmac(hash), key) => {
                key.hmac(*hash).map(|key| key.tag(&[&base]).bytes().to_vec())
            }
            (algorithm, key) => raw(*algorithm, key, &[&base]),
        };
        if let Some(signature) = signature {
            draft.set_header("signature-input", format!("sig1={input}"));
            draft
                .set_header("signature", format!("sig1=:{}:", Encoding::Base64.encode(&signature)));
            return Ok(());
        }
    }
    Err(SignError::Secret)
}
