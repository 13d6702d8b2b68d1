//! The table: one row for each provider, in files by kind. A row is data; what no row can say is a new variant in
//! `scheme`, never code for one provider.

mod basics;
mod platforms;

pub use basics::{Generic, generic};

use crate::provider::Provider;
use std::sync::LazyLock;

static ALL: LazyLock<Vec<Provider>> = LazyLock::new(|| {
    let mut all = basics::rows();
    all.extend(platforms::rows());
    all
});

/// Every built-in provider, `none` and the generic ones first.
#[must_use]
pub fn all() -> &'static [Provider] {
    &ALL
}

/// The built-in provider of this name.
///
/// ```
/// let github = webhook_signatures::find("github").unwrap();
/// assert_eq!(github.title, "GitHub");
/// ```
#[must_use]
pub fn find(name: &str) -> Option<&'static Provider> {
    ALL.iter().find(|provider| provider.name == name)
}
