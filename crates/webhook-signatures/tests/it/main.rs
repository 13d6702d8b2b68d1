#![cfg(test)]
//! The crate's promises, through its public face.

mod hostile;
mod properties;
mod vectors;
