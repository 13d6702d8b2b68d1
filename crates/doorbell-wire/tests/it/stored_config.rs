//! The stored documents of the configuration: their golden texts, and that each comes back as it was.

use doorbell_core::configuration::{
    Replay, ReplayChoice, ReplayState, Resource, Scope, Tenant, Token,
};
use doorbell_core::endpoint::{
    Endpoint, OnDead, Order, Policy, Rate, Retry, SigningSecret, Status, Subscription,
};
use doorbell_core::id::{EndpointId, EventId, ReplayId, SourceId, TenantId, TokenId};
use doorbell_core::name::{EventTypePattern, Label};
use doorbell_core::secret::SecretText;
use doorbell_core::source::{Dedupe, HubSubscription, KeyRule, Response, Source, Verification};
use doorbell_core::time::Time;
use doorbell_wire::stored_config::{DocumentError, Kind, decode, encode};
use expect_test::{Expect, expect};
use std::time::Duration;

const AT: Time = Time::from_ms(1_767_225_600_123);

fn check(resource: &Resource, golden: &Expect) {
    let document = encode(resource).unwrap();
    golden.assert_eq(&document);
    assert_eq!(decode(Kind::of(resource), &document).as_ref(), Ok(resource));
}

fn source() -> Source {
    Source {
        id: SourceId::new(AT, 1),
        tenant: TenantId::DEFAULT,
        name: Label::parse("stripe").unwrap(),
        enabled: false,
        verification: Verification {
            provider: "hmac".to_owned(),
            options: vec![("header".to_owned(), "x-sig".to_owned())],
            secrets: vec![SecretText::parse("s3cret").unwrap()],
            public_url: Some("https://in.example.com/in/stripe".to_owned()),
        },
        methods: vec!["POST".to_owned()],
        event_types: vec![EventTypePattern::parse("invoice.*").unwrap()],
        type_rule: Some(KeyRule::Pointer("/type".to_owned())),
        dedupe: Dedupe {
            window: Duration::from_secs(60),
            key: Some(KeyRule::Header("x-id".to_owned())),
        },
        body_max: 1024,
        response: Some(Response {
            status: 202,
            content_type: "text/plain".to_owned(),
            body: "ok\n".to_owned(),
        }),
        hub: None,
        from: None,
        created: AT,
        updated: AT,
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        id: EndpointId::new(AT, 2),
        tenant: TenantId::DEFAULT,
        name: Label::parse("billing").unwrap(),
        status: Status::Disabled { at: AT, why: "410 Gone".to_owned() },
        subscription: Subscription {
            sources: vec![SourceId::new(AT, 1)],
            event_types: vec![EventTypePattern::parse("*").unwrap()],
            channels: vec!["north".to_owned()],
            filter: Some(r#"{"a":1}"#.to_owned()),
        },
        url: "https://example.com/hook".to_owned(),
        headers: vec![("x-a".to_owned(), "1".to_owned())],
        secrets: vec![SigningSecret {
            secret: SecretText::parse("whsec_c2VjcmV0").unwrap(),
            expires: Some(AT),
        }],
        policy: Policy {
            timeout: Duration::from_millis(1500),
            concurrency: 3,
            rate: Some(Rate { count: 5, per: Duration::from_secs(1) }),
            retry: Retry {
                schedule: vec![Duration::ZERO, Duration::from_secs(5)],
                never: vec![(400, 404)],
            },
            order: Some(Order { key: KeyRule::Header("x-key".to_owned()), on_dead: OnDead::Block }),
            extra_signature: None,
        },
        created: AT,
        updated: AT,
    }
}

#[test]
fn tenants() {
    let tenant = Tenant {
        id: TenantId::DEFAULT,
        uid: "default".to_owned(),
        name: "Default".to_owned(),
        created: AT,
    };
    check(
        &Resource::Tenant(tenant),
        &expect![[
            r#"{"v":1,"id":"tnt_00000000000000000000000000","uid":"default","name":"Default","created_ms":1767225600123}"#
        ]],
    );
}

#[test]
fn sources() {
    check(
        &Resource::Source(source()),
        &expect![[
            r#"{"v":1,"id":"src_01kdvdna3v0000000000000001","tenant":"tnt_00000000000000000000000000","name":"stripe","enabled":false,"verification":{"provider":"hmac","options":[["header","x-sig"]],"secrets":["s3cret"],"public_url":"https://in.example.com/in/stripe"},"methods":["POST"],"event_types":["invoice.*"],"type_rule":{"pointer":"/type"},"dedupe":{"window_ms":60000,"key":{"header":"x-id"}},"body_max":1024,"response":{"status":202,"content_type":"text/plain","body":"ok\n"},"created_ms":1767225600123,"updated_ms":1767225600123}"#
        ]],
    );
    let subscribed = HubSubscription {
        wanted: "ab".to_owned(),
        token: "k3".to_owned(),
        hub: "https://hub.example/".to_owned(),
        topic: "https://a.example/feed".to_owned(),
        asked: Some(AT),
        until: Some(AT),
        next: AT,
        failures: 2,
        error: Some("no".to_owned()),
    };
    check(
        &Resource::Source(Source { hub: Some(subscribed), ..source() }),
        &expect![[
            r#"{"v":1,"id":"src_01kdvdna3v0000000000000001","tenant":"tnt_00000000000000000000000000","name":"stripe","enabled":false,"verification":{"provider":"hmac","options":[["header","x-sig"]],"secrets":["s3cret"],"public_url":"https://in.example.com/in/stripe"},"methods":["POST"],"event_types":["invoice.*"],"type_rule":{"pointer":"/type"},"dedupe":{"window_ms":60000,"key":{"header":"x-id"}},"body_max":1024,"response":{"status":202,"content_type":"text/plain","body":"ok\n"},"hub":{"wanted":"ab","token":"k3","hub":"https://hub.example/","topic":"https://a.example/feed","asked_ms":1767225600123,"until_ms":1767225600123,"next_ms":1767225600123,"failures":2,"error":"no"},"created_ms":1767225600123,"updated_ms":1767225600123}"#
        ]],
    );
    let bare = Source {
        from: Some("queue://rabbit/incoming".to_owned()),
        enabled: true,
        type_rule: None,
        response: None,
        dedupe: Dedupe { window: Duration::ZERO, key: None },
        ..source()
    };
    check(
        &Resource::Source(bare),
        &expect![[
            r#"{"v":1,"id":"src_01kdvdna3v0000000000000001","tenant":"tnt_00000000000000000000000000","name":"stripe","enabled":true,"verification":{"provider":"hmac","options":[["header","x-sig"]],"secrets":["s3cret"],"public_url":"https://in.example.com/in/stripe"},"methods":["POST"],"event_types":["invoice.*"],"type_rule":null,"dedupe":{"window_ms":0,"key":null},"body_max":1024,"response":null,"from":"queue://rabbit/incoming","created_ms":1767225600123,"updated_ms":1767225600123}"#
        ]],
    );
}

#[test]
fn endpoints() {
    check(
        &Resource::Endpoint(endpoint()),
        &expect![[
            r#"{"v":1,"id":"ep_01kdvdna3v0000000000000002","tenant":"tnt_00000000000000000000000000","name":"billing","status":{"disabled":{"at_ms":1767225600123,"why":"410 Gone"}},"subscription":{"sources":["src_01kdvdna3v0000000000000001"],"event_types":["*"],"channels":["north"],"filter":"{\"a\":1}"},"url":"https://example.com/hook","headers":[["x-a","1"]],"secrets":[{"secret":"whsec_c2VjcmV0","expires_ms":1767225600123}],"policy":{"timeout_ms":1500,"concurrency":3,"rate":{"count":5,"per_ms":1000},"retry":{"schedule_ms":[0,5000],"never":[[400,404]]},"order":{"key":{"header":"x-key"},"on_dead":"block"}},"created_ms":1767225600123,"updated_ms":1767225600123}"#
        ]],
    );
    let bare = Endpoint {
        status: Status::Paused,
        subscription: Subscription::default(),
        policy: Policy::default(),
        headers: Vec::new(),
        secrets: Vec::new(),
        ..endpoint()
    };
    check(
        &Resource::Endpoint(bare),
        &expect![[
            r#"{"v":1,"id":"ep_01kdvdna3v0000000000000002","tenant":"tnt_00000000000000000000000000","name":"billing","status":"paused","subscription":{"sources":[],"event_types":[],"channels":[],"filter":null},"url":"https://example.com/hook","headers":[],"secrets":[],"policy":{"timeout_ms":15000,"concurrency":16,"rate":null,"retry":{"schedule_ms":[0,5000,300000,1800000,7200000,18000000,36000000,50400000,72000000,86400000],"never":[]},"order":null},"created_ms":1767225600123,"updated_ms":1767225600123}"#
        ]],
    );
}

#[test]
fn tokens() {
    let token = Token {
        id: TokenId::new(AT, 3),
        tenant: TenantId::DEFAULT,
        name: "ci".to_owned(),
        scopes: Scope::ALL.to_vec(),
        hash: [0xc3; 32],
        expires: Some(AT),
        created: AT,
    };
    check(
        &Resource::Token(token),
        &expect![[
            r#"{"v":1,"id":"tok_01kdvdna3v0000000000000003","tenant":"tnt_00000000000000000000000000","name":"ci","scopes":["publish","read","write","replay","admin"],"sha256":"w8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8M=","expires_ms":1767225600123,"created_ms":1767225600123}"#
        ]],
    );
}

#[test]
fn replays() {
    let replay = Replay {
        id: ReplayId::new(AT, 4),
        tenant: TenantId::DEFAULT,
        choice: ReplayChoice {
            events: vec![EventId::new(AT, 5)],
            endpoint: Some(EndpointId::new(AT, 2)),
            source: Some(SourceId::new(AT, 1)),
            event_type: Some("invoice.*".to_owned()),
            state: Some("failed".to_owned()),
            since: Some(AT),
            until: Some(AT),
        },
        to: Some(EndpointId::new(AT, 6)),
        rate_per_second: 50,
        planned: 10,
        made: 7,
        cursor: Some("c7".to_owned()),
        state: ReplayState::Cancelled,
        created: AT,
        updated: AT,
    };
    check(
        &Resource::Replay(replay),
        &expect![[
            r#"{"v":1,"id":"rpl_01kdvdna3v0000000000000004","tenant":"tnt_00000000000000000000000000","choice":{"events":["evt_01kdvdna3v0000000000000005"],"endpoint":"ep_01kdvdna3v0000000000000002","source":"src_01kdvdna3v0000000000000001","event_type":"invoice.*","state":"failed","since_ms":1767225600123,"until_ms":1767225600123},"to":"ep_01kdvdna3v0000000000000006","rate_per_second":50,"planned":10,"made":7,"cursor":"c7","state":"cancelled","created_ms":1767225600123,"updated_ms":1767225600123}"#
        ]],
    );
}

#[test]
fn what_is_no_document_is_refused_without_quoting_it() {
    let good = encode(&Resource::Source(source())).unwrap();
    let refused = |text: &str| decode(Kind::Source, text).unwrap_err();
    assert_eq!(refused(&good.replace("\"v\":1", "\"v\":2")), DocumentError::Version { found: 2 });
    assert_eq!(refused(&good.replace("\"s3cret\"", "\" \"")), DocumentError::Value("secret"));
    assert_eq!(refused(&good.replace("src_", "ep_")), DocumentError::Value("id"));
    let cases = [
        good.replace("\"enabled\"", "\"enabeld\""),
        good.replace("\"s3cret\"", "\"s3cret\",17"),
        good.replace("\"pointer\"", "\"painter\""),
        good.get(..good.len() - 1).unwrap_or_default().to_owned(),
        String::new(),
    ];
    for text in cases {
        let error = refused(&text);
        assert!(matches!(error, DocumentError::Json { .. }), "{error:?}");
        assert!(!error.to_string().contains("s3cret"));
    }
    for kind in [Kind::Tenant, Kind::Endpoint, Kind::Token, Kind::Replay] {
        assert!(decode(kind, &good).is_err());
    }
}
