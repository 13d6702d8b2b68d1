//! Clouds, AI, forms, support, files and sales.

use super::{
    FIVE_MINUTES, base64, dotted, header, hex, json, jwt, jwt_scheme, sha1, stamped, t_v1, unsigned,
};
use crate::encoding::Encoding::{Base64, Hex};
use crate::hash::Hash;
use crate::provider::{Challenge, Provider};
use crate::scheme::{
    Algorithm, Field, Fields, KeyForm, KeyHost, KeySource, Piece, Place, Scheme, Signed, Stamp,
    Token, Tolerance, UrlForms,
};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    [clouds(), ai(), support(), forms(), files(), observing(), sales()].concat()
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
        .id(Field::First(vec![header("ce-id"), json("/id")]))
        .kind(Field::First(vec![header("ce-type"), json("/type")]))
        .takes("origin", "The only origin that may send; without it any that asks")
        .challenge(Challenge::CloudEventsOptions)
        .source("cloudevents/spec http-webhook.md"),
        Provider::new(
            "security-events",
            "Security events (RFC 8935)",
            jwt_scheme("", |jwt| {
                jwt.at = Field::Body;
                jwt.algorithms = vec![Algorithm::RsaSha256, Algorithm::EcdsaP256Fixed];
                jwt.source = KeySource::Setting("jwks_url".into());
                jwt.claims.equal =
                    vec![("/iss".into(), "issuer".into()), ("/aud".into(), "audience".into())];
            }),
        )
        .docs("https://www.rfc-editor.org/rfc/rfc8935")
        .needs("issuer", "The transmitter's `iss`")
        .needs("audience", "The `aud` that stands for you")
        .needs("jwks_url", "The address of the transmitter's JWK set")
        .id(Field::BodyClaim("/jti".into()))
        .kind(Field::BodyClaim("/events".into()))
        .rejects(400)
        .caveat("The body is the token. Apple and Google send these about accounts.")
        .source("RFC 8935, RFC 8417"),
    ]
}

fn ai() -> Vec<Provider> {
    vec![
        super::basics::standard("openai", "OpenAI", "webhook", KeyForm::StandardOrUtf8)
            .docs("https://platform.openai.com/docs/guides/webhooks")
            .caveat("A secret without `whsec_` is taken as it is, as openai-python does.")
            .verified("openai 3.54.0 for Python"),
        super::basics::standard(
            "anthropic",
            "Anthropic Managed Agents",
            "webhook",
            KeyForm::Standard,
        )
        .docs("https://platform.claude.com/docs/en/managed-agents/webhooks")
        .caveat("Two descriptions differ about the header's name.")
        .uncertain("read second-hand; check against the SDK"),
        super::basics::standard("replicate", "Replicate", "webhook", KeyForm::Standard)
            .docs("https://replicate.com/docs/topics/webhooks/verify-webhook")
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
        .kind(json("/type"))
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
            .id(header("x-zendesk-webhook-invocation-id"))
            .kind(json("/type"))
            .deadline(12_000, "3 times, on 409; circuit breaker")
            .verified("n8n-nodes-base 2.41.2"),
        sha1("helpscout", "Help Scout", ("x-helpscout-signature", "", Base64))
            .docs("https://developer.helpscout.com/webhooks/")
            .kind(header("x-helpscout-event"))
            .source("n8n-nodes-base 2.41.2"),
    ]
}

