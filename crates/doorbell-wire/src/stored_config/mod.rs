//! The configuration as it is stored: one JSON document for each tenant, source, endpoint, token and replay.
//!
//! Each document carries its version in `v`; a field is never renamed or reused within a version. Secrets stand in them
//! as they are, so a document is as secret as they. Golden texts in `tests/` hold the layout.

mod v1;

use doorbell_core::configuration::{Resource, ResourceId};
use serde::Deserialize;

/// The kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A tenant.
    Tenant,
    /// A source.
    Source,
    /// An endpoint.
    Endpoint,
    /// A token.
    Token,
    /// A replay.
    Replay,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Tenant, Self::Source, Self::Endpoint, Self::Token, Self::Replay];

    /// The word that is stored.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Source => "source",
            Self::Endpoint => "endpoint",
            Self::Token => "token",
            Self::Replay => "replay",
        }
    }

    /// The kind of that word, if there is one.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The kind of this resource.
    #[must_use]
    pub const fn of(resource: &Resource) -> Self {
        match resource {
            Resource::Tenant(_) => Self::Tenant,
            Resource::Source(_) => Self::Source,
            Resource::Endpoint(_) => Self::Endpoint,
            Resource::Token(_) => Self::Token,
            Resource::Replay(_) => Self::Replay,
        }
    }

    /// The kind of the resource with this id.
    #[must_use]
    pub const fn of_id(id: ResourceId) -> Self {
        match id {
            ResourceId::Tenant(_) => Self::Tenant,
            ResourceId::Source(_) => Self::Source,
            ResourceId::Endpoint(_) => Self::Endpoint,
            ResourceId::Token(_) => Self::Token,
            ResourceId::Replay(_) => Self::Replay,
        }
    }
}

/// Why a document cannot be read. It never quotes the document: secrets stand in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It was written by a newer version of Doorbell.
    #[error("it has version {found}; this Doorbell reads up to {}", v1::VERSION)]
    Version {
        /// Its version.
        found: u32,
    },
    /// It is no document of that kind.
    #[error("it is not valid JSON of its kind (line {line}, column {column})")]
    Json {
        /// Where the fault was seen.
        line: usize,
        /// Where the fault was seen.
        column: usize,
    },
    /// A value cannot be.
    #[error("its {0} is not valid")]
    Value(&'static str),
}

impl From<serde_json::Error> for DocumentError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}

/// The document of a resource.
///
/// # Errors
/// [`DocumentError::Json`], which cannot happen for what is made of texts and numbers.
pub fn encode(resource: &Resource) -> Result<String, DocumentError> {
    let text = match resource {
        Resource::Tenant(tenant) => serde_json::to_string(&v1::Tenant::from(tenant)),
        Resource::Source(source) => serde_json::to_string(&v1::Source::from(source)),
        Resource::Endpoint(endpoint) => serde_json::to_string(&v1::Endpoint::from(endpoint)),
        Resource::Token(token) => serde_json::to_string(&v1::Token::from(token)),
        Resource::Replay(replay) => serde_json::to_string(&v1::Replay::from(replay)),
    };
    Ok(text?)
}

/// The resource of a document.
///
/// # Errors
/// [`DocumentError`] when it is not one that [`encode`] (of this or an older version) made.
pub fn decode(kind: Kind, document: &str) -> Result<Resource, DocumentError> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    let Versioned { v } = serde_json::from_str(document)?;
    if v != v1::VERSION {
        return Err(DocumentError::Version { found: v });
    }
    Ok(match kind {
        Kind::Tenant => Resource::Tenant(serde_json::from_str::<v1::Tenant>(document)?.try_into()?),
        Kind::Source => Resource::Source(serde_json::from_str::<v1::Source>(document)?.try_into()?),
        Kind::Endpoint => {
            Resource::Endpoint(serde_json::from_str::<v1::Endpoint>(document)?.try_into()?)
        }
        Kind::Token => Resource::Token(serde_json::from_str::<v1::Token>(document)?.try_into()?),
        Kind::Replay => Resource::Replay(serde_json::from_str::<v1::Replay>(document)?.try_into()?),
    })
}
