#![cfg(test)]
//! What is promised of the formats.

mod api;
mod documents;
mod stored;
mod stored_config;
mod stored_any;
