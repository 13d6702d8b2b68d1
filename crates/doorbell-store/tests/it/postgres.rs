//! The home on `PostgreSQL` keeps the promises. `DOORBELL_TEST_POSTGRES` says where a database is that may be written to;
//! `cargo xtask ci` starts one. Each test has a schema of its own.

use doorbell_core::configuration::{Change, Resource, Tenant};
use doorbell_core::delivery::State;
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
use doorbell_core::request::{Headers, Request};
use doorbell_core::time::Time;
use doorbell_store::bodies::LargeBodies;
use doorbell_store::contract::Homes;
use doorbell_store::postgres::{Options, Postgres};
use doorbell_store::{
    Admission, Admitted, Amended, Amendment, Claim, Claims, EventQuery, Lent, NewDelivery,
    Retention, Settled, Settlement, Store,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_postgres::config::Host;

/// Opens the store in one schema, again and again.
pub(super) struct InSchema {
    address: String,
    schema: String,
    made: bool,
    /// Where large bodies lie, if not in the database.
    pub(super) bodies: Option<LargeBodies>,
}

#[expect(clippy::disallowed_methods, reason = "a test is told by its runner where the database is")]
pub(super) fn in_schema() -> InSchema {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let address = std::env::var("DOORBELL_TEST_POSTGRES").expect(
        "DOORBELL_TEST_POSTGRES says no database; `cargo xtask ci` starts one, or give the address of yours",
    );
    let schema = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    InSchema { address, schema, made: false, bodies: None }
}

impl InSchema {
    pub(super) fn options(&self) -> Options {
        let link = if self.address.contains('?') { '&' } else { '?' };
        let (address, schema) = (&self.address, &self.schema);
        let address =
            format!("{address}{link}options=-csearch_path%3D{schema}&application_name={schema}");
        Options { address, extra_roots: Vec::new(), delivers: true, bodies: self.bodies.clone() }
    }

    pub(super) async fn make(&mut self) {
        if !self.made {
            let (client, connection) =
                tokio_postgres::connect(&self.address, tokio_postgres::NoTls).await.unwrap();
            let driven = tokio::spawn(connection);
            let schema = &self.schema;
            let anew = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
            client.batch_execute(&anew).await.unwrap();
            drop(client);
            driven.await.unwrap().unwrap();
            self.made = true;
        }
    }
}

impl InSchema {
    /// The first column of the first row.
    pub(super) async fn sql(&self, statement: &str) -> String {
        let address = self.options().address;
        let (client, connection) =
            tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query_one(statement, &[]).await.unwrap().get(0)
    }
}

impl Homes for InSchema {
    type Home = Postgres;

    async fn open(&mut self) -> Postgres {
        self.make().await;
        Postgres::open(&self.options()).await.unwrap()
    }
}

mod contract {
    use super::in_schema;
    doorbell_store::contract_tests!(lasting, a share of 64: in_schema());
}

const ENDPOINTS: std::ops::Range<u8> = 0..32;

pub(super) fn endpoint(n: u8) -> EndpointId {
    EndpointId::from_bytes([n; 16])
}

/// Two nodes on one schema.
pub(super) async fn two() -> (InSchema, Postgres, Postgres) {
    let mut homes = in_schema();
    let first = homes.open().await;
    let second = homes.open().await;
    // Each hears of the other with its next sign of life.
    while ENDPOINTS.map(endpoint).all(|id| first.owns(id.bytes())) {
        tokio::task::yield_now().await;
        first.stats().await.unwrap();
    }
    (homes, first, second)
}

pub(super) fn owned_by(node: &Postgres) -> EndpointId {
    ENDPOINTS.map(endpoint).find(|id| node.owns(id.bytes())).unwrap()
}

pub(super) fn at(n: u64) -> Time {
    Time::from_ms(1_790_000_000_000 + n * 1000)
}

pub(super) fn admission(n: u64, to: EndpointId, lend: bool) -> Admission {
    let request = Request {
        method: "POST".to_owned(),
        path: String::new(),
        query: None,
        headers: Headers::default(),
        body: format!("{{\"n\":{n}}}").into(),
        peer: None,
    };
    let event = Event {
        id: EventId::new(at(n), n.into()),
        tenant: TenantId::DEFAULT,
        at: at(n),
        origin: Origin::Api,
        event_type: None,
        dedupe_key: None,
        channels: Vec::new(),
        request,
    };
    let delivery = NewDelivery {
        id: DeliveryId::new(at(n), n.into()),
        endpoint: to,
        order_key: None,
        state: State::Waiting { due: at(n) },
        replay: None,
        lend,
    };
    Admission {
        event: Arc::new(event),
        fate: Fate::Accepted,
        dedupe_window: Duration::ZERO,
        deliveries: vec![delivery],
        once: false,
    }
}

pub(super) fn all_of(endpoint: EndpointId) -> Claim {
    Claim {
        endpoint,
        by_key: false,
        due_by: Time::MAX,
        most: 1_000,
        event_bytes: 0,
        lease_until: Time::MAX,
    }
}

pub(super) fn delivered(lent: &Lent) -> Settlement {
    let mut delivery = lent.delivery.clone();
    delivery.state = State::Delivered { at: at(1_000) };
    Settlement { lease: lent.lease, locator: lent.locator, delivery, attempt: None, next: false }
}

/// What one node takes in for an endpoint that another looks after, that one is told of, and only that one is lent.
#[tokio::test]
async fn each_endpoint_is_one_nodes_affair() {
    let (_homes, first, second) = two().await;
    let theirs = owned_by(&second);
    assert!(!first.owns(theirs.bytes()));
    assert_eq!(first.accept(admission(1, theirs, true)).await, Ok(Admitted::New));
    assert_eq!(second.stirred().await, [theirs]);
    assert!(first.claim(all_of(theirs)).await.unwrap().lent.is_empty());
    let lent = second.claim(all_of(theirs)).await.unwrap().lent;
    assert_eq!(lent.len(), 1);
    assert!(second.begin(lent[0].delivery.id, lent[0].lease));
    let retry = Amendment::Retry {
        tenant: TenantId::DEFAULT,
        delivery: lent[0].delivery.id,
        due: at(1),
        lend: false,
    };
    assert_eq!(first.amend(vec![retry]).await, Ok(vec![Amended::InFlight]), "another has it");
    assert_eq!(second.settle(delivered(&lent[0])).await, Ok(Settled::Kept));
}

pub(super) fn new_tenant() -> Change {
    Change::Put(Resource::Tenant(Tenant {
        id: TenantId::new(at(1), 1),
        uid: "acme".to_owned(),
        name: "Acme".to_owned(),
        created: at(1),
    }))
}

/// A node that others took for dead begins nothing more, and what it settles is refused.
#[tokio::test]
async fn a_stale_lease_settles_nothing() {
    let (homes, first, second) = two().await;
    let own = owned_by(&first);
    first.accept(admission(1, own, true)).await.unwrap();
    let stale = first.lent().await.remove(0);
    let number = homes.sql("SELECT min(id)::text FROM nodes").await;
    // As if the first had been silent for too long.
    homes.sql(&format!("DELETE FROM nodes WHERE id = {number} RETURNING id::text")).await;
    while !second.owns(own.bytes()) {
        second.stats().await.unwrap();
    }
    let mut fresh = Vec::new();
    while fresh.is_empty() {
        let endpoints = second.stirred().await;
        assert_eq!(endpoints, [own]);
        fresh = second.claim(all_of(own)).await.unwrap().lent;
    }
    assert!(fresh[0].lease > stale.lease);
    assert_eq!(first.settle(delivered(&stale)).await, Ok(Settled::LeaseLost));
    assert_eq!(second.settle(delivered(&fresh[0])).await, Ok(Settled::Kept));
}

/// One node's change is told to the others.
#[tokio::test]
async fn a_change_reaches_the_other_node() {
    let (_homes, first, second) = two().await;
    first.configure(vec![new_tenant()]).await.unwrap();
    loop {
        second.reconfigured().await;
        if second.configuration().await.unwrap().tenants.len() == 2 {
            return;
        }
    }
}

/// However often connections are cut, what was answered is there, and nothing is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_and_double_nothing() {
    let mut homes = in_schema();
    let home = homes.open().await;
    let mut kept = Vec::new();
    for n in 0..200 {
        if n % 20 == 7 {
            assert_ne!(homes.sql(CUT).await, "0");
        }
        let admission = admission(n, endpoint(1), false);
        let id = admission.event.id;
        if home.accept(admission).await == Ok(Admitted::New) {
            kept.push(id);
        }
    }
    let query = EventQuery { limit: 1_000, ..EventQuery::of(TenantId::DEFAULT) };
    let mut listed: Vec<EventId> = Vec::new();
    while listed.is_empty() {
        let page = home.events(query.clone()).await;
        listed = page.map(|page| page.items.iter().map(|row| row.id).collect()).unwrap_or_default();
    }
    let once: BTreeSet<EventId> = listed.iter().copied().collect();
    assert_eq!(once.len(), listed.len(), "nothing is there twice");
    assert!(kept.iter().all(|id| once.contains(id)), "what was answered is there");
    assert_eq!(kept.len(), 200, "a connection that was cut is made anew before anyone is told");
}

