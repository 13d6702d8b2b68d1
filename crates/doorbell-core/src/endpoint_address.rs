//! Where an endpoint's events go: to a URL, or to a broker.

use crate::endpoint_url::{EndpointUrl, UrlPolicy, UrlRefused};
use crate::queue_address::{QueueAddress, QueueRefused, SCHEME, Side};

/// Where an endpoint's events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointAddress {
    /// By HTTP.
    Http(EndpointUrl),
    /// To a message broker.
    Queue(Box<QueueAddress>),
}

/// Why an address is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefused {
    /// It is no URL that can be called.
    #[error(transparent)]
    Url(#[from] UrlRefused),
    /// It is no place on a broker.
    #[error(transparent)]
    Queue(#[from] QueueRefused),
}

impl EndpointAddress {
    /// Checks and takes an address, for an endpoint of the tenant with this `uid`.
    ///
    /// # Errors
    /// [`AddressRefused`], a sentence that says what is wrong and what to do.
    pub fn parse(text: &str, policy: &UrlPolicy, tenant: &str) -> Result<Self, AddressRefused> {
        if text.starts_with(SCHEME) {
            let address = QueueAddress::parse(text, &policy.queues, tenant, Side::To)?;
            return Ok(Self::Queue(Box::new(address)));
        }
        Ok(Self::Http(EndpointUrl::parse(text, policy)?))
    }

    /// As it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Http(url) => url.as_str(),
            Self::Queue(address) => address.as_str(),
        }
    }
}
