//! Subscriptions at WebSub hubs, asked for and renewed. What to do and when is `doorbell_core::hub`'s; here the hub is
//! called, through the sender and its guards.
//!
//! On several nodes the one that owns a source's id looks after it. How a subscription stands is durable before the hub is
//! called, so a node that ends halfway leaves nothing but a hub that was asked: then it is asked once more.

use crate::clock::Clock;
use crate::configured::Configured;
use crate::sender::AnySender;
use crate::tasks::{Stage, Stop};
use bytes::Bytes;
use doorbell_core::attempt::Outcome;
use doorbell_core::directory::ReadySource;
use doorbell_core::endpoint_url::EndpointUrl;
use doorbell_core::hub::{self, Wanted};
use doorbell_core::limits;
use doorbell_core::outgoing::Outgoing;
use doorbell_core::request::Headers;
use doorbell_core::source::{HubSubscription, Source};
use doorbell_core::time::Time;
use doorbell_store::{AnyStore, Store as _, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Looks after the subscriptions of all sources that are this node's.
#[derive(Debug, Clone)]
pub struct Hubs {
    store: Arc<AnyStore>,
    configured: Arc<Configured>,
    sender: AnySender,
    clock: Clock,
}

impl Hubs {
    /// Nothing happens before [`Self::run`] or [`Self::round`].
    #[must_use]
    pub const fn new(
        store: Arc<AnyStore>,
        configured: Arc<Configured>,
        sender: AnySender,
        clock: Clock,
    ) -> Self {
        Self { store, configured, sender, clock }
    }

    /// Does what is due, and waits for what is due next or for a change of the configuration, until the node drains.
    pub async fn run(self, mut stop: Stop) {
        let mut changes = self.configured.watch();
        loop {
            let wait = tokio::select! {
                () = stop.reached(Stage::Draining) => return,
                wait = self.round() => wait,
            };
            while changes.try_next().is_some() {}
            tokio::select! {
                () = stop.reached(Stage::Draining) => return,
                () = tokio::time::sleep(wait) => {}
                changed = changes.next() => if changed.is_none() { return },
            }
        }
    }

    /// Asks every hub that is to be asked by now; how long until there may be something to do again.
    pub async fn round(&self) -> Duration {
        let (now, directory) = (self.clock.now(), self.configured.directory());
        let mut wait = limits::HUB_LOOK;
        let mut busy = JoinSet::new();
        for source in directory.sources() {
            let Some(ready) = directory.source(source.id).filter(|_| self.is_ours(source)) else {
                continue;
            };
            match hub::wanted(ready) {
                None => {}
                Some(Err(why)) => self.unable(ready, why).await,
                Some(Ok(wanted)) => match hub::due(source.hub.as_ref(), &wanted) {
                    due if due > now => wait = wait.min(due.since(now)),
                    _ => {
                        while busy.len() >= limits::HUBS_AT_ONCE {
                            busy.join_next().await;
                        }
                        let (hubs, ready) = (self.clone(), Arc::clone(ready));
                        busy.spawn(async move { hubs.ask(&ready, now).await });
                    }
                },
            }
        }
        while busy.join_next().await.is_some() {}
        // A failure is due again at the soonest after half a minute, so nothing that was just done is done again at once.
        wait.max(Duration::from_millis(100))
    }

    fn is_ours(&self, source: &Source) -> bool {
        hub::options(source).is_some() && self.store.owns(source.id.bytes())
    }

    async fn unable(&self, ready: &ReadySource, why: hub::Unwanted) {
        let source = ready.source();
        if source.hub.as_ref().is_some_and(|state| state.error == Some(why.to_string())) {
            return;
        }
        tracing::warn!(source = %source.name, "the source is not subscribed: {why}");
        let kept = self.configured.keep_hub(source.id, |now| hub::unable(now, why)).await;
        _ = told(source, kept);
    }

    /// Asks one hub: the state is durable before and after.
    async fn ask(&self, ready: &ReadySource, now: Time) {
        let Some(Ok(wanted)) = hub::wanted(ready) else { return };
        let (source, token) = (ready.source(), format!("{:032x}", self.clock.dice()));
        let begun = hub::asking(source.hub.as_ref(), &wanted, token, now);
        let begun = match self.found(&wanted, begun.clone()).await {
            Ok(found) => found,
            Err(failed) => return self.failed(source, (&begun, false), failed, now).await,
        };
        // A hub may ask back before it has answered.
        if !told(source, self.configured.keep_hub(source.id, |_| Some(begun.clone())).await) {
            return;
        }
        if let Err(failed) = self.post(&wanted, &begun).await {
            self.failed(source, (&begun, true), failed, now).await;
        }
    }

    /// Keeps that it failed, unless the hub was `asked` and has confirmed it all the same.
    async fn failed(
        &self,
        source: &Source,
        (begun, asked): (&HubSubscription, bool),
        (why, outcome): Failed,
        now: Time,
    ) {
        tracing::warn!(source = %source.name, hub = begun.hub, "{why}");
        let dice = u64::try_from(self.clock.dice() & u128::from(u64::MAX)).unwrap_or(0);
        let failed = hub::failed(begun, &why, now, dice);
        let failed = match &outcome {
            Some(outcome) => hub::patience(failed, outcome, now),
            None => failed,
        };
        let plan = |source: &Source| {
            let confirmed = asked && source.hub.as_ref() != Some(begun);
            (!confirmed).then_some(failed)
        };
        match self.configured.keep_hub(source.id, plan).await {
            Ok(_) => {}
            failed @ Err(_) => _ = told(source, failed),
        }
    }

    /// The hub and the topic's own name, where the topic is to name them.
    async fn found(
        &self,
        wanted: &Wanted<'_>,
        state: HubSubscription,
    ) -> Result<HubSubscription, Failed> {
        let again = state.hub.is_empty() || state.failures > 0;
        if wanted.hub != hub::DISCOVER || !again {
            return Ok(state);
        }
        let outcome = self.call("GET", wanted.topic, String::new()).await?;
        let answer = match &outcome {
            Outcome::Answered(answer) if answer.status == 200 => answer,
            Outcome::Answered(answer) => {
                let why = format!("the topic answered {}, so its hub is not known", answer.status);
                return Err((why, Some(outcome)));
            }
            Outcome::Confirmed => return Err(("the topic gave no answer".to_owned(), None)),
            Outcome::Failed(fault) => {
                return Err((
                    format!("the topic cannot be asked for its hub: {}", fault.detail),
                    None,
                ));
            }
        };
        let Some((hub, topic)) = hub::discovered(&answer.headers) else {
            let why = "the topic names no hub in a Link header: set the option hub to its address";
            return Err((why.to_owned(), None));
        };
        Ok(HubSubscription {
            hub,
            topic: topic.unwrap_or_else(|| wanted.topic.to_owned()),
            ..state
        })
    }

    async fn post(&self, wanted: &Wanted<'_>, state: &HubSubscription) -> Result<(), Failed> {
        let outcome = self.call("POST", &state.hub, hub::form(state, wanted)).await?;
        hub::taken(&outcome).map_err(|why| (why, Some(outcome)))
    }

    async fn call(&self, method: &str, url: &str, form: String) -> Result<Outcome, Failed> {
        let url = EndpointUrl::parse(url, &self.configured.settings().urls)
            .map_err(|why| (format!("{url} cannot be called: {why}"), None))?;
        let mut headers = Headers::default();
        headers.push("accept", "*/*");
        headers.push("user-agent", "doorbell");
        if method == "POST" {
            headers.push("content-type", "application/x-www-form-urlencoded");
        }
        let (timeout, keep) = (limits::HUB_DEADLINE, limits::RESPONSE_KEPT);
        let body = Bytes::from(form);
        let outgoing = Outgoing { method: method.to_owned(), url, headers, body, timeout, keep };
        Ok(self.sender.carry(outgoing).await.outcome)
    }
}

/// Why a hub could not be asked, and what it answered.
type Failed = (String, Option<Outcome>);

/// Whether it was kept; what could not be is due again with the next round.
fn told(source: &Source, kept: Result<Option<HubSubscription>, StoreError>) -> bool {
    match kept {
        Ok(kept) => kept.is_some(),
        Err(error) => {
            tracing::warn!(source = %source.name, %error, "how its subscription stands could not be kept");
            false
        }
    }
}
