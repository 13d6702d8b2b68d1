//! Requests as providers sign them, for measuring what each scheme costs.

use anyhow::{Context, Result};
use webhook_signatures::{Provider, Secret, ToSign, find, sample, sign};

/// The moment of [`super::What::Verify`], in Unix seconds.
pub(super) const NOW: i64 = 1_767_225_600;
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const HEX: &str = "00112233445566778899aabbccddeeff";
const ED25519: &str = include_str!("../../../crates/webhook-signatures/tests/data/ed25519.pem");
const P256: &str = include_str!("../../../crates/webhook-signatures/tests/data/p256.pem");
const RSA: &str = include_str!("../../../crates/webhook-signatures/tests/data/rsa.pem");

/// A row of each kind, with a secret that can sign; by family.
pub(super) const ROWS: [(&str, &str); 26] = [
    ("github", SECRET),
    ("shopify", SECRET),
    ("vercel", SECRET),
    ("onfleet", HEX),
    ("stripe", SECRET),
    ("slack", SECRET),
    ("standard-webhooks", SECRET),
    ("recurly", SECRET),
    ("coinbase-cdp", SECRET),
    ("contentful", SECRET),
    ("telegram", SECRET),
    ("basic", "user:password"),
    ("square", SECRET),
    ("hubspot", SECRET),
    ("twilio", SECRET),
    ("netlify", SECRET),
    ("messagebird", SECRET),
    ("fusionauth", SECRET),
    ("http-signature-hmac", SECRET),
    ("hygraph", SECRET),
    ("braintree", SECRET),
    ("adyen", HEX),
    ("discord", ED25519),
    ("http-signature", ED25519),
    ("sendgrid", P256),
    ("kick", RSA),
];

/// A signed request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) headers: Vec<(String, String)>,
    pub(super) url: String,
    pub(super) body: Vec<u8>,
}

/// A provider's row with something in each of its settings.
pub(super) fn set_up(name: &str) -> Result<Provider> {
    let row = find(name).context("there is no such provider")?;
    let mut own = row.clone();
    for (name, value) in settings(row) {
        let _known = own.set(&name, value);
    }
    Ok(own)
}

/// What is in each of its settings.
pub(super) fn settings(row: &Provider) -> Vec<(String, &'static str)> {
    let value = |name: &str| if name == "topic_arn" { "*" } else { "https://a.example/x" };
    row.settings.iter().map(|s| (s.name.to_string(), value(&s.name))).collect()
}

/// A secret by which this provider's requests can be signed: that of [`ROWS`], or the first that fits.
pub(super) fn secret(row: &Provider) -> Result<&'static str> {
    let listed = ROWS.iter().filter(|(name, _)| *name == row.name).map(|(_, secret)| *secret);
    let mut all = listed.chain([SECRET, HEX, ED25519, P256, RSA]);
    all.find(|text| Secret::parse(row, text).is_ok()).context("no secret of ours fits it")
}

/// A request of about a kilobyte to this address, signed at this time.
pub(super) fn request(row: &Provider, secret: &Secret, (url, now): (&str, i64)) -> Result<Request> {
    let (kind, body) = body(&row.name);
    let lines = [("content-type", kind)];
    let unsigned = ToSign { id: "evt_1", now, url, method: "POST", headers: &lines, body: &body };
    let signed = sign(row, secret, &unsigned)?;
    let mut headers = vec![("content-type".to_owned(), kind.to_owned())];
    headers.extend(signed.headers.into_iter().map(|(name, value)| (name.into_owned(), value)));
    let url = signed.url.unwrap_or_else(|| url.to_owned());
    Ok(Request { headers, url, body: signed.body.unwrap_or(body) })
}

/// A body of the row's kind: its sample where the signature has its place in it, else 1 KB of JSON or form.
fn body(name: &str) -> (&'static str, Vec<u8>) {
    let filling = "x".repeat(980);
    let form = "application/x-www-form-urlencoded";
    match name {
        "adyen" | "braintree" => (
            if name == "adyen" { "application/json" } else { form },
            sample(name, None).map_or(&b"{}"[..], |s| s.body).to_vec(),
        ),
        "twilio" => (form, format!("CallSid=1&From=%2B1&Body={filling}").into_bytes()),
        _ => {
            let text =
                format!("{{\"id\":\"evt_1\",\"type\":\"invoice.paid\",\"data\":\"{filling}\"}}");
            ("application/json", text.into_bytes())
        }
    }
}
