//! Random operations, played to the reference and to another store side by
//! side: every answer must be the same, and after each of them everything that
//! is kept.
//!
//! A difference that is found here, cut down to what matters, becomes a law.

#![expect(clippy::unwrap_used, clippy::panic, reason = "this is how a test fails, in its helpers too")]

use proptest::prelude::*;
use proptest::test_runner::Config;
use store::laws::Maker;
use store::laws::makers::Embedded;

mod ops;
mod table;

use ops::{Op, op};
use table::Table;

fn played(ops: Vec<Op>, other: Option<Box<dyn Maker>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut table = Table::new(other);
        for op in ops {
            table.play(op).await;
        }
    });
}

/// So many cases, unless `PROPTEST_CASES` asks for another number.
fn config(cases: u32) -> Config {
    let asked = std::env::var_os("PROPTEST_CASES").map(|_| Config::default().cases);
    Config { cases: asked.unwrap_or(cases), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn whatever_is_done_the_reference_keeps_its_promises(ops in prop::collection::vec(op(), 1..80)) {
        played(ops, None);
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn whatever_is_done_the_embedded_store_does_as_the_reference(ops in prop::collection::vec(op(), 1..80)) {
        played(ops, Some(Box::new(Embedded::relaxed())));
    }
}
