//! The flags of sources and endpoints: one for each field of the API, the same to make one and to change it.

use super::fields::{text, texts};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

/// A field by its name (`a.b` for a nested one), and what a flag says of it.
pub(crate) type Field = (&'static str, Option<Value>);

/// How a source receives.
#[derive(Debug, Args)]
pub(crate) struct SourceFlags {
    /// A secret that the provider signs with; several while it is changed
    #[arg(long = "secret", allow_hyphen_values = true)]
    secrets: Vec<String>,
    /// A setting of the provider, such as header=X-Signature
    #[arg(long = "option", value_name = "NAME=VALUE")]
    options: Vec<String>,
    /// The address under which the provider knows it, for schemes that sign the URL
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Whether it receives: true or false
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// A method it takes, such as POST; all when none is given
    #[arg(long = "method")]
    methods: Vec<String>,
    /// Event types it wants, with *; all when none is given
    #[arg(long = "event-type")]
    event_types: Vec<String>,
    /// Where the event type stands: header:NAME, or a JSON pointer into the body (/type)
    #[arg(long, value_name = "PLACE")]
    type_rule: Option<String>,
    /// How long duplicates are known, such as 24h; 0s: not at all
    #[arg(long, value_name = "TIME")]
    dedupe_window: Option<String>,
    /// Where the key stands by which duplicates are known: header:NAME, or a JSON pointer
    #[arg(long, value_name = "PLACE")]
    dedupe_key: Option<String>,
    /// Largest body, in bytes
    #[arg(long, value_name = "BYTES")]
    body_max: Option<u64>,
    /// What the caller gets on success: a status from 200 to 299
    #[arg(long, value_name = "STATUS")]
    response_status: Option<u16>,
    /// The content type of that answer
    #[arg(long, value_name = "TYPE")]
    response_type: Option<String>,
    /// The body of that answer
    #[arg(long, value_name = "TEXT")]
    response_body: Option<String>,
    /// A queue whose messages become its requests too: queue://NAME/QUEUE, where the settings have [queues.NAME]
    #[arg(long, value_name = "QUEUE")]
    from: Option<String>,
}

impl SourceFlags {
    /// What they say.
    ///
    /// # Errors
    /// When one is not written as it should be.
    pub(crate) fn fields(&self) -> Result<Vec<Field>> {
        Ok(vec![
            ("secrets", texts(&self.secrets)),
            ("options", pairs("option", &self.options)?),
            ("public_url", text(self.public_url.as_ref())),
            ("enabled", self.enabled.map(Value::from)),
            ("methods", texts(&self.methods)),
            ("event_types", texts(&self.event_types)),
            ("type_rule", self.type_rule.as_deref().map(key_rule)),
            ("dedupe.window", text(self.dedupe_window.as_ref())),
            ("dedupe.key", self.dedupe_key.as_deref().map(key_rule)),
            ("body_max", self.body_max.map(Value::from)),
            ("response.status", self.response_status.map(Value::from)),
            ("response.content_type", text(self.response_type.as_ref())),
            ("response.body", text(self.response_body.as_ref())),
            ("from", text(self.from.as_ref())),
        ])
    }
}

/// What an endpoint gets, and how.
#[derive(Debug, Args)]
pub(crate) struct EndpointFlags {
    /// Whether it gets anything: enabled, paused or disabled
    #[arg(long)]
    status: Option<String>,
    /// Only events of these sources
    #[arg(long = "source")]
    sources: Vec<String>,
    /// Only these event types, with *
    #[arg(long = "event-type")]
    event_types: Vec<String>,
    /// Only events of these channels
    #[arg(long = "channel")]
    channels: Vec<String>,
    /// Only events for which this filter holds: JSON, such as '{"body":{"amount":{"$gt":10}}}'
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// A header line that is added to each request
    #[arg(long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// One deadline over a whole delivery, such as 30s
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Deliveries in flight at once
    #[arg(long, value_name = "NUMBER")]
    concurrency: Option<u32>,
    /// At most so many deliveries in some time: 100/1m, or 10 for 10 a second
    #[arg(long, value_name = "COUNT[/TIME]")]
    rate: Option<String>,
    /// The wait before each try, the first included: 0s,10s,5m
    #[arg(long, value_name = "TIMES", value_delimiter = ',')]
    retry_schedule: Vec<String>,
    /// A status after which there is no other try: 404, or 400-499
    #[arg(long, value_name = "STATUS")]
    retry_never: Vec<String>,
    /// Deliver in order by a key, which stands here: header:NAME, or a JSON pointer into the body (/id)
    #[arg(long, value_name = "PLACE")]
    order_key: Option<String>,
    /// What a dead delivery does to the later ones of its key: block or skip
    #[arg(long, value_name = "WORD")]
    order_on_dead: Option<String>,
    /// Sign by another scheme too, such as github
    #[arg(long, value_name = "PROVIDER")]
    extra_signature: Option<String>,
    /// The secret of that scheme
    #[arg(long, value_name = "SECRET")]
    extra_signature_secret: Option<String>,
    /// A setting of that scheme
    #[arg(long = "extra-signature-option", value_name = "NAME=VALUE")]
    extra_signature_options: Vec<String>,
}

impl EndpointFlags {
    /// What they say.
    ///
    /// # Errors
    /// When one is not written as it should be.
    pub(crate) fn fields(&self) -> Result<Vec<Field>> {
        let (count, per) = self.rate.as_deref().map(rate).transpose()?.unwrap_or_default();
        Ok(vec![
            ("status", text(self.status.as_ref())),
            ("sources", texts(&self.sources)),
            ("event_types", texts(&self.event_types)),
            ("channels", texts(&self.channels)),
            ("filter", self.filter.as_deref().map(filter).transpose()?),
            ("headers", header_lines(&self.headers)?),
            ("timeout", text(self.timeout.as_ref())),
            ("concurrency", self.concurrency.map(Value::from)),
            ("rate.count", count),
            ("rate.per", per),
            ("retry.schedule", texts(&self.retry_schedule)),
            ("retry.never", texts(&self.retry_never)),
            ("order.key", self.order_key.as_deref().map(key_rule)),
            ("order.on_dead", text(self.order_on_dead.as_ref())),
            ("extra_signature.provider", text(self.extra_signature.as_ref())),
            ("extra_signature.secret", text(self.extra_signature_secret.as_ref())),
            (
                "extra_signature.options",
                pairs("extra-signature-option", &self.extra_signature_options)?,
            ),
        ])
    }
}

/// `header:NAME`, or else a JSON pointer; which the server checks.
fn key_rule(place: &str) -> Value {
    match place.strip_prefix("header:") {
        Some(name) => json!({ "header": name }),
        None => json!({ "pointer": place }),
    }
}

fn filter(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("--filter {text}: write a JSON object"))
}

