//! The object store of the settings, as the store wants it.

use crate::cli::reach::{aws_credentials, operators_dialer};
use crate::config::Config;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use doorbell_queue::Bucket;
use doorbell_queue::QueueError;
use doorbell_server::clock::Clock;
use doorbell_store::bodies::{Answer, Bodies, BodiesError, LargeBodies};
use std::sync::Arc;

/// Where large bodies lie, where the settings say so.
pub(crate) fn large_bodies(config: &Config) -> Result<Option<LargeBodies>> {
    let Some(address) = &config.bodies else { return Ok(None) };
    let dialer = operators_dialer(config, &Clock::real())?;
    let mut bucket = Bucket::new(address, dialer).context("store.bodies_url")?;
    if bucket.credentials().is_none()
        && let Some(found) = aws_credentials()?
    {
        bucket = bucket.with_credentials(found);
    }
    ensure!(
        bucket.credentials().is_some(),
        "store.bodies_url: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them into the address"
    );
    tracing::info!(over = config.bodies_over, "large bodies lie in {}", bucket.shown());
    Ok(Some(LargeBodies { at: Arc::new(InBucket(bucket)), over: config.bodies_over }))
}

/// A bucket under the store's names.
#[derive(Debug)]
struct InBucket(Bucket);

/// The errors are those of brokers, which are called in the same way.
fn told(fault: &QueueError) -> BodiesError {
    BodiesError(fault.to_string().replacen("the broker", "the object store", 1))
}

impl Bodies for InBucket {
    fn put<'a>(&'a self, name: &'a str, body: Bytes) -> Answer<'a, ()> {
        Box::pin(async move { self.0.put(name, body).await.map_err(|fault| told(&fault)) })
    }

    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move { self.0.get(name).await.map_err(|fault| told(&fault)) })
    }
}
