//! The API as a client sees it: real servers, real sockets, bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod agents;
mod bad_input;
mod client;
mod connections;
mod docs;
mod ending;
mod entering;
mod faults;
mod leasing;
mod pushing;
mod reading;
mod running;
