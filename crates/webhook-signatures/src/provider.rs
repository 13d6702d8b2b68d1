//! A provider: everything that is known about one sender of webhooks, as data.

use crate::scheme::{
    Algorithm, Field, KeySource, Piece, Place, Scheme, Signed, Stamp, Text, Token, Tolerance,
};
use crate::{Encoding, Unit};

/// One sender of webhooks: a built-in row, or a user's own from configuration.
///
/// A source keeps its own copy, with its settings filled in ([`Provider::set`]) and perhaps another tolerance
/// ([`Provider::with_tolerance`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The name in configuration and URLs: `[a-z0-9-]`.
    pub name: Text,
    /// The name for people.
    pub title: Text,
    /// The provider's own page about its signatures.
    pub docs: Text,
    /// What proves a request; any one of these. Usually one.
    pub schemes: Vec<Scheme>,
    /// Where the id stands by which a repeated event is known.
    pub event_id: Option<Field>,
    /// Where the event's type stands.
    pub event_type: Option<Field>,
    /// What else must be known of the account, beside the secret.
    pub settings: Vec<Setting>,
    /// The questions it asks before or between events, which [`handshake`](crate::handshake()) answers.
    pub challenges: Vec<Challenge>,
    /// How to answer.
    pub response: Response,
    /// How long the provider waits for an answer, in milliseconds, where it says so.
    pub deadline_ms: Option<u32>,
    /// When it tries again, in words; empty where it does not say.
    pub retries: Text,
    /// How a webhook is made in the provider's own console or by its API, in two to five sentences, of which one says
    /// where "the URL below" goes: a page shows the URL behind them. Empty only in a row of a user's own.
    pub setup: Text,
    /// The provider's own page in which that was read, where it was: the rest is as people know it who have done it.
    pub setup_source: Text,
    /// What an operator should know, in sentences.
    pub caveats: Vec<Text>,
    /// How sure we are of this row.
    pub confidence: Confidence,
}

/// A value beside the secret that a check needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in configuration.
    pub name: Text,
    /// What it is and where to find it.
    pub title: Text,
    /// Whether the check cannot work without it.
    pub required: bool,
    /// The value, once it is set.
    pub value: Option<Text>,
}

/// A question that a provider asks, to which the right answer must be given at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// A signed POST `{"type":"url_verification","challenge":…}`; the challenge as text.
    SlackUrlVerification,
    /// A signed POST `endpoint.url_validation`; the plain token and its HMAC.
    ZoomUrlValidation,
    /// A signed PING; `{"type":1}`, or 204 for webhook events.
    DiscordPing,
    /// GET with `hub.challenge`, answered as text when `hub.verify_token` is right (Meta).
    HubText,
    /// The same, answered as JSON (Strava).
    HubJson,
    /// GET with `hub.challenge` and `hub.topic`, without a token (WebSub).
    HubTopic,
    /// GET with `crc_token`; its HMAC (X).
    XCrc,
    /// GET with `challenge`; the same as text (Dropbox).
    QueryEcho,
    /// GET with `check`; the same as text (Onfleet).
    CheckEcho,
    /// POST with `validationToken` in the query; the same as text (Microsoft Graph).
    GraphValidationToken,
    /// POST of a `SubscriptionValidationEvent`; its code (Azure Event Grid).
    EventGridValidation,
    /// OPTIONS with `WebHook-Request-Origin` (CloudEvents, Azure).
    CloudEventsOptions,
    /// GET with `X-Okta-Verification-Challenge`; the same in JSON.
    OktaHeader,
    /// POST with `X-Hook-Secret`; the same back, and it is the secret from then on (Asana).
    AsanaSecret,
    /// POST with `verification_token`, which is the secret from then on (Notion).
    NotionToken,
    /// POST `{"challenge":…}`; the same back (monday).
    JsonEcho,
    /// POST with `Smartsheet-Hook-Challenge`; the same back in a header.
    SmartsheetHeader,
    /// A signed `SubscriptionConfirmation`, whose address is then to be fetched (Amazon SNS).
    SnsConfirmation,
    /// A signed POST `webhook_callback_verification`; the challenge as text (Twitch).
    TwitchCallback,
    /// GET with `bt_challenge`; the public key and an HMAC (Braintree).
    BraintreeCode,
    /// GET with `challenge_code`; a hash over it, the token and the URL (eBay).
    EbayCode,
    /// A POST `webhook.test`, signed by the secret that `MailerSend` publishes for it: 200, and no event.
    MailerSendTest,
    /// HEAD, or GET without anything but the token of its address: 200 (Trello, Mandrill, Mailchimp).
    Probe,
}

