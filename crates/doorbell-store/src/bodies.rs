//! Where large bodies may lie instead of in the database: an object store, which the caller brings.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::fmt::Debug;
use std::sync::Arc;

/// What is asked comes later.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, BodiesError>>;

/// An object store. Names are of small letters, digits and `_`; each question ends within half a minute.
pub trait Bodies: Debug + Send + Sync {
    /// Keeps a body; it is durable when this returns `Ok`.
    fn put<'a>(&'a self, name: &'a str, body: Bytes) -> Answer<'a, ()>;

    /// Gives a body; `None`: there is none of this name.
    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>>;
}

/// Why an object store did not do what was asked, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BodiesError(pub String);

/// Which bodies lie in which object store.
#[derive(Debug, Clone)]
pub struct LargeBodies {
    /// Where.
    pub at: Arc<dyn Bodies>,
    /// Those of more bytes.
    pub over: usize,
}
