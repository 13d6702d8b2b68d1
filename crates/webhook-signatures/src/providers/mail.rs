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
    vec![
        Provider::raw("sendgrid", "SendGrid", Algorithm::EcdsaP256, ("x-twilio-email-event-webhook-signature", "", Base64))
            .at("x-twilio-email-event-webhook-timestamp", (Unit::Seconds, Tolerance::OFF), "{timestamp}{body}")
            .docs("https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features")
            .setup("Event webhook settings: add the URL below and switch signature verification on; the public key that is then shown is the secret of the source.")
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
        .docs("https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks")
        .setup("Add the URL below to the domain's webhooks. The secret is the HTTP webhook signing key of the account, which is not the API key.")
        .id(Field::First(vec![json("/event-data/id"), form("token")]))
        .kind(Field::First(vec![json("/event-data/event"), form("event")]))
        .success(200)
        .caveat("Only a time and a random token are signed, not the body: refuse a token seen before.")
        .source("django-anymail"),
        Provider::raw("mandrill", "Mandrill", super::SHA1, ("x-mandrill-signature", "", Base64))
            .signed(|signed| signed.message = vec![Piece::Url, Piece::SortedForm(Repeats::Keep)])
            .docs("https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/")
            .id(Field::FormJson("mandrill_events".into(), "/0/_id".into()))
            .kind(Field::FormJson("mandrill_events".into(), "/0/event".into()))
            .challenge(Challenge::Probe)
            .success(200)
            .caveat("The public URL is signed: it must be exactly as registered.")
            .source("django-anymail"),
        unsigned("mailchimp", "Mailchimp")
            .docs("https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/")
            .kind(form("type"))
            .challenge(Challenge::Probe)
            .success(200)
            .uncertain("general knowledge"),
        Provider::new("postmark", "Postmark", Scheme::Basic)
            .or(Scheme::Token(Token::Query("token".into())))
            .docs("https://postmarkapp.com/developer/webhooks/webhooks-overview")
            .id(json("/MessageID"))
            .kind(json("/RecordType"))
            .success(200)
            .caveat("It signs nothing: put `user:password@` or `?token=…` into the URL.")
            .verified("a vector of HTTP Basic"),
        Provider::raw("postal", "Postal", Algorithm::RsaSha1, ("x-postal-signature", "", Base64))
            .docs("https://docs.postalserver.io/developer/webhooks")
            .id(json("/uuid"))
            .kind(json("/event"))
            .success(200)
            .caveat("Postal signs with SHA-1; its key is in its DNS settings.")
            .source("django-anymail"),
        hex("mailersend", "MailerSend", "signature", "")
            .docs("https://developers.mailersend.com/api/v1/webhooks.html")
            .id(json("/data/id"))
            .kind(json("/type"))
            .verified("django-anymail"),
        hex("mailerlite", "MailerLite", "signature", "")
            .docs("https://developers.mailerlite.com/docs/webhooks.html")
            .kind(Field::First(vec![json("/event"), json("/type")]))
            .source("n8n-nodes-base 2.41.2; no vector is kept"),
        super::basics::standard("resend", "Resend", "svix", KeyForm::Standard)
            .docs("https://resend.com/docs/dashboard/webhooks/verify-webhooks-requests")
            .verified("resend 2.52.0 for Python"),
        super::basics::standard("loops", "Loops", "webhook", KeyForm::Standard)
            .docs("https://loops.so/docs/webhooks")
            .kind(json("/eventName"))
            .source("listed among the users of Standard Webhooks"),
        super::basics::http_signature("mailchannels", "MailChannels", vec![Algorithm::Ed25519])
            .takes("jwks_url", "Leave it empty: MailChannels gives single keys, which are the secret here")
            .docs("https://docs.mailchannels.net/email-api/advanced/delivery-events/")
            .kind(json("/0/event"))
            .id(json("/0/request_id"))
            .success(200)
            .source("nuxt-webhook-validators"),
        Provider::token("brevo", "Brevo", Token::Bearer)
            .docs("https://developers.brevo.com/docs/secure-webhooks")
            .kind(json("/event"))
            .success(200)
            .caveat("Its requests come from 1.179.112.0/20 and 172.246.240.0/20.")
            .source("nuxt-webhook-validators"),
    ]
}
