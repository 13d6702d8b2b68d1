//! A node without sockets: the model store, a manual clock, and someone who calls the API.

use axum::body::Body;
use bytes::Bytes;
use doorbell_core::address::AllowPrivate;
use doorbell_core::configuration::Scope;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::directory::Settings;
use doorbell_core::endpoint_url::UrlPolicy;
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, SourceId, TenantId};
use doorbell_core::name::{EventType, Label};
use doorbell_core::places::Places;
use doorbell_core::request::{Headers, Request as Incoming};
use doorbell_core::time::Time;
use doorbell_server::admitting::Admitting;
use doorbell_server::api::{
    ApiState, Cookie, LoginCode, Parts, Peer, TokenText, router, token_hash,
};
use doorbell_server::clock::{Clock, ManualClock};
use doorbell_server::configured::Configured;
use doorbell_server::desk::Desk;
use doorbell_server::dispatch::{self, dispatch};
use doorbell_server::health::Health;
use doorbell_server::keys::Keys;
use doorbell_server::live::Live;
use doorbell_server::metrics::Metrics;
use doorbell_server::moving::Moving;
use doorbell_server::replay::{Engine, Replays};
use doorbell_server::sender::{AnySender, Script};
use doorbell_server::standings::Standings;
use doorbell_server::tasks::Stopper;
use doorbell_server::traces::Traces;
use doorbell_store::memory::Memory;
use doorbell_store::{
    Admission, AnyStore, Claim, DeliveryQuery, DeliveryRow, NewDelivery, Settlement, Store as _,
};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt as _;

pub(super) const START: Time = Time::from_ms(1_795_500_000_000);
pub(super) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

pub(super) struct World {
    pub(super) home: Memory,
    pub(super) hand: ManualClock,
    pub(super) parts: Parts,
    pub(super) root: String,
    pub(super) first_login: String,
    router: axum::Router,
}

/// An answer, read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub(super) fn is(&self, status: u16) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem of that code.
    #[track_caller]
    pub(super) fn problem(&self, code: &str) -> Value {
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["type"], format!("/docs/errors/{code}"));
        problem
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// A request in the making.
pub(super) struct Call<'w> {
    world: &'w World,
    builder: http::request::Builder,
    body: Bytes,
}

