//! Forms, appointments, files and sales.

use super::{FIVE_MINUTES, base64, dotted, header, hex, json, sha1, stamped, t_v1, unsigned};
use crate::encoding::Encoding::{Base64, Hex};
use crate::hash::Hash;
use crate::provider::{Challenge, Provider};
use crate::scheme::{Algorithm, Field, Piece, Place, Scheme, Signed, Tolerance, UrlForms};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    [forms(), files(), sales()].concat()
}

fn forms() -> Vec<Provider> {
    vec![
        base64("typeform", "Typeform", "typeform-signature", "sha256=")
            .docs("https://www.typeform.com/developers/webhooks/secure-your-webhooks/")
            .setup(
                "The form, Connect, Webhooks, Add a webhook: the URL below; edit it to enter a \
                 secret of your own choice, and switch it on. By API it is PUT \
                 /forms/{form_id}/webhooks/{tag} with `url`, `enabled` and `secret`. A webhook \
                 belongs to one form; without a secret nothing is signed.",
            )
            .id(json("/event_id"))
            .kind(json("/event_type"))
            .deadline(30_000, "for 10 hours after 429, 408, 503 and 423, else some 5 times; 404 and 410 switch it off")
            .verified("n8n-nodes-base 2.41.2"),
        sha1("surveymonkey", "SurveyMonkey", ("sm-signature", "", Base64))
            .docs("https://api.surveymonkey.com/v3/docs#webhooks")
            .setup(
                "Once the source exists, POST https://api.surveymonkey.com/v3/webhooks with `name`, \
                 `event_type` (for example `response_completed`), `object_type` and `object_ids`, \
                 and `subscription_url`, the URL below, which SurveyMonkey tests with a HEAD \
                 request. The secret is the app's client id, `&`, and its client secret, both from \
                 the settings of the app.",
            )
            .id(json("/event_id"))
            .kind(json("/event_type"))
            .challenge(Challenge::Probe)
            .caveat("The secret is the client id, `&`, and the client secret.")
            .source("n8n-nodes-base 2.41.2"),
        hex("formstack", "Formstack", "x-fs-signature", "sha256=")
            .docs("https://help.formstack.com/")
            .setup(
                "The form, Settings, Emails & Actions, advanced settings, Add Webhook: the URL \
                 below, JSON as content type, and an HMAC key of your own choice; leave the custom \
                 HMAC header empty. By API it is POST /api/v2025/forms/{formId}/webhooks with \
                 `contentType` and `hmacSecret`. The WebHook Shared Secret of the same form is \
                 another thing and signs nothing.",
            )
            .id(json("/UniqueID"))
            .verified("n8n-nodes-base 2.41.2"),
        base64("acuity", "Acuity Scheduling", "x-acuity-signature", "")
            .docs("https://developers.acuityscheduling.com/docs/webhooks")
            .setup(
                "Integrations, Webhooks: enter the URL below for the changes of appointments and \
                 orders that you want; or create webhooks by the API, POST /webhooks. Static \
                 webhooks are signed with the API key of the main administrator, those made by the \
                 API with the API key of the user who made them: that key is the secret. Only ports \
                 443 and 80 are called, and the action `changed` repeats what the others say.",
            )
            .kind(Field::First(vec![Field::Form("action".into()), json("/type")]))
            .verified("n8n-nodes-base 2.41.2"),
        stamped("calendly", "Calendly", "calendly-webhook-signature", t_v1())
            .docs("https://developer.calendly.com/docs/webhooks/overview")
            .setup(
                "POST https://api.calendly.com/webhook_subscriptions with `url` (the URL below), \
                 `events`, `organization`, `scope` (`user` or `organization`; `user` wants the \
                 field `user` too), and `signing_key`, a secret of your own choice. There is no \
                 page for it; the organization owner's plan must have the feature that an event \
                 comes from. For an OAuth app Calendly makes the key itself.",
            )
            .setup_read_in("https://developer.calendly.com/docs/webhooks/overview")
            .kind(json("/event"))
            .deadline(15_000, "exponential; 410 deletes the subscription")
            .verified("n8n-nodes-base 2.41.2"),
        hex("cal-com", "Cal.com", "x-cal-signature-256", "")
            .docs("https://cal.com/docs/developing/guides/automation/webhooks")
            .setup(
                "Settings, Developer, Webhooks, New: the URL below as subscriber URL, the event \
                 triggers, and a secret of your own choice. Leave the payload template as it is: \
                 the event type is read from `triggerEvent`. Without a secret nothing is signed.",
            )
            .kind(json("/triggerEvent"))
            .verified("n8n-nodes-base 2.41.2; nuxt-webhook-validators"),
        base64("docusign", "DocuSign Connect", "x-docusign-signature-1", "")
            .signed(|signed| {
                signed.signatures = DOCUSIGN.iter().map(|name| Place::whole(*name, "")).collect();
            })
            .docs("https://developers.docusign.com/platform/webhooks/connect/hmac/")
            .setup(
                "Admin, Integrations, Connect: Add Configuration, Custom, with the URL below as URL \
                 to publish, JSON as data format, and the events. Connect Keys, Add Secret Key \
                 makes the secret, which is shown in full only once. In the configuration tick \
                 Include HMAC Signature: without it nothing is signed.",
            )
            .setup_read_in("https://developers.docusign.com/platform/webhooks/connect/setting-up-hmac")
            .id(Field::Joined {
                fields: vec![json("/data/envelopeId"), json("/event"), json("/generatedDateTime")],
                with: ":".into(),
            })
            .kind(json("/event"))
            .caveat("Every active key signs, in a header of its own; the first ten are looked at, and any match passes.")
            .retries("exponential from 5 minutes, for 15 days")
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
            .setup(
                "Once the source exists, App Console, the app, Settings, Webhooks: enter the URL \
                 below and press Add; Dropbox asks it at once. The secret is the app secret of the \
                 same page. Notifications come for every user who has linked the app.",
            )
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
            .setup(
                "Developer Console, the app, Webhooks: create a webhook (V2) with the URL below, a \
                 file or folder, and triggers; or POST /2.0/webhooks. On the same tab, Manage \
                 signature keys makes the primary and secondary key: give the source both. Without \
                 keys Box signs nothing.",
            )
            .id(header("box-delivery-id"))
            .kind(json("/trigger"))
            .deadline(30_000, "10 times (general knowledge)")
            .verified("n8n-nodes-base 2.41.2"),
        stamped("mux", "Mux", "mux-signature", t_v1())
            .docs("https://www.mux.com/docs/core/verify-webhook-signatures")
            .setup(
                "Dashboard, Settings, Webhooks, Create new webhook: the environment and the URL \
                 below; or POST /system/v1/webhooks with `address`. The signing secret is shown \
                 with the webhook, by the API only in this answer. All events of the environment \
                 are sent.",
            )
            .id(json("/id"))
            .kind(json("/type"))
            .verified("@mux/mux-node 15.3.0"),
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
            .setup(
                "In the app's project a file `webhooks/*-hsmeta.json` of the type `webhooks`: the URL \
                 below as `targetUrl`, and the subscriptions by object type and event; an older app \
                 has the same in its webhook settings. It signs with the app's client secret, shown \
                 on the app's page under Auth. Webhooks that workflows send are signed with it too, \
                 if the action names the app.",
            )
            .setup_read_in("https://developers.hubspot.com/docs/apps/developer-platform/add-features/configure-webhooks")
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
            .setup(
                "Tools and apps, Webhooks, Create new webhook: the URL below, event action and \
                 object, version 2, and the user name and password of the source's secret; or POST \
                 /v1/webhooks with `subscription_url`, `event_action`, `event_object`, \
                 `http_auth_user` and `http_auth_password`.",
            )
            .kind(dotted(vec![json("/meta/entity"), json("/meta/action")]))
            .id(json("/meta/id"))
            .retries("3 times: after 3, 30 and 150 s; no success in 3 days deletes the webhook")
            .verified("a vector of HTTP Basic"),
        unsigned("salesforce", "Salesforce outbound messages")
            .docs("https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_om_outboundmessaging.htm")
            .setup(
                "Setup, Outbound Messages, New: the object, the URL below with `?token=` and the \
                 secret of the source behind it as endpoint URL, and the fields, `Id` among them. \
                 Then let a flow (action Outbound Message) or a workflow rule send it. What waits \
                 or fails is under Setup, Outbound Message Delivery Status.",
            )
            .id(Field::Xml { form: None, element: "Id".into() })
            .answers(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body><notificationsResponse xmlns=\"http://soap.sforce.com/2005/09/outbound\"><Ack>true</Ack></notificationsResponse></soapenv:Body></soapenv:Envelope>",
                "text/xml",
            )
            .caveat("It can prove itself by a client certificate too, which is checked where TLS ends.")
            .uncertain("general knowledge"),
    ]
}
