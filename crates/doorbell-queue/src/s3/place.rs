//! Where a bucket is, what of it is meant, and what may be in it under which names.

use crate::message::QueueError;
use crate::site::{self, Site};

/// A scheme: TLS, port.
const SCHEMES: [(&str, bool, u16); 2] = [("s3+https", true, 443), ("s3+http", false, 80)];
/// Bytes of a key, as S3 has it.
const LONGEST_KEY: usize = 1_024;
const USUAL_REGION: &str = "us-east-1";

/// A bucket, or a folder in it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) site: Site,
    pub(super) region: String,
    bucket: String,
    /// Empty, or with a slash at its end.
    prefix: String,
}

impl Place {
    /// What an address says. What is refused is not said again: it may be a secret that stands in the wrong place.
    pub(super) fn parse(address: &str) -> Result<Self, QueueError> {
        let site = site_of(address)?;
        let region = region(&site);
        let (bucket, prefix) = site.path.split_once('/').unwrap_or((&site.path, ""));
        let (bucket, prefix) = (bucket.to_owned(), folder(prefix));
        let place = Self { site, region, bucket, prefix };
        place.fault().map_or(Ok(place), |why| Err(no_address(why)))
    }

    /// Why this is no place.
    fn fault(&self) -> Option<&'static str> {
        let Self { site, region, bucket, prefix } = self;
        let no_secret = site.credentials.as_ref().is_some_and(|who| who.password.is_none());
        let folders = prefix.strip_suffix('/');
        let all = [
            (site.options.iter().any(|(name, _)| name != "region"), "it says more than a region"),
            (no_secret, "it has a key's id and no secret"),
            (!is_word(region), "its region is none"),
            (!is_bucket(bucket), "it names no bucket"),
            (
                folders.is_some_and(|path| !is_path(path)),
                "folders of its prefix are empty or have other than letters, digits and _-.",
            ),
        ];
        all.into_iter().find_map(|(is_so, why)| is_so.then_some(why))
    }

    /// Where in the bucket something of that name is.
    pub(super) fn key(&self, name: &str) -> Result<String, QueueError> {
        let key = format!("{}{name}", self.prefix);
        let plain = !name.bytes().any(|b| b.is_ascii_uppercase()) && is_path(name);
        if plain && key.len() <= LONGEST_KEY {
            return Ok(key);
        }
        Err(QueueError::Failed(format!("nothing can be in a bucket under the name {name:?}")))
    }

    /// The path of the bucket.
    pub(super) fn path(&self) -> String {
        format!("/{}", self.bucket)
    }

    pub(super) fn shown(&self) -> String {
        format!("S3 at {:?}/{}/{}", self.site, self.bucket, self.prefix.trim_end_matches('/'))
    }
}

fn site_of(address: &str) -> Result<Site, QueueError> {
    let url = site::url(address).map_err(|error| no_address(&error.to_string()))?;
    let scheme = SCHEMES.iter().find(|(scheme, ..)| *scheme == url.scheme());
    let (_, tls, port) =
        scheme.ok_or_else(|| no_address("its scheme is neither s3+https nor s3+http"))?;
    Site::read(&url, *tls, *port).map_err(|error| no_address(&error.to_string()))
}

fn no_address(why: &str) -> QueueError {
    QueueError::Failed(format!("this is no address of a bucket: {why}"))
}

/// With one slash at its end, where it is not empty.
fn folder(prefix: &str) -> String {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() { String::new() } else { format!("{prefix}/") }
}

/// `s3.eu-central-1.amazonaws.com` says where it is, and others that have regions write it alike. `s3.example.com` says nothing.
fn region(site: &Site) -> String {
    let rest = site.host.strip_prefix("s3.").unwrap_or_default();
    let rest = rest.strip_prefix("dualstack.").unwrap_or(rest);
    let named =
        rest.split_once('.').filter(|(name, domain)| name.contains('-') && domain.contains('.'));
    site.option("region").or(named.map(|(name, _)| name)).unwrap_or(USUAL_REGION).to_owned()
}

