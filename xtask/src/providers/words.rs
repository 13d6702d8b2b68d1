//! Schemes in words, for the table and the pages.

use super::evidence::Evidence;
use webhook_signatures::{
    Algorithm, Challenge, Confidence, Encoding, Field, Fields, Hash, HttpSignature, Jwt, KeyForm,
    KeyHost, KeySource, Layout, Piece, Place, Provider, Scheme, Signed, Stamp, Token, Tolerance,
    Unit,
};

/// The families of schemes in a row, a few words each.
pub(super) fn family(row: &Provider) -> String {
    let mut all: Vec<&str> = Vec::new();
    for name in row.schemes.iter().map(kind) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all.join(", ")
}

fn kind(scheme: &Scheme) -> &'static str {
    match scheme {
        Scheme::None => "nothing",
        Scheme::Token(_) | Scheme::Basic => "3 shared secret",
        Scheme::Jwt(_) => "6 token",
        Scheme::HttpSignature(_) => "5 RFC 9421",
        Scheme::Signed(signed) => kind_of_signed(signed),
        _ => "another",
    }
}

fn kind_of_signed(signed: &Signed) -> &'static str {
    let url = signed.message.iter().any(|piece| matches!(piece, Piece::Url | Piece::Setting(_)));
    let inside = signed.each.is_some()
        || signed.signatures.iter().any(|place| !matches!(place.at, Field::Header(_)));
    if signed.algorithm.is_asymmetric() {
        "5 public key"
    } else if inside {
        "7 in the body"
    } else if url {
        "4 URL"
    } else if signed.message == [Piece::Body] && signed.stamp.is_none() {
        "1 raw HMAC"
    } else {
        "2 template HMAC"
    }
}

/// How the requests are checked, a sentence for each scheme.
pub(super) fn checks(row: &Provider) -> Vec<String> {
    row.schemes.iter().map(check).collect()
}

fn check(scheme: &Scheme) -> String {
    match scheme {
        Scheme::None => "Nothing is checked: everybody is believed.".to_owned(),
        Scheme::Token(token) => format!("{} must be the secret.", token_place(token)),
        Scheme::Basic => "HTTP Basic: the secret is `user:password`.".to_owned(),
        Scheme::Jwt(jwt) => token_check(jwt),
        Scheme::HttpSignature(scheme) => rfc_9421(scheme),
        Scheme::Signed(signed) => signed_check(signed),
        _ => "A scheme of its own.".to_owned(),
    }
}

