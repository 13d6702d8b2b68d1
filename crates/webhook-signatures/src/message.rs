//! Putting the signed message together out of its pieces, exactly as the sender did.

use crate::encoding::Encoding;
use crate::hash::{self, Hash};
use crate::incoming::Incoming;
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scheme::{Field, Piece, Repeats, UrlForms};
use crate::{field, form, json, multipart};
use std::borrow::Cow;

/// The message's parts, one after the other.
pub(crate) type Parts<'a> = Vec<Cow<'a, [u8]>>;

/// All that a message is made of.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) message: &'a [Piece],
    /// What [`Piece::Id`] stands for.
    pub(crate) id: Option<&'a Field>,
    /// The query parameter that may hold the body's hash.
    pub(crate) body_hash_query: Option<&'a str>,
    pub(crate) incoming: &'a Incoming<'a>,
    /// The body, or the element of it whose signature is checked.
    pub(crate) body: &'a [u8],
    /// The raw values of the pieces that have a [`pointer`], in order, where they were looked up already.
    pub(crate) values: Option<&'a [Option<&'a [u8]>]>,
    /// The spelling of the URL that is tried.
    pub(crate) url: &'a str,
    /// The timestamp as sent.
    pub(crate) stamp: Option<&'a [u8]>,
    /// The list of header names as sent beside the signature.
    pub(crate) names: Option<&'a [u8]>,
    /// The secret's text.
    pub(crate) secret: &'a str,
}

/// The parts of the signed message.
pub(crate) fn parts<'a>(source: Source<'a>) -> Result<Parts<'a>, Refusal> {
    let Some(values) = source.values else {
        return source.message.iter().map(|piece| part(piece, source)).collect();
    };
    let mut values = values.iter();
    let mut parts = Vec::with_capacity(source.message.len());
    for piece in source.message {
        let value = match pointer(piece) {
            Some(_) => values.next().copied().flatten().and_then(json::text).map(field::bytes),
            None => Some(part(piece, source)?),
        };
        parts.push(value.unwrap_or_default());
    }
    Ok(parts)
}

/// Where a piece stands in a JSON body.
pub(crate) fn pointer(piece: &Piece) -> Option<&str> {
    if let Piece::Field(Field::Json(pointer)) = piece { Some(pointer) } else { None }
}

fn part<'a>(piece: &'a Piece, source: Source<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
    let Source { incoming, body, .. } = source;
    let owned = |text: String| Cow::Owned(text.into_bytes());
    Ok(match piece {
        Piece::Text(text) => Cow::Borrowed(text.as_bytes()),
        Piece::Body => Cow::Borrowed(body),
        Piece::Timestamp => {
            Cow::Borrowed(source.stamp.ok_or(Refusal::Missing("the timestamp".into()))?)
        }
        Piece::Id => id(source)?,
        Piece::Method => Cow::Borrowed(incoming.method.as_bytes()),
        Piece::Url => Cow::Borrowed(source.url.as_bytes()),
        Piece::Path => Cow::Borrowed(path(source.url).as_bytes()),
        Piece::PathEscaped => owned(path_escaped(path(source.url))),
        Piece::Header(name) => Cow::Borrowed(one_header(incoming, name)?),
        Piece::Field(wanted) => once(wanted, source)?.unwrap_or_default(),
        Piece::Setting(name) => {
            let value =
                source.provider.setting(name).ok_or_else(|| Refusal::NotSet(name.clone()))?;
            Cow::Borrowed(value.as_bytes())
        }
        Piece::Secret => Cow::Borrowed(source.secret.as_bytes()),
        Piece::BodySha256 => owned(Encoding::Hex.encode(&Hash::Sha256.of(body))),
        Piece::BodyCrc32 => owned(hash::crc32(body).to_string()),
        Piece::BodyQuoted => owned(body_quoted(body)?),
        Piece::Names => Cow::Borrowed(source.names.unwrap_or_default()),
        Piece::BodyBase64Url => owned(Encoding::Base64Url.encode(body)),
        Piece::SortedForm(repeats) => Cow::Owned(sorted_form(source, *repeats)?),
        Piece::NamedHeaders => Cow::Owned(named_headers(source)?),
        Piece::ListedHeaders { list, with } => Cow::Owned(listed_headers(incoming, [list, with])?),
        Piece::Sns => Cow::Owned(sns(body)?),
    })
}

