//! Checking a signature over a message put together out of pieces.

use crate::check::{Check, TWICE, Verified, fits, supported};
use crate::encoding::Encoding;
use crate::field::{self, FirstPart, Seen};
use crate::hash::{Hash, Tag};
use crate::incoming::Incoming;
use crate::json;
use crate::layout::{self, Group, SIGNATURES_MAX};
use crate::message::{self, Parts, Source};
use crate::provider::ASKED_MAX;
use crate::refusal::Refusal;
use crate::scheme::{Algorithm, Field, KeySource, Piece, Place, Signed, Stamp, UrlForms};
use crate::secret::Key;
use crate::survey::{Sought, survey};
use std::borrow::Cow;

/// How many elements of an array may carry a signature of their own.
const ELEMENTS_MAX: usize = 100;

/// The value of a setting that takes whatever a request says.
const ANY: &str = "*";

pub(crate) fn verify<'a>(
    check: Check<'a>,
    signed: &'a Signed,
) -> Result<(Verified, Seen<'a>), Refusal> {
    if signed.source == KeySource::Given && check.keys().next().is_none() {
        return Err(Refusal::NoSecret);
    }
    supported(signed.algorithm)?;
    applies(check, signed)?;
    let pointers = pointers(signed);
    let mut parts = parts(check, signed, &pointers)?;
    if parts.len() > ELEMENTS_MAX {
        return Err(Refusal::Malformed {
            what: "the body".into(),
            why: "it has more than 100 signed items",
        });
    }
    let mut last = Err(Refusal::Missing("the array of signed items".into()));
    for part in &parts {
        last = Ok(one(check, signed, part)?);
    }
    let values = parts.first_mut().and_then(|part| part.values.take());
    let first = values.map(|values| FirstPart { each: signed.each.as_deref(), pointers, values });
    Ok((last?, Seen { signed: first, ..Seen::default() }))
}

/// The places of signatures that stand in JSON and then the pieces that do, where such pieces are signed.
fn pointers(signed: &Signed) -> Vec<&str> {
    if !signed.message.iter().any(Piece::is_in_json) {
        return Vec::new();
    }
    let mut pointers = Vec::with_capacity(signed.signatures.len() + signed.message.len());
    pointers.extend(signed.signatures.iter().filter_map(|place| pointer(&place.at)));
    pointers.extend(signed.message.iter().filter_map(message::pointer));
    pointers
}

/// The body, or each element of it that is signed by itself; with the values that the check needs, where parts of a JSON
/// body are signed.
fn parts<'a>(
    check: Check<'a>,
    signed: &Signed,
    pointers: &[&str],
) -> Result<Vec<Looked<'a>>, Refusal> {
    let body = check.incoming.body;
    if !signed.message.iter().any(Piece::is_in_json) {
        let bare = |text| Looked { text, values: None };
        let Some(array) = &signed.each else { return Ok(vec![bare(body)]) };
        let elements =
            json::find(body, array).and_then(|array| json::elements(array, ELEMENTS_MAX + 1));
        return Ok(elements.unwrap_or_default().into_iter().map(bare).collect());
    }
    let sought = Sought { each: signed.each.as_deref(), pointers, parts_max: ELEMENTS_MAX + 1 };
    let parts = survey(body, sought).ok_or(TWICE)?;
    Ok(parts
        .into_iter()
        .map(|part| Looked { text: part.text, values: Some(part.values) })
        .collect())
}

/// What one check is about: the body or an element of it.
struct Looked<'a> {
    text: &'a [u8],
    /// The raw values of the places of signatures and then of the pieces that stand in JSON.
    values: Option<Vec<Option<&'a [u8]>>>,
}

/// The same, with the values of the pieces only.
#[derive(Clone, Copy)]
struct Body<'a> {
    text: &'a [u8],
    values: Option<&'a [Option<&'a [u8]>]>,
}

fn pointer(field: &Field) -> Option<&str> {
    if let Field::Json(pointer) = field { Some(pointer) } else { None }
}

fn applies(check: Check<'_>, signed: &Signed) -> Result<(), Refusal> {
    if let Some((wanted, value)) = &signed.when
        && field::read(wanted, check.incoming, check.incoming.body).as_deref()
            != Some(value.as_bytes())
    {
        return Err(Refusal::DoesNotApply(Cow::Owned(format!(
            "it is for requests that say {value:?}"
        ))));
    }
    if let Some((wanted, setting)) = &signed.only {
        let value = check.provider.setting(setting);
        let value = value.ok_or_else(|| Refusal::NotSet(setting.clone()))?;
        let found = field::read(wanted, check.incoming, check.incoming.body);
        if value != ANY && found.as_deref() != Some(value.as_bytes()) {
            return Err(Refusal::NotOurs(wanted.shown()));
        }
    }
    if let Some(name) = &signed.body_hash_query
        && let Some(wanted) = check.incoming.query(name)
    {
        let wanted = Encoding::Hex.decode(&wanted).unwrap_or_default();
        if !Hash::Sha256.tag(&[check.incoming.body]).is(&wanted) {
            return Err(Refusal::BodyHash);
        }
    }
    Ok(())
}

/// The check of the body, or of one element of it.
fn one<'a>(check: Check<'a>, signed: &'a Signed, looked: &Looked<'a>) -> Result<Verified, Refusal> {
    let places = signed.signatures.iter().filter(|place| pointer(&place.at).is_some()).count();
    let values = looked.values.as_ref().and_then(|values| values.split_at_checked(places));
    let body = Body { text: looked.text, values: values.map(|(_, pieces)| pieces) };
    let known = values.map(|(places, _)| places);
    let texts = signature_texts(&signed.signatures, check.incoming, looked.text, known)?;
    let mut furthest: Option<Refusal> = None;
    let mut compared = 0;
    for group in texts.iter().flat_map(|(place, text)| layout::split(&place.layout, text)) {
        if compared >= SIGNATURES_MAX {
            break;
        }
        compared += group.signatures.len();
        match one_group(check, signed, body, &group) {
            Ok(verified) => return Ok(verified),
            Err(refusal) => furthest = Some(refusal.or_further(furthest)),
        }
    }
    let why = "it is not in the form expected";
    Err(furthest.unwrap_or(Refusal::Malformed { what: "the signature".into(), why }))
}