fn token_place(token: &Token) -> String {
    match token {
        Token::Header(name) => format!("The header `{name}`"),
        Token::Bearer => "What stands behind `Authorization: Bearer`".to_owned(),
        Token::Query(name) => format!("The query parameter `{name}`"),
        Token::Field(field) => sentence(&field.shown()),
        Token::Each { array, pointer } => {
            format!("`{pointer}` in each element of the body's `{array}`")
        }
        Token::AnyOf(tokens) => tokens.iter().map(token_place).collect::<Vec<_>>().join(" or "),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn signed_check(signed: &Signed) -> String {
    let places: Vec<String> = signed.signatures.iter().map(place).collect();
    let template: String = signed.message.iter().map(piece).collect();
    let mut text = format!(
        "{} in {}, {}, over `{}`",
        algorithm(signed.algorithm),
        places.join(" or "),
        encoding(signed.encoding),
        template.replace('\n', "⏎")
    );
    if let Some((_, value)) = &signed.when {
        text += ", for requests that say `";
        text += value;
        text += "`";
    }
    if let Some(array) = &signed.each {
        text += ", of each element of `";
        text += array;
        text += "`";
    }
    text += ".";
    if let Some(stamp) = &signed.stamp {
        text += &stamped(stamp);
    }
    if signed.algorithm.is_asymmetric() {
        text += &keys(&signed.source);
    } else {
        text += key_form(signed.key);
    }
    text
}

fn token_check(jwt: &Jwt) -> String {
    let algorithms: Vec<String> = jwt.algorithms.iter().map(|one| algorithm(*one)).collect();
    let what = if jwt.detached.is_some() {
        "a JWS whose payload is the body (detached)"
    } else {
        "a JSON Web Token"
    };
    let claims = &jwt.claims;
    let mut must: Vec<String> = Vec::new();
    if !claims.issuers.is_empty() {
        must.push(format!("`iss` is {}", claims.issuers.join(" or ")));
    }
    must.extend(claims.equal.iter().map(|(claim, setting)| {
        format!("`{}` is the option {setting}", claim.trim_start_matches('/'))
    }));
    must.extend(
        claims.truths.iter().map(|claim| format!("`{}` is true", claim.trim_start_matches('/'))),
    );
    must.extend(
        claims.present.iter().map(|claim| format!("`{}` is there", claim.trim_start_matches('/'))),
    );
    must.extend(
        claims
            .body_hash
            .iter()
            .map(|(claim, _)| format!("`{}` is the body's SHA-256", claim.trim_start_matches('/'))),
    );
    must.extend(
        claims
            .url_hash
            .iter()
            .map(|claim| format!("`{}` is the URL's SHA-256", claim.trim_start_matches('/'))),
    );
    if claims.expires {
        must.push("it has not expired".to_owned());
    }
    let mut text =
        format!("{} holds {what} by {}", sentence(&jwt.at.shown()), algorithms.join(", "));
    if !must.is_empty() {
        text += "; ";
        text += &must.join(", ");
    }
    text += ".";
    if let Some(tolerance) = claims.issued {
        text += " `iat` may be ";
        text += &allowance(tolerance);
        text += ".";
    }
    text + &keys(&jwt.source)
}

fn rfc_9421(scheme: &HttpSignature) -> String {
    let algorithms: Vec<String> = scheme.algorithms.iter().map(|one| algorithm(*one)).collect();
    format!(
        "HTTP Message Signatures (RFC 9421) by {}; a body is covered by `content-digest`; `created` may be {}.{}",
        algorithms.join(", "),
        allowance(scheme.tolerance),
        keys(&scheme.source)
    )
}

fn place(place: &Place) -> String {
    let at = shown(&place.at);
    match &place.layout {
        Layout::Whole { prefix } if prefix.is_empty() => at,
        Layout::Whole { prefix } => format!("{at} behind `{prefix}`"),
        Layout::Fields(fields) => format!("{at} ({})", laid_out(fields)),
        Layout::Positional => format!("{at} (`timestamp,signature`)"),
    }
}

fn shown(field: &Field) -> String {
    field
        .as_header()
        .map_or_else(|| field.shown().to_string(), |name| format!("the header `{name}`"))
}

fn laid_out(fields: &Fields) -> String {
    let pair = |key: &str, value: &str| {
        if key.is_empty() { value.to_owned() } else { format!("{key}{}{value}", fields.pair) }
    };
    let stamp = fields.stamp.as_ref().map(|key| pair(key, "time"));
    let parts = stamp.into_iter().chain([pair(&fields.signature, "signature")]);
    format!("`{}`", parts.collect::<Vec<_>>().join(&fields.joint))
}

fn piece(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.to_string(),
        Piece::Body => "{body}".to_owned(),
        Piece::Timestamp => "{timestamp}".to_owned(),
        Piece::Id => "{id}".to_owned(),
        Piece::Method => "{method}".to_owned(),
        Piece::Url => "{url}".to_owned(),
        Piece::Path | Piece::PathEscaped => "{path}".to_owned(),
        Piece::Header(name) => format!("{{header:{name}}}"),
        Piece::Field(field) => format!("{{{}}}", field.shown()),
        Piece::Setting(name) => format!("{{option {name}}}"),
        Piece::Secret => "{secret}".to_owned(),
        Piece::BodySha256 => "{body_sha256}".to_owned(),
        Piece::BodyCrc32 => "{CRC-32 of the body}".to_owned(),
        Piece::BodyBase64Url => "{body in base64url}".to_owned(),
        Piece::BodyQuoted => "{body as a JSON string}".to_owned(),
        Piece::Names => "{names}".to_owned(),
        Piece::SortedForm(_) => "{sorted form fields}".to_owned(),
        Piece::NamedHeaders => "{names}.{their values}".to_owned(),
        Piece::ListedHeaders { list: name, .. } => format!("{{headers listed in {name}}}"),
        Piece::Sns => "{the message's fields}".to_owned(),
    }
}

fn stamped(stamp: &Stamp) -> String {
    let at = stamp.at.as_ref().map_or_else(|| "beside the signature".to_owned(), shown);
    let unit = match stamp.unit {
        Unit::Seconds => "seconds",
        Unit::Millis => "milliseconds",
        Unit::Iso8601 => "ISO 8601",
        Unit::HttpDate => "an HTTP date",
    };
    if stamp.tolerance == Tolerance::OFF {
        return format!(" The time ({at}, {unit}) is signed and may have any age.");
    }
    format!(" The time ({at}, {unit}) may be {}.", allowance(stamp.tolerance))
}

fn allowance(tolerance: Tolerance) -> String {
    match (tolerance.past, tolerance.future) {
        (Some(past), Some(future)) if past == future => format!("{past} s off"),
        (Some(past), Some(future)) => format!("{past} s old and {future} s ahead"),
        (Some(past), None) => format!("{past} s old"),
        (None, Some(future)) => format!("{future} s ahead"),
        (None, None) => "of any age".to_owned(),
    }
}

fn keys(source: &KeySource) -> String {
    match source {
        KeySource::Given => String::new(),
        KeySource::Fixed(url) => {
            format!(" The public key is fetched from {url} unless one is given as the secret.")
        }
        KeySource::Setting(name) => {
            format!(
                " The public key is fetched from the address in the option {name}, or given as the secret."
            )
        }
        KeySource::Named { rule, .. } => {
            let whose = match rule {
                KeyHost::AwsSns => "Amazon SNS's own host in the topic's region",
                KeyHost::PayPal => "PayPal's own hosts",
            };
            format!(
                " The certificate is fetched from where the request says, if that is at {whose}."
            )
        }
        KeySource::Plaid => {
            " The public key is fetched from Plaid, with the account's credentials.".to_owned()
        }
    }
}

fn key_form(form: KeyForm) -> &'static str {
    match form {
        KeyForm::Utf8 | KeyForm::Public | KeyForm::StandardEd25519 => "",
        KeyForm::Base64 => " The secret is base64.",
        KeyForm::Hex => " The secret is hexadecimal.",
        KeyForm::Standard => " The secret is base64 behind `whsec_`.",
        KeyForm::StandardOrUtf8 => {
            " A secret behind `whsec_` is base64, any other is taken as it is."
        }
        KeyForm::Sha1 => " The key is the SHA-1 of the secret.",
    }
}

