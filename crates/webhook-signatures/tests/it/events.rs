//! Samples, what they say they are, and the lines that people read about them.

use crate::properties::{Sent, secrets, set_up};
use webhook_signatures::{
    Headers, Incoming, Origin, ToSign, all, describe, find, sample, samples, sign, title, verify,
};

const NOW: i64 = 1_767_225_600;
const URL: &str = "https://hooks.example.com/in/x";

fn headers(sample: &webhook_signatures::Sample) -> Vec<(&'static str, &'static [u8])> {
    let own = sample.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    own.chain([("Content-Type", sample.content_type.as_bytes())]).collect()
}

#[test]
fn each_sample_is_of_its_type_and_can_be_sent() {
    let mut seen = std::collections::HashSet::new();
    let (mut wrong, mut not_signed) = (Vec::new(), Vec::new());
    for sample in samples() {
        let name = format!("{} {}", sample.provider, sample.event_type);
        assert!(seen.insert(name.clone()), "{name} stands twice");
        let provider = set_up(find(sample.provider).unwrap());
        let headers = headers(sample);
        let own: &dyn Headers = &headers;
        let incoming = Incoming { method: "POST", url: URL, headers: own, body: sample.body };
        let described = describe(&provider, &incoming).event_type;
        if described.as_deref().unwrap_or_default() != sample.event_type {
            wrong.push(format!("{name} is {described:?}"));
        }
        let request = ToSign {
            id: "evt_1",
            now: NOW,
            url: URL,
            method: "POST",
            headers: own,
            body: sample.body,
        };
        let signed = secrets(&provider)
            .into_iter()
            .find_map(|secret| Some((sign(&provider, &secret, &request).ok()?, secret)));
        let Some((signature, secret)) = signed else {
            not_signed.push(sample.provider);
            continue;
        };
        let sent = Sent::new(&signature, &request, &headers);
        assert!(verify(&provider, &[secret], &sent.incoming(), NOW).is_ok(), "{name}");
        assert!(!matches!(sample.origin, Origin::Published("")), "{name}");
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(not_signed, ["postal"], "SHA-1 with RSA is only ever verified");
    assert!(all().iter().all(|row| sample(&row.name, None).is_some()));
    let real = samples().iter().filter(|sample| sample.origin != Origin::Plain).count();
    assert!(real >= 50, "{real} samples");
    assert_eq!(sample("github", Some("push")).unwrap().event_type, "push");
    assert!(sample("github", None).is_some() && sample("github", Some("nothing")).is_none());
}

#[test]
fn titles() {
    let of = |provider: &str, kind: &str| {
        title(provider, kind, sample(provider, Some(kind)).unwrap().body).unwrap_or_default()
    };
    assert_eq!(
        of("github", "push"),
        "push to simple-tag by Codertocat, 0 commits in Codertocat/Hello-World"
    );
    assert_eq!(of("stripe", "payment_intent.succeeded"), "payment of 10.99 usd succeeded");
    assert_eq!(of("shopify", "orders/create"), "order #9999: 403.00 USD");
    assert_eq!(of("gitlab", "Push Hook"), "push to main by John Smith, 1 commits in mike/diaspora");
    assert_eq!(
        of("circleci", "workflow-completed"),
        "workflow build-test-deploy success in webhook-service"
    );
    assert_eq!(title("github", "push", b"{}"), None);
    assert_eq!(title("nobody", "push", b"{}"), None);
    let hostile = format!("{{\"summary\":\"a\\u0000\\n{}\"}}", "x".repeat(1000));
    let line = title("paypal", "A", hostile.as_bytes()).unwrap();
    assert!(line.starts_with("a  x") && line.chars().count() == webhook_signatures::TITLE_MAX);
}
