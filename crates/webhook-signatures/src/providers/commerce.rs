//! Cards, shops and delivery.

use super::{FIVE_MINUTES, SHA512, base64, dotted, header, hex, json, stamped, t_v1, unsigned};
use crate::encoding::Encoding::{Base64, Hex};
use crate::provider::{Challenge, Provider};
use crate::scheme::{
    Field, Fields, KeyForm, Layout, Piece, Place, Scheme, Signed, Stamp, Tolerance,
};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    [cards(), shops()].concat()
}

fn cards() -> Vec<Provider> {
    vec![
        stamped("stripe", "Stripe", "stripe-signature", t_v1())
            .signed(|signed| {
                signed.stamp =
                    Some(Stamp { at: None, unit: Unit::Seconds, tolerance: Tolerance::past(300) });
            })
            .docs("https://docs.stripe.com/webhooks/signature")
            .setup(
                "Workbench, Webhooks: create an event destination of the kind webhook endpoint with \
                 the URL below, the events, and snapshot payloads of the API version that you read. \
                 Its page reveals the signing secret (whsec_…); sandbox and live have one each. By \
                 API it is POST /v1/webhook_endpoints, whose answer shows the `secret` this once.",
            )
            .setup_read_in("https://docs.stripe.com/workbench/webhooks")
            .id(json("/id"))
            .kind(json("/type"))
            .retries("3 days, exponential (live); 3 times (sandbox)")
            .caveat("The key is the whole text, `whsec_` included.")
            .caveat("Timestamps in the future pass, as in Stripe's own libraries.")
            .verified("stripe 16.1.0 for Python and 23.1.0 for Node"),
        adyen(),
        base64("adyen-platform", "Adyen for Platforms", "hmacsignature", "")
            .signed(|signed| signed.key = KeyForm::Hex)
            .docs("https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures/")
            .setup(
                "Customer Area of the platform (Balance Platform), Developers, Webhooks: add the \
                 kinds you want, such as Configuration, Transfer or Report webhooks, each with the \
                 URL below. Generate the HMAC key of each under Security: it is hexadecimal, is \
                 shown once, and differs from webhook to webhook, so give the source all of them or \
                 each a source of its own.",
            )
            .kind(json("/type"))
            .caveat("The key is hexadecimal.")
            .answers("[accepted]", "text/plain")
            .source("adyen 16.0.0 for Python; no vector is kept"),
        hex("checkout-com", "Checkout.com", "cko-signature", "")
            .docs("https://www.checkout.com/docs/developer-resources/webhooks")
            .setup(
                "Dashboard, Developers, Webhooks, New webhook: the URL below as endpoint, the \
                 events, and a signature key of your own making, which is the secret; without one \
                 Checkout.com does not sign. The same by API is POST /workflows with an action of \
                 type `webhook`, whose `signature` has the method HMACSHA256 and the `key`.",
            )
            .id(json("/id"))
            .kind(json("/type"))
            .source("checkout.com's documentation"),
        hex("razorpay", "Razorpay", "x-razorpay-signature", "")
            .docs("https://razorpay.com/docs/webhooks/validate-test/")
            .setup(
                "Dashboard, Account & Settings, Webhooks, Add New Webhook: the URL below (port 443 \
                 or 80), a secret of your own choice, and the active events. Test and live mode \
                 have webhooks of their own. The secret is not the API key's.",
            )
            .id(header("x-razorpay-event-id"))
            .kind(json("/event"))
            .deadline(5000, "for 24 hours")
            .verified("razorpay 2.0.1 for Python and 2.9.8 for Node"),
        base64("square", "Square", "x-square-hmacsha256-signature", "")
            .message("{url}{body}")
            .docs("https://developer.squareup.com/docs/webhooks/step3validate")
            .setup(
                "Developer Console, Open the application, Webhooks, Subscriptions, Add subscription: \
                 a name, the URL below as notification URL, over HTTPS, the API version and the \
                 events. Its Endpoint Details show the signature key, which is the secret of the \
                 source.",
            )
            .setup_read_in("https://developer.squareup.com/docs/webhooks/step2subscribe")
            .id(json("/event_id"))
            .kind(json("/type"))
            .deadline(10_000, "11 times in 24 hours (general knowledge); switched off after 3 weeks without a 2xx")
            .success(200)
            .caveat(
                "The public URL is signed: it must be the notification URL exactly as registered.",
            )
            .verified("squareup 46 for Python; published vectors"),
        Provider::new("braintree", "Braintree", braintree(""))
            .or(braintree("\n"))
            .docs("https://developer.paypal.com/braintree/docs/guides/webhooks/parse/python")
            .setup(
                "Control Panel, the gear, API, Webhooks: Create new webhook with the URL below and \
                 the kinds of notification. The public and private key are under API, Keys: the \
                 private key is the secret of the source, the public one goes into the option \
                 public_key. Sandbox and production have keys of their own.",
            )
            .kind(Field::Xml { form: Some("bt_payload".into()), element: "kind".into() })
            .takes("public_key", "The public key of the API key whose private key is the secret")
            .challenge(Challenge::BraintreeCode)
            .success(200)
            .caveat("The secret is the private key of the API keys.")
            .verified("braintree 4.48.0 for Python"),
        hex("klarna", "Klarna", "klarna-signature", "")
            .docs("https://docs.klarna.com/klarna-network-distribution/setup-your-integration/connection-configuration/setup-your-webhooks/")
            .setup(
                "Klarna Network only. Klarna's Notifications API makes a signing key \
                 (createSigningKey), whose value is shown this once and is the secret of the \
                 source. Then POST /v1/notification/webhooks (createWebhook) with `url` (the URL \
                 below, HTTPS on port 443 or 8443), `event_types`, `event_version` and \
                 `signing_key_id`; the Webhooks app of the Partner Portal does the same.",
            )
            .id(json("/metadata/event_id"))
            .kind(json("/metadata/event_type"))
            .retries("ever further apart, for 12 hours")
            .caveat("Older products push an order id and sign nothing.")
            .uncertain("docs.klarna.com names the header, the hash and the fields; that it is in hex is a guess"),
        hex("gocardless", "GoCardless", "webhook-signature", "")
            .docs(
                "https://developer.gocardless.com/getting-started/staying-up-to-date-with-webhooks",
            )
            .setup(
                "Dashboard, Developers, Create, Webhook endpoint: a name, the URL below, and a \
                 secret, of your own choice or made there. Sandbox and live have endpoints and \
                 secrets of their own. All events come to every endpoint.",
            )
            .id(Field::First(vec![json("/meta/webhook_id"), json("/events/0/id")]))
            .kind(dotted(vec![json("/events/0/resource_type"), json("/events/0/action")]))
            .deadline(10_000, "8 times")
            .rejects(498)
            .success(204)
            .verified("gocardless-pro 3.22.0; a published vector"),
        hex("mollie", "Mollie", "x-mollie-signature", "")
            .signed(|signed| {
                signed.signatures = vec![
                    Place::whole("x-mollie-signature", "sha256="),
                    Place::whole("x-mollie-signature", ""),
                ];
            })
            .docs("https://docs.mollie.com/reference/webhooks-new")
            .setup(
                "Dashboard, Developers, Webhooks, or POST https://api.mollie.com/v2/webhooks: a \
                 name, the URL below and the event types. The signing secret is shown when it is \
                 made (`webhookSecret` in the API's answer). These are the webhooks with events; a \
                 `webhookUrl` of a payment is the provider mollie-classic.",
            )
            .id(json("/id"))
            .kind(json("/type"))
            .success(200)
            .caveat(
                "Whether `sha256=` stands before the signature is not known for sure: both pass.",
            )
            .source("docs.mollie.com"),
        unsigned("mollie-classic", "Mollie, classic webhooks")
            .docs("https://docs.mollie.com/reference/webhooks")
            .setup(
                "Put the URL below, with `?token=` and the secret of the source behind it, into \
                 `webhookUrl` when a payment, order, refund or subscription is created (POST \
                 https://api.mollie.com/v2/payments). There is no page for it and nothing to \
                 choose: Mollie calls on each change of state.",
            )
            .id(Field::Form("id".into()))
            .kind(Field::Fixed("payment.changed".into()))
            .success(200)
            .caveat("The body is an id only: ask Mollie's API what it is about.")
            .source("docs.mollie.com"),
    ]
}

