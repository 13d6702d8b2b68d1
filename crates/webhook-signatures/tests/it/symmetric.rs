//! What holds for every row whose proof is an HMAC or a keyed hash, whatever its form.

use crate::properties::{BODIES, Sent, set_up};
use proptest::prelude::*;
use std::sync::LazyLock;
use webhook_signatures::{
    Algorithm, Incoming, Layout, Piece, Provider, Refusal, Secret, SecretError, Signed, ToSign,
    Verified, all, find, sign, verify,
};

const NOW: i64 = 1_767_225_600;

/// Secrets in pairs: of Standard Webhooks, and ones that are hexadecimal, base64 and plain text at once.
const PAIRS: [[&str; 2]; 2] = [
    ["00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"],
    [
        "whsec_AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=",
        "whsec_BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=",
    ],
];

/// A provider that signs this body with either secret.
struct Row {
    provider: Provider,
    secrets: [Secret; 2],
    body: &'static str,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let rows: Vec<Row> = all().iter().filter_map(Row::of).collect();
    assert!(rows.len() >= 80, "only {} rows", rows.len());
    rows
});

impl Row {
    fn of(provider: &Provider) -> Option<Self> {
        let provider = set_up(provider);
        PAIRS.iter().flat_map(|pair| BODIES.map(|body| (pair, body))).find_map(|(pair, body)| {
            let [one, two] = pair.map(|text| Secret::parse(&provider, text).ok());
            let row = Self { provider: provider.clone(), secrets: [one?, two?], body };
            let sent = row.send(0, body.as_bytes())?;
            let proof = row.check(&row.secrets, &sent.incoming()).ok()?;
            let scheme = row.provider.schemes.get(proof.scheme())?.as_signed()?;
            let symmetric = matches!(scheme.algorithm, Algorithm::Hmac(_) | Algorithm::Digest(_));
            symmetric.then_some(row)
        })
    }

    /// What goes out with this body, signed with this one of the secrets; nothing where such a body is not signed.
    fn send(&self, secret: usize, body: &[u8]) -> Option<Sent> {
        let is_form = !body.starts_with(b"{") && body.contains(&b'=');
        let kind: &[u8] =
            if is_form { b"application/x-www-form-urlencoded" } else { b"application/json" };
        let headers = [("Content-Type", kind)];
        let url = "https://hooks.example.com/in/x?a=%20b";
        let request =
            ToSign { id: "evt_1", now: NOW, url, method: "POST", headers: &headers, body };
        let signature = sign(&self.provider, &self.secrets[secret], &request).ok()?;
        Some(Sent::new(&signature, &request, &headers))
    }

    fn sent(&self, secret: usize) -> Sent {
        self.send(secret, self.body.as_bytes()).unwrap()
    }

    fn check(&self, secrets: &[Secret], incoming: &Incoming<'_>) -> Result<Verified, Refusal> {
        verify(&self.provider, secrets, incoming, NOW)
    }

    fn passes(&self, sent: &Sent) -> bool {
        self.check(&self.secrets[..1], &sent.incoming()).is_ok()
    }

    /// Its first scheme that signs; the one that is used for signing.
    fn scheme(&self) -> &Signed {
        self.provider.schemes.iter().find_map(|scheme| scheme.as_signed()).unwrap()
    }

    /// Whether the body's own bytes are signed, and not only some of its fields.
    fn signs_bytes(&self) -> bool {
        use Piece::{Body, BodyBase64Url, BodyCrc32, BodyQuoted, BodySha256};
        let whole = |piece: &Piece| {
            matches!(piece, Body | BodyBase64Url | BodyCrc32 | BodyQuoted | BodySha256)
        };
        let mut schemes = self.provider.schemes.iter().filter_map(|scheme| scheme.as_signed());
        schemes.all(|signed| signed.message.iter().any(whole))
    }
}

#[test]
fn secrets_rotate_in_either_order() {
    for row in &*ROWS {
        let name = &row.provider.name;
        let [one, two] = &row.secrets;
        for signer in 0..2 {
            let sent = row.sent(signer);
            let place = |secrets: &[Secret]| {
                row.check(secrets, &sent.incoming()).map(|proof| proof.secret())
            };
            let (own, other) = if signer == 0 { (one, two) } else { (two, one) };
            assert_eq!(place(&[own.clone(), other.clone()]), Ok(Some(0)), "{name}");
            assert_eq!(place(&[other.clone(), own.clone()]), Ok(Some(1)), "{name}");
            assert!(place(std::slice::from_ref(other)).is_err(), "{name} passes another's secret");
            assert!(place(&[]).is_err(), "{name} passes without a secret");
        }
    }
}

