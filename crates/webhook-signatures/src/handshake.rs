//! The questions that providers ask before or between events, answered at once and before anything is queued.
//!
//! Only the configured provider's own questions are answered: an address that echoes whatever anyone asks is an open
//! reflector. What is echoed is at most [`ECHO_MAX`] bytes, as `text/plain` with `nosniff` or as escaped JSON. Where
//! the question is signed it must verify first. No question ever changes a secret that is already there.

use crate::encoding::Encoding;
use crate::hash::{Hash, HmacKey};
use crate::incoming::Incoming;
use crate::key::KeyRequest;
use crate::provider::{Challenge, Provider};
use crate::refusal::Refusal;
use crate::scheme::{Scheme, Token};
use crate::secret::Secret;
use crate::verify::verify;
use crate::{form, hash, json, urls};

/// What to do about a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handshake {
    /// Answer so; there is no event in the request.
    Answer(Answer),
    /// Keep this secret for the source, tell the operator, and answer so once it is durable. Only ever given for a
    /// source that has no secret yet.
    StoreSecret(NewSecret),
    /// Fetch this address (no redirect; it was found to be the provider's own), and answer so.
    Fetch {
        /// The address, by GET.
        url: String,
        /// The answer.
        answer: Answer,
    },
    /// The question is this provider's and the answer is no.
    Refuse {
        /// The status, with an empty body.
        status: u16,
        /// Why, for the operator's log.
        why: &'static str,
    },
    /// The question is signed: fetch this key first, as for [`Refusal::Need`], and ask again.
    Need(KeyRequest),
}

/// An answer to send as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, content type included.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// For WebSub: for how many seconds the hub says it subscribes.
    pub lease_s: Option<u64>,
}

/// A secret that a provider hands out in its handshake.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// The secret's text, for [`Secret::parse`].
    pub secret: String,
    /// What to tell the operator.
    pub notice: &'static str,
    /// The answer.
    pub answer: Answer,
}

impl std::fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSecret").field("notice", &self.notice).finish_non_exhaustive()
    }
}

/// The longest text that is echoed, in bytes.
pub const ECHO_MAX: usize = 1024;

/// The handshake in a request, if the provider asks such questions and this is one. `None` is an ordinary request:
/// go on with [`verify`], which also refuses a question whose signature is wrong.
#[must_use]
pub fn handshake(
    provider: &Provider,
    secrets: &[Secret],
    incoming: &Incoming<'_>,
    now: i64,
) -> Option<Handshake> {
    let asked = Asked { provider, secrets, incoming, now };
    provider.challenges.iter().find_map(|challenge| asked.answer(*challenge))
}

#[derive(Clone, Copy)]
struct Asked<'a> {
    provider: &'a Provider,
    secrets: &'a [Secret],
    incoming: &'a Incoming<'a>,
    now: i64,
}

