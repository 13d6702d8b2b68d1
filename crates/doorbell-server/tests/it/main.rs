#![cfg(test)]
//! The receiving side over real sockets on loopback.

mod listen;
mod raw;
mod tls;
