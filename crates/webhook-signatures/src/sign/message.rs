//! Signing a message put together out of pieces.

use super::draft::Draft;
use super::{SignError, raw};
use crate::encoding::Encoding;
use crate::hash::Hash;
use crate::message::{self, Source};
use crate::provider::Provider;
use crate::scheme::{Field, Layout, Piece, Place, Signed};
use crate::secret::{Key, Secret};
use crate::time::Unit;
use crate::{json, layout};

/// Everything but the request.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) provider: &'a Provider,
    pub(super) secret: &'a Secret,
    pub(super) key: &'a Key,
}

pub(super) fn sign(
    signer: Signer<'_>,
    signed: &Signed,
    draft: &mut Draft<'_>,
) -> Result<(), SignError> {
    let place = signed.signatures.first().ok_or(SignError::Scheme)?;
    prepare(signed, draft)?;
    let stamp = signed.stamp.as_ref().map(|stamp| stamp.unit.write(draft.now)).unwrap_or_default();
    let names = if has_names(signed, place) { names(signed, draft) } else { String::new() };
    let Some(array) = &signed.each else {
        let text = text(signer, signed, draft, (&stamp, &names, None))?;
        return draft.set(&place.at, &written(signer, place, (&stamp, &names), &text));
    };
    let count = json::find(&draft.body, array)
        .and_then(|raw| json::elements(raw, 100))
        .ok_or(SignError::Body)?
        .len();
    for index in 0..count {
        let element = format!("{array}/{index}");
        let text = text(signer, signed, draft, (&stamp, &names, Some(&element)))?;
        let Field::Json(pointer) = &place.at else { return Err(SignError::Scheme) };
        draft.set(&Field::json(format!("{element}{pointer}")), &text)?;
    }
    Ok(())
}

/// Puts what is signed beside the body, or in it, into the draft: id, time, version, other signed headers.
fn prepare(signed: &Signed, draft: &mut Draft<'_>) -> Result<(), SignError> {
    if let Some(id) = &signed.id {
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if draft.id.is_empty() || !draft.id.bytes().all(fine) {
            return Err(SignError::Id);
        }
        draft.set(id, draft.id)?;
    }
    if let Some(stamp) = &signed.stamp
        && let Some(at) = &stamp.at
    {
        draft.set(at, &stamp.unit.write(draft.now))?;
    }
    if let Some((field, value)) = &signed.when {
        draft.set(field, value)?;
    }
    for piece in &signed.message {
        prepare_piece(piece, signed, draft)?;
    }
    hash_into_query(signed, draft);
    Ok(())
}

fn prepare_piece(piece: &Piece, signed: &Signed, draft: &mut Draft<'_>) -> Result<(), SignError> {
    if let Piece::Header(name) = piece
        && draft.incoming().header(name).is_none()
    {
        let value = if name.ends_with("-time") {
            Unit::Iso8601.write(draft.now)
        } else {
            draft.id.to_owned()
        };
        draft.set_header(name.clone(), value);
    } else if let Piece::ListedHeaders { list, with } = piece {
        draft.set_header(list.clone(), format!("{list},{with}"));
    } else if let Piece::Field(field) = piece {
        if signed.is_bodyless() {
            // A token is signed and not the body: it is fresh with each message.
            draft.set(field, draft.id)?;
        } else if matches!(field, Field::Form(_)) {
            wrap(field, draft)?;
        }
    }
    Ok(())
}

/// A body that travels as base64 in a form field (Braintree).
fn wrap(field: &Field, draft: &mut Draft<'_>) -> Result<(), SignError> {
    if crate::field::read(field, &draft.incoming(), &draft.body).is_some() {
        return Ok(());
    }
    let text = Encoding::Base64.encode(&draft.body);
    draft.body = Vec::new().into();
    draft.set_header("content-type", "application/x-www-form-urlencoded".to_owned());
    draft.set(field, &text)
}

/// Twilio puts the hash of a body that is no form into the URL.
fn hash_into_query(signed: &Signed, draft: &mut Draft<'_>) {
    let Some(name) = &signed.body_hash_query else { return };
    let incoming = draft.incoming();
    if incoming.is_form() || incoming.body.is_empty() || incoming.query(name).is_some() {
        return;
    }
    let digest = Encoding::Hex.encode(&Hash::Sha256.of(&draft.body));
    draft.add_query(name, &digest);
}

/// Whether anything of the signature says which headers are signed.
fn has_names(signed: &Signed, place: &Place) -> bool {
    let beside = match &place.layout {
        Layout::Fields(fields) => fields.names.is_some(),
        Layout::Whole { .. } | Layout::Positional => false,
    };
    beside || signed.message.contains(&Piece::Names)
}

/// The further part beside the signature: the names of the signed headers, or a plain word.
fn names(signed: &Signed, draft: &Draft<'_>) -> String {
    if signed.message.contains(&Piece::Names) {
        return "master".to_owned();
    }
    let present = ["content-type", "x-event-id", "x-event-type"].into_iter();
    present.filter(|name| draft.incoming().values(name).count() == 1).collect::<Vec<_>>().join(" ")
}

/// The signature as text, over the draft or one element of its body.
fn text(
    signer: Signer<'_>,
    signed: &Signed,
    draft: &Draft<'_>,
    (stamp, names, element): (&str, &str, Option<&str>),
) -> Result<String, SignError> {
    let incoming = draft.incoming();
    let source = Source {
        provider: signer.provider,
        message: &signed.message,
        id: signed.id.as_ref(),
        body_hash_query: signed.body_hash_query.as_deref(),
        incoming: &incoming,
        body: element
            .map_or(Some(&*draft.body), |at| json::find(&draft.body, at))
            .ok_or(SignError::Body)?,
        values: None,
        url: &draft.url,
        stamp: Some(stamp.as_bytes()),
        names: Some(names.as_bytes()),
        secret: signer.secret.expose(),
    };
    let parts = message::parts(source).map_err(SignError::Message)?;
    let slices: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
    let bytes = raw(signed.algorithm, signer.key, &slices).ok_or(SignError::Secret)?;
    Ok(signed.encoding.encode(&bytes))
}

fn written(signer: Signer<'_>, place: &Place, (stamp, names): (&str, &str), text: &str) -> String {
    let any_key = signer.provider.setting("public_key").unwrap_or("key");
    let whole = layout::write(&place.layout, stamp, text, any_key);
    match &place.layout {
        Layout::Fields(fields) => match &fields.names {
            Some(key) => {
                let between = &fields.joint;
                format!("{whole}{between}{key}{}{names}", fields.pair)
            }
            None => whole,
        },
        Layout::Whole { .. } | Layout::Positional => whole,
    }
}
