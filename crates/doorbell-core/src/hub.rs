//! Subscriptions at WebSub hubs (W3C Recommendation, 23 January 2018): when a hub is asked, what it is asked, what its
//! questions are answered.
//!
//! A source of the provider `websub` that has the options `hub` and `topic` is looked after: it asks the hub, says yes
//! when the hub asks back for what was asked, and asks again well before the lease ends. The state of it is plain data at
//! the source, durable before the hub is called, since a hub may ask back before it has answered. The address that the hub
//! calls ends in a part that nobody can guess, so that nobody else can confirm, shorten or end a subscription.

use crate::attempt::Outcome;
use crate::directory::ReadySource;
use crate::limits;
use crate::request::Headers;
use crate::retry::{self, jitter};
use crate::source::{HubSubscription, Source};
use crate::time::Time;
use std::time::Duration;
use webhook_signatures::{ECHO_MAX, Encoding, Hash, Incoming, form};

/// The provider whose sources may subscribe.
pub const PROVIDER: &str = "websub";
/// The value of the option `hub` that has it looked for in the topic's `Link` headers.
pub const DISCOVER: &str = "discover";

/// What a source's settings ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The hub's address, or [`DISCOVER`].
    pub hub: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The source's own address, without the part that nobody can guess.
    pub address: &'a str,
    /// The secret by which the hub is to sign.
    pub secret: &'a str,
    hash: String,
}

/// Why a source that is to be subscribed cannot be. `Display` is a sentence for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwanted {
    /// The hub could not call us.
    #[error(
        "no public address is known: set the source's public_url, or the ingest URL of the whole gateway"
    )]
    Address,
    /// Nothing could be believed.
    #[error("the source has no secret by which the hub could sign")]
    Secret,
    /// The standard has a limit.
    #[error(
        "the source's newest secret has more than {} bytes, and hubs take no longer ones",
        limits::HUB_SECRET
    )]
    SecretTooLong,
}

/// The options `hub` and `topic` of a source that is to be subscribed.
#[must_use]
pub fn options(source: &Source) -> Option<(&str, &str)> {
    let option = |wanted: &str| {
        let mut options = source.verification.options.iter();
        options.find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    if source.verification.provider != PROVIDER {
        return None;
    }
    Some((option("hub")?, option("topic")?))
}

/// What a source's settings ask for; `None`: no subscription.
///
/// # Errors
/// [`Unwanted`], when it cannot be asked for.
pub fn wanted(ready: &ReadySource) -> Option<Result<Wanted<'_>, Unwanted>> {
    let source = ready.source();
    let (hub, topic) = options(source).filter(|_| source.enabled)?;
    Some(of(ready, hub, topic))
}

fn of<'a>(ready: &'a ReadySource, hub: &'a str, topic: &'a str) -> Result<Wanted<'a>, Unwanted> {
    let address = ready.public_url().ok_or(Unwanted::Address)?;
    let secret = ready.source().verification.secrets.first().ok_or(Unwanted::Secret)?.reveal();
    if secret.len() > limits::HUB_SECRET {
        return Err(Unwanted::SecretTooLong);
    }
    let hash = Hash::Sha256.of([hub, topic, address, secret].join("\n").as_bytes());
    Ok(Wanted { hub, topic, address, secret, hash: Encoding::Hex.encode(&hash) })
}

/// When the hub is to be asked: `now` or before means at once.
#[must_use]
pub fn due(state: Option<&HubSubscription>, wanted: &Wanted<'_>) -> Time {
    match state {
        Some(state) if state.wanted == wanted.hash => state.next,
        Some(_) | None => Time::from_ms(0),
    }
}

