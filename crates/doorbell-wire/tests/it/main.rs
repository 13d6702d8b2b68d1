#![cfg(test)]
//! What is promised of the formats.

mod stored;
mod stored_any;
