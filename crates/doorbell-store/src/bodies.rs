//! Where large bodies may lie instead of in the database: an object store, which the caller brings.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::fmt::Debug;
use std::sync::Arc;

/// What is asked comes later.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, BodiesError>>;

/// An object store. Names are of small letters, digits, `_` and `/`; each question ends within half a minute.
pub trait Bodies: Debug + Send + Sync {
    /// Keeps a body; it is durable when this returns `Ok`.
    fn put<'a>(&'a self, name: &'a str, body: Bytes) -> Answer<'a, ()>;

    /// Gives a body; `None`: there is none of this name.
    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>>;

    /// Forgets a body, if it is there.
    fn delete<'a>(&'a self, name: &'a str) -> Answer<'a, ()>;

    /// Some of the names and folders that lie in this folder (none: the outermost), as they are called there.
    fn list<'a>(&'a self, folder: Option<&'a str>) -> Answer<'a, Listed>;
}

/// What lies in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Bodies.
    pub names: Vec<String>,
    /// Folders.
    pub folders: Vec<String>,
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
