//! What was found out about one process so far.

use std::path::Path;

use super::Unseen;
use crate::file::FileId;
use crate::seen::{Blind, Lack, Look, Seen};
use crate::targets::{How, Targets, Use};

/// Its uses, and what could not be seen of it, each once.
pub(super) struct Found<'a> {
    targets: &'a Targets,
    pub(super) uses: Vec<Use>,
    pub(super) unseen: Vec<Unseen>,
}

impl<'a> Found<'a> {
    pub(super) fn nothing(targets: &'a Targets) -> Self {
        Self { targets, uses: Vec::new(), unseen: Vec::new() }
    }

    /// Something of the process is at `path`, in these targets.
    pub(super) fn at(&mut self, how: How, targets: Look<Vec<FileId>>, path: &Path, deleted: bool) {
        match targets {
            Ok(targets) => {
                for target in targets {
                    self.add(Use { target, how, path: path.to_owned(), deleted });
                }
            }
            Err(lack) => self.lacks(how, lack),
        }
    }

    /// The process names paths in this text.
    pub(super) fn named(&mut self, how: How, text: &[u8]) {
        for (target, path) in self.targets.named_in(text) {
            self.add(Use { target, how, path, deleted: false });
        }
    }

    pub(super) fn add(&mut self, new: Use) {
        if !self.uses.contains(&new) {
            self.uses.push(new);
        }
    }

    /// Whoever runs has all of this. Where it is gone, the process was changing.
    pub(super) fn lacks(&mut self, how: How, lack: Lack) {
        let why = match lack {
            Lack::Gone => Blind::Raced,
            Lack::Blind(why) => why,
        };
        let unseen = Unseen { how, why };
        if !self.unseen.contains(&unseen) {
            self.unseen.push(unseen);
        }
    }

    /// What was looked at, for [`Process`](super::Process); if it could not be
    /// seen, that is remembered.
    pub(super) fn keep<T>(&mut self, how: How, look: Look<T>) -> Seen<T> {
        match look {
            Ok(value) => Seen::Known(value),
            Err(lack) => {
                self.lacks(how, lack.clone());
                Seen::from(Err(match lack {
                    Lack::Gone => Lack::Blind(Blind::Raced),
                    Lack::Blind(why) => Lack::Blind(why),
                }))
            }
        }
    }
}
