//! The vocabulary in which a provider's check is written down: plain data, read by `verify`, `sign` and `explain`.
//!
//! A [`Scheme`] says what proves a request. The largest family is [`Signed`]: a signature stands somewhere
//! ([`Place`]), laid out in some way ([`Layout`]), over a message put together from [`Piece`]s, with an [`Algorithm`]
//! that the scheme fixes and the message cannot change. Everything here can be built at run time, so a private
//! provider from a configuration file is the same type as a built-in row.

use crate::encoding::Encoding;
use crate::hash::Hash;
use crate::time::Unit;
use std::borrow::Cow;

/// Text of a row: static in the built-in table, owned in a configured one.
pub type Text = Cow<'static, str>;

/// What proves a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// Nothing: every request passes. Only the provider named `none` has it, so it must be asked for by name.
    None,
    /// A signature over a message: HMAC, plain digest with the secret inside, Ed25519, ECDSA or RSA.
    Signed(Box<Signed>),
    /// A shared secret sent as it is.
    Token(Token),
    /// HTTP Basic; the secret is `user:password`.
    Basic,
    /// A JSON Web Token, or a detached JWS, which vouches for the body.
    Jwt(Box<Jwt>),
    /// HTTP Message Signatures (RFC 9421) with Content-Digest (RFC 9530).
    HttpSignature(Box<HttpSignature>),
}

/// A signature over a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// How the signature is made. Fixed here; nothing in a request changes it.
    pub algorithm: Algorithm,
    /// How the operator's text becomes the key.
    pub key: KeyForm,
    /// Where the key comes from when the operator gave none.
    pub source: KeySource,
    /// Where signatures stand. All places are read and any match passes.
    pub signatures: Vec<Place>,
    /// How a signature is written.
    pub encoding: Encoding,
    /// What is signed.
    pub message: Vec<Piece>,
    /// What [`Piece::Id`] stands for.
    pub id: Option<Field>,
    /// What [`Piece::Timestamp`] stands for, and how old it may be.
    pub stamp: Option<Stamp>,
    /// The scheme applies only to requests in which this field has this value.
    pub when: Option<(Field, Text)>,
    /// This field must have the value of this setting: for keys that sign for many accounts. `*` takes any; without the
    /// setting nothing passes.
    pub only: Option<(Field, Text)>,
    /// The body is JSON with an array at this pointer, and each element carries a signature of its own: pointers of
    /// [`Field::Json`] start at the element. All elements must pass (at most 100, at least one).
    pub each: Option<Text>,
    /// Which spellings of the URL are tried.
    pub url: UrlForms,
    /// A query parameter that must hold the body's SHA-256 in hex; the scheme then applies only where it is present.
    pub body_hash_query: Option<Text>,
}

impl Signed {
    /// A scheme over the raw body, keyed by the secret's UTF-8 bytes, the whole header being the signature.
    #[must_use]
    pub fn raw(algorithm: Algorithm, header: impl Into<Text>, encoding: Encoding) -> Self {
        Self {
            algorithm,
            key: if algorithm.is_asymmetric() { KeyForm::Public } else { KeyForm::Utf8 },
            source: KeySource::Given,
            signatures: vec![Place::whole(header, "")],
            encoding,
            message: vec![Piece::Body],
            id: None,
            stamp: None,
            when: None,
            only: None,
            each: None,
            url: UrlForms::AsIs,
            body_hash_query: None,
        }
    }
}

impl Signed {
    /// Whether the message has a field of the request in it and nothing of the body's content: a random token is signed
    /// in its place (Mailgun).
    pub(crate) fn is_bodyless(&self) -> bool {
        matches!(self.message.as_slice(), [Piece::Timestamp, Piece::Field(_)])
    }
}

