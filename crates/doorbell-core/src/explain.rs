//! What happened and what to do about it, in a sentence for the operator: a failure explains itself. Nothing here is for
//! the caller of a source, and nothing here holds a secret.

use crate::attempt::{Answer, Attempt, ErrorClass, Outcome};
use crate::delivery::DiscardReason;
use crate::event::{Fate, RejectionReason};

/// The sentence for one try.
#[must_use]
pub fn attempt(attempt: &Attempt) -> String {
    let took = seconds(attempt.timings.total.as_millis());
    match (&attempt.outcome, attempt.outcome.class()) {
        (Outcome::Answered(answer), None) => {
            format!("The receiver answered {} in {took}: delivered.", answer.status)
        }
        (Outcome::Answered(answer), Some(class)) => {
            let (what, todo) = status(answer, class);
            format!("{what}, in {took}. {todo}")
        }
        (Outcome::Confirmed, _) => format!("The broker confirmed it in {took}: delivered."),
        (Outcome::Failed(fault), _) => {
            let (what, todo) = class(fault.class);
            let detail = clip(&fault.detail, 300);
            let detail = if detail.is_empty() { detail } else { format!(" ({detail})") };
            format!("{what}{detail}, after {took}. {todo}")
        }
    }
}

/// What an error class means, and what to do about it: two sentences without and with a full stop, for docs and lists.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table, one entry for each class")]
pub const fn class(class: ErrorClass) -> (&'static str, &'static str) {
    use ErrorClass as E;
    match class {
        E::DnsNotFound => (
            "The host name does not exist",
            "Check the endpoint's URL for a typing error, and that the DNS record is published.",
        ),
        E::DnsFailed => (
            "The host name could not be looked up",
            "The name server did not answer; this often passes by itself. If it stays, check the domain's name servers and this machine's resolver.",
        ),
        E::AddressForbidden => (
            "The host name leads to an address that is never called",
            "Use a public address. If the receiver is meant to be in the private network, the operator can list its network in allow_private.",
        ),
        E::ConnectionRefused => (
            "Nothing listens at the endpoint's address and port",
            "Start the receiver, or correct the port in the endpoint's URL.",
        ),
        E::ConnectFailed => (
            "The connection could not be opened",
            "Check that the receiver's network and firewall let this machine in.",
        ),
        E::ConnectionReset => (
            "The connection was closed before the response was complete",
            "The receiver or a proxy before it crashed, restarted or gave up: look at its log at this moment.",
        ),
        E::TlsCertificateExpired => {
            ("The receiver's TLS certificate has expired", "Renew the certificate on the receiver.")
        }
        E::TlsCertificateName => (
            "The receiver's TLS certificate is for another host name",
            "Use the name that the certificate is for, or get a certificate for this one.",
        ),
        E::TlsCertificateInvalid => (
            "The receiver's TLS certificate is not trusted",
            "Install the whole chain of a public certificate authority on the receiver; self-signed certificates are not taken.",
        ),
        E::TlsFailed => (
            "The TLS handshake failed",
            "Check that the receiver speaks TLS 1.2 or 1.3 at this port, and that the URL is not meant to be http://.",
        ),
        E::TimeoutConnect => (
            "The deadline passed before there was a connection",
            "A firewall that drops packets, or a host that is down, looks like this: check that the receiver can be reached from this machine.",
        ),
        E::TimeoutResponse => (
            "The receiver took the request and did not answer before the deadline",
            "Answer first and work afterwards: put the event on a queue and return 2xx at once. The endpoint's timeout can be raised.",
        ),
        E::TimeoutBody => (
            "The receiver began to answer and did not finish before the deadline",
            "Answer with a short body, or none.",
        ),
        E::ProtocolError => (
            "What came back is not a valid HTTP response",
            "Check that the port speaks HTTP, that https:// is right, and that the response's headers are not very large.",
        ),
        E::Redirect => (
            "The receiver answered with a redirect",
            "Redirects are not followed: put the final address into the endpoint's URL.",
        ),
        E::Gone => (
            "The receiver answered 410: it wants no more webhooks at this address",
            "The endpoint was disabled. Give it its new address and enable it, or delete it.",
        ),
        E::TooManyRequests => (
            "The receiver answered 429: too many requests",
            "Deliveries slow down by themselves; a rate limit on the endpoint avoids it.",
        ),
        E::ClientError => {
            ("The receiver refused the request", "Look at its response, and at what it expects.")
        }
        E::ServerError => {
            ("The receiver failed while it handled the request", "Look at its log at this moment.")
        }
        E::StatusInvalid => (
            "The receiver answered with a status that does not exist",
            "Answer with a status from 200 to 299 for success.",
        ),
        E::RequestInvalid => (
            "The request could not be built, so nothing was sent",
            "Correct the endpoint's URL, headers or secrets; then retry.",
        ),
        E::QueueUnreachable => (
            "The message broker could not be reached, or went away before it confirmed",
            "Check that the broker runs, and the connection's url in the settings. It may have the message: consumers know repeats by webhook-id.",
        ),
        E::QueueRefused => (
            "The message broker refused: it does not know this login, or does not allow it to put there",
            "Correct the login in the connection's url in the settings, or give it the right to put to this destination.",
        ),
        E::QueueMissing => (
            "The message broker has no place for it",
            "Make the queue, exchange or stream at the broker, or bind a queue to where the message goes; then retry.",
        ),
        E::QueueTooLarge => (
            "The message is larger than the broker takes",
            "Raise the broker's limit, or filter such events out.",
        ),
        E::QueueBusy => (
            "The message broker did not confirm within the time, or takes nothing more at present",
            "Look for memory or disk alarms and full queues at the broker; the endpoint's timeout can be raised, up to 5s count.",
        ),
        E::QueueFailed => (
            "The message broker answered with an error",
            "Look at what it said, and at its log at this moment.",
        ),
    }
}

