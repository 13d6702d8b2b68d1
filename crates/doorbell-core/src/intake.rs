//! What becomes of a request to a source: believed and made an event with its deliveries, or refused.
//!
//! Everything happens before the bytes are durable, so it is quick: one hash of the body for each secret, one scan for the
//! keys, one look into the routing table; no tree is built. To the caller every refusal looks alike; why it was one is in
//! the [`Rejection`], for the operator.

use crate::delivery::{DiscardReason, State};
use crate::directory::{Directory, ReadySource};
use crate::endpoint::{Endpoint, Status};
use crate::event::{Event, Fate, Origin, Rejection, RejectionReason};
use crate::header;
use crate::hub;
use crate::id::{EndpointId, EventId};
use crate::key;
use crate::limits;
use crate::name::EventType;
use crate::request::{Headers, Request};
use crate::routes;
use crate::secret::SecretText;
use crate::source::HubSubscription;
use crate::time::Time;
use crate::verifier::Verifier;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use webhook_signatures::{
    Described, Handshake, Incoming, KeyRequest, NewSecret, Provider, Secret, Verified,
};

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intake {
    /// It is to be made durable, and only then answered like this.
    Accept(Accepted, Reply),
    /// It is a question of the provider's (a handshake), which is no event.
    Answer(Answer),
    /// It is answered like this, and kept without waiting for it.
    Refuse(Refused, Reply),
    /// It is a question that is answered with a call: this address is to be called once, and if that succeeds the answer
    /// is this; else [`give_up`].
    Call(Box<Call>),
    /// It cannot be judged without a key from the network: then [`decide_with`], or [`give_up`].
    Need(Box<Needed>),
}

/// A subscription that is confirmed by calling an address of the provider's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The request.
    pub request: Request,
    /// What to GET.
    pub url: String,
    /// The answer to the request, once that succeeded.
    pub reply: Reply,
}

/// A request that is not judged yet, and the key that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// The request.
    pub request: Request,
    /// What to fetch.
    pub key: KeyRequest,
}

/// Why the key that a request needs is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoKey {
    /// All keys at this address were fetched, and the one that the request names is not among them.
    Unknown(String),
    /// It could not be fetched, as this sentence says; the provider is to try again.
    Unavailable(String),
}

/// An event to be made durable. Only [`decide`], [`publish`] and [`resume`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The event; shared, since it goes on to the store and to dispatch.
    pub event: Arc<Event>,
    /// Its fate, unless it turns out to be a duplicate.
    pub fate: Fate,
    /// For how long its dedupe key counts; zero: not at all.
    pub dedupe_window: Duration,
    /// Its deliveries, at most [`limits::FANOUT`].
    pub deliveries: Vec<Planned>,
}

/// A request that became no event, in the shape in which it is kept. Only [`decide`] and [`refuse`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The request, its body cut to [`limits::REJECTED_BODY_KEPT`].
    pub event: Arc<Event>,
    /// Why.
    pub rejection: Rejection,
}

/// The answer to a provider's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// A secret that is to be durable as the source's before the answer goes out; if that fails the answer is 503.
    pub secret: Option<HandedOut>,
    /// How the source's subscription at a hub stands with this answer: to be durable before it, likewise.
    pub hub: Option<Box<HubSubscription>>,
    /// The answer.
    pub reply: Reply,
}

/// A secret that the provider gives to a source that has none yet (Asana, Notion).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOut {
    /// The secret.
    pub secret: SecretText,
    /// What to tell the operator.
    pub notice: &'static str,
}

/// A delivery to be made; the caller draws its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// Where it goes.
    pub endpoint: EndpointId,
    /// The hash of its order key, where the endpoint asks for order.
    pub order_key: Option<u64>,
    /// Waiting, or discarded because the endpoint is disabled.
    pub state: State,
}

/// The answer to the caller of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Its header lines, beside those of the connection.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

/// What the caller draws for a new request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Birth {
    /// The id of the event (and of the request).
    pub id: EventId,
    /// The time.
    pub now: Time,
}

/// Decides what becomes of a request to a source.
#[must_use]
pub fn decide(
    directory: &Directory,
    ready: &ReadySource,
    request: Request,
    birth: Birth,
) -> Intake {
    by(directory, ready, request, (birth, None))
}

/// As [`decide`], with a key that was fetched because that asked for it.
#[must_use]
pub fn decide_with(
    directory: &Directory,
    ready: &ReadySource,
    request: Request,
    birth: Birth,
    key: Secret,
) -> Intake {
    by(directory, ready, request, (birth, Some(key)))
}