/// How a signature is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 2104 with the hash named.
    Hmac(Hash),
    /// The bare hash of a message that has [`Piece::Secret`] in it (HubSpot v1 and v2 only: weak by design).
    Digest(Hash),
    /// RFC 8032.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, the signature in DER.
    EcdsaP256,
    /// ECDSA on P-256 with SHA-256, the signature as 64 bytes `r || s`, as JWS has it.
    EcdsaP256Fixed,
    /// RSA PKCS #1 v1.5 with SHA-1; keys of 1024 to 8192 bits. Only where a provider leaves no choice.
    RsaSha1,
    /// RSA PKCS #1 v1.5 with SHA-256; keys of 2048 to 8192 bits.
    RsaSha256,
    /// RSA PKCS #1 v1.5 with SHA-512; keys of 2048 to 8192 bits.
    RsaSha512,
}

impl Algorithm {
    /// Whether the verifier's key is public.
    #[must_use]
    pub const fn is_asymmetric(self) -> bool {
        !matches!(self, Self::Hmac(_) | Self::Digest(_))
    }
}

/// How the operator's text becomes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// Its UTF-8 bytes, prefixes like `whsec_` included.
    Utf8,
    /// Base64.
    Base64,
    /// Hexadecimal.
    Hex,
    /// Standard Webhooks, symmetric: base64 after an optional `whsec_`. `whsk_` and `whpk_` are refused.
    Standard,
    /// Standard Webhooks, Ed25519: base64 after `whpk_` (public) or `whsk_` (private).
    StandardEd25519,
    /// Base64 after `whsec_`; without that prefix the UTF-8 bytes (as `openai-python` has it).
    StandardOrUtf8,
    /// The SHA-1 digest of the text (Braintree).
    Sha1,
    /// A public key or certificate: PEM, base64 DER (SPKI), a JWK or a JWK set; for Ed25519 also its 32 bytes in hex or
    /// base64. A private key (PKCS #8 PEM) is taken too, and can then sign.
    Public,
}

/// Where a public key comes from when the operator gave none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// From nowhere: the operator gives it.
    Given,
    /// From this address of the provider's.
    Fixed(Text),
    /// From the address in this setting.
    Setting(Text),
    /// From the address that the request names, if the rule finds it to be the provider's own.
    Named {
        /// Where the request names it.
        at: Field,
        /// What the address must be.
        rule: KeyHost,
    },
    /// From Plaid's `/webhook_verification_key/get`, with the account's credentials from the settings.
    Plaid,
}

/// Whose address a request may name for its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHost {
    /// Amazon SNS in the region of the message's topic.
    AwsSns,
    /// PayPal, live or sandbox.
    PayPal,
}

/// A JSON Web Token (RFC 7519), or a JWS with its payload detached (RFC 7515, appendix F).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// Where it stands. `Bearer ` before it is dropped.
    pub at: Field,
    /// The algorithms that pass; what the token names must be among them, and fit the key.
    pub algorithms: Vec<Algorithm>,
    /// How the operator's text becomes the key.
    pub key: KeyForm,
    /// Where the key comes from when the operator gave none.
    pub source: KeySource,
    /// The payload of a detached JWS; the token then has none of its own.
    pub detached: Option<Vec<Piece>>,
    /// A signed time outside the token, for [`Piece::Timestamp`] of a detached payload.
    pub stamp: Option<Stamp>,
    /// What the claims must say.
    pub claims: Claims,
}

/// HTTP Message Signatures (RFC 9421). A body that is not empty must be covered by `content-digest`, and `created` must
/// be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSignature {
    /// The algorithms that pass; a request may name one of them and no other.
    pub algorithms: Vec<Algorithm>,
    /// How the operator's text becomes the key.
    pub key: KeyForm,
    /// Where the key comes from when the operator gave none.
    pub source: KeySource,
    /// Components that must be signed.
    pub covered: Vec<Text>,
    /// How far `created` may be from the clock.
    pub tolerance: Tolerance,
}

/// What a token's claims must say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `iss` must be one of these; empty is any.
    pub issuers: Vec<Text>,
    /// These claims (JSON pointers) must equal these settings.
    pub equal: Vec<(Text, Text)>,
    /// These claims must be `true`.
    pub truths: Vec<Text>,
    /// These claims must be there: an object or a text that is not empty.
    pub present: Vec<Text>,
    /// This claim must be the SHA-256 of the body, written so.
    pub body_hash: Option<(Text, Encoding)>,
    /// The claim of the body's hash may be left out where the body is empty.
    pub body_may_be_empty: bool,
    /// This claim must be the SHA-256 of the public URL in hex.
    pub url_hash: Option<Text>,
    /// Whether there must be an `exp`. Where there is one, and where there is an `nbf`, it is always checked.
    pub expires: bool,
    /// How far `iat` may be from the clock, and that there must be one.
    pub issued: Option<Tolerance>,
}

