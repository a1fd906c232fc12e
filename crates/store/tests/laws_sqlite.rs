//! The laws, looked at in the embedded store, and in the embedded store through
//! faults.

#![expect(clippy::unwrap_used, reason = "this is how a test fails, in its helpers too")]

use std::sync::Arc;

use job::time::ManualClock;
use job::{Clock, Rules};
use store::Store;
use store::laws::Maker;
use store::sqlite::{Options, Sqlite};
use tempfile::TempDir;

/// Makes embedded stores, the first in an empty folder.
struct Embedded(TempDir);

impl Embedded {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }
}

impl Maker for Embedded {
    fn open(&mut self, rules: Rules, clock: &ManualClock) -> Arc<dyn Store> {
        let app = store::laws::makers::APP.parse().unwrap();
        let options = Options { rules, create: true, reserve: 0, ..Options::new(self.0.path(), app) };
        Arc::new(Sqlite::open(options, clock.now().wall).unwrap())
    }
}

mod plain {
    use super::Embedded;

    store::laws!(Embedded::new());
}

mod busy {
    use store::laws::makers::Through;

    use super::Embedded;

    store::laws!(Through::busy(Embedded::new()));
}

mod lost_answers {
    use store::laws::makers::Through;

    use super::Embedded;

    store::laws!(Through::lost_answers(Embedded::new()));
}

mod full_disk {
    use store::laws::makers::Through;

    use super::Embedded;

    store::laws!(Through::full_disk(Embedded::new()));
}