/// The state while the hub is being asked. `token` is drawn by the caller and taken for a new subscription; what is being
/// renewed keeps the address that the hub knows.
#[must_use]
pub fn asking(
    state: Option<&HubSubscription>,
    wanted: &Wanted<'_>,
    token: String,
    now: Time,
) -> HubSubscription {
    let next = now.after(limits::HUB_PATIENCE);
    let same = state.filter(|state| state.wanted == wanted.hash);
    // A hub that was asked and never asked back has failed, too.
    let silent = same.filter(|state| state.asked.is_some());
    let known = same.map(|state| HubSubscription {
        asked: Some(now),
        next,
        failures: state.failures.saturating_add(u32::from(silent.is_some())),
        error: silent.map_or_else(|| state.error.clone(), |_| Some(SILENT.to_owned())),
        ..state.clone()
    });
    known.unwrap_or_else(|| HubSubscription {
        wanted: wanted.hash.clone(),
        token,
        hub: if wanted.hub == DISCOVER { String::new() } else { wanted.hub.to_owned() },
        topic: wanted.topic.to_owned(),
        asked: Some(now),
        until: None,
        next,
        failures: 0,
        error: None,
    })
}

const SILENT: &str =
    "the hub was asked and has not asked back: it may not reach the source's public address";

/// The state after the hub could not be asked, or said no.
#[must_use]
pub fn failed(state: &HubSubscription, why: &str, now: Time, dice: u64) -> HubSubscription {
    let doubled = limits::HUB_AGAIN_MIN.saturating_mul(1 << state.failures.min(16));
    HubSubscription {
        asked: None,
        next: now.after(jitter(doubled.min(limits::HUB_AGAIN_MAX), dice)),
        failures: state.failures.saturating_add(1),
        error: Some(clipped(why)),
        ..state.clone()
    }
}

/// The state of a source that cannot ask, which says why. It is looked at again as soon as its settings change.
#[must_use]
pub fn unable(source: &Source, why: Unwanted) -> Option<HubSubscription> {
    let (hub, topic) = options(source)?;
    Some(HubSubscription {
        wanted: String::new(),
        token: String::new(),
        hub: hub.to_owned(),
        topic: topic.to_owned(),
        asked: None,
        until: None,
        next: Time::from_ms(0),
        failures: 0,
        error: Some(why.to_string()),
    })
}

/// The state after the hub granted a lease of so many seconds; nothing said: as long as was asked for.
#[must_use]
pub fn granted(state: &HubSubscription, lease_s: Option<u64>, now: Time) -> HubSubscription {
    let lease = lease_s.map_or(limits::HUB_LEASE, Duration::from_secs);
    // A century would never be renewed, and a hub that lost its memory never noticed.
    let lease = lease.clamp(limits::HUB_LEASE_MIN, limits::HUB_LEASE);
    HubSubscription {
        asked: None,
        until: Some(now.after(lease)),
        next: now.after(lease * limits::HUB_RENEW_PERCENT / 100),
        failures: 0,
        error: None,
        ..state.clone()
    }
}

/// What is posted to the hub (section 5.1).
#[must_use]
pub fn form(state: &HubSubscription, wanted: &Wanted<'_>) -> String {
    let callback = format!("{}/{}", wanted.address.trim_end_matches('/'), state.token);
    let lease = limits::HUB_LEASE.as_secs().to_string();
    let fields = [
        ("hub.callback", callback.as_str()),
        ("hub.mode", "subscribe"),
        ("hub.topic", &state.topic),
        ("hub.lease_seconds", &lease),
        ("hub.secret", wanted.secret),
        // Hubs of the time before the standard want it, others do not care.
        ("hub.verify", "async"),
    ];
    let fields = fields.map(|(name, value)| format!("{name}={}", form::encode(value.as_bytes())));
    fields.join("&")
}

/// Whether the hub took the request.
///
/// # Errors
/// What it said instead, as a sentence.
pub fn taken(outcome: &Outcome) -> Result<(), String> {
    let answer = match outcome {
        Outcome::Answered(answer) => answer,
        // What brokers say; a hub is called by HTTP.
        Outcome::Confirmed => return Err("the hub gave no answer".to_owned()),
        Outcome::Failed(fault) => return Err(format!("the hub cannot be asked: {}", fault.detail)),
    };
    let status = answer.status;
    match status {
        200..=299 => Ok(()),
        300..=399 => {
            let to = answer.headers.text("location").unwrap_or("nowhere");
            Err(format!("the hub answered {status} and names {to}: set the option hub to that"))
        }
        _ => {
            let said = String::from_utf8_lossy(&answer.body);
            Err(format!("the hub answered {status}: {}", said.trim()))
        }
    }
}