/// What kind of key an algorithm takes.
pub(super) const fn key_kind(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hmac(_) | Algorithm::Digest(_) => "shared",
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::EcdsaP256 | Algorithm::EcdsaP256Fixed => "ECDSA P-256",
        Algorithm::RsaSha1 | Algorithm::RsaSha256 | Algorithm::RsaSha512 => "RSA",
    }
}

fn algorithm(algorithm: Algorithm) -> String {
    match algorithm {
        Algorithm::Hmac(hash) => format!("HMAC-{}", hash_name(hash)),
        Algorithm::Digest(hash) => format!("bare {} (no HMAC)", hash_name(hash)),
        Algorithm::Ed25519 => "Ed25519".to_owned(),
        Algorithm::EcdsaP256 | Algorithm::EcdsaP256Fixed => "ECDSA P-256 with SHA-256".to_owned(),
        Algorithm::RsaSha1 => "RSA with SHA-1".to_owned(),
        Algorithm::RsaSha256 => "RSA with SHA-256".to_owned(),
        Algorithm::RsaSha512 => "RSA with SHA-512".to_owned(),
    }
}

const fn hash_name(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha1 => "SHA1",
        Hash::Sha256 => "SHA256",
        Hash::Sha384 => "SHA384",
        Hash::Sha512 => "SHA512",
    }
}

const fn encoding(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Hex => "in hex",
        Encoding::Base64 => "in base64",
        Encoding::Base64Url => "in base64url",
    }
}

/// The questions that are answered, with how many captured ones there are.
pub(super) fn handshakes(row: &Provider, evidence: &Evidence) -> Vec<String> {
    let vectors = if evidence.handshakes > 0 {
        format!(" ({} vectors)", evidence.handshakes)
    } else {
        String::new()
    };
    row.challenges.iter().map(|challenge| format!("{}{vectors}", question(*challenge).0)).collect()
}

