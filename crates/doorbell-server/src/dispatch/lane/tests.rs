//! A lane under whatever may happen to it, against plain counts.

use super::*;
use doorbell_core::attempt::Answer;
use doorbell_core::configuration::Configuration;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::directory::{Directory, Settings};
use doorbell_core::endpoint::{OnDead, Order, Rate, Subscription};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
use doorbell_core::name::Label;
use doorbell_core::request::Headers;
use doorbell_core::source::KeyRule;
use doorbell_store::{Lease, Locator};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const T0: Time = Time::from_ms(1_800_000_000_000);

fn endpoint(kind: u8) -> Option<Arc<ReadyEndpoint>> {
    let rate = (kind & 1 == 1).then_some(Rate { count: 2, per: Duration::from_secs(1) });
    let order = (kind & 2 == 2)
        .then(|| Order { key: KeyRule::Header("x-key".into()), on_dead: OnDead::Block });
    let status = match kind % 7 {
        5 => Status::Paused,
        6 => Status::Disabled { at: T0, why: String::new() },
        _ => Status::Enabled,
    };
    let endpoint = Endpoint {
        id: EndpointId::new(T0, 1),
        tenant: TenantId::DEFAULT,
        name: Label::parse("one").ok()?,
        status,
        subscription: Subscription::default(),
        url: format!("https://{}.example.com", if kind & 4 == 4 { "a" } else { "b" }),
        headers: Vec::new(),
        secrets: Vec::new(),
        policy: Policy { rate, order, concurrency: 3, ..Policy::default() },
        created: T0,
        updated: T0,
    };
    let id = endpoint.id;
    let all = Configuration { endpoints: vec![endpoint], ..Configuration::default() };
    let directory = Directory::new(all, Settings::default());
    // Some are deleted.
    directory.endpoint(id).filter(|_| kind < 250).cloned()
}

fn outcome(dice: u8) -> Option<Outcome> {
    let status = match dice % 4 {
        0 => return None,
        1 => 200,
        2 => 503,
        _ => 404,
    };
    let (headers, body) = (Headers::default(), bytes::Bytes::new());
    Some(Outcome::Answered(Answer { status, headers, body, truncated: false }))
}

/// Bytes of bodies that may be out.
const ROOM: u64 = 90_000;

/// The lane, and where everything is that it was ever given.
struct World {
    lane: Lane,
    now: Time,
    given: u64,
    /// Given back, or taken away before their try began.
    gone: u64,
    /// Tries that are out, by lease.
    out: BTreeMap<Lease, (String, Pass, u64)>,
    settling: u64,
    done: u64,
    alarms: Vec<Time>,
    claim: Option<Wish>,
}

impl World {
    fn new() -> Self {
        Self {
            lane: Lane::new(endpoint(0), Arc::default()),
            now: T0,
            given: 0,
            gone: 0,
            out: BTreeMap::new(),
            settling: 0,
            done: 0,
            alarms: Vec::new(),
            claim: None,
        }
    }

    fn lent(&mut self, asked: bool) -> Lent {
        self.given += 1;
        let n = u128::from(self.given);
        let delivery = Delivery {
            id: DeliveryId::new(T0, n),
            tenant: TenantId::DEFAULT,
            event: EventId::new(T0, n),
            endpoint: EndpointId::new(T0, 1),
            order_key: None,
            replay: None,
            attempts: 0,
            by_hand: 0,
            state: State::Waiting { due: T0 },
            asked,
        };
        let (locator, lease) = (Locator(self.given), Lease(self.given));
        Lent { delivery, locator, lease, body_len: self.given % 7 * 10_000, payload: None }
    }

    fn step(&mut self, what: u8, dice: u8) {
        match what {
            0 | 1 => {
                let lent = self.lent(dice.is_multiple_of(5));
                self.lane.push(lent, self.now);
            }
            2 => {
                let after = Duration::from_secs(u64::from(dice)) * u32::from(dice % 2);
                self.lane.store_has(self.now.after(after), self.now);
            }
            3 => self.claimed(dice),
            4 => self.tried(dice),
            5 => self.settled(),
            6 => self.lane.configure(endpoint(dice), self.now),
            7 => self.now = self.now.after(Duration::from_millis(u64::from(dice) * 40)),
            _ => self.start(dice),
        }
        self.look();
    }

    fn claimed(&mut self, dice: u8) {
        let Some(wish) = self.claim.take() else { return };
        if dice.is_multiple_of(4) {
            return self.lane.claim_failed(self.now.after(Duration::from_secs(1)));
        }
        let lent = (0..wish.most.min(usize::from(dice % 5))).map(|_| self.lent(dice > 200));
        let lent = lent.collect();
        let next_due =
            (dice % 3 == 1).then(|| self.now.after(Duration::from_secs(u64::from(dice / 9))));
        self.lane.claimed(Claims { lent, next_due }, self.now);
    }