/// How long a hub that is overloaded asks to wait, at the least.
#[must_use]
pub fn patience(state: HubSubscription, outcome: &Outcome, now: Time) -> HubSubscription {
    let asked = retry::asked(outcome, now).map_or(state.next, |wait| now.after(wait));
    HubSubscription { next: state.next.max(asked), ..state }
}

/// Hub and topic as a topic's own `Link` headers name them (RFC 8288; section 4 of the standard).
#[must_use]
pub fn discovered(headers: &Headers) -> Option<(String, Option<String>)> {
    let (mut hub, mut own) = (None, None);
    let lines = headers.iter().filter(|(name, _)| *name == "link");
    for link in lines.filter_map(|(_, value)| str::from_utf8(value).ok()).flat_map(links) {
        match link {
            (Rel::Hub, url) => hub = hub.or(Some(url)),
            (Rel::Own, url) => own = own.or(Some(url)),
        }
    }
    Some((hub?, own))
}

enum Rel {
    Hub,
    Own,
}

/// The links of one line that matter here, with absolute URLs.
fn links(line: &str) -> impl Iterator<Item = (Rel, String)> {
    line.split('<').skip(1).filter_map(|link| {
        let (url, parameters) = link.split_once('>')?;
        let absolute = url.starts_with("https://") || url.starts_with("http://");
        let rels = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel").then(|| value.to_ascii_lowercase())
        })?;
        let rel = rels.split_ascii_whitespace().find_map(|rel| match rel {
            "hub" => Some(Rel::Hub),
            "self" => Some(Rel::Own),
            _ => None,
        })?;
        absolute.then(|| (rel, url.to_owned()))
    })
}

/// What a hub asks or tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether it shall subscribe us: yes. The state is to be durable before this text is echoed.
    Confirm {
        /// The state after it.
        state: Box<HubSubscription>,
        /// What is echoed.
        echo: String,
    },
    /// It will not subscribe us (section 5.2).
    Denied {
        /// The state after it.
        state: Box<HubSubscription>,
    },
    /// It asks for what we do not want, or it is not the hub.
    Refuse(&'static str),
}

/// The hub's question in a request to a source that is looked after; `None`: it is none. `path` stands behind the source's
/// name.
#[must_use]
pub fn question(
    source: &Source,
    path: &str,
    incoming: &Incoming<'_>,
    (now, dice): (Time, u64),
) -> Option<Question> {
    options(source)?;
    let field = |name| Some(String::from_utf8_lossy(&incoming.query(name)?).into_owned());
    let mode = field("hub.mode").filter(|_| incoming.method.eq_ignore_ascii_case("GET"))?;
    let (topic, echo) = (field("hub.topic"), field("hub.challenge"));
    let known = source.hub.as_ref().filter(|state| {
        let token = path.strip_prefix('/').unwrap_or_default();
        !state.token.is_empty() && state.token == token
    });
    let Some(state) = known else {
        return Some(Question::Refuse("the hub was given another address: it is not the hub"));
    };
    if topic.as_deref() != Some(&state.topic) {
        return Some(Question::Refuse("hub.topic is not the one that was asked for"));
    }
    Some(match (mode.as_str(), echo) {
        ("denied", _) => {
            let reason = field("hub.reason").unwrap_or_default();
            let state = failed(state, &format!("the hub denied it: {reason}"), now, dice);
            Question::Denied { state: Box::new(HubSubscription { until: None, ..state }) }
        }
        ("subscribe", Some(echo)) if !echo.is_empty() && echo.len() <= ECHO_MAX => {
            let lease_s = field("hub.lease_seconds").and_then(|seconds| seconds.parse().ok());
            Question::Confirm { state: Box::new(granted(state, lease_s, now)), echo }
        }
        ("unsubscribe", _) => Question::Refuse("nobody asked to end the subscription"),
        _ => Question::Refuse("hub.mode or hub.challenge is none that could be answered"),
    })
}

fn clipped(text: &str) -> String {
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= limits::HUB_SAID).last();
    let fits = text.len() <= limits::HUB_SAID;
    let kept = if fits { text } else { text.get(..end.unwrap_or(0)).unwrap_or_default() };
    kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
