//! Reading a [`Field`] out of a request.

use crate::encoding::Encoding;
use crate::incoming::Incoming;
use crate::scheme::Field;
use crate::{form, json};
use std::borrow::Cow;

/// The field's bytes; `None` where it is missing. `body` is the request's body, or one element of it.
pub(crate) fn read<'a>(
    field: &Field,
    incoming: &Incoming<'a>,
    body: &'a [u8],
) -> Option<Cow<'a, [u8]>> {
    match field {
        Field::Header(name) => incoming.header(name).map(Cow::Borrowed),
        Field::Body => Some(Cow::Borrowed(body)),
        Field::Json(pointer) => json::find_text(body, pointer).map(bytes),
        Field::Form(name) => form::value(body, name).map(Cow::Owned),
        Field::FormJson(name, pointer) => {
            let value = form::value(body, name)?;
            json::find_text(&value, pointer).map(|text| Cow::Owned(text.into_owned().into_bytes()))
        }
        Field::Query(name) => incoming.query(name).map(Cow::Owned),
        Field::Claim { header, pointer } => claim(incoming, header, pointer),
        Field::BodyClaim(pointer) => {
            let claims = Encoding::Base64Url.decode(body.split(|byte| *byte == b'.').nth(1)?)?;
            let raw = json::find(&claims, pointer)?;
            let text = json::text(raw).or_else(|| json::keys(raw, 1).pop())?;
            Some(Cow::Owned(text.into_owned().into_bytes()))
        }
        Field::Xml { form, element } => xml_in(form.as_deref(), element, body),
        Field::FirstKey { except } => {
            let keys = json::keys(body, 20);
            keys.into_iter().find(|key| !except.iter().any(|other| other == key)).map(bytes)
        }
        Field::First(fields) => fields.iter().find_map(|field| read(field, incoming, body)),
        Field::Joined { fields, with } => joined(fields, with, incoming, body),
        Field::Fixed(text) => Some(Cow::Owned(text.as_bytes().to_vec())),
    }
}

pub(crate) fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn joined<'a>(
    fields: &[Field],
    with: &str,
    incoming: &Incoming<'a>,
    body: &'a [u8],
) -> Option<Cow<'a, [u8]>> {
    let (first, others) = fields.split_first()?;
    let mut whole = read(first, incoming, body)?;
    for other in others {
        if let Some(part) = read(other, incoming, body) {
            let whole = whole.to_mut();
            whole.extend_from_slice(with.as_bytes());
            whole.extend_from_slice(&part);
        }
    }
    Some(whole)
}

/// A claim of the JWT in a header. Nothing is verified here.
fn claim<'a>(incoming: &Incoming<'a>, header: &str, pointer: &str) -> Option<Cow<'a, [u8]>> {
    let value = incoming.header_str(header)?;
    let token = value.strip_prefix("Bearer ").unwrap_or(value);
    let claims = Encoding::Base64Url.decode(token.split('.').nth(1)?.as_bytes())?;
    let text = json::find_text(&claims, pointer)?;
    Some(Cow::Owned(text.into_owned().into_bytes()))
}

fn xml_in<'a>(form: Option<&str>, element: &str, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let Some(name) = form else { return xml(body, element).map(Cow::Borrowed) };
    let text: String =
        String::from_utf8(form::value(body, name)?).ok()?.split_whitespace().collect();
    let document = Encoding::Base64.decode(text.as_bytes())?;
    xml(&document, element).map(|found| Cow::Owned(found.to_vec()))
}

/// The text between the first `<element>` and the next `<`. No entity is resolved and nothing nests.
fn xml<'a>(document: &'a [u8], element: &str) -> Option<&'a [u8]> {
    let open = [b"<", element.as_bytes(), b">"].concat();
    let at = memchr::memmem::find(document, &open)? + open.len();
    let rest = document.get(at..)?;
    rest.get(..memchr::memchr(b'<', rest)?)
}