/// As [`class`], with what is known of single statuses.
fn status(answer: &Answer, class: ErrorClass) -> (String, &'static str) {
    let (what, todo) = self::class(class);
    let status = answer.status;
    let todo = match status {
        400 | 422 => {
            "The receiver could not make sense of the request: compare the body and content type with what it expects."
        }
        401 | 403 => {
            "The receiver did not believe the request. Check that it verifies with this endpoint's secret, over the raw body, and that no login or firewall stands before it."
        }
        404 => {
            "There is nothing at this path: check the endpoint's URL, and that the receiver's route takes this method."
        }
        405 => {
            "The receiver's route does not take this method: make it accept the method of the original request, usually POST."
        }
        408 => "The receiver waited too long for the request: it may be overloaded.",
        409 => {
            "The receiver sees a conflict. If it means that it has the event already, it should answer 2xx."
        }
        413 => {
            "The body is larger than the receiver, or a proxy before it, takes: raise its limit."
        }
        415 => "The receiver does not take this content type.",
        500 => "The receiver's own code failed: look at its log at this moment.",
        502 | 504 => {
            "The proxy before the receiver got no answer from it: check that the receiver runs and is fast enough."
        }
        503 => {
            "The receiver is overloaded or down for maintenance; while tries are left, the next one waits as long as it asks for."
        }
        508 => {
            "The receiver says that the request goes round in a circle: make sure that the endpoint's URL does not lead back to a source."
        }
        _ => todo,
    };
    let what = match status {
        300..=399 => match answer.headers.text("location") {
            Some(to) => format!("{what} ({status}) to {}", clip(to, 200)),
            None => format!("{what} ({status}) that names no address"),
        },
        410 | 429 => what.to_owned(),
        _ => format!("{what} ({status})"),
    };
    (what, todo)
}