fn one_group<'a>(
    check: Check<'a>,
    signed: &'a Signed,
    body: Body<'a>,
    group: &Group<'_>,
) -> Result<Verified, Refusal> {
    let length = signed.algorithm;
    let signatures: Vec<_> = group
        .signatures
        .iter()
        .filter_map(|text| signed.encoding.decode(text))
        .filter(|s| fits(length, s))
        .collect();
    if signatures.is_empty() {
        let why = "it is not in the encoding expected, or has another length";
        return Err(Refusal::Malformed { what: "the signature".into(), why });
    }
    let stamp = match &signed.stamp {
        Some(stamp) => Some(stamp_text(stamp, group, check.incoming, body.text)?),
        None => None,
    };
    let uses_url = signed
        .message
        .iter()
        .any(|piece| matches!(piece, Piece::Url | Piece::Path | Piece::PathEscaped));
    let forms = if uses_url { signed.url } else { UrlForms::AsIs };
    let keys = check.keys_from(&signed.source, body.text, None)?;
    for (at, secret, key) in &keys {
        for url in message::urls(check.incoming.url, forms) {
            let source = Source {
                provider: check.provider,
                message: &signed.message,
                id: signed.id.as_ref(),
                body_hash_query: signed.body_hash_query.as_deref(),
                incoming: check.incoming,
                body: body.text,
                values: body.values,
                url: &url,
                stamp: stamp.as_deref(),
                names: group.names,
                secret: secret.expose(),
            };
            let parts = message::parts(source)?;
            if matches(signed.algorithm, key, &parts, &signatures) {
                proves(check, &parts)?;
                let stamp_ms = check.fresh(signed.stamp.as_ref(), stamp.as_deref())?;
                return check.passed(*at, stamp_ms);
            }
        }
    }
    Err(Refusal::NoMatch { signatures: signatures.len(), secrets: keys.len() })
}

/// A right signature proves nothing where a handshake makes the same one for anybody.
fn proves(check: Check<'_>, parts: &Parts<'_>) -> Result<(), Refusal> {
    let challenges = &check.provider.challenges;
    let is_short = parts.iter().map(|part| part.len()).sum::<usize>() <= ASKED_MAX;
    if is_short && challenges.iter().any(|challenge| challenge.signs(&parts.concat())) {
        return Err(Refusal::HandshakeToken);
    }
    Ok(())
}

fn matches(algorithm: Algorithm, key: &Key, parts: &Parts<'_>, signatures: &[Vec<u8>]) -> bool {
    let slices: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
    match (algorithm, key) {
        (Algorithm::Hmac(hash), key) => {
            key.hmac(hash).is_some_and(|key| is_one_of(&key.tag(&slices), signatures))
        }
        (Algorithm::Digest(hash), Key::Text) => is_one_of(&hash.tag(&slices), signatures),
        (algorithm, Key::Asymmetric(keys)) if algorithm.is_asymmetric() => {
            let message = slices.concat();
            signatures.iter().any(|signature| {
                keys.candidates(None).any(|key| key.verifies(algorithm, &message, signature))
            })
        }
        _ => false,
    }
}

/// No early end: how many were compared tells nothing.
fn is_one_of(tag: &Tag, signatures: &[Vec<u8>]) -> bool {
    signatures.iter().fold(false, |found, signature| found | tag.is(signature))
}

/// The texts in which signatures may stand, each with its place.
type Texts<'a> = Vec<(&'a Place, Cow<'a, [u8]>)>;

fn signature_texts<'a>(
    places: &'a [Place],
    incoming: &Incoming<'a>,
    body: &'a [u8],
    known: Option<&[Option<&'a [u8]>]>,
) -> Result<Texts<'a>, Refusal> {
    let mut known = known.map(<[_]>::iter);
    let mut texts = Vec::new();
    for place in places {
        if let Some(name) = place.at.as_header() {
            let values = incoming.values(name).take(SIGNATURES_MAX);
            texts.extend(values.map(|value| (place, Cow::Borrowed(value.trim_ascii()))));
        } else if let (Some(known), Some(_)) = (&mut known, pointer(&place.at)) {
            let value = known.next().copied().flatten().and_then(json::text);
            texts.extend(value.map(|text| (place, field::bytes(text))));
        } else {
            texts.extend(field::read(&place.at, incoming, body).map(|text| (place, text)));
        }
    }
    if texts.is_empty() {
        let name = places.first().map_or(Cow::Borrowed("the signature"), |place| place.at.shown());
        return Err(Refusal::Missing(name));
    }
    Ok(texts)
}

fn stamp_text<'a>(
    stamp: &Stamp,
    group: &Group<'a>,
    incoming: &Incoming<'a>,
    body: &'a [u8],
) -> Result<Cow<'a, [u8]>, Refusal> {
    let Some(at) = &stamp.at else {
        return group
            .stamp
            .map(Cow::Borrowed)
            .ok_or(Refusal::Missing("the timestamp beside the signature".into()));
    };
    match at.as_header() {
        Some(name) => message::one_header(incoming, name).map(Cow::Borrowed),
        None => field::read(at, incoming, body).ok_or_else(|| Refusal::Missing(at.shown())),
    }
}
