//! How brokers and object stores are reached that the operator has named.

use crate::config::{Config, variable};
use crate::remote::read_certificates;
use anyhow::{Context, Result};
use doorbell_core::queue_address::Engine;
use doorbell_core::secret::SecretText;
use doorbell_queue::{Address, Credentials, Dialer, Plain};
use doorbell_server::clock::Clock;
use std::sync::Arc;

/// Where AWS's own tools find their credentials.
pub(crate) const AWS_KEY: &str = "AWS_ACCESS_KEY_ID";
pub(crate) const AWS_SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const AWS_SESSION: &str = "AWS_SESSION_TOKEN";

/// For what the operator has named: any address may be called.
pub(crate) fn operators_dialer(config: &Config, clock: &Clock) -> Result<Dialer> {
    let mut roots = Vec::new();
    for file in &config.ca_files {
        roots.extend(read_certificates(file)?);
    }
    let clock = clock.clone();
    let dialer = Dialer::new(Arc::new(Plain), &roots, Arc::new(move || clock.now()));
    dialer.context("delivery.ca_files")
}

/// Amazon SQS without credentials in its URL: those of the environment.
pub(crate) fn with_aws_credentials(address: Address) -> Result<Address> {
    if address.engine() != Engine::Sqs || address.credentials().is_some() {
        return Ok(address);
    }
    Ok(match aws_credentials()? {
        Some(found) => address.with_credentials(found),
        None => address,
    })
}

/// What AWS's own tools find in the environment, if key and secret are there.
pub(crate) fn aws_credentials() -> Result<Option<Credentials>> {
    let found = variable(AWS_KEY).zip(variable(AWS_SECRET));
    let Some((user, secret)) = found else { return Ok(None) };
    let password = Some(SecretText::parse(&secret).context(AWS_SECRET)?);
    let session = variable(AWS_SESSION).map(|text| SecretText::parse(&text)).transpose();
    let session = session.context(AWS_SESSION)?;
    Ok(Some(Credentials { user, password, session }))
}