/// `COUNT` or `COUNT/TIME`.
fn rate(text: &str) -> Result<(Option<Value>, Option<Value>)> {
    let (count, per) = text.split_once('/').map_or((text, None), |(count, per)| (count, Some(per)));
    let read = count.parse::<u32>();
    let count = read.with_context(|| format!("--rate {text}: write COUNT/TIME, such as 100/1m"))?;
    Ok((Some(count.into()), per.map(Value::from)))
}

/// `NAME=VALUE` texts, split.
fn split<'a>(flag: &str, texts: &'a [String]) -> Result<Vec<(&'a str, &'a str)>> {
    let one = |text: &'a String| {
        text.split_once('=').with_context(|| format!("--{flag} {text}: write NAME=VALUE"))
    };
    texts.iter().map(one).collect()
}

/// `NAME=VALUE` texts as a JSON object.
fn pairs(flag: &str, texts: &[String]) -> Result<Option<Value>> {
    let members =
        split(flag, texts)?.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    let object: Map<String, Value> = members.collect();
    Ok((!object.is_empty()).then_some(Value::Object(object)))
}

fn header_lines(texts: &[String]) -> Result<Option<Value>> {
    let line = |(name, value): (&str, &str)| json!({ "name": name, "value": value });
    let lines: Vec<Value> = split("header", texts)?.into_iter().map(line).collect();
    Ok((!lines.is_empty()).then_some(Value::Array(lines)))
}

#[cfg(test)]
mod tests {
    use crate::cli::{endpoint, source};
    use clap::{Args, Command, Subcommand};
    use serde_json::{Value, json};