impl Call<'_> {
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    pub(super) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.raw("application/json", body.to_string())
    }

    pub(super) fn raw(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    pub(super) async fn open(self) -> http::Response<Body> {
        let mut request = self.builder.body(Body::from(self.body)).unwrap();
        request.extensions_mut().insert(Peer(PEER));
        self.world.router.clone().oneshot(request).await.unwrap()
    }

    pub(super) async fn answer(self) -> Answer {
        let (parts, body) = self.open().await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::over(Memory::new()).await
    }

    /// A node that starts over what the store remembers.
    pub(super) async fn over(home: Memory) -> Self {
        let hand = ManualClock::new(START, 7);
        let clock = Clock::Manual(hand.clone());
        let store = Arc::new(AnyStore::from(home.clone()));
        let urls = UrlPolicy { allow: AllowPrivate::loopback(), ..UrlPolicy::default() };
        let settings = Settings { urls, ingest_url: None };
        let configured = Configured::load(Arc::clone(&store), settings).await.unwrap();
        let replays = Replays::load(Arc::clone(&store)).await.unwrap();
        let admitting = Admitting {
            store,
            desk: Desk::closed(),
            live: Live::default(),
            traces: Traces::off(),
            metrics: Arc::new(Metrics::default()),
            health: Arc::new(Health::new(Stopper::default().stop())),
            clock,
            inbox: None,
        };
        let (clock, metrics) = (admitting.clock.clone(), Arc::clone(&admitting.metrics));
        let keys = Keys::new(None, UrlPolicy::default(), clock, metrics).0;
        let (root, first) = (TokenText::new([7; 32]), LoginCode::new(7));
        let parts = Parts {
            admitting: Arc::new(admitting),
            configured: Arc::new(configured),
            keys: Arc::new(keys),
            replays,
            standings: Standings::new().0,
            moving: Moving::new(true),
            root_token: Some(token_hash(&root)),
            first_login: Some(first.clone()),
            cookie: Cookie::plain(([127, 0, 0, 1], 8081).into()),
            version: "1.2.3",
            ingest_prefix: Label::parse("in").unwrap(),
            ingest_url: "http://127.0.0.1:8080/in".to_owned(),
        };
        let router = router(ApiState::new(parts.clone()));
        let (root, first_login) = (root.reveal().to_owned(), first.reveal().to_owned());
        Self { home, hand, parts, root, first_login, router }
    }

    /// Begins to deliver, by this script; the desk stays closed, so that all waits in the store until it is claimed.
    pub(super) fn deliver(&mut self, script: Script) -> Stopper {
        let (standings, questions) = Standings::new();
        self.parts.standings = standings;
        self.router = router(ApiState::new(self.parts.clone()));
        let (stopper, admitting) = (Stopper::default(), &self.parts.admitting);
        let parts = dispatch::Parts {
            store: Arc::clone(&admitting.store),
            sender: AnySender::Script(script),
            configured: Arc::clone(&self.parts.configured),
            desk: admitting.desk.clone(),
            places: Places::new(100),
            bodies: doorbell_core::body_room::BodyRoom::new(1 << 30),
            clock: Clock::Manual(self.hand.clone()),
            live: admitting.live.clone(),
            traces: Traces::off(),
            metrics: Arc::clone(&admitting.metrics),
            questions,
        };
        tokio::spawn(dispatch(parts, stopper.stop()));
        stopper
    }

    /// Fetches the keys of providers by this script.
    pub(super) fn fetch(&mut self, script: Script) {
        let (clock, metrics) =
            (Clock::Manual(self.hand.clone()), Arc::clone(&self.parts.admitting.metrics));
        let sender = Some(AnySender::Script(script));
        let (keys, fetcher) = Keys::new(sender, UrlPolicy::default(), clock, metrics);
        self.parts.keys = Arc::new(keys);
        self.router = router(ApiState::new(self.parts.clone()));
        tokio::spawn(fetcher.run());
    }

    /// A request without a token.
    pub(super) fn bare(&self, method: &str, path: &str) -> Call<'_> {
        let builder = Request::builder().method(method).uri(path);
        Call { world: self, builder, body: Bytes::new() }
    }

    /// A request of the operator.
    pub(super) fn call(&self, method: &str, path: &str) -> Call<'_> {
        self.bare(method, path).token(&self.root)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).answer().await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path).json(&body).answer().await
    }

    pub(super) fn now(&self) -> Time {
        Clock::Manual(self.hand.clone()).now()
    }

    /// A name that nothing has.
    fn name(&self) -> String {
        format!("t{}", Clock::Manual(self.hand.clone()).dice())
    }

    /// A token with these scopes; of another tenant where one is named.
    pub(super) async fn token(&self, scopes: &[Scope], tenant: Option<&str>) -> String {
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.word()).collect();
        let call =
            self.call("POST", "/v1/tokens").json(&json!({"name": self.name(), "scopes": scopes}));
        let call = match tenant {
            Some(tenant) => call.header("doorbell-tenant", tenant),
            None => call,
        };
        call.answer().await.is(201)["token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn endpoint(&self, name: &str) -> EndpointId {
        let body = json!({"name": name, "url": "https://example.com/hook"});
        let made = self.post("/v1/endpoints", body).await.is(201);
        made["id"].as_str().unwrap().parse().unwrap()
    }

    pub(super) async fn publish(&self, event_type: &str) -> EventId {
        let made = self.post("/v1/events", json!({"type": event_type, "data": {"n": 1}})).await;
        made.is(202)["id"].as_str().unwrap().parse().unwrap()
    }

    pub(super) fn engine(&self) -> Engine {
        let store = Arc::clone(&self.parts.admitting.store);
        let (configured, replays) =
            (Arc::clone(&self.parts.configured), self.parts.replays.clone());
        Engine::new(store, configured, replays, Clock::Manual(self.hand.clone()))
    }

    /// All deliveries of the default tenant, newest first.
    pub(super) async fn deliveries(&self) -> Vec<DeliveryRow> {
        let query = DeliveryQuery {
            tenant: TenantId::DEFAULT,
            event: None,
            endpoint: None,
            state: None,
            replay: None,
            since: None,
            until: None,
            cursor: None,
            limit: 1_000,
        };
        self.home.deliveries(query).await.unwrap().items
    }

    /// Takes everything that waits for the endpoint, and settles it so.
    pub(super) async fn settle(&self, endpoint: EndpointId, state: State) {
        let now = Clock::Manual(self.hand.clone()).now();
        let claim = Claim {
            endpoint,
            by_key: false,
            due_by: now,
            most: 1_000,
            event_bytes: 0,
            lease_until: now.after(Duration::from_secs(60)),
        };
        for lent in self.home.claim(claim).await.unwrap().lent {
            let delivery = Delivery { attempts: 1, state, ..lent.delivery };
            let (lease, locator) = (lent.lease, lent.locator);
            let settlement = Settlement { lease, locator, delivery, attempt: None, next: false };
            self.home.settle(settlement).await.unwrap();
        }
    }

    /// A request to a source, past the ingest route, with a delivery where `endpoint` is given.
    pub(super) async fn received(&self, fate: Fate, endpoint: Option<EndpointId>) -> EventId {
        let clock = Clock::Manual(self.hand.clone());
        let (now, id) = (clock.now(), EventId::new(clock.now(), clock.dice()));
        let mut headers = Headers::default();
        headers.push("authorization", "Bearer canary");
        headers.push("content-type", "text/html");
        let event = Event {
            id,
            tenant: TenantId::DEFAULT,
            at: now,
            origin: Origin::Source(SourceId::new(START, 1)),
            event_type: EventType::parse("push").ok(),
            dedupe_key: None,
            channels: Vec::new(),
            request: Incoming {
                method: "POST".to_owned(),
                path: String::new(),
                query: None,
                headers,
                body: Bytes::from_static(b"<script>alert(1)</script>"),
                peer: Some(PEER),
            },
        };
        let delivery = endpoint.map(|endpoint| NewDelivery {
            id: DeliveryId::new(now, clock.dice()),
            endpoint,
            order_key: None,
            state: State::Waiting { due: now },
            replay: None,
            lend: false,
        });
        let admission = Admission {
            event: Arc::new(event),
            fate,
            dedupe_window: Duration::ZERO,
            deliveries: delivery.into_iter().collect(),
            once: false,
        };
        self.home.accept(admission).await.unwrap();
        id
    }
}