/// Why a request was rejected, in general; the [`crate::event::Rejection`] itself says what was wrong with this one.
#[must_use]
pub const fn rejection(reason: RejectionReason) -> &'static str {
    match reason {
        RejectionReason::Verification => {
            "The request could not be verified. Check that the source has the provider's current secret; a request that nobody signed is rightly rejected."
        }
        RejectionReason::SourceDisabled => {
            "The source is switched off. Enable it, and ask the provider to send the event again."
        }
        RejectionReason::Method => {
            "The source does not take this HTTP method. Add it to the source's methods if the provider uses it."
        }
        RejectionReason::BodyTooLarge => {
            "The body is larger than the source takes. Raise the source's limit if such bodies are expected."
        }
        RejectionReason::Malformed => {
            "The request could not be read as HTTP: its body, encoding or headers are broken."
        }
        RejectionReason::KeyReused => {
            "The event was published with the idempotency key of another one. Use a new key for each event, and the same key only to repeat it."
        }
    }
}

/// What became of a request, in general.
#[must_use]
pub fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Accepted => "Accepted: it became an event with at least one delivery.".to_owned(),
        Fate::NoEndpoint => {
            "Accepted, but no endpoint subscribes to it. Add an endpoint (or widen its subscription), then replay it."
                .to_owned()
        }
        Fate::Filtered => {
            "Acknowledged and delivered to no one: the source does not want this event type. Add it to the source's event types to receive it."
                .to_owned()
        }
        Fate::Duplicate { of } => {
            format!("Acknowledged and not delivered again: it repeats {of}, which was seen before with the same key.")
        }
        Fate::Rejected(rejection) => {
            format!("Rejected ({}): {}", rejection.reason.word(), rejection.detail)
        }
    }
}

/// Why a delivery is not to be tried.
#[must_use]
pub const fn discard(why: DiscardReason) -> &'static str {
    match why {
        DiscardReason::EndpointDisabled => {
            "The endpoint was disabled, so nothing was sent. Enable it, then replay what it missed."
        }
        DiscardReason::EndpointDeleted => {
            "The endpoint was deleted, so nothing was sent. The event can be replayed to another endpoint."
        }
        DiscardReason::Filtered => {
            "The endpoint's filter does not hold for this event, so nothing was sent. Change the filter if it should."
        }
        DiscardReason::Cancelled => "Someone cancelled it. It can be replayed.",
    }
}

fn seconds(ms: u128) -> String {
    format!("{}.{:01} s", ms / 1000, ms % 1000 / 100)
}