/// However often connections are cut while deliveries are lent, each comes to whoever claims for it, and to one only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_was_cut_off_strands_nothing() {
    const COUNT: usize = 60;
    let mut homes = in_schema();
    let home = homes.open().await;
    for n in 0..COUNT as u64 {
        assert_eq!(home.accept(admission(n, endpoint(1), false)).await, Ok(Admitted::New));
    }
    let cutting = tokio::spawn(async move {
        for _ in 0..20 {
            homes.sql(CUT).await;
        }
    });
    let mut lent = Vec::new();
    while lent.len() < COUNT {
        let claim = Claim { most: 3, ..all_of(endpoint(1)) };
        let claims = home.claim(claim).await.unwrap_or_default();
        lent.extend(claims.lent.iter().map(|lent| lent.delivery.id));
    }
    cutting.await.unwrap();
    let once: BTreeSet<DeliveryId> = lent.iter().copied().collect();
    assert_eq!((once.len(), lent.len()), (COUNT, COUNT));
}

/// The next of a key comes with the settlement of the one before; what a settlement has lent whose answer was cut off comes by
/// a claim. However often connections are cut: all, in order, none twice.
/// Claims of several endpoints may become one statement: each gets its own, within its own limits.
#[tokio::test]
async fn claims_that_come_together_get_each_its_own() {
    let mut homes = in_schema();
    let home = homes.open().await;
    for n in 0..12_u8 {
        home.accept(admission(n.into(), endpoint(1 + n % 4), false)).await.unwrap();
    }
    let some = |n, most, event_bytes| Claim { most, event_bytes, ..all_of(endpoint(n)) };
    let body = home.claim(some(4, 1, 1_000)).await.unwrap().lent[0].body_len;
    let one_body = usize::try_from(body).unwrap();
    // The third is asked for twice, the fifth has nothing.
    let claims =
        [some(1, 2, 0), some(2, 9, 2 * one_body), some(3, 2, 0), some(3, 9, 0), some(5, 9, 0)];
    let made = futures_util::future::join_all(claims.map(|claim| home.claim(claim))).await;
    let made: Vec<Claims> = made.into_iter().map(Result::unwrap).collect();
    let count = |claims: &Claims| {
        let events = claims.lent.iter().filter(|lent| lent.payload.is_some()).count();
        (claims.lent.len(), events, claims.next_due.is_some())
    };
    let counts: Vec<_> = made.iter().map(count).collect();
    assert_eq!(counts, [(2, 0, true), (3, 2, false), (2, 0, true), (1, 0, false), (0, 0, false)]);
    for (claim, claims) in claims.iter().zip(&made) {
        let due: Vec<_> = claims.lent.iter().map(|lent| lent.delivery.state).collect();
        assert!(claims.lent.iter().all(|lent| lent.delivery.endpoint == claim.endpoint));
        assert!(due.is_sorted_by_key(|state| format!("{state:?}")), "{due:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_goes_on_by_settlements_and_strands_nothing() {
    const COUNT: u64 = 60;
    let mut homes = in_schema();
    let home = homes.open().await;
    for n in 0..COUNT {
        let mut one = admission(n, endpoint(1), false);
        one.deliveries.iter_mut().for_each(|delivery| delivery.order_key = Some(7));
        home.accept(one).await.unwrap();
    }
    let claim = Claim { by_key: true, due_by: at(COUNT), ..all_of(endpoint(1)) };
    let (mut order, mut by_settlement) = (Vec::new(), 0);
    let mut lent = home.claim(claim).await.unwrap().lent;
    while let Some(one) = lent.pop() {
        assert!(lent.is_empty(), "one of the key at a time");
        order.push(one.delivery.id);
        if order.len() % 8 == 0 {
            homes.sql(CUT).await;
        }
        let done = Settlement { next: true, ..delivered(&one) };
        let settled = loop {
            if let Ok(settled) = home.settle(done.clone()).await {
                break settled;
            }
        };
        if settled == Settled::Next {
            by_settlement += 1;
            lent = home.lent().await;
        }
        while lent.is_empty() && order.len() < usize::try_from(COUNT).unwrap() {
            lent = home.claim(claim).await.unwrap_or_default().lent;
        }
    }
    let (all, once): (usize, BTreeSet<DeliveryId>) = (order.len(), order.iter().copied().collect());
    assert_eq!((all, once.len()), (60, 60));
    assert!(order.is_sorted(), "ids of later events are greater");
    assert!(by_settlement > 40, "{by_settlement} of 59 came by themselves");
}

/// One without a key that stands behind a line of others is found, though no claim looks at the whole line.
#[tokio::test]
async fn what_has_no_key_is_found_behind_a_long_line_of_others() {
    const LINE: u64 = 5_000;
    let mut homes = in_schema();
    let home = homes.open().await;
    let keyed = |n| {
        let mut one = admission(n, endpoint(1), false);
        one.deliveries.iter_mut().for_each(|delivery| delivery.order_key = Some(n % 3));
        home.accept(one)
    };
    for n in futures_util::future::join_all((0..LINE).map(keyed)).await {
        assert_eq!(n, Ok(Admitted::New));
    }
    home.accept(admission(LINE, endpoint(1), false)).await.unwrap();
    let claim = || home.claim(Claim { by_key: true, due_by: at(LINE), ..all_of(endpoint(1)) });
    let first = claim().await.unwrap();
    assert_eq!(first.lent.len(), 3, "one of each key");
    assert!(
        first.next_due.is_some_and(|at_once| at_once > at(LINE)),
        "it is looked on, not at once"
    );
    let mut without = Vec::new();
    for _ in 0..3 {
        without.extend(claim().await.unwrap().lent);
    }
    let keys: Vec<Option<u64>> = without.iter().map(|lent| lent.delivery.order_key).collect();
    assert_eq!(keys, [None]);
    let last = claim().await.unwrap();
    assert!(last.lent.is_empty(), "their keys are out");
}

/// A free key behind more blocked ones than a claim looks at is found at once: only the whole round is followed by a rest.
#[tokio::test]
async fn a_free_key_is_found_behind_many_blocked_ones_without_a_rest() {
    const BLOCKED: u64 = 2_500;
    let mut homes = in_schema();
    let home = homes.open().await;
    let keyed = |n| {
        let mut one = admission(n, endpoint(1), false);
        one.deliveries.iter_mut().for_each(|delivery| delivery.order_key = Some(n));
        home.accept(one)
    };
    futures_util::future::join_all((0..BLOCKED).map(keyed)).await;
    let due_by = at(BLOCKED);
    let claim = || home.claim(Claim { by_key: true, due_by, most: 1_000, ..all_of(endpoint(1)) });
    let mut dead = 0;
    while dead < BLOCKED {
        let lent = claim().await.unwrap().lent;
        dead += lent.len() as u64;
        let die = |lent: &Lent| {
            let mut end = delivered(lent);
            end.delivery.state = State::Failed { at: due_by, holds_key: true };
            home.settle(end)
        };
        futures_util::future::join_all(lent.iter().map(die)).await;
    }
    while claim().await.unwrap().next_due.is_some_and(|next| next <= due_by) {}
    keyed(BLOCKED).await.unwrap();
    let mut claims = Vec::new();
    while claims.iter().all(|one: &Claims| one.lent.is_empty()) && claims.len() < 10 {
        claims.push(claim().await.unwrap());
    }
    let (found, before) = claims.split_last().unwrap();
    assert_eq!((before.len(), found.lent.len()), (2, 1), "in the third part of the round");
    for part in before {
        assert!(part.next_due.is_some_and(|next| next <= due_by), "it is looked on at once");
    }
    let mut rests = Vec::new();
    for _ in 0..8 {
        rests.push(claim().await.unwrap().next_due.is_some_and(|next| next > due_by));
    }
    assert_eq!(
        rests.iter().filter(|rests| **rests).count(),
        2,
        "after each whole round: {rests:?}"
    );
}

/// Ends all connections of this schema's nodes.
const CUT: &str = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity
    WHERE application_name = current_schema() AND pid <> pg_backend_pid()";

/// A way to the database that can be frozen: then it takes connections and bytes, and nothing comes of them.
async fn freezable(to: String) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, frozen) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
    let is_frozen = Arc::clone(&frozen);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (to, frozen) = (to.clone(), Arc::clone(&is_frozen));
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                let (mut asked, mut answered) = ([0; 4096], [0; 4096]);
                loop {
                    let (from, bytes) = tokio::select! {
                        count = near.read(&mut asked) => (&mut far, &asked[..count.unwrap_or(0)]),
                        count = far.read(&mut answered) => (&mut near, &answered[..count.unwrap_or(0)]),
                    };
                    if frozen.load(Ordering::SeqCst) {
                        std::future::pending::<()>().await;
                    }
                    if bytes.is_empty() || from.write_all(bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (port, frozen)
}

/// Host and port of the database.
fn real_address(homes: &InSchema) -> String {
    let direct: tokio_postgres::Config = homes.address.parse().unwrap();
    match (direct.get_hosts(), direct.get_ports()) {
        ([Host::Tcp(host)], [port]) => format!("{host}:{port}"),
        other => panic!("one host and its port, not {other:?}"),
    }
}

/// A host that hangs with its connections open, as a machine does whose disk is gone, is left for the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_says_nothing_any_more_is_looked_for_elsewhere() {
    let mut homes = in_schema();
    homes.make().await;
    let real = real_address(&homes);
    let (port, frozen) = freezable(real.clone()).await;
    homes.address = homes.address.replace(&real, &format!("127.0.0.1:{port},{real}"));
    let home = homes.open().await;
    assert_eq!(home.accept(admission(1, endpoint(1), false)).await, Ok(Admitted::New));
    frozen.store(true, Ordering::SeqCst);
    let again =
        async { while home.accept(admission(2, endpoint(1), false)).await != Ok(Admitted::New) {} };
    let taken = tokio::time::timeout(Duration::from_secs(25), again).await;
    assert_eq!(taken, Ok(()), "whoever sends it again is answered");
    let page = home.events(EventQuery::of(TenantId::DEFAULT)).await.unwrap();
    assert_eq!(page.items.len(), 2);
}

/// A way to the database that can be lost: the connection on which a node says that it lives is closed then, the others say
/// nothing any more, and new ones are as before.
async fn losable(to: String) -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, lose) = (listener.local_addr().unwrap().port(), watch::Sender::new(false));
    let lost = lose.clone();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (to, mut lost) = (to.clone(), lost.subscribe());
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                let (mut asked, mut answered) = ([0; 4096], [0; 4096]);
                let mut beats = false;
                loop {
                    let (from, bytes) = tokio::select! {
                        _ = lost.changed() => break,
                        count = near.read(&mut asked) => (&mut far, &asked[..count.unwrap_or(0)]),
                        count = far.read(&mut answered) => (&mut near, &answered[..count.unwrap_or(0)]),
                    };
                    beats |= bytes.windows(BEAT.len()).any(|bytes| bytes == BEAT);
                    if bytes.is_empty() || from.write_all(bytes).await.is_err() {
                        return;
                    }
                }
                if !beats {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (port, lose)
}

