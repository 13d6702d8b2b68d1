#![cfg(test)]
//! The running gateway, from outside.

mod sender;
