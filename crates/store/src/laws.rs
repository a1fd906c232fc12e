//! What every store promises, in sentences.
//!
//! A law is an async function that works on a [`Bench`]. It asks only through
//! the traits, never which store it runs on. [`laws!`](crate::laws!) makes a
//! test of each for a store: it is given an expression that makes a
//! [`Maker`](bench::Maker), and is written once in a test file:
//!
//! ```ignore
//! store::laws!(InMemory::default());
//! ```
//!
//! To add a law, write it in the module of its noun and name it in the list
//! below; a test holds the list to the modules.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a law is a test that is compiled for other crates' tests, where these are how a test fails"
)]

use std::time::Duration;

pub mod bench;
pub mod draft;
pub mod makers;

pub mod pushing;

pub use bench::{Bench, Maker};

/// Looks at one law, and then at the ledger, which must add up after each.
pub async fn hold(maker: impl Maker + 'static, law: impl AsyncFnOnce(&mut Bench)) {
    let mut bench = Bench::new(maker);
    let look = async {
        law(&mut bench).await;
        let recount = bench.recount().await;
        assert!(recount.agrees(), "the ledger does not add up: {recount:?}");
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("the store answers");
}

/// Makes a test of each law, for the stores that the given [`bench::Maker`]
/// makes.
#[macro_export]
macro_rules! laws {
    ($maker:expr) => {
        $crate::laws! { @list $maker;
            pushing {
                a_pushed_job_waits_as_it_was_pushed
                the_longest_payload_comes_back_byte_for_byte
                jobs_are_numbered_in_the_order_in_which_they_are_pushed
                a_push_of_nothing_changes_nothing
                a_client_id_is_accepted_once
                a_client_id_counts_within_one_push
                a_client_id_is_free_when_its_job_was_removed
                a_client_id_that_was_not_accepted_stays_free
                a_known_client_id_comes_before_a_held_key
                a_job_is_found_by_both_forms_of_its_id
                the_number_of_queues_is_bounded
                a_queue_is_known_after_its_jobs_are_gone
            }
        }
    };
    (@list $maker:expr; $($noun:ident { $($law:ident)* })*) => {
        $(mod $noun {
            use super::*;
            $(#[tokio::test]
            async fn $law() {
                $crate::laws::hold($maker, $crate::laws::$noun::$law).await;
            })*
        })*
    };
}
