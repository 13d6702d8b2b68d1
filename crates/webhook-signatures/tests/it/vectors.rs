//! Captured and published requests, one file a provider: each must pass exactly when it says that it is valid.

use base64::Engine as _;
use serde_json::Value;
use std::path::PathBuf;
use webhook_signatures::{Incoming, Provider, Secret, describe, find, verify, verify_and_describe};

/// One request of `tests/vectors/`.
pub(crate) struct Vector {
    json: Value,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Vector {
    fn new(json: Value) -> Self {
        let headers = json["headers"].as_object().unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        let body = base64::engine::general_purpose::STANDARD
            .decode(json["body_base64"].as_str().unwrap())
            .unwrap();
        Self { json, headers, body }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.json[name].as_str()
    }

    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.text("provider").unwrap(), self.text("name").unwrap())
    }

    pub(crate) fn now(&self) -> i64 {
        self.json["now"].as_i64().unwrap()
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.json["valid"].as_bool().unwrap()
    }

    pub(crate) fn field(&self, name: &str) -> &Value {
        &self.json[name]
    }

    pub(crate) fn incoming(&self) -> Incoming<'_> {
        Incoming {
            method: self.text("method").unwrap(),
            url: self.text("url").unwrap(),
            headers: &self.headers,
            body: &self.body,
        }
    }

    /// The provider's row with this account's settings.
    pub(crate) fn provider(&self) -> Provider {
        let found =
            ["provider", "scheme"].into_iter().find_map(|name| find(self.text(name).unwrap()));
        let mut provider = found.unwrap_or_else(|| panic!("no row for {}", self.title())).clone();
        let expected = |name: &str| self.json["expected"][name].as_str();
        let values = [
            ("webhook_id", self.text("webhook_id")),
            ("public_key", self.text("public_id")),
            ("audience", expected("audience")),
            ("email", expected("email")),
            ("topic_arn", provider.name.starts_with("aws-sns").then_some("*")),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                assert!(provider.set(name, value.to_owned()), "{} has no {name}", provider.name);
            }
        }
        provider
    }

    pub(crate) fn secrets(&self, provider: &Provider) -> Vec<Secret> {
        let texts = ["secret", "public_key", "certificate"]
            .into_iter()
            .filter_map(|name| self.text(name).map(str::to_owned));
        let sets = ["jwks", "jwk"]
            .into_iter()
            .filter(|name| self.json[*name].is_object())
            .map(|name| self.json[name].to_string());
        texts.chain(sets).map(|text| Secret::parse(provider, &text).unwrap()).collect()
    }
}

/// All vectors in the order of their files.
pub(crate) fn all() -> Vec<Vector> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        serde_json::from_slice::<Vec<Value>>(&std::fs::read(file).unwrap()).unwrap()
    };
    files.into_iter().flat_map(read).map(Vector::new).collect()
}

#[test]
fn each_vector_passes_exactly_when_it_is_valid() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for vector in all().iter().filter(|vector| vector.field("handshake").is_null()) {
        let provider = vector.provider();
        let secrets = vector.secrets(&provider);
        let verdict = verify(&provider, &secrets, &vector.incoming(), vector.now());
        let both = verify_and_describe(&provider, &secrets, &vector.incoming(), vector.now());
        let apart = |proof| (proof, describe(&provider, &vector.incoming()));
        assert_eq!(both, verdict.clone().map(apart), "{}", vector.title());
        let either =
            !vector.field("lenient_ok").is_null() || !vector.field("strict_may_reject").is_null();
        if verdict.is_ok() != vector.is_valid() && !either {
            wrong.push(format!("{}: {verdict:?}", vector.title()));
        }
        seen += 1;
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen >= 13, "only {seen} vectors were found");
}

#[test]
fn each_vector_says_its_event_id_and_type() {
    let mut wrong = Vec::new();
    for vector in all() {
        let described = describe(&vector.provider(), &vector.incoming());
        for (name, found) in
            [("event_id", &described.event_id), ("event_type", &described.event_type)]
        {
            if let Some(want) = vector.text(name)
                && found.as_deref() != Some(want)
            {
                wrong.push(format!("{} {name}: {found:?} for {want}", vector.title()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn no_vector_passes_without_a_secret_or_with_another() {
    for vector in
        all().iter().filter(|vector| vector.is_valid() && vector.field("handshake").is_null())
    {
        let provider = vector.provider();
        let refused = verify(&provider, &[], &vector.incoming(), vector.now());
        assert!(refused.is_err(), "{} passed without a secret", vector.title());
        let Some(text) = vector.text("secret") else { continue };
        let Ok(other) = Secret::parse(&provider, &format!("{}1111", text.trim_end_matches('=')))
        else {
            continue;
        };
        let refused = verify(&provider, &[other], &vector.incoming(), vector.now());
        assert!(refused.is_err(), "{} passed with another secret", vector.title());
    }
}
