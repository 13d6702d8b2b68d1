//! What a node does of all that a gateway does.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Receives webhooks: the ingest listener.
    Ingest,
    /// Delivers, empties the inbox, replays, forgets what is old.
    Deliver,
    /// Answers the API and shows the dashboard. Without it the admin listener answers health checks and metrics only.
    Api,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Deliver, Self::Api];

    /// Its word in the settings.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Deliver => "deliver",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// There is no such role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the roles are ingest, deliver and api")]
pub struct NoRole;

impl FromStr for Role {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        Self::ALL.into_iter().find(|role| role.word() == text).ok_or(NoRole)
    }
}

/// The roles of a node; all of them unless some are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(BTreeSet<Role>);

impl Default for Roles {
    fn default() -> Self {
        Self(Role::ALL.into_iter().collect())
    }
}

impl FromIterator<Role> for Roles {
    /// None at all means all.
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        let chosen: BTreeSet<Role> = roles.into_iter().collect();
        if chosen.is_empty() { Self::default() } else { Self(chosen) }
    }
}

impl Roles {
    /// Whether the node has this one.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether it has all of them.
    #[must_use]
    pub fn are_all(&self) -> bool {
        Role::ALL.into_iter().all(|role| self.has(role))
    }
}
