//! Random histories on the model and on a home must look the same from outside at every step.

use super::making::{BEGIN, Maker, endpoint, event_type, rejected, replay, source, tenant};
use super::{Homes, Model};
use crate::store::{
    Admission, Amendment, Claim, DeliveryQuery, EventQuery, FateWord, Lent, NewDelivery,
    Settlement, StateWord, Store,
};
use doorbell_core::delivery::{DiscardReason, State};
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{DeliveryId, EventId};
use doorbell_core::name::EventTypePattern;
use doorbell_core::time::Time;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// One step of a history. Numbers choose among few, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Accept { origin: u64, tenant: u64, kind: u64, key: Option<u8>, deliveries: Vec<Made> },
    Claim { endpoint: u64, by_key: bool, hours: u64, most: usize },
    Begin { which: Index },
    Settle { which: Index, how: How },
    Amend { which: Index, tenant: u64, what: What },
    ListEvents(EventQuery),
    ListDeliveries(DeliveryQuery),
    Look,
}

#[derive(Debug, Clone)]
struct Made {
    endpoint: u64,
    key: Option<u64>,
    hours: u64,
    lend: bool,
    disabled: bool,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Delivered,
    Again(u64),
    Back,
    Failed,
    Holding,
    Discarded,
}

#[derive(Debug, Clone)]
enum What {
    Retry,
    Cancel,
    Redeliver(Vec<Made>),
}

const KINDS: [Option<&str>; 4] = [None, Some("invoice.paid"), Some("invoice.void"), Some("push")];

fn hours(count: u64) -> Time {
    BEGIN.after(Duration::from_secs(3600 * count))
}

fn made() -> impl Strategy<Value = Made> {
    (0..3_u64, prop::option::of(0..3_u64), 0..4_u64, any::<bool>(), prop::bool::weighted(0.1))
        .prop_map(|(endpoint, key, hours, lend, disabled)| Made {
            endpoint,
            key,
            hours,
            lend,
            disabled,
        })
}

fn states() -> impl Strategy<Value = Option<StateWord>> {
    prop::option::of(select(StateWord::ALL.to_vec()))
}

fn moments() -> impl Strategy<Value = Option<Time>> {
    prop::option::weighted(0.2, (0..200_u64).prop_map(|ms| BEGIN.after(Duration::from_millis(ms))))
}

/// Any question about events; pages are small.
pub(crate) fn event_queries() -> impl Strategy<Value = EventQuery> {
    const FATES: [FateWord; 5] = [
        FateWord::Accepted,
        FateWord::NoEndpoint,
        FateWord::Filtered,
        FateWord::Duplicate,
        FateWord::Rejected,
    ];
    let patterns = select(vec!["*", "invoice.*", "push", "*.paid", "nothing"]);
    let about = (
        0..2_u64,
        prop::option::of(1..4_u64),
        prop::option::of(patterns),
        prop::collection::vec(select(FATES.to_vec()), 0..3),
    );
    let rest = (prop::option::of(0..4_u64), states(), moments(), moments(), 1..6_usize);
    (about, rest).prop_map(|((of, from, kind, fates), (to, state, since, until, limit))| {
        EventQuery {
            tenant: tenant(of),
            source: from.map(source),
            event_type: kind.map(|text| EventTypePattern::parse(text).unwrap()),
            fates,
            endpoint: to.map(endpoint),
            state,
            since,
            until,
            cursor: None,
            limit,
        }
    })
}

/// Any question about deliveries, but for those of one event; pages are small.
pub(crate) fn delivery_queries() -> impl Strategy<Value = DeliveryQuery> {
    let replays = prop::option::weighted(0.2, 0..2_u64);
    let parts = (0..2_u64, prop::option::of(0..4_u64), states(), replays, moments(), moments());
    (parts, 1..6_usize).prop_map(|((of, to, state, again, since, until), limit)| DeliveryQuery {
        tenant: tenant(of),
        event: None,
        endpoint: to.map(endpoint),
        state,
        replay: again.map(replay),
        since,
        until,
        cursor: None,
        limit,
    })
}

