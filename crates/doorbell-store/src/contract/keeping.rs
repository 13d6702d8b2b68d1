//! What holds for the configuration, for retention, and for a home that is closed.

use super::Homes;
use super::making::{
    BEGIN, HOUR, Maker, accept, claim_one, endpoint, everything, ids, source, tenant,
};
use crate::store::{Amendment, EventQuery, Retention, Settled, Store, StoreError};
use doorbell_core::attempt::Attempt;
use doorbell_core::configuration::{
    Change, Replay, ReplayChoice, ReplayState, Resource, ResourceId, Scope, Tenant, Token,
};
use doorbell_core::delivery::State;
use doorbell_core::endpoint::{
    Endpoint, ExtraSignature, OnDead, Order, Policy, Rate, Retry, SigningSecret, Status,
    Subscription,
};
use doorbell_core::id::{DeliveryId, ReplayId, TokenId};
use doorbell_core::limits;
use doorbell_core::name::{EventTypePattern, Label};
use doorbell_core::secret::SecretText;
use doorbell_core::source::{Dedupe, HubSubscription, KeyRule, Response, Source, Verification};
use std::time::Duration;

fn full_source(number: u64, name: &str) -> Source {
    Source {
        id: source(number),
        tenant: tenant(0),
        name: Label::parse(name).unwrap(),
        enabled: true,
        verification: Verification {
            provider: "hmac".to_owned(),
            options: vec![("header".to_owned(), "x-signature".to_owned())],
            secrets: vec![SecretText::parse("s3cret \u{1f511}").unwrap()],
            public_url: Some("https://hooks.example.com/in/a".to_owned()),
        },
        methods: vec!["POST".to_owned()],
        event_types: vec![EventTypePattern::parse("invoice.*").unwrap()],
        type_rule: Some(KeyRule::Pointer("/type".to_owned())),
        dedupe: Dedupe { window: HOUR, key: Some(KeyRule::Header("x-id".to_owned())) },
        body_max: limits::BODY_DEFAULT,
        response: Some(Response {
            status: 202,
            content_type: "text/plain".to_owned(),
            body: "thanks".to_owned(),
        }),
        hub: Some(HubSubscription {
            wanted: "ab".to_owned(),
            token: "k3".to_owned(),
            hub: "https://hub.example/".to_owned(),
            topic: "https://a.example/feed".to_owned(),
            asked: None,
            until: Some(BEGIN.after(HOUR)),
            next: BEGIN,
            failures: 0,
            error: None,
        }),
        from: Some("queue://rabbit/incoming".to_owned()),
        created: BEGIN,
        updated: BEGIN.after(HOUR),
    }
}

