//! A tree of releases on a real disk, used as an agent uses it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what is unexpected here fails the test")]

mod crash;
mod deploy;
mod disk;
mod foreign;
mod odd;
mod prune;
mod rollback;
mod scratch;
mod sources;