/// A place where signatures stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The field; of a header all values are read.
    pub at: Field,
    /// How the field's text is laid out.
    pub layout: Layout,
}

impl Place {
    /// A header that is `prefix` and one signature.
    #[must_use]
    pub fn whole(header: impl Into<Text>, prefix: impl Into<Text>) -> Self {
        Self { at: Field::Header(header.into()), layout: Layout::Whole { prefix: prefix.into() } }
    }

    /// A header of parts like `t=1,v1=abc`.
    #[must_use]
    pub fn fields(header: impl Into<Text>, fields: Fields) -> Self {
        Self { at: Field::Header(header.into()), layout: Layout::Fields(fields) }
    }
}

/// How one or several signatures are laid out in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// A prefix, which must be there, and one signature.
    Whole {
        /// For example `sha256=`; may be empty.
        prefix: Text,
    },
    /// Parts of key and value, in any order.
    Fields(Fields),
    /// `timestamp,signature[,signature]` (Recurly).
    Positional,
}

/// Parts of key and value. When the timestamp stands several times, each opens a group of its own (Persona).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// The characters that part the parts; blanks around a part are dropped.
    pub between: Text,
    /// What parts them when they are written.
    pub joint: Text,
    /// What parts key from value within a part.
    pub pair: char,
    /// The key of a signature; `*` is any key, an empty one is a part without a key.
    pub signature: Text,
    /// The key of the timestamp.
    pub stamp: Option<Text>,
    /// The key of a further part: the list of signed headers, parted by blanks, for [`Piece::NamedHeaders`], or what
    /// [`Piece::Names`] takes as it is.
    pub names: Option<Text>,
}

impl Fields {
    /// `t=…,v1=…` with other names.
    #[must_use]
    pub fn stamped(
        between: impl Into<Text>,
        stamp: impl Into<Text>,
        signature: impl Into<Text>,
    ) -> Self {
        let between = between.into();
        Self {
            joint: first(&between),
            between,
            pair: '=',
            signature: signature.into(),
            stamp: Some(stamp.into()),
            names: None,
        }
    }

    /// `v1=…,v1=…`.
    #[must_use]
    pub fn listed(between: impl Into<Text>, pair: char, signature: impl Into<Text>) -> Self {
        let between = between.into();
        Self {
            joint: first(&between),
            between,
            pair,
            signature: signature.into(),
            stamp: None,
            names: None,
        }
    }
}

fn first(between: &Text) -> Text {
    between.chars().next().map_or_else(|| Cow::Borrowed(","), |c| Cow::Owned(c.to_string()))
}

/// A piece of the signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(Text),
    /// The raw body.
    Body,
    /// The timestamp exactly as it was sent.
    Timestamp,
    /// The id exactly as it was sent ([`Signed::id`]).
    Id,
    /// The request's method.
    Method,
    /// The public URL ([`crate::Incoming::url`]) in each spelling of [`Signed::url`].
    Url,
    /// The public URL's path with its query.
    Path,
    /// The public URL's path with its query as Contentful's library writes them: the query escaped whole, then both
    /// percent-encoded, so that an escape is escaped again.
    PathEscaped,
    /// A header's value; it must be there, once.
    Header(Text),
    /// Another field's text; nothing where it is missing.
    Field(Field),
    /// A setting of the provider; it must be set.
    Setting(Text),
    /// The secret itself (HubSpot v1 and v2).
    Secret,
    /// The body's SHA-256 in lower-case hex.
    BodySha256,
    /// The body's CRC-32 as a decimal number (PayPal).
    BodyCrc32,
    /// The body in unpadded base64url (detached JWS).
    BodyBase64Url,
    /// The body as a JSON string with its quotes, as JavaScript writes it (Hygraph).
    BodyQuoted,
    /// What stands under [`Fields::names`], as sent.
    Names,
    /// A urlencoded body's pairs, sorted by name and then value, `name` and `value` one after the other with nothing
    /// between; nothing when the body is no form.
    SortedForm(Repeats),
    /// The names in [`Fields::names`] as sent, a dot, and those headers' values joined by dots (Hook0).
    NamedHeaders,
    /// The headers that a header lists by commas, sorted: `name:value` joined by `;` (Contentful).
    ListedHeaders {
        /// The header with the list. It must be in the list itself.
        list: Text,
        /// What must be in it as well.
        with: Text,
    },
    /// Amazon SNS's canonical form, which depends on the message's `Type`.
    Sns,
}

