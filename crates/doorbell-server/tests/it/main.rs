#![cfg(test)]
//! The receiving side over real sockets on loopback, and the API in process.

mod api;
mod listen;
mod raw;
mod tls;