fn adyen() -> Provider {
    let item = |pointer: &'static str| Piece::Field(json(pointer));
    let colon = || Piece::Text(":".into());
    let mut signed = Signed::raw(super::SHA256, "", Base64);
    signed.key = KeyForm::Hex;
    signed.each = Some("/notificationItems".into());
    signed.signatures = vec![Place {
        at: json("/NotificationRequestItem/additionalData/hmacSignature"),
        layout: Layout::Whole { prefix: "".into() },
    }];
    signed.message = vec![
        item("/NotificationRequestItem/pspReference"),
        colon(),
        item("/NotificationRequestItem/originalReference"),
        colon(),
        item("/NotificationRequestItem/merchantAccountCode"),
        colon(),
        item("/NotificationRequestItem/merchantReference"),
        colon(),
        item("/NotificationRequestItem/amount/value"),
        colon(),
        item("/NotificationRequestItem/amount/currency"),
        colon(),
        item("/NotificationRequestItem/eventCode"),
        colon(),
        item("/NotificationRequestItem/success"),
    ];
    let first =
        |name: &str| Field::json(format!("/notificationItems/0/NotificationRequestItem/{name}"));
    Provider::new("adyen", "Adyen", Scheme::Signed(Box::new(signed)))
        .docs("https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures/")
        .setup(
            "Customer Area, Developers, Webhooks, Webhook, Standard webhook: the URL below as \
             server URL, method JSON, the accounts and the events. Security, HMAC key, Generate: \
             the hexadecimal key is shown this once and is the secret of the source. Then enable \
             the webhook and send a test from its page. Test and live have keys of their own.",
        )
        .id(Field::Joined {
            fields: vec![first("pspReference"), first("eventCode")],
            with: ":".into(),
        })
        .kind(first("eventCode"))
        .answers("[accepted]", "text/plain")
        .deadline(
            10_000,
            "for 7 days; a failure holds back what comes after it (general knowledge)",
        )
        .caveat("The key is hexadecimal. Only eight fields are signed, not the whole body.")
        .verified("adyen 16.0.0 for Python; 4 published vectors")
}

