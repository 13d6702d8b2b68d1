//! What becomes of a delivery after a try, or without one: the one place that moves its state.
//!
//! Nothing is done here. The caller writes the step down; if its lease is lost by then, the step never happened.

use crate::attempt::{Outcome, Trigger};
use crate::delivery::{Delivery, DiscardReason, State};
use crate::endpoint::{Endpoint, OnDead};
use crate::retry::{self, GiveUp, Made, Next};
use crate::time::Time;

/// What follows a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The delivery as it is from now on.
    pub delivery: Delivery,
    /// What changes about its endpoint.
    pub endpoint: Option<EndpointChange>,
}

/// A change of an endpoint that follows from a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointChange {
    /// It is to get nothing more until someone enables it.
    Disable {
        /// The address that wants nothing more.
        url: String,
        /// Why, in words for the operator.
        why: String,
    },
}

/// What follows a try at a delivery, with the endpoint as it is now.
#[must_use]
pub fn after(
    delivery: &Delivery,
    endpoint: &Endpoint,
    outcome: &Outcome,
    now: Time,
    dice: u64,
) -> Step {
    let tried = tried(delivery);
    let made = match delivery.asked {
        true => Made::ByHand(tried.automatic()),
        false => Made::Automatic(tried.automatic()),
    };
    let retry = &endpoint.policy.retry;
    let next = outcome.class().map(|_| retry::next_try(retry, made, outcome, now, dice));
    let state = match next {
        None => State::Delivered { at: now },
        Some(Next::At(due)) => State::Waiting { due },
        Some(Next::GiveUp(_)) => {
            State::Failed { at: now, holds_key: holds_key(delivery, endpoint) }
        }
    };
    Step {
        delivery: Delivery { state, ..tried },
        endpoint: matches!(next, Some(Next::GiveUp(GiveUp::Gone))).then(|| gone(endpoint, now)),
    }
}

/// The delivery with one try more. One that someone asked for is counted apart, too: it leaves the schedule as it is.
fn tried(delivery: &Delivery) -> Delivery {
    let by_hand = delivery.by_hand.saturating_add(u32::from(delivery.asked));
    let attempts = delivery.attempts.saturating_add(1);
    Delivery { attempts, by_hand, asked: false, ..delivery.clone() }
}

/// The delivery put off without a try: its endpoint's circuit is open, its rate is used up, or it is paused.
#[must_use]
pub fn put_off(delivery: &Delivery, due: Time) -> Delivery {
    Delivery { state: State::Waiting { due }, ..delivery.clone() }
}

/// The delivery given up without a try, on purpose.
#[must_use]
pub fn discard(delivery: &Delivery, why: DiscardReason, now: Time) -> Delivery {
    Delivery { state: State::Discarded { at: now, why }, asked: false, ..delivery.clone() }
}

/// The delivery as it is when someone asks for another try: it waits, until `due` at the latest. `None`: it is delivered,
/// and stays so; who wants the event once more replays it.
#[must_use]
pub fn retried(delivery: &Delivery, due: Time) -> Option<Delivery> {
    let due = match delivery.state {
        State::Waiting { due: earlier } => earlier.min(due),
        State::Failed { .. } | State::Discarded { .. } => due,
        State::Delivered { .. } => return None,
    };
    Some(Delivery { state: State::Waiting { due }, asked: true, ..delivery.clone() })
}

/// The delivery as it is when someone wants it never tried again; `None`: it is delivered or discarded already.
#[must_use]
pub fn cancelled(delivery: &Delivery, now: Time) -> Option<Delivery> {
    match delivery.state {
        State::Waiting { .. } | State::Failed { .. } => {
            Some(discard(delivery, DiscardReason::Cancelled, now))
        }
        State::Delivered { .. } | State::Discarded { .. } => None,
    }
}