fn by(
    directory: &Directory,
    ready: &ReadySource,
    request: Request,
    (birth, key): (Birth, Option<Secret>),
) -> Intake {
    match pass(ready, &request, (birth, key)) {
        Ok(Passed::Believed(_proof, described)) => {
            accept(directory, ready, request, (birth, described))
        }
        Ok(Passed::Asked(answer)) => Intake::Answer(answer),
        Ok(Passed::Calls(url, reply)) => Intake::Call(Box::new(Call { request, url, reply })),
        Ok(Passed::Needs(key)) => Intake::Need(Box::new(Needed { request, key })),
        Err(fault) => {
            let (refused, reply) = fault.refuse(ready, request, birth);
            Intake::Refuse(refused, reply)
        }
    }
}

/// Refuses a request whose key is not to be had, or whose call failed. When that is no fault of the sender's, the answer is 503.
#[must_use]
pub fn give_up(
    ready: &ReadySource,
    request: Request,
    birth: Birth,
    why: NoKey,
) -> (Refused, Reply) {
    let refusal = match why {
        NoKey::Unknown(url) => {
            let detail = format!("the key that the request names is not among those at {url}");
            Refusal::unverified(&detail, None)
        }
        NoKey::Unavailable(detail) => Refusal::unverified(&detail, OURS),
    };
    refusal.refuse(ready, request, birth)
}

/// Refuses a request that did not get as far as [`decide`]: its body was too large, or broken.
#[must_use]
pub fn refuse(
    ready: &ReadySource,
    request: Request,
    birth: Birth,
    rejection: Rejection,
) -> (Refused, Reply) {
    Refusal::new(rejection.reason, rejection.detail).refuse(ready, request, birth)
}

/// Makes an event that was published through the API ready to be made durable.
#[must_use]
pub fn publish(directory: &Directory, event: Event, dedupe_window: Duration) -> Accepted {
    let (fate, deliveries) = plan(directory, &event);
    Accepted { event: Arc::new(event), fate, dedupe_window, deliveries }
}

/// Routes an event anew that was judged before, with what is configured now; one that its source did not want (`fate`)
/// stays unwanted.
#[must_use]
pub fn resume(
    directory: &Directory,
    event: Event,
    fate: Fate,
    dedupe_window: Duration,
) -> Accepted {
    let (fate, deliveries) = match fate {
        Fate::Accepted | Fate::NoEndpoint => plan(directory, &event),
        Fate::Filtered | Fate::Duplicate { .. } | Fate::Rejected(_) => (fate, Vec::new()),
    };
    Accepted { event: Arc::new(event), fate, dedupe_window, deliveries }
}

/// Why a request is not taken.
struct Refusal {
    reason: RejectionReason,
    detail: String,
    /// The status, where it is not that of the reason.
    status: Option<u16>,
}

/// When the fault is on our side, the provider is to try again.
const OURS: Option<u16> = Some(503);

impl Refusal {
    const fn new(reason: RejectionReason, detail: String) -> Self {
        Self { reason, detail, status: None }
    }

    fn unverified(detail: &impl ToString, status: Option<u16>) -> Self {
        Self { reason: RejectionReason::Verification, detail: detail.to_string(), status }
    }
}

/// What a request was found to be.
enum Passed {
    /// It is the provider's; what it says it is.
    Believed(Verified, Described),
    /// It is a question.
    Asked(Answer),
    /// It is a question whose answer is a call of this address, and then this.
    Calls(String, Reply),
    /// None of these, before this key is there.
    Needs(KeyRequest),
}

/// Everything that must hold before a request is believed, the cheap things first. A question is answered whatever
/// methods the source takes: it is not an event.
fn pass(
    ready: &ReadySource,
    request: &Request,
    (birth, key): (Birth, Option<Secret>),
) -> Result<Passed, Refusal> {
    let (source, now) = (ready.source(), birth.now);
    if !source.enabled {
        let detail = "the source is switched off: enable it to receive again".to_owned();
        return Err(Refusal::new(RejectionReason::SourceDisabled, detail));
    }
    let hops = header::hops(&request.headers);
    if hops > limits::HOPS {
        let detail = format!(
            "it has been delivered by {hops} Doorbells in a row, or by one {hops} times (a loop): an endpoint's URL leads back to a source; change that URL, or the endpoint's subscription"
        );
        return Err(Refusal::new(RejectionReason::Malformed, detail));
    }
    if request.body.len() > source.body_max {
        let (is, most) = (request.body.len(), source.body_max);
        let detail = format!("the body has {is} bytes, and the source takes {most}");
        return Err(Refusal::new(RejectionReason::BodyTooLarge, detail));
    }
    let verifier = ready.verifier().map_err(|why| {
        let what = "the source is not set up rightly, so nobody can be believed";
        Refusal::unverified(&format!("{what}: {why}"), OURS)
    })?;
    let knowing = key.map(|key| verifier.with_fetched(key));
    let verifier = knowing.as_ref().unwrap_or(verifier);
    let url = called_url(ready, request);
    let Request { method, headers, body, .. } = request;
    let incoming = Incoming { method, url: &url, headers, body };
    if let Some(question) = hub::question(source, &request.path, &incoming, (now, dice(birth))) {
        return of_hub(question);
    }
    if let Some(question) = verifier.question(&incoming, now.unix_seconds()) {
        return answer(verifier.provider(), question);
    }
    if !source.methods.is_empty() && !source.methods.contains(method) {
        let takes = source.methods.join(", ");
        let detail = format!("the source takes {takes}, and this was {method}");
        return Err(Refusal::new(RejectionReason::Method, detail));
    }
    verify(verifier, &incoming, now)
}

