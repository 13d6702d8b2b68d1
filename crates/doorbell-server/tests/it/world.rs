//! A node on loopback with the model store and a clock that stands still.

use bytes::Bytes;
use doorbell_core::configuration::{Change, Resource};
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::{Endpoint, Policy, Status, Subscription};
use doorbell_core::event::{Fate, Rejection};
use doorbell_core::id::{EndpointId, SourceId, TenantId};
use doorbell_core::limits;
use doorbell_core::name::Label;
use doorbell_core::secret::SecretText;
use doorbell_core::source::{Dedupe, Source, Verification};
use doorbell_core::time::Time;
use doorbell_server::clock::{Clock, ManualClock};
use doorbell_server::desk::Desk;
use doorbell_server::listen::{Caller, Handler};
use doorbell_server::metrics::Metric;
use doorbell_server::node::{Node, NodeConfig, Running};
use doorbell_store::memory::Memory;
use doorbell_store::{AnyStore, EventDetail, EventQuery, Store as _, StoreError};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The moment at which the worlds stand.
pub(crate) const NOW: Time = Time::from_ms(1_767_225_600_000);
pub(crate) const GITHUB_SECRET: &str = "It's a Secret to Everybody";
/// GitHub's published example: `Hello, World!` signed with [`GITHUB_SECRET`].
pub(crate) const GITHUB_SIGNATURE: &str =
    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

pub(crate) struct World {
    pub(crate) node: Running,
    pub(crate) store: Memory,
    pub(crate) clock: ManualClock,
    pub(crate) desk: Desk,
}

struct NoAdmin;

impl Handler for NoAdmin {
    type Body = Full<Bytes>;

    async fn handle(self: Arc<Self>, _: Request<Incoming>, _: Caller) -> Response<Full<Bytes>> {
        Response::new(Full::from("admin\n"))
    }

    fn panicked(&self) -> Response<Full<Bytes>> {
        Response::new(Full::default())
    }
}

pub(crate) fn config() -> NodeConfig {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    NodeConfig::at(loopback, loopback, Label::parse("in").unwrap())
}

/// A node with the usual sources: `inbox` believes everybody, `github` knows a secret, `small` takes 1,000 bytes, `off`
/// is switched off, `posts` takes only POST. One endpoint wants everything.
pub(crate) async fn start(config: NodeConfig) -> World {
    let store = Memory::new();
    let mut small = source("small", "none");
    small.body_max = 1000;
    let mut off = source("off", "github");
    off.enabled = false;
    let mut posts = source("posts", "github");
    posts.methods = vec!["POST".to_owned()];
    let sources = [source("inbox", "none"), source("github", "github"), small, off, posts];
    let mut changes: Vec<_> =
        sources.into_iter().map(|s| Change::Put(Resource::Source(s))).collect();
    changes.push(Change::Put(Resource::Endpoint(endpoint())));
    store.configure(changes).await.unwrap();
    let clock = ManualClock::new(NOW, 1);
    let desk = Desk::default();
    let home = Arc::new(AnyStore::from(store.clone()));
    let node = Node::start(config, home, desk.clone(), Clock::Manual(clock.clone()), |_, _| {
        Arc::new(NoAdmin)
    });
    World { node: node.await.unwrap(), store, clock, desk }
}

impl World {
    /// Changes the configuration as the API would.
    pub(crate) async fn change(&self, changes: Vec<Change>) {
        let plan = |_: &Directory| Ok::<_, StoreError>((changes, ()));
        self.node.shared().configured.change(plan).await.unwrap();
    }
}

pub(crate) fn source(name: &str, provider: &str) -> Source {
    let secret = (provider != "none").then(|| SecretText::parse(GITHUB_SECRET).unwrap());
    let dice = name.bytes().fold(7, |sum, b| sum * 31 + u128::from(b));
    Source {
        id: SourceId::new(NOW, dice),
        tenant: TenantId::DEFAULT,
        name: Label::parse(name).unwrap(),
        enabled: true,
        verification: Verification {
            provider: provider.to_owned(),
            options: Vec::new(),
            secrets: secret.into_iter().collect(),
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

pub(crate) fn endpoint() -> Endpoint {
    Endpoint {
        id: EndpointId::new(NOW, 1),
        tenant: TenantId::DEFAULT,
        name: Label::parse("all").unwrap(),
        status: Status::Enabled,
        subscription: Subscription::default(),
        url: "https://example.com/hook".to_owned(),
        headers: Vec::new(),
        secrets: Vec::new(),
        policy: Policy::default(),
        created: NOW,
        updated: NOW,
    }
}

impl World {
    pub(crate) fn ingest(&self) -> SocketAddr {
        self.node.ingest_addr()
    }

    pub(crate) fn count(&self, metric: Metric) -> u64 {
        self.node.shared().admitting.metrics.value(metric)
    }

    /// Everything that is kept, oldest first.
    pub(crate) async fn kept(&self) -> Vec<EventDetail> {
        let query = EventQuery {
            tenant: TenantId::DEFAULT,
            source: None,
            event_type: None,
            fates: Vec::new(),
            endpoint: None,
            state: None,
            since: None,
            until: None,
            cursor: None,
            limit: limits::PAGE_MAX,
        };
        let mut kept = Vec::new();
        for row in self.store.events(query).await.unwrap().items.into_iter().rev() {
            kept.extend(self.store.event(TenantId::DEFAULT, row.id).await.unwrap());
        }
        kept
    }

    /// The same once as many are kept: rejected ones are not waited for by their answers.
    pub(crate) async fn kept_when(&self, many: usize) -> Vec<EventDetail> {
        let look = async {
            loop {
                let kept = self.kept().await;
                if kept.len() >= many {
                    return kept;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), look).await.unwrap()
    }
}

pub(crate) fn rejection(detail: &EventDetail) -> &Rejection {
    let Fate::Rejected(rejection) = &detail.fate else {
        panic!("not rejected but {:?}", detail.fate);
    };
    rejection
}
