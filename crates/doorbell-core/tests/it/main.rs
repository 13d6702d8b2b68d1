#![cfg(test)]
//! What the decisions promise together, through the public face of the crate.

mod world;

mod address;
mod filter;
mod hub;
mod intake;
mod outgoing;
mod queue_message;
mod routing;