fn full_endpoint(number: u64, of: u64, name: &str) -> Endpoint {
    Endpoint {
        id: endpoint(number),
        tenant: tenant(of),
        name: Label::parse(name).unwrap(),
        status: Status::Disabled { at: BEGIN, why: "410 Gone".to_owned() },
        subscription: Subscription {
            sources: vec![source(1)],
            event_types: vec![EventTypePattern::parse("*").unwrap()],
            channels: vec!["north".to_owned()],
            filter: Some(r#"{"$not":{"a":1}}"#.to_owned()),
        },
        url: "https://example.com/hook?a=b".to_owned(),
        headers: vec![("x-a".to_owned(), "1".to_owned()), ("x-a".to_owned(), "2".to_owned())],
        secrets: vec![SigningSecret {
            secret: SecretText::parse("whsec_c2VjcmV0").unwrap(),
            expires: Some(BEGIN.after(HOUR)),
        }],
        policy: Policy {
            timeout: Duration::from_millis(1500),
            concurrency: 3,
            rate: Some(Rate { count: 5, per: Duration::from_millis(100) }),
            retry: Retry { schedule: vec![Duration::ZERO, HOUR], never: vec![(400, 404)] },
            order: Some(Order { key: KeyRule::Pointer("/id".to_owned()), on_dead: OnDead::Block }),
            extra_signature: Some(ExtraSignature {
                provider: "github".to_owned(),
                options: Vec::new(),
                secret: SecretText::parse("a secret of theirs").unwrap(),
            }),
        },
        created: BEGIN,
        updated: BEGIN,
    }
}

fn full_token(number: u64, of: u64, name: &str) -> Token {
    Token {
        id: TokenId::new(BEGIN, u128::from(number)),
        tenant: tenant(of),
        name: name.to_owned(),
        scopes: Scope::ALL.to_vec(),
        hash: [0xc3; 32],
        expires: Some(BEGIN.after(HOUR)),
        created: BEGIN,
    }
}

fn full_replay(number: u64) -> Replay {
    Replay {
        id: ReplayId::new(BEGIN, u128::from(number)),
        tenant: tenant(0),
        choice: ReplayChoice {
            events: vec![Maker::new().event().id],
            endpoint: Some(endpoint(1)),
            source: Some(source(1)),
            event_type: Some("invoice.*".to_owned()),
            state: Some("failed".to_owned()),
            since: Some(BEGIN),
            until: Some(BEGIN.after(HOUR)),
        },
        to: Some(endpoint(2)),
        rate_per_second: 50,
        planned: 10_000_000_000,
        made: 7,
        cursor: Some("c7".to_owned()),
        state: ReplayState::Cancelled,
        created: BEGIN,
        updated: BEGIN,
    }
}

fn plain_endpoint(number: u64, of: u64, name: &str) -> Endpoint {
    Endpoint {
        status: Status::Paused,
        subscription: Subscription::default(),
        policy: Policy::default(),
        headers: Vec::new(),
        secrets: Vec::new(),
        ..full_endpoint(number, of, name)
    }
}

fn second_tenant() -> Tenant {
    Tenant { id: tenant(1), uid: "acme".to_owned(), name: "Acme, Inc.".to_owned(), created: BEGIN }
}

/// One of each, with everything set that can be set.
fn one_of_each() -> Vec<Change> {
    vec![
        Change::Put(Resource::Tenant(second_tenant())),
        Change::Put(Resource::Source(full_source(1, "stripe"))),
        Change::Put(Resource::Endpoint(full_endpoint(1, 0, "billing"))),
        Change::Put(Resource::Endpoint(plain_endpoint(2, 1, "billing"))),
        Change::Put(Resource::Token(full_token(1, 0, "ci"))),
        Change::Put(Resource::Replay(full_replay(1))),
    ]
}

/// What was configured is there as it was given, and the default tenant is there from the start.
pub async fn the_configuration_is_kept(mut homes: impl Homes) {
    let home = homes.open().await;
    let first = home.configuration().await.unwrap();
    assert_eq!(
        first.tenants.iter().map(|t| (t.id, t.uid.as_str())).collect::<Vec<_>>(),
        [(tenant(0), "default")]
    );
    home.configure(one_of_each()).await.unwrap();
    let kept = home.configuration().await.unwrap();
    assert_eq!(kept.tenants.get(1..), Some(&[second_tenant()][..]));
    assert_eq!(kept.sources, [full_source(1, "stripe")]);
    assert_eq!(kept.endpoints, [full_endpoint(1, 0, "billing"), plain_endpoint(2, 1, "billing")]);
    assert_eq!((kept.tokens, kept.replays), (vec![full_token(1, 0, "ci")], vec![full_replay(1)]));
    let paused = Source { enabled: false, response: None, ..full_source(1, "stripe-2") };
    let changes = vec![
        Change::Put(Resource::Source(paused.clone())),
        Change::Delete(ResourceId::Endpoint(endpoint(1))),
        Change::Delete(ResourceId::Endpoint(endpoint(99))),
    ];
    home.configure(changes).await.unwrap();
    let kept = home.configuration().await.unwrap();
    assert_eq!(
        (kept.sources, kept.endpoints),
        (vec![paused], vec![plain_endpoint(2, 1, "billing")])
    );
}

/// When one change cannot be, none is made; no name is there twice.
pub async fn a_configuration_changes_whole_or_not(mut homes: impl Homes) {
    let home = homes.open().await;
    home.configure(one_of_each()).await.unwrap();
    let before = home.configuration().await.unwrap();
    let wrong = [
        Change::Put(Resource::Tenant(Tenant { id: tenant(2), ..second_tenant() })),
        Change::Put(Resource::Source(Source { tenant: tenant(1), ..full_source(2, "stripe") })),
        Change::Put(Resource::Endpoint(full_endpoint(3, 0, "billing"))),
        Change::Put(Resource::Token(full_token(2, 0, "ci"))),
        Change::Delete(ResourceId::Tenant(tenant(0))),
    ];
    for change in wrong {
        let good = Change::Delete(ResourceId::Source(source(1)));
        let named = matches!(&change, Change::Put(Resource::Source(_)));
        let good = if named { Change::Delete(ResourceId::Replay(full_replay(1).id)) } else { good };
        let answer = home.configure(vec![good, change.clone()]).await;
        assert!(matches!(answer, Err(StoreError::Conflict(_))), "{change:?}: {answer:?}");
        assert_eq!(home.configuration().await.unwrap(), before);
    }
    let swap = vec![
        Change::Put(Resource::Source(full_source(2, "stripe"))),
        Change::Put(Resource::Source(full_source(1, "stripe-old"))),
    ];
    home.configure(swap).await.unwrap();
}

/// Retention never forgets what waits, nor what is young enough; what it forgets is gone from everywhere.
pub async fn retention_spares_what_waits(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let old = accept(&home, &mut maker, Vec::new()).await;
    let delivery = maker.delivery(endpoint(1));
    let waiting = accept(&home, &mut maker, vec![delivery.clone()]).await;
    maker.now = maker.now.after(HOUR * 2);
    let young = accept(&home, &mut maker, Vec::new()).await;
    let retention = Retention { age: Some(HOUR), bytes: None };
    home.prune(maker.now, retention).await.unwrap();
    assert!(home.event(waiting.tenant, waiting.id).await.unwrap().is_some());
    assert!(home.event(young.tenant, young.id).await.unwrap().is_some());
    let oldest_is_there = home.event(old.tenant, old.id).await.unwrap().is_some();
    let stats = home.stats().await.unwrap();
    assert_eq!(stats.events, 2 + u64::from(oldest_is_there));
    home.prune(maker.now, Retention { age: None, bytes: Some(0) }).await.unwrap();
    let lent = claim_one(&home, endpoint(1)).await;
    assert_eq!(*home.event_at(lent.locator).await.unwrap(), waiting);
    let done = maker.settlement(&lent, State::Delivered { at: maker.now }, 200);
    assert_eq!(home.settle(done).await, Ok(Settled::Kept));
}

/// A home without limits of retention forgets nothing.
pub async fn without_limits_nothing_is_forgotten(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    accept(&home, &mut maker, Vec::new()).await;
    let later = maker.now.after(HOUR * 100_000);
    let pruned = home.prune(later, Retention { age: None, bytes: None }).await.unwrap();
    assert_eq!(pruned.events, 0);
    assert_eq!(home.stats().await.unwrap().events, 1);
}

/// After it was closed, a home promises nothing more.
pub async fn a_closed_home_promises_nothing(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    accept(&home, &mut maker, Vec::new()).await;
    home.close().await.unwrap();
    let admission = super::making::admission(&maker.event(), Vec::new());
    assert!(matches!(home.accept(admission).await, Err(StoreError::Broken(_))));
    assert!(matches!(home.events(EventQuery::of(tenant(0))).await, Err(StoreError::Broken(_))));
    assert!(matches!(home.configuration().await, Err(StoreError::Broken(_))));
    let claim = home.claim(everything(endpoint(1))).await;
    assert!(matches!(claim, Err(StoreError::Broken(_))));
}

/// Has a dead letter to endpoint 1 tried once more, in vain.
async fn tried_by_hand(home: &impl Store, maker: &mut Maker, delivery: DeliveryId) -> Attempt {
    let (tenant, due) = (tenant(0), maker.now);
    let retry = Amendment::Retry { tenant, delivery, due, lend: false };
    home.amend(vec![retry]).await.unwrap();
    let lent = claim_one(home, endpoint(1)).await;
    let failed = State::Failed { at: maker.now, holds_key: false };
    let settlement = maker.settlement(&lent, failed, 500);
    home.settle(settlement.clone()).await.unwrap();
    settlement.attempt.unwrap()
}

/// What was promised is there after a restart; leases are not, so what was in flight is lent again.
pub async fn a_reopened_home_keeps_its_promises(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    home.configure(one_of_each()).await.unwrap();
    let configuration = home.configuration().await.unwrap();
    let mut admission = super::making::admission(&maker.event(), vec![maker.delivery(endpoint(1))]);
    let mut event = maker.event();
    event.dedupe_key = Some("k".into());
    admission.event = event.clone().into();
    admission.dedupe_window = HOUR;
    home.accept(admission.clone()).await.unwrap();
    let settled = claim_one(&home, endpoint(1)).await;
    let failed = State::Failed { at: maker.now, holds_key: false };
    let settlement = maker.settlement(&settled, failed, 500);
    home.settle(settlement.clone()).await.unwrap();
    let by_hand = tried_by_hand(&home, &mut maker, settled.delivery.id).await;
    let delivery = maker.delivery(endpoint(2));
    accept(&home, &mut maker, vec![delivery.clone()]).await;
    let in_flight = claim_one(&home, endpoint(2)).await;
    let row = home.delivery(event.tenant, settled.delivery.id).await.unwrap();
    assert_eq!(row.as_ref().map(|row| row.delivery.by_hand), Some(1));
    home.close().await.unwrap();
    drop(home);

    let home = homes.open().await;
    assert_eq!(home.configuration().await, Ok(configuration));
    assert_eq!(
        home.event(event.tenant, event.id).await.unwrap().map(|kept| kept.event),
        Some(event.clone())
    );
    assert_eq!(home.delivery(event.tenant, settled.delivery.id).await.unwrap(), row);
    let attempts = home.attempts(event.tenant, settled.delivery.id).await.unwrap();
    assert_eq!(attempts, Vec::from_iter(settlement.attempt.into_iter().chain([by_hand])));
    admission.event = maker.event().into();
    let again = doorbell_core::event::Event {
        dedupe_key: event.dedupe_key.clone(),
        ..(*admission.event).clone()
    };
    let known =
        crate::store::Admission { event: event.clone().into(), once: true, ..admission.clone() };
    assert_eq!(home.accept(known).await, Ok(crate::store::Admitted::Again));
    let repeat = crate::store::Admission { event: again.into(), ..admission };
    assert_eq!(home.accept(repeat).await, Ok(crate::store::Admitted::Repeat(event.id)));
    let claims = home.claim(everything(endpoint(2))).await.unwrap();
    assert_eq!(ids(&claims), [in_flight.delivery.id]);
}
