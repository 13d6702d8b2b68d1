//! Who signs, as flags: what `verify` and `trigger` have in common.

use anyhow::{Context, Result, anyhow};
use clap::Args;
use doorbell_core::secret::SecretText;
use doorbell_core::source::Verification;
use doorbell_core::time::Time;
use doorbell_core::verifier::{Misconfigured, Verifier};
use doorbell_server::clock::Clock;
use webhook_signatures::{Provider, Secret};

/// Secrets and settings of a provider.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::doc_markdown, reason = "the command line prints these sentences as they stand")]
pub(crate) struct Keys {
    /// The secret (or key) that the provider signs with; several may be given. Better in DOORBELL_SECRET, for others on
    /// this machine can see command lines
    #[arg(long = "secret", value_name = "SECRET", allow_hyphen_values = true)]
    pub(crate) secrets: Vec<String>,
    /// A setting of the provider, such as header=X-Signature
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub(crate) options: Vec<String>,
}

impl Keys {
    /// The provider's row with the options in it, and the secrets as it has them.
    ///
    /// # Errors
    /// What a source with these would be refused for.
    pub(crate) fn read(&self, provider: &str) -> Result<(Provider, Vec<Secret>)> {
        let mut texts = self.secrets.clone();
        if texts.is_empty() {
            texts.extend(crate::config::variable("DOORBELL_SECRET"));
        }
        let options = self.options.iter().map(|text| {
            let pair =
                text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.with_context(|| format!("--option {text}: write NAME=VALUE"))
        });
        let verification = Verification {
            provider: provider.to_owned(),
            options: options.collect::<Result<_>>()?,
            secrets: texts.iter().map(|text| SecretText::parse(text)).collect::<Result<_, _>>()?,
            public_url: None,
        };
        let verifier = Verifier::new(&verification).map_err(|why| {
            if matches!(why, Misconfigured::NoSecret(_)) {
                return anyhow!(
                    "give the secret that {provider} signs with: --secret, or DOORBELL_SECRET"
                );
            }
            anyhow!(why)
        })?;
        let row = verifier.provider().clone();
        let secrets = texts.iter().map(|text| Secret::parse(&row, text));
        let secrets = secrets.collect::<Result<_, _>>()?;
        Ok((row, secrets))
    }
}

/// A time as people have it: RFC 3339 or Unix seconds; the clock's where none is given.
///
/// # Errors
/// When it is neither.
pub(crate) fn time(text: Option<&str>) -> Result<Time> {
    let Some(text) = text else { return Ok(Clock::real().now()) };
    let seconds = text.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1_000));
    seconds
        .map(Time::from_ms)
        .or_else(|| Time::parse_rfc3339(text))
        .with_context(|| format!("{text:?} is no time: write 2026-11-24T01:02:03Z or Unix seconds"))
}
