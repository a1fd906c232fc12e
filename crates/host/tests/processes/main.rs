//! Real processes in real folders, and what is seen of them.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

mod denied;
mod folders;
mod identity;
mod own;
mod real;
mod sockets;
mod threads;
mod ways;
