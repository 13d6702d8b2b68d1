//! The API in process: the router called directly, over the model store, with a clock that stands still.

mod apply;
mod config;
mod deliveries;
mod explain;
mod isolation;
mod login;
mod moves;
mod problems;
mod publish;
mod redacted;
mod replays;
mod served;
mod streams;
mod world;
