//! Tenants: the customers of whoever runs Doorbell.

use super::text::Moment;
use doorbell_core::configuration::Tenant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tenant to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantIn {
    /// The caller's own id for it: 1 to 64 of `a-z`, `0-9`, `-` and `_`. Unique.
    pub uid: String,
    /// A name for people; the `uid` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantOut {
    /// Its id.
    pub id: String,
    /// The caller's own id for it.
    pub uid: String,
    /// A name for people.
    pub name: String,
    /// When it was made.
    pub created_at: Moment,
}

impl From<&Tenant> for TenantOut {
    fn from(tenant: &Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            uid: tenant.uid.clone(),
            name: tenant.name.clone(),
            created_at: Moment(tenant.created),
        }
    }
}
