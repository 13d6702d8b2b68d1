//! The promises of a [`Store`], as tests that every home must pass: one function for each, and a comparison with the
//! model over random histories. A home says how to open it ([`Homes`]) and calls [`crate::contract_tests!`].
//! What a particular home promises beyond these stands with that home.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "these are tests; they fail by panicking"
)]

use crate::memory::Memory;
use crate::store::Store;
use std::future::Future;

mod making;

pub mod accepting;
pub mod agreement;
pub mod keeping;
pub mod lending;
pub mod listing;
pub mod settling;

/// Opens homes of one kind; the first is empty.
pub trait Homes {
    /// The kind.
    type Home: Store;

    /// Opens the home; after the last one was closed, with what that one kept.
    fn open(&mut self) -> impl Future<Output = Self::Home>;
}

/// Opens the model.
#[derive(Debug, Clone, Copy)]
pub struct Model;

impl Homes for Model {
    type Home = Memory;

    async fn open(&mut self) -> Memory {
        Memory::new()
    }
}

/// Makes a test of each promise: `contract_tests!(Model)`, and for homes that outlive their process
/// `contract_tests!(lasting: MyHomes::new())`; slow ones are compared with the model on a smaller share of the random
/// histories. Call it in a module of its own; the crate needs `tokio` with `macros`.
#[macro_export]
macro_rules! contract_tests {
    (lasting: $homes:expr) => {
        $crate::contract_tests!(lasting, a share of 8: $homes);
    };
    (lasting, a share of $share:literal: $homes:expr) => {
        $crate::contract_tests!(@all $homes; $share);
        $crate::contract_tests!(@each $homes; keeping::a_reopened_home_keeps_its_promises);
    };
    (@each $homes:expr; $($module:ident::$promise:ident)*) => {$(
        #[tokio::test]
        async fn $promise() {
            $crate::contract::$module::$promise($homes).await;
        }
    )*};
    ($homes:expr) => {
        $crate::contract_tests!(@all $homes; 8);
    };
    (@all $homes:expr; $share:literal) => {
        $crate::contract_tests!(@each $homes;
            accepting::an_event_is_kept_byte_for_byte
            accepting::empty_and_large_events_are_kept
            accepting::every_fate_is_listed
            accepting::a_repeat_is_kept_but_not_delivered
            accepting::a_reused_key_is_told_from_a_repeat
            accepting::a_key_counts_in_its_scope_and_window
            accepting::of_concurrent_repeats_one_is_new
            accepting::what_comes_again_is_taken_in_once
            accepting::what_comes_at_once_is_taken_in_once
            accepting::tenants_are_apart
            accepting::a_large_fanout_is_whole
            lending::accepted_deliveries_are_lent_in_order
            lending::endpoints_that_want_a_claim_are_told
            lending::settled_deliveries_are_not_lent
            lending::what_is_due_is_lent_oldest_first
            lending::nothing_is_lent_twice
            lending::a_claim_brings_events_along
            lending::keys_go_one_after_the_other
            lending::a_key_is_out_once_at_a_time
            lending::the_next_of_a_key_may_come_by_itself
            lending::a_dead_delivery_lets_no_next_one_come
            lending::a_dead_delivery_may_hold_its_key
            lending::a_retried_delivery_is_lent_where_asked
            lending::each_key_has_its_turn
            lending::without_a_key_nothing_is_held_back
            lending::the_backlog_is_what_waits_and_is_not_lent
            lending::what_waits_is_counted_by_endpoint
            settling::a_settled_delivery_says_so
            settling::attempts_are_kept
            settling::a_delivery_can_be_given_back
            settling::a_lost_lease_settles_nothing
            settling::a_retry_makes_a_delivery_wait
            settling::a_delivered_delivery_is_not_retried
            settling::tries_by_hand_are_counted
            settling::a_cancelled_delivery_is_never_tried
            settling::what_only_waits_can_be_taken_back
            settling::a_replay_gives_an_event_new_deliveries
            listing::pages_neither_skip_nor_double
            listing::filters_combine
            listing::a_foreign_cursor_is_refused
            listing::a_search_finds_what_is_there
            listing::stats_count_what_is_kept
            keeping::the_configuration_is_kept
            keeping::a_configuration_changes_whole_or_not
            keeping::retention_spares_what_waits
            keeping::without_limits_nothing_is_forgotten
            keeping::a_closed_home_promises_nothing
        );

        #[test]
        fn agrees_with_the_model() {
            $crate::contract::agreement::agrees_with_the_model($share, || $homes);
        }
    };
}
