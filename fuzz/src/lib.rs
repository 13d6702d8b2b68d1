//! What each fuzz target does with its bytes. The same functions run over the corpus as ordinary tests, on any compiler
//! (`crates/webhook-signatures/tests/it/corpus.rs`).
//!
//! Nothing here may panic; beside that, the assertions below say what must hold whatever comes.

use std::sync::LazyLock;
use webhook_signatures as ws;
use ws::{Incoming, Provider, Scheme, Secret, ToSign};

const NOW: i64 = 1_767_225_600;

/// What a target does with its bytes.
pub type Target = fn(&[u8]);

/// The targets by their names.
pub const ALL: [(&str, Target); 7] = [
    ("verify", verify),
    ("places", places),
    ("json", json),
    ("keys", keys),
    ("text", text),
    ("sign", sign),
    ("explain", explain),
];

/// Texts of which each row takes at least one as its secret.
const SECRETS: [&str; 5] = [
    "it is a secret of 32 characters!",
    "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    "user:password",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----",
];

/// Every row with its settings set and a secret that it takes.
static ROWS: LazyLock<Vec<(Provider, Vec<Secret>)>> = LazyLock::new(|| {
    let row = |row: &Provider| {
        let mut row = row.clone();
        for setting in row.settings.clone() {
            let _known = row.set(&setting.name, "https://a.example/x");
        }
        let secrets = SECRETS.iter().filter_map(|text| Secret::parse(&row, text).ok()).collect();
        (row, secrets)
    };
    ws::all().iter().map(row).collect()
});

/// A request as text: the provider's name, method, URL, header lines, an empty line, the body.
struct Asked<'d> {
    row: &'static (Provider, Vec<Secret>),
    method: &'d str,
    url: &'d str,
    headers: Vec<(&'d str, &'d [u8])>,
    body: &'d [u8],
}

fn asked(data: &[u8]) -> Option<Asked<'_>> {
    let mut rest = data;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        Some(line)
    };
    let name = std::str::from_utf8(line()?).ok()?;
    let row = ROWS.iter().find(|(row, _)| row.name == name)?;
    let method = std::str::from_utf8(line()?).ok()?;
    let url = std::str::from_utf8(line()?).ok()?;
    let mut headers = Vec::new();
    while let Some(line) = line().filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        headers.push((std::str::from_utf8(name).ok()?, value.get(1..)?.trim_ascii()));
    }
    Some(Asked { row, method, url, headers, body: rest })
}

/// Any request against its provider: verified, answered, described.
pub fn verify(data: &[u8]) {
    let Some(Asked { row: (row, secrets), method, url, headers, body }) = asked(data) else {
        return;
    };
    let incoming = Incoming { method, url, headers: &headers, body };
    check(row, secrets, &incoming);
    let described = ws::describe(row, &incoming);
    assert!(described.event_id.is_none_or(|id| id.len() <= ws::ID_MAX));
    let kind = described.event_type.unwrap_or_default();
    assert!(kind.len() <= ws::TYPE_MAX);
    assert!(
        ws::title(&row.name, &kind, body)
            .is_none_or(|title| title.chars().count() <= ws::TITLE_MAX)
    );
}

fn check(row: &Provider, secrets: &[Secret], incoming: &Incoming<'_>) {
    if let Some(ws::Handshake::Answer(answer)) = ws::handshake(row, secrets, incoming, NOW) {
        assert!((100..600).contains(&answer.status));
    }
    let verdict = ws::verify(row, secrets, incoming, NOW);
    let both = ws::verify_and_describe(row, secrets, incoming, NOW);
    assert_eq!(both, verdict.clone().map(|proof| (proof, ws::describe(row, incoming))));
    match verdict {
        Ok(proof) => assert!(proof.secret().is_none_or(|at| at < secrets.len())),
        Err(refusal) => assert!(!refusal.to_string().is_empty() && !refusal.code().is_empty()),
    }
    let fresh = ws::verify(row, &[], incoming, NOW);
    assert!(fresh.is_err() || row.is_open(), "{} passes without a secret", row.name);
}

/// The same, the bytes being put where the row reads signatures, times and tokens: the first byte chooses the row, and
/// each 0xff begins the next place.
pub fn places(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Some((row, secrets)) = ROWS.get(usize::from(*first)) else { return };
    let mut parts = rest.split(|byte| *byte == 0xff);
    let body = parts.next().unwrap_or_default();
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    for name in row.schemes.iter().flat_map(names) {
        if let Some(part) = parts.next() {
            headers.push((name, part.to_vec()));
        }
    }
    let query = parts.next().map(String::from_utf8_lossy).unwrap_or_default();
    let url = format!("https://hooks.example.com/in/x?{query}");
    let incoming = Incoming { method: "POST", url: &url, headers: &headers, body };
    check(row, secrets, &incoming);
}