/// Braintree signs the payload, or the payload and a line break that the form has lost.
fn braintree(end: &'static str) -> Scheme {
    let mut signed = Signed::raw(super::SHA1, "", Hex);
    signed.key = KeyForm::Sha1;
    signed.signatures = vec![Place {
        at: Field::Form("bt_signature".into()),
        layout: Layout::Fields(Fields::listed("&", '|', "*")),
    }];
    signed.message = vec![Piece::Field(Field::Form("bt_payload".into())), Piece::Text(end.into())];
    Scheme::Signed(Box::new(signed))
}

fn shops() -> Vec<Provider> {
    vec![
        base64("shopify", "Shopify", "x-shopify-hmac-sha256", "")
            .docs("https://shopify.dev/docs/apps/build/webhooks/subscribe/https")
            .setup(
                "For an app: a subscription with the URL below as `uri` in shopify.app.toml, for all \
                 shops that have the app, or by the Admin API (`webhookSubscriptionCreate`) for one \
                 shop; each topic wants its access scope. It is signed with the app's client secret; \
                 when that is rotated, it can take an hour until the new one signs: keep both.",
            )
            .setup_read_in("https://shopify.dev/docs/apps/build/webhooks/subscribe")
            .caveat(
                "A store without an app has webhooks under Settings, Notifications, Webhooks, Create \
                 webhook (format JSON), signed with the key shown there.",
            )
            .id(header("x-shopify-webhook-id"))
            .kind(header("x-shopify-topic"))
            .deadline(5000, "8 times in 4 hours; then a subscription made by the Admin API is deleted")
            .success(200)
            .caveat("Connecting must take less than a second. X-Shopify-Event-Id is the same for all subscriptions of one event.")
            .verified("@shopify/shopify-api 15.0.0; nuxt-webhook-validators"),
        base64("woocommerce", "WooCommerce", "x-wc-webhook-signature", "")
            .docs("https://woocommerce.com/document/webhooks/")
            .setup(
                "WooCommerce, Settings, Advanced, Webhooks, Add webhook: status Active, the topic, \
                 the URL below as delivery URL, a secret of your own choice, and the latest API \
                 version. A webhook is for one topic. Saving sends a ping that is not signed and is \
                 refused here; WooCommerce then shows an error, and the webhook works nevertheless.",
            )
            .id(header("x-wc-webhook-delivery-id"))
            .kind(header("x-wc-webhook-topic"))
            .deadline(5000, "none; 5 failures switch the webhook off")
            .success(200)
            .caveat("The first ping (`webhook_id=…` as a form) is not signed and is refused here.")
            .source("n8n-nodes-base 2.41.2"),
        super::basics::standard("bigcommerce", "BigCommerce", "webhook", KeyForm::Utf8)
            .docs("https://developer.bigcommerce.com/docs/integrations/webhooks")
            .setup(
                "There is no page for it: POST /stores/{store_hash}/v3/hooks with the header \
                 X-Auth-Token, and `scope` (for example `store/order/*`), `destination` (the URL \
                 below) and `is_active` in the body. The port must be 443. The secret is the client \
                 secret of the API account or app whose token made the webhook.",
            )
            .id(Field::First(vec![header("webhook-id"), json("/hash")]))
            .kind(json("/scope"))
            .deadline(10_000, "for 48 hours; failing domains are blocked for a while")
            .success(200)
            .caveat("The key is the client secret as it is: the base64 in which the documentation hands it to the library is undone there.")
            .source("skills.sh bigcommerce-webhooks"),
        stamped("paddle", "Paddle Billing", "paddle-signature", Fields::stamped(";", "ts", "h1"))
            .signed(|signed| {
                signed.stamp = Some(Stamp { at: None, unit: Unit::Seconds, tolerance: Tolerance::both(5) });
            })
            .message("{timestamp}:{body}")
            .docs("https://developer.paddle.com/webhooks/signature-verification")
            .setup(
                "Developer Tools, Notifications, New destination: type Webhook, the URL below, and \
                 the events. Its secret key (pdl_ntfset_…) is shown on the destination's page. \
                 Sandbox and live have destinations and keys of their own.",
            )
            .id(json("/event_id"))
            .kind(json("/event_type"))
            .deadline(5000, "for 3 days (live); 3 times (sandbox)")
            .caveat("Paddle's libraries allow five seconds: keep the clock right, or set a wider tolerance.")
            .verified("paddle-python-sdk 1.16.1; @paddle/paddle-node-sdk 3.10.0"),
        hex("lemonsqueezy", "Lemon Squeezy", "x-signature", "")
            .docs("https://docs.lemonsqueezy.com/help/webhooks/signing-requests")
            .setup(
                "Settings, Webhooks, the plus sign: the URL below as callback URL, a signing secret \
                 of your own choice (6 to 40 characters), and the events; or POST /v1/webhooks, \
                 where `test_mode` makes one for test data.",
            )
            .id(json("/meta/webhook_id"))
            .kind(header("x-event-name"))
            .retries("3 times: after 5, 25 and 125 s (general knowledge)")
            .success(200)
            .uncertain("general knowledge; the vectors follow it"),
        super::basics::standard("polar", "Polar", "webhook", KeyForm::Utf8)
            .docs("https://polar.sh/docs/integrate/webhooks/delivery")
            .setup(
                "Settings of the organization, Webhooks, Add Endpoint: the URL below, format Raw \
                 (those for Discord and Slack have another body), the events, and a secret, of your \
                 own choice or generated. Sandbox has endpoints of its own.",
            )
            .caveat("The key is the secret's text as it is, not base64.")
            .deadline(10_000, "10 times, exponential; 10 failures in a row switch the webhook off")
            .source("nuxt-webhook-validators"),
        Provider::new("chargebee", "Chargebee", Scheme::Basic)
            .docs("https://www.chargebee.com/docs/billing/2.0/site-configuration/webhook_settings")
            .setup(
                "Settings, Configure Chargebee, API Keys and Webhooks, Webhooks, Add Webhook: the \
                 URL below, the API version, and the events. Switch on the protection of the URL by \
                 basic authentication and enter the user name and password of the source's secret.",
            )
            .id(json("/id"))
            .kind(json("/event_type"))
            .verified("a vector of HTTP Basic"),
        hex("recurly", "Recurly", "recurly-signature", "")
            .signed(|signed| {
                signed.signatures = vec![Place { at: header("recurly-signature"), layout: Layout::Positional }];
                signed.stamp = Some(Stamp { at: None, unit: Unit::Millis, tolerance: FIVE_MINUTES });
            })
            .message("{timestamp}.{body}")
            .docs("https://docs.recurly.com/docs/webhooks")
            .setup(
                "Integrations, Webhooks, New Endpoint: the URL below, JSON as format (XML is not \
                 signed), and the events. The endpoint's page shows its secret key. After the key \
                 is regenerated both sign for 24 hours.",
            )
            .id(Field::First(vec![json("/id"), json("/uuid")]))
            .kind(json("/event_type"))
            .deadline(5000, "10 times, ever further apart")
            .success(200)
            .verified("the vector in recurly-client-ruby"),
        hex("metronome", "Metronome", "metronome-webhook-signature", "")
            .at("x-metronome-date", (Unit::HttpDate, FIVE_MINUTES), "{timestamp}\n{body}")
            .signed(|signed| {
                let at = Some(Field::First(vec![header("x-metronome-date"), header("date")]));
                signed.stamp = Some(Stamp { at, unit: Unit::HttpDate, tolerance: FIVE_MINUTES });
            })
            .docs("https://docs.metronome.com/guides/integrations/webhooks")
            .setup(
                "Developer, Notifications, Webhooks, Add: the URL below, HTTPS. The webhook's \
                 secret key, shown there, is the source's. What it sends are the notifications made \
                 under Developer, Notifications, Create Notification, and events of the system. Two \
                 webhooks mean every notification twice.",
            )
            .id(json("/id"))
            .kind(json("/type"))
            .retries("exponential up to every 15 minutes, for 2 days")
            .source("@trigger.dev/core 4.8.3"),
        Provider::raw("onfleet", "Onfleet", SHA512, ("x-onfleet-signature", "", Hex))
            .signed(|signed| signed.key = KeyForm::Hex)
            .docs("https://docs.onfleet.com/reference/webhooks")
            .setup(
                "Dashboard, Settings, API & Webhooks, or POST /api/v2/webhooks with `url` (the URL \
                 below) and `trigger`, a number for each kind of event: one webhook for one \
                 trigger. Onfleet asks the URL at once with `?check=…`, so the source must exist by \
                 then. The secret is the webhook secret of the same page, hexadecimal, one for the \
                 organization.",
            )
            .id(json("/actionContext/id"))
            .kind(json("/triggerName"))
            .challenge(Challenge::CheckEcho)
            .retries("every 30 minutes for a day, after anything but 200")
            .success(200)
            .caveat("The key is hexadecimal.")
            .verified("n8n-nodes-base 2.41.2"),
        unsigned("ebay", "eBay")
            .docs("https://developer.ebay.com/marketplace-account-deletion")
            .setup(
                "Developer portal, Application Keys, Notifications (Alerts & Notifications): choose \
                 Marketplace Account Deletion, enter an e-mail address, the URL below as \
                 notification endpoint, and a verification token of 32 to 80 characters of A-Z, \
                 a-z, 0-9, _ and -, the same as in the option verification_token. Saving asks the \
                 URL at once, so the source must have the token and its `public_url` by then. Other \
                 topics: POST /commerce/notification/v1/destination and then /subscription.",
            )
            .id(json("/notification/notificationId"))
            .kind(json("/metadata/topic"))
            .takes("verification_token", "The verification token of the subscription; without it a secret serves as one")
            .challenge(Challenge::EbayCode)
            .success(204)
            .caveat("eBay's own signature (`x-ebay-signature`) is not checked: it is ECDSA over SHA-1, which the cryptographic library here does not do, and its key is served only to an OAuth token of your app. Body and header go on unchanged, so your application can check it with eBay's SDK.")
            .source("developer.ebay.com; the handshake has a vector"),
    ]
}
