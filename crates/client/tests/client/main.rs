//! The client against what it talks to: a real server on a free port, the
//! application's SQLite file, and this process.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod modes;
mod outbox;
mod proxy;
mod push;
mod support;
mod worker;
