//! One node: its lanes, its places for tries, its CPU, and what is counted over time.

use super::dice::Dice;
use super::lane::{After, Delivery, Lane, Out, Start};
use super::mix::{Endpoint, HEALTHS, Health};
use doorbell_core::limits;
use doorbell_core::places::Places;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// What a node is assumed to be. Each figure is printed by a bench; docs/scale.md says which.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// Seconds between two deliveries at full rate.
    pub(super) turn: f64,
    /// For tries.
    pub(super) places: Places,
    /// Bytes of a node that does nothing, of a lane, of a delivery in the window, and of a try that is out.
    pub(super) idle: f64,
    pub(super) lane: f64,
    pub(super) lent: f64,
    pub(super) out: f64,
}

impl Machine {
    pub(super) const fn measured() -> Self {
        Self {
            turn: 1.0 / 13_000.0,
            places: Places::new(limits::TRIES_OUT),
            idle: 18e6,
            lane: 9e3,
            lent: 2.4e3,
            out: 13e3,
        }
    }
}

/// Deliveries that one lane may start in its turn.
const BURST: u32 = 8;
/// Seconds between two samples.
const EVERY: f64 = 5.0;

/// How it stood at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) at: f64,
    pub(super) of_healthy: u64,
    pub(super) of_sick: u64,
    pub(super) out: u64,
    pub(super) bytes: f64,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Outcome {
    pub(super) arrived: u64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) breakers_opened: u64,
    pub(super) most_backlog: u64,
    pub(super) most_bytes: f64,
    /// From event to delivered, of healthy endpoints.
    pub(super) healthy: Times,
    pub(super) samples: Vec<Sample>,
    waiting: [u64; HEALTHS.len()],
}

impl Outcome {
    #[cfg(test)]
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.iter().sum()
    }

    pub(super) fn waiting_by(&self, health: Health) -> u64 {
        HEALTHS
            .iter()
            .zip(self.waiting)
            .filter(|(one, _)| **one == health)
            .map(|(_, count)| count)
            .sum()
    }
}

/// Times in buckets that are a twentieth wide.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Times(std::collections::BTreeMap<i32, u64>);

impl Times {
    fn add(&mut self, seconds: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "a few hundred buckets")]
        let bucket = (seconds.max(1e-6).ln() * 20.0).floor() as i32;
        *self.0.entry(bucket).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    /// The time within which that share came.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let all: u64 = self.0.values().sum();
        let mut seen = 0;
        for (bucket, count) in &self.0 {
            seen += count;
            if seen as f64 >= share * all as f64 {
                return (f64::from(*bucket + 1) / 20.0).exp();
            }
        }
        0.0
    }
}

#[derive(Debug)]
enum Happening {
    Arrives,
    Ends(Out),
    Due(Delivery),
    /// The lane may go on.
    Wake,
    /// The CPU is free again.
    Turn,
}

/// In the order of time, then of making.
struct Event {
    at: f64,
    number: u64,
    lane: usize,
    what: Happening,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.total_cmp(&other.at).then(self.number.cmp(&other.number))
    }
}

struct Node<'a> {
    machine: &'a Machine,
    lanes: Vec<Lane>,
    events: BinaryHeap<Reverse<Event>>,
    number: u64,
    dice: Dice,
    all: f64,
    /// Lanes that may have something to start.
    ring: VecDeque<usize>,
    in_ring: Vec<bool>,
    /// When each lane is woken next, so that it is not woken twice.
    wakes: Vec<f64>,
    out: u32,
    free_at: f64,
    turn_is_due: bool,
    of_healthy: u64,
    of_sick: u64,
    outcome: Outcome,
}

/// Lets so many minutes pass on a node with these endpoints.
pub(super) fn simulate(
    endpoints: Vec<Endpoint>,
    machine: &Machine,
    minutes: u64,
    seed: u64,
) -> Outcome {
    let count = endpoints.len();
    let mut node = Node {
        machine,
        lanes: endpoints.into_iter().map(Lane::new).collect(),
        events: BinaryHeap::new(),
        number: 0,
        dice: Dice::new(seed),
        all: minutes as f64 * 60.0,
        ring: VecDeque::new(),
        in_ring: vec![false; count],
        wakes: vec![f64::MAX; count],
        out: 0,
        free_at: 0.0,
        turn_is_due: false,
        of_healthy: 0,
        of_sick: 0,
        outcome: Outcome::default(),
    };
    for lane in 0..count {
        node.next_arrival(0.0, lane);
    }
    node.pass();
    node.outcome
}

