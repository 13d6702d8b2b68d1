//! Keys of providers that sign with a key of their own and serve its public half: JWK sets, SNS and PayPal certificates,
//! Plaid's keys. `webhook-signatures` says which address is the provider's; here it is called.
//!
//! A request waits for its key at most [`limits::KEY_PATIENCE`]; past that the provider is asked to come
//! again, and by then the key is there. Each key is fetched once however many wait for it; what could not be had is not
//! asked for again at once; a key that is known is used while it is fetched anew; and what strangers can cause by naming
//! keys that do not exist is bounded for each source.

mod fetch;
mod shelf;

pub use fetch::Fetcher;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::sender::AnySender;
use doorbell_core::endpoint_url::{PlainHttp, UrlPolicy};
use doorbell_core::id::SourceId;
use doorbell_core::limits;
use fetch::Job;
use shelf::{Look, Place, Shelf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use webhook_signatures::{KeyRequest, Provider, Secret};

/// A key as it was fetched, and when that was begun, in [`Clock::monotonic`] time.
#[derive(Debug, Clone)]
pub struct Held {
    /// The key.
    pub key: Secret,
    /// When it was asked for.
    pub at: Duration,
}

/// What came of a fetch: the key, or a sentence for the operator.
type Fetched = Result<Held, Arc<str>>;

/// The keys that are known, and the way to others.
#[derive(Debug)]
pub struct Keys {
    shelf: Mutex<Shelf>,
    jobs: mpsc::Sender<Job>,
    sender: Option<AnySender>,
    urls: UrlPolicy,
    clock: Clock,
}

/// Whose key is wanted, and for which source.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// What it is and where.
    pub key: &'a KeyRequest,
    /// The source whose request names it.
    pub source: SourceId,
}

impl Keys {
    /// Nothing is known yet; the [`Fetcher`] must run beside it. Without a sender no key is ever there.
    #[must_use]
    pub fn new(
        sender: Option<AnySender>,
        urls: UrlPolicy,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> (Self, Fetcher) {
        let (jobs, queue) = mpsc::channel(limits::KEY_FETCHES);
        let urls = UrlPolicy { http: PlainHttp::Refused, ..urls };
        let (own, sender) = (sender.clone(), sender);
        let keys = Self { shelf: Mutex::default(), jobs, sender: own, urls: urls.clone(), clock };
        let fetcher = Fetcher { sender, urls, clock: keys.clock.clone(), metrics, queue };
        (keys, fetcher)
    }

    /// The key, from memory or from its address; fetched anew unless that was done since `than`.
    ///
    /// # Errors
    /// A sentence for the operator: it is not there and may be later.
    pub async fn get(&self, wanted: Wanted<'_>, than: Option<Duration>) -> Result<Held, String> {
        let mut fetched = match self.look(wanted, than) {
            Look::Use(held) => return Ok(held),
            Look::No(why) => return Err(why),
            Look::Wait(fetched) => fetched,
        };
        let url = wanted.key.url();
        let done = fetched.wait_for(Option::is_some);
        match tokio::time::timeout(limits::KEY_PATIENCE, done).await {
            Ok(Ok(done)) => match &*done {
                Some(Ok(held)) => Ok(held.clone()),
                Some(Err(why)) => Err(why.to_string()),
                None => Err(away(url)),
            },
            Ok(Err(_)) => Err(away(url)),
            Err(_) => {
                Err(format!("the key at {url} takes its time; it is fetched for the next request"))
            }
        }
    }

    /// The key, if it is known; the network is left alone. For looking at a request after the fact.
    #[must_use]
    pub fn known(&self, wanted: Wanted<'_>) -> Option<Secret> {
        self.shelf().known(&Place::of(wanted), self.clock.monotonic()).map(|held| held.key)
    }

    /// Calls an address of a provider's own once, by which a subscription is confirmed.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub async fn call(&self, url: &str, source: SourceId) -> Result<(), String> {
        let Some(sender) = &self.sender else { return Err("this node calls nobody".to_owned()) };
        if !self.shelf().allow(source, self.clock.monotonic()) {
            return Err("this source has caused too many calls; wait a minute".to_owned());
        }
        fetch::get(sender, &self.urls, (url, None)).await.map(drop)
    }

    /// Looks at the shelf; what it wants fetched is on its way when this returns.
    fn look(&self, wanted: Wanted<'_>, than: Option<Duration>) -> Look {
        let now = self.clock.monotonic();
        let place = Place::of(wanted);
        let mut shelf = self.shelf();
        let (look, fetch) = shelf.look(&place, wanted.source, than, now);
        let Some(result) = fetch else { return look };
        let job = Job { provider: wanted.provider.clone(), key: wanted.key.clone(), result };
        if self.jobs.try_send(job).is_err() {
            let why = "too many keys are being fetched at once".to_owned();
            return if let Look::Use(held) = look { Look::Use(held) } else { Look::No(why) };
        }
        look
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn away(url: &str) -> String {
    format!("the key at {url} was not fetched")
}
