//! Clouds, AI, support, and what watches and measures.

use super::{FIVE_MINUTES, base64, dotted, header, hex, json, jwt, jwt_scheme, sha1, stamped};
use crate::encoding::Encoding::{Base64, Hex};
use crate::provider::{Challenge, Provider};
use crate::scheme::{
    Algorithm, Field, Fields, KeyForm, KeyHost, KeySource, Piece, Place, Scheme, Signed, Stamp,
    Token, Tolerance,
};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    [clouds(), ai(), support(), observing()].concat()
}

fn clouds() -> Vec<Provider> {
    let sns = |name, title| {
        let scheme = |algorithm, version: &'static str| {
            let mut signed = Signed::raw(algorithm, "", Base64);
            signed.signatures = vec![Place {
                at: json("/Signature"),
                layout: crate::scheme::Layout::Whole { prefix: "".into() },
            }];
            signed.message = vec![Piece::Sns];
            signed.when = Some((json("/SignatureVersion"), version.into()));
            signed.source = KeySource::Named { at: json("/SigningCertURL"), rule: KeyHost::AwsSns };
            signed.only = Some((json("/TopicArn"), "topic_arn".into()));
            Scheme::Signed(Box::new(signed))
        };
        let row = |scheme: Scheme| {
            Provider::new(name, title, scheme)
                .docs("https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html")
                .id(Field::First(vec![json("/MessageId"), header("x-amz-sns-message-id")]))
                .kind(Field::First(vec![json("/Type"), header("x-amz-sns-message-type")]))
                .setup("Create a subscription of the topic with the protocol HTTPS and the URL below, after the option topic_arn of the source is set: the confirmation is then called by itself.")
                .needs("topic_arn", "The only topic whose messages are believed and whose subscription is confirmed; `*` believes every topic of anyone and confirms none")
                .caveat("The certificate is believed because it came over TLS from Amazon's host, and only between its own dates; its issuer is not checked.")
                .caveat("Anyone with an AWS account can send genuine messages of a topic of their own: with `topic_arn = \"*\"` they are believed.")
                .challenge(Challenge::SnsConfirmation)
                .deadline(15_000, "as the topic's delivery policy says")
                .success(200)
                .verified("sns-validator 0.3.5")
        };
        (row(scheme(Algorithm::RsaSha256, "2")), scheme(Algorithm::RsaSha1, "1"))
    };
    let (both, old) = sns("aws-sns", "Amazon SNS");
    let (strict, _) = sns("aws-sns-v2", "Amazon SNS, signature version 2 only");
    vec![
        both.or(old).caveat(
            "Version 1 signs with SHA-1: set SignatureVersion 2 on the topic and use aws-sns-v2.",
        ),
        strict.source("the first scheme of aws-sns, where sns-validator agreed"),
        Provider::token(
            "azure-event-grid",
            "Azure Event Grid",
            Token::AnyOf(vec![
                Token::Query("token".into()),
                Token::Query("code".into()),
                Token::Header("aeg-sas-key".into()),
            ]),
        )
        .docs("https://learn.microsoft.com/en-us/azure/event-grid/security-authenticate-events")
        .setup(
            "Create an event subscription on the topic with endpoint type Web Hook and the URL \
             below, with `?token=…` and the secret of the source behind it; Event Grid schema or \
             CloudEvents v1.0 both pass. Azure validates the endpoint at once, so the source must \
             exist by then. Azure hides the query of the address afterwards, unless asked for the \
             full endpoint URL.",
        )
        .id(Field::First(vec![json("/0/id"), json("/id"), header("ce-id")]))
        .kind(Field::First(vec![
            json("/0/eventType"),
            json("/0/type"),
            json("/type"),
            header("ce-type"),
        ]))
        .challenge(Challenge::EventGridValidation)
        .challenge(Challenge::CloudEventsOptions)
        .deadline(30_000, "exponential for 24 hours")
        .success(200)
        .caveat("Put a secret into the query of the address that you register (`?token=…`).")
        .source("learn.microsoft.com; the handshakes have vectors"),
        Provider::token(
            "microsoft-graph",
            "Microsoft Graph",
            Token::Each { array: "/value".into(), pointer: "/clientState".into() },
        )
        .docs("https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks")
        .setup(
            "Once the source exists, POST https://graph.microsoft.com/v1.0/subscriptions with \
             `changeType`, `resource`, `notificationUrl` (the URL below), `expirationDateTime`, and \
             `clientState`, the secret of the source, at most 128 characters. Graph asks the URL at \
             once. Subscriptions end after hours to days, depending on the resource: PATCH them \
             with a new `expirationDateTime` before.",
        )
        .setup_read_in("https://learn.microsoft.com/en-us/graph/change-notifications-delivery-webhooks")
        .id(json("/value/0/id"))
        .kind(dotted(vec![json("/value/0/changeType")]))
        .challenge(Challenge::GraphValidationToken)
        .deadline(3000, "for 4 hours")
        .caveat("Every notification in a request must carry the clientState.")
        .source("n8n-nodes-base 2.41.2; the handshake has a vector"),
        jwt("google-pubsub", "Google Pub/Sub push", "authorization", |jwt| {
            jwt.algorithms = vec![Algorithm::RsaSha256];
            jwt.source = KeySource::Fixed("https://www.googleapis.com/oauth2/v3/certs".into());
            jwt.claims.issuers =
                vec!["https://accounts.google.com".into(), "accounts.google.com".into()];
            jwt.claims.equal =
                vec![("/aud".into(), "audience".into()), ("/email".into(), "email".into())];
            jwt.claims.truths = vec!["/email_verified".into()];
            jwt.claims.expires = true;
        })
        .docs("https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions")
        .setup("Create a push subscription with the URL below and authentication enabled: its service account goes into the option email, its audience into the option audience.")
        .needs("audience", "The audience of the push subscription; unless set there, its URL")
        .needs("email", "The service account of the push subscription")
        .id(json("/message/messageId"))
        .kind(Field::First(vec![
            json("/message/attributes/eventType"),
            json("/message/attributes/ce-type"),
        ]))
        .deadline(10_000, "until the subscription's retention ends")
        .success(204)
        .caveat("The token vouches for the sender and not for the body.")
        .verified("PyJWT"),
        Provider::token(
            "cloudevents",
            "CloudEvents over HTTP",
            Token::AnyOf(vec![Token::Bearer, Token::Query("access_token".into())]),
        )
        .docs("https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md")
        .setup(
            "Let the sender deliver by the CloudEvents HTTP webhook binding to the URL below, with \
             the secret as bearer token, or as `?access_token=` where it cannot set headers. \
             Structured (`application/cloudevents+json`) and binary mode both pass. The OPTIONS \
             request by which it asks to be allowed is answered; the option origin lets only one \
             sender in.",
        )
        .id(Field::First(vec![header("ce-id"), json("/id")]))
        .kind(Field::First(vec![header("ce-type"), json("/type")]))
        .takes("origin", "The only origin that may send; without it any that asks")
        .challenge(Challenge::CloudEventsOptions)
        .source("cloudevents/spec http-webhook.md"),
        Provider::new(
            "security-events",
            "Security events (RFC 8935)",
            security_event(Field::Body),
        )
        .or(security_event(json("/payload")))
        .docs("https://www.rfc-editor.org/rfc/rfc8935")
        .setup(
            "Give the transmitter the URL below as endpoint for push delivery (RFC 8935); where it \
             has a stream API, as Google's RISC, POST a stream with `delivery.delivery_method` \
             `https://schemas.openid.net/secevent/risc/delivery-method/push` and this \
             `delivery.url`. Its discovery document names the `issuer` and the `jwks_uri`, which go \
             into the options issuer and jwks_url; audience is your client id there. For Sign in \
             with Apple it is the server-to-server notification endpoint of the App ID.",
        )
        .needs("issuer", "The transmitter's `iss`")
        .needs("audience", "The `aud` that stands for you")
        .needs("jwks_url", "The address of the transmitter's JWK set")
        .id(Field::BodyClaim("/jti".into()))
        .kind(Field::BodyClaim("/events".into()))
        .rejects_with(400, r#"{"err":"invalid_request","description":"The token was not accepted."}"#)
        .caveat("The body is the token; that of Sign in with Apple is JSON with the token in `payload`.")
        .source("RFC 8935, RFC 8417"),
    ]
}

