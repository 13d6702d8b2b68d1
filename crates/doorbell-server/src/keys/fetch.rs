//! Fetching keys: one exchange each by the sender, with its guard over addresses, and no redirect.

use super::{Fetched, Held};
use crate::clock::Clock;
use crate::metrics::{Metric, Metrics};
use crate::sender::AnySender;
use bytes::Bytes;
use doorbell_core::attempt::{Answer, Outcome};
use doorbell_core::endpoint_url::{EndpointUrl, UrlPolicy};
use doorbell_core::limits;
use doorbell_core::outgoing::Outgoing;
use doorbell_core::request::Headers;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use webhook_signatures::{KeyRequest, Provider, Secret};

/// One key to be fetched.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) provider: Provider,
    pub(super) key: KeyRequest,
    pub(super) result: watch::Sender<Option<Fetched>>,
}

/// Fetches what [`super::Keys`] asks for; to be run as a task.
#[derive(Debug)]
pub struct Fetcher {
    pub(super) sender: Option<AnySender>,
    pub(super) urls: UrlPolicy,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) queue: mpsc::Receiver<Job>,
}

impl Fetcher {
    /// Runs until the [`super::Keys`] are gone and every fetch has ended.
    pub async fn run(mut self) {
        let Some(sender) = self.sender.take() else { return self.refuse().await };
        let mut busy = JoinSet::new();
        while let Some(job) = self.queue.recv().await {
            while busy.len() >= limits::KEY_FETCHES {
                busy.join_next().await;
            }
            let (sender, urls) = (sender.clone(), self.urls.clone());
            let (clock, metrics) = (self.clock.clone(), Arc::clone(&self.metrics));
            busy.spawn(async move {
                metrics.count(Metric::KeysFetched);
                let at = clock.monotonic();
                let fetched = fetch(&sender, &urls, &job).await;
                if let Err(why) = &fetched {
                    metrics.count(Metric::KeysMissed);
                    tracing::warn!(provider = %job.provider.name, "{why}");
                }
                let fetched = fetched.map(|key| Held { key, at }).map_err(Arc::from);
                job.result.send_replace(Some(fetched));
            });
            while busy.try_join_next().is_some() {}
        }
        while busy.join_next().await.is_some() {}
    }

    async fn refuse(mut self) {
        while let Some(job) = self.queue.recv().await {
            job.result.send_replace(Some(Err("this node fetches no keys".into())));
        }
    }
}

async fn fetch(sender: &AnySender, urls: &UrlPolicy, job: &Job) -> Result<Secret, String> {
    let away = |why: String| format!("the key at {} cannot be fetched: {why}", job.key.url());
    let body = get(sender, urls, (job.key.url(), job.key.post())).await.map_err(away)?;
    Secret::fetched(&job.provider, &job.key, &body).map_err(|why| away(why.to_string()))
}

/// What an address serves, by GET or with a body to POST.
pub(super) async fn get(
    sender: &AnySender,
    urls: &UrlPolicy,
    (url, post): (&str, Option<&str>),
) -> Result<Bytes, String> {
    match sender.carry(outgoing(urls, (url, post))?).await.outcome {
        Outcome::Answered(answer) => taken(answer),
        Outcome::Confirmed => Err("nothing was answered".to_owned()),
        Outcome::Failed(fault) => Err(fault.detail),
    }
}

fn outgoing(urls: &UrlPolicy, (url, post): (&str, Option<&str>)) -> Result<Outgoing, String> {
    let url = EndpointUrl::parse(url, urls).map_err(|why| why.to_string())?;
    let mut headers = Headers::default();
    headers.push("accept", "application/json, */*;q=0.5");
    headers.push("user-agent", "doorbell");
    let (method, body) = match post {
        Some(body) => ("POST", Bytes::copy_from_slice(body.as_bytes())),
        None => ("GET", Bytes::new()),
    };
    if post.is_some() {
        headers.push("content-type", "application/json");
    }
    let (timeout, keep) = (limits::KEY_DEADLINE, limits::KEY_DOCUMENT);
    Ok(Outgoing { method: method.to_owned(), url, headers, body, timeout, keep })
}

/// The body of an answer that is one.
fn taken(answer: Answer) -> Result<Bytes, String> {
    match answer.status {
        200 if answer.truncated => {
            Err(format!("the answer has more than {} KiB", limits::KEY_DOCUMENT >> 10))
        }
        200 => Ok(answer.body),
        status @ 300..=399 => Err(format!("it answered {status}, and no redirect is followed")),
        status => Err(format!("it answered {status}")),
    }
}
