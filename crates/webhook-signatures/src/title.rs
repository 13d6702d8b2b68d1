//! One line for people about an event: "push to main by octocat, 3 commits".

use crate::json;
use std::borrow::Cow;

/// The longest title, in characters.
pub const TITLE_MAX: usize = 160;

/// A line about an event of a common kind; `None` for others, whose type says what there is to say.
///
/// `event_type` is the one that [`crate::describe()`] reads. Text from the body is cut to [`TITLE_MAX`] and freed from
/// control characters; it is still the sender's text, to be shown as text.
#[must_use]
pub fn title(provider: &str, event_type: &str, body: &[u8]) -> Option<String> {
    let fits = |kind: &str| match kind.strip_suffix('*') {
        Some(start) => event_type.starts_with(start),
        None => kind == event_type,
    };
    let mut own = TITLES.iter().filter(|(name, kind, _)| *name == provider && fits(kind));
    own.find_map(|(_, _, template)| fill(template, body))
}

/// Provider, type (a `*` at its end is any end), and the line with JSON pointers in braces. After a colon stands how
/// the value is shown: `branch` without `refs/heads/`, `count` of an array, `short` for seven characters, `cents` with
/// two decimals. A line whose value is missing does not fit, and the next is tried.
const TITLES: &[(&str, &str, &str)] = &[
    (
        "github",
        "push",
        "push to {/ref:branch} by {/pusher/name}, {/commits:count} commits in {/repository/full_name}",
    ),
    ("github", "ping", "ping from {/repository/full_name}"),
    ("github", "ping", "ping from {/organization/login}"),
    (
        "github",
        "pull_request.*",
        "pull request #{/number} {/action} by {/sender/login}: {/pull_request/title}",
    ),
    ("github", "issues.*", "issue #{/issue/number} {/action} by {/sender/login}: {/issue/title}"),
    (
        "github",
        "issue_comment.*",
        "comment on #{/issue/number} {/action} by {/sender/login}: {/issue/title}",
    ),
    ("github", "star.*", "star {/action} by {/sender/login} on {/repository/full_name}"),
    ("github", "fork", "{/forkee/full_name} forked from {/repository/full_name}"),
    ("github", "release.*", "release {/release/tag_name} {/action} in {/repository/full_name}"),
    (
        "github",
        "workflow_run.completed",
        "workflow {/workflow_run/name} on {/workflow_run/head_branch}: {/workflow_run/conclusion}",
    ),
    (
        "github",
        "workflow_run.*",
        "workflow {/workflow_run/name} on {/workflow_run/head_branch} {/action}",
    ),
    ("github", "check_run.*", "check {/check_run/name} {/action} at {/check_run/head_sha:short}"),
    (
        "github",
        "deployment_status*",
        "deployment to {/deployment/environment}: {/deployment_status/state}",
    ),
    ("github", "*", "{/action} by {/sender/login} in {/repository/full_name}"),
    (
        "gitlab",
        "Push Hook",
        "push to {/ref:branch} by {/user_name}, {/total_commits_count} commits in {/project/path_with_namespace}",
    ),
    (
        "gitlab",
        "Merge Request Hook",
        "merge request !{/object_attributes/iid} by {/user/name}: {/object_attributes/title}",
    ),
    (
        "bitbucket",
        "repo:push",
        "push to {/push/changes/0/new/name} by {/actor/display_name} in {/repository/full_name}",
    ),
    (
        "stripe",
        "invoice.paid",
        "invoice paid: {/data/object/amount_paid:cents} {/data/object/currency}",
    ),
    (
        "stripe",
        "invoice.payment_failed",
        "invoice payment failed: {/data/object/amount_due:cents} {/data/object/currency}",
    ),
    (
        "stripe",
        "payment_intent.succeeded",
        "payment of {/data/object/amount:cents} {/data/object/currency} succeeded",
    ),
    (
        "stripe",
        "payment_intent.payment_failed",
        "payment of {/data/object/amount:cents} {/data/object/currency} failed",
    ),
    (
        "stripe",
        "charge.succeeded",
        "charge of {/data/object/amount:cents} {/data/object/currency} succeeded",
    ),
    (
        "stripe",
        "charge.refunded",
        "refund of {/data/object/amount_refunded:cents} {/data/object/currency}",
    ),
    (
        "stripe",
        "charge.dispute.*",
        "dispute over {/data/object/amount:cents} {/data/object/currency}: {/data/object/status}",
    ),
    (
        "stripe",
        "checkout.session.completed",
        "checkout completed: {/data/object/amount_total:cents} {/data/object/currency}",
    ),
    (
        "stripe",
        "customer.subscription.*",
        "subscription {/data/object/id} of {/data/object/customer}: {/data/object/status}",
    ),
    ("stripe", "customer.*", "customer {/data/object/id} {/data/object/email}"),
    (
        "stripe",
        "payout.*",
        "payout of {/data/object/amount:cents} {/data/object/currency}: {/data/object/status}",
    ),
    ("shopify", "orders/*", "order {/name}: {/total_price} {/currency}"),
    ("woocommerce", "order.*", "order {/id}: {/total} {/currency}, {/status}"),
    ("slack", "app_mention", "mention by {/event/user} in {/event/channel}: {/event/text}"),
    ("slack", "message", "message by {/event/user} in {/event/channel}: {/event/text}"),
    ("linear", "Issue", "issue {/action}: {/data/title}"),
    ("jira", "jira:issue_*", "{/issue/key} by {/user/displayName}: {/issue/fields/summary}"),
    ("sentry", "issue.*", "issue {/action}: {/data/issue/title}"),
    ("pagerduty", "incident.*", "incident #{/event/data/number}: {/event/data/title}"),
    (
        "circleci",
        "workflow-completed",
        "workflow {/workflow/name} {/workflow/status} in {/project/name}",
    ),
    ("circleci", "job-completed", "job {/job/name} {/job/status} in {/project/name}"),
    (
        "vercel",
        "deployment.*",
        "deployment of {/payload/deployment/name}: {/payload/deployment/url}",
    ),
    ("telegram", "message", "message: {/message/text}"),
    ("line", "message", "message: {/events/0/message/text}"),
    ("zoom", "meeting.*", "meeting {/payload/object/topic}"),
    (
        "meta",
        "whatsapp_business_account.messages",
        "message from {/entry/0/changes/0/value/messages/0/from}: {/entry/0/changes/0/value/messages/0/text/body}",
    ),
    ("paypal", "*", "{/summary}"),
    ("paddle", "transaction.*", "transaction {/data/id}: {/data/status}"),
    (
        "razorpay",
        "payment.*",
        "payment {/payload/payment/entity/id}: {/payload/payment/entity/amount:cents} {/payload/payment/entity/currency}",
    ),
    (
        "adyen",
        "AUTHORISATION",
        "authorisation of {/notificationItems/0/NotificationRequestItem/amount/value:cents} {/notificationItems/0/NotificationRequestItem/amount/currency}, success {/notificationItems/0/NotificationRequestItem/success}",
    ),
    ("gocardless", "*", "{/events/0/details/description}"),
    ("sendgrid", "*", "{/0/event}: {/0/email}"),
    ("resend", "email.*", "email {/data/email_id}"),
    ("clerk", "user.*", "user {/data/id}"),
    ("calendly", "invitee.*", "invitee {/payload/name}"),
    ("typeform", "form_response", "answer to {/form_response/definition/title}"),
    ("aws-sns", "Notification", "{/Subject}"),
    ("aws-sns", "*", "{/Message}"),
];

fn fill(template: &str, body: &[u8]) -> Option<String> {
    let mut line = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        line.push_str(before);
        let (pointer, form) = name.split_once(':').unwrap_or((name, ""));
        line.push_str(&value(body, pointer, form)?);
        rest = after;
    }
    line.push_str(rest);
    let plain = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    Some(plain.take(TITLE_MAX).collect())
}

fn value<'a>(body: &'a [u8], pointer: &str, form: &str) -> Option<Cow<'a, str>> {
    let raw = json::find(body, pointer)?;
    if form == "count" {
        return Some(Cow::Owned(json::elements(raw, 10_000)?.len().to_string()));
    }
    let text = json::text(raw).filter(|text| !text.is_empty())?;
    Some(match form {
        "branch" => {
            let name = text.strip_prefix("refs/heads/").or_else(|| text.strip_prefix("refs/tags/"));
            Cow::Owned(name.unwrap_or(&text).to_owned())
        }
        "short" => Cow::Owned(text.chars().take(7).collect()),
        "cents" => {
            let cents = crate::time::digits(text.as_bytes())?;
            Cow::Owned(format!("{}.{:02}", cents / 100, cents % 100))
        }
        _ => text,
    })
}
