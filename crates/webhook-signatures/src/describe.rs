//! What a request says it is: its event's id and type. Nothing here is verified.

use crate::field::{self, Seen};
use crate::incoming::Incoming;
use crate::provider::Provider;
use crate::scheme::Field;
use std::borrow::Cow;

/// An event's id and type as its sender gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// The id by which a repetition is known; at most [`ID_MAX`] bytes, else `None`.
    pub event_id: Option<String>,
    /// The type, for example `invoice.paid` or `pull_request.opened`; at most [`TYPE_MAX`] bytes, else `None`.
    pub event_type: Option<String>,
}

/// The longest event id that is taken, in bytes.
pub const ID_MAX: usize = 512;
/// The longest event type that is taken, in bytes.
pub const TYPE_MAX: usize = 256;

/// Reads the event's id and type where the provider's row says that they are. Builds no JSON tree: it costs about a
/// microsecond a kilobyte, and any bytes are fine.
#[must_use]
pub fn describe(provider: &Provider, incoming: &Incoming<'_>) -> Described {
    describe_knowing(provider, incoming, Seen::default())
}

/// The same, where some of the request was read before.
pub(crate) fn describe_knowing<'a>(
    provider: &'a Provider,
    incoming: &Incoming<'a>,
    mut seen: Seen<'a>,
) -> Described {
    let fields = [&provider.event_id, &provider.event_type].map(Option::as_ref);
    seen.look_up(&fields, incoming.body);
    let read = |field: &Option<Field>, most: usize| {
        let bytes = field::read_knowing(field.as_ref()?, incoming, incoming.body, &seen)?;
        let text = match bytes {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Cow::Owned(bytes) => String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
        };
        (!text.is_empty() && text.len() <= most).then_some(text)
    };
    Described {
        event_id: read(&provider.event_id, ID_MAX),
        event_type: read(&provider.event_type, TYPE_MAX),
    }
}
