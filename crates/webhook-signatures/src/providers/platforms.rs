//! Developer platforms: code, builds, hosting, content.

use super::{
    FIVE_MINUTES, base64, dotted, header, hex, json, jwt, jwt_scheme, sha1, stamped, t_v1,
};
use crate::encoding::Encoding::{Base64, Base64Url, Hex};
use crate::hash::Hash;
use crate::provider::{Challenge, Provider};
use crate::scheme::{
    Algorithm, Field, Fields, KeyForm, KeySource, Piece, Place, Stamp, Token, Tolerance,
};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    [forges(), builds(), trackers(), content()].concat()
}

fn forges() -> Vec<Provider> {
    let github = |provider: Provider| {
        provider
            .docs(
                "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
            )
            .setup(
                "Settings of the repository or organization, Webhooks, Add webhook: the URL below \
                 as payload URL, application/json as content type, a secret of your own choice, and \
                 the events. GitHub sends a `ping` at once. An app has one webhook, in its settings \
                 under Developer settings, with the same fields.",
            )
            .id(header("x-github-delivery"))
            .kind(dotted(vec![header("x-github-event"), json("/action")]))
            .deadline(10_000, "none; redeliveries of the last 3 days by hand or API")
    };
    let gitea = |provider: Provider, prefix: (&'static str, &'static str)| {
        provider
            .id(header(prefix.0))
            .kind(header(prefix.1))
            .source("vgi-forge-forgejo and isb-apps documentation")
    };
    vec![
        github(hex("github", "GitHub", "x-hub-signature-256", "sha256="))
            .setup_read_in("https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks")
            .caveat("Bodies may be 25 MB.")
            .verified("@octokit/webhooks-methods 6.0.0; the vector in GitHub's documentation"),
        github(sha1("github-sha1", "GitHub, SHA-1", ("x-hub-signature", "sha1=", Hex)))
            .setup(
                "In the settings of the repository or organization on your GitHub Enterprise \
                 Server, Hooks or Webhooks, Add webhook: the URL below as payload URL, \
                 application/json as content type, a secret of your own choice, and the events. \
                 Servers that send `X-Hub-Signature-256` want the provider github instead.",
            )
            .caveat("Only for old GitHub Enterprise servers: GitHub signs with SHA-256 beside it.")
            .verified("@octokit/webhooks-methods 6.0.0"),
        Provider::token("gitlab", "GitLab", Token::Header("x-gitlab-token".into()))
            .docs("https://docs.gitlab.com/user/project/integrations/webhooks/")
            .setup(
                "Settings of the project or group, Webhooks, Add new webhook: the URL below, a \
                 secret of your own choice as secret token, and the triggers. Groups have webhooks \
                 in Premium and Ultimate only. With a signing token instead, GitLab signs: that is \
                 the provider gitlab-signed.",
            )
            .setup_read_in("https://docs.gitlab.com/user/project/integrations/webhooks/")
            .id(Field::First(vec![
                header("idempotency-key"),
                header("x-gitlab-event-uuid"),
                header("webhook-id"),
            ]))
            .kind(Field::First(vec![header("x-gitlab-event"), json("/object_kind")]))
            .deadline(10_000, "disabled for a while after 4 failures in a row, for good after 40")
            .verified("n8n-nodes-base 2.41.2; nuxt-webhook-validators"),
        super::basics::standard(
            "gitlab-signed",
            "GitLab, signing token",
            "webhook",
            KeyForm::Standard,
        )
        .docs("https://docs.gitlab.com/user/project/integrations/webhooks/")
        .setup(
            "Settings of the project or group, Webhooks: add one with the URL below, a signing \
             token, and the triggers. By API it is the field `signing_token` of POST \
             /projects/{id}/hooks: `whsec_` and the base64 of 32 random bytes, and it is never \
             shown again. The secret token of the same form is another thing: that is the provider \
             gitlab.",
        )
        .kind(Field::First(vec![header("x-gitlab-event"), json("/object_kind")]))
        .source("gitlab-org/gitlab merge requests 230944 and 231325"),
        hex("bitbucket", "Bitbucket", "x-hub-signature", "sha256=")
            .docs("https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/")
            .setup(
                "Repository settings, Webhooks, Add webhook: a title, the URL below, a secret of \
                 your own choice, and the triggers. Without a secret Bitbucket does not sign.",
            )
            .id(header("x-request-uuid"))
            .kind(header("x-event-key"))
            .verified("nuxt-webhook-validators"),
        gitea(
            hex("gitea", "Gitea", "x-gitea-signature", ""),
            ("x-gitea-delivery", "x-gitea-event"),
        )
        .docs("https://docs.gitea.com/usage/webhooks")
        .setup(
            "Settings of the repository or organization, Webhooks, Add Webhook, Gitea: the URL \
             below as target URL, POST, application/json, a secret of your own choice, and the \
             events. Test Delivery on the webhook's page sends one. Gitea calls addresses inside \
             its own network only if `ALLOWED_HOST_LIST` of its configuration allows it.",
        )
        .setup_read_in("https://docs.gitea.com/usage/webhooks"),
        gitea(
            hex("forgejo", "Forgejo", "x-forgejo-signature", ""),
            ("x-forgejo-delivery", "x-forgejo-event"),
        )
        .docs("https://forgejo.org/docs/latest/user/webhooks/")
        .setup(
            "Settings of the repository or organization, Webhooks, Add Webhook, Forgejo: the URL \
             below as target URL, POST, application/json, a secret of your own choice, and the \
             events. Test Delivery on the webhook's page sends one. Forgejo calls addresses inside \
             its own network only if `ALLOWED_HOST_LIST` of its configuration allows it.",
        ),
        hex("planetscale", "PlanetScale", "x-planetscale-signature", "")
            .kind(json("/event"))
            .docs("https://planetscale.com/docs/api/webhooks")
            .setup(
                "The database, Settings, Webhooks, Add webhook (administrators of the database): \
                 the URL below, HTTPS, and the events. Its secret is shown on the webhook's page. A \
                 webhook belongs to one database.",
            )
            .source("@trigger.dev/core 4.8.3"),
        Provider::token("supabase", "Supabase database webhooks", Token::Bearer)
            .docs("https://supabase.com/docs/guides/database/webhooks")
            .setup(
                "Database Webhooks in the project's dashboard: create a hook for a table and its \
                 events (insert, update, delete), an HTTP request by POST to the URL below, with a \
                 header `Authorization` of the value `Bearer` and the secret of the source. In SQL \
                 the same is a trigger that executes `supabase_functions.http_request`.",
            )
            .setup_read_in("https://supabase.com/docs/guides/database/webhooks")
            .kind(Field::Joined { fields: vec![json("/table"), json("/type")], with: ".".into() })
            .caveat("It signs nothing: give the hook a header `Authorization: Bearer …`.")
            .source("@trigger.dev/core 4.8.3"),
    ]
}