fn security_event(at: Field) -> Scheme {
    jwt_scheme("", |jwt| {
        jwt.at = at;
        jwt.algorithms = vec![Algorithm::RsaSha256, Algorithm::EcdsaP256Fixed];
        jwt.source = KeySource::Setting("jwks_url".into());
        jwt.claims.equal =
            vec![("/iss".into(), "issuer".into()), ("/aud".into(), "audience".into())];
        // It tells these tokens from those by which somebody signs in, of the same issuer for the same audience.
        jwt.claims.present = vec!["/events".into()];
    })
}

fn ai() -> Vec<Provider> {
    vec![
        super::basics::standard("openai", "OpenAI", "webhook", KeyForm::StandardOrUtf8)
            .docs("https://platform.openai.com/docs/guides/webhooks")
            .setup(
                "Settings, Project, Webhooks, Create: a name, the URL below, and the event types. \
                 The signing secret (whsec_…) is shown once, when it is made. Webhooks belong to a \
                 project, not to the organization.",
            )
            .caveat("A secret without `whsec_` is taken as it is, as openai-python does.")
            .verified("openai 3.54.0 for Python"),
        super::basics::standard(
            "anthropic",
            "Anthropic Managed Agents",
            "webhook",
            KeyForm::Standard,
        )
        .docs("https://platform.claude.com/docs/en/managed-agents/webhooks")
        .setup(
            "Claude Console, Manage, Webhooks: create an endpoint with the URL below and choose the \
             event types. The signing secret (whsec_…) is shown once, when the endpoint is made. \
             Events carry a type and an id only: fetch the object from the API.",
        )
        .caveat("Two descriptions differ about the header's name.")
        .uncertain("read second-hand; check against the SDK"),
        super::basics::standard("replicate", "Replicate", "webhook", KeyForm::Standard)
            .docs("https://replicate.com/docs/topics/webhooks/verify-webhook")
            .setup(
                "Pass the URL below as `webhook` when a prediction or training is created, with \
                 `webhook_events_filter` (`start`, `output`, `logs`, `completed`) if you like. \
                 There is no page for it. The signing secret (whsec_…) of the account comes from \
                 GET https://api.replicate.com/v1/webhooks/default/secret.",
            )
            .kind(json("/status"))
            .verified("replicate 1.4.0 for Node"),
        stamped(
            "elevenlabs",
            "ElevenLabs",
            "elevenlabs-signature",
            Fields::stamped(",", "t", "v0"),
        )
        .signed(|signed| {
            signed.stamp =
                Some(Stamp { at: None, unit: Unit::Seconds, tolerance: Tolerance::past(1800) });
        })
        .docs("https://elevenlabs.io/docs/product-guides/administration/webhooks")
        .setup(
            "General settings of the workspace, Webhooks (administrators only): create one with the \
             URL below and HMAC authentication; the shared secret is shown when it is made. Then \
             choose this webhook where its events come from, for example as post-call webhook in \
             the settings of Agents. Retries are off unless switched on for the webhook.",
        )
        .kind(json("/type"))
        .retries("only where they are switched on for the webhook")
        .verified("elevenlabs 2.78 for Python and 2.73 for Node"),
        Provider::raw("fal", "fal", Algorithm::Ed25519, ("x-fal-webhook-signature", "", Hex))
            .signed(|signed| {
                signed.id = Some(header("x-fal-webhook-request-id"));
                signed.source =
                    KeySource::Fixed("https://rest.alpha.fal.ai/.well-known/jwks.json".into());
            })
            .at(
                "x-fal-webhook-timestamp",
                (Unit::Seconds, FIVE_MINUTES),
                "{id}\n{header:x-fal-webhook-user-id}\n{timestamp}\n{body_sha256}",
            )
            .docs("https://docs.fal.ai/model-endpoints/webhooks")
            .setup(
                "Submit to the queue with the URL below as parameter: \
                 https://queue.fal.run/MODEL?fal_webhook=…, or `webhookUrl` in fal's libraries. \
                 There is no page for it and no secret: the keys are fetched.",
            )
            .id(header("x-fal-webhook-request-id"))
            .kind(json("/status"))
            .uncertain("the signed string is from general knowledge; the vectors follow it"),
    ]
}

