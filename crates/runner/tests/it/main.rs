//! The runner and its guards against real servers and real processes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "what helps a test fails with it"
)]

mod app;
mod bench;
mod code;
mod config;
mod distance;
mod exec;
mod guards;
mod http;
mod mail;
mod mailbox;
mod manual;
mod run;