/// A signed field. It must not be there twice: sender and receiver could mean different ones. (A JSON body has been looked
/// through for that.)
fn once<'a>(wanted: &Field, source: Source<'a>) -> Result<Option<Cow<'a, [u8]>>, Refusal> {
    let Source { incoming, body, .. } = source;
    let repeated = match wanted {
        Field::Header(name) => incoming.values(name).nth(1).is_some(),
        Field::Part(name) => {
            incoming.boundary().is_some_and(|boundary| multipart::is_repeated(body, boundary, name))
        }
        Field::Form(name) | Field::FormJson(name, _) => form::is_repeated(body, name),
        Field::Query(name) => form::is_repeated(form::query(incoming.url).as_bytes(), name),
        Field::Body
        | Field::Json(_)
        | Field::Claim { .. }
        | Field::BodyClaim(_)
        | Field::Xml { .. }
        | Field::FirstKey { .. }
        | Field::First(_)
        | Field::Joined { .. }
        | Field::Fixed(_) => false,
    };
    if repeated {
        return Err(Refusal::Repeated(wanted.shown()));
    }
    Ok(field::read(wanted, incoming, body))
}

/// A body that is no text has no such string: replacing what is not UTF-8 would let several bodies share a signature.
fn body_quoted(body: &[u8]) -> Result<String, Refusal> {
    let text = std::str::from_utf8(body);
    let bad = |_| Refusal::Malformed {
        what: "the body".into(),
        why: "it is not UTF-8, and its text is what is signed",
    };
    text.map(json::quote_plainly).map_err(bad)
}

fn id<'a>(source: Source<'a>) -> Result<Cow<'a, [u8]>, Refusal> {
    let missing = || Refusal::Missing("the message id".into());
    let wanted = source.id.ok_or_else(missing)?;
    let id = match wanted.as_header() {
        Some(name) => Cow::Borrowed(one_header(source.incoming, name)?),
        None => field::read(wanted, source.incoming, source.body).ok_or_else(missing)?,
    };
    if id.is_empty() { Err(missing()) } else { Ok(id) }
}

/// A signed header must be there exactly once: with two, sender and receiver could mean different ones.
pub(crate) fn one_header<'a>(incoming: &Incoming<'a>, name: &str) -> Result<&'a [u8], Refusal> {
    let shown = || Cow::Owned(format!("the header {name}"));
    let mut values = incoming.values(name);
    let first = values.next().ok_or_else(|| Refusal::Missing(shown()))?;
    if values.next().is_some() { Err(Refusal::Repeated(shown())) } else { Ok(first) }
}

/// Path and query of a URL, without its fragment.
pub(crate) fn path(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    let path = after.find(['/', '?']).and_then(|at| after.get(at..)).unwrap_or("/");
    path.split('#').next().unwrap_or(path)
}

fn sorted_form(source: Source<'_>, repeats: Repeats) -> Result<Vec<u8>, Refusal> {
    if !source.incoming.is_form() {
        // An unsigned body must not ride on a signed URL: without its hash in the URL it has to be empty.
        let hashed =
            source.body_hash_query.is_some_and(|name| source.incoming.query(name).is_some());
        if hashed || source.body.is_empty() {
            return Ok(Vec::new());
        }
        return Err(Refusal::Malformed {
            what: "the body".into(),
            why: "it is no urlencoded form, so it was not signed",
        });
    }
    let mut pairs = form::borrowed(source.body, form::PAIRS_MAX + 1);
    if pairs.len() > form::PAIRS_MAX {
        return Err(Refusal::Malformed {
            what: "the body".into(),
            why: "the form has more than 1000 fields",
        });
    }
    pairs.sort_unstable();
    if repeats == Repeats::Once {
        pairs.dedup();
    }
    let mut whole = Vec::with_capacity(source.body.len());
    for (name, value) in pairs {
        whole.extend_from_slice(&name);
        whole.extend_from_slice(&value);
    }
    Ok(whole)
}

/// `encodeURI(pathname + "?" + querystring.escape(search))` of JavaScript.
fn path_escaped(path: &str) -> String {
    let mut parts = path.split('?');
    let (pathname, search) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut whole = form::escape(pathname, b"-_.!~*'();,/?:@&=+$#");
    if !search.is_empty() {
        whole.push('?');
        whole.push_str(&form::escape(search, b"-_.!~*'()").replace('%', "%25"));
    }
    whole
}

