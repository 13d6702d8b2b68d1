//! Which endpoints an event goes to, and how the directory is looked things up in.

use crate::world::{NOW, configuration, directory, endpoint, event, source, types};
use doorbell_core::configuration::{
    Change, Configuration, Resource, ResourceId, Scope, Tenant, Token,
};
use doorbell_core::directory::{Directory, Settings};
use doorbell_core::endpoint::{Endpoint, Subscription};
use doorbell_core::event::{Event, Origin};
use doorbell_core::filter::Document;
use doorbell_core::id::{EndpointId, SourceId, TenantId, TokenId};
use doorbell_core::limits;
use proptest::prelude::*;
use std::collections::BTreeMap;
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

    /// However a snapshot came to be, it is the same as one that was made of the whole.
    #[test]
    fn changes_one_by_one_lead_to_the_whole(steps in prop::collection::vec((0..8_u16, prop::option::of(any_subscription())), 0..30), event in any_event()) {
        let (mut directory, mut model) = (directory(&[], &[]), BTreeMap::new());
        for (number, subscription) in steps {
            let id = endpoint(number, types(&[])).id;
            let change = match subscription {
                Some(subscription) => {
                    let endpoint = endpoint(number, subscription);
                    model.insert(id, endpoint.clone());
                    Change::Put(Resource::Endpoint(endpoint))
                }
                None => {
                    model.remove(&id);
                    Change::Delete(ResourceId::Endpoint(id))
                }
            };
            directory = directory.changed([change]);
        }
        let endpoints: Vec<_> = model.into_values().collect();
        let expected: Vec<_> = endpoints.iter().filter(|e| subscribes(e, &event)).map(|e| e.id).collect();
        prop_assert_eq!(routed(&directory, &event), expected);
        prop_assert_eq!(directory.difference(configuration(&[], &endpoints)), []);
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
fn a_change_touches_only_what_it_names() {
    let (one, mut two) = (endpoint(1, types(&[])), endpoint(2, types(&["a"])));
    let before = directory(&[source(1, "a", "none", &[])], &[one.clone(), two.clone()]);
    two.url = "https://other.example.com/".to_owned();
    two.subscription = types(&["b"]);
    let after = before.changed([Change::Put(Resource::Endpoint(two.clone()))]);
    let same = |id| Arc::ptr_eq(before.endpoint(id).unwrap(), after.endpoint(id).unwrap());
    assert!(same(one.id) && !same(two.id));
    assert!(Arc::ptr_eq(before.source(A).unwrap(), after.source(A).unwrap()));
    assert_eq!(after.endpoint(two.id).unwrap().endpoint().url, two.url);
    let goes =
        |directory: &Directory, kind| directory.route(&event(Origin::Api, Some(kind))).count();
    assert_eq!((goes(&before, "a"), goes(&before, "b")), (2, 1), "who holds it is not disturbed");
    assert_eq!((goes(&after, "a"), goes(&after, "b")), (1, 2));
}

#[test]
fn names_may_be_swapped_and_taken_again() {
    let named =
        |number, name: &str| Change::Put(Resource::Source(source(number, name, "none", &[])));
    let name = |directory: &Directory, name: &str| directory.source_at(name).map(|s| s.source().id);
    let id = |number| source(number, "x", "none", &[]).id;
    let before = directory(&[], &[]).changed([named(1, "a"), named(2, "b")]);
    let swapped = before.changed([named(1, "b"), named(2, "a")]);
    assert_eq!((name(&swapped, "b"), name(&swapped, "a")), (Some(id(1)), Some(id(2))));
    let moved = swapped.changed([
        Change::Delete(ResourceId::Source(id(1))),
        named(2, "b"),
        Change::Delete(ResourceId::Source(id(3))),
    ]);
    assert_eq!((name(&moved, "b"), name(&moved, "a")), (Some(id(2)), None));
    let last = moved.changed([Change::Delete(ResourceId::Source(id(2))), named(2, "c")]);
    assert_eq!((name(&last, "b"), name(&last, "c")), (None, Some(id(2))));
}

#[test]
fn the_difference_leads_to_the_configuration() {
    let ends = (
        configuration(
            &[source(1, "a", "none", &[]), source(2, "b", "none", &[])],
            &[endpoint(1, types(&[])), endpoint(2, types(&[]))],
        ),
        configuration(
            &[source(2, "a", "none", &[]), source(3, "c", "none", &[])],
            &[endpoint(1, types(&[])), endpoint(2, types(&["x"]))],
        ),
    );
    let from = Directory::new(ends.0.clone(), Settings::default());
    assert_eq!(from.difference(ends.0), []);
    let changes = from.difference(ends.1.clone());
    let touched: Vec<_> = changes.iter().map(Change::id).collect();
    let ids = [1, 2, 3].map(|number| ResourceId::Source(source(number, "x", "none", &[]).id));
    let two = ResourceId::Endpoint(endpoint(2, types(&[])).id);
    assert_eq!(touched, [ids[1], ids[2], two, ids[0]], "the first endpoint stays");
    assert_eq!(from.changed(changes).difference(ends.1), []);
}

#[test]
fn an_endpoint_that_names_a_source_is_found() {
    let (one, two) = (source(1, "a", "none", &[]), source(2, "b", "none", &[]));
    let mut endpoints = vec![endpoint(1, types(&[])), endpoint(2, types(&["x", "y"]))];
    endpoints[1].subscription.sources = vec![two.id];
    let directory = directory(&[one.clone(), two.clone()], &endpoints);
    assert_eq!(directory.endpoint_naming(&one), None);
    assert_eq!(directory.endpoint_naming(&two), Some(&endpoints[1]));
}

#[test]
fn the_address_of_a_source_follows_the_settings() {
    let of = configuration(&[source(1, "a", "none", &[])], &[]);
    let public = Settings {
        ingest_url: Some("https://in.example.com/in/".to_owned()),
        ..Settings::default()
    };
    let directory = Directory::new(of, public);
    let after = directory.changed([Change::Put(Resource::Source(source(2, "b", "none", &[])))]);
    let url = |name: &str| after.source_at(name).unwrap().public_url().unwrap().to_owned();
    assert_eq!([url("a"), url("b")], ["a", "b"].map(|n| format!("https://in.example.com/in/{n}")));
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
    let directory = Directory::new(of, Settings::default());
    assert_eq!(directory.token(&[5; 32], NOW.before(Duration::from_millis(1))), Some(&token));
    assert_eq!(directory.token(&[5; 32], NOW), None);
    assert_eq!(directory.token(&[6; 32], NOW), None);
    assert_eq!(
        (directory.tenant_by_uid("default"), directory.tenant(TenantId::from_bytes([1; 16]))),
        (Some(&tenant), None)
    );
}

/// As many endpoints as one event may go to, and another tenant's do not count.
#[test]
fn a_tenant_has_room_for_as_many_endpoints_as_an_event_may_go_to() {
    let most = u16::try_from(limits::ENDPOINTS_PER_TENANT).unwrap();
    let mut all: Vec<Endpoint> =
        (0..most - 1).map(|n| endpoint(n, types(&["nothing.wants.this"]))).collect();
    let room = |all: &[Endpoint]| directory(&[], all).endpoint_room(TenantId::DEFAULT);
    let other = TenantId::from_bytes([7; 16]);
    all.push(Endpoint { tenant: other, ..endpoint(most, types(&[])) });
    assert_eq!(room(&all), 1, "another tenant's endpoint");
    all.push(endpoint(most - 1, types(&[])));
    assert_eq!(room(&all), 0);
}
