//! Why a request was not believed. For the operator's log only: the sender is told nothing but a status.

use crate::key::KeyRequest;
use crate::scheme::Text;
use crate::time::Unit;

/// Why a request was not believed. `Display` is a sentence for the operator; nothing secret is in it, and no
/// signature that would have been right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No secret fits this scheme: fail closed.
    #[error("no secret is configured that fits this provider, so nothing can be verified")]
    NoSecret,
    /// A setting of the provider has no value.
    #[error("the setting `{0}` of this provider is not set")]
    NotSet(Text),
    /// The scheme is for other requests than this one.
    #[error("the request is of another kind than this scheme checks: {0}")]
    DoesNotApply(Text),
    /// Something that the scheme reads is not there.
    #[error("{0} is missing: the request was not signed, or something on the way removed it")]
    Missing(Text),
    /// Something stands twice that must stand once.
    #[error("{0} is there more than once, so it is not clear which one was signed")]
    Repeated(Text),
    /// Something cannot be read.
    #[error("{what} cannot be read: {why}")]
    Malformed {
        /// Which part of the request.
        what: Text,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Signatures were there and readable, and none is right.
    #[error(
        "no signature matches: the secret is not the sender's, or the body was changed on the way \
         (tried: {} with {})",
        counted(*signatures, "signature"), counted(*secrets, "secret")
    )]
    NoMatch {
        /// How many signatures were compared.
        signatures: usize,
        /// With how many secrets.
        secrets: usize,
    },
    /// The token or password is not the configured one.
    #[error("the token is not the configured one")]
    WrongToken,
    /// It may be genuine, but it is from another account than the configured one.
    #[error("{0} is not the configured one: the request is from somebody else's account")]
    NotOurs(Text),
    /// The body is not the one whose hash was signed.
    #[error("the body is not the one that was signed: its hash differs from the signed hash")]
    BodyHash,
    /// The signature is right and its time too long ago.
    #[error(
        "signed {age_s} s ago and {limit_s} s are allowed: an old request again, or this machine's clock is ahead"
    )]
    TooOld {
        /// Its age in whole seconds.
        age_s: i64,
        /// The limit in seconds.
        limit_s: u32,
    },
    /// The signature is right and its time too far ahead.
    #[error(
        "signed {ahead_s} s in the future and {limit_s} s are allowed: this machine's clock is behind"
    )]
    InFuture {
        /// How far ahead, in whole seconds.
        ahead_s: i64,
        /// The limit in seconds.
        limit_s: u32,
    },
    /// The signature is right, and its time is none.
    #[error("the signature is right, but {why}")]
    Time {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The signature is right, and a handshake makes it for anybody who asks.
    #[error(
        "the signature is right, but what is signed could be a handshake's token, and that is signed for anybody who asks"
    )]
    HandshakeToken,
    /// The signature is right, and the certificate in which its key stands is not good at this time.
    #[error(
        "the key's certificate is good from {} to {} only: it ran out, or this machine's clock is wrong",
        shown(*from), shown(*until)
    )]
    Certificate {
        /// From when, in Unix seconds.
        from: i64,
        /// Until when, in Unix seconds.
        until: i64,
    },
    /// A JWT names an algorithm that the source does not allow.
    #[error("the token says it is signed with {found:?}, which this source does not allow")]
    Algorithm {
        /// What it says: at most 16 characters of it.
        found: String,
    },
    /// A claim of a JWT is not what it must be.
    #[error("the token's claim `{claim}` {why}")]
    Claim {
        /// Its name.
        claim: Text,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The request names a key address that is not the provider's.
    #[error("the request names a signing key at an address that is not the provider's own: {0}")]
    KeyAddress(&'static str),
    /// Not refused yet: fetch this key, add it to the secrets with [`crate::Secret::fetched`], and ask again.
    #[error("the key must be fetched from {}", .0.url())]
    Need(KeyRequest),
    /// Built without the feature that this scheme wants.
    #[error("this build has no support for {0}")]
    Unsupported(&'static str),
}

fn shown(seconds: i64) -> String {
    Unit::Iso8601.write(seconds)
}

fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

impl Refusal {
    /// A short stable name for metrics and lists.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::NotSet(_) => "not_set",
            Self::DoesNotApply(_) => "does_not_apply",
            Self::Missing(_) => "missing",
            Self::Repeated(_) => "repeated",
            Self::Malformed { .. } => "malformed",
            Self::NoMatch { .. } => "no_match",
            Self::WrongToken => "wrong_token",
            Self::NotOurs(_) => "not_ours",
            Self::BodyHash => "body_hash",
            Self::TooOld { .. } => "too_old",
            Self::InFuture { .. } => "in_future",
            Self::Time { .. } => "time",
            Self::HandshakeToken => "handshake_token",
            Self::Certificate { .. } => "certificate",
            Self::Algorithm { .. } => "algorithm",
            Self::Claim { .. } => "claim",
            Self::KeyAddress(_) => "key_address",
            Self::Need(_) => "need_key",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// Of two refusals the one that came further.
    pub(crate) fn or_further(self, other: Option<Self>) -> Self {
        match other {
            Some(other) if other.rank() > self.rank() => other,
            _ => self,
        }
    }

    /// How much of the check was passed before it failed: of several schemes the furthest is told.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::NoSecret => 0,
            Self::DoesNotApply(_) => 1,
            Self::Missing(_) => 2,
            Self::Unsupported(_) | Self::NotSet(_) => 3,
            Self::Repeated(_) | Self::Malformed { .. } | Self::Algorithm { .. } => 4,
            Self::NoMatch { .. } | Self::WrongToken | Self::NotOurs(_) | Self::KeyAddress(_) => 5,
            Self::Need(_) => 6,
            Self::BodyHash | Self::Claim { .. } => 7,
            Self::TooOld { .. }
            | Self::InFuture { .. }
            | Self::Time { .. }
            | Self::HandshakeToken
            | Self::Certificate { .. } => 8,
        }
    }
}
