#![cfg(test)]
//! The crate's promises, through its public face.

mod confusion;
mod corpus;
mod events;
mod explanations;
mod handshakes;
mod hostile;
mod httpsig;
mod json;
mod keys;
mod properties;
mod setups;
mod signed;
mod signing;
mod symmetric;
mod tokens;
mod vectors;