#[test]
fn a_time_is_good_to_the_last_second_of_its_tolerance() {
    let mut stamped = 0;
    for row in &*ROWS {
        let Some(stamp) = &row.scheme().stamp else { continue };
        let (name, sent) = (&row.provider.name, row.sent(0));
        let at = |now: i64| verify(&row.provider, &row.secrets[..1], &sent.incoming(), now);
        assert_eq!(at(NOW).unwrap().timestamp_ms(), Some(NOW * 1000), "{name}");
        match stamp.tolerance.past {
            None => assert!(at(NOW + 1_000_000_000).is_ok(), "{name}"),
            Some(limit_s) => {
                let last = NOW + i64::from(limit_s);
                assert!(at(last - 1).is_ok() && at(last).is_ok(), "{name}");
                let age_s = i64::from(limit_s) + 1;
                assert_eq!(at(last + 1), Err(Refusal::TooOld { age_s, limit_s }), "{name}");
            }
        }
        match stamp.tolerance.future {
            None => assert!(at(NOW - 1_000_000_000).is_ok(), "{name}"),
            Some(limit_s) => {
                let first = NOW - i64::from(limit_s);
                assert!(at(first + 1).is_ok() && at(first).is_ok(), "{name}");
                let ahead_s = i64::from(limit_s) + 1;
                assert_eq!(at(first - 1), Err(Refusal::InFuture { ahead_s, limit_s }), "{name}");
            }
        }
        stamped += 1;
    }
    assert!(stamped >= 20, "only {stamped} rows have a time");
}

/// Where two texts differ: what stands in both before and after it is left out.
fn difference(one: &[u8], two: &[u8]) -> std::ops::Range<usize> {
    let same = |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| {
        pairs.take_while(|(one, two)| one == two).count()
    };
    let start = same(&mut one.iter().zip(two));
    let (one, two) = (one.get(start..).unwrap(), two.get(start..).unwrap());
    let end = same(&mut one.iter().rev().zip(two.iter().rev()));
    start..start + one.len() - end
}

