//! Wallets, banks and books.

use super::{FIVE_MINUTES, base64, dotted, header, hex, json, jwt, jwt_scheme, stamped, t_v1};
use crate::encoding::Encoding::{Base64, Hex};
use crate::provider::Provider;
use crate::scheme::{Algorithm, Field, Fields, KeyHost, KeySource, Piece, Place, Stamp};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    [wallets(), banks()].concat()
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
            .setup(
                "Developer Dashboard, the app's page: add a webhook with the URL below and its event \
                 types, or POST /v1/notifications/webhooks with `url` and `event_types`. The webhook \
                 ID goes into the option webhook_id. It gets the events of that app only, and an \
                 app has at most 10 webhooks.",
            )
            .setup_read_in("https://developer.paypal.com/api/webhooks/")
            .needs("webhook_id", "The webhook's id in PayPal's dashboard, which is part of what is signed")
            .id(json("/id"))
            .kind(json("/event_type"))
            .retries("25 times in 3 days")
            .success(200)
            .caveat("The certificate is believed because it came over TLS from PayPal's host, and only between its own dates; its issuer is not checked.")
            .caveat("Of the body only a CRC-32 is signed, which anyone can keep while changing it: ask PayPal's API before money moves.")
            .verified("the crate webhook-verify 0.1.0"),
        hex("coinbase-commerce", "Coinbase Commerce", "x-cc-webhook-signature", "")
            .docs("https://docs.cdp.coinbase.com/commerce-onchain/docs/webhooks-security")
            .setup(
                "Settings, Notifications, Webhook subscriptions: Add an endpoint, the URL below, \
                 HTTPS only, for all events or some. The same page shows the webhook shared secret, \
                 one for the account.",
            )
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
        .setup(
            "POST /platform/v2/data/webhooks/subscriptions with `eventTypes`, `target.url` (the URL \
             below) and `isEnabled`, by a secret API key of the CDP Portal (with cdpcurl, or `cdp \
             data webhooks subscriptions create`). The answer has the secret in `metadata.secret`.",
        )
        .id(header("x-event-id"))
        .kind(header("x-event-type"))
        .caveat("Dots part the signed headers from each other and from the body: who has one signed request can move the body's beginning into the last header. Keep to bodies that are whole JSON.")
        .caveat("The tolerance is from general knowledge. The older v0 signature, which leaves headers out, does not pass.")
        .retries("exponential, up to 60 times")
        .source("docs.cdp.coinbase.com"),
        jwt("fireblocks", "Fireblocks", "fireblocks-webhook-signature", |jwt| {
            jwt.algorithms = vec![Algorithm::RsaSha512];
            jwt.source = KeySource::Fixed("https://keys.fireblocks.io/.well-known/jwks.json".into());
            jwt.detached = Some(vec![Piece::Body]);
        })
        .docs("https://developers.fireblocks.com/reference/validating-webhooks")
        .setup(
            "Console, Developer Center, Webhooks, Create Webhook (administrators only): the URL \
             below and the event types; port 443, at most 255 characters. It must be a webhook v2: \
             those of version 1 have no Fireblocks-Webhook-Signature.",
        )
        .id(json("/id"))
        .kind(json("/eventType"))
        .retries("after 5xx, 429 and 408: 9 times, from 10 s to 4 hours apart")
        .success(200)
        .caveat("The keys are those of US mainnet and testnet workspaces; for the EU and sandbox give the source the public key or JWK set of your region.")
        .source("developers.fireblocks.com"),
        Provider::new("neon", "Neon Auth", jwt_scheme("x-neon-signature", |jwt| {
            jwt.algorithms = vec![Algorithm::Ed25519];
            jwt.source = KeySource::Setting("jwks_url".into());
            let at = Some(header("x-neon-timestamp"));
            jwt.stamp = Some(Stamp { at, unit: Unit::Millis, tolerance: FIVE_MINUTES });
            jwt.detached = Some(vec![Piece::Timestamp, Piece::Text(".".into()), Piece::BodyBase64Url]);
        }))
        .docs("https://neon.com/docs/auth/guides/webhooks")
        .setup(
            "Set the webhook of the project's branch with the API call that updates Neon Auth's \
             webhook configuration, or in the Neon Console: the URL below, HTTPS, and the events. \
             There is no secret: the option jwks_url is the branch's Neon Auth address with \
             `/.well-known/jwks.json`. `send.otp`, `send.magic_link` and `user.before_create` hold \
             up a login until they are answered: choose them only if a gateway may stand in \
             between.",
        )
        .needs("jwks_url", "Your Neon Auth address with `/.well-known/jwks.json`")
        .id(header("x-neon-event-id"))
        .kind(Field::First(vec![header("x-neon-event-type"), json("/event_type")]))
        .retries("3 attempts in all")
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
            .setup(
                "Dashboard of the organization, or the activity create_webhook_endpoint of the API: \
                 the URL below and the event types, such as ACTIVITY_UPDATES. There is no secret: \
                 the keys are fetched. Endpoints of the parent organization get the activities of \
                 all its sub-organizations too.",
            )
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
        .setup(
            "Pass the URL below as `webhook` to /link/token/create; for Items that exist call \
             /item/webhook/update. Some products (Identity Verification, Monitor, Transfer and \
             others) take it in the Dashboard, Developers, Webhooks. The options client_id, \
             api_secret and environment let the source fetch the keys; /sandbox/item/fire_webhook \
             sends one to try.",
        )
        .takes("client_id", "The client id, to fetch keys with")
        .takes("api_secret", "The API secret, to fetch keys with")
        .takes("environment", "`production` or `sandbox`")
        .kind(dotted(vec![json("/webhook_type"), json("/webhook_code")]))
        .deadline(10_000, "for 24 hours")
        .success(200)
        .verified("PyJWT; plaid.com's documentation"),
        Provider::raw("wise", "Wise", Algorithm::RsaSha256, ("x-signature-sha256", "", Base64))
            .docs("https://docs.wise.com/api-docs/features/webhooks-notifications/event-handling")
            .setup(
                "Developer Hub, Webhooks, Subscriptions, or Settings, Developer tools, Webhooks of \
                 a business account; by API POST /v3/profiles/{profileId}/subscriptions with \
                 `name`, `trigger_on` and `delivery` (`version` and the URL below as `url`). A \
                 subscription is for one event type. The key is the public key that Wise publishes \
                 with its webhook documentation, one for production and one for sandbox: it is the \
                 secret of the source.",
            )
            .id(header("x-delivery-id"))
            .kind(json("/event_type"))
            .success(200)
            .caveat("The key is Wise's public key for your environment. The older SHA-1 header does not pass.")
            .retries("11 times, ever further apart from 1 minute, then once a day for 14 days")
            .source("n8n-nodes-base 2.41.2"),
        stamped("revolut", "Revolut", "revolut-signature", t_v1())
            .signed(|signed| {
                signed.signatures = vec![Place::fields("revolut-signature", Fields::listed(",", '=', "v1"))];
            })
            .at("revolut-request-timestamp", (Unit::Millis, FIVE_MINUTES), "v1.{timestamp}.{body}")
            .docs("https://developer.revolut.com/docs/guides/manage-accounts/tutorials/work-with-webhooks/verify-the-payload-signature")
            .setup(
                "Business API: POST https://b2b.revolut.com/api/2.0/webhooks with `url` (the URL \
                 below) and `events`; Merchant API: the webhooks endpoint of merchant.revolut.com. \
                 The answer has the `signing_secret` (wsk_…). At most 10 webhooks; sandbox has \
                 hosts and secrets of its own.",
            )
            .kind(json("/event"))
            .retries("3 times, 10 minutes apart")
            .source("developer.revolut.com"),
        base64("quickbooks", "QuickBooks", "intuit-signature", "")
            .docs("https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks")
            .setup(
                "Intuit Developer, the app, Webhooks: the URL below as endpoint URL, and the \
                 entities, for production or for development (sandbox). The verifier token shown \
                 there is the secret of the source. Events come from every company that has \
                 connected the app.",
            )
            .kind(dotted(vec![
                json("/eventNotifications/0/dataChangeEvent/entities/0/name"),
                json("/eventNotifications/0/dataChangeEvent/entities/0/operation"),
            ]))
            .success(200)
            .uncertain("general knowledge; the vectors follow it"),
        base64("xero", "Xero", "x-xero-signature", "")
            .docs("https://developer.xero.com/documentation/guides/webhooks/configuring-your-server/")
            .setup(
                "Developer portal, My Apps, the app, Webhooks: the event categories and the URL \
                 below as delivery URL. The webhook signing key shown there is the secret of the \
                 source; with it in place, press Send 'Intent to receive', which sends right and \
                 wrong signatures and wants 200 and 401.",
            )
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
