#![cfg(test)]
//! The crate's promises, through its public face.

mod corpus;
mod events;
mod explanations;
mod handshakes;
mod hostile;
mod keys;
mod properties;
mod symmetric;
mod vectors;
