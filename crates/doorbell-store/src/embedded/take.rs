//! Taking over what happened in another home, into a store in which nothing has happened yet and nobody delivers: each
//! event is accepted as it was then, and then its deliveries are settled as they were.

use super::amend;
use super::parts::Parts;
use crate::store::{Admission, Admitted, Amended, NewDelivery, StoreError};
use doorbell_core::attempt::{Attempt, Trigger};
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::Event;
use doorbell_core::past::{Past, PastDelivery};
use doorbell_core::time::Time;
use futures_util::future::try_join_all;
use std::sync::Arc;

/// Takes over events, in their order. After an error some of them are there.
///
/// # Errors
/// [`StoreError::Conflict`] when one was taken for a repeat of another; those of writing.
pub(super) async fn take_over(parts: &Parts, pasts: Vec<Past>) -> Result<(), StoreError> {
    let mut settle = Vec::new();
    let mut accept = Vec::with_capacity(pasts.len());
    for Past { event, fate, dedupe_window, deliveries } in pasts {
        let event = Arc::new(event);
        let new = deliveries.iter().map(|past| begun(&event, past)).collect();
        accept.push(Admission { event, fate, dedupe_window, deliveries: new, once: false });
        settle.extend(deliveries.into_iter().filter(has_changed));
    }
    // They are handed in one after the other, and awaited together.
    let admitted = try_join_all(accept.into_iter().map(|one| parts.engine.accept(one))).await?;
    if admitted.iter().any(|admitted| *admitted != Admitted::New) {
        return Err(StoreError::Conflict("an event has the dedupe key of another".to_owned()));
    }
    parts.engine.catch_up().await?;
    try_join_all(settle.into_iter().map(|past| replay(parts, past))).await.map(drop)
}

/// The delivery as it began.
fn begun(event: &Event, past: &PastDelivery) -> NewDelivery {
    let now = &past.delivery;
    let state =
        if has_changed(past) { State::Waiting { due: event.at } } else { past.delivery.state };
    NewDelivery {
        id: now.id,
        endpoint: now.endpoint,
        order_key: now.order_key,
        state,
        replay: now.replay,
        lend: false,
    }
}

/// Whether anything was done with it since it began.
fn has_changed(past: &PastDelivery) -> bool {
    let now = &past.delivery;
    !past.attempts.is_empty() || past.updated.is_some() || now.attempts > 0 || now.asked
}

/// Does with a delivery what was done with it.
async fn replay(parts: &Parts, past: PastDelivery) -> Result<(), StoreError> {
    let PastDelivery { delivery, updated, mut attempts } = past;
    let mut last = attempts.pop();
    let mut by_hand = 0;
    for attempt in attempts {
        let due = attempt.at.after(attempt.timings.total);
        let state = State::Waiting { due };
        by_hand += u32::from(attempt.trigger == Trigger::Manual);
        // As it was counted then: tries by hand of an older version were not counted apart.
        let by_hand = by_hand.min(delivery.by_hand);
        let number = attempt.number;
        let between =
            Delivery { attempts: number, by_hand, state, asked: false, ..delivery.clone() };
        change(parts, between, Some(attempt)).await?;
    }
    if let Some(at) = ended(&delivery, last.as_ref(), updated) {
        let state = State::Failed { at, holds_key: false };
        let between = Delivery { state, asked: false, ..delivery.clone() };
        change(parts, between, last.take()).await?;
    }
    change(parts, delivery, last).await
}

/// When it had ended, if somebody had it tried again afterwards: what is seen of it is that time, not its last try's.
fn ended(delivery: &Delivery, last: Option<&Attempt>, updated: Option<Time>) -> Option<Time> {
    let tried = last.map(|attempt| attempt.at.after(attempt.timings.total));
    let waits = matches!(delivery.state, State::Waiting { .. });
    updated.filter(|at| waits && tried != Some(*at))
}

async fn change(parts: &Parts, to: Delivery, attempt: Option<Attempt>) -> Result<(), StoreError> {
    let (tenant, id) = (to.tenant, to.id);
    match amend::change(parts, tenant, id, |_| Some((to, attempt))).await? {
        Amended::Done(_) => Ok(()),
        Amended::Unknown | Amended::InFlight | Amended::NotAllowed => {
            Err(StoreError::Conflict(format!("{id} is somebody else's")))
        }
    }
}
