//! Mail.

use super::{SHA256, hex, json, unsigned};
use crate::encoding::Encoding::{Base64, Hex};
use crate::provider::{Challenge, Provider};
use crate::scheme::{
    Algorithm, Field, KeyForm, Layout, Piece, Place, Repeats, Scheme, Signed, Stamp, Token,
    Tolerance,
};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    let mailgun = |signature: Field, stamp: Field, token: Field| {
        let mut signed = Signed::raw(SHA256, "", Hex);
        signed.signatures =
            vec![Place { at: signature, layout: Layout::Whole { prefix: "".into() } }];
        signed.stamp =
            Some(Stamp { at: Some(stamp), unit: Unit::Seconds, tolerance: Tolerance::OFF });
        signed.message = vec![Piece::Timestamp, Piece::Field(token)];
        Scheme::Signed(Box::new(signed))
    };
    let form = |name: &'static str| Field::Form(name.into());
    // Mailgun's routes send the mail's attachments beside the fields.
    let part = |name: &'static str| Field::Part(name.into());
    vec![
        Provider::raw("sendgrid", "SendGrid", Algorithm::EcdsaP256, ("x-twilio-email-event-webhook-signature", "", Base64))
            .at("x-twilio-email-event-webhook-timestamp", (Unit::Seconds, Tolerance::OFF), "{timestamp}{body}")
            .docs("https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features")
            .setup(
                "Settings, Mail Settings, Event Webhook: create one with the URL below and the \
                 events, and switch Signed Event Webhook on (Generate Verification Key). The public \
                 key that is then shown is the secret of the source; by API: PATCH, then GET \
                 /v3/user/webhooks/event/settings/signed. To switch it off deletes the key. OAuth may \
                 be on beside it and is not checked.",
            )
            .setup_read_in("https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features")
            .id(json("/0/sg_event_id"))
            .kind(json("/0/event"))
            .success(200)
            .caveat("The body is an array of events and ends with a line break, which is signed.")
            .verified("a real signature in sendgrid-python's tests"),
        Provider::new(
            "mailgun",
            "Mailgun",
            mailgun(json("/signature/signature"), json("/signature/timestamp"), json("/signature/token")),
        )
        .or(mailgun(form("signature"), form("timestamp"), form("token")))
        .or(mailgun(part("signature"), part("timestamp"), part("token")))
        .docs("https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks")
        .setup(
            "Webhooks of the account or of one domain: add the URL below for each event type; by API \
             it is POST /v1/webhooks with `url` and `event_types`, or POST \
             /v3/domains/{domain}/webhooks. It takes up to 10 minutes to work. The secret is the \
             HTTP webhook signing key of the account, which is not the API key. An event type has \
             at most 3 URLs.",
        )
        .setup_read_in("https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks")
        .id(Field::First(vec![json("/event-data/id"), form("token"), part("token")]))
        .kind(Field::First(vec![json("/event-data/event"), form("event")]))
        .retries("after 10, 10, 15 and 30 minutes, 1, 2 and 4 hours; none after a 406")
        .success(200)
        .caveat("Only a time and a random token are signed, not the body: who has one signed request can send another body with it. With the dedupe key `/signature/token` (`--dedupe-key /signature/token`) a token counts once; then an event that Mailgun sends again with a new token counts twice.")
        .source("django-anymail"),
        Provider::raw("mandrill", "Mandrill", super::SHA1, ("x-mandrill-signature", "", Base64))
            .signed(|signed| signed.message = vec![Piece::Url, Piece::SortedForm(Repeats::Keep)])
            .docs("https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/")
            .setup(
                "Settings, Webhooks, Add a Webhook: the events and the URL below, which is also \
                 `public_url`. Mandrill tests the URL with a HEAD request, which is answered. The \
                 list of webhooks shows the key of each, which is the secret of the source. For \
                 inbound mail it is the route of the inbound domain, with a key of its own.",
            )
            .id(Field::FormJson("mandrill_events".into(), "/0/_id".into()))
            .kind(Field::FormJson("mandrill_events".into(), "/0/event".into()))
            .challenge(Challenge::Probe)
            .success(200)
            .caveat("The public URL is signed: it must be exactly as registered.")
            .source("django-anymail"),
        unsigned("mailchimp", "Mailchimp")
            .docs("https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/")
            .setup(
                "Audience, Manage audience, Settings, Webhooks, Create New Webhook: the URL below \
                 with `?token=` and the secret of the source behind it, the events, and whose \
                 changes count; or POST /3.0/lists/{list_id}/webhooks. Mailchimp sends a GET when \
                 it is saved and wants 200. A webhook belongs to one audience.",
            )
            .kind(form("type"))
            .challenge(Challenge::Probe)
            .success(200)
            .uncertain("general knowledge"),
        Provider::new("postmark", "Postmark", Scheme::Basic)
            .or(Scheme::Token(Token::Query("token".into())))
            .docs("https://postmarkapp.com/developer/webhooks/webhooks-overview")
            .setup(
                "The server, the message stream, Webhooks, Add webhook: the URL below, the events, \
                 and the basic auth credentials of the source's secret; or POST /webhooks with \
                 `Url`, `MessageStream`, `HttpAuth` and `Triggers`. The inbound webhook is a \
                 setting of the inbound stream and has no fields for credentials: put \
                 `user:password@` into its URL.",
            )
            .id(json("/MessageID"))
            .kind(json("/RecordType"))
            .success(200)
            .caveat("It signs nothing: put `user:password@` or `?token=…` into the URL.")
            .verified("a vector of HTTP Basic"),
        Provider::raw("postal", "Postal", Algorithm::RsaSha1, ("x-postal-signature", "", Base64))
            .docs("https://docs.postalserver.io/developer/webhooks")
            .setup(
                "In Postal's web interface, the mail server, Webhooks, Add new webhook: a name, the \
                 URL below, the events or all, and leave signing on. The public key belongs to the \
                 installation: it is the one that `postal default-dkim-record` prints behind `p=`, \
                 and the secret of the source.",
            )
            .id(json("/uuid"))
            .kind(json("/event"))
            .success(200)
            .caveat("Postal signs with SHA-1; its key is in its DNS settings.")
            .source("django-anymail"),
        hex("mailersend", "MailerSend", "signature", "")
            .docs("https://developers.mailersend.com/api/v1/webhooks.html")
            .setup(
                "Make the source with any secret first: when a webhook is saved, MailerSend tests it, \
                 and wants 2xx. Domains, Manage, Webhooks, Add webhook: the URL below and the events; \
                 or POST /v1/webhooks with `domain_id`, `name`, `url` and `events`. Its page then shows \
                 the signing secret, which `doorbell source update` puts in the place of the first.",
            )
            .id(json("/data/id"))
            .kind(json("/type"))
            .challenge(Challenge::MailerSendTest)
            .deadline(3000, "ever further apart")
            .verified("django-anymail"),
        hex("mailerlite", "MailerLite", "signature", "")
            .docs("https://developers.mailerlite.com/docs/webhooks.html")
            .setup(
                "Integrations, Webhooks, or POST https://connect.mailerlite.com/api/webhooks with \
                 `name`, `events` and `url` (the URL below). The `secret` in the answer is the \
                 source's. With `batchable` several events come in one request.",
            )
            .kind(Field::First(vec![json("/event"), json("/type")]))
            .deadline(3000, "3 times: after 10, 100 and 1,000 s")
            .source("n8n-nodes-base 2.41.2; no vector is kept"),
        super::basics::standard("resend", "Resend", "svix", KeyForm::Standard)
            .docs("https://resend.com/docs/dashboard/webhooks/verify-webhooks-requests")
            .setup(
                "Webhooks, Add Webhook: the URL below and the event types; or POST /webhooks. The \
                 webhook's page shows the signing secret (whsec_…).",
            )
            .verified("resend 2.52.0 for Python"),
        super::basics::standard("loops", "Loops", "webhook", KeyForm::Standard)
            .docs("https://loops.so/docs/webhooks")
            .setup(
                "Settings, Webhooks: the URL below as endpoint, and the events. The signing secret \
                 (whsec_…) is shown there, and a `testing.testEvent` can be sent.",
            )
            .kind(json("/eventName"))
            .source("listed among the users of Standard Webhooks"),
        super::basics::http_signature("mailchannels", "MailChannels", vec![Algorithm::Ed25519])
            .takes("jwks_url", "Leave it empty: MailChannels gives single keys, which are the secret here")
            .docs("https://docs.mailchannels.net/email-api/advanced/delivery-events/")
            .setup(
                "Console, Webhooks, Create Webhook, or POST \
                 https://api.mailchannels.net/tx/v1/webhook?endpoint=… with the URL below and the \
                 header X-Api-Key. The public key comes from GET /tx/v1/webhook/public-key?id=…, \
                 with the `keyid` of the header Signature-Input of a request: it is the secret of \
                 the source. POST /tx/v1/webhook/validate sends a test event.",
            )
            .kind(json("/0/event"))
            .id(json("/0/request_id"))
            .success(200)
            .source("nuxt-webhook-validators"),
        Provider::token("brevo", "Brevo", Token::Bearer)
            .docs("https://developers.brevo.com/docs/secure-webhooks")
            .setup(
                "POST /v3/webhooks with `url` (the URL below), `type` and `events`, and with `auth` \
                 as `{\"type\": \"bearer\", \"token\": …}`: the token is the secret of the source. \
                 Without `auth` nothing proves the sender.",
            )
            .kind(json("/event"))
            .success(200)
            .caveat("Its requests come from 1.179.112.0/20 and 172.246.240.0/20.")
            .source("nuxt-webhook-validators"),
    ]
}