    fn read<A: Args>(line: &str) -> A {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let matches = A::augment_args(Command::new("x")).try_get_matches_from(words).unwrap();
        A::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn flags_of_a_source_become_what_the_api_takes() {
        let create: source::Create = read(
            "in --provider hmac --secret s --option header=X-Sig --public-url https://a.example/in --enabled false \
             --method POST --event-type a.* --type-rule header:x-type --dedupe-window 0s --dedupe-key /id \
             --body-max 10 --response-status 202 --response-type text/xml --response-body <ok/>",
        );
        let wanted = json!({
            "name": "in", "provider": "hmac", "secrets": ["s"], "options": {"header": "X-Sig"},
            "public_url": "https://a.example/in", "enabled": false, "methods": ["POST"],
            "event_types": ["a.*"], "type_rule": {"header": "x-type"},
            "dedupe": {"window": "0s", "key": {"pointer": "/id"}}, "body_max": 10,
            "response": {"status": 202, "content_type": "text/xml", "body": "<ok/>"},
        });
        assert_eq!(create.body().unwrap(), wanted);
    }

    #[test]
    fn flags_of_an_endpoint_become_what_the_api_takes() {
        let create: endpoint::Create = read(
            "app --url https://a.example/ --secret whsec_x --status paused --source in --event-type b --channel eu \
             --filter {\"body\":{}} --header x-key=1=2 --timeout 3s --concurrency 4 --rate 100/1m \
             --retry-schedule 0s,10s --retry-never 404 --order-key header:x-key --order-on-dead block \
             --extra-signature github --extra-signature-secret t --extra-signature-option a=b",
        );
        let wanted = json!({
            "name": "app", "url": "https://a.example/", "secret": "whsec_x", "status": "paused",
            "sources": ["in"], "event_types": ["b"], "channels": ["eu"], "filter": {"body": {}},
            "headers": [{"name": "x-key", "value": "1=2"}], "timeout": "3s", "concurrency": 4,
            "rate": {"count": 100, "per": "1m"},
            "retry": {"schedule": ["0s", "10s"], "never": ["404"]},
            "order": {"key": {"header": "x-key"}, "on_dead": "block"},
            "extra_signature": {"provider": "github", "secret": "t", "options": {"a": "b"}},
        });
        assert_eq!(create.body().unwrap(), wanted);
    }

    #[test]
    fn an_update_says_only_what_changes() {
        let update: source::Update = read("in --public-url https://b.example/");
        assert_eq!(update.body().unwrap(), json!({"public_url": "https://b.example/"}));
        let update: endpoint::Update = read("app --name other --url https://b.example/ --rate 5");
        let wanted = json!({"name": "other", "url": "https://b.example/", "rate": {"count": 5}});
        assert_eq!(update.body().unwrap(), wanted);
        for wrong in ["app --rate many", "app --header x", "app --filter {"] {
            assert!(read::<endpoint::Update>(wrong).body().is_err(), "{wrong}");
        }
    }

    /// The fields that the API takes, from its document.
    fn properties(schema: &str, inside: &str) -> Vec<String> {
        let document: Value =
            serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
        let of = &document["components"]["schemas"][schema]["properties"];
        let names = of.as_object().unwrap().keys();
        names.map(|name| format!("{inside}{}", name.replace('_', "-"))).collect()
    }

    fn flags<V: Subcommand>(verb: &str) -> Vec<String> {
        let command = V::augment_subcommands(Command::new("x"));
        let verb = command.find_subcommand(verb).unwrap();
        verb.get_arguments().map(|arg| arg.get_id().as_str().replace('_', "-")).collect()
    }

    fn has_all(given: &[String], wanted: &[String], but: &[&str]) {
        for name in wanted.iter().filter(|name| !but.contains(&name.as_str())) {
            assert!(given.contains(name), "no flag for {name}: {given:?}");
        }
    }

    #[test]
    fn every_field_of_the_api_has_its_flag() {
        let nested = ["dedupe", "response", "rate", "retry", "order", "secret"];
        for verb in ["create", "update"] {
            let given = flags::<source::Verb>(verb);
            has_all(&given, &properties("SourceIn", ""), &nested);
            has_all(&given, &properties("DedupeRule", "dedupe-"), &[]);
            has_all(&given, &properties("ResponseRule", "response-"), &["response-content-type"]);
            let given = flags::<endpoint::Verb>(verb);
            has_all(&given, &properties("EndpointIn", ""), &nested);
            has_all(&given, &properties("RetryRule", "retry-"), &[]);
            has_all(&given, &properties("OrderRule", "order-"), &[]);
            has_all(
                &given,
                &properties("ExtraSignature", "extra-signature-"),
                &["extra-signature-provider"],
            );
        }
    }
}
