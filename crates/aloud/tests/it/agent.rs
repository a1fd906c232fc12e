//! Releases and workers: `aloud up`, `deploy`, `rollback`, `restart`, driven as
//! their users drive them, over real trees and real processes.

mod apart;
mod environment;
mod programs;
mod refusals;
mod renewal;
mod roll;
pub(crate) mod site;
mod story;
mod watched;
