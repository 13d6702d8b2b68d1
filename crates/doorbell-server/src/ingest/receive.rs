//! From a request to its answer.

use super::answer::{self, Answer};
use super::body::{self, Budget, NoBody, Rules};
use super::head;
use super::keyed::{self, Asked};
use super::rejections::{self, Rejections};
use super::target::{self, Target};
use crate::admitting::Admitting;
use crate::configured::{Adopted, Configured};
use crate::keys::Keys;
use crate::listen::{Caller, Deadlines, Handler, TrustedProxies};
use crate::metrics::{Metric, Timing};
use crate::seldom::{self, Seldom};
use bytes::Bytes;
use doorbell_core::directory::{Directory, ReadySource};
use doorbell_core::event::{Rejection, RejectionReason};
use doorbell_core::id::EventId;
use doorbell_core::intake::{self, Birth, HandedOut, Intake};
use doorbell_core::limits;
use doorbell_core::name::Label;
use doorbell_core::request::{Headers, Request};
use doorbell_core::source::{HubSubscription, Source};
use doorbell_store::Admission;
use http::StatusCode;
use http::request::Parts;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::mpsc;

/// How the ingest route is set up.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// The `in` of `/in/{source}`.
    pub prefix: Label,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: TrustedProxies,
    /// How long a sender may take (kept by the connection on HTTP/1, here on HTTP/2).
    pub deadlines: Deadlines,
    /// Bytes that all bodies together may hold before they are durable.
    pub bodies_in_flight: usize,
}

/// Answers the requests of the ingest listener.
#[derive(Debug)]
pub struct Ingest {
    config: IngestConfig,
    admitting: Arc<Admitting>,
    configured: Arc<Configured>,
    rejections: Rejections,
    budget: Arc<Budget>,
    keys: Arc<Keys>,
    unknown: Seldom,
}

/// Takes the rejected requests of an [`Ingest`] to the store; to be run as a task.
#[derive(Debug)]
pub struct Keeper {
    admitting: Arc<Admitting>,
    queue: mpsc::Receiver<Admission>,
}

impl Keeper {
    /// Runs until the [`Ingest`] is gone and everything that it handed in is with the store.
    pub async fn run(self) {
        rejections::keep(self.admitting, self.queue).await;
    }
}

/// A request whose body was not read yet, and the source that it is for.
struct Arrived<'a> {
    directory: &'a Directory,
    ready: &'a ReadySource,
    birth: Birth,
    request: Request,
}

impl Ingest {
    /// Ready to answer; the [`Keeper`] must run beside it.
    #[must_use]
    pub fn new(
        config: IngestConfig,
        admitting: Arc<Admitting>,
        configured: Arc<Configured>,
        keys: Arc<Keys>,
    ) -> (Self, Keeper) {
        let (rejections, queue) = Rejections::new(Arc::clone(&admitting.metrics));
        let keeper = Keeper { admitting: Arc::clone(&admitting), queue };
        let budget = Arc::new(Budget::new(config.bodies_in_flight, Arc::clone(&admitting.metrics)));
        let unknown = Seldom::default();
        (Self { config, admitting, configured, rejections, budget, keys, unknown }, keeper)
    }

