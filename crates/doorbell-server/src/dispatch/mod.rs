//! Which delivery is tried when: a bounded queue per endpoint in memory, fed by acceptance and by claims from the store.
//!
//! One loop owns all queues (`run`), each queue is a plain state machine (`lane`), and each try is a task of its own
//! (`deliver`). Its place in the lane is free as soon as the try has ended; that it is written down (`settling`) holds
//! nobody up. Who accepts events asks for room at [`crate::desk`]. A slow or dead endpoint holds its own lane and,
//! as long as fewer endpoints hang than there are places for tries, nothing else.

mod lane;
mod message;
mod deliver;
mod settling;
mod give_back;
mod run;

use crate::clock::Clock;
use crate::configured::Configured;
use crate::desk::Desk;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::sender::AnySender;
use crate::standings::Questions;
use crate::tasks::Stop;
use crate::traces::Traces;
use deliver::Deliverer;
use doorbell_core::body_room::BodyRoom;
use doorbell_core::places::Places;
use doorbell_store::AnyStore;
use message::messages;
use run::Run;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What dispatch works with.
#[derive(Debug)]
pub struct Parts {
    /// Where deliveries wait and are settled.
    pub store: Arc<AnyStore>,
    /// Who carries them.
    pub sender: AnySender,
    /// Where they go.
    pub configured: Arc<Configured>,
    /// Where those who accept events ask for room.
    pub desk: Desk,
    /// How many tries may be out.
    pub places: Places,
    /// How much of bodies may be out with them.
    pub bodies: BodyRoom,
    /// What time it is.
    pub clock: Clock,
    /// Who watches.
    pub live: Live,
    /// Which tracing system is told.
    pub traces: Traces,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who asks how deliveries stand.
    pub questions: Questions,
}

/// Delivers until the node drains; then lets what is in flight end, gives the rest back to the store, and returns.
pub async fn dispatch(parts: Parts, stop: Stop) {
    let Parts {
        store,
        sender,
        configured,
        desk,
        places,
        bodies,
        clock,
        live,
        traces,
        metrics,
        questions,
    } = parts;
    let (tell, inbox) = mpsc::channel(messages(places));
    let deliverer = Arc::new(Deliverer {
        store: Arc::clone(&store),
        sender,
        configured: Arc::clone(&configured),
        clock: clock.clone(),
        live,
        traces,
        metrics,
    });
    let run = Run::new(store, deliverer, (configured, desk), clock, (places, bodies, tell));
    run.run(inbox, questions, stop).await;
}
