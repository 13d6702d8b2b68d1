//! Reading a [`Field`] out of a request.

use crate::encoding::Encoding;
use crate::form;
use crate::incoming::Incoming;
use crate::json::{self, Known};
use crate::multipart;
use crate::scheme::Field;
use std::borrow::Cow;

/// What of a request was read before, so that it is not read again.
#[derive(Debug, Default)]
pub(crate) struct Seen<'a> {
    /// Values of its JSON body that were found together.
    pub(crate) values: Known<'a, 'a>,
    /// Those of the signed part, or of the first of them.
    pub(crate) signed: Option<FirstPart<'a>>,
    /// The claims of the token that stands there.
    pub(crate) claims: Option<(&'a Field, Vec<u8>)>,
}

/// Values of the body, or of the first element of an array in it.
#[derive(Debug)]
pub(crate) struct FirstPart<'a> {
    /// The array.
    pub(crate) each: Option<&'a str>,
    /// Pointers into the part.
    pub(crate) pointers: Vec<&'a str>,
    /// What is there.
    pub(crate) values: Vec<Option<&'a [u8]>>,
}

impl<'a> FirstPart<'a> {
    /// What is at a pointer into the body; `None` where that was not looked up.
    fn get(&self, pointer: &str) -> Option<Option<&'a [u8]>> {
        let inside = match self.each {
            Some(array) => pointer.strip_prefix(array)?.strip_prefix("/0")?,
            None => pointer,
        };
        let at = self.pointers.iter().position(|known| *known == inside)?;
        self.values.get(at).copied()
    }
}

impl<'a> Seen<'a> {
    /// Looks up what these fields read of a JSON body, where that is several values: they are found in one walk.
    pub(crate) fn look_up(&mut self, fields: &[Option<&'a Field>], body: &'a [u8]) {
        let mut pointers = Vec::new();
        fields.iter().flatten().for_each(|field| collect(field, &mut pointers));
        pointers.retain(|pointer| self.get(pointer).is_none());
        // One alone is found when it is asked for.
        if pointers.len() > 1 {
            self.values = Known::of(pointers, body);
        }
    }

    fn get(&self, pointer: &str) -> Option<Option<&'a [u8]>> {
        let signed = self.signed.as_ref().and_then(|part| part.get(pointer));
        signed.or_else(|| self.values.get(pointer))
    }

    /// The claims of the token that the body is or has in it.
    fn claims_in_body(&self) -> Option<&[u8]> {
        let (at, claims) = self.claims.as_ref()?;
        matches!(at, Field::Body | Field::Json(_)).then_some(claims)
    }

    /// The claims of the token in this header.
    fn claims_in(&self, header: &str) -> Option<&[u8]> {
        let (at, claims) = self.claims.as_ref()?;
        (at.as_header() == Some(header)).then_some(claims)
    }
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
    read_knowing(field, incoming, body, &Seen::default())
}

/// The same, where some of the request was read before.
pub(crate) fn read_knowing<'a>(
    field: &Field,
    incoming: &Incoming<'a>,
    body: &'a [u8],
    seen: &Seen<'a>,
) -> Option<Cow<'a, [u8]>> {
    match field {
        Field::Header(name) => incoming.header(name).map(Cow::Borrowed),
        Field::Body => Some(Cow::Borrowed(body)),
        Field::Json(pointer) => {
            let raw = seen.get(pointer).unwrap_or_else(|| json::find(body, pointer));
            raw.and_then(json::text).map(bytes)
        }
        Field::Form(name) => form::value(body, name).map(Cow::Owned),
        Field::Part(name) => multipart::value(body, incoming.boundary()?, name).map(Cow::Borrowed),
        Field::FormJson(name, pointer) => {
            let value = form::value(body, name)?;
            json::find_text(&value, pointer).map(owned)
        }
        Field::Query(name) => incoming.query(name).map(Cow::Owned),
        Field::Claim { header, pointer } => match seen.claims_in(header) {
            Some(claims) => json::find_text(claims, pointer).map(owned),
            None => claim(incoming, header, pointer),
        },
        Field::BodyClaim(pointer) => {
            let claims = match seen.claims_in_body() {
                Some(claims) => Cow::Borrowed(claims),
                None => Cow::Owned(body_claims(body)?),
            };
            let raw = json::find(&claims, pointer)?;
            let text = json::text(raw).or_else(|| json::keys(raw, 1).pop())?;
            // Apple writes its event as JSON in a string.
            let inside = json::find_text(text.as_bytes(), "/type").map(Cow::into_owned);
            Some(owned(inside.map_or(text, Cow::Owned)))
        }
        Field::Xml { form, element } => xml_in(form.as_deref(), element, body),
        Field::FirstKey { except } => {
            let keys = json::keys(body, 20);
            keys.into_iter().find(|key| !except.iter().any(|other| other == key)).map(bytes)
        }
        Field::First(fields) => {
            fields.iter().find_map(|field| read_knowing(field, incoming, body, seen))
        }
        Field::Joined { fields, with } => {
            joined(fields, with, |field| read_knowing(field, incoming, body, seen))
        }
        Field::Fixed(text) => Some(Cow::Owned(text.as_bytes().to_vec())),
    }
}

/// The claims of the token that the body is, or that its `payload` is where it is JSON. Nothing is verified here.
fn body_claims(body: &[u8]) -> Option<Vec<u8>> {
    let inside = body.trim_ascii().starts_with(b"{").then(|| json::find_text(body, "/payload"));
    let token = inside.as_ref().map_or(Some(body), |text| text.as_deref().map(str::as_bytes))?;
    Encoding::Base64Url.decode(token.split(|byte| *byte == b'.').nth(1)?)
}

pub(crate) fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn owned<'a>(text: Cow<'_, str>) -> Cow<'a, [u8]> {
    Cow::Owned(text.into_owned().into_bytes())
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
    json::find_text(&claims, pointer).map(owned)
}

fn xml_in<'a>(form: Option<&str>, element: &str, body: &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let Some(name) = form else { return xml(body, element).map(Cow::Borrowed) };
    let document = Encoding::Base64.decode(&in_one_line(&form::value(body, name)?))?;
    xml(&document, element).map(|found| Cow::Owned(found.to_vec()))
}

/// Base64 is often broken into lines.
fn in_one_line(text: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(text.len());
    let mut begin = 0;
    for end in memchr::memchr3_iter(b'\n', b'\r', b' ', text).chain([text.len()]) {
        line.extend_from_slice(text.get(begin..end).unwrap_or_default());
        begin = end + 1;
    }
    line
}

/// The text between the first `<element>` and the next `<`. No entity is resolved and nothing nests.
fn xml<'a>(document: &'a [u8], element: &str) -> Option<&'a [u8]> {
    let open = [b"<", element.as_bytes(), b">"].concat();
    let at = memchr::memmem::find(document, &open)? + open.len();
    let rest = document.get(at..)?;
    rest.get(..memchr::memchr(b'<', rest)?)
}
