#![cfg(test)]
//! The promises of the store, on every home.

mod backup;
mod config;
mod embedded;
mod index;
mod indexed;
mod memory;
mod postgres;
mod script;