/// Of characters that mean nothing in a path, a query and XML, so that none is ever escaped.
fn is_word(word: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    !matches!(word, "" | "." | "..") && word.bytes().all(fine)
}

/// Folders and a name. None is empty or `..`: proxies put such paths right.
fn is_path(path: &str) -> bool {
    path.split('/').all(is_word)
}

fn is_bucket(name: &str) -> bool {
    (3..=63).contains(&name.len()) && is_word(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::parse(text).unwrap()
    }

    #[test]
    fn parts_of_an_address() {
        let one =
            place("s3+https://KEY:a%2Fb%2B@s3.eu-central-1.amazonaws.com/bucket/some/folder/");
        assert_eq!((one.region.as_str(), one.site.port, one.site.tls), ("eu-central-1", 443, true));
        let who = one.site.credentials.as_ref().unwrap();
        assert_eq!((who.user.as_str(), who.password.as_ref().unwrap().reveal()), ("KEY", "a/b+"));
        assert_eq!(one.path(), "/bucket");
        assert_eq!(one.key("x/y.z").unwrap(), "some/folder/x/y.z");
        assert_eq!(one.shown(), "S3 at s3.eu-central-1.amazonaws.com:443/bucket/some/folder");
        let bare = place("s3+http://127.0.0.1:9000/bucket?region=here");
        assert_eq!((bare.region.as_str(), bare.key("a").unwrap().as_str()), ("here", "a"));
    }

    #[test]
    fn regions_of_hosts() {
        for (host, wanted) in [
            ("s3.amazonaws.com", USUAL_REGION),
            ("s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
            ("s3.fr-par.scw.cloud", "fr-par"),
            ("s3.example.com", USUAL_REGION),
            ("s3.my-company.com", USUAL_REGION),
            ("localhost", USUAL_REGION),
        ] {
            assert_eq!(place(&format!("s3+https://{host}/bucket")).region, wanted, "{host}");
        }
    }

    #[test]
    fn what_is_no_address_and_says_no_secret() {
        for text in [
            "",
            "bucket",
            "sqs://h/bucket",
            "SECRET:SECRET@host/bucket",
            "s3+https:///bucket",
            "s3+https://KEY@h/bucket",
            "s3+https://KEY:SECRET@h",
            "s3+https://KEY:SECRET@h/",
            "s3+https://KEY:SECRET/x@h/bucket",
            "s3+https://KEY:9/SECRET@h/bucket",
            "s3+https://KEY:SECRET@h/ab",
            "s3+https://KEY:SECRET@h/bucket//x",
            "s3+https://KEY:SECRET@h/bucket/a%20b",
            "s3+https://KEY:SECRET@h/bucket/a%0d%0ab",
            "s3+https://KEY:SECRET@h/bucket/a%2F..%2Fb",
            "s3+https://KEY:SECRET@h/bucket?regoin=x",
            "s3+https://KEY:SECRET@h/bucket?region=a%2Fb",
            "s3+https://KEY:%ff@h/bucket",
        ] {
            let error = Place::parse(text).expect_err(text).to_string();
            assert!(!error.to_ascii_uppercase().contains("SECRET@"), "{error}");
            assert!(!error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn names_that_would_be_escaped_or_put_right_are_refused() {
        let place = place("s3+https://h/bucket/p");
        for name in [
            "", "/", "a/", "/a", "a//b", ".", "a/../b", "A", "a b", "a%2f", "é", "a\n", "a?b",
            "a~", "..", "a//", "//", "A/",
        ] {
            assert!(matches!(place.key(name), Err(QueueError::Failed(_))), "{name:?}");
        }
        assert!(place.key(&"a".repeat(LONGEST_KEY - 2)).is_ok());
        assert!(place.key(&"a".repeat(LONGEST_KEY - 1)).is_err());
    }
}