fn support() -> Vec<Provider> {
    vec![
        base64("zendesk", "Zendesk", "x-zendesk-webhook-signature", "")
            .at(
                "x-zendesk-webhook-signature-timestamp",
                (Unit::Iso8601, Tolerance::OFF),
                "{timestamp}{body}",
            )
            .docs("https://developer.zendesk.com/documentation/webhooks/verifying/")
            .setup(
                "Admin Center, Apps and integrations, Webhooks, Create webhook: Zendesk events, or \
                 a trigger or automation, then the URL below, method POST, format JSON. The \
                 webhook's page reveals the signing secret, as does GET \
                 /api/v2/webhooks/{id}/signing_secret. Test webhooks sent before it is created are \
                 signed with a fixed secret of the documentation, and are refused.",
            )
            .id(header("x-zendesk-webhook-invocation-id"))
            .kind(json("/type"))
            .deadline(12_000, "3 times, on 409; circuit breaker")
            .verified("n8n-nodes-base 2.41.2"),
        sha1("helpscout", "Help Scout", ("x-helpscout-signature", "", Base64))
            .docs("https://developer.helpscout.com/webhooks/")
            .setup(
                "Manage, Apps, Webhooks, or POST https://api.helpscout.net/v2/webhooks with `url` \
                 (the URL below), `events`, and `secret`, a random string of your own choice of at \
                 most 40 characters.",
            )
            .kind(header("x-helpscout-event"))
            .source("n8n-nodes-base 2.41.2"),
    ]
}

