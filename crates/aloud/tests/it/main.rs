//! The binary, driven as its users drive it: real processes, real sockets, real
//! files in folders of their own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what is unexpected here fails the test")]

mod adopt;
mod agent;
mod agents;
mod commands;
mod demo;
mod disk;
mod handlers;
mod hosts;
mod kill;
mod packaging;
mod refusals;
mod scratch;
mod stopping;
mod systemd;
mod tidy;
mod trace;
