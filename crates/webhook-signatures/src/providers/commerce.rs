//! Payments, banking, shops and delivery.

use super::{
    FIVE_MINUTES, SHA512, base64, dotted, header, hex, json, jwt, jwt_scheme, stamped, t_v1,
    unsigned,
};
use crate::encoding::Encoding::{Base64, Hex};
use crate::provider::{Challenge, Provider};
use crate::scheme::{
    Algorithm, Field, Fields, KeyForm, KeyHost, KeySource, Layout, Piece, Place, Scheme, Signed,
    Stamp, Tolerance,
};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    [cards(), wallets(), banks(), shops()].concat()
}

fn cards() -> Vec<Provider> {
    vec![
        stamped("stripe", "Stripe", "stripe-signature", t_v1())
            .signed(|signed| {
                signed.stamp =
                    Some(Stamp { at: None, unit: Unit::Seconds, tolerance: Tolerance::past(300) });
            })
            .docs("https://docs.stripe.com/webhooks/signature")
            .setup("Workbench, Webhooks: create an event destination of the kind webhook endpoint with the URL below. Its page reveals the signing secret (whsec_…); sandbox and live have one each.")
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
            .kind(json("/type"))
            .caveat("The key is hexadecimal.")
            .answers("[accepted]", "text/plain")
            .source("adyen 16.0.0 for Python; no vector is kept"),
        hex("checkout-com", "Checkout.com", "cko-signature", "")
            .docs("https://www.checkout.com/docs/developer-resources/webhooks")
            .id(json("/id"))
            .kind(json("/type"))
            .source("checkout.com's documentation"),
        hex("razorpay", "Razorpay", "x-razorpay-signature", "")
            .docs("https://razorpay.com/docs/webhooks/validate-test/")
            .id(header("x-razorpay-event-id"))
            .kind(json("/event"))
            .deadline(5000, "for 24 hours")
            .verified("razorpay 2.0.1 for Python and 2.9.8 for Node"),
        base64("square", "Square", "x-square-hmacsha256-signature", "")
            .message("{url}{body}")
            .docs("https://developer.squareup.com/docs/webhooks/step3validate")
            .setup("Developer Console, the application, Webhooks, Subscriptions: add one with the URL below. Its details show the signature key.")
            .id(json("/event_id"))
            .kind(json("/type"))
            .deadline(10_000, "11 times in 24 hours (general knowledge)")
            .success(200)
            .caveat(
                "The public URL is signed: it must be the notification URL exactly as registered.",
            )
            .verified("squareup 46 for Python; published vectors"),
        Provider::new("braintree", "Braintree", braintree(""))
            .or(braintree("\n"))
            .docs("https://developer.paypal.com/braintree/docs/guides/webhooks/parse/python")
            .kind(Field::Xml { form: Some("bt_payload".into()), element: "kind".into() })
            .takes("public_key", "The public key of the API key whose private key is the secret")
            .challenge(Challenge::BraintreeCode)
            .success(200)
            .caveat("The secret is the private key of the API keys.")
            .verified("braintree 4.48.0 for Python"),
        hex("klarna", "Klarna", "klarna-signature", "")
            .id(json("/event_id"))
            .kind(json("/event_type"))
            .docs("https://docs.klarna.com/")
            .caveat(
                "Older products push an order id and sign nothing; newer ones differ by product.",
            )
            .uncertain("no source read: check before use"),
        hex("gocardless", "GoCardless", "webhook-signature", "")
            .docs(
                "https://developer.gocardless.com/getting-started/staying-up-to-date-with-webhooks",
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
            .id(json("/id"))
            .kind(json("/type"))
            .success(200)
            .caveat(
                "Whether `sha256=` stands before the signature is not known for sure: both pass.",
            )
            .source("docs.mollie.com"),
        unsigned("mollie-classic", "Mollie, classic webhooks")
            .docs("https://docs.mollie.com/reference/webhooks")
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

fn wallets() -> Vec<Provider> {
    vec![
        Provider::raw("paypal", "PayPal", Algorithm::RsaSha256, ("paypal-transmission-sig", "", Base64))
            .signed(|signed| {
                let bar = || Piece::Text("|".into());
                signed.message = vec![
                    Piece::Header("paypal-transmission-id".into()),
                    bar(),
                    Piece::Header("paypal-transmission-time".into()),
                    bar(),
                    Piece::Setting("webhook_id".into()),
                    bar(),
                    Piece::BodyCrc32,
                ];
                signed.when = Some((header("paypal-auth-algo"), "SHA256withRSA".into()));
                signed.source = KeySource::Named { at: header("paypal-cert-url"), rule: KeyHost::PayPal };
            })
            .docs("https://developer.paypal.com/api/rest/webhooks/rest/")
            .setup("Developer Dashboard, the app's page: add a webhook with the URL below and its event types. The webhook ID goes into the option webhook_id.")
            .needs("webhook_id", "The webhook's id in PayPal's dashboard, which is part of what is signed")
            .id(json("/id"))
            .kind(json("/event_type"))
            .retries("25 times in 3 days (general knowledge)")
            .success(200)
            .caveat("The certificate is believed because it came over TLS from PayPal's host, and only between its own dates; its issuer is not checked.")
            .caveat("Of the body only a CRC-32 is signed, which anyone can keep while changing it: ask PayPal's API before money moves.")
            .verified("the crate webhook-verify 0.1.0"),
        hex("coinbase-commerce", "Coinbase Commerce", "x-cc-webhook-signature", "")
            .docs("https://docs.cdp.coinbase.com/commerce-onchain/docs/webhooks-security")
            .id(json("/event/id"))
            .kind(json("/event/type"))
            .retries("3 days, at most an hour apart")
            .success(200)
            .source("docs.cdp.coinbase.com"),
        stamped("coinbase-cdp", "Coinbase CDP (Hook0)", "x-hook0-signature", Fields {
            names: Some("h".into()),
            ..t_v1()
        })
        .signed(|signed| {
            signed.message = vec![
                Piece::Timestamp,
                Piece::Text(".".into()),
                Piece::NamedHeaders,
                Piece::Text(".".into()),
                Piece::Body,
            ];
        })
        .docs("https://docs.cdp.coinbase.com/api-reference/payment-apis/webhooks/verification")
        .id(header("x-event-id"))
        .kind(header("x-event-type"))
        .caveat("The tolerance is from general knowledge. The older v0 signature, which leaves headers out, does not pass.")
        .source("docs.cdp.coinbase.com"),
        jwt("fireblocks", "Fireblocks", "fireblocks-webhook-signature", |jwt| {
            jwt.algorithms = vec![Algorithm::RsaSha512];
            jwt.source = KeySource::Fixed("https://keys.fireblocks.io/.well-known/jwks.json".into());
            jwt.detached = Some(vec![Piece::Body]);
        })
        .docs("https://developers.fireblocks.com/reference/validating-webhooks")
        .id(json("/id"))
        .kind(json("/eventType"))
        .source("developers.fireblocks.com"),
        Provider::new("neon", "Neon Auth", jwt_scheme("x-neon-signature", |jwt| {
            jwt.algorithms = vec![Algorithm::Ed25519];
            jwt.source = KeySource::Setting("jwks_url".into());
            let at = Some(header("x-neon-timestamp"));
            jwt.stamp = Some(Stamp { at, unit: Unit::Millis, tolerance: FIVE_MINUTES });
            jwt.detached = Some(vec![Piece::Timestamp, Piece::Text(".".into()), Piece::BodyBase64Url]);
        }))
        .docs("https://neon.com/docs/auth/guides/webhooks")
        .needs("jwks_url", "Your Neon Auth address with `/.well-known/jwks.json`")
        .id(header("x-neon-event-id"))
        .kind(Field::First(vec![header("x-neon-event-type"), json("/event_type")]))
        .source("skills.sh neon-webhooks; no vector"),
        Provider::raw("turnkey", "Turnkey", Algorithm::Ed25519, ("x-turnkey-signature", "", Hex))
            .signed(|signed| {
                signed.id = Some(header("x-turnkey-event-id"));
                signed.source =
                    KeySource::Fixed("https://api.turnkey.com/public/v1/discovery/webhooks/jwks".into());
            })
            .at(
                "x-turnkey-timestamp",
                (Unit::Millis, FIVE_MINUTES),
                "v1.ed25519.{header:x-turnkey-signature-key-id}.{timestamp}.{id}.{body}",
            )
            .docs("https://docs.turnkey.com/features/webhooks/verify-signatures")
            .id(header("x-turnkey-event-id"))
            .kind(json("/type"))
            .uncertain("the signed string is documented; two header names and the encoding are guesses"),
    ]
}

fn banks() -> Vec<Provider> {
    vec![
        jwt("plaid", "Plaid", "plaid-verification", |jwt| {
            jwt.algorithms = vec![Algorithm::EcdsaP256Fixed];
            jwt.source = KeySource::Plaid;
            jwt.claims.body_hash = Some(("/request_body_sha256".into(), Hex));
            jwt.claims.issued = Some(FIVE_MINUTES);
        })
        .docs("https://plaid.com/docs/api/webhooks/webhook-verification/")
        .takes("client_id", "The client id, to fetch keys with")
        .takes("api_secret", "The API secret, to fetch keys with")
        .takes("environment", "`production` or `sandbox`")
        .kind(dotted(vec![json("/webhook_type"), json("/webhook_code")]))
        .deadline(10_000, "for 24 hours")
        .success(200)
        .verified("PyJWT; plaid.com's documentation"),
        Provider::raw("wise", "Wise", Algorithm::RsaSha256, ("x-signature-sha256", "", Base64))
            .docs("https://docs.wise.com/api-docs/features/webhooks-notifications/event-handling")
            .id(header("x-delivery-id"))
            .kind(json("/event_type"))
            .success(200)
            .caveat("The key is Wise's public key for your environment. The older SHA-1 header does not pass.")
            .source("n8n-nodes-base 2.41.2"),
        stamped("revolut", "Revolut", "revolut-signature", t_v1())
            .signed(|signed| {
                signed.signatures = vec![Place::fields("revolut-signature", Fields::listed(",", '=', "v1"))];
            })
            .at("revolut-request-timestamp", (Unit::Millis, FIVE_MINUTES), "v1.{timestamp}.{body}")
            .docs("https://developer.revolut.com/docs/guides/manage-accounts/tutorials/work-with-webhooks/verify-the-payload-signature")
            .kind(json("/event"))
            .source("developer.revolut.com"),
        base64("quickbooks", "QuickBooks", "intuit-signature", "")
            .docs("https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks")
            .kind(dotted(vec![
                json("/eventNotifications/0/dataChangeEvent/entities/0/name"),
                json("/eventNotifications/0/dataChangeEvent/entities/0/operation"),
            ]))
            .success(200)
            .uncertain("general knowledge; the vectors follow it"),
        base64("xero", "Xero", "x-xero-signature", "")
            .docs("https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/")
            .id(Field::Joined {
                fields: vec![json("/events/0/resourceId"), json("/events/0/eventDateUtc")],
                with: ":".into(),
            })
            .kind(dotted(vec![json("/events/0/eventCategory"), json("/events/0/eventType")]))
            .deadline(5000, "for a while, then the webhook is switched off (general knowledge)")
            .success(200)
            .caveat("On set-up Xero sends wrong signatures on purpose and wants 401, with an empty body.")
            .uncertain("general knowledge; the vectors follow it"),
    ]
}

fn shops() -> Vec<Provider> {
    vec![
        base64("shopify", "Shopify", "x-shopify-hmac-sha256", "")
            .docs("https://shopify.dev/docs/apps/build/webhooks/subscribe/https")
            .setup("For an app: a subscription in shopify.app.toml or by the Admin API, signed with the app's client secret. For a store without an app: Settings, Notifications, Webhooks, signed with the key shown there.")
            .id(header("x-shopify-webhook-id"))
            .kind(header("x-shopify-topic"))
            .deadline(5000, "8 times in 4 hours; then the subscription is deleted")
            .success(200)
            .caveat("Connecting must take less than a second. X-Shopify-Event-Id is the same for all subscriptions of one event.")
            .verified("@shopify/shopify-api 15.0.0; nuxt-webhook-validators"),
        base64("woocommerce", "WooCommerce", "x-wc-webhook-signature", "")
            .docs("https://woocommerce.com/document/webhooks/")
            .id(header("x-wc-webhook-delivery-id"))
            .kind(header("x-wc-webhook-topic"))
            .deadline(5000, "none; 5 failures switch the webhook off")
            .success(200)
            .caveat("The first ping (`webhook_id=…` as a form) is not signed and is refused here.")
            .source("n8n-nodes-base 2.41.2"),
        super::basics::standard("bigcommerce", "BigCommerce", "webhook", KeyForm::Utf8)
            .docs("https://developer.bigcommerce.com/docs/integrations/webhooks")
            .id(Field::First(vec![header("webhook-id"), json("/hash")]))
            .kind(json("/scope"))
            .deadline(10_000, "for 48 hours; failing domains are blocked for a while")
            .success(200)
            .caveat("The key is the client secret as it is; that is not confirmed.")
            .source("skills.sh bigcommerce-webhooks"),
        stamped("paddle", "Paddle Billing", "paddle-signature", Fields::stamped(";", "ts", "h1"))
            .signed(|signed| {
                signed.stamp = Some(Stamp { at: None, unit: Unit::Seconds, tolerance: Tolerance::both(5) });
            })
            .message("{timestamp}:{body}")
            .docs("https://developer.paddle.com/webhooks/signature-verification")
            .id(json("/event_id"))
            .kind(json("/event_type"))
            .deadline(5000, "for 3 days (live); 3 times (sandbox)")
            .caveat("Paddle's libraries allow five seconds: keep the clock right, or set a wider tolerance.")
            .verified("paddle-python-sdk 1.16.1; @paddle/paddle-node-sdk 3.10.0"),
        hex("lemonsqueezy", "Lemon Squeezy", "x-signature", "")
            .docs("https://docs.lemonsqueezy.com/help/webhooks/signing-requests")
            .id(json("/meta/webhook_id"))
            .kind(header("x-event-name"))
            .retries("3 times: after 5, 25 and 125 s (general knowledge)")
            .success(200)
            .uncertain("general knowledge; the vectors follow it"),
        super::basics::standard("polar", "Polar", "webhook", KeyForm::Utf8)
            .docs("https://polar.sh/docs/integrate/webhooks/delivery")
            .caveat("The key is the secret's text as it is, not base64.")
            .source("nuxt-webhook-validators"),
        Provider::new("chargebee", "Chargebee", Scheme::Basic)
            .docs("https://www.chargebee.com/docs/billing/2.0/site-configuration/webhook_settings")
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
            .id(json("/id"))
            .kind(json("/type"))
            .source("@trigger.dev/core 4.8.3"),
        Provider::raw("onfleet", "Onfleet", SHA512, ("x-onfleet-signature", "", Hex))
            .signed(|signed| signed.key = KeyForm::Hex)
            .docs("https://docs.onfleet.com/reference/webhooks")
            .id(json("/actionContext/id"))
            .kind(json("/triggerName"))
            .caveat("The key is hexadecimal.")
            .verified("n8n-nodes-base 2.41.2"),
        unsigned("ebay", "eBay")
            .docs("https://developer.ebay.com/marketplace-account-deletion")
            .id(json("/notification/notificationId"))
            .kind(json("/metadata/topic"))
            .takes("verification_token", "The verification token of the subscription; without it a secret serves as one")
            .challenge(Challenge::EbayCode)
            .success(204)
            .caveat("eBay's own signature (`x-ebay-signature`) is not checked: it is ECDSA over SHA-1, which the cryptographic library here does not do, and its key is served only to an OAuth token of your app. Body and header go on unchanged, so your application can check it with eBay's SDK.")
            .source("developer.ebay.com; the handshake has a vector"),
    ]
}