/// How many headers a request may name as signed.
const NAMES_MAX: usize = 50;

fn named_headers(source: Source<'_>) -> Result<Vec<u8>, Refusal> {
    let names = source.names.ok_or(Refusal::Missing("the list of signed headers".into()))?;
    let text = names_text(names)?;
    let mut whole = names.to_vec();
    for name in text.split(' ').filter(|name| !name.is_empty()).take(NAMES_MAX) {
        whole.push(b'.');
        whole.extend_from_slice(one_header(source.incoming, name)?);
    }
    Ok(whole)
}

fn names_text(names: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(names).map_err(|_| Refusal::Malformed {
        what: "the list of signed headers".into(),
        why: "it is not text",
    })
}

/// The list and the time must be in the list: else who has one signed request could put all that it signed into the value of
/// the first header in it, with a new time beside that.
fn listed_headers(incoming: &Incoming<'_>, must: [&str; 2]) -> Result<Vec<u8>, Refusal> {
    let [list, _] = must;
    let names = names_text(one_header(incoming, list)?)?.to_ascii_lowercase();
    let names: Vec<&str> =
        names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.len() > NAMES_MAX || !must.into_iter().all(|name| names.contains(&name)) {
        return Err(Refusal::Malformed {
            what: "the list of signed headers".into(),
            why: "the list itself or the time is not in it, or there are more than 50 names",
        });
    }
    let mut pairs = Vec::with_capacity(names.len());
    for name in names {
        pairs.push((name, one_header(incoming, name)?.trim_ascii()));
    }
    pairs.sort_unstable();
    let pairs: Vec<_> =
        pairs.into_iter().map(|(name, value)| [name.as_bytes(), b":", value].concat()).collect();
    Ok(pairs.join(&b';'))
}

/// `Key\nValue\n` for each key that the message's type signs, in this order
/// (docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html).
fn sns(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let kind = json::find_text(body, "/Type").unwrap_or_default();
    let keys: &[&str] = match kind.as_ref() {
        "Notification" => &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"],
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
            &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        }
        _ => {
            return Err(Refusal::Malformed {
                what: "the message's Type".into(),
                why: "it is none of Amazon SNS's",
            });
        }
    };
    let mut whole = Vec::new();
    for key in keys {
        match json::find_text(body, &format!("/{key}")) {
            Some(value) => whole.extend_from_slice(format!("{key}\n{value}\n").as_bytes()),
            None if *key == "Subject" => {}
            None => return Err(Refusal::Missing(Cow::Owned(format!("the field {key}")))),
        }
    }
    Ok(whole)
}

/// The spellings of a URL under which a sender may have signed it; another than its own is made only when it is asked for.
pub(crate) fn urls(url: &str, forms: UrlForms) -> impl Iterator<Item = Cow<'_, str>> {
    let other = move || match forms {
        UrlForms::AsIs => None,
        UrlForms::Ports => other_port(url),
        UrlForms::Decoded => Some(hubspot_decoded(url)),
    };
    let others = std::iter::once_with(other).flatten().filter(move |other| other != url);
    std::iter::once(Cow::Borrowed(url)).chain(others.map(Cow::Owned))
}

/// Without its port where it has one, else with the scheme's default one: as Twilio's own libraries try.
fn other_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let default = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let bare = host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map(|(bare, _)| bare);
    Some(match bare {
        Some(bare) => format!("{scheme}://{bare}{path}"),
        None => format!("{scheme}://{host}{default}{path}"),
    })
}

/// The characters that HubSpot's v3 description decodes before signing.
fn hubspot_decoded(url: &str) -> String {
    let table = [
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    table.iter().fold(url.to_owned(), |url, (code, plain)| url.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        let other = |url| other_port(url).unwrap_or_default();
        assert_eq!(other("https://a.b/c?d"), "https://a.b:443/c?d");
        assert_eq!(other("https://a.b:443?d"), "https://a.b?d");
        assert_eq!(other("http://a.b:1234/"), "http://a.b/");
        assert_eq!(other("ftp://a.b/"), "");
        assert_eq!(other("https://[::1]/"), "https://[::1]:443/");
        assert_eq!(other("https://[::1]:8443/"), "https://[::1]/");
        assert_eq!(path("https://a.b/c?d=1#e"), "/c?d=1");
        assert_eq!(path("https://a.b"), "/");
    }
}
