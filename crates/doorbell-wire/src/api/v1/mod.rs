//! Version 1 of the API: what goes in (`…In`), what comes out (`…Out`), and the table of its operations.
//!
//! Bodies that go in refuse unknown fields, so that a misspelt one is told and not ignored. Bodies that come out may gain
//! fields within the version: clients ignore what they do not know. Ids are text with their prefix, times and durations
//! stand in [`text`], and secrets come out once, when they are made. The modules stand in the order in which they rest on
//! each other.

pub mod text;

pub mod common;

pub mod redact;

pub mod http;

pub mod tenant;

pub mod token;

pub mod login;
pub mod moving;

pub mod source;

pub mod policy;

pub mod standing;

pub mod endpoint;

pub mod apply;

pub mod event;

pub mod explain;

pub mod delivery;

pub mod replay;

pub mod search;

pub mod live;

pub mod status;

pub mod patch;

pub mod operation;

pub mod openapi;