impl Challenge {
    /// Whether its answer is a signature over this text, made with the secret that signs events, for anybody who asks. Such
    /// a text must be none that an event can be, and a signature over it proves nothing.
    pub(crate) fn signs(self, text: &[u8]) -> bool {
        if self == Self::XCrc {
            // Of X the tokens are UUIDs, plain or in base64, and the events are JSON objects.
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_.~".contains(byte);
            !text.is_empty() && text.len() <= ASKED_MAX && text.iter().all(is_plain)
        } else {
            // An event of Braintree is XML in base64, which is longer.
            self == Self::BraintreeCode
                && (20..=32).contains(&text.len())
                && text.iter().all(u8::is_ascii_hexdigit)
        }
    }
}

/// The longest text that a handshake signs, in bytes.
pub(crate) const ASKED_MAX: usize = 256;

/// Whether a source needs a secret from its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretNeed {
    /// Yes: without one nothing passes.
    Required,
    /// The provider hands it out in its handshake; a source may begin without one.
    HandedOut,
    /// Keys are fetched ([`crate::Refusal::Need`]); one that is given is taken instead.
    Fetched,
    /// Keys are fetched from the address in a setting; without it a key must be given.
    OrSetting,
    /// Nothing is verified.
    None,
}

/// How a provider wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status for a request whose signature is wrong. Answer 503 and never this when the fault is ours.
    pub bad_signature: u16,
    /// The body of that answer, JSON; empty for nearly all. The same whatever was wrong.
    pub bad_body: Text,
    /// The status for an accepted request.
    pub success: u16,
    /// The body for an accepted request.
    pub body: Text,
    /// The body's content type; empty where there is no body.
    pub content_type: Text,
}

impl Default for Response {
    fn default() -> Self {
        let (body, content_type) = ("".into(), "".into());
        Self { bad_signature: 401, bad_body: "".into(), success: 202, body, content_type }
    }
}

/// How sure we are of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confidence {
    /// Something independent of us agreed with it: this SDK, published vector or verifier.
    Verified(Text),
    /// Read in this source or documentation, not run.
    Source(Text),
    /// From general knowledge: check before relying on it.
    Uncertain(Text),
}

impl Provider {
    /// A provider with one scheme and nothing else known.
    #[must_use]
    pub fn new(name: impl Into<Text>, title: impl Into<Text>, scheme: Scheme) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            docs: "".into(),
            schemes: vec![scheme],
            event_id: None,
            event_type: None,
            settings: Vec::new(),
            challenges: Vec::new(),
            response: Response::default(),
            deadline_ms: None,
            retries: "".into(),
            setup: "".into(),
            setup_source: "".into(),
            caveats: Vec::new(),
            confidence: Confidence::Uncertain("".into()),
        }
    }

    /// A value that was set for this copy.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.name == name)?.value.as_deref()
    }

    /// Sets a value. `false` when the provider has no such setting.
    #[must_use]
    pub fn set(&mut self, name: &str, value: impl Into<Text>) -> bool {
        let Some(setting) = self.settings.iter_mut().find(|setting| setting.name == name) else {
            return false;
        };
        setting.value = Some(value.into());
        true
    }

    /// The required settings that nobody has set.
    pub fn unset(&self) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(|setting| setting.required && setting.value.is_none())
    }

    /// The same provider with another tolerance in every scheme that has a timestamp.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Tolerance) -> Self {
        for scheme in &mut self.schemes {
            if let Scheme::Signed(signed) = scheme
                && let Some(stamp) = &mut signed.stamp
            {
                stamp.tolerance = tolerance;
            }
        }
        self
    }

    /// The address of the sender's keys, where it is a setting that was set.
    #[must_use]
    pub fn key_address(&self) -> Option<&str> {
        self.schemes.iter().find_map(|scheme| match scheme.key_source() {
            KeySource::Setting(name) => self.setting(name),
            KeySource::Given | KeySource::Fixed(_) | KeySource::Named { .. } | KeySource::Plaid => {
                None
            }
        })
    }

    /// Whether a source of this provider needs a secret from its operator before it can verify anything.
    #[must_use]
    pub fn secret_need(&self) -> SecretNeed {
        let handed_out = [Challenge::AsanaSecret, Challenge::NotionToken];
        if self.is_open() {
            SecretNeed::None
        } else if self.challenges.iter().any(|challenge| handed_out.contains(challenge)) {
            SecretNeed::HandedOut
        } else if self.schemes.iter().all(|scheme| *scheme.key_source() == KeySource::Given) {
            SecretNeed::Required
        } else if self
            .schemes
            .iter()
            .any(|scheme| matches!(scheme.key_source(), KeySource::Setting(_)))
        {
            SecretNeed::OrSetting
        } else {
            SecretNeed::Fetched
        }
    }

    /// Whether the URL is a part of what is signed.
    #[must_use]
    pub fn signs_url(&self) -> bool {
        let is_url = |piece: &Piece| matches!(piece, Piece::Url | Piece::Path | Piece::PathEscaped);
        self.schemes.iter().any(|scheme| match scheme {
            Scheme::Signed(signed) => signed.message.iter().any(is_url),
            Scheme::Jwt(jwt) => jwt.claims.url_hash.is_some(),
            Scheme::HttpSignature(_) => true,
            Scheme::None | Scheme::Token(_) | Scheme::Basic => false,
        })
    }

    /// Whether any scheme here lets everything pass.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.schemes.contains(&Scheme::None)
    }
}