fn builds() -> Vec<Provider> {
    vec![
        hex("circleci", "CircleCI", "circleci-signature", "")
            .signed(|signed| signed.signatures = vec![Place::fields("circleci-signature", Fields::listed(",", '=', "v1"))])
            .docs("https://circleci.com/docs/outbound-webhooks/")
            .setup(
                "Project Settings, Webhooks, Add Webhook: the URL below as receiver URL, the events \
                 (workflow-completed, job-completed), and a secret token of your own choice. A \
                 webhook belongs to one project. Without a secret token nothing is signed.",
            )
            .id(json("/id"))
            .kind(Field::First(vec![header("circleci-event-type"), json("/type")]))
            .deadline(10_000, "later")
            .verified("vectors in CircleCI's documentation"),
        sha1("vercel", "Vercel", ("x-vercel-signature", "", Hex))
            .docs("https://vercel.com/docs/webhooks/webhooks-api")
            .setup("Settings of the team, Webhooks (Pro and Enterprise): create one with the URL below. The secret is shown once; webhooks of an integration are signed with its client secret.")
            .id(json("/id"))
            .kind(json("/type"))
            .verified("nuxt-webhook-validators"),
        jwt("netlify", "Netlify", "x-webhook-signature", |jwt| {
            jwt.claims.issuers = vec!["netlify".into()];
            jwt.claims.body_hash = Some(("/sha256".into(), Hex));
        })
        .docs("https://docs.netlify.com/deploy/deploy-notifications/")
        .setup(
            "Project configuration, Notifications, Deploy notifications (emails and webhooks), Add \
             notification, HTTP POST request: the event, the URL below, and a JWS secret token of \
             your own choice. Each event is a notification of its own. Without the token nothing is \
             signed.",
        )
        .id(Field::Joined { fields: vec![json("/id"), json("/state")], with: ":".into() })
        .kind(Field::First(vec![header("x-netlify-event"), json("/state")]))
        .caveat("The token never expires: a captured request can be sent again.")
        .verified("PyJWT; n8n-nodes-base 2.41.2; nuxt-webhook-validators"),
        base64("heroku", "Heroku", "heroku-webhook-hmac-sha256", "")
            .docs("https://devcenter.heroku.com/articles/app-webhooks")
            .setup(
                "`heroku webhooks:add -i api:release -l notify -u URL -s SECRET -a APP`, with the \
                 URL below, the entities that you want after `-i`, and a secret of your own choice; \
                 without `-s` Heroku makes one and prints it this once. The level `notify` tries \
                 each notification once, `sync` tries again when it fails. The API's call is POST \
                 /apps/{app}/webhooks.",
            )
            .id(Field::First(vec![header("heroku-webhook-id"), json("/id")]))
            .kind(dotted(vec![json("/resource"), json("/action")]))
            .caveat("The header with the id is from general knowledge.")
            .verified("nuxt-webhook-validators"),
        stamped("tailscale", "Tailscale", "tailscale-webhook-signature", t_v1())
            .docs("https://tailscale.com/kb/1213/webhooks")
            .setup(
                "Admin console, Settings, Webhooks, Add endpoint: the URL below and the events. The \
                 secret (tskey-webhook-…) is shown once, when the endpoint is made, and can be \
                 rotated later. The format must be the generic one: those for Slack, Mattermost, \
                 Google Chat and Discord have another body.",
            )
            .kind(json("/0/type"))
            .caveat("The body is an array of events.")
            .source("Tailscale's documentation"),
        Provider::token("datadog", "Datadog", Token::Header("x-webhook-token".into()))
            .docs("https://docs.datadoghq.com/integrations/webhooks/")
            .setup(
                "Integrations, Webhooks: New, with a name, the URL below, a payload that has at \
                 least `\"id\": \"$ID\"` and `\"event_type\": \"$EVENT_TYPE\"`, and the custom \
                 headers `{\"X-Webhook-Token\": \"…\"}` with the secret of the source. Leave Encode \
                 as form off. Monitors call it when their message mentions `@webhook-` and its \
                 name.",
            )
            .id(json("/id"))
            .kind(json("/event_type"))
            .caveat("It signs nothing: give the webhook a custom header X-Webhook-Token.")
            .caveat("The payload is a template of yours: put $ID and $EVENT_TYPE into `id` and `event_type`.")
            .uncertain("general knowledge"),
        hex("infisical", "Infisical", "x-infisical-signature", "")
            .signed(|signed| {
                signed.signatures = vec![Place::fields("x-infisical-signature", Fields::stamped(";", "t", ""))];
                signed.stamp = Some(Stamp { at: None, unit: Unit::Millis, tolerance: Tolerance::OFF });
            })
            .docs("https://infisical.com/docs/documentation/platform/webhooks")
            .setup(
                "Project Settings, Webhooks: add one of the type General (those for Slack and Teams \
                 have another body) with the URL below, an environment and secret path if you like, \
                 and a secret key of your own choice. Without a secret key nothing is signed.",
            )
            .kind(json("/event"))
            .caveat("The timestamp is not signed.")
            .source("@trigger.dev/core 4.8.3"),
        stamped("langfuse", "Langfuse", "x-langfuse-signature", t_v1())
            .id(json("/id"))
            .docs("https://langfuse.com/docs/prompt-management/features/webhooks-slack-integrations")
            .setup(
                "In the project, Prompts, Automations, Create Automation: the prompt version event, \
                 its actions (created, updated, deleted), and a webhook with the URL below, HTTPS. \
                 The signing secret (lf-whsec_…) is shown when it is made.",
            )
            .kind(json("/type"))
            .source("@trigger.dev/core 4.8.3"),
        sha1("taiga", "Taiga", ("x-taiga-webhook-signature", "", Hex))
            .docs("https://docs.taiga.io/webhooks.html")
            .setup(
                "Project settings (administrators), Integrations, Webhooks, Add a new webhook: a \
                 name, the URL below, and a secret key of your own choice. It sends everything that \
                 happens to user stories, tasks, issues and wiki pages; there is nothing to choose. \
                 Test webhook sends one.",
            )
            .kind(dotted(vec![json("/type"), json("/action")]))
            .verified("n8n-nodes-base 2.41.2"),
    ]
}

