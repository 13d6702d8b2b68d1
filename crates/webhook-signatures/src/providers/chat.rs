//! Chat, social networks, calls and identity.

use super::{FIVE_MINUTES, base64, dotted, header, hex, json, jwt, sha1, unsigned};
use crate::encoding::Encoding::{Base64, Hex};
use crate::hash::Hash;
use crate::provider::{Challenge, Provider};
use crate::scheme::{
    Algorithm, Field, Fields, KeyForm, KeySource, Piece, Place, Repeats, Scheme, Signed, Token,
    Tolerance, UrlForms,
};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    [chat(), social(), calls(), identity()].concat()
}

fn chat() -> Vec<Provider> {
    vec![
        hex("slack", "Slack", "x-slack-signature", "v0=")
            .at("x-slack-request-timestamp", (Unit::Seconds, FIVE_MINUTES), "v0:{timestamp}:{body}")
            .docs("https://docs.slack.dev/authentication/verifying-requests-from-slack/")
            .setup(
                "The app's settings, Event Subscriptions: switch them on, set the request URL to \
                 the URL below once the source has the secret, since Slack asks at once and takes \
                 no other, choose the events, and save. The signing secret is under Basic \
                 Information, App Credentials. Install the app (again): Slack sends only what the \
                 workspace has allowed. Slash commands and interactive messages have request URLs of \
                 their own, and the same secret.",
            )
            .setup_read_in("https://api.slack.com/apis/http")
            .id(Field::First(vec![json("/event_id"), Field::FormJson("payload".into(), "/trigger_id".into())]))
            .kind(Field::First(vec![
                json("/event/type"),
                json("/type"),
                Field::FormJson("payload".into(), "/type".into()),
                Field::Form("command".into()),
            ]))
            .challenge(Challenge::SlackUrlVerification)
            .deadline(3000, "3 times: at once, after 1 minute, after 5 minutes")
            .caveat("Slash commands and buttons come as forms.")
            .success(200)
            .verified("slack-sdk 3.47.0; @slack/bolt 5.1.0; the vector in Slack's documentation"),
        Provider::raw("discord", "Discord", Algorithm::Ed25519, ("x-signature-ed25519", "", Hex))
            .at("x-signature-timestamp", (Unit::Seconds, Tolerance::OFF), "{timestamp}{body}")
            .docs("https://docs.discord.com/developers/interactions/overview")
            .setup(
                "Developer Portal, the application: General Information shows the public key. Once \
                 the source has it, since Discord pings on saving: Webhooks, the URL below as \
                 endpoint, events switched on and chosen; or, for interactions, General \
                 Information, Interactions Endpoint URL.",
            )
            .setup_read_in("https://docs.discord.com/developers/events/webhook-events")
            .id(json("/id"))
            .kind(Field::First(vec![json("/event/type"), json("/type")]))
            .challenge(Challenge::DiscordPing)
            .deadline(3000, "exponential for 10 minutes (webhook events)")
            .success(204)
            .caveat("The key is the application's public key. Discord sends wrong signatures on purpose and wants 401.")
            .caveat("Webhook events want 204; an interaction wants an answer of its own within 3 s.")
            .verified("discord-interactions 0.4.0 for Python and 4.4.0 for Node"),
        Provider::token("telegram", "Telegram", Token::Header("x-telegram-bot-api-secret-token".into()))
            .docs("https://core.telegram.org/bots/api#setwebhook")
            .setup(
                "Call the Bot API: POST https://api.telegram.org/botTOKEN/setWebhook with `url` \
                 (the URL below; port 443, 80, 88 or 8443), `secret_token`, a secret of your own \
                 choice (1 to 256 of A-Z, a-z, 0-9, _ and -), and `allowed_updates` if you like. \
                 getWebhookInfo shows what failed last.",
            )
            .id(json("/update_id"))
            .kind(Field::FirstKey { except: vec!["update_id".into()] })
            .retries("exponential to 2 minutes; honours Retry-After; gives up after 23 hours of 410")
            .success(200)
            .verified("n8n-nodes-base 2.41.2; tdlib/telegram-bot-api WebhookActor.cpp"),
        base64("line", "LINE", "x-line-signature", "")
            .docs("https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/")
            .setup(
                "LINE Developers Console, the Messaging API channel, tab Messaging API: enter the \
                 URL below as webhook URL, press Verify, and switch Use webhook on. The secret is \
                 the channel secret (tab Basic settings), not the channel access token. Webhook \
                 redelivery is a switch of its own on the same tab; it is off at first.",
            )
            .id(json("/events/0/webhookEventId"))
            .kind(json("/events/0/type"))
            .deadline(2000, "when redelivery is switched on")
            .success(200)
            .verified("line-bot-sdk 3.27.0; @line/bot-sdk 11.2.0"),
        sha1("webex", "Cisco Webex", ("x-spark-signature", "", Hex))
            .docs("https://developer.webex.com/docs/api/guides/webhooks")
            .setup(
                "POST https://webexapis.com/v1/webhooks with `name`, `targetUrl` (the URL below), \
                 `resource` (for example `messages`), `event` (`created`, `all`), and `secret`, a \
                 secret of your own choice. Without `secret` nothing is signed. A webhook belongs \
                 to whose token made it: take the bot's or integration's.",
            )
            .id(json("/id"))
            .kind(dotted(vec![json("/resource"), json("/event")]))
            .source("n8n-nodes-base 2.41.2"),
        hex("intercom", "Intercom", "x-hub-signature", "sha1=")
            .signed(|signed| signed.algorithm = super::SHA1)
            .docs("https://developers.intercom.com/docs/webhooks")
            .setup(
                "Developer Hub, the app, Configure, Webhooks: the URL below as endpoint URL, HTTPS, \
                 and the topics. Intercom tests the URL with a HEAD request when it is entered and \
                 sends a signed `ping`, so the source must exist by then. The secret is the app's \
                 client secret (Basic information).",
            )
            .setup_read_in("https://developers.intercom.com/docs/webhooks/setting-up-webhooks")
            .id(json("/id"))
            .kind(json("/topic"))
            .challenge(Challenge::Probe)
            .deadline(5000, "once, after a minute")
            .source("@trigger.dev/core 4.8.3"),
    ]
}

