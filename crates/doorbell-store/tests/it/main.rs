#![cfg(test)]
//! The promises of the store, on every home.

mod backup;
mod bodies;
mod config;
mod embedded;
mod index;
mod indexed;
mod lending;
mod memory;
mod moving;
mod postgres;
mod script;
