//! Control groups: a worker and all it started, ended and counted together.

use std::path::PathBuf;

/// Whether workers get control groups of their own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Choice {
    /// If a part of the tree was handed to this process.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Below this folder of the unified hierarchy.
    At(PathBuf),
}