fn social() -> Vec<Provider> {
    let websub = |hash: Hash, prefix: &'static str| {
        let mut signed = Signed::raw(Algorithm::Hmac(hash), "x-hub-signature", Hex);
        signed.signatures = vec![Place::whole("x-hub-signature", prefix)];
        Scheme::Signed(Box::new(signed))
    };
    vec![
        hex("meta", "Meta (Facebook, Instagram, WhatsApp)", "x-hub-signature-256", "sha256=")
            .docs("https://developers.facebook.com/docs/graph-api/webhooks/getting-started")
            .setup("Webhooks product in the App Dashboard: the URL below as callback URL, and a verify token of your own choice, the same as in the option verify_token. It signs with the app secret.")
            .id(json("/entry/0/changes/0/value/messages/0/id"))
            .kind(dotted(vec![json("/object"), json("/entry/0/changes/0/field")]))
            .takes(
                "verify_token",
                "The verify token of the subscription; without it a secret serves as one",
            )
            .challenge(Challenge::HubText)
            .success(200)
            .retries("at once, then ever further apart, for 36 hours")
            .verified("nuxt-webhook-validators"),
        base64("x-twitter", "X (Twitter)", "x-twitter-webhooks-signature", "sha256=")
            .docs("https://docs.x.com/x-api/webhooks/introduction")
            .setup(
                "Once the source has the secret, POST /2/webhooks with `url` (the URL below, HTTPS, \
                 without a port), by the app's bearer token: X asks for the CRC at once and about \
                 every hour. Then subscribe each user: POST \
                 /2/account_activity/webhooks/{webhook_id}/subscriptions/all in that user's name \
                 (OAuth 1.0a). The secret is the app's API key secret (consumer secret), under Keys \
                 and tokens.",
            )
            .kind(Field::FirstKey { except: vec!["for_user_id".into(), "user_has_blocked".into()] })
            .challenge(Challenge::XCrc)
            .success(200)
            .caveat("X's check wants any token signed, by the key and in the way of events: who asks could have an event signed. So only tokens of letters, digits and + / = - _ . ~ are answered, which no event can be, and a body that could be such a token is not believed.")
            .source("Convoy's verifier.go"),
        hex("twitch", "Twitch EventSub", "twitch-eventsub-message-signature", "sha256=")
            .signed(|signed| signed.id = Some(header("twitch-eventsub-message-id")))
            .at(
                "twitch-eventsub-message-timestamp",
                (Unit::Iso8601, Tolerance::both(600)),
                "{id}{timestamp}{body}",
            )
            .docs("https://dev.twitch.tv/docs/eventsub/handling-webhook-events/")
            .setup(
                "POST https://api.twitch.tv/helix/eventsub/subscriptions with an app access token: \
                 `type`, `version`, `condition`, and `transport` with `method` `webhook`, \
                 `callback` (the URL below, HTTPS on port 443) and `secret`, 10 to 100 ASCII \
                 characters of your own choice. Twitch sends its challenge at once, so the source \
                 must have the secret by then. A subscription is for one type and one condition.",
            )
            .id(header("twitch-eventsub-message-id"))
            .kind(header("twitch-eventsub-subscription-type"))
            .challenge(Challenge::TwitchCallback)
            .success(204)
            .verified("nuxt-webhook-validators"),
        Provider::raw("kick", "Kick", Algorithm::RsaSha256, ("kick-event-signature", "", Base64))
            .signed(|signed| {
                signed.id = Some(header("kick-event-message-id"));
                signed.source =
                    KeySource::Fixed("https://api.kick.com/public/v1/public-key".into());
            })
            .at(
                "kick-event-message-timestamp",
                (Unit::Iso8601, Tolerance::OFF),
                "{id}.{timestamp}.{body}",
            )
            .docs("https://docs.kick.com/events/webhook-security")
            .setup(
                "Account settings, Developer, the app, Edit: switch Enable Webhooks on and enter \
                 the URL below. Then subscribe: POST \
                 https://api.kick.com/public/v1/events/subscriptions with `events` (name and \
                 version), `method` `webhook`, and `broadcaster_user_id` when an app token asks.",
            )
            .id(header("kick-event-message-id"))
            .kind(header("kick-event-type"))
            .retries("3 times in all, until it gets 200")
            .success(200)
            .verified("nuxt-webhook-validators"),
        unsigned("strava", "Strava")
            .docs("https://developers.strava.com/docs/webhooks/")
            .setup(
                "Once the source exists, POST https://www.strava.com/api/v3/push_subscriptions with \
                 `client_id`, `client_secret`, `callback_url` (the URL below with `?token=` and the \
                 secret behind it) and `verify_token`, the same as in the option verify_token, or \
                 the secret. Strava asks at once, and answers with the subscription's id. An app \
                 has one subscription, for all its athletes.",
            )
            .kind(dotted(vec![json("/object_type"), json("/aspect_type")]))
            .takes(
                "verify_token",
                "The verify token of the subscription; without it a secret serves as one",
            )
            .challenge(Challenge::HubJson)
            .deadline(2000, "3 times")
            .success(200)
            .source("developers.strava.com; the handshake has a vector"),
        Provider::new("websub", "WebSub (YouTube and others)", websub(Hash::Sha256, "sha256="))
            .or(websub(Hash::Sha512, "sha512="))
            .or(websub(Hash::Sha384, "sha384="))
            .or(websub(Hash::Sha1, "sha1="))
            .docs("https://www.w3.org/TR/websub/")
            .setup(
                "Give the source the options `hub` and `topic` (YouTube's hub is \
                 https://pubsubhubbub.appspot.com, its topics are like \
                 https://www.youtube.com/xml/feeds/videos.xml?channel_id=ID) and its public URL: \
                 Doorbell then subscribes by itself, and renews. Otherwise POST a form to the hub: \
                 `hub.mode` `subscribe`, `hub.topic`, `hub.callback` (the URL below) and \
                 `hub.secret`, the secret of the source, less than 200 bytes; the hub then asks the \
                 URL, and a subscription of the topic in the option topic is confirmed.",
            )
            .takes("topic", "The topic; of no other one a subscription is confirmed")
            .takes(
                "hub",
                "The hub's address, or `discover` (the topic's Link headers name it): Doorbell subscribes and renews by itself",
            )
            .challenge(Challenge::HubTopic)
            .caveat("The hub chooses the hash, and most choose SHA-1.")
            .caveat("Without the option `topic` a subscription of any topic is confirmed; what the hub sends must be signed all the same.")
            .caveat("With the options `hub` and `topic` Doorbell subscribes by itself and renews the lease in time; `doorbell source get` shows how it stands. It needs the source's public URL and a secret of less than 200 bytes, which goes to the hub: give its address with https. Nobody unsubscribes: when the source is disabled or removed, the hub's deliveries and questions are answered 404, it tries again as it does with any failure, and the lease (ten days are asked for) runs out; it is not answered 410, at which a hub may forget the subscription, because a source may come back.")
            .success(204)
            .source("W3C Recommendation WebSub, section 8"),
    ]
}

