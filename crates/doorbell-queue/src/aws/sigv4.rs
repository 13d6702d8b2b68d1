//! AWS Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), for
//! requests whose path and query need no rewriting.

use crate::site::Credentials;
use doorbell_core::time::Time;
#[cfg(feature = "s3")]
use ring::digest::Context;
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};
use std::borrow::Cow;

/// The header that says the hash of the body; S3 wants it.
pub(crate) const CONTENT_HASH: &str = "x-amz-content-sha256";

/// Bytes that are hashed at one go.
#[cfg(feature = "s3")]
const TURN: usize = 256 << 10;

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// Names in lower case, sorted, `host` and `x-amz-date` among them. Where [`CONTENT_HASH`] is one of them, it is the
    /// body's, and is not made again.
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
    let said = request.headers.iter().find(|(name, _)| *name == CONTENT_HASH);
    let hashed = said.map_or_else(|| hash(request.body).into(), |(_, hash)| Cow::Borrowed(*hash));
    let canonical = format!(
        "{}\n{}\n{}\n{}\n{names}\n{hashed}",
        request.method,
        request.path,
        request.query,
        lines.collect::<String>()
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

/// As `x-amz-content-sha256` has it. In pieces, between which others have their turn: a large body takes longer than a task
/// may without them.
#[cfg(feature = "s3")]
pub(crate) async fn hash_in_turns(body: &[u8]) -> String {
    let mut all = Context::new(&SHA256);
    for piece in body.chunks(TURN) {
        all.update(piece);
        tokio::task::yield_now().await;
    }
    hex(all.finish().as_ref())
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

    /// From "Signature calculations for the authorization header: examples" of S3's documentation.
    #[cfg(feature = "s3")]
    #[tokio::test]
    async fn published_vectors_of_s3() {
        let who = Credentials {
            user: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            password: SecretText::parse("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").ok(),
            session: None,
        };
        let stamp = stamp(Time::parse_rfc3339("2013-05-24T00:00:00Z").unwrap());
        let welcome = &b"Welcome to Amazon S3."[..];
        let (empty, full) = (hash_in_turns(b"").await, hash_in_turns(welcome).await);
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let date = ("x-amz-date", stamp.as_str());
        let (empty, full) = ((CONTENT_HASH, empty.as_str()), (CONTENT_HASH, full.as_str()));
        let range = ("range", "bytes=0-9");
        let sent = ("date", "Fri, 24 May 2013 00:00:00 GMT");
        let class = ("x-amz-storage-class", "REDUCED_REDUNDANCY");
        let all: [Vector<'_>; 4] = [
            (
                "GET",
                "/test.txt",
                &[host, range, empty, date],
                b"",
                "",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test%24file.text",
                &[sent, host, full, date, class],
                welcome,
                "",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/",
                &[host, empty, date],
                b"",
                "lifecycle=",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/",
                &[host, empty, date],
                b"",
                "max-keys=2&prefix=J",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ];
        for (method, path, headers, body, query, signature) in all {
            let signed = Signed { method, path, query, headers, body };
            let scope = Scope { region: "us-east-1", service: "s3" };
            let said = authorization(signed, scope, &stamp, &who);
            assert_eq!(said.rsplit('=').next(), Some(signature), "{method} {path} {query}");
        }
    }

    #[cfg(feature = "s3")]
    #[tokio::test]
    async fn a_hash_in_turns_is_the_hash() {
        for length in [0, 1, TURN - 1, TURN, TURN + 1, 3 * TURN] {
            let body = vec![7; length];
            assert_eq!(hash_in_turns(&body).await, hash(&body), "{length}");
        }
    }
}