/// What is asked where a node says that it lives.
const BEAT: &[u8] = b"WITH beat AS (UPDATE nodes SET alive_until";

/// Of a server that dies one process may stay behind, with its connection: a statement on it would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_when_the_database_was_lost_is_asked_anew() {
    let mut homes = in_schema();
    homes.make().await;
    let real = real_address(&homes);
    let (port, lose) = losable(real.clone()).await;
    homes.address = homes.address.replace(&real, &format!("127.0.0.1:{port}"));
    let home = homes.open().await;
    let claim = |endpoint| home.claim(all_of(endpoint));
    home.accept(admission(1, endpoint(1), false)).await.unwrap();
    assert_eq!(claim(endpoint(2)).await.unwrap().lent.len(), 0, "the connection stands");
    lose.send_replace(true);
    let again =
        async { while claim(endpoint(1)).await.map_or(0, |claims| claims.lent.len()) == 0 {} };
    let claimed = tokio::time::timeout(Duration::from_secs(25), again).await;
    assert_eq!(claimed, Ok(()));
}

/// What was asked on a connection that broke may be done all the same, and late: nobody was told what it lent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lent_after_its_connection_broke_is_given_back() {
    let mut homes = in_schema();
    homes.make().await;
    let real = real_address(&homes);
    let (port, lose) = losable(real.clone()).await;
    let direct = homes.address.clone();
    homes.address = direct.replace(&real, &format!("127.0.0.1:{port}"));
    let home = homes.open().await;
    home.accept(admission(1, endpoint(1), false)).await.unwrap();
    // Prepared: what waits is the statement itself.
    home.claim(all_of(endpoint(2))).await.unwrap();
    let (holder, driven) = tokio_postgres::connect(&direct, tokio_postgres::NoTls).await.unwrap();
    let _driver = tokio::spawn(driven);
    let lock = format!("BEGIN; LOCK TABLE {}.events IN ACCESS EXCLUSIVE MODE", homes.schema);
    holder.batch_execute(&lock).await.unwrap();
    let claiming = tokio::spawn({
        let home = home.clone();
        async move { home.claim(all_of(endpoint(1))).await }
    });
    // Not within the transaction, which sees the same all the time.
    let waits =
        "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = current_schema()
        AND wait_event_type = 'Lock' AND query LIKE 'WITH w AS%'";
    while homes.sql(waits).await == "0" {}
    // The claim's connection breaks for us, and the database goes on with it.
    lose.send_replace(true);
    assert!(claiming.await.unwrap().is_err());
    holder.batch_execute("COMMIT").await.unwrap();
    let again = async {
        while home.claim(all_of(endpoint(1))).await.map_or(0, |claims| claims.lent.len()) == 0 {}
    };
    assert_eq!(tokio::time::timeout(Duration::from_secs(40), again).await, Ok(()));
}

/// Whole days are forgotten, but for one with a delivery that waits, and but for the newest.
#[tokio::test]
async fn retention_drops_days() {
    let mut homes = in_schema();
    let home = homes.open().await;
    let day = 24 * 3600;
    for n in 0..4 {
        home.accept(admission(n * day, endpoint(1), false)).await.unwrap();
    }
    let waiting = home.claim(Claim { most: 3, ..all_of(endpoint(1)) }).await.unwrap().lent;
    for lent in &waiting[1..] {
        home.settle(delivered(lent)).await.unwrap();
    }
    let retention = Retention { age: Some(Duration::from_secs(day)), bytes: None };
    let mut forgotten = 0;
    for _ in 0..3 {
        forgotten += home.prune(at(10 * day), retention).await.unwrap().events;
    }
    assert_eq!(forgotten, 2, "the first waits, and the last is the newest day");
    let left = home.events(EventQuery::of(TenantId::DEFAULT)).await.unwrap().items;
    assert_eq!(left.iter().map(|row| row.at).collect::<Vec<_>>(), [at(3 * day), at(0)]);
    assert_eq!(home.accept(admission(5, endpoint(1), false)).await, Ok(Admitted::New));
}
