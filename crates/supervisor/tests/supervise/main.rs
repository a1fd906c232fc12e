//! The supervisor with real processes, real links and real ends.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test says what it waits for and stops at anything else"
)]

mod crash;
mod death;
mod launch;
mod output;
mod ready;
mod renew;
mod roll;
mod stage;
mod whatever;
