//! Push jobs to aloud and work them, from Rust.

pub mod api;
pub mod error;
pub mod settings;

pub use api::Api;
pub use error::Error;
pub use settings::{Settings, Token};
pub use wire::v1;
