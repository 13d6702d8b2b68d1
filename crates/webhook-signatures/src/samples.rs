//! Sample events for `trigger`: a body and the headers that go with it, without the signature.
//!
//! The bodies stand in `samples/`. Which are published by the provider and which are made up in its form is said in
//! each row. A provider without one gets the plain body that its row describes, so that everyone can be triggered.

use crate::plain::Plain;
use crate::providers::all;
use std::sync::LazyLock;

/// One sample event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The provider's name.
    pub provider: &'static str,
    /// The event's type, as [`crate::describe()`] reads it; empty where it reads none.
    pub event_type: &'static str,
    /// The body's content type.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body.
    pub body: &'static [u8],
    /// Where it is from.
    pub origin: Origin,
}

/// Where a sample is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The provider, its library or its documentation, which is named.
    Published(&'static str),
    /// Us: made up in the provider's form.
    Made,
    /// Nobody: it has the fields that are read here, and no more.
    Plain,
}

/// Rows that are another's with a stricter or an older check, and get the same events.
const SAME: [(&str, &str); 5] = [
    ("aws-sns-v2", "aws-sns"),
    ("github-sha1", "github"),
    ("gitlab-signed", "gitlab"),
    ("hubspot-v3", "hubspot"),
    ("twilio-sha256", "twilio"),
];

static PLAIN: LazyLock<Vec<Plain>> = LazyLock::new(|| {
    let has_own = |name: &str| {
        SAMPLES.iter().any(|own| own.provider == name) || SAME.iter().any(|(row, _)| *row == name)
    };
    all().iter().filter(|row| !has_own(&row.name)).map(Plain::of).collect()
});

static ALL: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let shared = SAME.iter().flat_map(|(row, of)| {
        let theirs = SAMPLES.iter().filter(move |own| own.provider == *of);
        theirs.map(|own| Sample { provider: row, ..*own })
    });
    let plain = PLAIN.iter().map(|plain| Sample {
        provider: plain.provider,
        event_type: &plain.event_type,
        content_type: plain.content_type,
        headers: &plain.headers,
        body: &plain.body,
        origin: Origin::Plain,
    });
    SAMPLES.iter().copied().chain(shared).chain(plain).collect()
});

/// All samples: the published and made up ones by provider, then the plain ones.
#[must_use]
pub fn samples() -> &'static [Sample] {
    &ALL
}

/// The sample of a provider's event, or its first sample where no type is asked for.
#[must_use]
pub fn sample(provider: &str, event_type: Option<&str>) -> Option<&'static Sample> {
    let mut own = ALL.iter().filter(|sample| sample.provider == provider);
    own.find(|sample| event_type.is_none_or(|wanted| wanted == sample.event_type))
}

const JSON: &str = "application/json";

