//! The home on `PostgreSQL` (15 and later): any number of nodes, all alike, on one database.
//!
//! Everything that was promised is in the database; a node holds nothing that could not be lost. What has come together
//! is written as one statement (`accept`, `settle`). Deliveries are lent to nodes under a token (`leases`); a node
//! that does not say in time that it lives loses what it holds (`node`). Each endpoint is looked after by one node
//! (`members`), so its limits and its order hold over all of them. The large tables are cut into days (`partitions`).
//! No decision stands here, and no clock but the one that tells whether a node lives.

mod ticks;

mod rows;

mod fault;

mod address;

mod line;

mod place;

mod kinds;

mod partitions;

mod leases;

mod members;

mod away;

mod notice;

mod parts;

mod config;

mod schema;

mod columns;

mod batch;

mod accept;

mod settle;

mod lending;

mod taking_up;

mod claim;

mod by_key;

mod amend;

mod read;

mod prune;

mod care;

mod node;

mod home;

mod taken;

mod take;

mod give;

pub use give::Giver;
pub use home::{Options, Postgres};
pub use schema::Layout;
pub use take::{Taker, Way};

use std::time::Duration;

/// In what the nodes speak to each other: each schema has its own.
const CHANNEL: &str = "SELECT 'doorbell_' || current_schema()::regnamespace::oid::text";

/// How long a node that says nothing is taken for alive.
const LIFE: Duration = Duration::from_secs(3);
