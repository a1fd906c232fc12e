//! One host: its releases, its workers and what is true of it, joined.

pub mod config;
pub mod control;
pub mod record;
mod refusals;
mod trouble;
pub mod truth;

pub use trouble::Trouble;