fn observing() -> Vec<Provider> {
    vec![
        hex("sentry", "Sentry", "sentry-hook-signature", "")
            .docs("https://docs.sentry.io/organization/integrations/integration-platform/webhooks/")
            .setup(
                "Settings, Developer Settings: create an internal integration with the URL below as \
                 webhook URL and choose its resources. It signs with the integration's client \
                 secret. Alerts come only where the integration is an alert rule action and the rule \
                 has it among its actions.",
            )
            .setup_read_in("https://docs.sentry.io/organization/integrations/integration-platform/")
            .id(header("request-id"))
            .kind(dotted(vec![header("sentry-hook-resource"), json("/action")]))
            .deadline(1000, "none; 1,000 timeouts in 24 hours end the subscription")
            .caveat("The header Sentry-Hook-Timestamp is not signed.")
            .source("docs.sentry.io; @trigger.dev/core 4.8.3"),
        hex("pagerduty", "PagerDuty", "x-pagerduty-signature", "")
            .signed(|signed| {
                signed.signatures =
                    vec![Place::fields("x-pagerduty-signature", Fields::listed(",", '=', "v1"))];
            })
            .docs("https://developer.pagerduty.com/docs/verifying-webhook-signatures")
            .setup("Integrations, Generic Webhooks (v3): add one with the URL below; the signing secret is the source's.")
            .id(Field::First(vec![header("x-webhook-id"), json("/event/id")]))
            .kind(json("/event/event_type"))
            .deadline(5000, "5xx, 429 and timeouts for 48 hours; never after a 4xx")
            .caveat("A slow answer holds up everything about the same incident.")
            .source("PagerDuty/developer-docs 04-Signatures, 02-Behavior"),
        base64("hookdeck", "Hookdeck", "x-hookdeck-signature", "")
            .signed(|signed| {
                signed.signatures = vec![
                    Place::whole("x-hookdeck-signature", ""),
                    Place::whole("x-hookdeck-signature-2", ""),
                ];
            })
            .docs(
                "https://hookdeck.com/docs/authentication#hookdeck-webhook-signature-verification",
            )
            .setup(
                "Connections: a connection with an HTTP destination that has the URL below, and \
                 Hookdeck Signature as authentication, which is the default. The secret is the \
                 signing secret of the project (Settings, Secrets), one for all its destinations. \
                 Leave the header prefix of the project at x-hookdeck.",
            )
            .id(header("x-hookdeck-eventid"))
            .kind(json("/type"))
            .source("@trigger.dev/core 4.8.3"),
        hex("customerio", "Customer.io", "x-cio-signature", "")
            .at("x-cio-timestamp", (Unit::Seconds, FIVE_MINUTES), "v0:{timestamp}:{body}")
            .docs("https://docs.customer.io/journeys/webhooks/")
            .setup(
                "Data & Integrations, Integrations, Reporting Webhooks, Add Reporting Webhook: the \
                 URL below as webhook endpoint, the events, then Save and Enable Webhook. The \
                 secret is the webhook signing key that its page shows.",
            )
            .id(json("/event_id"))
            .kind(json("/metric"))
            .deadline(4000, "exponential for 7 days")
            .verified("n8n-nodes-base 2.41.2"),
        hex("attio", "Attio", "attio-signature", "")
            .docs("https://docs.attio.com/rest-api/guides/webhooks")
            .setup(
                "Developer settings of the workspace: open the integration and add a webhook with \
                 the URL below and its events; or POST /v2/webhooks with `target_url` and \
                 `subscriptions`, by a token with the scope webhook:read-write. Attio makes the \
                 secret: it stands in the answer and on the webhook's page. Webhooks made with an \
                 OAuth token are not listed in the developer settings.",
            )
            .id(header("idempotency-key"))
            .kind(json("/events/0/event_type"))
            .source("@trigger.dev/core 4.8.3"),
        base64("mautic", "Mautic", "webhook-signature", "")
            .docs("https://docs.mautic.org/en/5.x/webhooks/index.html")
            .setup(
                "Settings, Webhooks, New: a name, the URL below as webhook POST URL, a secret (made \
                 there, or of your own choice), and the events. Send test payload tries it. Mautic \
                 may queue events for its cron job `mautic:webhooks:process`, if its configuration \
                 says so.",
            )
            .kind(Field::FirstKey { except: vec!["timestamp".into()] })
            .verified("n8n-nodes-base 2.41.2"),
        hex("pusher", "Pusher Channels", "x-pusher-signature", "")
            .signed(|signed| {
                let at = Some(json("/time_ms"));
                signed.stamp = Some(Stamp { at, unit: Unit::Millis, tolerance: FIVE_MINUTES });
            })
            .docs("https://pusher.com/docs/channels/server_api/webhooks/")
            .setup(
                "Dashboard, the Channels app, Webhooks: the URL below and one event type, again for \
                 each that you want. Requests are signed with the secret of the app's key named in \
                 `X-Pusher-Key` (App Keys), the oldest active one: it is the secret of the source.",
            )
            .kind(json("/events/0/name"))
            .deadline(4000, "exponential for 5 minutes")
            .success(200)
            .verified("pusher 3.3.4 for Python"),
    ]
}
