#![cfg(test)]
//! The promises of the store, on every home.

mod embedded;
mod memory;
