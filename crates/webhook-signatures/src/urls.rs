//! Addresses that a request may name for a key or a confirmation. Strict on purpose: whoever can choose the address
//! can choose the key.

use crate::key::KeyRequest;
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scheme::KeyHost;
use std::borrow::Cow;

/// Whether `url` is a certificate of Amazon SNS in the region of the topic `topic_arn`:
/// `https://sns.REGION.amazonaws.com[.cn]/SimpleNotificationService-HEX.pem`, without port, user or query.
#[must_use]
pub fn is_sns_certificate(url: &str, topic_arn: &str) -> bool {
    let Some(path) = sns_path(url, topic_arn) else { return false };
    let name =
        path.strip_prefix("/SimpleNotificationService-").and_then(|rest| rest.strip_suffix(".pem"));
    name.is_some_and(|name| {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

/// Whether `url` confirms a subscription at Amazon SNS in the region of the topic:
/// `https://sns.REGION.amazonaws.com[.cn]/?Action=ConfirmSubscription&…`.
#[must_use]
pub fn is_sns_confirmation(url: &str, topic_arn: &str) -> bool {
    let Some(path) = sns_path(url, topic_arn) else { return false };
    url.len() <= 2048
        && path.starts_with("/?Action=ConfirmSubscription&")
        && url.bytes().all(|b| b.is_ascii_graphic())
}

/// The path of an address of Amazon SNS in the topic's region.
fn sns_path<'u>(url: &'u str, topic_arn: &str) -> Option<&'u str> {
    let mut arn = topic_arn.split(':');
    let (Some("arn"), Some(partition), Some("sns"), Some(region)) =
        (arn.next(), arn.next(), arn.next(), arn.next())
    else {
        return None;
    };
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !plain(region) {
        return None;
    }
    let domain = match partition {
        "aws" | "aws-us-gov" => "amazonaws.com",
        "aws-cn" => "amazonaws.com.cn",
        _ => return None,
    };
    url.strip_prefix("https://sns.")?
        .strip_prefix(region)?
        .strip_prefix('.')?
        .strip_prefix(domain)
        .filter(|p| p.starts_with('/'))
}

/// Whether `url` is a certificate of PayPal's, live or sandbox:
/// `https://api[-m][.sandbox].paypal.com/v1/notifications/certs/CERT-…`.
#[must_use]
pub fn is_paypal_certificate(url: &str) -> bool {
    let hosts = [
        "api.paypal.com",
        "api-m.paypal.com",
        "api.sandbox.paypal.com",
        "api-m.sandbox.paypal.com",
    ];
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let Some(path) = hosts.iter().find_map(|host| rest.strip_prefix(host)) else { return false };
    let name = path.strip_prefix("/v1/notifications/certs/CERT-").unwrap_or_default();
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The request for a key at an address that a message names.
pub(crate) fn named(rule: KeyHost, url: &str, body: &[u8]) -> Result<KeyRequest, Refusal> {
    let (fine, what) = match rule {
        KeyHost::AwsSns => {
            let topic = crate::json::find_text(body, "/TopicArn").unwrap_or_default();
            (is_sns_certificate(url, &topic), "it is not Amazon SNS's in the topic's region")
        }
        KeyHost::PayPal => (is_paypal_certificate(url), "it is not PayPal's"),
    };
    if fine { Ok(get(url)) } else { Err(Refusal::KeyAddress(what)) }
}

pub(crate) fn get(url: &str) -> KeyRequest {
    KeyRequest { url: url.to_owned(), post: None, again: false }
}

/// Plaid gives a key by its id, to those who show their credentials.
pub(crate) fn plaid(provider: &Provider, kid: &str) -> Result<KeyRequest, Refusal> {
    let setting =
        |name: &'static str| provider.setting(name).ok_or(Refusal::NotSet(Cow::Borrowed(name)));
    let host = match provider.setting("environment").unwrap_or("production") {
        "sandbox" => "https://sandbox.plaid.com",
        "development" => "https://development.plaid.com",
        _ => "https://production.plaid.com",
    };
    if kid.len() > 128 || !kid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return Err(Refusal::Malformed { what: "the token's kid".into(), why: "it is no key id" });
    }
    let (id, secret) =
        (crate::json::quote(setting("client_id")?), crate::json::quote(setting("api_secret")?));
    Ok(KeyRequest {
        url: format!("{host}/webhook_verification_key/get"),
        post: Some(format!("{{\"client_id\":{id},\"secret\":{secret},\"key_id\":\"{kid}\"}}")),
        again: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_genuine_addresses() {
        let topic = "arn:aws:sns:us-east-1:123456789012:MyTopic";
        let pem = "/SimpleNotificationService-0123abcd.pem";
        assert!(is_sns_certificate(&format!("https://sns.us-east-1.amazonaws.com{pem}"), topic));
        assert!(is_sns_certificate(
            &format!("https://sns.cn-north-1.amazonaws.com.cn{pem}"),
            "arn:aws-cn:sns:cn-north-1:1:x"
        ));
        for host in [
            "http://sns.us-east-1.amazonaws.com",
            "https://sns.us-west-2.amazonaws.com",
            "https://sns.us-east-1.amazonaws.com:443",
            "https://sns.us-east-1.amazonaws.com.evil.test",
            "https://evil@sns.us-east-1.amazonaws.com",
            "https://evil.test/sns.us-east-1.amazonaws.com",
            "https://sns.us-east-1.amazonaws.com/x",
            "https://SNS.us-east-1.amazonaws.com",
            "https://sns.us-east-1.amazonaws.com.cn",
        ] {
            assert!(!is_sns_certificate(&format!("{host}{pem}"), topic), "{host}");
        }
        for path in [
            "/x.pem",
            "/SimpleNotificationService-.pem",
            "/SimpleNotificationService-a/../b.pem",
            "/SimpleNotificationService-a.pem?x",
            "",
        ] {
            assert!(
                !is_sns_certificate(&format!("https://sns.us-east-1.amazonaws.com{path}"), topic),
                "{path}"
            );
        }
        assert!(!is_sns_certificate(
            &format!("https://sns.us-east-1.amazonaws.com{pem}"),
            "arn:aws:s3:us-east-1:1:x"
        ));
        let confirm = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn&Token=2336412f37";
        assert!(is_sns_confirmation(confirm, topic));
        assert!(!is_sns_confirmation(&confirm.replace("Confirm", "Un"), topic));
        assert!(!is_sns_confirmation(&confirm.replace("us-east-1", "eu-west-1"), topic));
        let paypal =
            "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";
        assert!(is_paypal_certificate(paypal));
        assert!(is_paypal_certificate(&paypal.replace("api.", "api-m.sandbox.")));
        for bad in [
            paypal.replace("https", "http"),
            paypal.replace("api.paypal.com", "api.paypal.com.evil.test"),
            paypal.replace("api.paypal.com", "paypal.com@evil.test"),
            format!("{paypal}/../x"),
            format!("{paypal}?a"),
            paypal.replace("api.", "www."),
        ] {
            assert!(!is_paypal_certificate(&bad), "{bad}");
        }
    }
}