fn calls() -> Vec<Provider> {
    let twilio = |provider: Provider| {
        provider
            .signed(|signed| {
                signed.message = vec![Piece::Url, Piece::SortedForm(Repeats::Once)];
                signed.url = UrlForms::Ports;
                signed.body_hash_query = Some("bodySHA256".into());
            })
            .id(Field::First(vec![
                header("i-twilio-idempotency-token"),
                Field::Form("MessageSid".into()),
                Field::Form("CallSid".into()),
            ]))
            .kind(Field::First(vec![
                Field::Form("MessageStatus".into()),
                Field::Form("CallStatus".into()),
                Field::Form("SmsStatus".into()),
                Field::Form("EventType".into()),
            ]))
            .deadline(15_000, "as `#rc=…` in the URL says; then the fallback URL")
            .answers("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>", "text/xml")
            .caveat("The public URL is signed, with or without the default port: both are tried.")
    };
    vec![
        twilio(sha1("twilio", "Twilio", ("x-twilio-signature", "", Base64)))
            .docs("https://www.twilio.com/docs/usage/webhooks/webhooks-security")
            .setup(
                "Console, the phone number (or the messaging service): the URL below, by POST, as \
                 the webhook for when a message or a call comes in; or by the API. It signs with \
                 the account's primary auth token: a secondary one counts once it is promoted.",
            )
            .setup_read_in("https://www.twilio.com/docs/usage/webhooks/sms-webhooks")
            .verified("twilio 9.13.0 for Python; 8 published vectors"),
        twilio(base64("twilio-sha256", "Twilio, shared key", "x-twilio-signature", ""))
            .docs("https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys")
            .setup(
                "By the Webhooks configuration API (a public beta), https://webhooks.twilio.com/v1: \
                 create a SharedKey, whose secret is that of the source, a Setting that signs with \
                 it and HMAC_SHA256, and a Rule that names the Setting for the URL below. Then set \
                 the URL as for the provider twilio. What no Rule matches is signed with the auth \
                 token, and is refused here.",
            )
            .setup_read_in("https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys")
            .caveat("For accounts with shared keys: the algorithm is pinned here and not taken from the request.")
            .source("twilio 9.13.0 for Python; no vector is kept"),
        hex("zoom", "Zoom", "x-zm-signature", "v0=")
            .at("x-zm-request-timestamp", (Unit::Seconds, Tolerance::OFF), "v0:{timestamp}:{body}")
            .docs("https://developers.zoom.us/docs/api/webhooks/")
            .setup(
                "App Marketplace, Manage, the app, Features, Access: the page shows the secret \
                 token. Switch Event Subscriptions on, Add New Event Subscription: the event types, \
                 then the URL below as event notification endpoint URL, and Validate, once the \
                 source has the token. An app has at most 20 subscriptions.",
            )
            .setup_read_in("https://developers.zoom.us/docs/api/webhooks/")
            .id(header("x-zm-trackingid"))
            .kind(json("/event"))
            .challenge(Challenge::ZoomUrlValidation)
            .deadline(3000, "3 times: 5, 20 and 60 minutes after the try before")
            .caveat("Zoom names no tolerance; set one if you like.")
            .success(200)
            .verified("the crate webhook-verify 0.1.0"),
        jwt("vonage", "Vonage", "authorization", |jwt| {
            jwt.claims.body_hash = Some(("/payload_hash".into(), Hex));
            jwt.claims.body_may_be_empty = true;
        })
        .docs("https://developer.vonage.com/en/getting-started/concepts/webhooks")
        .setup(
            "API dashboard, the application: enter the URL below as webhook of each capability \
             (Voice, Messages and others), method POST, and leave signed webhooks on where there is \
             a switch for them. The secret is the signature secret under API settings, not the API \
             secret. Webhooks of the SMS API carry no such token: choose the Messages API under API \
             settings.",
        )
        .id(Field::Claim { header: "authorization".into(), pointer: "/jti".into() })
        .success(200)
        .caveat("Vonage's own library checks the token only; here the body's hash counts too.")
        .verified("vonage-jwt 1.1.5"),
        jwt("messagebird", "MessageBird", "messagebird-signature-jwt", |jwt| {
            jwt.algorithms =
                vec![Algorithm::Hmac(Hash::Sha256), Algorithm::Hmac(Hash::Sha384), Algorithm::Hmac(Hash::Sha512)];
            jwt.claims.issuers = vec!["MessageBird".into()];
            jwt.claims.body_hash = Some(("/payload_hash".into(), Hex));
            jwt.claims.body_may_be_empty = true;
            jwt.claims.url_hash = Some("/url_hash".into());
            jwt.claims.expires = true;
        })
        .docs("https://developers.messagebird.com/api/#verifying-http-requests")
        .setup(
            "Enter the URL below where the product takes one: a flow, the `statusReportUrl` or \
             `reportUrl` of a message or call, or POST \
             https://conversations.messagebird.com/v1/webhooks. The secret is the signing key of \
             the account, shown in the dashboard under Developers, Settings; it is not the access \
             key.",
        )
        .id(Field::Claim { header: "messagebird-signature-jwt".into(), pointer: "/jti".into() })
        .kind(json("/type"))
        .success(200)
        .verified("messagebird 4.0.1 for Node; 44 published vectors"),
        Provider::raw("telnyx", "Telnyx", Algorithm::Ed25519, ("telnyx-signature-ed25519", "", Base64))
            .at("telnyx-timestamp", (Unit::Seconds, FIVE_MINUTES), "{timestamp}|{body}")
            .docs("https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks")
            .setup(
                "Mission Control: the messaging profile, or the connection or application for voice \
                 and others, takes the URL below as webhook URL; choose webhook API version 2, for \
                 version 1 is not signed. The public key is under Account Settings, Keys & \
                 Credentials, Public Key, one for the whole account: it is the secret of the \
                 source.",
            )
            .id(json("/data/id"))
            .kind(json("/data/event_type"))
            .success(200)
            .deadline(2000, "with a growing pause; then the failover URL")
            .verified("telnyx 4.189.0 for Python"),
        super::stamped("retell", "Retell", "x-retell-signature", Fields::stamped(",", "v", "d"))
            .signed(|signed| {
                signed.stamp =
                    Some(crate::scheme::Stamp { at: None, unit: Unit::Millis, tolerance: FIVE_MINUTES });
            })
            .message("{body}{timestamp}")
            .docs("https://docs.retellai.com/features/secure-webhook")
            .setup(
                "Dashboard, Webhooks: the URL below, for all agents; or `webhook_url` of one agent, \
                 which then takes the place of the account's. The secret is the API key that \
                 carries the webhook badge (Settings, API Keys); there is no other.",
            )
            .kind(json("/event"))
            .deadline(10_000, "3 times")
            .source("@trigger.dev/core 4.8.3"),
        hex("vapi", "Vapi", "x-vapi-signature", "")
            .docs("https://docs.vapi.ai/server-url/server-authentication")
            .setup(
                "Custom Credentials of the dashboard: add one of the kind HMAC with the secret, \
                 algorithm SHA256, signature header `x-vapi-signature`, no timestamp header, and \
                 the body alone as payload format. Then set the server URL of the assistant, phone \
                 number or organization to the URL below, with that `credentialId`. Without the \
                 credential nothing is signed.",
            )
            .kind(json("/message/type"))
            .source("@trigger.dev/core 4.8.3"),
    ]
}