/// The dice that were rolled for the event's id serve anything else in its stead: there is no event.
fn dice(birth: Birth) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = birth.id.bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn of_hub(question: hub::Question) -> Result<Passed, Refusal> {
    let mut headers = Headers::default();
    let (state, body) = match question {
        hub::Question::Confirm { state, echo } => {
            headers.push("content-type", "text/plain");
            headers.push("x-content-type-options", "nosniff");
            (state, Bytes::from(echo))
        }
        hub::Question::Denied { state } => (state, Bytes::new()),
        hub::Question::Refuse(why) => return Err(Refusal::unverified(&why, Some(404))),
    };
    let reply = Reply { status: 200, headers, body };
    Ok(Passed::Asked(Answer { secret: None, hub: Some(state), reply }))
}

fn verify(verifier: &Verifier, incoming: &Incoming<'_>, now: Time) -> Result<Passed, Refusal> {
    use webhook_signatures::Refusal as R;
    match verifier.verify_and_describe(incoming, now.unix_seconds()) {
        Ok((proof, described)) => Ok(Passed::Believed(proof, described)),
        Err(R::Need(key)) => Ok(Passed::Needs(key)),
        Err(why) => {
            let ours = matches!(why, R::NoSecret | R::NotSet(_) | R::Unsupported(_));
            Err(Refusal::unverified(&why, if ours { OURS } else { None }))
        }
    }
}

fn answer(provider: &Provider, question: Handshake) -> Result<Passed, Refusal> {
    let (secret, given) = match question {
        Handshake::Answer(given) => (None, given),
        Handshake::StoreSecret(NewSecret { secret, notice, answer }) => {
            let secret =
                SecretText::parse(&secret).map_err(|why| Refusal::unverified(&why, None))?;
            (Some(HandedOut { secret, notice }), answer)
        }
        // With `*` any topic is believed, but we let nobody subscribe us to theirs.
        Handshake::Fetch { url, answer }
            if provider.setting("topic_arn").is_some_and(|topic| topic != "*") =>
        {
            return Ok(Passed::Calls(url, reply(answer)));
        }
        Handshake::Fetch { url, .. } => {
            let todo = "somebody's topic asks to be subscribed: if it is yours, set the option topic_arn to it, or open this \
                        address once";
            return Err(Refusal::unverified(&format!("{todo}: {url}"), OURS));
        }
        Handshake::Refuse { status, why } => {
            return Err(Refusal::unverified(&why, Some(status)));
        }
        Handshake::Need(key) => return Ok(Passed::Needs(key)),
    };
    Ok(Passed::Asked(Answer { secret, hub: None, reply: reply(given) }))
}

fn reply(given: webhook_signatures::Answer) -> Reply {
    let headers = given.headers.into_iter().collect();
    Reply { status: given.status, headers, body: given.body.into() }
}

/// The URL that the provider called: the configured one, or what the request says of itself.
pub(crate) fn called_url(ready: &ReadySource, request: &Request) -> String {
    let base = ready.public_url().map_or_else(
        || {
            let host = request.headers.text("host").unwrap_or("localhost");
            format!("https://{host}/in/{}", ready.source().name)
        },
        str::to_owned,
    );
    let (mark, query) = request.query.as_deref().map_or(("", ""), |query| ("?", query));
    format!("{base}{}{mark}{query}", request.path)
}

fn accept(
    directory: &Directory,
    ready: &ReadySource,
    request: Request,
    (birth, described): (Birth, Described),
) -> Intake {
    let source = ready.source();
    let event = Arc::new(Event {
        id: birth.id,
        tenant: source.tenant,
        at: birth.now,
        origin: Origin::Source(source.id),
        event_type: event_type(ready, &request, described.event_type),
        dedupe_key: dedupe_key(ready, &request, described.event_id),
        channels: Vec::new(),
        request,
    });
    let wanted = routes::fits(&source.event_types, event.event_type.as_ref());
    let (fate, deliveries) =
        if wanted { plan(directory, &event) } else { (Fate::Filtered, Vec::new()) };
    let reply = success(ready);
    Intake::Accept(Accepted { event, fate, dedupe_window: source.dedupe.window, deliveries }, reply)
}