/// Rows are written by chaining: each of these sets one thing and says no more than its name.
impl Provider {
    /// HMAC or public-key signature over the raw body, the whole header being `prefix` and the signature.
    pub(crate) fn raw(
        name: &'static str,
        title: &'static str,
        algorithm: Algorithm,
        at: (&'static str, &'static str, Encoding),
    ) -> Self {
        let (header, prefix, encoding) = at;
        let mut signed = Signed::raw(algorithm, header, encoding);
        signed.signatures = vec![Place::whole(header, prefix)];
        Self::new(name, title, Scheme::Signed(Box::new(signed)))
    }

    /// A shared secret.
    pub(crate) fn token(name: &'static str, title: &'static str, token: Token) -> Self {
        Self::new(name, title, Scheme::Token(token))
    }

    pub(crate) fn docs(mut self, url: &'static str) -> Self {
        self.docs = url.into();
        self
    }

    pub(crate) fn id(mut self, field: Field) -> Self {
        self.event_id = Some(field);
        self
    }

    pub(crate) fn kind(mut self, field: Field) -> Self {
        self.event_type = Some(field);
        self
    }

    pub(crate) fn deadline(mut self, ms: u32, retries: &'static str) -> Self {
        self.deadline_ms = Some(ms);
        self.retries = retries.into();
        self
    }

    pub(crate) fn retries(mut self, retries: &'static str) -> Self {
        self.retries = retries.into();
        self
    }

    pub(crate) fn setup(mut self, sentences: &'static str) -> Self {
        self.setup = sentences.into();
        self
    }

    pub(crate) fn setup_read_in(mut self, url: &'static str) -> Self {
        self.setup_source = url.into();
        self
    }

    pub(crate) fn caveat(mut self, sentence: &'static str) -> Self {
        self.caveats.push(sentence.into());
        self
    }

    pub(crate) fn verified(mut self, by: &'static str) -> Self {
        self.confidence = Confidence::Verified(by.into());
        self
    }

    pub(crate) fn source(mut self, source: &'static str) -> Self {
        self.confidence = Confidence::Source(source.into());
        self
    }

    pub(crate) fn uncertain(mut self, why: &'static str) -> Self {
        self.confidence = Confidence::Uncertain(why.into());
        self
    }

    pub(crate) fn challenge(mut self, challenge: Challenge) -> Self {
        self.challenges.push(challenge);
        self
    }

    /// A value that must be set.
    pub(crate) fn needs(mut self, name: &'static str, title: &'static str) -> Self {
        self.settings.push(Setting {
            name: name.into(),
            title: title.into(),
            required: true,
            value: None,
        });
        self
    }

    /// A value that may be set.
    pub(crate) fn takes(mut self, name: &'static str, title: &'static str) -> Self {
        self.settings.push(Setting {
            name: name.into(),
            title: title.into(),
            required: false,
            value: None,
        });
        self
    }

    /// The status for an accepted request, with no body.
    pub(crate) fn success(mut self, status: u16) -> Self {
        self.response.success = status;
        self
    }

    /// The status for a wrong signature.
    pub(crate) fn rejects(mut self, status: u16) -> Self {
        self.response.bad_signature = status;
        self
    }

    /// The status for a wrong signature, with this JSON.
    pub(crate) fn rejects_with(mut self, status: u16, body: &'static str) -> Self {
        self.response.bad_body = body.into();
        self.rejects(status)
    }

    /// 200 with this text.
    pub(crate) fn answers(mut self, body: &'static str, content_type: &'static str) -> Self {
        self.response = Response {
            success: 200,
            body: body.into(),
            content_type: content_type.into(),
            ..self.response
        };
        self
    }

    /// A timestamp in `header`, and what is signed, as a [`crate::template`]. A test walks all rows, so that none is
    /// left with a template that cannot be read.
    pub(crate) fn at(
        self,
        header: &'static str,
        (unit, tolerance): (Unit, Tolerance),
        template: &'static str,
    ) -> Self {
        let stamp = Stamp { at: Some(Field::header(header)), unit, tolerance };
        self.signed(|signed| signed.stamp = Some(stamp.clone())).message(template)
    }

    pub(crate) fn or(mut self, scheme: Scheme) -> Self {
        self.schemes.push(scheme);
        self
    }

    /// Changes the signed schemes of a row.
    pub(crate) fn signed(mut self, change: impl Fn(&mut Signed)) -> Self {
        for scheme in &mut self.schemes {
            if let Scheme::Signed(signed) = scheme {
                change(signed);
            }
        }
        self
    }

    /// What is signed, as a [`crate::template`]; rows are covered by tests, so a broken one signs nothing else.
    pub(crate) fn message(self, template: &'static str) -> Self {
        let pieces = crate::template::template(template).unwrap_or_default();
        self.signed(|signed| signed.message.clone_from(&pieces))
    }
}