/// What is done to a signature.
#[derive(Debug, Clone)]
enum Change {
    /// So many characters are cut off at its end, or all but so many.
    Cut(usize),
    Keep(usize),
    /// This is put behind it.
    Add(&'static str),
    /// One character is another.
    Other(usize),
}

impl Change {
    fn of(&self, signature: &[u8]) -> Vec<u8> {
        let cut = |to: usize| signature.get(..to).unwrap().to_vec();
        match self {
            Self::Cut(count) => cut(signature.len().saturating_sub(*count)),
            Self::Keep(count) => cut((*count).min(signature.len() - 1)),
            Self::Add(more) => [signature, more.as_bytes()].concat(),
            Self::Other(at) => {
                let mut other = signature.to_vec();
                let index = at % other.len();
                let byte = &mut other[index];
                *byte = if byte.is_ascii_digit() { b'0' + (*byte - b'0' + 1) % 10 } else { b'7' };
                other
            }
        }
    }
}

/// What goes out with its signature changed, wherever it stands: another secret's request differs from it there only.
fn changed(row: &Row, change: &Change) -> Sent {
    let (mut sent, other) = (row.sent(0), row.sent(1));
    let mut texts: Vec<(Vec<u8>, &[u8])> = vec![
        (sent.url.clone().into_bytes(), other.url.as_bytes()),
        (sent.body.clone(), &other.body),
    ];
    for ((_, one), (_, two)) in sent.headers.iter().zip(&other.headers) {
        texts.push((one.clone(), two));
    }
    let mut seen = false;
    for (text, other) in &mut texts {
        let range = difference(text, other);
        if !range.is_empty() {
            seen = true;
            let new = change.of(&text[range.clone()]);
            text.splice(range, new);
        }
    }
    assert!(seen, "{} signs nothing", row.provider.name);
    let mut texts = texts.into_iter().map(|(text, _)| text);
    sent.url = String::from_utf8(texts.next().unwrap()).unwrap();
    sent.body = texts.next().unwrap();
    sent.headers.iter_mut().zip(texts).for_each(|((_, value), new)| *value = new);
    sent
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (1..40_usize).prop_map(Change::Cut),
        (0..40_usize).prop_map(Change::Keep),
        prop_oneof![Just("0"), Just("00"), Just("A"), Just("AAAA"), Just("="), Just("\u{e9}")]
            .prop_map(Change::Add),
        (0..90_usize).prop_map(Change::Other),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_signature_does_not_pass(change in change()) {
        for row in &*ROWS {
            let sent = changed(row, &change);
            prop_assert!(!row.passes(&sent), "{}: {sent:?}", row.provider.name);
        }
    }
}

/// What stands before a signature in a header: `sha256=`, `v1,`.
fn marks(provider: &Provider) -> Vec<(&str, String)> {
    let schemes = provider.schemes.iter().filter_map(|scheme| scheme.as_signed());
    let places = schemes.flat_map(|signed| &signed.signatures);
    let each = places.filter_map(|place| {
        let mark = match &place.layout {
            Layout::Whole { prefix } => prefix.to_string(),
            Layout::Fields(fields) if fields.signature == "*" => return None,
            Layout::Fields(fields) => format!("{}{}", fields.signature, fields.pair),
            Layout::Positional => return None,
        };
        Some((place.at.as_header()?, mark))
    });
    each.collect()
}

#[test]
fn a_signature_under_another_mark_does_not_pass() {
    let mut seen = 0;
    for row in &*ROWS {
        let (name, marks, sent) = (&row.provider.name, marks(&row.provider), row.sent(0));
        for (header, mark) in marks.iter().filter(|(_, mark)| mark.len() > 1) {
            let upper = mark.to_ascii_uppercase();
            for other in ["", "sha1=", "v0=", "v9,", "\u{e9}", &upper, &format!("{mark}{mark}")] {
                if marks.iter().any(|(_, own)| own == other) {
                    continue;
                }
                let mut bad = sent.clone();
                let value = bad.headers.iter_mut().find(|(own, value)| {
                    own.eq_ignore_ascii_case(header)
                        && String::from_utf8_lossy(value).contains(mark.as_str())
                });
                let Some((_, value)) = value else { continue };
                *value = String::from_utf8_lossy(value).replacen(mark, other, 1).into_bytes();
                assert!(!row.passes(&bad), "{name} passes {other:?} for {mark:?}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 100, "only {seen} marks");
}

#[test]
fn a_body_of_any_bytes_is_itself_and_no_other() {
    let bodies: [&[u8]; 6] = [b"", b"\n", b"\0", b"\xff\xfe\x00\x80", b"\xef\xbb\xbf{}", b"{}"];
    let mut seen = 0;
    for row in ROWS.iter().filter(|row| row.signs_bytes()) {
        for body in bodies {
            let Some(sent) = row.send(0, body).filter(|sent| sent.body == body) else { continue };
            assert!(row.passes(&sent), "{} {body:?}", row.provider.name);
            for other in bodies.iter().filter(|other| **other != body) {
                let sent = Sent { body: other.to_vec(), ..sent.clone() };
                assert!(!row.passes(&sent), "{} {body:?} {other:?}", row.provider.name);
            }
            seen += 1;
        }
    }
    assert!(seen >= 300, "only {seen} bodies");
}

#[test]
fn a_body_that_was_written_anew_does_not_pass() {
    let mut seen = 0;
    for row in ROWS.iter().filter(|row| row.signs_bytes()) {
        for body in BODIES {
            let Some(sent) = row.send(0, body.as_bytes()) else { continue };
            let Ok(value) = serde_json::from_slice::<serde_json::Value>(&sent.body) else {
                continue;
            };
            let pretty = serde_json::to_vec_pretty(&value).unwrap();
            for anew in [serde_json::to_vec(&value).unwrap(), pretty] {
                let same = anew == sent.body;
                let sent = Sent { body: anew, ..sent.clone() };
                assert_eq!(row.passes(&sent), same, "{}", row.provider.name);
                seen += 1;
            }
        }
    }
    assert!(seen >= 300, "only {seen} bodies");
}

/// An HMAC fills its key up with zeros, so a key of zeros is the empty one.
#[test]
fn a_key_of_zeros_is_none() {
    let zeros = "00".repeat(32);
    for (name, text) in [
        ("github", "\0\0\0\0"),
        ("messagebird", "\0"),
        ("onfleet", &zeros),
        ("standard-webhooks", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("svix", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        let read = Secret::parse(find(name).unwrap(), text);
        assert_eq!(read.err(), Some(SecretError::Zeros), "{name}");
    }
    for (name, text) in [("github", zeros.as_str()), ("onfleet", "0001"), ("github", "\0\u{1}")] {
        assert!(Secret::parse(find(name).unwrap(), text).is_ok(), "{name} {text:?}");
    }
}

#[test]
fn no_row_takes_a_blank_secret() {
    for provider in all() {
        for text in ["", " ", "\t\n", "\u{a0}", "whsec_", " whsec_\n", "whpk_", "whsk_"] {
            let read = Secret::parse(provider, text);
            assert_eq!(read.err(), Some(SecretError::Empty), "{} {text:?}", provider.name);
        }
    }
}