impl Asked<'_> {
    fn answer(self, challenge: Challenge) -> Option<Handshake> {
        match challenge {
            Challenge::SlackUrlVerification => self.slack(),
            Challenge::ZoomUrlValidation => self.zoom(),
            Challenge::DiscordPing => self.discord(),
            Challenge::HubText | Challenge::HubJson => self.hub(challenge),
            Challenge::HubTopic => self.hub_topic(),
            Challenge::XCrc => self.x_crc(),
            Challenge::QueryEcho => self.is("GET")?.query("challenge").map(text),
            Challenge::CheckEcho => self.is("GET")?.query("check").map(text),
            Challenge::GraphValidationToken => self.is("POST")?.query("validationToken").map(text),
            Challenge::EventGridValidation => self.event_grid(),
            Challenge::CloudEventsOptions => self.cloud_events(),
            Challenge::OktaHeader => {
                let value = self.is("GET")?.header("x-okta-verification-challenge")?;
                Some(json_of("verification", &value))
            }
            Challenge::AsanaSecret => self.asana(),
            Challenge::NotionToken => self.notion(),
            Challenge::JsonEcho => self.monday(),
            Challenge::SmartsheetHeader => {
                let value = self.is("POST")?.header("smartsheet-hook-challenge")?;
                let mut answer = answer(200, "", Vec::new());
                answer.headers.push(("smartsheet-hook-response", value));
                Some(Handshake::Answer(answer))
            }
            Challenge::SnsConfirmation => self.sns(),
            Challenge::TwitchCallback => self.twitch(),
            Challenge::BraintreeCode => self.braintree(),
            Challenge::EbayCode => self.ebay(),
            Challenge::MailerSendTest => self.mailersend(),
            Challenge::Probe => self.probe(),
        }
    }

    fn is(self, method: &str) -> Option<Self> {
        self.incoming.method.eq_ignore_ascii_case(method).then_some(self)
    }

    /// A parameter of the query that may be echoed.
    fn query(self, name: &str) -> Option<String> {
        echoable(String::from_utf8(self.incoming.query(name)?).ok()?)
    }

    /// A header that may be echoed, also into a header.
    fn header(self, name: &str) -> Option<String> {
        let value = self.incoming.header_str(name)?;
        let visible = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        echoable(value.to_owned()).filter(|_| visible)
    }

    fn body(self, pointer: &str) -> Option<String> {
        json::find_text(self.incoming.body, pointer).map(std::borrow::Cow::into_owned)
    }

    fn slack(self) -> Option<Handshake> {
        if self.is("POST")?.body("/type")? != "url_verification" {
            return None;
        }
        let challenge = echoable(self.body("/challenge")?)?;
        verify(self.provider, self.secrets, self.incoming, self.now).ok()?;
        Some(text(challenge))
    }

    fn zoom(self) -> Option<Handshake> {
        if self.is("POST")?.body("/event")? != "endpoint.url_validation" {
            return None;
        }
        let plain = echoable(self.body("/payload/plainToken")?)?;
        let verified = verify(self.provider, self.secrets, self.incoming, self.now).ok()?;
        let secret = self.secrets.get(verified.secret()?)?;
        let tag = HmacKey::new(Hash::Sha256, secret.expose().as_bytes()).tag(&[plain.as_bytes()]);
        let encrypted = Encoding::Hex.encode(tag.bytes());
        let body = format!(
            "{{\"plainToken\":{},\"encryptedToken\":\"{encrypted}\"}}",
            json::quote(&plain)
        );
        Some(Handshake::Answer(answer(200, JSON, body.into_bytes())))
    }

    fn discord(self) -> Option<Handshake> {
        let kind = self.is("POST")?.body("/type")?;
        // In webhook events type 0 is the ping and type 1 an event; in interactions type 1 is the ping.
        let reply = match kind.as_str() {
            "0" => answer(204, "", Vec::new()),
            "1" if self.body("/event/type").is_none() => {
                answer(200, JSON, b"{\"type\":1}".to_vec())
            }
            _ => return None,
        };
        verify(self.provider, self.secrets, self.incoming, self.now).ok()?;
        Some(Handshake::Answer(reply))
    }

    fn hub(self, challenge: Challenge) -> Option<Handshake> {
        let wanted = self.is("GET")?.query("hub.challenge")?;
        let token = self.incoming.query("hub.verify_token").unwrap_or_default();
        let right = match self.provider.setting("verify_token") {
            Some(own) => hash::same(own.as_bytes(), &token),
            None => {
                self.secrets.iter().any(|secret| hash::same(secret.expose().as_bytes(), &token))
            }
        };
        if !right || self.query("hub.mode")? != "subscribe" {
            return Some(Handshake::Refuse {
                status: 403,
                why: "hub.verify_token is not the configured one",
            });
        }
        Some(if challenge == Challenge::HubJson {
            json_of("hub.challenge", &wanted)
        } else {
            text(wanted)
        })
    }

    fn hub_topic(self) -> Option<Handshake> {
        let wanted = self.is("GET")?.query("hub.challenge")?;
        let topic = self.query("hub.topic")?;
        if self.query("hub.mode").as_deref() != Some("subscribe") {
            return Some(Handshake::Refuse {
                status: 404,
                why: "only subscriptions are confirmed, and nobody here asked to end one",
            });
        }
        if self.provider.setting("topic").is_some_and(|own| own != topic) {
            return Some(Handshake::Refuse {
                status: 404,
                why: "hub.topic is not the configured one",
            });
        }
        let Handshake::Answer(mut answer) = text(wanted) else { return None };
        answer.lease_s = self.query("hub.lease_seconds").and_then(|seconds| seconds.parse().ok());
        Some(Handshake::Answer(answer))
    }

    fn x_crc(self) -> Option<Handshake> {
        let token = self.is("GET")?.query("crc_token")?;
        let secret = self.secrets.first()?.expose();
        if !Challenge::XCrc.signs(token.as_bytes()) {
            let why =
                "crc_token has a character that no token of X has: its answer could sign an event";
            return Some(Handshake::Refuse { status: 400, why });
        }
        let tag = HmacKey::new(Hash::Sha256, secret.as_bytes()).tag(&[token.as_bytes()]);
        Some(json_of("response_token", &format!("sha256={}", Encoding::Base64.encode(tag.bytes()))))
    }

    fn event_grid(self) -> Option<Handshake> {
        let kind = self.is("POST")?.body("/0/eventType")?;
        if kind != "Microsoft.EventGrid.SubscriptionValidationEvent" {
            return None;
        }
        Some(json_of("validationResponse", &echoable(self.body("/0/data/validationCode")?)?))
    }

    fn cloud_events(self) -> Option<Handshake> {
        let origin = self.is("OPTIONS")?.header("webhook-request-origin")?;
        if self.provider.setting("origin").is_some_and(|own| own != origin) {
            return Some(Handshake::Refuse { status: 405, why: "this origin may not send here" });
        }
        let mut answer = answer(200, "", Vec::new());
        answer
            .headers
            .extend([("allow", "POST, OPTIONS".to_owned()), ("webhook-allowed-origin", origin)]);
        if let Some(rate) = self.header("webhook-request-rate") {
            let plain = crate::time::digits(rate.as_bytes()).is_some();
            answer
                .headers
                .push(("webhook-allowed-rate", if plain { rate } else { "*".to_owned() }));
        }
        Some(Handshake::Answer(answer))
    }

    /// Whether a text that is handed out can be the secret.
    fn is_secret(self, text: &str) -> bool {
        text.len() >= 16 && Secret::parse(self.provider, text).is_ok()
    }

    fn asana(self) -> Option<Handshake> {
        let secret =
            self.is("POST")?.header("x-hook-secret").filter(|secret| self.is_secret(secret))?;
        if !self.secrets.is_empty() {
            return Some(Handshake::Refuse {
                status: 409,
                why: "a handshake for a source that has its secret already",
            });
        }
        let mut answer = answer(200, "", Vec::new());
        answer.headers.push(("x-hook-secret", secret.clone()));
        Some(Handshake::StoreSecret(NewSecret {
            secret,
            notice: "Asana made this webhook's secret",
            answer,
        }))
    }

    fn notion(self) -> Option<Handshake> {
        let secret = echoable(self.is("POST")?.body("/verification_token")?)
            .filter(|secret| self.is_secret(secret))?;
        if !self.secrets.is_empty() {
            return Some(Handshake::Refuse {
                status: 409,
                why: "a handshake for a source that has its secret already",
            });
        }
        let notice =
            "paste this verification token into Notion's page of the webhook; it signs from now on";
        Some(Handshake::StoreSecret(NewSecret {
            secret,
            notice,
            answer: answer(200, "", Vec::new()),
        }))
    }

    fn monday(self) -> Option<Handshake> {
        let challenge = echoable(self.is("POST")?.body("/challenge")?)?;
        if json::keys(self.incoming.body, 2).len() != 1 {
            return None;
        }
        Some(json_of("challenge", &challenge))
    }

    fn sns(self) -> Option<Handshake> {
        if self.is("POST")?.body("/Type")? != "SubscriptionConfirmation" {
            return None;
        }
        match verify(self.provider, self.secrets, self.incoming, self.now) {
            Ok(_) => {}
            Err(Refusal::Need(request)) => return Some(Handshake::Need(request)),
            Err(_) => return None,
        }
        let (url, topic) = (self.body("/SubscribeURL")?, self.body("/TopicArn")?);
        if !urls::is_sns_confirmation(&url, &topic) {
            return Some(Handshake::Refuse {
                status: 400,
                why: "SubscribeURL is not Amazon SNS's in the topic's region",
            });
        }
        Some(Handshake::Fetch { url, answer: answer(200, "", Vec::new()) })
    }

    fn twitch(self) -> Option<Handshake> {
        if self.is("POST")?.header("twitch-eventsub-message-type")?
            != "webhook_callback_verification"
        {
            return None;
        }
        let challenge = echoable(self.body("/challenge")?)?;
        verify(self.provider, self.secrets, self.incoming, self.now).ok()?;
        Some(text(challenge))
    }

    fn braintree(self) -> Option<Handshake> {
        let challenge = self.is("GET")?.query("bt_challenge")?;
        let Some(public) = self.provider.setting("public_key") else {
            let why = "the option public_key is not set, and Braintree's check wants it back";
            return Some(Handshake::Refuse { status: 400, why });
        };
        let secret = self.secrets.first()?;
        if !Challenge::BraintreeCode.signs(challenge.as_bytes()) {
            return Some(Handshake::Refuse {
                status: 400,
                why: "bt_challenge is not 20 to 32 hexadecimal digits",
            });
        }
        let key = HmacKey::new(Hash::Sha1, &Hash::Sha1.of(secret.expose().as_bytes()));
        let digest = Encoding::Hex.encode(key.tag(&[challenge.as_bytes()]).bytes());
        Some(text(format!("{public}|{digest}")))
    }

    fn ebay(self) -> Option<Handshake> {
        let code = self.is("GET")?.query("challenge_code")?;
        let own = self.provider.setting("verification_token");
        let token = own.or_else(|| self.secrets.first().map(Secret::expose))?;
        // The address as it was registered: with what stood in its query already.
        let address = without_parameter(self.incoming.url, "challenge_code");
        let digest =
            Hash::Sha256.of_parts(&[code.as_bytes(), token.as_bytes(), address.as_bytes()]);
        Some(json_of("challengeResponse", &Encoding::Hex.encode(&digest)))
    }

    /// Before a webhook is saved there is no other secret that its test could be signed with. Nothing else is believed
    /// by this one, which everybody knows.
    fn mailersend(self) -> Option<Handshake> {
        if self.is("POST")?.body("/type")? != "webhook.test" {
            return None;
        }
        let published = Secret::parse(self.provider, MAILERSEND_TEST).ok()?;
        verify(self.provider, &[published], self.incoming, self.now).ok()?;
        Some(Handshake::Answer(answer(200, "", Vec::new())))
    }

    fn probe(self) -> Option<Handshake> {
        let head = self.incoming.method.eq_ignore_ascii_case("HEAD");
        let bare = self.is("GET").is_some() && self.incoming.body.is_empty() && self.asks_nothing();
        (head || bare).then(|| Handshake::Answer(answer(200, "", Vec::new())))
    }

    /// Whether nothing stands in the query but the token of an address that was registered with one.
    fn asks_nothing(self) -> bool {
        let is_token = |name: &[u8]| {
            self.provider.schemes.iter().any(|scheme| {
                matches!(scheme, Scheme::Token(Token::Query(own)) if own.as_bytes() == name)
            })
        };
        let query = form::query(self.incoming.url).as_bytes();
        match form::pairs(query, 2).as_slice() {
            [] => true,
            [(name, _)] => is_token(name),
            _ => false,
        }
    }
}

