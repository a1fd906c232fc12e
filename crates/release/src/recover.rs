//! What is put in order after something was cut short.

use crate::deploy::Options;
use crate::error::Error;
use crate::hands::Hands;
use crate::id::ReleaseId;
use crate::tree::Tree;

/// What was found cut short, and what was done about it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovery {
    /// Each thing that was put in order.
    pub mended: Vec<Mended>,
    /// What a person should know, as sentences.
    pub notes: Vec<String>,
}

/// One thing that was put in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mended {
    /// A release that was not whole is marked as aborted. `current` was never switched to it.
    Aborted(ReleaseId),
    /// A release is whole and was not switched to: `resume` makes it current.
    Resumable(ReleaseId),
    /// The switch to it had happened, and nobody has confirmed that it works: roll and verify it.
    Unverified(ReleaseId),
    /// A link of a switch that did not happen was removed.
    StrayLink(String),
    /// A hook may have run, and nobody knows whether to its end.
    HookMayHaveRun {
        /// The release that it ran for.
        release: ReleaseId,
        /// The hook.
        hook: String,
    },
    /// What was half removed is gone.
    Trash(ReleaseId),
    /// What was half removed could not be removed to its end, for this reason.
    TrashStays(ReleaseId, String),
}

/// Puts in order what was cut short by a kill, a crash or a power cut. What `current` says counts, then the journal.
///
/// Every deploy begins with it; an agent calls it at its start. It waits for nobody: somebody at work in the tree is
/// [`Error::Locked`].
pub fn recover(tree: &Tree, options: &Options, hands: &dyn Hands) -> Result<Recovery, Error> {
    drop((tree.kind(), options.clone(), hands.in_use(&[])));
    Err(crate::tree::unfinished())
}