impl Piece {
    /// Whether this is a part of a JSON body whose other parts are not signed.
    pub(crate) fn is_in_json(&self) -> bool {
        matches!(self, Self::Sns | Self::Field(Field::Json(_)))
    }
}

/// Whether an equal name and value is signed as often as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// As often as it stands.
    Keep,
    /// Once.
    Once,
}

/// Which spellings of the public URL are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlForms {
    /// As it is.
    AsIs,
    /// As it is, and with the scheme's default port added or removed (Twilio).
    Ports,
    /// As it is, and with the characters decoded that HubSpot decodes.
    Decoded,
}

/// A value somewhere in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The first value of a header.
    Header(Text),
    /// The whole body.
    Body,
    /// A JSON pointer into the body.
    Json(Text),
    /// A field of a urlencoded body.
    Form(Text),
    /// A field of a `multipart/form-data` body. For what nothing rests on but itself: applications differ in how they read
    /// such bodies.
    Part(Text),
    /// A JSON pointer into a field of a urlencoded body.
    FormJson(Text, Text),
    /// A parameter of the query.
    Query(Text),
    /// A claim of the JWT in a header.
    Claim {
        /// The header, which may carry `Bearer ` before the token.
        header: Text,
        /// A JSON pointer into the claims.
        pointer: Text,
    },
    /// A claim of the JWT that the body is or has in it (RFC 8935); of an object its first key, and of a text that is JSON
    /// (Apple) its `type`.
    BodyClaim(Text),
    /// The content of the first XML element of this name, in the body or in a base64 form field.
    Xml {
        /// The form field that carries base64 of the document; without one the body is the document.
        form: Option<Text>,
        /// The element, without its prefix.
        element: Text,
    },
    /// The first key of the body's object that is not among these (Telegram).
    FirstKey {
        /// The keys that do not count.
        except: Vec<Text>,
    },
    /// The first of these that is there.
    First(Vec<Self>),
    /// These joined: the first must be there, others are left out where they are missing.
    Joined {
        /// The parts in order.
        fields: Vec<Self>,
        /// What stands between.
        with: Text,
    },
    /// Always this.
    Fixed(Text),
}

impl Field {
    /// A header.
    #[must_use]
    pub fn header(name: impl Into<Text>) -> Self {
        Self::Header(name.into())
    }

    /// The name, where it is a header.
    #[must_use]
    pub fn as_header(&self) -> Option<&str> {
        if let Self::Header(name) = self { Some(name) } else { None }
    }

    /// What it is, for a sentence.
    #[must_use]
    pub fn shown(&self) -> Text {
        match self {
            Self::Header(name) => Cow::Owned(format!("the header {name}")),
            Self::Body => "the body".into(),
            Self::Json(pointer) => Cow::Owned(format!("the body's field {pointer}")),
            Self::Form(name) | Self::FormJson(name, _) => {
                Cow::Owned(format!("the form field {name}"))
            }
            Self::Part(name) => Cow::Owned(format!("the field {name} of a multipart form")),
            Self::Query(name) => Cow::Owned(format!("the query parameter {name}")),
            Self::Claim { pointer, .. } | Self::BodyClaim(pointer) => {
                Cow::Owned(format!("the token's claim {pointer}"))
            }
            Self::Xml { element, .. } => Cow::Owned(format!("the XML element {element}")),
            Self::First(_) | Self::Joined { .. } | Self::FirstKey { .. } | Self::Fixed(_) => {
                "a field of the request".into()
            }
        }
    }

