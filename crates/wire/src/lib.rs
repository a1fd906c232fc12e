//! What goes over the wire: bytes to words and back.
//!
//! No sockets and no queue. [`v1`] holds the JSON of the HTTP API, once, for
//! the server that decodes it and for the clients that encode it.

pub mod v1;
