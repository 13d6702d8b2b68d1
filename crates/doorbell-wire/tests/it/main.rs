#![cfg(test)]
//! What is promised of the formats.

mod api;
mod documents;
mod export;
mod stored;
mod stored_config;
mod stored_any;