static SAMPLES: &[Sample] = &[
    Sample {
        provider: "adyen",
        event_type: "AUTHORISATION",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/adyen.AUTHORISATION.json"),
        origin: Origin::Published("adyen-python-api-library tests"),
    },
    Sample {
        provider: "aws-sns",
        event_type: "Notification",
        content_type: "text/plain; charset=UTF-8",
        headers: &[("x-amz-sns-message-type", "Notification")],
        body: include_bytes!("../samples/aws-sns.Notification.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "bitbucket",
        event_type: "repo:push",
        content_type: JSON,
        headers: &[("X-Event-Key", "repo:push")],
        body: include_bytes!("../samples/bitbucket.repo:push.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "braintree",
        event_type: "subscription_went_past_due",
        content_type: "application/x-www-form-urlencoded",
        headers: &[],
        body: include_bytes!("../samples/braintree.subscription_went_past_due.form"),
        origin: Origin::Published("braintree webhook_testing"),
    },
    Sample {
        provider: "calendly",
        event_type: "invitee.created",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/calendly.invitee.created.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "circleci",
        event_type: "workflow-completed",
        content_type: JSON,
        headers: &[("circleci-event-type", "workflow-completed")],
        body: include_bytes!("../samples/circleci.workflow-completed.json"),
        origin: Origin::Published("CircleCI documentation"),
    },
    Sample {
        provider: "circleci",
        event_type: "job-completed",
        content_type: JSON,
        headers: &[("circleci-event-type", "job-completed")],
        body: include_bytes!("../samples/circleci.job-completed.json"),
        origin: Origin::Published("CircleCI documentation"),
    },
    Sample {
        provider: "clerk",
        event_type: "user.created",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/clerk.user.created.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "discord",
        event_type: "ENTITLEMENT_CREATE",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/discord.ENTITLEMENT_CREATE.json"),
        origin: Origin::Published("discord-api-docs"),
    },
    Sample {
        provider: "discord",
        event_type: "LOBBY_MESSAGE_DELETE",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/discord.LOBBY_MESSAGE_DELETE.json"),
        origin: Origin::Published("discord-api-docs"),
    },
    Sample {
        provider: "github",
        event_type: "deployment_status.created",
        content_type: JSON,
        headers: &[
            ("X-GitHub-Event", "deployment_status"),
            ("User-Agent", "GitHub-Hookshot/044aadd"),
        ],
        body: include_bytes!("../samples/github.deployment_status.created.json"),
        origin: Origin::Published("octokit/webhooks payload examples"),
    },
    Sample {
        provider: "github",
        event_type: "issue_comment.created",
        content_type: JSON,
        headers: &[("X-GitHub-Event", "issue_comment"), ("User-Agent", "GitHub-Hookshot/044aadd")],
        body: include_bytes!("../samples/github.issue_comment.created.json"),
        origin: Origin::Published("octokit/webhooks payload examples"),
    },
    Sample {
        provider: "github",
        event_type: "issues.opened",
        content_type: JSON,
        headers: &[("X-GitHub-Event", "issues"), ("User-Agent", "GitHub-Hookshot/044aadd")],
        body: include_bytes!("../samples/github.issues.opened.json"),
        origin: Origin::Published("octokit/webhooks payload examples"),
    },
    Sample {
        provider: "github",
        event_type: "ping",
        content_type: JSON,
        headers: &[("X-GitHub-Event", "ping"), ("User-Agent", "GitHub-Hookshot/044aadd")],
        body: include_bytes!("../samples/github.ping.json"),
        origin: Origin::Published("octokit/webhooks payload examples"),
    },
    Sample {
        provider: "github",
        event_type: "pull_request.opened",
        content_type: JSON,
        headers: &[("X-GitHub-Event", "pull_request"), ("User-Agent", "GitHub-Hookshot/044aadd")],
        body: include_bytes!("../samples/github.pull_request.opened.json"),
        origin: Origin::Published("octokit/webhooks payload examples"),
    },
    Sample {
        provider: "github",
        event_type: "push",
        content_type: JSON,
        headers: &[("X-GitHub-Event", "push"), ("User-Agent", "GitHub-Hookshot/044aadd")],
        body: include_bytes!("../samples/github.push.json"),
        origin: Origin::Published("octokit/webhooks payload examples"),
    },
    Sample {
        provider: "github",
        event_type: "release.published",
        content_type: JSON,
        headers: &[("X-GitHub-Event", "release"), ("User-Agent", "GitHub-Hookshot/044aadd")],
        body: include_bytes!("../samples/github.release.published.json"),
        origin: Origin::Published("octokit/webhooks payload examples"),
    },
    Sample {
        provider: "github",
        event_type: "star.created",
        content_type: JSON,
        headers: &[("X-GitHub-Event", "star"), ("User-Agent", "GitHub-Hookshot/044aadd")],
        body: include_bytes!("../samples/github.star.created.json"),
        origin: Origin::Published("octokit/webhooks payload examples"),
    },
    Sample {
        provider: "github",
        event_type: "workflow_run.completed",
        content_type: JSON,
        headers: &[("X-GitHub-Event", "workflow_run"), ("User-Agent", "GitHub-Hookshot/044aadd")],
        body: include_bytes!("../samples/github.workflow_run.completed.json"),
        origin: Origin::Published("octokit/webhooks payload examples"),
    },
    Sample {
        provider: "gitlab",
        event_type: "Push Hook",
        content_type: JSON,
        headers: &[("X-Gitlab-Event", "Push Hook")],
        body: include_bytes!("../samples/gitlab.Push-Hook.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "gocardless",
        event_type: "subscriptions.created",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/gocardless.subscriptions.created.json"),
        origin: Origin::Published("gocardless-pro tests"),
    },
    Sample {
        provider: "google-pubsub",
        event_type: "OBJECT_FINALIZE",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/google-pubsub.OBJECT_FINALIZE.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "hubspot",
        event_type: "contact.creation",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/hubspot.contact.creation.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "jira",
        event_type: "jira:issue_updated",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/jira.jira:issue_updated.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "line",
        event_type: "message",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/line.message.json"),
        origin: Origin::Published("line-bot-sdk tests, its first event"),
    },
    Sample {
        provider: "linear",
        event_type: "Issue",
        content_type: JSON,
        headers: &[("Linear-Event", "Issue")],
        body: include_bytes!("../samples/linear.Issue.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "mailgun",
        event_type: "opened",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/mailgun.opened.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "mandrill",
        event_type: "send",
        content_type: "application/x-www-form-urlencoded",
        headers: &[],
        body: include_bytes!("../samples/mandrill.send.form"),
        origin: Origin::Made,
    },
    Sample {
        provider: "meta",
        event_type: "whatsapp_business_account.messages",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/meta.whatsapp_business_account.messages.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "notion",
        event_type: "page.created",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/notion.page.created.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "openai",
        event_type: "response.completed",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/openai.response.completed.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "paddle",
        event_type: "transaction.completed",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/paddle.transaction.completed.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "pagerduty",
        event_type: "incident.priority_updated",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/pagerduty.incident.priority_updated.json"),
        origin: Origin::Published("PagerDuty/developer-docs"),
    },
    Sample {
        provider: "pagerduty",
        event_type: "service.updated",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/pagerduty.service.updated.json"),
        origin: Origin::Published("PagerDuty/developer-docs"),
    },
    Sample {
        provider: "paypal",
        event_type: "PAYMENT.CAPTURE.COMPLETED",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/paypal.PAYMENT.CAPTURE.COMPLETED.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "plaid",
        event_type: "TRANSACTIONS.SYNC_UPDATES_AVAILABLE",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/plaid.TRANSACTIONS.SYNC_UPDATES_AVAILABLE.json"),
        origin: Origin::Published("plaid.com documentation"),
    },
    Sample {
        provider: "pusher",
        event_type: "channel_occupied",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/pusher.channel_occupied.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "razorpay",
        event_type: "payment.captured",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/razorpay.payment.captured.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "replicate",
        event_type: "succeeded",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/replicate.succeeded.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "resend",
        event_type: "email.sent",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/resend.email.sent.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "sendgrid",
        event_type: "dropped",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/sendgrid.dropped.json"),
        origin: Origin::Published("sendgrid-python tests"),
    },
    Sample {
        provider: "sentry",
        event_type: "issue.created",
        content_type: JSON,
        headers: &[("Sentry-Hook-Resource", "issue")],
        body: include_bytes!("../samples/sentry.issue.created.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "shopify",
        event_type: "orders/create",
        content_type: JSON,
        headers: &[
            ("X-Shopify-Topic", "orders/create"),
            ("X-Shopify-Shop-Domain", "example.myshopify.com"),
        ],
        body: include_bytes!("../samples/shopify.orders-create.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "slack",
        event_type: "/webhook-collect",
        content_type: "application/x-www-form-urlencoded",
        headers: &[],
        body: include_bytes!("../samples/slack.-webhook-collect.form"),
        origin: Origin::Published("Slack documentation"),
    },
    Sample {
        provider: "slack",
        event_type: "app_mention",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/slack.app_mention.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "square",
        event_type: "webhooks.test_notification",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/square.webhooks.test_notification.json"),
        origin: Origin::Published("square-python-sdk tests"),
    },
    Sample {
        provider: "standard-webhooks",
        event_type: "invoice.paid",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/standard-webhooks.invoice.paid.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "stripe",
        event_type: "charge.dispute.created",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.charge.dispute.created.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "charge.refunded",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.charge.refunded.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "charge.succeeded",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.charge.succeeded.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "checkout.session.completed",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.checkout.session.completed.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "customer.created",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.customer.created.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "customer.subscription.created",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.customer.subscription.created.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "customer.subscription.deleted",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.customer.subscription.deleted.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "invoice.paid",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.invoice.paid.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "invoice.payment_failed",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.invoice.payment_failed.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "payment_intent.payment_failed",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.payment_intent.payment_failed.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "payment_intent.succeeded",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.payment_intent.succeeded.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "stripe",
        event_type: "payout.paid",
        content_type: "application/json; charset=utf-8",
        headers: &[],
        body: include_bytes!("../samples/stripe.payout.paid.json"),
        origin: Origin::Published("stripe's fixtures"),
    },
    Sample {
        provider: "telegram",
        event_type: "message",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/telegram.message.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "twilio",
        event_type: "ringing",
        content_type: "application/x-www-form-urlencoded",
        headers: &[],
        body: include_bytes!("../samples/twilio.ringing.form"),
        origin: Origin::Made,
    },
    Sample {
        provider: "typeform",
        event_type: "form_response",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/typeform.form_response.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "vercel",
        event_type: "deployment.succeeded",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/vercel.deployment.succeeded.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "woocommerce",
        event_type: "order.updated",
        content_type: JSON,
        headers: &[("X-WC-Webhook-Topic", "order.updated")],
        body: include_bytes!("../samples/woocommerce.order.updated.json"),
        origin: Origin::Made,
    },
    Sample {
        provider: "zoom",
        event_type: "meeting.started",
        content_type: JSON,
        headers: &[],
        body: include_bytes!("../samples/zoom.meeting.started.json"),
        origin: Origin::Made,
    },
];