    async fn answer(&self, parts: &Parts, body: Incoming, caller: &Caller) -> Answer {
        let read = match &caller.head {
            Some(head) => head::of_http1(head, parts),
            None => Some(head::of_http2(parts)),
        };
        let Some((text, headers)) = read else {
            return answer::and_close(answer::bare(StatusCode::BAD_REQUEST));
        };
        if text.len() > limits::TARGET {
            return answer::and_close(answer::bare(StatusCode::URI_TOO_LONG));
        }
        let (source, path, query) = match target::read(self.config.prefix.as_str(), text) {
            Target::Source { source, path, query } => (source, path, query),
            Target::Health(probe) => {
                let (status, word) =
                    self.admitting.health.answer(probe, self.admitting.clock.now());
                return unread(&body, answer::text(status, word));
            }
            Target::Nothing => return self.unknown(&body, text, self.peer(caller, &headers)),
        };
        let directory = self.configured.directory();
        let peer = self.peer(caller, &headers);
        let Some(ready) = directory.source_at(source) else {
            return self.unknown(&body, text, peer);
        };
        let request = Request {
            method: parts.method.as_str().to_owned(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            headers,
            body: Bytes::new(),
            peer: Some(peer),
        };
        let arrived = Arrived { directory: &directory, ready, birth: self.birth(), request };
        self.receive(arrived, body, caller).await
    }

    /// Nothing of it is kept, since anybody can send it; but somebody may have mistyped the address at a provider.
    fn unknown(&self, body: &Incoming, target: &str, caller: IpAddr) -> Answer {
        self.admitting.metrics.count(Metric::RequestsUnknownSource);
        if let Some(requests) = self.unknown.happened(self.admitting.clock.monotonic()) {
            let path = seldom::path_of(target);
            tracing::warn!(requests, path, %caller, "requests came to no source: they got 404 (the last one is named; `doorbell source list` has the addresses)");
        }
        unread(body, answer::bare(StatusCode::NOT_FOUND))
    }

    fn peer(&self, caller: &Caller, headers: &Headers) -> IpAddr {
        let lines = headers.iter().filter(|(name, _)| *name == "x-forwarded-for");
        let peer = caller.address.ip().to_canonical();
        self.config.proxies.caller(peer, lines.map(|(_, value)| value))
    }

    fn birth(&self) -> Birth {
        let now = self.admitting.clock.now();
        Birth { id: EventId::new(now, self.admitting.clock.dice()), now }
    }

    async fn receive(&self, mut arrived: Arrived<'_>, body: Incoming, caller: &Caller) -> Answer {
        let rules = Rules {
            most: arrived.ready.source().body_max.min(limits::BODY_MAX),
            deadlines: caller.head.is_none().then_some(self.config.deadlines),
        };
        match body::read(body, rules, &self.budget).await {
            Ok((bytes, share)) => {
                self.admitting.metrics.add(Metric::RequestBytes, bytes.len() as u64);
                arrived.request.body = bytes;
                let began = self.admitting.clock.monotonic();
                let answer = self.decide(arrived).await;
                let took = self.admitting.clock.monotonic().saturating_sub(began);
                self.admitting.metrics.took(Timing::Ack, took);
                drop(share);
                answer
            }
            Err(fault) => answer::and_close(self.no_body(arrived, fault, rules.most)),
        }
    }

    fn no_body(&self, mut arrived: Arrived<'_>, fault: NoBody, most: usize) -> Answer {
        let (reason, detail, status) = match fault {
            NoBody::NoRoom => {
                self.admitting.metrics.count(Metric::RequestsUnavailable);
                return answer::unavailable();
            }
            NoBody::TooLarge(beginning) => {
                arrived.request.body = beginning;
                let detail =
                    format!("the body is larger than the {most} bytes that the source takes");
                (RejectionReason::BodyTooLarge, detail, None)
            }
            NoBody::Overdue => {
                let detail = "the body did not arrive in time: the sender stalled".to_owned();
                (RejectionReason::Malformed, detail, Some(StatusCode::REQUEST_TIMEOUT))
            }
            NoBody::Broken => {
                let detail = "the body was broken off, or its chunks are malformed".to_owned();
                (RejectionReason::Malformed, detail, None)
            }
        };
        let Arrived { ready, birth, request, .. } = arrived;
        let rejection = Rejection { reason, detail };
        let (refused, reply) = intake::refuse(ready, request, birth, rejection);
        self.rejections.hand_in(ready.source().id, refused);
        status.map_or_else(|| answer::of(reply), answer::bare)
    }

    /// The request is whole: decides, and answers when what was decided is durable.
    async fn decide(&self, arrived: Arrived<'_>) -> Answer {
        let Arrived { directory, ready, birth, request } = arrived;
        let asked = Asked { directory, ready, birth };
        match keyed::decide(&self.keys, &self.admitting.clock, asked, request).await {
            Intake::Accept(accepted, reply) => match self.admitting.take_in(accepted).await {
                Ok(()) => answer::named(answer::of(reply), birth.id.into()),
                Err(_) => {
                    self.admitting.metrics.count(Metric::RequestsUnavailable);
                    answer::unavailable()
                }
            },
            Intake::Answer(question) => {
                self.admitting.metrics.count(Metric::RequestsAnswered);
                let adopted = match question.secret {
                    Some(handed) => Box::pin(self.adopt(ready.source(), handed)).await,
                    None => true,
                };
                let kept = match question.hub {
                    Some(state) => Box::pin(self.keep_hub(ready.source(), *state)).await,
                    None => true,
                };
                if adopted && kept { answer::of(question.reply) } else { answer::unavailable() }
            }
            Intake::Refuse(refused, reply) => {
                self.rejections.hand_in(ready.source().id, refused);
                answer::of(reply)
            }
            Intake::Call(_) | Intake::Need(_) => answer::unavailable(),
        }
    }

    /// The hub asked back, or said no: how the subscription stands is durable before the hub is answered.
    async fn keep_hub(&self, source: &Source, state: HubSubscription) -> bool {
        let name = &source.name;
        match (&state.error, state.until) {
            (Some(why), _) => tracing::warn!(source = %name, "{why}"),
            (None, until) => {
                let seconds = until.map(|until| until.since(self.admitting.clock.now()).as_secs());
                tracing::info!(source = %name, topic = state.topic, seconds, "the hub subscribes the source");
            }
        }
        let same = |now: &Source| now.hub.as_ref().is_some_and(|hub| hub.token == state.token);
        let kept =
            self.configured.keep_hub(source.id, |now| same(now).then(|| state.clone())).await;
        kept.is_ok_and(|kept| kept.is_some())
    }

    /// The provider hands out the secret of a source that has none: it is the source's before the provider is answered.
    async fn adopt(&self, source: &Source, handed: HandedOut) -> bool {
        let now = self.admitting.clock.now();
        match self.configured.adopt_secret(source.id, handed.secret, now).await {
            Ok(Adopted::Yes) => {
                let todo = "`doorbell source reveal-secret` shows it";
                tracing::info!(source = %source.name, "{}; {todo}", handed.notice);
                true
            }
            Ok(Adopted::No) => false,
            Err(error) => {
                tracing::warn!(source = %source.name, %error, "a secret that was handed out could not be kept");
                false
            }
        }
    }
}

/// The answer to a request whose body, if it has one, nobody reads.
fn unread(body: &Incoming, answer: Answer) -> Answer {
    if body.is_end_stream() { answer } else { answer::and_close(answer) }
}

impl Handler for Ingest {
    type Body = Full<Bytes>;

    async fn handle(self: Arc<Self>, request: http::Request<Incoming>, caller: Caller) -> Answer {
        let (parts, body) = request.into_parts();
        let mut answer = self.answer(&parts, body, &caller).await;
        if caller.head.is_none() {
            // HTTP/2 has no such header (RFC 9113, section 8.2.2).
            answer.headers_mut().remove(http::header::CONNECTION);
        }
        answer
    }

    fn panicked(&self) -> Answer {
        answer::bare(StatusCode::INTERNAL_SERVER_ERROR)
    }
}
