//! One host: its releases, its workers and what is true of it, joined.

pub mod config;
