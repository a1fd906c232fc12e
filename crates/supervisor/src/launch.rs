//! The launcher: a process of one thread that becomes a worker.

use std::path::Path;

/// Why a worker was not started.
#[derive(Debug)]
pub struct Failed {
    /// What happened, what it means, what to do.
    pub message: String,
    /// With which status the launcher has to exit.
    pub code: u8,
}

/// Carries out the order in the file `order`, and does not return if that
/// succeeds. Must run in a process with one thread.
pub fn run(order: &Path) -> Failed {
    Failed { message: format!("{}", order.display()), code: 1 }
}
