//! What is nobody's in particular: `none`, shared secrets, Standard Webhooks, and the generic HMAC.

use super::FIVE_MINUTES;
use crate::encoding::Encoding;
use crate::hash::Hash;
use crate::provider::{Confidence, Provider};
use crate::scheme::{
    Algorithm, Field, Fields, HttpSignature, KeyForm, KeySource, Piece, Place, Scheme, Signed,
    Stamp, Text, Token, Tolerance,
};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    let type_in_body = || Field::json("/type");
    vec![
        Provider::new("none", "No verification", Scheme::None)
            .caveat("Anyone who knows the address can send events.")
            .kind(type_in_body())
            .setup(
                "Tell the sender the URL below and nothing else: there is nothing to prove. Give \
                 the source a name that cannot be guessed if strangers must not find it, or put a \
                 gate before it that lets only the sender's addresses through.",
            )
            .source("by definition"),
        Provider::token("token", "Shared token in X-Webhook-Token", Token::Header("x-webhook-token".into()))
            .kind(type_in_body())
            .setup(
                "Tell the sender the URL below and a long random secret, and let it send the secret \
                 in the header `X-Webhook-Token` of every request. Where its header is called \
                 otherwise, the option `header` names it; a token in the body is read by `pointer`.",
            )
            .source("by definition"),
        Provider::token("bearer", "Bearer token", Token::Bearer).kind(type_in_body())
            .setup(
                "Tell the sender the URL below and a long random secret, and let it send \
                 `Authorization: Bearer` and the secret with every request. Most consoles that sign \
                 nothing have a field for headers of one's own, or one for a bearer token.",
            )
            .source("RFC 6750"),
        Provider::token("query-token", "Token in the query", Token::Query("token".into()))
            .kind(type_in_body())
            .caveat("The token stands in URLs, which proxies log.")
            .setup(
                "Register the URL below with `?token=` and a long random secret behind it, for \
                 senders that can neither sign nor set a header. Make the secret of letters and \
                 digits only, so that nothing need be escaped; another parameter is named by the \
                 option `parameter`.",
            )
            .source("by definition"),
        Provider::new("basic", "HTTP Basic", Scheme::Basic)
            .kind(type_in_body())
            .setup(
                "Give the sender the URL below with a user name and a password, in its fields for \
                 basic authentication, or in the URL itself (`https://user:password@…`) where it \
                 takes that. The secret of the source is the two joined by a colon.",
            )
            .source("RFC 7617; the vectors of Chargebee, Postmark and Pipedrive are of this scheme"),
        standard("standard-webhooks", "Standard Webhooks", "webhook", KeyForm::Standard)
            .docs("https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md")
            .setup(
                "Register the URL below at the sender, which follows the Standard Webhooks \
                 specification: its console shows a secret `whsec_…`, or a public key `whpk_…` if \
                 it signs with Ed25519. Either is the secret of the source. The headers are \
                 `webhook-id`, `webhook-timestamp` and `webhook-signature`; senders whose headers \
                 begin with `svix-` are the provider svix.",
            )
            .verified("the vector in standard-webhooks' Rust library; the v1a vector in svix-server's worker.rs"),
        standard("svix", "Svix", "svix", KeyForm::Standard)
            .docs("https://docs.svix.com/receiving/verifying-payloads/how-manual")
            .setup(
                "The sender has a portal of Svix (often its page Webhooks): Endpoints, Add \
                 Endpoint, the URL below and the event types. The endpoint's page shows the signing \
                 secret (whsec_…), one for each endpoint. Senders that call their headers \
                 `webhook-…` are the provider standard-webhooks.",
            )
            .verified("svix 2.9.1 for Python"),
        http_signature("http-signature", "HTTP Message Signatures (RFC 9421)", vec![
            Algorithm::Ed25519,
            Algorithm::EcdsaP256Fixed,
            Algorithm::RsaSha256,
        ])
        .takes("jwks_url", "The address of the sender's JWK set, when the secret is no key")
        .setup(
            "Tell the sender the URL below, and let it sign by RFC 9421 with Ed25519, ECDSA P-256 \
             or RSA, covering `content-digest` (RFC 9530) in every request that has a body. Its \
             public key is the secret of the source, or its JWK set goes into the option jwks_url. \
             What it covers of the URL must be the address that it calls.",
        )
        .verified("the vector in RFC 9421, B.2.6"),
        http_signature("http-signature-hmac", "HTTP Message Signatures by HMAC", vec![Algorithm::Hmac(Hash::Sha256)])
            .setup(
                "Agree on a long random secret with the sender, and let it send to the URL below, \
                 signed by RFC 9421 with `hmac-sha256` and covering `content-digest` (RFC 9530) in \
                 every request that has a body. What it covers of the URL must be the address that \
                 it calls.",
            )
            .verified("the vector in RFC 9421, B.2.5"),
        super::jwt("jwt", "JSON Web Token of your own", "authorization", |jwt| jwt.claims.expires = true)
            .kind(type_in_body())
            .setup(
                "Agree with the sender in which header its token stands, which algorithm signs it \
                 and with which key, and have it send a token with `exp` to the URL below with each \
                 request. All this is written down in the options of the source: see \
                 docs/private-providers.md.",
            )
            .docs("https://www.rfc-editor.org/rfc/rfc7519")
            .caveat("Unless the option body_hash names a claim, the token vouches for the sender and not for the body.")
            .source("by definition"),
        generic(Generic::default())
            .setup(
                "Agree with the sender on a secret and on what it signs, at least the body, and \
                 have it call the URL below. Header, prefix, encoding, timestamp and template are \
                 written down in the options of the source: see docs/private-providers.md. Unless \
                 they say otherwise it is HMAC-SHA256 of the body, in hex, in the header \
                 `X-Signature`.",
            )
            .source("by definition"),
    ]
}