fn identity() -> Vec<Provider> {
    vec![
        super::stamped(
            "workos",
            "WorkOS",
            "workos-signature",
            Fields { joint: ", ".into(), ..super::t_v1() },
        )
        .signed(|signed| {
            let tolerance = Tolerance::both(180);
            signed.stamp = Some(crate::scheme::Stamp { at: None, unit: Unit::Millis, tolerance });
        })
        .docs("https://workos.com/docs/events/data-syncing/webhooks")
        .setup(
            "Dashboard, Webhooks: create an endpoint with the URL below and the events. Its page \
             shows its signing secret. Staging and production have webhooks and secrets of their \
             own.",
        )
        .id(json("/id"))
        .kind(json("/event"))
        .verified("workos 10.8.0 for Python"),
        super::basics::standard("clerk", "Clerk", "svix", KeyForm::Standard)
            .docs("https://clerk.com/docs/webhooks/overview")
            .setup(
                "Clerk Dashboard, Webhooks, Add Endpoint: the URL below as endpoint URL, and the \
                 events under Subscribe to events, then Create. The endpoint's settings page, which \
                 follows, shows the signing secret (whsec_…), hidden at first.",
            )
            .setup_read_in("https://clerk.com/docs/guides/development/webhooks/syncing")
            .verified("@clerk/backend 3.25.0"),
        Provider::token("auth0", "Auth0 log streams", Token::Header("authorization".into()))
            .docs("https://auth0.com/docs/customize/log-streams/custom-log-streams")
            .setup(
                "Monitoring, Streams, Create Stream, Custom Webhook: the URL below as payload URL, \
                 application/json as content type and JSON Object or JSON Array as content format. \
                 What you enter as authorization token is sent as the whole header Authorization, \
                 and is the secret of the source. With JSON Lines a body of several events is no \
                 JSON document, and no type is read.",
            )
            .id(Field::First(vec![json("/log_id"), json("/logs/0/log_id"), json("/0/log_id")]))
            .kind(Field::First(vec![
                json("/type"),
                json("/logs/0/data/type"),
                json("/0/data/type"),
            ]))
            .caveat(
                "The token is the whole value of the header Authorization, as configured there.",
            )
            .uncertain("general knowledge"),
        Provider::token("okta", "Okta event hooks", Token::Header("authorization".into()))
            .docs("https://developer.okta.com/docs/concepts/event-hooks/")
            .setup(
                "Admin Console, Workflow, Event Hooks, Create Event Hook: the URL below, \
                 `Authorization` as authentication field, a secret of your own choice as \
                 authentication secret, and the events. Then press Verify, once the source exists: \
                 until its question is answered Okta sends nothing. The same by API: POST \
                 /api/v1/eventHooks, then POST /api/v1/eventHooks/{id}/lifecycle/verify.",
            )
            .setup_read_in("https://developer.okta.com/docs/guides/event-hook-implementation/nodejs/main/")
            .id(json("/data/events/0/uuid"))
            .kind(json("/data/events/0/eventType"))
            .challenge(Challenge::OktaHeader)
            .deadline(3000, "once; never after a 4xx")
            .success(200)
            .caveat(
                "The token is the whole value of the header Authorization, as configured there.",
            )
            .source("okta-developer-docs"),
        super::stamped("persona", "Persona", "persona-signature", Fields::stamped(", ", "t", "v1"))
            .signed(|signed| {
                let tolerance = Tolerance::OFF;
                signed.stamp =
                    Some(crate::scheme::Stamp { at: None, unit: Unit::Seconds, tolerance });
            })
            .docs("https://docs.withpersona.com/webhooks-best-practices")
            .setup(
                "Dashboard, Webhooks, Create webhook: the URL below, the events, and the API \
                 version whose shape the payload shall have. The webhook's page reveals its secret \
                 (wbhsec_…). Sandbox and production have webhooks of their own.",
            )
            .id(json("/data/id"))
            .kind(json("/data/attributes/name"))
            .caveat("While a secret is rotated the header carries two pairs of time and signature.")
            .deadline(5000, "7 times, exponential")
            .source("skills.sh persona-webhooks"),
    ]
}
