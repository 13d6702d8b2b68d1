//! Where in a source's requests credentials stand that the source itself checks: a shared secret is sent as it is, so
//! whoever reads a request could act in the provider's name. For views of people who must not.

use crate::directory::{Directory, ReadySource};
use crate::event::Origin;
use crate::secret::SecretText;
use std::borrow::Cow;
use webhook_signatures::{Field, Scheme, Token};

/// A secret that is shorter than this could stand anywhere by chance, so it is looked for in its own place only.
const TELLING: usize = 8;

/// Where the credentials in a request stand, besides the headers and parameters whose names tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// At these places, and wherever the text of a secret stands.
    At(Places),
    /// Nobody knows: the source is gone, or its settings cannot be used.
    Anywhere,
}

/// Places in a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    headers: Vec<String>,
    parameters: Vec<String>,
    body: bool,
    secrets: Vec<SecretText>,
}

impl Credentials {
    /// None but those whose names tell it: of responses, and of events that were published.
    pub const NONE: Self = Self::At(Places {
        headers: Vec::new(),
        parameters: Vec::new(),
        body: false,
        secrets: Vec::new(),
    });

    /// Those in the requests of this origin, as its source is set up now.
    #[must_use]
    pub fn of(origin: Origin, directory: &Directory) -> Self {
        match origin.source() {
            None => Self::NONE,
            Some(id) => {
                directory.source(id).map_or(Self::Anywhere, |ready| Self::for_source(ready))
            }
        }
    }

    /// Those in the requests of a source.
    #[must_use]
    pub fn for_source(ready: &ReadySource) -> Self {
        let Ok(verifier) = ready.verifier() else { return Self::Anywhere };
        let mut places = Places::default();
        for scheme in &verifier.provider().schemes {
            places.add_scheme(scheme);
        }
        let secrets = ready.source().verification.secrets.iter();
        places.secrets = secrets.filter(|s| s.reveal().len() >= TELLING).cloned().collect();
        Self::At(places)
    }

    /// Those in either's requests.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (Self::At(mut one), Self::At(two)) = (self, other) else { return Self::Anywhere };
        one.headers.extend(two.headers);
        one.parameters.extend(two.parameters);
        one.secrets.extend(two.secrets);
        one.body |= two.body;
        Self::At(one)
    }

    /// Whether the header's value is one.
    #[must_use]
    pub fn in_header(&self, name: &str, value: &[u8]) -> bool {
        match self {
            Self::Anywhere => true,
            Self::At(places) => {
                places.headers.iter().any(|header| header.eq_ignore_ascii_case(name))
                    || places.secret_in(value)
            }
        }
    }

    /// Whether the value of the query's parameter is one; both as they stand in the query.
    #[must_use]
    pub fn in_parameter(&self, name: &str, value: &str) -> bool {
        match self {
            Self::Anywhere => true,
            Self::At(places) => {
                let name = unescaped(name);
                places.parameters.iter().any(|parameter| *parameter == name)
                    || places.secret_in(unescaped(value).as_bytes())
            }
        }
    }

    /// Whether one stands, or may stand, in the body.
    #[must_use]
    pub fn in_body(&self, body: &[u8]) -> bool {
        match self {
            Self::Anywhere => true,
            Self::At(places) => places.body || places.secret_in(body),
        }
    }
}

impl Places {
    fn add_scheme(&mut self, scheme: &Scheme) {
        match scheme {
            Scheme::Token(token) => self.add_token(token),
            Scheme::Basic => self.headers.push("authorization".to_owned()),
            Scheme::Jwt(jwt) => self.add_field(&jwt.at),
            // A signature is none: it holds for one message only, and its usual names are hidden anyway.
            Scheme::None | Scheme::Signed(_) | Scheme::HttpSignature(_) | _ => {}
        }
    }

    fn add_token(&mut self, token: &Token) {
        match token {
            Token::Header(name) => self.headers.push(name.to_string()),
            Token::Bearer => self.headers.push("authorization".to_owned()),
            Token::Query(name) => self.parameters.push(name.to_string()),
            Token::Field(field) => self.add_field(field),
            Token::Each { .. } => self.body = true,
            Token::AnyOf(tokens) => tokens.iter().for_each(|token| self.add_token(token)),
        }
    }