    /// A JSON pointer into the body.
    #[must_use]
    pub fn json(pointer: impl Into<Text>) -> Self {
        Self::Json(pointer.into())
    }
}

/// The signed time of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Where it stands; `None` is beside the signature ([`Fields::stamp`], [`Layout::Positional`]).
    pub at: Option<Field>,
    /// How it is written.
    pub unit: Unit,
    /// How far it may be from the clock.
    pub tolerance: Tolerance,
}

/// How far a signed time may be from the clock; both ends count as inside. `None` is no limit on that side.
///
/// With no limit on one side it must still be a time between the years 2001 and 2286.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// Seconds that it may lie in the past.
    pub past: Option<u32>,
    /// Seconds that it may lie in the future.
    pub future: Option<u32>,
}

impl Tolerance {
    /// No check.
    pub const OFF: Self = Self { past: None, future: None };

    /// The same on both sides; 0 turns the check off.
    #[must_use]
    pub const fn both(seconds: u32) -> Self {
        if seconds == 0 { Self::OFF } else { Self { past: Some(seconds), future: Some(seconds) } }
    }

    /// The past only; 0 turns the check off.
    #[must_use]
    pub const fn past(seconds: u32) -> Self {
        if seconds == 0 { Self::OFF } else { Self { past: Some(seconds), future: None } }
    }
}

impl Scheme {
    /// Whether its keys are public.
    pub(crate) fn is_asymmetric(&self) -> bool {
        let any = |algorithms: &[Algorithm]| algorithms.iter().any(|one| one.is_asymmetric());
        match self {
            Self::Signed(signed) => signed.algorithm.is_asymmetric(),
            Self::Jwt(jwt) => any(&jwt.algorithms),
            Self::HttpSignature(scheme) => any(&scheme.algorithms),
            Self::None | Self::Token(_) | Self::Basic => false,
        }
    }

    /// The signed scheme that this is.
    #[must_use]
    pub fn as_signed(&self) -> Option<&Signed> {
        if let Self::Signed(signed) = self { Some(signed) } else { None }
    }

    /// Where the proof stands in a request, for a sentence; the first of several places.
    #[must_use]
    pub fn place(&self) -> Option<Text> {
        match self {
            Self::None => None,
            Self::Signed(signed) => signed.signatures.first().map(|place| place.at.shown()),
            Self::Token(token) => token.place(),
            Self::Basic => Some("the header authorization".into()),
            Self::Jwt(jwt) => Some(jwt.at.shown()),
            Self::HttpSignature(_) => Some("the header signature".into()),
        }
    }

    /// Where the key comes from when the operator gave none.
    #[must_use]
    pub fn key_source(&self) -> &KeySource {
        match self {
            Self::Signed(signed) => &signed.source,
            Self::Jwt(jwt) => &jwt.source,
            Self::HttpSignature(scheme) => &scheme.source,
            Self::None | Self::Token(_) | Self::Basic => &KeySource::Given,
        }
    }
}

/// A shared secret sent as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A header's whole value.
    Header(Text),
    /// `Authorization: Bearer …`; the word in any case.
    Bearer,
    /// A query parameter.
    Query(Text),
    /// A field of the body or of a form.
    Field(Field),
    /// The same pointer in each element of an array; all must match (Microsoft Graph).
    Each {
        /// The array.
        array: Text,
        /// The pointer within an element.
        pointer: Text,
    },
    /// Any of these places.
    AnyOf(Vec<Self>),
}

impl Token {
    /// Where it stands, for a sentence; the first of several places.
    #[must_use]
    pub fn place(&self) -> Option<Text> {
        match self {
            Self::Header(name) => Some(Field::Header(name.clone()).shown()),
            Self::Bearer => Some("the header authorization".into()),
            Self::Query(name) => Some(Field::Query(name.clone()).shown()),
            Self::Field(field) => Some(field.shown()),
            Self::Each { array, pointer } => {
                Some(Cow::Owned(format!("the body's field {pointer} of each of {array}")))
            }
            Self::AnyOf(tokens) => tokens.iter().find_map(Self::place),
        }
    }
}