fn trackers() -> Vec<Provider> {
    vec![
        hex("linear", "Linear", "linear-signature", "")
            .signed(|signed| {
                let at = Some(json("/webhookTimestamp"));
                signed.stamp =
                    Some(Stamp { at, unit: Unit::Millis, tolerance: Tolerance::both(60) });
            })
            .docs("https://linear.app/developers/webhooks")
            .setup(
                "As an admin of the workspace, Settings, API, New webhook: the URL below, all public \
                 teams or one team, and the resource types. Linear makes the signing secret and \
                 shows it on the webhook's page. Webhooks of an OAuth application are set up with \
                 the application, and come from each workspace that authorizes it.",
            )
            .setup_read_in("https://developers.linear.app/docs/graphql/webhooks")
            .id(header("linear-delivery"))
            .kind(Field::First(vec![header("linear-event"), json("/type")]))
            .deadline(5000, "after 1 minute, 1 hour and 6 hours")
            .success(200)
            .caveat("The time in the body counts; the header Linear-Timestamp is not signed.")
            .verified("@linear/sdk 98.0.0"),
        hex("jira", "Atlassian Jira", "x-hub-signature", "sha256=")
            .docs("https://developer.atlassian.com/cloud/jira/platform/webhooks/")
            .setup(
                "As a Jira administrator, System, WebHooks, Create a WebHook: the URL below, a JQL \
                 filter if you like, the events, and a secret, of your own choice or generated \
                 there. Do not tick Exclude body. Webhooks of OAuth and Connect apps \
                 (`/rest/api/3/webhook`) have no secret, and are refused.",
            )
            .id(header("x-atlassian-webhook-identifier"))
            .kind(json("/webhookEvent"))
            .caveat("Only webhooks that an administrator registered with a secret are signed.")
            .source("jira.js documentation; @trigger.dev/core 4.8.3"),
        sha1("trello", "Trello", ("x-trello-webhook", "", Base64))
            .message("{body}{url}")
            .docs("https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/")
            .setup(
                "Once the source exists, POST /1/webhooks with `callbackURL` (the URL below, which \
                 is also `public_url`), `idModel` (a board, card, list or member), your API key and \
                 a token. Trello sends a HEAD request first and makes no webhook unless it gets \
                 200. The secret is the API secret of the Power-Up's page at \
                 trello.com/power-ups/admin, not the token.",
            )
            .id(json("/action/id"))
            .kind(json("/action/type"))
            .challenge(Challenge::Probe)
            .caveat("The public URL is signed: it must be the callback URL exactly as registered.")
            .retries("3 times: after 30, 60 and 120 s")
            .verified("n8n-nodes-base 2.41.2"),
        hex("clickup", "ClickUp", "x-signature", "")
            .docs("https://developer.clickup.com/docs/webhooksignature")
            .setup(
                "POST /api/v2/team/{team_id}/webhook with `endpoint` (the URL below) and `events` \
                 (`*` for all), and perhaps `space_id`, `folder_id`, `list_id` or `task_id`. The \
                 secret is `webhook.secret` in the answer.",
            )
            .kind(json("/event"))
            .source("developer.clickup.com; n8n-nodes-base 2.41.2"),
        hex("asana", "Asana", "x-hook-signature", "")
            .docs("https://developers.asana.com/docs/webhooks-guide")
            .setup(
                "Once the source exists, POST /api/1.0/webhooks with `data.resource` (the id of a \
                 project, task or other object), `data.target` (the URL below) and perhaps \
                 `data.filters`. Asana calls the URL before it answers and hands out the secret, \
                 which the source keeps. One source takes the secret of one webhook: give each \
                 webhook a source of its own.",
            )
            .kind(dotted(vec![json("/events/0/resource/resource_type"), json("/events/0/action")]))
            .challenge(Challenge::AsanaSecret)
            .deadline(10_000, "for 24 hours")
            .caveat("One request carries a batch of events and has no id.")
            .verified("n8n-nodes-base 2.41.2"),
        jwt("monday", "monday.com", "authorization", |_| {})
            .docs("https://developer.monday.com/apps/docs/mondayapps-webhooks")
            .setup(
                "With the token of an integration app, the GraphQL mutation \
                 `create_webhook(board_id, url, event)` with the URL below; the question that \
                 monday asks at once is answered. The secret is the app's signing secret (Developer \
                 Center, the app, Basic Information). Webhooks made with a personal token or by the \
                 board's own Webhooks integration may carry no token, and are refused.",
            )
            .kind(json("/event/type"))
            .challenge(Challenge::JsonEcho)
            .deadline(180_000, "for 30 minutes")
            .caveat("The token vouches for the sender and not for the body.")
            .uncertain("general knowledge: the handshake has a vector, the token has none"),
        hex("smartsheet", "Smartsheet", "smartsheet-hmac-sha256", "")
            .docs("https://developers.smartsheet.com/api/smartsheet/guides/webhooks")
            .setup(
                "POST /2.0/webhooks with `name`, `callbackUrl` (the URL below), `scope` `sheet`, \
                 `scopeObjectId`, `events` `[\"*.*\"]` and `version` 1; the answer has the \
                 `sharedSecret`. Give it to the source, then PUT /2.0/webhooks/{id} with \
                 `{\"enabled\": true}`: only then Smartsheet asks its question and begins to send.",
            )
            .kind(json("/events/0/eventType"))
            .challenge(Challenge::SmartsheetHeader)
            .uncertain("general knowledge: the handshake has a vector, the signature has none"),
        hex("notion", "Notion", "x-notion-signature", "sha256=")
            .docs("https://developers.notion.com/reference/webhooks")
            .setup(
                "The connection (it was called integration) under notion.so/developers/connections, \
                 Webhooks: create a subscription with the URL below and the events. Notion sends a \
                 verification token to the URL, which `doorbell source reveal-secret` shows: paste \
                 it there under Verify. The URL can be changed only before that; later delete the \
                 subscription and create another, which has another token.",
            )
            .setup_read_in("https://developers.notion.com/reference/webhooks")
            .id(json("/id"))
            .kind(json("/type"))
            .challenge(Challenge::NotionToken)
            .caveat("The key is the verification token that Notion sends when the webhook is made.")
            .verified("@notionhq/client 5.26.0"),
        Provider::token("figma", "Figma", Token::Field(json("/passcode")))
            .docs("https://developers.figma.com/docs/rest-api/webhooks/")
            .setup(
                "POST /v2/webhooks with `event_type`, `context` (team, project or file) and \
                 `context_id`, `endpoint` (the URL below), and `passcode`, a secret of your own \
                 choice, which comes back in the body of every event. Figma sends a PING at once. A \
                 webhook is for one event type.",
            )
            .kind(json("/event_type"))
            .source("n8n-nodes-base 2.41.2"),
        hex("plain", "Plain", "plain-request-signature", "")
            .signed(|signed| {
                let at = Some(json("/timestamp"));
                signed.stamp = Some(Stamp { at, unit: Unit::Iso8601, tolerance: FIVE_MINUTES });
            })
            .id(json("/id"))
            .docs("https://www.plain.com/docs/api-reference/request-signing")
            .setup(
                "Settings, Webhooks, Add webhook target: a name, the URL below, and the events. \
                 Requests are signed with the one secret of the workspace, which administrators \
                 make and see under Settings, Request signing: make it first, since without it \
                 nothing is signed.",
            )
            .kind(json("/type"))
            .retries("12 times in 5 days: after 10 s, 30 s, 5 and 30 minutes, 1, 3, 6 and 12 hours, then daily")
            .source("@trigger.dev/core 4.8.3"),
    ]
}

