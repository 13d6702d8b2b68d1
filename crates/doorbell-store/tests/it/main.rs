#![cfg(test)]
//! The promises of the store, on every home.

mod config;
mod index;
mod indexed;
mod memory;
mod script;
