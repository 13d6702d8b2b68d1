//! The embedded home: a journal that is the truth, and an index that is a view of it.

pub mod index;
