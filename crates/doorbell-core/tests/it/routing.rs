//! Which endpoints an event goes to, and how the directory is looked things up in.

use crate::world::{NOW, configuration, directory, endpoint, event, source, types};
use doorbell_core::configuration::{Configuration, Scope, Tenant, Token};
use doorbell_core::directory::{Directory, Settings};
use doorbell_core::endpoint::{Endpoint, Subscription};
use doorbell_core::event::{Event, Origin};
use doorbell_core::filter::Document;
use doorbell_core::id::{EndpointId, SourceId, TenantId, TokenId};
use doorbell_core::limits;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const A: SourceId = SourceId::from_bytes([1; 16]);
const B: SourceId = SourceId::from_bytes([2; 16]);

fn routed(directory: &Directory, event: &Event) -> Vec<EndpointId> {
    let mut ids: Vec<_> = directory.route(event).map(|ready| ready.endpoint().id).collect();
    ids.sort_unstable();
    ids
}

/// What a subscription means, written down once more without any table.
fn subscribes(endpoint: &Endpoint, event: &Event) -> bool {
    let wanted = &endpoint.subscription;
    let source = match event.origin {
        Origin::Source(id) => wanted.sources.is_empty() || wanted.sources.contains(&id),
        Origin::Api => wanted.sources.is_empty(),
    };
    let kind = match &event.event_type {
        Some(kind) => wanted.event_types.iter().any(|pattern| pattern.fits(kind)),
        None => wanted.event_types.iter().any(|pattern| pattern.as_str() == "*"),
    };
    let channel = wanted.channels.iter().any(|channel| event.channels.contains(channel));
    endpoint.tenant == event.tenant
        && source
        && (kind || wanted.event_types.is_empty())
        && (channel || wanted.channels.is_empty())
}

fn any_subscription() -> impl Strategy<Value = Subscription> {
    let sources = prop::collection::vec(prop::sample::select(vec![A, B]), 0..3);
    let patterns = ["a", "b", "a.b", "a.*", "*", "*.b"];
    let kinds = prop::collection::vec(prop::sample::select(patterns.to_vec()), 0..4);
    let channels = prop::collection::vec(prop::sample::select(vec!["eu", "us"]), 0..2);
    (sources, kinds, channels).prop_map(|(sources, kinds, channels)| Subscription {
        sources,
        channels: channels.into_iter().map(str::to_owned).collect(),
        ..types(&kinds)
    })
}

fn any_event() -> impl Strategy<Value = Event> {
    let origin = prop::sample::select(vec![Origin::Api, Origin::Source(A), Origin::Source(B)]);
    let kind = prop::sample::select(vec![None, Some("a"), Some("b"), Some("a.b"), Some("c")]);
    let channels = prop::collection::vec(prop::sample::select(vec!["eu", "us"]), 0..2);
    let tenant = prop::sample::select(vec![TenantId::DEFAULT, TenantId::from_bytes([7; 16])]);
    (origin, kind, channels, tenant).prop_map(|(origin, kind, channels, tenant)| Event {
        tenant,
        channels: channels.into_iter().map(str::to_owned).collect(),
        ..event(origin, kind)
    })
}

proptest! {
    /// The table finds exactly the endpoints that subscribe, each once.
    #[test]
    fn the_table_says_what_the_subscriptions_say(subscriptions in prop::collection::vec(any_subscription(), 0..30), event in any_event()) {
        let endpoints: Vec<_> = (0..).zip(subscriptions).map(|(n, s)| endpoint(n, s)).collect();
        let expected: Vec<_> = endpoints.iter().filter(|e| subscribes(e, &event)).map(|e| e.id).collect();
        prop_assert_eq!(routed(&directory(&[], &endpoints), &event), expected);
    }
}

