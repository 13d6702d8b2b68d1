#![cfg(test)]
//! The crate's promises, through its public face.

mod handshakes;
mod hostile;
mod keys;
mod properties;
mod vectors;
