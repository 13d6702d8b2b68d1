//! A request while it is being signed: what has been added and changed so far.

use crate::incoming::{Headers, Incoming};
use crate::scheme::{Field, Text};
use crate::sign::{SignError, Signature, ToSign};
use crate::{form, json};
use std::borrow::Cow;

pub(super) struct Draft<'a> {
    given: &'a dyn Headers,
    method: &'a str,
    pub(super) id: &'a str,
    pub(super) now: i64,
    pub(super) added: Vec<(Text, String)>,
    /// Whether something of what was added stands in the place of something given.
    replaces: bool,
    pub(super) url: Cow<'a, str>,
    pub(super) body: Cow<'a, [u8]>,
}

impl Headers for Draft<'_> {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        if let Some((name, value)) = self.added.get(index) {
            return Some((name, value.as_bytes()));
        }
        if !self.replaces {
            return self.given.at(index - self.added.len());
        }
        // What was added stands in the place of what was given.
        let replaced =
            |name: &str| self.added.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let given = (0..).map_while(|at| self.given.at(at));
        given.filter(|(name, _)| !replaced(name)).nth(index - self.added.len())
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(request: &ToSign<'a>) -> Self {
        Self {
            given: request.headers,
            method: request.method,
            id: request.id,
            now: request.now,
            added: Vec::new(),
            replaces: false,
            url: Cow::Borrowed(request.url),
            body: Cow::Borrowed(request.body),
        }
    }

    pub(super) fn incoming(&self) -> Incoming<'_> {
        Incoming { method: self.method, url: &self.url, headers: self, body: &self.body }
    }

    pub(super) fn done(self) -> Signature {
        let url = if let Cow::Owned(url) = self.url { Some(url) } else { None };
        let body = if let Cow::Owned(body) = self.body { Some(body) } else { None };
        Signature { headers: self.added, url, body }
    }

    pub(super) fn set_header(&mut self, name: impl Into<Text>, value: String) {
        let name = name.into();
        self.added.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        let mut given = (0..).map_while(|at| self.given.at(at));
        self.replaces |= given.any(|(other, _)| other.eq_ignore_ascii_case(&name));
        self.added.push((name, value));
    }

    pub(super) fn add_query(&mut self, name: &str, value: &str) {
        let mark = if self.url.contains('?') { '&' } else { '?' };
        let pair =
            format!("{mark}{}={}", form::encode(name.as_bytes()), form::encode(value.as_bytes()));
        self.url.to_mut().push_str(&pair);
    }

    /// Writes `value` where `field` says. A field of JSON must have its object there.
    pub(super) fn set(&mut self, field: &Field, value: &str) -> Result<(), SignError> {
        match field {
            Field::Header(name) => self.set_header(name.clone(), value.to_owned()),
            Field::Query(name) => self.add_query(name, value),
            Field::Json(pointer) => {
                // What was a number stays one.
                let number = json::find(&self.body, pointer)
                    .is_some_and(|raw| raw.first() != Some(&b'"'))
                    && crate::time::digits(value.as_bytes()).is_some();
                let raw = if number { value.to_owned() } else { json::quote(value) };
                let changed =
                    json::set(&self.body, pointer, raw.as_bytes()).ok_or(SignError::Body)?;
                self.body = Cow::Owned(changed);
            }
            Field::Form(name) => {
                // More are not looked at when it is checked.
                let pairs = form::pairs(&self.body, form::PAIRS_MAX);
                if pairs.len() == form::PAIRS_MAX {
                    return Err(SignError::Body);
                }
                let mut kept: Vec<_> =
                    pairs.into_iter().filter(|(key, _)| key != name.as_bytes()).collect();
                kept.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
                let text = |(key, value): &(Vec<u8>, Vec<u8>)| {
                    format!("{}={}", form::encode(key), form::encode(value))
                };
                self.body =
                    Cow::Owned(kept.iter().map(text).collect::<Vec<_>>().join("&").into_bytes());
            }
            Field::First(fields) => self.set(fields.first().ok_or(SignError::Scheme)?, value)?,
            Field::Body => self.body = Cow::Owned(value.as_bytes().to_vec()),
            // A form with files is not made here.
            Field::Part(_) => return Err(SignError::Body),
            Field::FormJson(..)
            | Field::Claim { .. }
            | Field::BodyClaim(_)
            | Field::Xml { .. }
            | Field::FirstKey { .. }
            | Field::Joined { .. }
            | Field::Fixed(_) => return Err(SignError::Scheme),
        }
        Ok(())
    }
}