#[test]
fn more_types_than_the_table_has_places_for() {
    let many: Vec<String> =
        (0..limits::ROUTES_PER_ENDPOINT + 1).map(|n| format!("type.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let subscription = Subscription { sources: vec![A, B], ..types(&many) };
    let directory = directory(&[], &[endpoint(1, subscription)]);
    assert_eq!(routed(&directory, &event(Origin::Source(A), Some("type.3"))).len(), 1);
    assert_eq!(routed(&directory, &event(Origin::Source(A), Some("type.x"))).len(), 0);
    assert_eq!(routed(&directory, &event(Origin::Api, Some("type.3"))).len(), 0);
}

#[test]
fn sources_by_name_and_id() {
    let directory = directory(&[source(1, "github", "github", &["s"])], &[]);
    let id = A.to_string();
    for segment in ["github", id.as_str()] {
        assert_eq!(
            directory.source_at(segment).map(|ready| ready.source().id),
            Some(A),
            "{segment}"
        );
    }
    for segment in ["", "GitHub", "other", "src_"] {
        assert!(directory.source_at(segment).is_none(), "{segment}");
    }
}

#[test]
fn a_bad_value_stops_only_what_it_belongs_to() {
    let mut broken = endpoint(1, types(&[]));
    broken.subscription.filter = Some("{\"nonsense\":1}".to_owned());
    let sources = [source(1, "good", "none", &[]), source(2, "bad", "no-such-provider", &["s"])];
    let directory = directory(&sources, &[broken, endpoint(2, types(&[]))]);
    assert!(directory.source_at("good").unwrap().verifier().is_ok());
    assert!(directory.source_at("bad").unwrap().verifier().is_err());
    let event = event(Origin::Api, Some("a"));
    assert_eq!(routed(&directory, &event).len(), 2);
    let document = Document::new(&event);
    assert!(directory.route(&event).all(|ready| ready.wants(&document)));
}

#[test]
fn filters_are_asked_apart() {
    let mut picky = endpoint(1, types(&[]));
    picky.subscription.filter = Some(r#"{"event_type":"a"}"#.to_owned());
    let directory = directory(&[], &[picky]);
    for (kind, wants) in [("a", true), ("b", false)] {
        let event = event(Origin::Api, Some(kind));
        let document = Document::new(&event);
        assert!(directory.route(&event).all(|ready| ready.wants(&document) == wants), "{kind}");
        assert_eq!(directory.route(&event).count(), 1);
    }
}

#[test]
fn what_has_not_changed_is_taken_over() {
    let (one, mut two) = (endpoint(1, types(&[])), endpoint(2, types(&[])));
    let settings = Settings::default();
    let before = Directory::new(
        &configuration(&[source(1, "a", "none", &[])], &[one.clone(), two.clone()]),
        &settings,
        None,
    );
    two.url = "https://other.example.com/".to_owned();
    let of = configuration(&[source(1, "a", "none", &[])], &[one.clone(), two.clone()]);
    let after = Directory::new(&of, &settings, Some(&before));
    let same = |id| Arc::ptr_eq(before.endpoint(id).unwrap(), after.endpoint(id).unwrap());
    assert!(same(one.id) && !same(two.id));
    assert!(Arc::ptr_eq(before.source(A).unwrap(), after.source(A).unwrap()));
    assert_eq!(after.endpoint(two.id).unwrap().endpoint().url, two.url);
    let public = Settings { ingest_url: Some("https://in.example.com/in/".to_owned()), ..settings };
    let moved = Directory::new(&of, &public, Some(&after));
    assert_eq!(moved.source(A).unwrap().public_url(), Some("https://in.example.com/in/a"));
}

#[test]
fn tokens_by_hash_until_they_expire() {
    let token = Token {
        id: TokenId::from_bytes([1; 16]),
        tenant: TenantId::DEFAULT,
        name: "ci".to_owned(),
        scopes: vec![Scope::Publish],
        hash: [5; 32],
        expires: Some(NOW),
        created: NOW,
    };
    let tenant = Tenant {
        id: TenantId::DEFAULT,
        uid: "default".to_owned(),
        name: "Default".to_owned(),
        created: NOW,
    };
    let of = Configuration {
        tokens: vec![token.clone()],
        tenants: vec![tenant.clone()],
        ..Configuration::default()
    };
    let directory = Directory::new(&of, &Settings::default(), None);
    assert_eq!(directory.token(&[5; 32], NOW.before(Duration::from_millis(1))), Some(&token));
    assert_eq!(directory.token(&[5; 32], NOW), None);
    assert_eq!(directory.token(&[6; 32], NOW), None);
    assert_eq!(
        (directory.tenant_by_uid("default"), directory.tenant(TenantId::from_bytes([1; 16]))),
        (Some(&tenant), None)
    );
}
