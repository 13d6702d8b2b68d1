#![cfg(test)]
//! The receiving side over real sockets on loopback.

mod ingest;
mod listen;
mod raw;
mod tls;
mod world;