    fn tried(&mut self, dice: u8) {
        let Some((_, (url, pass, body_len))) = self.out.pop_first() else { return };
        let outcome = outcome(dice);
        let (outcome, dice) = (outcome.as_ref(), u64::from(dice));
        let end = End { url: &url, pass, outcome, body_len, dice };
        self.lane.tried(end, self.now);
        self.settling += 1;
    }

    fn settled(&mut self) {
        if self.settling > 0 {
            self.lane.settled();
            self.settling -= 1;
            self.done += 1;
        }
    }

    fn start(&mut self, dice: u8) {
        let off = self.lane.off();
        let paused = self.lane.is_paused();
        let mut dropped = 0;
        let begins = |lent: &Lent| !lent.lease.0.is_multiple_of(11);
        let bodies_out = self.bodies_out();
        let free = Free { places: 1 + usize::from(dice), bodies: BodyRoom::new(ROOM), bodies_out };
        let start = self.lane.start((self.now, free), begins, |_| dropped += 1);
        self.gone += dropped;
        match start {
            None => {}
            Some(Start::Discard(_, why)) => {
                assert_eq!(Some(why), off);
                self.settling += 1;
            }
            Some(Start::Try(Try { lent, endpoint, pass })) => {
                assert!(!paused && off.is_none());
                let url = endpoint.endpoint().url.clone();
                let before = self.out.insert(lent.lease, (url, pass, lent.body_len));
                assert!(before.is_none(), "two tries of one");
                assert!(self.out.len() <= 3);
                assert!(self.bodies_out() < ROOM + 60_000);
            }
        }
    }

    /// Bytes of bodies that are out, small ones left out.
    fn bodies_out(&self) -> u64 {
        self.out.values().map(|(_, _, len)| BodyRoom::weight(*len)).sum()
    }

    /// What the loop does after anything happened.
    fn look(&mut self) {
        if self.lane.should_give_back() {
            self.gone += self.lane.give_up(0).len() as u64;
            self.lane.store_has(Time::EPOCH, self.now);
        }
        self.alarms.retain(|at| {
            let rings = *at <= self.now;
            if rings {
                self.lane.alarm_rang(*at);
            }
            !rings
        });
        if let Some(wish) = self.lane.wish(self.now) {
            assert!(self.claim.is_none(), "two claims at once");
            self.claim = Some(wish);
        }
        self.alarms.extend(self.lane.new_alarm(self.now));
    }

    fn check(&self) {
        let lane = &self.lane;
        assert_eq!(lane.standing(self.now).in_flight as usize, self.out.len());
        assert_eq!(lane.settling as u64, self.settling);
        assert_eq!(lane.bodies_out, self.bodies_out());
        let here = lane.waiting.len() as u64 + self.out.len() as u64 + self.settling;
        assert_eq!(self.given, here + self.done + self.gone, "nothing is lost");
        assert_eq!(lane.claiming, self.claim.is_some());
        self.will_go_on();
    }

    /// Something is under way, or an alarm is set: a lane that waits for nothing would wait for ever.
    fn will_go_on(&self) {
        let lane = &self.lane;
        let under_way = !self.out.is_empty() || self.settling > 0 || self.claim.is_some();
        if lane.is_paused() || under_way {
            return;
        }
        let alarm = !self.alarms.is_empty();
        assert!(lane.waiting.is_empty() || lane.is_ready(self.now, Free::ALL) || alarm);
        assert!(lane.stored_due.is_none() || !lane.waiting.is_empty() || alarm);
    }

    /// Enabled, with an endpoint that is well and a store that has nothing more: all that it has is delivered.
    fn finish(&mut self) {
        self.lane.configure(endpoint(0), self.now);
        self.look();
        for _ in 0..10_000 {
            if self.claim.take().is_some() {
                self.lane.claimed(Claims::default(), self.now);
            }
            self.tried(1);
            self.settled();
            self.start(9);
            self.look();
            if self.is_idle() {
                return self.check();
            }
            if !self.lane.is_ready(self.now, Free::ALL)
                && self.out.is_empty()
                && self.settling == 0
                && self.claim.is_none()
            {
                self.now = *self.alarms.iter().min().expect("an alarm is set");
                self.look();
            }
        }
        panic!("it does not come to an end");
    }

    /// Nothing is held, out, or known to wait.
    fn is_idle(&self) -> bool {
        let nothing_out = self.out.is_empty() && self.settling == 0 && self.claim.is_none();
        nothing_out && self.lane.is_empty()
    }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_is_lost_or_forgotten(steps in prop::collection::vec((0_u8..12, any::<u8>()), 1..300)) {
        let mut world = World::new();
        for (what, dice) in steps {
            world.step(what, dice);
            world.check();
        }
        world.finish();
    }
}