/// The user's rule goes over the provider's. White space and controls, which no type of ours has, become `_`.
fn event_type(
    ready: &ReadySource,
    request: &Request,
    described: Option<String>,
) -> Option<EventType> {
    let text = match &ready.source().type_rule {
        Some(rule) => String::from_utf8_lossy(&key::read(rule, request)?).into_owned(),
        None => described?,
    };
    let odd = |c: char| c.is_whitespace() || c.is_control();
    EventType::parse(&text.replace(odd, "_")).ok()
}

fn dedupe_key(ready: &ReadySource, request: &Request, described: Option<String>) -> Option<Bytes> {
    match &ready.source().dedupe.key {
        Some(rule) => key::read(rule, request).map(|value| key::dedupe(&value)),
        None => described.map(|id| key::dedupe(id.as_bytes())),
    }
}

/// The event's deliveries by the current subscriptions.
fn plan(directory: &Directory, event: &Event) -> (Fate, Vec<Planned>) {
    let deliveries: Vec<_> = directory
        .route(event)
        .take(limits::FANOUT)
        .map(|ready| planned(ready.endpoint(), event))
        .collect();
    let fate = if deliveries.is_empty() { Fate::NoEndpoint } else { Fate::Accepted };
    (fate, deliveries)
}

/// The delivery of an event to an endpoint, as it begins.
#[must_use]
pub fn planned(endpoint: &Endpoint, event: &Event) -> Planned {
    let first_wait = endpoint.policy.retry.schedule.first().copied().unwrap_or_default();
    let state = match endpoint.status {
        Status::Enabled | Status::Paused => State::Waiting { due: event.at.after(first_wait) },
        Status::Disabled { .. } => {
            State::Discarded { at: event.at, why: DiscardReason::EndpointDisabled }
        }
    };
    let order_key =
        endpoint.policy.order.as_ref().map(|order| key::order(&order.key, &event.request));
    Planned { endpoint: endpoint.id, order_key, state }
}

/// What this provider expects on success, or what the source says instead.
fn success(ready: &ReadySource) -> Reply {
    let (status, content_type, body) = match (&ready.source().response, ready.verifier()) {
        (Some(own), _) => (own.status, own.content_type.clone(), own.body.clone()),
        (None, Ok(verifier)) => {
            let wish = &verifier.provider().response;
            (wish.success, wish.content_type.to_string(), wish.body.to_string())
        }
        (None, Err(_)) => (202, String::new(), String::new()),
    };
    let mut headers = Headers::default();
    if !content_type.is_empty() {
        headers.push("content-type", content_type);
    }
    Reply { status, headers, body: Bytes::from(body) }
}

impl Refusal {
    fn refuse(self, ready: &ReadySource, mut request: Request, birth: Birth) -> (Refused, Reply) {
        let reply = self.reply(ready);
        if request.body.len() > limits::REJECTED_BODY_KEPT {
            let kept = request.body.slice(..limits::REJECTED_BODY_KEPT);
            request.body = Bytes::copy_from_slice(&kept);
        }
        let event = Arc::new(Event {
            id: birth.id,
            tenant: ready.source().tenant,
            at: birth.now,
            origin: Origin::Source(ready.source().id),
            event_type: None,
            dedupe_key: None,
            channels: Vec::new(),
            request,
        });
        let rejection = Rejection { reason: self.reason, detail: self.detail };
        (Refused { event, rejection }, reply)
    }

    /// Constant for each kind, mostly without a body: it never says which check failed. A fault of ours is a 503, since many
    /// providers never repeat after a 4xx.
    fn reply(&self, ready: &ReadySource) -> Reply {
        let mut headers = Headers::default();
        let status = self.status.unwrap_or_else(|| match self.reason {
            RejectionReason::Verification => {
                ready.verifier().map_or(503, |verifier| verifier.provider().response.bad_signature)
            }
            RejectionReason::SourceDisabled => 404,
            RejectionReason::Method => 405,
            RejectionReason::BodyTooLarge => 413,
            RejectionReason::Malformed => 400,
            RejectionReason::KeyReused => 422,
        });
        match status {
            405 => headers.push("allow", ready.source().methods.join(", ")),
            503 => headers.push("retry-after", "60"),
            _ => {}
        }
        let body = match (self.status, self.reason) {
            (None, RejectionReason::Verification) => {
                ready.verifier().map_or("", |verifier| &verifier.provider().response.bad_body)
            }
            _ => "",
        };
        if !body.is_empty() {
            headers.push("content-type", "application/json");
        }
        Reply { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) }
    }
}
