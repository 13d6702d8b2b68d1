//! `doorbell providers`: the rows of the signature crate, for people.

use crate::report::Report;
use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use webhook_signatures::{
    Algorithm, Confidence, Field, Hash, Provider, Scheme, SecretNeed, all, find,
};

/// Which providers.
#[derive(Debug, Args)]
pub(crate) struct Providers {
    /// Only this one, with everything that is known about it
    name: Option<String>,
}

pub(crate) fn run(asked: &Providers, report: Report) -> Result<()> {
    match &asked.name {
        Some(name) => {
            let row = find(name).with_context(|| unknown(name))?;
            super::show::one(report, &if report.is_json() { whole(row) } else { for_people(row) });
        }
        None if report.is_json() => {
            report.json(&json!({ "data": all().iter().map(whole).collect::<Vec<_>>() }));
        }
        None => {
            let head = ["NAME", "TITLE", "SIGNED BY", "EVENT ID", "EVENT TYPE", "SURE"];
            report.table(&head, all().iter().map(line).collect());
        }
    }
    Ok(())
}

/// That there is no such provider, and which ones are called like it.
pub(crate) fn unknown(name: &str) -> String {
    let like = all().iter().filter(|row| row.name.contains(name) || name.contains(&*row.name));
    let like: Vec<&str> = like.map(|row| &*row.name).take(5).collect();
    let hint = if like.is_empty() {
        "`doorbell providers` lists them".to_owned()
    } else {
        format!("did you mean {}?", like.join(" or "))
    };
    format!("there is no provider {name:?}: {hint}")
}

fn line(row: &Provider) -> Vec<String> {
    let place = |field: &Option<Field>| {
        field.as_ref().map_or_else(|| "-".to_owned(), |field| clipped(&place(field)))
    };
    let sure = confidence(&row.confidence).0;
    vec![
        row.name.to_string(),
        clipped(&row.title),
        clipped(&family(row)),
        place(&row.event_id),
        place(&row.event_type),
        sure.to_owned(),
    ]
}

fn whole(row: &Provider) -> Value {
    let (sure, because) = confidence(&row.confidence);
    let settings = row.settings.iter().map(|setting| {
        json!({"name": setting.name, "what": setting.title, "required": setting.required})
    });
    json!({
        "name": row.name, "title": row.title, "docs": row.docs, "signed_by": family(row),
        "secret": need(row.secret_need()),
        "event_id": row.event_id.as_ref().map(place), "event_type": row.event_type.as_ref().map(place),
        "settings": settings.collect::<Vec<_>>(),
        "answer": row.response.success, "deadline_ms": row.deadline_ms,
        "retries": Some(&row.retries).filter(|text| !text.is_empty()),
        "caveats": row.caveats, "confidence": sure, "because": because,
    })
}

/// The same without what is empty, and its sentences as a text.
fn for_people(row: &Provider) -> Value {
    let mut all = whole(row);
    if let Value::Object(members) = &mut all {
        members.insert("caveats".to_owned(), Value::from(row.caveats.join(" ")));
        members.retain(|_, value| {
            *value != json!([]) && value.as_str().is_none_or(|text| !text.is_empty())
        });
    }
    all
}

fn need(need: SecretNeed) -> &'static str {
    match need {
        SecretNeed::Required => "required",
        SecretNeed::HandedOut => "handed out in the first request",
        SecretNeed::Fetched => "its public keys are fetched",
        SecretNeed::OrSetting => "a key, or the setting that says where keys are",
        SecretNeed::None => "none: nothing is verified",
    }
}

fn confidence(of: &Confidence) -> (&'static str, &str) {
    match of {
        Confidence::Verified(why) => ("verified", why),
        Confidence::Source(why) => ("source", why),
        Confidence::Uncertain(why) => ("uncertain", why),
    }
}

/// What fits into a column; the whole stands on the provider's own page.
fn clipped(text: &str) -> String {
    const WIDTH: usize = 34;
    if text.chars().count() <= WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 1).chain(['…']).collect()
}

/// How it signs, in a few letters.
fn family(row: &Provider) -> String {
    let mut all: Vec<&str> = Vec::new();
    for name in row.schemes.iter().map(scheme) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all.join(" or ")
}

fn scheme(of: &Scheme) -> &'static str {
    match of {
        Scheme::None => "nothing",
        Scheme::Token(_) => "shared token",
        Scheme::Basic => "HTTP Basic",
        Scheme::Jwt(_) => "JWT",
        Scheme::HttpSignature(_) => "RFC 9421",
        Scheme::Signed(signed) => match signed.algorithm {
            Algorithm::Hmac(Hash::Sha1) => "HMAC-SHA1",
            Algorithm::Hmac(Hash::Sha256) => "HMAC-SHA256",
            Algorithm::Hmac(Hash::Sha384) => "HMAC-SHA384",
            Algorithm::Hmac(Hash::Sha512) => "HMAC-SHA512",
            Algorithm::Digest(_) => "digest",
            Algorithm::Ed25519 => "Ed25519",
            Algorithm::EcdsaP256 | Algorithm::EcdsaP256Fixed => "ECDSA P-256",
            Algorithm::RsaSha1 => "RSA-SHA1",
            Algorithm::RsaSha256 => "RSA-SHA256",
            Algorithm::RsaSha512 => "RSA-SHA512",
        },
        _ => "another scheme",
    }
}

/// Where a value stands, short enough for a table.
fn place(field: &Field) -> String {
    match field {
        Field::Header(name) => name.to_string(),
        Field::Body => "body".to_owned(),
        Field::Json(pointer) => pointer.to_string(),
        Field::Form(name) => format!("form {name}"),
        Field::Part(name) => format!("part {name}"),
        Field::FormJson(name, pointer) => format!("form {name} {pointer}"),
        Field::Query(name) => format!("?{name}"),
        Field::Claim { pointer, .. } | Field::BodyClaim(pointer) => format!("claim {pointer}"),
        Field::Xml { element, .. } => format!("<{element}>"),
        Field::FirstKey { .. } => "first key".to_owned(),
        Field::First(fields) => fields.first().map(place).unwrap_or_default(),
        Field::Joined { fields, .. } => fields.iter().map(place).collect::<Vec<_>>().join(" + "),
        Field::Fixed(text) => format!("{:?}", &**text),
    }
}