/// Text from outside, cut to what is worth showing, without control characters.
fn clip(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{Fault, Timings, Trigger};
    use crate::event::Rejection;
    use crate::id::{AttemptId, EventId};
    use crate::request::Headers;
    use crate::time::Time;
    use bytes::Bytes;
    use expect_test::{Expect, expect};
    use std::time::Duration;

    fn check(outcome: Outcome, expect: &Expect) {
        let timings = Timings { total: Duration::from_millis(1_240), ..Timings::default() };
        expect.assert_eq(&attempt(&Attempt {
            id: AttemptId::from_bytes([0; 16]),
            number: 1,
            at: Time::EPOCH,
            trigger: Trigger::Initial,
            address: None,
            timings,
            outcome,
        }));
    }

    fn answer(status: u16, headers: &[(&str, &'static str)]) -> Outcome {
        let headers: Headers =
            headers.iter().map(|(n, v)| (n, Bytes::from_static(v.as_bytes()))).collect();
        Outcome::Answered(Answer { status, headers, body: Bytes::new(), truncated: false })
    }

    fn fault(class: ErrorClass, detail: &str) -> Outcome {
        Outcome::Failed(Fault { class, detail: detail.to_owned() })
    }

    #[test]
    fn answers() {
        check(answer(204, &[]), &expect!["The receiver answered 204 in 1.2 s: delivered."]);
        check(
            answer(301, &[("location", "https://example.com/new\n")]),
            &expect![
                "The receiver answered with a redirect (301) to https://example.com/new, in 1.2 s. Redirects are not followed: put the final address into the endpoint's URL."
            ],
        );
        check(
            answer(304, &[]),
            &expect![
                "The receiver answered with a redirect (304) that names no address, in 1.2 s. Redirects are not followed: put the final address into the endpoint's URL."
            ],
        );
        check(
            answer(401, &[]),
            &expect![
                "The receiver refused the request (401), in 1.2 s. The receiver did not believe the request. Check that it verifies with this endpoint's secret, over the raw body, and that no login or firewall stands before it."
            ],
        );
        check(
            answer(410, &[]),
            &expect![
                "The receiver answered 410: it wants no more webhooks at this address, in 1.2 s. The endpoint was disabled. Give it its new address and enable it, or delete it."
            ],
        );
        check(
            answer(418, &[]),
            &expect![
                "The receiver refused the request (418), in 1.2 s. Look at its response, and at what it expects."
            ],
        );
        check(
            answer(429, &[]),
            &expect![
                "The receiver answered 429: too many requests, in 1.2 s. Deliveries slow down by themselves; a rate limit on the endpoint avoids it."
            ],
        );
        check(
            answer(503, &[]),
            &expect![
                "The receiver failed while it handled the request (503), in 1.2 s. The receiver is overloaded or down for maintenance; while tries are left, the next one waits as long as it asks for."
            ],
        );
        check(
            answer(999, &[]),
            &expect![
                "The receiver answered with a status that does not exist (999), in 1.2 s. Answer with a status from 200 to 299 for success."
            ],
        );
    }

    #[test]
    fn faults() {
        check(
            fault(ErrorClass::DnsNotFound, ""),
            &expect![
                "The host name does not exist, after 1.2 s. Check the endpoint's URL for a typing error, and that the DNS record is published."
            ],
        );
        check(
            fault(ErrorClass::TlsCertificateExpired, "it expired on 2026-11-02"),
            &expect![
                "The receiver's TLS certificate has expired (it expired on 2026-11-02), after 1.2 s. Renew the certificate on the receiver."
            ],
        );
        check(
            fault(ErrorClass::TimeoutResponse, ""),
            &expect![
                "The receiver took the request and did not answer before the deadline, after 1.2 s. Answer first and work afterwards: put the event on a queue and return 2xx at once. The endpoint's timeout can be raised."
            ],
        );
        check(
            fault(ErrorClass::AddressForbidden, "10.0.0.1 is a private address"),
            &expect![
                "The host name leads to an address that is never called (10.0.0.1 is a private address), after 1.2 s. Use a public address. If the receiver is meant to be in the private network, the operator can list its network in allow_private."
            ],
        );
    }

    #[test]
    fn fates() {
        let of = EventId::from_bytes([0; 16]);
        expect!["Acknowledged and not delivered again: it repeats evt_00000000000000000000000000, which was seen before with the same key."].assert_eq(&fate(&Fate::Duplicate { of }));
        let rejection = Rejection {
            reason: RejectionReason::Verification,
            detail: "the header x-hub-signature-256 is missing".to_owned(),
        };
        expect!["Rejected (verification_failed): the header x-hub-signature-256 is missing"]
            .assert_eq(&fate(&Fate::Rejected(rejection)));
    }

    #[test]
    fn every_sentence_says_what_to_do() {
        for kind in ErrorClass::ALL {
            let (what, todo) = class(kind);
            assert!(!what.ends_with('.') && todo.ends_with('.'), "{}", kind.word());
        }
        for reason in RejectionReason::ALL {
            assert!(rejection(reason).ends_with('.'), "{}", reason.word());
        }
        for why in DiscardReason::ALL {
            assert!(discard(why).ends_with('.'), "{}", why.word());
        }
    }

    #[test]
    fn words_are_told_apart() {
        let mut words = ErrorClass::ALL.map(ErrorClass::word).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorClass::ALL.len());
    }
}
