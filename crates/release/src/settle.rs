//! What a person, or somebody who watches the workers, says of a release after its deploy is over.

use crate::deploy::{Options, Step};
use crate::error::{Error, Trouble};
use crate::hands::Hands;
use crate::id::ReleaseId;
use crate::journal::{Act, Mark};
use crate::meta::State;
use crate::recover::{Mended, Recovery, put_in_order};
use crate::transaction::Transaction;
use crate::tree::Tree;

/// Writes down that the current release works: its workers were seen to. Says no if it is not the current one any more.
///
/// A deploy does this itself, and [`crate::confirm`] by rolling and verifying anew. Whoever sees the workers all the time
/// need not: one was cut short after its switch, or held and then healed, and they are well.
pub fn settle(tree: &Tree, id: &ReleaseId, options: &Options) -> Result<bool, Error> {
    let mut tx = Transaction::begin(tree, Act::Confirm, format!("settling release {id}"), options)?;
    if tree.current()?.release() != Some(id) {
        return Ok(false);
    }
    let settle = |tx: &mut Transaction<'_>| {
        tx.record(Step::Commit, Mark::Intent, Some(id), None, None)?;
        tx.set_state(id, State::Healthy { since: tree.now() })?;
        tx.record(Step::Commit, Mark::Over, Some(id), None, None)
    };
    settle(&mut tx).map_err(|trouble| trouble.unsure("Whether that was written down is not known."))?;
    Ok(true)
}

/// Puts in order what was cut short, and gives up every release that waits to become current.
pub fn abort(tree: &Tree, options: &Options, hands: &dyn Hands) -> Result<Recovery, Error> {
    let mut tx = Transaction::begin(tree, Act::Prune, "giving up what was cut short".into(), options)?;
    let unsure = |trouble: Trouble| trouble.unsure("Not everything is given up. `current` is as it was.");
    let mut recovery = put_in_order(&mut tx, options, hands).map_err(unsure)?;
    for mended in &mut recovery.mended {
        if let Mended::Resumable(id) = mended {
            let why = format!("{} gave it up", options.who);
            tx.set_state(id, State::Aborted { at: tree.now(), why }).map_err(unsure)?;
            *mended = Mended::Aborted(id.clone());
        }
    }
    Ok(recovery)
}