    fn add_field(&mut self, field: &Field) {
        match field {
            Field::Header(name) | Field::Claim { header: name, .. } => {
                self.headers.push(name.to_string());
            }
            Field::Query(name) => self.parameters.push(name.to_string()),
            Field::First(fields) | Field::Joined { fields, .. } => {
                fields.iter().for_each(|field| self.add_field(field));
            }
            Field::Fixed(_) => {}
            Field::Body
            | Field::Json(_)
            | Field::Form(_)
            | Field::Part(_)
            | Field::FormJson(..)
            | Field::BodyClaim(_)
            | Field::Xml { .. }
            | Field::FirstKey { .. } => self.body = true,
        }
    }

    fn secret_in(&self, bytes: &[u8]) -> bool {
        self.secrets.iter().any(|secret| contains(bytes, secret.reveal().as_bytes()))
    }
}

/// Whether the needle stands in the hay; looks closer only where its first byte does.
fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len().max(1)).any(|window| window == needle)
}

/// A name or value of a query, as the verifier reads it (`application/x-www-form-urlencoded`).
fn unescaped(text: &str) -> Cow<'_, str> {
    let pair = url::form_urlencoded::parse(text.as_bytes()).next();
    if text.contains(['%', '+']) {
        pair.map_or(Cow::Borrowed(text), |(name, _)| name)
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Verification;
    use crate::verifier::Verifier;

    fn places(provider: &str, options: &[(&str, &str)]) -> Places {
        let of = Verification {
            provider: provider.to_owned(),
            options: options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            secrets: vec![SecretText::parse("user:password").unwrap()],
            public_url: None,
        };
        let mut places = Places::default();
        let verifier = Verifier::new(&of).unwrap();
        verifier.provider().schemes.iter().for_each(|scheme| places.add_scheme(scheme));
        places
    }

    fn at(provider: &str, options: &[(&str, &str)]) -> Credentials {
        Credentials::At(places(provider, options))
    }

    #[test]
    fn they_stand_where_the_verifier_looks() {
        assert!(at("token", &[("header", "X-Tok")]).in_header("x-tok", b"a"));
        assert!(!at("token", &[("header", "X-Tok")]).in_header("x-other", b"a"));
        assert!(at("query-token", &[("parameter", "t")]).in_parameter("t", "a"));
        assert!(at("query-token", &[("parameter", "t")]).in_parameter("%74", "a"));
        assert!(!at("query-token", &[("parameter", "t")]).in_parameter("u", "a"));
        assert!(at("token", &[("pointer", "/key")]).in_body(b"{}"));
        assert!(!at("token", &[]).in_body(b"{}"));
        assert!(at("basic", &[]).in_header("Authorization", b"a"));
        assert!(at("azure-event-grid", &[]).in_parameter("code", "a"));
        assert!(at("azure-event-grid", &[]).in_header("aeg-sas-key", b"a"));
        assert!(at("microsoft-graph", &[]).in_body(b"{}"));
        assert_eq!(places("github", &[]), Places::default());
    }

    #[test]
    fn the_text_of_a_secret_is_one_wherever_it_stands() {
        let secrets = vec![SecretText::parse("long enough").unwrap()];
        let known = Credentials::At(Places { secrets, ..Places::default() });
        assert!(known.in_header("x", b"a long enough b") && known.in_body(b"long enough"));
        assert!(known.in_parameter("a", "long+enough") && known.in_parameter("a", "long%20enough"));
        assert!(
            !known.in_header("x", b"long") && !known.in_body(b"") && !known.in_parameter("a", "b")
        );
    }

    #[test]
    fn where_nobody_knows_they_may_be_anywhere() {
        let gone = Credentials::Anywhere.and(Credentials::NONE);
        assert!(gone.in_header("x", b"") && gone.in_parameter("x", "") && gone.in_body(b""));
        let both = at("token", &[("header", "a")]).and(at("token", &[("pointer", "/b")]));
        assert!(both.in_header("a", b"") && both.in_body(b""));
        assert!(!Credentials::NONE.in_body(b"x"));
    }
}