fn forms() -> Vec<Provider> {
    vec![
        base64("typeform", "Typeform", "typeform-signature", "sha256=")
            .docs("https://www.typeform.com/developers/webhooks/secure-your-webhooks/")
            .id(json("/event_id"))
            .kind(json("/event_type"))
            .deadline(30_000, "for 10 hours")
            .verified("n8n-nodes-base 2.41.2"),
        sha1("surveymonkey", "SurveyMonkey", ("sm-signature", "", Base64))
            .docs("https://api.surveymonkey.com/v3/docs#webhooks")
            .id(json("/event_id"))
            .kind(json("/event_type"))
            .challenge(Challenge::Probe)
            .caveat("The secret is the client id, `&`, and the client secret.")
            .source("n8n-nodes-base 2.41.2"),
        hex("formstack", "Formstack", "x-fs-signature", "sha256=")
            .docs("https://help.formstack.com/")
            .id(json("/UniqueID"))
            .verified("n8n-nodes-base 2.41.2"),
        base64("acuity", "Acuity Scheduling", "x-acuity-signature", "")
            .docs("https://developers.acuityscheduling.com/docs/webhooks")
            .kind(Field::First(vec![Field::Form("action".into()), json("/type")]))
            .verified("n8n-nodes-base 2.41.2"),
        stamped("calendly", "Calendly", "calendly-webhook-signature", t_v1())
            .docs("https://developer.calendly.com/api-docs/ZG9jOjM2MzE2MDM4-webhook-signatures")
            .kind(json("/event"))
            .verified("n8n-nodes-base 2.41.2"),
        hex("cal-com", "Cal.com", "x-cal-signature-256", "")
            .docs("https://cal.com/docs/developing/guides/automation/webhooks")
            .kind(json("/triggerEvent"))
            .verified("n8n-nodes-base 2.41.2; nuxt-webhook-validators"),
        base64("docusign", "DocuSign Connect", "x-docusign-signature-1", "")
            .signed(|signed| {
                signed.signatures = DOCUSIGN.iter().map(|name| Place::whole(*name, "")).collect();
            })
            .docs("https://developers.docusign.com/platform/webhooks/connect/hmac/")
            .id(Field::Joined {
                fields: vec![json("/data/envelopeId"), json("/event"), json("/generatedDateTime")],
                with: ":".into(),
            })
            .kind(json("/event"))
            .caveat("Up to ten keys sign side by side; any match passes.")
            .verified("nuxt-webhook-validators"),
    ]
}

const DOCUSIGN: [&str; 10] = [
    "x-docusign-signature-1",
    "x-docusign-signature-2",
    "x-docusign-signature-3",
    "x-docusign-signature-4",
    "x-docusign-signature-5",
    "x-docusign-signature-6",
    "x-docusign-signature-7",
    "x-docusign-signature-8",
    "x-docusign-signature-9",
    "x-docusign-signature-10",
];

fn files() -> Vec<Provider> {
    vec![
        hex("dropbox", "Dropbox", "x-dropbox-signature", "")
            .docs("https://www.dropbox.com/developers/reference/webhooks")
            .kind(Field::FirstKey { except: Vec::new() })
            .challenge(Challenge::QueryEcho)
            .deadline(10_000, "for a while (general knowledge)")
            .caveat("A notification says who changed something, not what, and has no id.")
            .verified("nuxt-webhook-validators; the crate webhook-verify 0.1.0"),
        base64("box", "Box", "box-signature-primary", "")
            .signed(|signed| {
                signed.signatures = vec![
                    Place::whole("box-signature-primary", ""),
                    Place::whole("box-signature-secondary", ""),
                ];
            })
            .at(
                "box-delivery-timestamp",
                (Unit::Iso8601, Tolerance::both(600)),
                "{body}{timestamp}",
            )
            .docs("https://developer.box.com/guides/webhooks/v2/signatures-v2/")
            .id(header("box-delivery-id"))
            .kind(json("/trigger"))
            .deadline(30_000, "10 times (general knowledge)")
            .verified("n8n-nodes-base 2.41.2"),
        stamped("mux", "Mux", "mux-signature", t_v1())
            .docs("https://www.mux.com/docs/core/verify-webhook-signatures")
            .id(json("/id"))
            .kind(json("/type"))
            .verified("@mux/mux-node 15.3.0"),
    ]
}