/// Standard Webhooks under any header prefix: v1 by HMAC, v1a by Ed25519, which of them the key decides.
pub(super) fn standard(
    name: &'static str,
    title: &'static str,
    prefix: &str,
    key: KeyForm,
) -> Provider {
    let scheme = |algorithm, key, tag: &'static str| {
        let mut signed = Signed::raw(algorithm, "", Encoding::Base64);
        signed.key = key;
        signed.signatures =
            vec![Place::fields(format!("{prefix}-signature"), Fields::listed(" ", ',', tag))];
        signed.message = vec![
            Piece::Id,
            Piece::Text(".".into()),
            Piece::Timestamp,
            Piece::Text(".".into()),
            Piece::Body,
        ];
        signed.id = Some(Field::header(format!("{prefix}-id")));
        let at = Some(Field::header(format!("{prefix}-timestamp")));
        signed.stamp = Some(Stamp { at, unit: Unit::Seconds, tolerance: FIVE_MINUTES });
        Scheme::Signed(Box::new(signed))
    };
    Provider::new(name, title, scheme(Algorithm::Hmac(Hash::Sha256), key, "v1"))
        .or(scheme(Algorithm::Ed25519, KeyForm::StandardEd25519, "v1a"))
        .id(Field::header(format!("{prefix}-id")))
        .kind(Field::json("/type"))
}

/// RFC 9421 with the body's digest.
pub(super) fn http_signature(
    name: &'static str,
    title: &'static str,
    algorithms: Vec<Algorithm>,
) -> Provider {
    let asymmetric = algorithms.iter().any(|algorithm| algorithm.is_asymmetric());
    let source = if asymmetric { KeySource::Setting("jwks_url".into()) } else { KeySource::Given };
    let key = if asymmetric { KeyForm::Public } else { KeyForm::Utf8 };
    let scheme =
        HttpSignature { algorithms, key, source, covered: Vec::new(), tolerance: FIVE_MINUTES };
    Provider::new(name, title, Scheme::HttpSignature(Box::new(scheme)))
        .docs("https://www.rfc-editor.org/rfc/rfc9421")
        .takes("keyid", "The key id to sign under")
        .id(Field::header("webhook-id"))
        .kind(Field::json("/type"))
        .caveat("A body must be covered by content-digest.")
}

/// A private provider that signs by HMAC, as a configuration file says it.
///
/// ```
/// use webhook_signatures::{Generic, Secret, generic};
/// let ours = generic(Generic {
///     header: "x-acme-signature".into(),
///     prefix: "v0=".into(),
///     message: webhook_signatures::template("v0:{timestamp}:{body}").unwrap(),
///     timestamp_header: Some("x-acme-time".into()),
///     ..Generic::default()
/// });
/// assert!(Secret::parse(&ours, "secret of ours").is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generic {
    /// The provider's name.
    pub name: Text,
    /// The header with the signature.
    pub header: Text,
    /// What stands before the signature, for example `sha256=`.
    pub prefix: Text,
    /// The hash of the HMAC.
    pub hash: Hash,
    /// How the signature is written.
    pub encoding: Encoding,
    /// How the secret's text becomes the key.
    pub key: KeyForm,
    /// What is signed; see [`crate::template`].
    pub message: Vec<Piece>,
    /// The header with the id.
    pub id_header: Option<Text>,
    /// The header with the timestamp.
    pub timestamp_header: Option<Text>,
    /// How the timestamp is written.
    pub unit: Unit,
    /// How far it may be from the clock.
    pub tolerance: Tolerance,
}

impl Default for Generic {
    fn default() -> Self {
        Self {
            name: "hmac".into(),
            header: "x-signature".into(),
            prefix: "".into(),
            hash: Hash::Sha256,
            encoding: Encoding::Hex,
            key: KeyForm::Utf8,
            message: vec![Piece::Body],
            id_header: None,
            timestamp_header: None,
            unit: Unit::Seconds,
            tolerance: FIVE_MINUTES,
        }
    }
}

/// The provider that a [`Generic`] describes. Change its other fields (event id, type, response) as you like.
#[must_use]
pub fn generic(of: Generic) -> Provider {
    let mut signed = Signed::raw(Algorithm::Hmac(of.hash), of.header.clone(), of.encoding);
    signed.signatures = vec![Place::whole(of.header, of.prefix)];
    signed.key = of.key;
    signed.message = of.message;
    signed.id = of.id_header.clone().map(Field::Header);
    let stamp =
        |name| Stamp { at: Some(Field::Header(name)), unit: of.unit, tolerance: of.tolerance };
    signed.stamp = of.timestamp_header.map(stamp);
    let mut provider = Provider::new(of.name, "HMAC of your own", Scheme::Signed(Box::new(signed)));
    provider.event_id = of.id_header.map(Field::Header);
    provider.event_type = Some(Field::json("/type"));
    provider.confidence = Confidence::Source("configuration".into());
    provider
}
