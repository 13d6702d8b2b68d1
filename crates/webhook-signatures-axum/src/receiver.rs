//! The check of one address: whose requests it takes, and how the others are answered.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use std::sync::Arc;
use webhook_signatures::{
    Answer, Described, Handshake, Headers, Incoming, Provider, Refusal, Secret, SecretError,
    Verified, find, handshake, verify_and_describe,
};

/// Bodies larger than this are refused unless [`Receiver::with_limit`] says otherwise, in bytes (GitHub's may have 25 MB).
const LIMIT: usize = 32 << 20;

/// Who may call an address. Cheap to clone; put it into the router's state.
#[derive(Clone)]
pub struct Receiver(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    provider: Provider,
    secrets: Vec<Secret>,
    public_url: Option<String>,
    limit: usize,
    clock: fn() -> i64,
    on_refusal: fn(&Refused),
}

/// Why a receiver cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetUpError {
    /// There is no provider of that name.
    Provider(String),
    /// The secret at this place (from 1) is none of this provider's.
    Secret(usize, SecretError),
}

impl std::fmt::Display for SetUpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Provider(name) => write!(f, "there is no provider {name:?}"),
            Self::Secret(number, why) => write!(f, "secret number {number}: {why}"),
        }
    }
}

impl std::error::Error for SetUpError {}

/// Why a request did not get to the handler. For the operator; the caller gets a status.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It is not the provider's.
    Unverified(Refusal),
    /// It is a question whose answer is no.
    Question(&'static str),
    /// It is a question that this adapter cannot answer alone: the provider hands out a secret, wants an address called,
    /// or its key must be fetched first.
    Unanswered(&'static str),
    /// The body is too large, or did not come whole.
    Body,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unverified(why) => why.fmt(f),
            Self::Question(why) | Self::Unanswered(why) => f.write_str(why),
            Self::Body => f.write_str("the body is too large or was broken off"),
        }
    }
}

impl Receiver {
    /// Takes requests of a built-in provider that any of these secrets fits.
    ///
    /// # Errors
    /// When there is no such provider, or a text is no secret of its.
    pub fn new(provider: &str, secrets: &[&str]) -> Result<Self, SetUpError> {
        let row = find(provider).ok_or_else(|| SetUpError::Provider(provider.to_owned()))?;
        Self::of(row.clone(), secrets)
    }

    /// The same for a row of one's own, or a built-in one whose settings were set.
    ///
    /// # Errors
    /// When a text is no secret of this provider.
    pub fn of(provider: Provider, secrets: &[&str]) -> Result<Self, SetUpError> {
        let read = |(at, text): (usize, &&str)| {
            Secret::parse(&provider, text).map_err(|why| SetUpError::Secret(at + 1, why))
        };
        let secrets = secrets.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner {
            provider,
            secrets,
            public_url: None,
            limit: LIMIT,
            clock: now,
            on_refusal: |_| {},
        })))
    }

    /// The address under which the provider calls, without the query: `https://hooks.example.com/hooks/twilio`.
    #[must_use]
    pub fn with_public_url(self, url: impl Into<String>) -> Self {
        self.changed(|inner| inner.public_url = Some(url.into()))
    }

    /// The largest body that is taken, in bytes; 32 MiB unless set.
    #[must_use]
    pub fn with_limit(self, bytes: usize) -> Self {
        self.changed(|inner| inner.limit = bytes)
    }

    /// Where the time comes from, in Unix seconds; the system's clock unless set.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> i64) -> Self {
        self.changed(|inner| inner.clock = clock)
    }

    /// Called with each refusal, for the log.
    #[must_use]
    pub fn on_refusal(self, told: fn(&Refused)) -> Self {
        self.changed(|inner| inner.on_refusal = told)
    }

    fn changed(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    pub(crate) fn limit(&self) -> usize {
        self.0.limit
    }

    /// Judges a request whose body is whole: the proof and what the request says it is, or the answer to give instead.
    /// For services that are not axum's.
    ///
    /// # Errors
    /// The answer, when there is no event in the request: to a question, or to somebody who is not believed.
    pub fn judge(
        &self,
        parts: &Parts,
        body: &[u8],
    ) -> Result<(Verified, Described), Box<Response<Bytes>>> {
        let Inner { provider, secrets, clock, .. } = &*self.0;
        let (url, now) = (self.url(parts), clock());
        let headers = Lines::of(&parts.headers);
        let incoming =
            Incoming { method: parts.method.as_str(), url: &url, headers: &headers, body };
        if let Some(question) = handshake(provider, secrets, &incoming, now) {
            return Err(Box::new(self.answer(question)));
        }
        verify_and_describe(provider, secrets, &incoming, now)
            .map_err(|why| Box::new(self.unverified(why)))
    }

    /// A fault of ours is 503 and never a status that providers take for good.
    fn unverified(&self, why: Refusal) -> Response<Bytes> {
        if matches!(why.code(), "no_secret" | "not_set" | "need_key" | "unsupported") {
            return self.refuse(503, &Refused::Unverified(why));
        }
        let rule = &self.0.provider.response;
        let mut answer = self.refuse(rule.bad_signature, &Refused::Unverified(why));
        if !rule.bad_body.is_empty() {
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(http::header::CONTENT_TYPE, json);
            *answer.body_mut() = Bytes::copy_from_slice(rule.bad_body.as_bytes());
        }
        answer
    }

    fn answer(&self, question: Handshake) -> Response<Bytes> {
        let alone = |what| self.refuse(503, &Refused::Unanswered(what));
        match question {
            Handshake::Answer(answer) => answered(answer),
            Handshake::Refuse { status, why } => self.refuse(status, &Refused::Question(why)),
            Handshake::StoreSecret(_) => {
                alone("the provider hands out a secret: configure it here")
            }
            Handshake::Fetch { .. } => alone("the provider wants its subscription confirmed"),
            Handshake::Need(_) => alone("the provider's key is needed: give it as a secret"),
        }
    }

    pub(crate) fn refuse(&self, status: u16, why: &Refused) -> Response<Bytes> {
        (self.0.on_refusal)(why);
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::UNAUTHORIZED);
        response
    }

    /// The called URL: the configured one with the request's own query, or what the request says of itself.
    fn url(&self, parts: &Parts) -> String {
        let base = self.0.public_url.clone().unwrap_or_else(|| {
            let host = parts.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
            let host = host.or_else(|| parts.uri.host()).unwrap_or("localhost");
            format!("https://{host}{}", parts.uri.path())
        });
        match parts.uri.query() {
            Some(query) => format!("{base}?{query}"),
            None => base,
        }
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Receiver({}, {} secrets)", self.0.provider.name, self.0.secrets.len())
    }
}

fn answered(answer: Answer) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(http::header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// The lines of a header map, duplicates included.
struct Lines<'m>(Vec<(&'m str, &'m [u8])>);

impl<'m> Lines<'m> {
    fn of(map: &'m HeaderMap) -> Self {
        Self(map.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect())
    }
}

impl Headers for Lines<'_> {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.0.get(index).copied()
    }
}

#[expect(clippy::disallowed_methods, reason = "the default clock; a test gives its own")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}
