#![cfg(test)]
//! The running gateway, from outside: real sockets on loopback.

mod listen;
mod raw;
mod sender;
mod tls;