fn content() -> Vec<Provider> {
    vec![
        hex("contentful", "Contentful", "x-contentful-signature", "")
            .signed(|signed| {
                let at = Some(header("x-contentful-timestamp"));
                signed.stamp = Some(Stamp { at, unit: Unit::Millis, tolerance: Tolerance { past: Some(30), future: Some(300) } });
                signed.message = vec![
                    Piece::Method,
                    Piece::Text("\n".into()),
                    Piece::PathEscaped,
                    Piece::Text("\n".into()),
                    Piece::ListedHeaders {
                        list: "x-contentful-signed-headers".into(),
                        with: "x-contentful-timestamp".into(),
                    },
                    Piece::Text("\n".into()),
                    Piece::Body,
                ];
            })
            .docs("https://www.contentful.com/developers/docs/extensibility/app-framework/request-verification/")
            .setup(
                "Settings of the space, Webhooks: add one with the URL below, method POST and its \
                 triggers. Then, on the tab Settings of the same page, Enable request verification: \
                 the signing secret that is made there is the source's, is one for the whole space, \
                 and signs every webhook of it. By API: PUT \
                 /spaces/{space_id}/webhook_settings/signing_secret with a value of exactly 64 \
                 characters.",
            )
            .kind(header("x-contentful-topic"))
            .verified("@contentful/node-apps-toolkit 3.16.1"),
        stamped("sanity", "Sanity", "sanity-webhook-signature", t_v1())
            .signed(|signed| {
                signed.encoding = Base64Url;
                signed.stamp = Some(Stamp { at: None, unit: Unit::Millis, tolerance: Tolerance::OFF });
            })
            .docs("https://www.sanity.io/docs/content-lake/webhook-best-practices")
            .setup(
                "sanity.io/manage, the project, API, Webhooks, Create webhook: the URL below, \
                 dataset, triggers (create, update, delete), a GROQ filter and projection if you \
                 like, method POST, and a secret of your own choice. Drafts are left out unless \
                 switched on. Without a secret nothing is signed.",
            )
            .id(header("idempotency-key"))
            .kind(header("sanity-operation"))
            .deadline(30_000, "twice, 30 s apart, on 429 and 5xx")
            .verified("@sanity/webhook 4.0.4"),
        stamped("hygraph", "Hygraph", "gcms-signature", Fields {
            names: Some("env".into()),
            ..Fields::stamped(",", "t", "sign")
        })
        .signed(|signed| {
            signed.encoding = Base64;
            signed.stamp = Some(Stamp { at: None, unit: Unit::Millis, tolerance: FIVE_MINUTES });
            signed.message = vec![
                Piece::Text("{\"Body\":".into()),
                Piece::BodyQuoted,
                Piece::Text(",\"EnvironmentName\":\"".into()),
                Piece::Names,
                Piece::Text("\",\"TimeStamp\":".into()),
                Piece::Timestamp,
                Piece::Text("}".into()),
            ];
        })
        .docs("https://hygraph.com/docs/api-reference/basics/webhooks")
        .setup(
            "Project settings, Webhooks, Add webhook: the URL below, method POST, Include payload, \
             a secret key of your own choice, and the triggers (models, stages, actions; none \
             chosen means all). A webhook belongs to one environment. Without a secret key nothing \
             is signed.",
        )
        .kind(json("/operation"))
        .deadline(3000, "4 times")
        .source("nuxt-webhook-validators"),
        hex("webflow", "Webflow", "x-webflow-signature", "")
            .at("x-webflow-timestamp", (Unit::Millis, FIVE_MINUTES), "{timestamp}:{body}")
            .docs("https://developers.webflow.com/data/docs/working-with-webhooks")
            .setup(
                "POST /v2/sites/{site_id}/webhooks with `triggerType` and `url` (the URL below), by \
                 a token with the scope sites:write. Webhooks of an OAuth app are signed with the \
                 app's client secret; for those made with a site token the answer has `secretKey`. \
                 Webhooks from the site's dashboard (Apps & integrations) are not signed, and are \
                 refused.",
            )
            .kind(json("/triggerType"))
            .retries("twice")
            .verified("n8n-nodes-base 2.41.2"),
        jwt("fusionauth", "FusionAuth", "x-fusionauth-signature-jwt", |jwt| {
            jwt.algorithms = vec![Algorithm::Hmac(Hash::Sha256), Algorithm::Hmac(Hash::Sha384), Algorithm::Hmac(Hash::Sha512)];
            jwt.claims.body_hash = Some(("/request_body_sha256".into(), Base64));
        })
        .or(jwt_scheme("x-fusionauth-signature-jwt", |jwt| {
            jwt.algorithms =
                vec![Algorithm::RsaSha256, Algorithm::RsaSha512, Algorithm::EcdsaP256Fixed, Algorithm::Ed25519];
            jwt.source = KeySource::Setting("jwks_url".into());
            jwt.claims.body_hash = Some(("/request_body_sha256".into(), Base64));
        }))
        .docs("https://fusionauth.io/docs/extend/events-and-webhooks/signing")
        .setup(
            "Settings, Key Master: make or import an HMAC key, whose secret is the source's (or an \
             RSA, EC or EdDSA key, and the option jwks_url is your FusionAuth with \
             `/.well-known/jwks.json`). Settings, Webhooks, Add: the URL below, the events, and on \
             the tab Security sign events with that key. Tenants, the tenant, Webhooks: switch the \
             same events on, or nothing is sent.",
        )
        .takes("jwks_url", "The address of your FusionAuth's JWK set, when it signs with RSA, ECDSA or EdDSA")
        .id(json("/event/id"))
        .kind(json("/event/type"))
        .caveat("Give a public key as PEM or JWK: 32 bytes in hex or base64 are taken for the secret of an HMAC.")
        .verified("PyJWT (HS256)"),
    ]
}
