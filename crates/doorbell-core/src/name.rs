//! Checked words: parsed once at the edge, believed inside.

use crate::limits;
use std::fmt;
use std::sync::Arc;

/// Why a text is not a name of the kind asked for; the sentence says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a label.
    #[error(
        "{0:?} is not a name: use 1 to 64 of a-z, 0-9, '-' and '_', starting with a letter or digit"
    )]
    Label(String),
    /// Not an event type.
    #[error(
        "{0:?} is not an event type: use 1 to 256 printable characters without spaces, such as invoice.paid"
    )]
    EventType(String),
    /// Not a pattern of event types.
    #[error(
        "{0:?} is not an event type pattern: use a type such as invoice.paid, with * for any run of characters"
    )]
    Pattern(String),
}

/// The name of a source or endpoint: part of a URL, so `[a-z0-9][a-z0-9_-]{0,63}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`NameError::Label`] when a character or the length is not allowed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if fits { Ok(Self(text.into())) } else { Err(NameError::Label(clip(text))) }
    }
}

/// The type of an event, such as `invoice.paid` or `push`. Any printable text without spaces, since providers invent them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Arc<str>);

impl EventType {
    /// Checks and takes an event type.
    ///
    /// # Errors
    /// [`NameError::EventType`] when it is empty, over [`limits::EVENT_TYPE`] bytes, or holds spaces or controls.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = (1..=limits::EVENT_TYPE).contains(&text.len())
            && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if fits { Ok(Self(text.into())) } else { Err(NameError::EventType(clip(text))) }
    }
}

/// A pattern of event types: a type in which `*` stands for any run of characters, none included.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTypePattern(Arc<str>);

impl EventTypePattern {
    /// Checks and takes a pattern.
    ///
    /// # Errors
    /// [`NameError::Pattern`] when it is not an event type with any number of `*`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        EventType::parse(text).map(|t| Self(t.0)).map_err(|_| NameError::Pattern(clip(text)))
    }

    /// Whether the type fits. Linear in practice: each `*` only remembers where it last stood.
    #[must_use]
    pub fn fits(&self, event_type: &EventType) -> bool {
        glob(self.0.as_bytes(), event_type.0.as_bytes())
    }
}

/// Greedy matching with one remembered `*`; never worse than `pattern × text`, both bounded by [`limits::EVENT_TYPE`].
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(letter) if text.get(t) == Some(letter) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

/// What is shown of a text that was refused.
fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

macro_rules! shown {
    ($($name:ident)*) => {$(
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
    )*};
}
shown!(Label EventType EventTypePattern);

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, event_type: &str) -> bool {
        EventTypePattern::parse(pattern).unwrap().fits(&EventType::parse(event_type).unwrap())
    }

    #[test]
    fn patterns() {
        assert!(
            fits("invoice.*", "invoice.paid")
                && fits("*", "push")
                && fits("*.paid", "invoice.paid")
        );
        assert!(fits("a*b*c", "axxbxbc") && fits("push", "push") && fits("push*", "push"));
        assert!(
            !fits("invoice.*", "invoices.paid")
                && !fits("push", "pushed")
                && !fits("*.paid", "invoice.paid.x")
        );
    }

    #[test]
    fn names_are_checked() {
        assert!(Label::parse("in-box_2").is_ok());
        for bad in ["", "-a", "Aa", "a/b", "é", &"a".repeat(65)] {
            assert!(Label::parse(bad).is_err(), "{bad}");
        }
        assert!(EventType::parse("a b").is_err() && EventType::parse("").is_err());
    }
}
