//! How an endpoint's deliveries stand just now, and why one of them waits: for lists, and for whoever wonders.

use crate::breaker::{Condition, Why};
use crate::delivery::{Delivery, State};
use crate::endpoint::{Endpoint, Rate, Status};
use crate::explain;
use crate::time::Time;

/// How an endpoint's deliveries stand, as far as dispatch knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How its circuit is.
    pub breaker: Condition,
    /// When its rate allows the next delivery, where it does not now.
    pub rate_until: Option<Time>,
    /// Deliveries that wait in memory; others may wait in the store.
    pub waiting: usize,
    /// Deliveries that are being tried.
    pub in_flight: u32,
}

impl Standing {
    /// That of an endpoint for which nothing is known to wait.
    pub const IDLE: Self =
        Self { breaker: Condition::Closed, rate_until: None, waiting: 0, in_flight: 0 };
}

/// For what a delivery waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// For its time: a retry, or a delay that was asked for.
    Due,
    /// For its endpoint, which is paused.
    Paused,
    /// For its endpoint's circuit breaker.
    Breaker,
    /// For earlier deliveries of its order key.
    OrderKey,
    /// For its endpoint's rate limit.
    Rate,
    /// For its turn.
    Turn,
}

/// Why a delivery waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// For what.
    pub what: WaitsFor,
    /// Until when, where that is known.
    pub until: Option<Time>,
    /// The same in words.
    pub because: String,
}

/// Why a delivery that is not in flight waits; `None`: it does not, or its endpoint is disabled and it is about to be
/// discarded. Where several things hold it up, the one that takes longest to go away is named. Without a standing,
/// dispatch could not be asked.
#[must_use]
pub fn wait(
    delivery: &Delivery,
    endpoint: &Endpoint,
    standing: Option<&Standing>,
    now: Time,
) -> Option<Wait> {
    let State::Waiting { due } = delivery.state else { return None };
    match endpoint.status {
        Status::Disabled { .. } => return None,
        Status::Paused => return Some(paused()),
        Status::Enabled => {}
    }
    if due > now {
        return Some(until_due(delivery, endpoint, due));
    }
    let standing = standing.unwrap_or(&Standing::IDLE);
    let held = breaker(delivery, standing, now)
        .or_else(|| order_key(delivery, endpoint))
        .or_else(|| rate(endpoint.policy.rate?, standing.rate_until?));
    Some(held.unwrap_or_else(|| turn(standing)))
}

/// Why a circuit opened, in words.
#[must_use]
pub fn opened_because(why: &Why) -> String {
    let (what, _) = explain::class(why.last);
    let with = match why.status {
        Some(status) => format!("status {status}"),
        None => why.last.word().to_owned(),
    };
    let pause = if why.asked { ", and asked for a pause by Retry-After" } else { "" };
    let tries = if why.failures == 1 {
        "the last try failed".to_owned()
    } else {
        format!("{} tries in a row failed, the last one", why.failures)
    };
    format!("{tries} with {with}{pause}: {}", lower(what))
}

