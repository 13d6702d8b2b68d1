//! Sources and endpoints, ready to be used: what is written in them is read once, when they are configured.
//!
//! A value that cannot be used (an unknown provider, a URL that the operator no longer allows) stops only what it belongs
//! to: the source is there and says what is wrong, the endpoint's deliveries fail with a sentence.

use crate::endpoint::Endpoint;
use crate::endpoint_address::EndpointAddress;
use crate::endpoint_url::UrlPolicy;
use crate::filter::{Document, Filter};
use crate::queue_address::{QueueAddress, Side};
use crate::source::Source;
use crate::time::Time;
use crate::verifier::{Misconfigured, Signer, Verifier};
use webhook_signatures::{Provider, Secret};

/// What the node's own settings say about sources and endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// What endpoints' URLs may be.
    pub urls: UrlPolicy,
    /// The address under which sources are called from outside, without the source's name and the slash before it, such as
    /// `https://hooks.example.com/in`. For providers that sign the URL.
    pub ingest_url: Option<String>,
}

/// A source with what its check needs.
#[derive(Debug)]
pub struct ReadySource {
    source: Source,
    verifier: Result<Verifier, Misconfigured>,
    public_url: Option<String>,
    /// What cannot be used, as a sentence.
    from: Option<Result<QueueAddress, String>>,
}

impl ReadySource {
    pub(crate) fn new(source: Source, settings: &Settings, tenant: &str) -> Self {
        let from = source.from.as_deref().map(|text| {
            QueueAddress::parse(text, &settings.urls.queues, tenant, Side::From).map_err(|why| {
                format!("the queue that the source takes from cannot be used: {why}")
            })
        });
        let given = source.verification.public_url.clone();
        let usual = || {
            settings
                .ingest_url
                .as_ref()
                .map(|base| format!("{}/{}", base.trim_end_matches('/'), source.name))
        };
        let (public_url, verifier) = (given.or_else(usual), Verifier::new(&source.verification));
        Self { source, verifier, public_url, from }
    }

    /// The source as it is configured.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// What checks its requests.
    ///
    /// # Errors
    /// [`Misconfigured`], when nothing can.
    pub const fn verifier(&self) -> Result<&Verifier, &Misconfigured> {
        self.verifier.as_ref()
    }

    /// The queue that it takes messages from, where it has one.
    ///
    /// # Errors
    /// What of it cannot be used, as a sentence.
    #[must_use]
    pub fn from(&self) -> Option<Result<&QueueAddress, &str>> {
        self.from.as_ref().map(|from| from.as_ref().map_err(String::as_str))
    }

    /// The address under which the provider knows us, without path and query of the request; `None`: it is not configured.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }
}

/// An endpoint with what a delivery needs.
#[derive(Debug)]
pub struct ReadyEndpoint {
    endpoint: Endpoint,
    /// What cannot be used, as a sentence.
    url: Result<EndpointAddress, String>,
    tenant: String,
    filter: Result<Option<Filter>, String>,
    signers: Result<Signers, String>,
}

impl ReadyEndpoint {
    pub(crate) fn new(endpoint: Endpoint, settings: &Settings, tenant: &str) -> Self {
        let filter = endpoint.subscription.filter.as_deref().map(Filter::parse).transpose();
        Self {
            tenant: tenant.to_owned(),
            url: EndpointAddress::parse(&endpoint.url, &settings.urls, tenant)
                .map_err(|why| format!("the endpoint's URL cannot be used: {why}")),
            filter: filter.map_err(|why| format!("the endpoint's filter cannot be used: {why}")),
            signers: Signers::new(&endpoint),
            endpoint,
        }
    }

    /// The endpoint as it is configured.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The `uid` of the tenant whose it is.
    #[must_use]
    pub fn tenant_uid(&self) -> &str {
        &self.tenant
    }

    /// Whether its events go to a message broker, as far as its address can be used.
    #[must_use]
    pub const fn is_queue(&self) -> bool {
        matches!(self.url, Ok(EndpointAddress::Queue(_)))
    }

    /// Whether its filter holds for the event. A filter that cannot be used wants everything here, so that the delivery
    /// fails with its sentence instead of vanishing.
    #[must_use]
    pub fn wants(&self, document: &Document<'_>) -> bool {
        self.filter
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .is_none_or(|filter| filter.holds(document))
    }

    /// Its URL and signers, if everything about the endpoint can be used.
    pub(crate) fn usable(&self) -> Result<(&EndpointAddress, &Signers), &str> {
        self.filter.as_ref().map_err(String::as_str)?;
        let url = self.url.as_ref().map_err(String::as_str)?;
        Ok((url, self.signers.as_ref().map_err(String::as_str)?))
    }
}

/// The secrets that sign an endpoint's requests, by Standard Webhooks, read once; and the further signature.
#[derive(Debug)]
pub struct Signers {
    pub(crate) provider: &'static Provider,
    pub(crate) extra: Option<Signer>,
    secrets: Vec<(Secret, Option<Time>)>,
}

impl Signers {
    fn new(endpoint: &Endpoint) -> Result<Self, String> {
        let provider = webhook_signatures::find("standard-webhooks")
            .ok_or("this build cannot sign by Standard Webhooks")?;
        let read = |(at, signing): (usize, &crate::endpoint::SigningSecret)| {
            let secret = Secret::parse(provider, signing.secret.reveal())
                .map_err(|why| format!("signing secret number {} cannot be used: {why}", at + 1))?;
            Ok((secret, signing.expires))
        };
        let secrets: Result<_, String> = endpoint.secrets.iter().enumerate().map(read).collect();
        let extra = endpoint.policy.extra_signature.as_ref().map(Signer::new).transpose();
        let extra = extra.map_err(|why| format!("the extra signature cannot be made: {why}"))?;
        Ok(Self { provider, extra, secrets: secrets? })
    }

    /// Whether the endpoint has no secret at all, and so gets unsigned requests.
    pub(crate) fn is_unsigned(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Those that sign at this time.
    pub(crate) fn live(&self, now: Time) -> Vec<Secret> {
        let good = |expires: Option<Time>| expires.is_none_or(|expires| now < expires);
        self.secrets.iter().filter(|(_, expires)| good(*expires)).map(|(s, _)| s.clone()).collect()
    }
}
