//! Ids: a prefix that names the kind, then 128 bits, 48 of time (milliseconds) and 80 of dice, in Crockford's base 32.
//! They sort by time, cannot be guessed, and one kind cannot be taken for another.

use crate::time::Time;
use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LEN: usize = 26;

/// Why a text is no id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}<26 characters of 0-9 a-z without i l o u>")]
pub struct ParseIdError {
    /// The prefix that was expected, with its underscore.
    pub prefix: &'static str,
}

fn build(at: Time, dice: u128) -> [u8; 16] {
    let time = u128::from(at.ms()) << 80;
    (time | (dice & ((1 << 80) - 1))).to_be_bytes()
}

fn encode(bytes: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = u128::from_be_bytes(bytes);
    let mut text = [0_u8; TEXT_LEN];
    for (place, letter) in text.iter_mut().rev().enumerate() {
        let digit = usize::try_from((value >> (5 * place)) & 31).unwrap_or(0);
        *letter = ALPHABET.get(digit).copied().unwrap_or(b'0');
    }
    f.write_str(str::from_utf8(&text).unwrap_or_default())
}

fn decode(text: &str) -> Option<[u8; 16]> {
    if text.len() != TEXT_LEN {
        return None;
    }
    let mut value: u128 = 0;
    for letter in text.bytes() {
        let digit = ALPHABET.iter().position(|a| *a == letter)?;
        value = value.checked_mul(32)?.checked_add(u128::try_from(digit).ok()?)?;
    }
    Some(value.to_be_bytes())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What stands before the 26 characters.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, born at `at`; the low 80 bits of `dice` make it unguessable.
            #[must_use]
            pub fn new(at: Time, dice: u128) -> Self {
                Self(build(at, dice))
            }

            /// The same 128 bits as stored before.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 128 bits, most significant first: they sort by time.
            #[must_use]
            pub const fn bytes(self) -> [u8; 16] {
                self.0
            }

            /// When it was born, to the millisecond.
            #[must_use]
            pub fn at(self) -> Time {
                Time::from_ms(u64::try_from(u128::from_be_bytes(self.0) >> 80).unwrap_or(0))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                encode(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix($prefix).and_then(decode).map(Self).ok_or(ParseIdError { prefix: $prefix })
            }
        }
    )*};
}

ids! {
    /// A customer of whoever runs Doorbell.
    TenantId "tnt_";
    /// A named address that receives.
    SourceId "src_";
    /// One inbound HTTP request. The request that gave birth to an event has the same 128 bits as the event.
    RequestId "req_";
    /// A thing that happened.
    EventId "evt_";
    /// Where events go.
    EndpointId "ep_";
    /// One event for one endpoint.
    DeliveryId "dlv_";
    /// One try at a delivery.
    AttemptId "att_";
    /// Many deliveries made again on purpose.
    ReplayId "rpl_";
    /// A bearer token of the API.
    TokenId "tok_";
}

impl TenantId {
    /// The tenant that exists from the start.
    pub const DEFAULT: Self = Self([0; 16]);
}

impl From<EventId> for RequestId {
    fn from(event: EventId) -> Self {
        Self(event.bytes())
    }
}

impl From<RequestId> for EventId {
    fn from(request: RequestId) -> Self {
        Self(request.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_sorts_by_time() {
        let early = EventId::new(Time::from_ms(1_000), u128::MAX);
        let late = EventId::new(Time::from_ms(1_001), 0);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(early.at(), Time::from_ms(1_000));
    }

    #[test]
    fn refuses_other_kinds_and_noise() {
        let id = EventId::new(Time::from_ms(5), 7).to_string();
        assert!(id.parse::<EndpointId>().is_err());
        for text in ["", "evt_", "evt_zzzzzzzzzzzzzzzzzzzzzzzzzz", "evt_é", &id.to_uppercase()] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }
}