/// The headers that a scheme reads.
fn names(scheme: &Scheme) -> Vec<String> {
    let header = |field: &ws::Field| field.as_header().map(str::to_owned);
    match scheme {
        Scheme::Signed(signed) => {
            let places = signed.signatures.iter().filter_map(|place| header(&place.at));
            let stamp = signed.stamp.as_ref().and_then(|stamp| header(stamp.at.as_ref()?));
            places.chain(stamp).chain(signed.id.as_ref().and_then(header)).collect()
        }
        Scheme::Jwt(jwt) => header(&jwt.at).into_iter().collect(),
        Scheme::HttpSignature(_) => {
            ["signature-input", "signature", "content-digest"].map(str::to_owned).to_vec()
        }
        Scheme::None | Scheme::Token(_) | Scheme::Basic | _ => {
            ["authorization", "x-webhook-token"].map(str::to_owned).to_vec()
        }
    }
}

/// JSON that is only looked into, never trusted to be JSON.
pub fn json(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (pointer, body) = data.split_at(at);
    let pointer = String::from_utf8_lossy(pointer);
    if let Some(raw) = ws::json::find(body, &pointer) {
        assert!(raw.len() <= body.len());
        let _text = ws::json::text(raw);
        let _elements = ws::json::elements(raw, 10);
    }
    assert!(ws::json::keys(body, 5).len() <= 5);
}

/// What people paste and providers serve as keys: PEM, DER, JWK, sets, base64, hex.
pub fn keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for (row, _) in ROWS.iter() {
        if let Ok(secret) = Secret::parse(row, &text) {
            assert!(!text.trim().is_empty());
            assert_eq!(format!("{secret:?}"), "Secret(***)");
        }
    }
}

/// The small parsers: templates, patterns, forms, times, encodings, addresses.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _template = (ws::template(&text).is_ok(), ws::pattern(&text).is_ok());
    let _form = ws::form::value(data, "payload");
    let _same = ws::form::encode(data);
    for unit in [ws::Unit::Seconds, ws::Unit::Millis, ws::Unit::Iso8601, ws::Unit::HttpDate] {
        let _time = unit.parse(data);
    }
    for encoding in [ws::Encoding::Hex, ws::Encoding::Base64, ws::Encoding::Base64Url] {
        assert_eq!(encoding.decode(encoding.encode(data).as_bytes()).as_deref(), Some(data));
        let _decoded = encoding.decode(data);
    }
    let topic = "arn:aws:sns:us-east-1:1:t";
    let genuine = "https://sns.us-east-1.amazonaws.com/";
    let is_sns =
        ws::urls::is_sns_certificate(&text, topic) || ws::urls::is_sns_confirmation(&text, topic);
    assert!(!is_sns || text.starts_with(genuine));
    assert!(!ws::urls::is_paypal_certificate(&text) || text.contains(".paypal.com/v1/"));
}

/// What is signed passes, and with a byte more it does not, wherever the row signs the body.
pub fn sign(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let Some((row, secrets)) = ROWS.get(usize::from(*first)) else { return };
    let headers = [("content-type", "application/json")];
    let url = "https://hooks.example.com/in/x";
    let request = ToSign { id: "evt_1", now: NOW, url, method: "POST", headers: &headers, body };
    for secret in secrets {
        let Ok(signature) = ws::sign(row, secret, &request) else { continue };
        let own = |(name, _): &&(&str, &str)| {
            !signature.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        let kept = headers.iter().filter(own).map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let added = signature.headers.iter().map(|(n, v)| (n.to_string(), v.clone()));
        let lines: Vec<(String, String)> = kept.chain(added).collect();
        let (body, url) =
            (signature.body.as_deref().unwrap_or(body), signature.url.as_deref().unwrap_or(url));
        let incoming = Incoming { method: "POST", url, headers: &lines, body };
        let verdict = ws::verify(row, std::slice::from_ref(secret), &incoming, NOW);
        assert!(
            matches!(verdict, Ok(_) | Err(ws::Refusal::HandshakeToken)),
            "{}: {verdict:?}",
            row.name
        );
        if row.schemes.iter().all(signs_the_body) {
            let longer = [body, b"x"].concat();
            let incoming = Incoming { body: &longer, ..incoming };
            let verdict = ws::verify(row, std::slice::from_ref(secret), &incoming, NOW);
            assert!(verdict.is_err(), "{}: a longer body passes", row.name);
        }
    }
}

/// Whether each byte of a body is signed, and not only some fields of it.
fn signs_the_body(scheme: &Scheme) -> bool {
    use ws::Piece;
    let whole = |piece: &Piece| {
        matches!(
            piece,
            Piece::Body
                | Piece::BodySha256
                | Piece::BodyCrc32
                | Piece::BodyQuoted
                | Piece::BodyBase64Url
        )
    };
    match scheme {
        Scheme::Signed(signed) => signed.message.iter().any(whole),
        Scheme::HttpSignature(_) => true,
        Scheme::None | Scheme::Token(_) | Scheme::Basic | Scheme::Jwt(_) | _ => false,
    }
}

/// The debugger: whatever it tries, it ends, and it tells no secret.
pub fn explain(data: &[u8]) {
    let Some(Asked { row: (row, secrets), method, url, headers, body }) = asked(data) else {
        return;
    };
    let incoming = Incoming { method, url, headers: &headers, body };
    let found = ws::explain(row, secrets, &[], &incoming, NOW);
    assert!(found.signed_text.is_none_or(|text| text.chars().count() <= ws::SHOWN_MAX));
    assert!(found.verdict.is_err() || found.findings.is_empty());
}