/// Why the next try of the delivery is made.
#[must_use]
pub const fn trigger(delivery: &Delivery) -> Trigger {
    match (delivery.asked, delivery.attempts, delivery.replay) {
        (true, _, _) => Trigger::Manual,
        (false, 0, Some(_)) => Trigger::Replay,
        (false, 0, None) => Trigger::Initial,
        (false, _, _) => Trigger::Automatic,
    }
}

fn holds_key(delivery: &Delivery, endpoint: &Endpoint) -> bool {
    let blocks = endpoint.policy.order.as_ref().is_some_and(|order| order.on_dead == OnDead::Block);
    blocks && delivery.order_key.is_some()
}

fn gone(endpoint: &Endpoint, now: Time) -> EndpointChange {
    EndpointChange::Disable {
        url: endpoint.url.clone(),
        why: format!(
            "{} answered 410 Gone at {now}: the receiver wants no more webhooks at this address; give the endpoint its new address and enable it",
            endpoint.url
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{Answer, ErrorClass, Fault};
    use crate::endpoint::{Order, Policy, Status, Subscription};
    use crate::id::{DeliveryId, EndpointId, EventId, ReplayId, TenantId};
    use crate::name::Label;
    use crate::request::Headers;
    use crate::source::KeyRule;
    use bytes::Bytes;
    use expect_test::expect;
    use proptest::prelude::*;

    const NOW: Time = Time::from_ms(1_800_000_000_000);

    fn endpoint(order: Option<OnDead>) -> Endpoint {
        let order =
            order.map(|on_dead| Order { key: KeyRule::Header("x-key".to_owned()), on_dead });
        Endpoint {
            id: EndpointId::from_bytes([1; 16]),
            tenant: TenantId::DEFAULT,
            name: Label::parse("app").unwrap(),
            status: Status::Enabled,
            subscription: Subscription::default(),
            url: "https://example.com/hooks".to_owned(),
            headers: Vec::new(),
            secrets: Vec::new(),
            policy: Policy { order, ..Policy::default() },
            created: NOW,
            updated: NOW,
        }
    }

    fn delivery(attempts: u32, order_key: Option<u64>) -> Delivery {
        Delivery {
            id: DeliveryId::from_bytes([2; 16]),
            tenant: TenantId::DEFAULT,
            event: EventId::from_bytes([3; 16]),
            endpoint: EndpointId::from_bytes([1; 16]),
            order_key,
            replay: None,
            attempts,
            by_hand: 0,
            state: State::Waiting { due: NOW },
            asked: false,
        }
    }

    fn answer(status: u16) -> Outcome {
        Outcome::Answered(Answer {
            status,
            headers: Headers::default(),
            body: Bytes::new(),
            truncated: false,
        })
    }

    #[test]
    fn success_is_delivered() {
        let step = after(&delivery(3, None), &endpoint(None), &answer(204), NOW, 0);
        assert_eq!(
            (step.delivery.attempts, step.delivery.state),
            (4, State::Delivered { at: NOW })
        );
        assert_eq!(step.endpoint, None);
    }

    #[test]
    fn a_failure_waits_and_the_last_one_is_dead() {
        let step = after(&delivery(0, None), &endpoint(None), &answer(500), NOW, 0);
        assert!(matches!(step.delivery.state, State::Waiting { due } if due > NOW));
        let step = after(&delivery(9, None), &endpoint(None), &answer(500), NOW, 0);
        assert_eq!(step.delivery.state, State::Failed { at: NOW, holds_key: false });
    }

    #[test]
    fn a_dead_event_holds_its_key_only_where_asked() {
        for (on_dead, key, holds) in [
            (Some(OnDead::Block), Some(7), true),
            (Some(OnDead::Skip), Some(7), false),
            (Some(OnDead::Block), None, false),
            (None, Some(7), false),
        ] {
            let step = after(&delivery(9, key), &endpoint(on_dead), &answer(500), NOW, 0);
            assert_eq!(step.delivery.state, State::Failed { at: NOW, holds_key: holds });
        }
    }

    #[test]
    fn gone_disables_the_endpoint() {
        let step = after(&delivery(0, None), &endpoint(None), &answer(410), NOW, 0);
        assert!(matches!(step.delivery.state, State::Failed { .. }));
        let Some(EndpointChange::Disable { url: _, why }) = step.endpoint else {
            panic!("not disabled")
        };
        expect!["https://example.com/hooks answered 410 Gone at 2027-01-15T08:00:00.000Z: the receiver wants no more webhooks at this address; give the endpoint its new address and enable it"].assert_eq(&why);
    }

    #[test]
    fn without_a_try_none_is_counted() {
        let later = Time::from_ms(NOW.ms() + 1);
        assert_eq!(
            put_off(&delivery(2, Some(1)), later),
            Delivery { state: State::Waiting { due: later }, ..delivery(2, Some(1)) }
        );
        let discarded = discard(&delivery(2, None), DiscardReason::Filtered, NOW);
        assert_eq!(
            (discarded.attempts, discarded.state),
            (2, State::Discarded { at: NOW, why: DiscardReason::Filtered })
        );
    }

    #[test]
    fn why_a_try_is_made() {
        let replay = |attempts| Delivery {
            replay: Some(ReplayId::from_bytes([4; 16])),
            ..delivery(attempts, None)
        };
        assert_eq!(
            [
                trigger(&delivery(0, None)),
                trigger(&delivery(1, None)),
                trigger(&replay(0)),
                trigger(&replay(1))
            ],
            [Trigger::Initial, Trigger::Automatic, Trigger::Replay, Trigger::Automatic]
        );
    }

    #[test]
    fn what_someone_asked_for_is_manual_and_what_follows_is_not() {
        let later = Time::from_ms(NOW.ms() + 1);
        for (before, due) in [
            (delivery(0, None), NOW),
            (
                Delivery { state: State::Failed { at: NOW, holds_key: true }, ..delivery(9, None) },
                later,
            ),
            (discard(&delivery(2, None), DiscardReason::Filtered, NOW), later),
        ] {
            let asked = retried(&before, later).unwrap();
            assert_eq!((asked.state, asked.attempts), (State::Waiting { due }, before.attempts));
            assert_eq!(trigger(&asked), Trigger::Manual);
            assert_eq!(trigger(&put_off(&asked, later)), Trigger::Manual, "it was not tried yet");
            let next = after(&asked, &endpoint(None), &answer(500), NOW, 0).delivery;
            assert_eq!(trigger(&next), Trigger::Automatic);
            assert_eq!((next.attempts, next.by_hand), (before.attempts + 1, 1));
            assert_eq!(next.automatic(), before.automatic());
        }
    }

    #[test]
    fn what_is_delivered_is_not_retried() {
        let over = Delivery { state: State::Delivered { at: NOW }, ..delivery(1, None) };
        assert_eq!(retried(&over, NOW), None);
    }

    #[test]
    fn a_dead_letter_that_fails_by_hand_is_dead_again() {
        let mut dead = after(&delivery(9, None), &endpoint(None), &answer(500), NOW, 0).delivery;
        for _ in 0..30 {
            let asked = retried(&dead, NOW).unwrap();
            dead = after(&asked, &endpoint(None), &answer(500), NOW, 0).delivery;
            assert_eq!(dead.state, State::Failed { at: NOW, holds_key: false });
        }
        assert_eq!((dead.attempts, dead.by_hand), (40, 30));
    }

    /// By hand before the first try of its own, it waits as after that one, and makes all of its own nevertheless.
    #[test]
    fn by_hand_before_the_first_try_is_not_at_once_again() {
        let mut next = delivery(0, None);
        for _ in 0..30 {
            let asked = retried(&next, NOW).unwrap();
            next = after(&asked, &endpoint(None), &answer(500), NOW, 0).delivery;
            let State::Waiting { due } = next.state else { panic!("it is dead") };
            assert_eq!(due.ms() - NOW.ms(), 4_250, "5 s, less 15 %");
        }
        let mut own = 0;
        while let State::Waiting { due } = next.state {
            next = after(&next, &endpoint(None), &answer(500), due, 0).delivery;
            own += 1;
        }
        assert_eq!((own, next.automatic(), next.attempts), (10, 10, 40));
    }

    #[test]
    fn what_is_over_cannot_be_cancelled() {
        let asked = retried(&delivery(1, None), NOW).unwrap();
        let cancelled_now = State::Discarded { at: NOW, why: DiscardReason::Cancelled };
        for state in [asked.state, State::Failed { at: NOW, holds_key: true }] {
            let gone = cancelled(&Delivery { state, ..asked.clone() }, NOW).unwrap();
            assert_eq!((gone.state, gone.asked), (cancelled_now, false));
        }
        for state in [State::Delivered { at: NOW }, cancelled_now] {
            assert_eq!(cancelled(&Delivery { state, ..asked.clone() }, NOW), None);
        }
    }

    proptest! {
        /// However often someone asks in between, the schedule goes on as if nobody had: as many tries of its own, each
        /// after the same wait as without, and none by hand is the last one.
        #[test]
        fn by_hand_changes_nothing_of_the_schedule(asked in prop::collection::vec(0_u8..4, 10), dice: u64) {
            let endpoint = endpoint(None);
            let schedule = &endpoint.policy.retry.schedule;
            let fail = |now: Time, of: &Delivery| after(of, &endpoint, &answer(500), now, dice).delivery;
            let wait = |of: &Delivery, now: Time| match of.state {
                State::Waiting { due } => Some(due.ms() - now.ms()),
                State::Delivered { .. } | State::Failed { .. } | State::Discarded { .. } => None,
            };
            let (mut plain, mut other) = (delivery(0, None), delivery(0, None));
            for (made, times) in asked.iter().enumerate() {
                for _ in 0..*times {
                    let before = other.automatic();
                    other = fail(NOW, &retried(&other, NOW).unwrap());
                    prop_assert_eq!((trigger(&other), other.automatic()), (Trigger::Automatic, before));
                    let waits = u128::from(wait(&other, NOW).unwrap());
                    let step = schedule[made.max(1)].as_millis();
                    prop_assert!(step * 85 <= waits * 100 && waits * 100 <= step * 115, "{waits}");
                }
                (plain, other) = (fail(NOW, &plain), fail(NOW, &other));
                prop_assert_eq!(wait(&plain, NOW), wait(&other, NOW));
                prop_assert_eq!((plain.attempts, plain.state), (other.automatic(), other.state));
            }
            prop_assert_eq!(other.state, State::Failed { at: NOW, holds_key: false });
            prop_assert_eq!(other.by_hand, asked.iter().copied().map(u32::from).sum::<u32>());
        }

        /// Tried again and again, a delivery ends: after as many tries as its schedule has steps, each due after the last.
        #[test]
        fn every_delivery_ends(outcomes in prop::collection::vec((0_u16..600, 0_usize..ErrorClass::ALL.len()), 40), dice: u64) {
            let endpoint = endpoint(Some(OnDead::Block));
            let (mut delivery, mut now) = (delivery(0, Some(1)), NOW);
            let mut tries = 0;
            while let State::Waiting { due } = delivery.state {
                now = now.max(due);
                let (status, class) = outcomes[tries];
                let outcome = if status < 100 {
                    Outcome::Failed(Fault { class: ErrorClass::ALL[class], detail: String::new() })
                } else {
                    answer(status)
                };
                delivery = after(&delivery, &endpoint, &outcome, now, dice).delivery;
                tries += 1;
                prop_assert!(tries <= endpoint.policy.retry.schedule.len());
                prop_assert_eq!(delivery.attempts as usize, tries);
            }
            prop_assert!(delivery.state.is_settled());
        }
    }
}
