//! Reading a [`Field`] out of a request.

use crate::encoding::Encoding;
use crate::form;
use crate::incoming::Incoming;
use crate::json::{self, Known};
use crate::scheme::Field;
use std::borrow::Cow;

/// What these fields read of a JSON body, where that is several values: they are looked up together.
pub(crate) fn known<'a, 'p>(fields: &[Option<&'p Field>], body: &'a [u8]) -> Known<'a, 'p> {
    let mut pointers = Vec::new();
    fields.iter().flatten().for_each(|field| collect(field, &mut pointers));
    if pointers.len() < 2 { Known::default() } else { Known::of(pointers, body) }
}

fn collect<'p>(field: &'p Field, pointers: &mut Vec<&'p str>) {
    if let Field::Json(pointer) = field {
        if !pointers.contains(&pointer.as_ref()) {
            pointers.push(pointer);
        }
    } else if let Field::First(fields) | Field::Joined { fields, .. } = field
        // Behind a header that is there nothing else of it is looked at.
        && matches!(fields.first(), Some(Field::Json(_)))
    {
        fields.iter().for_each(|field| collect(field, pointers));
    }
}

/// The field's bytes; `None` where it is missing. `body` is the request's body, or one element of it.
pub(crate) fn read<'a>(
    field: &Field,
    incoming: &Incoming<'a>,
    body: &'a [u8],
) -> Option<Cow<'a, [u8]>> {
    read_knowing(field, incoming, body, &Known::default())
}

/// The same, where some of it is known.
pub(crate) fn read_knowing<'a>(
    field: &Field,
    incoming: &Incoming<'a>,
    body: &'a [u8],
    known: &Known<'a, '_>,
) -> Option<Cow<'a, [u8]>> {
    match field {
        Field::Header(name) => incoming.header(name).map(Cow::Borrowed),
        Field::Body => Some(Cow::Borrowed(body)),
        Field::Json(pointer) => {
            let raw = known.get(pointer).unwrap_or_else(|| json::find(body, pointer));
            raw.and_then(json::text).map(bytes)
        }
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
        Field::First(fields) => {
            fields.iter().find_map(|field| read_knowing(field, incoming, body, known))
        }
        Field::Joined { fields, with } => {
            joined(fields, with, |field| read_knowing(field, incoming, body, known))
        }
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
    read: impl Fn(&Field) -> Option<Cow<'a, [u8]>>,
) -> Option<Cow<'a, [u8]>> {
    let (first, others) = fields.split_first()?;
    let mut whole = read(first)?;
    for other in others {
        if let Some(part) = read(other) {
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
    let text = form::value(body, name)?;
    let text = text.split(u8::is_ascii_whitespace).collect::<Vec<_>>().concat();
    let document = Encoding::Base64.decode(&text)?;
    xml(&document, element).map(|found| Cow::Owned(found.to_vec()))
}

/// The text between the first `<element>` and the next `<`. No entity is resolved and nothing nests.
fn xml<'a>(document: &'a [u8], element: &str) -> Option<&'a [u8]> {
    let open = [b"<", element.as_bytes(), b">"].concat();
    let at = memchr::memmem::find(document, &open)? + open.len();
    let rest = document.get(at..)?;
    rest.get(..memchr::memchr(b'<', rest)?)
}
