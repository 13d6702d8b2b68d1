//! AWS Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), for
//! requests whose path and query need no rewriting.

use crate::site::Credentials;
use doorbell_core::time::Time;
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// Names in lower case, sorted, `host` and `x-amz-date` among them.
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
}

/// For whom it is signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// `20150830T123600Z`, for `x-amz-date`.
pub(super) fn stamp(at: Time) -> String {
    let text = at.to_string();
    let whole = text.split('.').next().unwrap_or_default().trim_end_matches('Z');
    let mut stamp: String = whole.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    stamp.push('Z');
    stamp
}

/// The value of `authorization`.
pub(super) fn authorization(
    request: Signed<'_>,
    scope: Scope<'_>,
    stamp: &str,
    who: &Credentials,
) -> String {
    let date = stamp.get(..8).unwrap_or_default();
    let Scope { region, service } = scope;
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines = request.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim()));
    let canonical = format!(
        "{}\n{}\n{}\n{}\n{names}\n{}",
        request.method,
        request.path,
        request.query,
        lines.collect::<String>(),
        hash(request.body)
    );
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hash(canonical.as_bytes()));
    let secret = who.password.as_ref().map(|secret| secret.reveal()).unwrap_or_default();
    let first = format!("AWS4{secret}").into_bytes();
    let key = [date, region, service, "aws4_request"]
        .iter()
        .fold(first, |key, part| hmac(&key, part.as_bytes()));
    let signature = hex(&hmac(&key, text.as_bytes()));
    let user = &who.user;
    format!(
        "AWS4-HMAC-SHA256 Credential={user}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    sign(&Key::new(HMAC_SHA256, key), text).as_ref().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_core::secret::SecretText;

    type Vector<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a [u8], &'a str, &'a str);

    /// From AWS's published test suite (aws-sig-v4-test-suite) and the example in its documentation.
    #[test]
    fn published_vectors() {
        let who = Credentials {
            user: "AKIDEXAMPLE".to_owned(),
            password: SecretText::parse("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").ok(),
            session: None,
        };
        let stamp = stamp(Time::parse_rfc3339("2015-08-30T12:36:00Z").unwrap());
        let host = ("host", "example.amazonaws.com");
        let date = ("x-amz-date", stamp.as_str());
        let form = ("content-type", "application/x-www-form-urlencoded");
        let users = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let iam = ("host", "iam.amazonaws.com");
        let all: [Vector<'_>; 6] = [
            (
                "GET",
                "",
                &[host, date],
                b"",
                "service",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "POST",
                "",
                &[host, date],
                b"",
                "service",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "GET",
                "Param1=value1&Param2=value2",
                &[host, date],
                b"",
                "service",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "POST",
                "",
                &[host, ("my-header1", "value1"), date],
                b"",
                "service",
                "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
            ),
            (
                "POST",
                "",
                &[form, host, date],
                b"Param1=value1",
                "service",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "GET",
                "Action=ListUsers&Version=2010-05-08",
                &[users, iam, date],
                b"",
                "iam",
                "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            ),
        ];
        for (method, query, headers, body, service, signature) in all {
            let signed = Signed { method, path: "/", query, headers, body };
            let scope = Scope { region: "us-east-1", service };
            let said = authorization(signed, scope, &stamp, &who);
            assert_eq!(said.rsplit('=').next(), Some(signature), "{method} {query} {headers:?}");
        }
    }
}
