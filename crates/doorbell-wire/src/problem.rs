//! What a client of the API sees when something is wrong: one table of codes, each with its status, its sentence, what to
//! do about it, and its page under `docs/errors/`. The answers have the shape of RFC 9457 (`application/problem+json`).
//! Problems say nothing of secrets, and never which check of a credential failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fmt::Write as _;

/// The media type of a problem (RFC 9457, section 3).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Where the pages of the codes stand, on every admin listener. The `type` of a problem is a relative reference with its whole
/// path (RFC 9457, section 3.1.1): it names the same page whatever the server is called from outside, which it does not
/// know behind a proxy and does not believe the `Host` of a request to say; and programs compare it, or better `code`,
/// without a host in it.
pub const PAGES: &str = "/docs/errors/";

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident $word:literal $status:literal $title:literal: $remedy:literal;)*) => {
        /// Every kind of problem, in the order of the docs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word that stands for it in `code`, and the name of its page.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The HTTP status of its answers.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// A few words, the same for each occurrence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }

            /// The code with this word.
            #[must_use]
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.word() == word)
            }

            /// When it comes: the text of its page.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc, "\n",)*),)* }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or a part of it has the wrong shape: a missing field, an unknown field, a number where text
    /// belongs. Where the place is known, `errors` names it by a JSON pointer.
    Malformed "malformed" 400 "The body cannot be read":
        "Compare the body with the operation's schema in /v1/openapi.json.";
    /// A parameter of the query or path cannot be read. `errors` names it.
    Parameter "parameter" 400 "A parameter cannot be read":
        "Correct the parameter that is named; times are RFC 3339, cursors are taken as they came.";
    /// There is no token in the request, or it is not good (unknown, expired, removed). The answer does not say which.
    Unauthorized "unauthorized" 401 "A good token is needed":
        "Send `Authorization: Bearer <token>`; make a token with `doorbell token create`.";
    /// The login code is not good: it was never given out, was used before, or is too old. The answer does not say which.
    Login "login_code" 401 "A good login code is needed":
        "Print a fresh address with `doorbell login`; each is good once, for 15 minutes.";
    /// The token is good, but its scopes do not cover this operation.
    Scope "scope" 403 "The token may not do this":
        "Use a token that has the scope which the detail names.";
    /// The request carries the cookie of someone who signed in, but a page of another site sent it, or nothing says that
    /// ours did.
    CrossSite "cross_site" 403 "Another site sent this":
        "Use the pages of this server; anything else sends `Authorization: Bearer <token>`.";
    /// There is no such thing, or it belongs to another tenant.
    NotFound "not_found" 404 "There is no such thing":
        "Check the id or name, and that the token belongs to the tenant that owns it.";
    /// The path exists, but not with this method.
    Method "method" 405 "The method is not allowed here":
        "Use one of the methods in the `Allow` header.";
    /// The body did not arrive in time.
    Timeout "timeout" 408 "The body came too slowly":
        "Send it again, in one go.";
    /// The name is taken, or what is to be removed is still in use.
    Conflict "conflict" 409 "It is taken or in use":
        "Choose another name, or change the thing that has it.";
    /// The delivery is being tried at this moment, so it can be neither retried nor cancelled.
    InFlight "in_flight" 409 "The delivery is in flight":
        "Wait until the try is over (at most the endpoint's timeout) and ask again.";
    /// The state of the thing does not allow this: a delivered delivery can be neither retried (a replay delivers its event
    /// once more) nor cancelled, a finished replay cannot be cancelled, a disabled endpoint cannot be tested.
    State "state" 409 "Its state does not allow this":
        "Look at its state first; the detail names it.";
    /// The body is larger than this operation takes.
    TooLarge "too_large" 413 "The body is too large":
        "Send less; the detail names the limit in bytes.";
    /// The body's content type is not one that this operation takes.
    MediaType "media_type" 415 "The content type is not taken here":
        "Send `Content-Type: application/json`.";
    /// The `Host` of the request is none of the names that this server answers to: a page somewhere on the web may have
    /// tricked a browser into asking us.
    Misdirected "misdirected" 421 "This server has another name":
        "Use the address that the server printed, or add the name to `admin.hosts` in its configuration.";
    /// A field has a value that cannot be accepted: a URL that could never be delivered to, a name with forbidden letters,
    /// a limit passed. `errors` names all of them at once.
    Invalid "invalid" 422 "A value cannot be accepted":
        "Correct the fields that `errors` names.";
    /// This `Idempotency-Key` (or dedupe key) was used before, for another event. Nothing was published.
    KeyReused "key_reused" 422 "The idempotency key belongs to another event":
        "Use a new key for each event, and the same key only to repeat the same body.";
    /// The event would go to more endpoints than one event may. Nothing was published.
    Fanout "fanout" 422 "Too many endpoints want this event":
        "Narrow the endpoints' event types or channels.";
    /// Too many requests with a bad token or login code came from this address.
    TooMany "too_many" 429 "Too many failed attempts":
        "Wait for as long as `Retry-After` says, then send a good token.";
    /// Something unexpected happened inside; the log has it.
    Internal "internal" 500 "Something went wrong inside":
        "Try again; if it stays, look at the server's log.";
    /// Stored bytes of what was asked for are damaged; the rest is readable.
    Damaged "damaged" 500 "Stored bytes are damaged":
        "Run `doorbell doctor`, which says what is damaged.";
    /// More is waiting to be written than may wait. Nothing was taken in.
    Busy "busy" 503 "The store is busy":
        "Send it again after as long as `Retry-After` says.";
    /// The disk has no space left for new events. What is kept goes on being delivered.
    Full "full" 503 "The disk is full":
        "Make space on the disk or lower the retention; the server recovers by itself.";
    /// The store cannot promise anything just now. Nothing was taken in.
    Unavailable "unavailable" 503 "The store cannot take it":
        "Send it again after as long as `Retry-After` says; if it stays, look at the server's log.";
}

