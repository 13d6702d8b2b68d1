//! See [`crate::ticks`].

pub(super) use crate::ticks::now;
