#![cfg(test)]
//! The running gateway, from outside: real sockets on loopback, and the API in process.

mod api;
mod configured;
mod dispatch;
mod ingest;
mod listen;
mod metrics;
mod raw;
mod sender;
mod tls;
mod world;
