#![cfg(test)]
//! The promises of the store, on every home.

mod embedded;
mod index;
mod indexed;
mod memory;
mod script;
