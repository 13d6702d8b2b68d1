//! One endpoint's queue, with the gateway's own breaker, pace and retry schedule.

use super::dice::Dice;
use super::mix::{Endpoint, Health};
use bytes::Bytes;
use doorbell_core::attempt::{Answer, ErrorClass, Fault, Outcome};
use doorbell_core::breaker::{Breaker, Gate, Pass};
use doorbell_core::endpoint::{Policy, Retry};
use doorbell_core::pace::{Pace, Turn};
use doorbell_core::request::Headers;
use doorbell_core::retry::{Made, Next, next_try};
use doorbell_core::time::Time;
use std::collections::VecDeque;

/// A delivery: when its event came, and how often it was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Delivery {
    pub(super) came: f64,
    pub(super) made: u32,
}

/// A try that is out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Out {
    pub(super) delivery: Delivery,
    pub(super) pass: Pass,
    pub(super) ends: Ends,
    /// In how many seconds.
    pub(super) lasts: f64,
}

/// How a try ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    Delivered,
    Answered500,
    Refused,
    Timeout,
}

/// Whether a try may start.
#[derive(Debug)]
pub(super) enum Start {
    Try(Out),
    /// Not before then.
    At(f64),
    /// Nothing waits, or as many are out as may be.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) endpoint: Endpoint,
    pub(super) waiting: VecDeque<Delivery>,
    breaker: Breaker,
    pace: Pace,
    pub(super) opened: u64,
}

/// What comes of an ended try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum After {
    Delivered,
    /// Again then.
    Again(f64),
    GivenUp,
}

/// Time zero is some moment long after the epoch.
fn time(seconds: f64) -> Time {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few hours of milliseconds"
    )]
    let ms = (seconds * 1000.0) as u64;
    Time::from_ms(1_790_000_000_000 + ms)
}

fn seconds(time: Time) -> f64 {
    time.since(self::time(0.0)).as_secs_f64()
}

impl Lane {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        let policy = Policy { concurrency: endpoint.concurrency, ..Policy::default() };
        Self {
            endpoint,
            waiting: VecDeque::new(),
            breaker: Breaker::default(),
            pace: Pace::new(&policy),
            opened: 0,
        }
    }

    pub(super) fn out(&self) -> u32 {
        self.pace.out()
    }

    /// The next one, if it may go now.
    pub(super) fn start(&mut self, now: f64, all: f64, dice: &mut Dice) -> Start {
        if self.waiting.is_empty() {
            return Start::Nothing;
        }
        match self.pace.admit(time(now)) {
            Turn::Go => {}
            Turn::Wait(until) => return Start::At(seconds(until)),
            Turn::Full => return Start::Nothing,
        }
        let pass = match self.breaker.admit(time(now)) {
            Gate::Go(pass) => pass,
            Gate::Wait(until) => {
                self.pace.unsent();
                // While a probe is out its end says how it goes on.
                return if self.pace.out() > 0 {
                    Start::Nothing
                } else {
                    Start::At(seconds(until))
                };
            }
        };
        let Some(delivery) = self.waiting.pop_front() else { return Start::Nothing };
        let (ends, lasts) = self.fate(now, all, dice);
        Start::Try(Out { delivery, pass, ends, lasts })
    }

    fn fate(&self, now: f64, all: f64, dice: &mut Dice) -> (Ends, f64) {
        let timeout = Policy::default().timeout.as_secs_f64();
        let lasts = dice.latency(self.endpoint.latency, 0.5);
        let fails = |dice: &mut Dice, share| dice.share() < share;
        match self.endpoint.health {
            Health::Dead => (Ends::Timeout, timeout),
            Health::Away if self.endpoint.is_away(now, all) => (Ends::Refused, 0.02),
            _ if lasts >= timeout => (Ends::Timeout, timeout),
            Health::Flaky if fails(dice, 0.1) => (Ends::Answered500, lasts),
            _ if fails(dice, 0.001) => (Ends::Answered500, lasts),
            Health::Healthy | Health::Slow | Health::Flaky | Health::Away => {
                (Ends::Delivered, lasts)
            }
        }
    }

    /// A try has ended.
    pub(super) fn ended(&mut self, out: Out, now: f64, dice: &mut Dice) -> After {
        self.pace.back();
        let (outcome, was_closed) = (outcome(out.ends), self.breaker.is_closed());
        self.breaker.after(out.pass, &outcome, time(now), dice.next());
        self.opened += u64::from(was_closed && !self.breaker.is_closed());
        if out.ends == Ends::Delivered {
            return After::Delivered;
        }
        match next_try(
            &Retry::default(),
            Made::Automatic(out.delivery.made + 1),
            &outcome,
            time(now),
            dice.next(),
        ) {
            Next::At(due) => After::Again(seconds(due)),
            Next::GiveUp(_) => After::GivenUp,
        }
    }
}

fn outcome(ends: Ends) -> Outcome {
    let answered = |status| {
        Outcome::Answered(Answer {
            status,
            headers: Headers::default(),
            body: Bytes::new(),
            truncated: false,
        })
    };
    let failed = |class| Outcome::Failed(Fault { class, detail: String::new() });
    match ends {
        Ends::Delivered => answered(200),
        Ends::Answered500 => answered(500),
        Ends::Refused => failed(ErrorClass::ConnectionRefused),
        Ends::Timeout => failed(ErrorClass::TimeoutResponse),
    }
}