/// The URL without this parameter of its query, and without a `?` that nothing follows.
fn without_parameter(url: &str, name: &str) -> String {
    let Some((bare, query)) = url.split_once('?') else { return url.to_owned() };
    let is_other = |pair: &&str| pair.split('=').next() != Some(name);
    let others: Vec<&str> = query.split('&').filter(is_other).collect();
    if others.is_empty() { bare.to_owned() } else { format!("{bare}?{}", others.join("&")) }
}

fn echoable(text: String) -> Option<String> {
    (!text.is_empty() && text.len() <= ECHO_MAX).then_some(text)
}

const JSON: &str = "application/json";

/// <https://developers.mailersend.com/api/v1/webhooks.html>
const MAILERSEND_TEST: &str = "test_Am3L1GuOIc4blLUuHqAPxxwkZaJyEk8G";

fn answer(status: u16, content_type: &str, body: Vec<u8>) -> Answer {
    let mut headers = Vec::new();
    if !content_type.is_empty() {
        headers.push(("content-type", content_type.to_owned()));
        headers.push(("x-content-type-options", "nosniff".to_owned()));
    }
    Answer { status, headers, body, lease_s: None }
}

fn text(echo: String) -> Handshake {
    Handshake::Answer(answer(200, "text/plain", echo.into_bytes()))
}

fn json_of(key: &str, value: &str) -> Handshake {
    let body = format!("{{\"{key}\":{}}}", json::quote(value));
    Handshake::Answer(answer(200, JSON, body.into_bytes()))
}