fn steps() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        3 => Just(How::Delivered),
        2 => (0..4_u64).prop_map(How::Again),
        1 => Just(How::Back),
        1 => Just(How::Failed),
        1 => Just(How::Holding),
        1 => Just(How::Discarded),
    ];
    let what = prop_oneof![
        Just(What::Retry),
        Just(What::Cancel),
        prop::collection::vec(made(), 0..3).prop_map(What::Redeliver),
    ];
    let accept = (
        0..4_u64,
        0..2_u64,
        0..4_u64,
        prop::option::of(0..4_u8),
        prop::collection::vec(made(), 0..4),
    );
    let claim = (0..3_u64, any::<bool>(), 0..5_u64, 1..5_usize);
    prop_oneof![
        6 => accept.prop_map(|(origin, tenant, kind, key, deliveries)| Step::Accept { origin, tenant, kind, key, deliveries }),
        4 => claim.prop_map(|(endpoint, by_key, hours, most)| Step::Claim { endpoint, by_key, hours, most }),
        4 => any::<Index>().prop_map(|which| Step::Begin { which }),
        6 => (any::<Index>(), how).prop_map(|(which, how)| Step::Settle { which, how }),
        2 => (any::<Index>(), prop::bool::weighted(0.1), what)
            .prop_map(|(which, other, what)| Step::Amend { which, tenant: u64::from(other), what }),
        1 => event_queries().prop_map(Step::ListEvents),
        1 => delivery_queries().prop_map(Step::ListDeliveries),
        1 => Just(Step::Look),
    ]
}

/// Both stores, and what is lent from each.
struct Pair<M, H> {
    model: M,
    home: H,
    maker: Maker,
    events: Vec<(EventId, u64)>,
    deliveries: Vec<(DeliveryId, EventId)>,
    lent: BTreeMap<DeliveryId, (Lent, Lent)>,
}

