//! The table: one row for each provider, in files by kind. A row is data; what no row can say is a new variant in
//! `scheme`, never code for one provider.
//!
//! A new provider is one entry here and one file in `tests/vectors/`; the crate's README shows how.

#![expect(clippy::too_many_lines, reason = "tables of rows")]

mod basics;
mod chat;
mod commerce;
mod mail;
mod money;
mod office;
mod platforms;
mod services;

use crate::encoding::Encoding;
use crate::hash::Hash;
use crate::provider::Provider;
use crate::scheme::{
    Algorithm, Field, Fields, Jwt, KeyForm, KeySource, Place, Scheme, Stamp, Token, Tolerance,
};
use crate::time::Unit;
use std::sync::LazyLock;

pub use basics::{Generic, generic};

static ALL: LazyLock<Vec<Provider>> = LazyLock::new(|| {
    let groups = [
        basics::rows(),
        platforms::rows(),
        chat::rows(),
        services::rows(),
        office::rows(),
        commerce::rows(),
        money::rows(),
        mail::rows(),
    ];
    groups.into_iter().flatten().collect()
});

/// Every built-in provider, `none` and the generic ones first.
#[must_use]
pub fn all() -> &'static [Provider] {
    &ALL
}

/// The built-in provider of this name.
///
/// ```
/// let github = webhook_signatures::find("github").unwrap();
/// assert_eq!(github.title, "GitHub");
/// ```
#[must_use]
pub fn find(name: &str) -> Option<&'static Provider> {
    ALL.iter().find(|provider| provider.name == name)
}

// Short words for what rows say often.

const SHA1: Algorithm = Algorithm::Hmac(Hash::Sha1);
const SHA256: Algorithm = Algorithm::Hmac(Hash::Sha256);
const SHA512: Algorithm = Algorithm::Hmac(Hash::Sha512);
const FIVE_MINUTES: Tolerance = Tolerance::both(300);

/// HMAC-SHA256 of the raw body in hex.
fn hex(
    name: &'static str,
    title: &'static str,
    header: &'static str,
    prefix: &'static str,
) -> Provider {
    Provider::raw(name, title, SHA256, (header, prefix, Encoding::Hex))
}

/// HMAC-SHA256 of the raw body in base64.
fn base64(
    name: &'static str,
    title: &'static str,
    header: &'static str,
    prefix: &'static str,
) -> Provider {
    Provider::raw(name, title, SHA256, (header, prefix, Encoding::Base64))
}

/// HMAC-SHA1 of the raw body.
fn sha1(
    name: &'static str,
    title: &'static str,
    at: (&'static str, &'static str, Encoding),
) -> Provider {
    Provider::raw(name, title, SHA1, at)
}

/// `t=…,v1=…`: HMAC-SHA256 in hex over `{timestamp}.{body}`.
fn stamped(
    name: &'static str,
    title: &'static str,
    header: &'static str,
    fields: Fields,
) -> Provider {
    let place = Place::fields(header, fields);
    hex(name, title, header, "")
        .signed(|signed| {
            signed.signatures = vec![place.clone()];
            signed.stamp = Some(Stamp { at: None, unit: Unit::Seconds, tolerance: FIVE_MINUTES });
        })
        .message("{timestamp}.{body}")
}

/// The ordinary fields of [`stamped`].
fn t_v1() -> Fields {
    Fields::stamped(",", "t", "v1")
}

/// A token in the query, for those who sign nothing.
fn unsigned(name: &'static str, title: &'static str) -> Provider {
    Provider::token(name, title, Token::Query("token".into()))
        .caveat("It signs nothing: put a long random `?token=…` into the URL that you register, which this row checks.")
}

/// A JWT whose claims vouch for the body.
fn jwt(
    name: &'static str,
    title: &'static str,
    at: &'static str,
    jwt: impl FnOnce(&mut Jwt),
) -> Provider {
    Provider::new(name, title, jwt_scheme(at, jwt))
}

fn jwt_scheme(at: &'static str, change: impl FnOnce(&mut Jwt)) -> Scheme {
    let mut scheme = Jwt {
        at: Field::header(at),
        algorithms: vec![SHA256],
        key: KeyForm::Utf8,
        source: KeySource::Given,
        detached: None,
        stamp: None,
        claims: crate::scheme::Claims::default(),
    };
    change(&mut scheme);
    if scheme.algorithms.iter().any(|algorithm| algorithm.is_asymmetric()) {
        scheme.key = KeyForm::Public;
    }
    Scheme::Jwt(Box::new(scheme))
}

fn header(name: &'static str) -> Field {
    Field::header(name)
}

fn json(pointer: &'static str) -> Field {
    Field::json(pointer)
}

/// The fields joined by a dot.
fn dotted(fields: Vec<Field>) -> Field {
    Field::Joined { fields, with: ".".into() }
}
