//! Developer platforms, chat and identity.

use crate::encoding::Encoding::Hex;
use crate::hash::Hash;
use crate::provider::Provider;
use crate::scheme::{Algorithm, Field, Fields, Place, Tolerance};
use crate::time::Unit;

pub(super) fn rows() -> Vec<Provider> {
    let sha256 = Algorithm::Hmac(Hash::Sha256);
    let github = |provider: Provider| {
        provider
            .docs(
                "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
            )
            .id(Field::header("x-github-delivery"))
            .kind(Field::Joined {
                fields: vec![Field::header("x-github-event"), Field::json("/action")],
                with: ".".into(),
            })
            .deadline(10_000, "none; redeliveries of the last 3 days by hand or API")
    };
    vec![
        github(Provider::raw("github", "GitHub", sha256, ("x-hub-signature-256", "sha256=", Hex)))
            .caveat("Bodies may be 25 MB.")
            .verified("@octokit/webhooks-methods 6.0.0; the vector in GitHub's documentation"),
        github(Provider::raw(
            "github-sha1",
            "GitHub, SHA-1",
            Algorithm::Hmac(Hash::Sha1),
            ("x-hub-signature", "sha1=", Hex),
        ))
        .caveat("Only for old GitHub Enterprise servers: GitHub signs with SHA-256 beside it.")
        .verified("@octokit/webhooks-methods 6.0.0"),
        Provider::raw("stripe", "Stripe", sha256, ("stripe-signature", "", Hex))
            .signed(|signed| {
                signed.signatures =
                    vec![Place::fields("stripe-signature", Fields::stamped(",", "t", "v1"))];
                signed.stamp = Some(crate::scheme::Stamp {
                    at: None,
                    unit: Unit::Seconds,
                    tolerance: Tolerance::past(300),
                });
            })
            .message("{timestamp}.{body}")
            .docs("https://docs.stripe.com/webhooks/signature")
            .id(Field::json("/id"))
            .kind(Field::json("/type"))
            .retries("3 days, exponential (live); 3 times (sandbox)")
            .caveat("The key is the whole text, `whsec_` included.")
            .caveat("Timestamps in the future pass, as in Stripe's own libraries.")
            .verified("stripe 16.1.0 for Python and 23.1.0 for Node"),
    ]
}