/// Runs random histories: one `share`th of proptest's number of cases (256, or `PROPTEST_CASES`), for homes that take
/// their time.
pub fn agrees_with_the_model<H: Homes>(share: u32, homes: impl Fn() -> H) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let default = Config::default();
    let cases = (default.cases / share).max(1);
    let config = Config { failure_persistence: None, cases, ..default };
    let history = prop::collection::vec(steps(), 1..60);
    let outcome = TestRunner::new(config).run(&history, |history| {
        runtime.block_on(compare(homes(), history));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// How a store goes from one home to another.
pub trait Carries {
    /// Where it was.
    type From: Store;
    /// Where it is then.
    type To: Store;

    /// Opens the home where it begins, empty.
    fn open(&mut self) -> impl Future<Output = Self::From>;

    /// Copies a part while the store works on, or forgets what was copied and begins again.
    fn copy_some(&mut self, from: &Self::From) -> impl Future<Output = ()>;

    /// Copies the rest; the store works on in the other home.
    fn finish(&mut self, from: Self::From) -> impl Future<Output = Self::To>;
}

/// Runs random histories that go on in another home; what is looked at after the move is as in the model, which never
/// moved. The share is as in [`agrees_with_the_model`].
pub fn agrees_after_a_move<C: Carries>(share: u32, carries: impl Fn() -> C) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let default = Config::default();
    let cases = (default.cases / share).max(1);
    let config = Config { failure_persistence: None, cases, ..default };
    let history = || prop::collection::vec(steps(), 1..40);
    let outcome = TestRunner::new(config).run(&(history(), history()), |(before, after)| {
        runtime.block_on(move_between(carries(), before, after));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

async fn move_between(mut carries: impl Carries, before: Vec<Step>, after: Vec<Step>) {
    let mut pair = Pair::new(Model.open().await, carries.open().await);
    for step in before {
        pair.take(step).await;
        carries.copy_some(&pair.home).await;
    }
    pair.let_go().await;
    let Pair { model, home, maker, events, deliveries, lent } = pair;
    let home = carries.finish(home).await;
    let mut pair = Pair { model, home, maker, events, deliveries, lent };
    pair.look().await;
    for step in after {
        pair.take(step).await;
    }
    pair.look().await;
}

async fn compare(mut homes: impl Homes, history: Vec<Step>) {
    let mut pair = Pair::new(Model.open().await, homes.open().await);
    for step in history {
        pair.take(step).await;
    }
    pair.look().await;
}

impl<M: Store, H: Store> Pair<M, H> {
    fn new(model: M, home: H) -> Self {
        let (events, deliveries, lent) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { model, home, maker: Maker::new(), events, deliveries, lent }
    }

    /// Gives back all that is lent.
    async fn let_go(&mut self) {
        for (a, b) in std::mem::take(&mut self.lent).into_values() {
            let back = |Lent { delivery, locator, lease, .. }: Lent| Settlement {
                lease,
                locator,
                delivery,
                attempt: None,
                next: false,
            };
            let (expected, settled) =
                (self.model.settle(back(a)).await, self.home.settle(back(b)).await);
            assert_eq!(settled, expected);
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Accept { origin, tenant: of, kind, key, deliveries } => {
                let event = Event {
                    tenant: tenant(of),
                    origin: if origin == 0 { Origin::Api } else { Origin::Source(source(origin)) },
                    event_type: KINDS[usize::try_from(kind).unwrap()].map(event_type),
                    dedupe_key: key.map(|key| vec![key].into()),
                    ..self.maker.event()
                };
                self.accept(event, &deliveries).await;
            }
            Step::Claim { endpoint: to, by_key, hours: until, most } => {
                // Which keys go first is the home's affair, so by key everything is asked for.
                let most = if by_key { 1_000 } else { most };
                let due_by = hours(until);
                self.claim(Claim {
                    endpoint: endpoint(to),
                    by_key,
                    due_by,
                    most,
                    event_bytes: 0,
                    lease_until: Time::MAX,
                })
                .await;
            }
            Step::Begin { which } => self.begin(which),
            Step::Settle { which, how } => self.settle(which, how).await,
            Step::Amend { which, tenant, what } => self.amend(which, tenant, what).await,
            Step::ListEvents(query) => self.list_events(query).await,
            Step::ListDeliveries(query) => self.list_deliveries(query).await,
            Step::Look => self.look().await,
        }
    }

    fn make(&mut self, event: EventId, made: &[Made], again: bool) -> Vec<NewDelivery> {
        let make = |made: &Made| {
            let new = self.maker.delivery(endpoint(made.endpoint));
            let why = DiscardReason::EndpointDisabled;
            let waiting = State::Waiting { due: hours(made.hours) };
            let state =
                if made.disabled { State::Discarded { at: self.maker.now, why } } else { waiting };
            self.deliveries.push((new.id, event));
            let replay = again.then(|| replay(made.hours % 2));
            NewDelivery { order_key: made.key, lend: made.lend, state, replay, ..new }
        };
        made.iter().map(make).collect()
    }

    async fn accept(&mut self, event: Event, made: &[Made]) {
        let fate = match (made.len(), self.events.len() % 5) {
            (0, 0) => rejected(),
            (0, 1) => Fate::Filtered,
            (0, _) => Fate::NoEndpoint,
            _ => Fate::Accepted,
        };
        let of = u64::from(event.tenant == tenant(1));
        let known = self.deliveries.len();
        let deliveries = self.make(event.id, made, false);
        let lent = lent_count(&deliveries);
        let admission = Admission {
            event: Arc::new(event),
            fate,
            dedupe_window: Duration::from_millis(40),
            deliveries,
            once: false,
        };
        self.events.push((admission.event.id, of));
        let expected = self.model.accept(admission.clone()).await.unwrap();
        assert_eq!(self.home.accept(admission).await, Ok(expected));
        match expected {
            crate::store::Admitted::New => self.fetch_lent(lent).await,
            crate::store::Admitted::Repeat(_)
            | crate::store::Admitted::KeyReused(_)
            | crate::store::Admitted::Again => {
                self.deliveries.truncate(known);
            }
        }
    }

    /// Takes over what was lent at acceptance.
    async fn fetch_lent(&mut self, count: usize) {
        let (mut expected, mut lent) = (Vec::new(), Vec::new());
        while expected.len() < count {
            expected.extend(self.model.lent().await);
        }
        while lent.len() < count {
            lent.extend(self.home.lent().await);
        }
        self.keep(expected, lent);
    }

    fn keep(&mut self, expected: Vec<Lent>, lent: Vec<Lent>) {
        let told = |lent: &[Lent]| {
            let told = lent.iter().map(|lent| (lent.delivery.clone(), lent.body_len));
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(&lent), told(&expected));
        for (a, b) in expected.into_iter().zip(lent) {
            self.lent.insert(a.delivery.id, (a, b));
        }
    }

    async fn claim(&mut self, claim: Claim) {
        let expected = self.model.claim(claim).await.unwrap();
        let claims = self.home.claim(claim).await.unwrap();
        assert_eq!(claims.next_due, expected.next_due, "{claim:?}");
        self.keep(expected.lent, claims.lent);
    }

    fn begin(&self, which: Index) {
        if self.lent.is_empty() {
            return;
        }
        let id = *self.lent.keys().nth(which.index(self.lent.len())).unwrap();
        let (a, b) = &self.lent[&id];
        assert_eq!(self.home.begin(id, b.lease), self.model.begin(id, a.lease));
    }

    async fn settle(&mut self, which: Index, how: How) {
        if self.lent.is_empty() {
            return;
        }
        let id = *self.lent.keys().nth(which.index(self.lent.len())).unwrap();
        let (a, b) = self.lent.remove(&id).unwrap();
        let at = self.maker.now;
        let (state, status) = match how {
            How::Delivered => (State::Delivered { at }, 200),
            How::Again(count) => (State::Waiting { due: hours(count) }, 0),
            How::Back => (a.delivery.state, 503),
            How::Failed => (State::Failed { at, holds_key: false }, 500),
            How::Holding => (State::Failed { at, holds_key: true }, 0),
            How::Discarded => (State::Discarded { at, why: DiscardReason::Filtered }, 418),
        };
        let mut expected = self.maker.settlement(&a, state, status);
        if matches!(how, How::Back) {
            (expected.attempt, expected.delivery) = (None, a.delivery);
        }
        let mut settlement = expected.clone();
        (settlement.lease, settlement.locator) = (b.lease, b.locator);
        let answer = self.model.settle(expected).await;
        assert_eq!(self.home.settle(settlement.clone()).await, answer);
        let again = self.home.settle(settlement).await;
        assert_eq!(again, Ok(crate::store::Settled::LeaseLost), "a lease is good for once");
    }

    async fn amend(&mut self, which: Index, other: u64, what: What) {
        if self.deliveries.is_empty() {
            return;
        }
        let (delivery, event) = self.deliveries[which.index(self.deliveries.len())];
        let at = self.maker.now;
        let owner = self.events.iter().find(|(id, _)| *id == event).map_or(0, |(_, of)| *of);
        let tenant = tenant((owner + other) % 2);
        let (amendment, lent) = match what {
            What::Retry => (Amendment::Retry { tenant, delivery, due: at, lend: false }, 0),
            What::Cancel => (Amendment::Cancel { tenant, delivery, at }, 0),
            What::Redeliver(made) => {
                let known = self.deliveries.len();
                let deliveries = self.make(event, &made, true);
                let count = lent_count(&deliveries);
                if other > 0 {
                    self.deliveries.truncate(known);
                }
                (
                    Amendment::Redeliver { tenant, event, deliveries },
                    if other > 0 { 0 } else { count },
                )
            }
        };
        let expected = self.model.amend(vec![amendment.clone()]).await;
        assert_eq!(self.home.amend(vec![amendment.clone()]).await, expected, "{amendment:?}");
        self.fetch_lent(lent).await;
    }

    async fn list_events(&self, mut query: EventQuery) {
        let mut other = query.clone();
        loop {
            let expected = self.model.events(query.clone()).await.unwrap();
            let page = self.home.events(other.clone()).await.unwrap();
            assert_eq!(page.items, expected.items, "{query:?}");
            assert_eq!(page.next.is_some(), expected.next.is_some(), "{query:?}");
            if expected.next.is_none() {
                return;
            }
            (query.cursor, other.cursor) = (expected.next, page.next);
        }
    }

    async fn list_deliveries(&self, mut query: DeliveryQuery) {
        let mut other = query.clone();
        loop {
            let expected = self.model.deliveries(query.clone()).await.unwrap();
            let page = self.home.deliveries(other.clone()).await.unwrap();
            assert_eq!(page.items, expected.items, "{query:?}");
            assert_eq!(page.next.is_some(), expected.next.is_some(), "{query:?}");
            if expected.next.is_none() {
                return;
            }
            (query.cursor, other.cursor) = (expected.next, page.next);
        }
    }

    /// Everything that can be seen.
    async fn look(&self) {
        for of in [tenant(0), tenant(1)] {
            self.list_events(EventQuery { limit: 7, ..EventQuery::of(of) }).await;
            self.list_deliveries(DeliveryQuery { limit: 7, ..DeliveryQuery::of(of) }).await;
            for (id, _) in &self.events {
                assert_eq!(self.home.event(of, *id).await, self.model.event(of, *id).await);
                let query = DeliveryQuery { event: Some(*id), ..DeliveryQuery::of(of) };
                self.list_deliveries(query).await;
            }
            for (id, _) in &self.deliveries {
                assert_eq!(self.home.delivery(of, *id).await, self.model.delivery(of, *id).await);
                assert_eq!(self.home.attempts(of, *id).await, self.model.attempts(of, *id).await);
            }
        }
        let mut backlog = self.home.backlog().await.unwrap();
        backlog.sort_unstable_by_key(|backlog| backlog.endpoint);
        assert_eq!(Ok(backlog), self.model.backlog().await);
        let mut waiting = self.home.waiting_counts().await.unwrap();
        waiting.sort_unstable_by_key(|waiting| waiting.endpoint);
        assert_eq!(Ok(waiting), self.model.waiting_counts().await);
        let (stats, expected) =
            (self.home.stats().await.unwrap(), self.model.stats().await.unwrap());
        assert_eq!(
            (stats.events, stats.waiting, stats.failed, stats.oldest),
            (expected.events, expected.waiting, expected.failed, expected.oldest)
        );
    }
}

fn lent_count(deliveries: &[NewDelivery]) -> usize {
    deliveries.iter().filter(|new| new.lend && !new.state.is_settled()).count()
}