impl Node<'_> {
    fn at(&mut self, at: f64, lane: usize, what: Happening) {
        self.number += 1;
        self.events.push(Reverse(Event { at, number: self.number, lane, what }));
    }

    fn next_arrival(&mut self, now: f64, lane: usize) {
        let Some(rate) = self.lanes.get(lane).map(|lane| lane.endpoint.rate) else { return };
        let gap = self.dice.gap(rate);
        self.at(now + gap, lane, Happening::Arrives);
    }

    fn pass(&mut self) {
        let mut sample = 0.0;
        while let Some(Reverse(event)) = self.events.pop() {
            if event.at >= self.all {
                // It is still to come: what is out or put off counts as waiting.
                self.count_left(event);
                continue;
            }
            while sample <= event.at {
                self.sample(sample);
                sample += EVERY;
            }
            self.happen(event);
            self.turn_lanes();
        }
        self.outcome.breakers_opened = self.lanes.iter().map(|lane| lane.opened).sum();
        for lane in &self.lanes {
            count(&mut self.outcome.waiting, lane.endpoint.health, lane.waiting.len() as u64);
        }
    }

    fn count_left(&mut self, event: Event) {
        let health = self.lanes.get(event.lane).map(|lane| lane.endpoint.health);
        if let (Happening::Ends(_) | Happening::Due(_), Some(health)) = (event.what, health) {
            count(&mut self.outcome.waiting, health, 1);
        }
    }

    fn sample(&mut self, at: f64) {
        let window: usize =
            self.lanes.iter().map(|lane| lane.waiting.len().min(limits::ENDPOINT_WINDOW)).sum();
        let lent = window.min(limits::WINDOW) as f64;
        let of = self.machine;
        let bytes = of.idle
            + of.lane * self.lanes.len() as f64
            + of.lent * lent
            + of.out * f64::from(self.out);
        let backlog = self.of_healthy + self.of_sick;
        self.outcome.most_backlog = self.outcome.most_backlog.max(backlog);
        self.outcome.most_bytes = self.outcome.most_bytes.max(bytes);
        self.outcome.samples.push(Sample {
            at,
            of_healthy: self.of_healthy,
            of_sick: self.of_sick,
            out: u64::from(self.out),
            bytes,
        });
    }

    fn happen(&mut self, Event { at, lane, what, .. }: Event) {
        match what {
            Happening::Arrives => {
                self.outcome.arrived += 1;
                self.wait(lane, Delivery { came: at, made: 0 });
                self.next_arrival(at, lane);
            }
            Happening::Due(delivery) => {
                self.backlog(lane, false);
                self.wait(lane, delivery);
            }
            Happening::Ends(out) => self.ended(at, lane, out),
            Happening::Wake => {
                if let Some(wake) = self.wakes.get_mut(lane) {
                    *wake = f64::MAX;
                }
                self.line_up(lane);
            }
            Happening::Turn => self.turn_is_due = false,
        }
        self.now(at);
    }

    fn wait(&mut self, lane: usize, delivery: Delivery) {
        self.backlog(lane, true);
        if let Some(of) = self.lanes.get_mut(lane) {
            of.waiting.push_back(delivery);
        }
        self.line_up(lane);
    }

    /// One more waits, or one less.
    fn backlog(&mut self, lane: usize, more: bool) {
        let health = self.lanes.get(lane).map(|lane| lane.endpoint.health);
        let of =
            if health == Some(Health::Healthy) { &mut self.of_healthy } else { &mut self.of_sick };
        *of = if more { *of + 1 } else { of.saturating_sub(1) };
    }

    fn line_up(&mut self, lane: usize) {
        if let Some(in_ring) = self.in_ring.get_mut(lane).filter(|in_ring| !**in_ring) {
            *in_ring = true;
            self.ring.push_back(lane);
        }
    }

    fn ended(&mut self, at: f64, lane: usize, out: Out) {
        self.out -= 1;
        let Some(of) = self.lanes.get_mut(lane) else { return };
        let (after, health) = (of.ended(out, at, &mut self.dice), of.endpoint.health);
        match after {
            After::Delivered => {
                self.outcome.delivered += 1;
                if health == Health::Healthy {
                    self.outcome.healthy.add(at - out.delivery.came);
                }
            }
            After::GivenUp => self.outcome.failed += 1,
            After::Again(due) => {
                self.backlog(lane, true);
                let delivery = Delivery { made: out.delivery.made + 1, ..out.delivery };
                self.at(due, lane, Happening::Due(delivery));
            }
        }
        self.line_up(lane);
    }

    fn now(&mut self, at: f64) {
        self.free_at = self.free_at.max(at);
    }

    /// Starts what may start, lane by lane, as fast as the CPU goes.
    fn turn_lanes(&mut self) {
        // All of a turn happens at the time of the event that brought it.
        let now = self.free_at;
        if self.turn_is_due {
            return;
        }
        let mut squeezed = Vec::new();
        while let Some(lane) = self.ring.pop_front() {
            if self.machine.places.share(self.out as usize) == 0 || self.free_at > now {
                self.ring.push_front(lane);
                break;
            }
            if let Some(in_ring) = self.in_ring.get_mut(lane) {
                *in_ring = false;
            }
            if self.start_some(now, lane) == Went::Squeezed {
                squeezed.push(lane);
            }
        }
        // They come after all others, at the next end of a try.
        squeezed.into_iter().for_each(|lane| self.line_up(lane));
        if self.free_at > now {
            self.turn_is_due = true;
            self.at(self.free_at, 0, Happening::Turn);
        }
    }

    fn start_some(&mut self, now: f64, lane: usize) -> Went {
        for _ in 0..BURST {
            let share = self.machine.places.share(self.out as usize);
            let Some(of) = self.lanes.get_mut(lane) else { return Went::On };
            let was_out = of.out();
            if was_out as usize >= share {
                return if of.waiting.is_empty() { Went::On } else { Went::Squeezed };
            }
            match of.start(now, self.all, &mut self.dice) {
                Start::Try(out) => {
                    self.out += 1;
                    self.backlog(lane, false);
                    self.free_at += self.machine.turn;
                    self.at(now + out.lasts, lane, Happening::Ends(out));
                }
                Start::Nothing => return Went::On,
                Start::At(at) => {
                    if let Some(wake) = self.wakes.get_mut(lane).filter(|wake| at < **wake) {
                        *wake = at;
                        self.at(at.max(now), lane, Happening::Wake);
                    }
                    return Went::On;
                }
            }
        }
        self.line_up(lane);
        Went::On
    }
}

/// Whether a lane got what it wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Went {
    On,
    /// Its share of the places is used up.
    Squeezed,
}

fn count(waiting: &mut [u64; HEALTHS.len()], of: Health, more: u64) {
    for (health, count) in HEALTHS.iter().zip(waiting) {
        if *health == of {
            *count += more;
        }
    }
}
