//! Sources, endpoints, requests and events to test with.

use bytes::Bytes;
use doorbell_core::configuration::Configuration;
use doorbell_core::directory::{Directory, Settings};
use doorbell_core::endpoint::{Endpoint, Policy, SigningSecret, Status, Subscription};
use doorbell_core::event::{Event, Origin};
use doorbell_core::id::{EndpointId, EventId, SourceId, TenantId};
use doorbell_core::limits;
use doorbell_core::name::{EventType, EventTypePattern, Label};
use doorbell_core::request::{Headers, Request};
use doorbell_core::secret::SecretText;
use doorbell_core::source::{Dedupe, Source, Verification};
use doorbell_core::time::Time;

pub(crate) const NOW: Time = Time::from_ms(1_800_000_000_000);
pub(crate) const WHSEC: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

pub(crate) fn source(number: u8, name: &str, provider: &str, secrets: &[&str]) -> Source {
    Source {
        id: SourceId::from_bytes([number; 16]),
        tenant: TenantId::DEFAULT,
        name: Label::parse(name).unwrap(),
        enabled: true,
        verification: Verification {
            provider: provider.to_owned(),
            options: Vec::new(),
            secrets: secrets.iter().map(|s| SecretText::parse(s).unwrap()).collect(),
            public_url: None,
        },
        methods: Vec::new(),
        event_types: Vec::new(),
        type_rule: None,
        dedupe: Dedupe { window: limits::DEDUPE_WINDOW, key: None },
        body_max: limits::BODY_DEFAULT,
        response: None,
        hub: None,
        from: None,
        created: NOW,
        updated: NOW,
    }
}

pub(crate) fn endpoint(number: u16, subscription: Subscription) -> Endpoint {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    Endpoint {
        id: EndpointId::from_bytes(id),
        tenant: TenantId::DEFAULT,
        name: Label::parse(&format!("app-{number}")).unwrap(),
        status: Status::Enabled,
        subscription,
        url: "https://app.example.com/hooks".to_owned(),
        headers: Vec::new(),
        secrets: vec![SigningSecret { secret: SecretText::parse(WHSEC).unwrap(), expires: None }],
        policy: Policy::default(),
        created: NOW,
        updated: NOW,
    }
}

pub(crate) fn types(patterns: &[&str]) -> Subscription {
    let event_types = patterns.iter().map(|p| EventTypePattern::parse(p).unwrap()).collect();
    Subscription { event_types, ..Subscription::default() }
}

pub(crate) fn directory(sources: &[Source], endpoints: &[Endpoint]) -> Directory {
    Directory::new(configuration(sources, endpoints), Settings::default())
}

pub(crate) fn configuration(sources: &[Source], endpoints: &[Endpoint]) -> Configuration {
    Configuration {
        sources: sources.to_vec(),
        endpoints: endpoints.to_vec(),
        ..Configuration::default()
    }
}

pub(crate) fn request(headers: &[(&str, &str)], body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        path: String::new(),
        query: None,
        headers: lines(headers),
        body: Bytes::copy_from_slice(body.as_bytes()),
        peer: None,
    }
}

pub(crate) fn lines(headers: &[(&str, &str)]) -> Headers {
    headers.iter().map(|(n, v)| (n, Bytes::copy_from_slice(v.as_bytes()))).collect()
}

pub(crate) fn event(origin: Origin, event_type: Option<&str>) -> Event {
    Event {
        id: EventId::from_bytes([9; 16]),
        tenant: TenantId::DEFAULT,
        at: NOW,
        origin,
        event_type: event_type.map(|t| EventType::parse(t).unwrap()),
        dedupe_key: None,
        channels: Vec::new(),
        request: request(&[("content-type", "application/json")], "{}"),
    }
}