/// A question's name, and what is answered.
pub(super) const fn question(challenge: Challenge) -> (&'static str, &'static str) {
    match challenge {
        Challenge::SlackUrlVerification => {
            ("url_verification", "the signed `url_verification` is answered with its challenge")
        }
        Challenge::ZoomUrlValidation => {
            ("url_validation", "`endpoint.url_validation` is answered with the token and its HMAC")
        }
        Challenge::DiscordPing => ("PING", "a signed PING is answered; a wrong signature gets 401"),
        Challenge::HubText => {
            ("hub.challenge", "`hub.challenge` is answered when the verify token is right")
        }
        Challenge::HubJson => (
            "hub.challenge JSON",
            "`hub.challenge` is answered in JSON when the verify token is right",
        ),
        Challenge::HubTopic => ("WebSub", "a subscription of the topic that is set is confirmed"),
        Challenge::XCrc => ("crc_token", "`crc_token` is answered with its HMAC"),
        Challenge::QueryEcho => ("challenge", "`challenge` in the query is answered as text"),
        Challenge::CheckEcho => ("check", "`check` in the query is answered as text"),
        Challenge::GraphValidationToken => {
            ("validationToken", "`validationToken` in the query is answered as text")
        }
        Challenge::EventGridValidation => {
            ("SubscriptionValidation", "a `SubscriptionValidationEvent` is answered with its code")
        }
        Challenge::CloudEventsOptions => ("OPTIONS", "`WebHook-Request-Origin` is answered"),
        Challenge::OktaHeader => {
            ("x-okta-verification", "`X-Okta-Verification-Challenge` is answered in JSON")
        }
        Challenge::AsanaSecret => {
            ("X-Hook-Secret", "`X-Hook-Secret` is kept as the secret and sent back")
        }
        Challenge::NotionToken => {
            ("verification_token", "`verification_token` is kept as the secret")
        }
        Challenge::JsonEcho => ("challenge JSON", "a body that is only a `challenge` is sent back"),
        Challenge::SmartsheetHeader => {
            ("Smartsheet-Hook", "`Smartsheet-Hook-Challenge` is sent back")
        }
        Challenge::SnsConfirmation => (
            "SubscriptionConfirmation",
            "a genuine `SubscriptionConfirmation` of the topic that is set is confirmed",
        ),
        Challenge::TwitchCallback => (
            "callback_verification",
            "`webhook_callback_verification` is answered with its challenge",
        ),
        Challenge::BraintreeCode => ("bt_challenge", "`bt_challenge` is answered with its HMAC"),
        Challenge::EbayCode => ("challenge_code", "`challenge_code` is answered with its hash"),
        Challenge::MailerSendTest => (
            "webhook.test",
            "`webhook.test`, signed by the secret that is published for it, gets 200 and is no event",
        ),
        Challenge::Probe => ("probe", "HEAD and GET without anything get 200"),
    }
}

/// What the row says of itself.
pub(super) fn claim(of: &Confidence) -> String {
    match of {
        Confidence::Verified(by) => format!("verified by {by}"),
        Confidence::Source(source) => format!("read in: {source}"),
        Confidence::Uncertain(why) => format!("uncertain: {why}"),
    }
}

/// Where a value stands.
pub(super) fn field(field: &Field) -> String {
    match field {
        Field::Header(name) => format!("the header `{name}`"),
        Field::Body => "the body".to_owned(),
        Field::Json(pointer) => format!("`{pointer}` in the body"),
        Field::Form(name) => format!("the form field `{name}`"),
        Field::Part(name) => format!("the field `{name}` of a multipart form"),
        Field::FormJson(name, pointer) => format!("`{pointer}` in the form field `{name}`"),
        Field::Query(name) => format!("the query parameter `{name}`"),
        Field::Claim { pointer, .. } | Field::BodyClaim(pointer) => {
            format!("the token's claim `{}`", pointer.trim_start_matches('/'))
        }
        Field::Xml { element, .. } => format!("the XML element `{element}`"),
        Field::FirstKey { .. } => "the body's first key".to_owned(),
        Field::First(fields) => fields.iter().map(self::field).collect::<Vec<_>>().join(", else "),
        Field::Joined { fields, with } => {
            fields.iter().map(self::field).collect::<Vec<_>>().join(&format!(" + `{with}` + "))
        }
        Field::Fixed(text) => format!("always `{text}`"),
    }
}