/// The sentence without its capital.
fn lower(sentence: &str) -> String {
    let mut chars = sentence.chars();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn paused() -> Wait {
    let because = "Its endpoint is paused: it waits until that is enabled.".to_owned();
    Wait { what: WaitsFor::Paused, until: None, because }
}

fn until_due(delivery: &Delivery, endpoint: &Endpoint, due: Time) -> Wait {
    let (next, most) =
        (delivery.automatic().saturating_add(1), endpoint.policy.retry.schedule.len());
    let beside = match delivery.by_hand {
        0 => String::new(),
        by_hand => format!(", not counting {by_hand} that someone asked for"),
    };
    let because = if delivery.attempts == 0 || delivery.asked {
        format!("It is due at {due}.")
    } else if usize::try_from(next).is_ok_and(|next| next <= most) {
        format!("Try {next} of {most} is due at {due}{beside}.")
    } else {
        format!("Try {next} is due at {due}{beside}.")
    };
    Wait { what: WaitsFor::Due, until: Some(due), because }
}

fn breaker(delivery: &Delivery, standing: &Standing, now: Time) -> Option<Wait> {
    let (state, until, next, why) = match standing.breaker {
        Condition::Closed => return None,
        Condition::HalfOpen { since, why } => {
            let next = format!("One delivery is out since {since} to probe it; the others wait");
            ("half open", None, next, why)
        }
        // Dispatch may not have heard yet that someone asked: then the time of the probe is not the right one.
        Condition::Open { why, .. } if delivery.asked => {
            let next =
                "Someone asked for this delivery: it goes first, as the probe; the others wait";
            ("open", None, next.to_owned(), why)
        }
        Condition::Open { probe_at, why } if probe_at > now => {
            let next = format!("One delivery probes it at {probe_at}; the others wait");
            ("open", Some(probe_at), next, why)
        }
        Condition::Open { why, .. } => {
            ("open", None, "The next delivery probes it; the others wait".to_owned(), why)
        }
    };
    let because = format!(
        "Its endpoint's circuit breaker is {state}, since {}: {}. {next} until a probe succeeds.",
        why.opened,
        opened_because(&why)
    );
    Some(Wait { what: WaitsFor::Breaker, until, because })
}

fn order_key(delivery: &Delivery, endpoint: &Endpoint) -> Option<Wait> {
    (endpoint.policy.order.is_some() && delivery.order_key.is_some()).then(|| Wait {
        what: WaitsFor::OrderKey,
        until: None,
        because: "It goes when no earlier delivery of its order key is unsettled. One that failed \
            and holds the key is waited for until someone retries or cancels it."
            .to_owned(),
    })
}

fn rate(rate: Rate, until: Time) -> Option<Wait> {
    let per = rate.per.as_millis();
    let per =
        if per.is_multiple_of(1000) { format!("{}s", per / 1000) } else { format!("{per}ms") };
    let because = format!(
        "Its endpoint's rate limit, {} in {per}, allows the next delivery at {until}.",
        rate.count
    );
    Some(Wait { what: WaitsFor::Rate, until: Some(until), because })
}

fn turn(standing: &Standing) -> Wait {
    let because = format!(
        "It waits for its turn: of its endpoint's deliveries {} are in flight, and {} wait in memory.",
        standing.in_flight, standing.waiting
    );
    Wait { what: WaitsFor::Turn, until: None, because }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::ErrorClass;
    use crate::endpoint::{OnDead, Order, Policy, Subscription};
    use crate::id::{DeliveryId, EndpointId, EventId, TenantId};
    use crate::name::Label;
    use crate::source::KeyRule;
    use std::time::Duration;

    const NOW: Time = Time::from_ms(1_800_000_000_000);
    const LATER: Time = Time::from_ms(NOW.ms() + 30_000);
    const WHY: Why = Why {
        opened: NOW,
        failures: 8,
        last: ErrorClass::ConnectionRefused,
        status: None,
        asked: false,
    };
    const OPEN: Condition = Condition::Open { probe_at: LATER, why: WHY };

    fn endpoint() -> Endpoint {
        Endpoint {
            id: EndpointId::from_bytes([1; 16]),
            tenant: TenantId::DEFAULT,
            name: Label::parse("app").unwrap(),
            status: Status::Enabled,
            subscription: Subscription::default(),
            url: "https://example.com/hooks".to_owned(),
            headers: Vec::new(),
            secrets: Vec::new(),
            policy: Policy::default(),
            created: NOW,
            updated: NOW,
        }
    }

    fn delivery(due: Time) -> Delivery {
        Delivery {
            id: DeliveryId::from_bytes([2; 16]),
            tenant: TenantId::DEFAULT,
            event: EventId::from_bytes([3; 16]),
            endpoint: EndpointId::from_bytes([1; 16]),
            order_key: Some(7),
            replay: None,
            attempts: 2,
            by_hand: 0,
            state: State::Waiting { due },
            asked: false,
        }
    }

    /// What it waits for, until when, and the words.
    fn said(delivery: &Delivery, endpoint: &Endpoint, breaker: Condition) -> (WaitsFor, String) {
        let standing = Standing { breaker, rate_until: Some(LATER), waiting: 5, in_flight: 3 };
        let wait = wait(delivery, endpoint, Some(&standing), NOW).unwrap();
        (wait.what, wait.because)
    }

    #[test]
    fn what_holds_it_up_longest_is_named() {
        let (due, closed) = (delivery(NOW), Condition::Closed);
        let paused = Endpoint { status: Status::Paused, ..endpoint() };
        let order = Some(Order { key: KeyRule::Header("k".to_owned()), on_dead: OnDead::Block });
        let rate = Some(Rate { count: 5, per: Duration::from_secs(60) });
        let limited =
            |order| Endpoint { policy: Policy { rate, order, ..Policy::default() }, ..endpoint() };
        let at = "2027-01-15T08:00:30.000Z";
        for (delivery, endpoint, breaker, what, word) in [
            (&delivery(LATER), &paused, OPEN, WaitsFor::Paused, "until that is enabled"),
            (&delivery(LATER), &endpoint(), OPEN, WaitsFor::Due, "Try 3 of 10 is due at 2027"),
            (&due, &limited(order.clone()), OPEN, WaitsFor::Breaker, at),
            (&due, &limited(order), closed, WaitsFor::OrderKey, "holds the key"),
            (
                &due,
                &limited(None),
                closed,
                WaitsFor::Rate,
                "5 in 60s, allows the next delivery at 2027",
            ),
            (&due, &endpoint(), closed, WaitsFor::Turn, "3 are in flight, and 5 wait"),
        ] {
            let (found, because) = said(delivery, endpoint, breaker);
            assert_eq!(found, what, "{because}");
            assert!(because.contains(word), "{because}");
        }
    }

    #[test]
    fn tries_that_someone_asked_for_are_counted_apart() {
        let said = |of: Delivery| said(&of, &endpoint(), Condition::Closed).1;
        let by_hand = Delivery { attempts: 5, by_hand: 3, ..delivery(LATER) };
        assert_eq!(
            said(by_hand.clone()),
            "Try 3 of 10 is due at 2027-01-15T08:00:30.000Z, not counting 3 that someone asked for."
        );
        assert_eq!(
            said(Delivery { asked: true, ..by_hand }),
            "It is due at 2027-01-15T08:00:30.000Z."
        );
    }

    #[test]
    fn a_breaker_says_why_and_who_is_next() {
        let half_open = Condition::HalfOpen { since: LATER, why: WHY };
        let asked = Delivery { asked: true, ..delivery(NOW) };
        for (delivery, breaker, next) in [
            (
                &delivery(NOW),
                OPEN,
                "One delivery probes it at 2027-01-15T08:00:30.000Z; the others wait until a probe succeeds.",
            ),
            (
                &asked,
                OPEN,
                "Someone asked for this delivery: it goes first, as the probe; the others wait until a probe succeeds.",
            ),
            (
                &asked,
                half_open,
                "One delivery is out since 2027-01-15T08:00:30.000Z to probe it; the others wait until a probe succeeds.",
            ),
        ] {
            let (_, because) = said(delivery, &endpoint(), breaker);
            assert!(because.ends_with(next), "{because}");
            assert!(because.contains("since 2027-01-15T08:00:00.000Z: 8 tries in a row failed, the last one with connection_refused: nothing listens"), "{because}");
        }
    }

    #[test]
    fn why_a_circuit_opened_names_the_answer() {
        let (last, status) = (ErrorClass::TooManyRequests, Some(429));
        let why = Why { failures: 1, last, status, asked: true, ..WHY };
        assert_eq!(
            opened_because(&why),
            "the last try failed with status 429, and asked for a pause by Retry-After: the receiver answered 429: too many requests"
        );
    }

    #[test]
    fn what_does_not_wait_has_no_reason() {
        let why = crate::delivery::DiscardReason::Cancelled;
        let over = [State::Delivered { at: NOW }, State::Discarded { at: NOW, why }];
        for state in over {
            assert_eq!(wait(&Delivery { state, ..delivery(NOW) }, &endpoint(), None, NOW), None);
        }
        let status = Status::Disabled { at: NOW, why: "by the operator".to_owned() };
        let disabled = Endpoint { status, ..endpoint() };
        assert_eq!(wait(&delivery(NOW), &disabled, None, NOW), None);
    }
}