fn observing() -> Vec<Provider> {
    vec![
        hex("sentry", "Sentry", "sentry-hook-signature", "")
            .docs("https://docs.sentry.io/organization/integrations/integration-platform/webhooks/")
            .setup("Settings, Developer Settings: create an internal integration with the URL below as webhook URL and choose its resources. It signs with the integration's client secret.")
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
            .id(header("x-hookdeck-eventid"))
            .kind(json("/type"))
            .source("@trigger.dev/core 4.8.3"),
        hex("customerio", "Customer.io", "x-cio-signature", "")
            .at("x-cio-timestamp", (Unit::Seconds, FIVE_MINUTES), "v0:{timestamp}:{body}")
            .docs("https://docs.customer.io/journeys/webhooks/")
            .id(json("/event_id"))
            .kind(json("/metric"))
            .verified("n8n-nodes-base 2.41.2"),
        hex("attio", "Attio", "attio-signature", "")
            .docs("https://docs.attio.com/rest-api/guides/webhooks")
            .id(header("idempotency-key"))
            .kind(json("/events/0/event_type"))
            .source("@trigger.dev/core 4.8.3"),
        base64("mautic", "Mautic", "webhook-signature", "")
            .docs("https://docs.mautic.org/en/5.x/webhooks/index.html")
            .kind(Field::FirstKey { except: vec!["timestamp".into()] })
            .verified("n8n-nodes-base 2.41.2"),
        hex("pusher", "Pusher Channels", "x-pusher-signature", "")
            .signed(|signed| {
                let at = Some(json("/time_ms"));
                signed.stamp = Some(Stamp { at, unit: Unit::Millis, tolerance: FIVE_MINUTES });
            })
            .docs("https://pusher.com/docs/channels/server_api/webhooks/")
            .kind(json("/events/0/name"))
            .deadline(4000, "exponential for 5 minutes")
            .success(200)
            .verified("pusher 3.3.4 for Python"),
    ]
}

fn sales() -> Vec<Provider> {
    let hubspot = |algorithm, version: &'static str, header_name: &'static str| {
        let mut signed = Signed::raw(algorithm, header_name, Hex);
        signed.when = Some((header("x-hubspot-signature-version"), version.into()));
        signed.url = UrlForms::AsIs;
        signed
    };
    let digest = Algorithm::Digest(Hash::Sha256);
    let mut first = hubspot(digest, "v1", "x-hubspot-signature");
    first.message = vec![Piece::Secret, Piece::Body];
    let mut second = hubspot(digest, "v2", "x-hubspot-signature");
    second.message = vec![Piece::Secret, Piece::Method, Piece::Url, Piece::Body];
    let row = |name, title| {
        base64(name, title, "x-hubspot-signature-v3", "")
            .signed(|signed| signed.url = UrlForms::Decoded)
            .at("x-hubspot-request-timestamp", (Unit::Millis, FIVE_MINUTES), "{method}{url}{body}{timestamp}")
            .docs("https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation")
            .setup("Set the target URL in the app's webhook settings (or `targetUrl` in its project) to the URL below. It signs with the app's client secret.")
            .id(json("/0/eventId"))
            .kind(json("/0/subscriptionType"))
            .deadline(5000, "10 times in 24 hours")
            .verified("hubspot-api-client 12.0.0; published vectors")
    };
    vec![
        row("hubspot", "HubSpot")
            .or(Scheme::Signed(Box::new(second)))
            .or(Scheme::Signed(Box::new(first)))
            .caveat("Versions 1 and 2 are bare hashes: use hubspot-v3 when all your requests carry that header."),
        row("hubspot-v3", "HubSpot, version 3 only").source("the first scheme of hubspot, where hubspot-api-client agreed"),
        Provider::new("pipedrive", "Pipedrive", Scheme::Basic)
            .docs("https://pipedrive.readme.io/docs/guide-for-webhooks-v2")
            .kind(dotted(vec![json("/meta/entity"), json("/meta/action")]))
            .id(json("/meta/id"))
            .verified("a vector of HTTP Basic"),
        unsigned("salesforce", "Salesforce outbound messages")
            .docs("https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_om_outboundmessaging.htm")
            .id(Field::Xml { form: None, element: "Id".into() })
            .answers(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body><notificationsResponse xmlns=\"http://soap.sforce.com/2005/09/outbound\"><Ack>true</Ack></notificationsResponse></soapenv:Body></soapenv:Envelope>",
                "text/xml",
            )
            .caveat("It can prove itself by a client certificate too, which is checked where TLS ends.")
            .uncertain("general knowledge"),
    ]
}