/// What is wrong, as an answer (RFC 9457, section 3.1, with the members `code`, `remedy` and `errors` of ours).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The page that explains this kind of problem, relative to the address that was asked.
    #[serde(rename = "type")]
    pub page: String,
    /// The kind of problem, for programs.
    pub code: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
    /// Which parts of the request are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem of that kind, with a sentence for this occurrence.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            page: format!("{PAGES}{}", code.word()),
            code: code.word().to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            remedy: code.remedy().to_owned(),
            errors: Vec::new(),
        }
    }

    /// A problem of that kind with the parts that are wrong.
    #[must_use]
    pub fn with_errors(code: Code, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.place(), one.detail),
            many => format!("{} parts of the request are wrong", many.len()),
        };
        Self { errors, ..Self::new(code, detail) }
    }
}

/// One part of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body (RFC 6901), or the parameter's name after `?`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldError {
    /// The place for people: a pointer to the whole body is called that.
    fn place(&self) -> &str {
        if self.pointer.is_empty() { "the body" } else { &self.pointer }
    }
}

/// Gathers what is wrong with a request, so that all faults are told at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// None so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Notes a fault.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl fmt::Display) {
        self.0.push(FieldError { pointer: pointer.into(), detail: detail.to_string() });
    }

    /// The value, or its fault is noted.
    pub fn take<T, E: fmt::Display>(
        &mut self,
        pointer: impl Into<String>,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(pointer, error)).ok()
    }

    /// Notes the faults of a part of the request, whose place is `under` this pointer.
    pub fn under(&mut self, pointer: &str, faults: &[FieldError]) {
        let placed = |fault: &FieldError| FieldError {
            pointer: format!("{pointer}{}", fault.pointer),
            detail: fault.detail.clone(),
        };
        self.0.extend(faults.iter().map(placed));
    }

    /// The value, if nothing was wrong; a missing value without a noted fault counts as one.
    ///
    /// # Errors
    /// All faults that were noted.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<FieldError>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            Some(_) => Err(self.0),
            None => {
                if self.0.is_empty() {
                    self.add("", "it is incomplete");
                }
                Err(self.0)
            }
        }
    }
}

/// The pages of `docs/errors/`: the file's name and its text, the index first.
#[must_use]
pub fn pages() -> Vec<(String, String)> {
    let mut all = vec![("README.md".to_owned(), index())];
    all.extend(Code::ALL.iter().map(|code| (format!("{}.md", code.word()), page(*code))));
    all
}

/// The page of all codes, in Markdown.
#[must_use]
pub fn index() -> String {
    let mut text = String::from(
        "# Problems\n\nEvery error of the API is `application/problem+json` (RFC 9457). `type` is the address of one of these \
         pages on the server that answered, which shows it to everyone; `detail` says what happened this time, `remedy` what to do, and `errors` names the parts that are wrong.\n\n\
         | code | status | meaning |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let _infallible = writeln!(
            text,
            "| [{0}]({0}.md) | {1} | {2} |",
            code.word(),
            code.status(),
            code.title()
        );
    }
    text
}

/// The page of a code, in Markdown.
#[must_use]
pub fn page(code: Code) -> String {
    let meaning: Vec<&str> = code.meaning().lines().map(str::trim).collect();
    format!(
        "# {title}\n\n`{word}`, HTTP {status}\n\n{meaning}\n\n**What to do.** {remedy}\n",
        title = code.title(),
        word = code.word(),
        status = code.status(),
        meaning = meaning.join("\n"),
        remedy = code.remedy(),
    )
}
