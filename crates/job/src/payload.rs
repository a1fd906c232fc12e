//! What a job carries.

use std::fmt;
use std::sync::Arc;

/// The bytes that a job carries from the one who pushes to the one who works.
///
/// JSON by convention, but nothing here looks inside: they come out as they
/// went in, byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// The longest it may be: 1 MiB.
    pub const MAX_BYTES: usize = 1 << 20;

    /// Takes the bytes, unless they are too many.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Result<Self, TooLarge> {
        let bytes = bytes.into();
        if bytes.len() > Self::MAX_BYTES {
            return Err(TooLarge { bytes: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for Payload {
    /// The JSON `null`.
    fn default() -> Self {
        Self(Arc::from(&b"null"[..]))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Payloads may hold what does not belong in a log.
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// A payload with too many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the payload has {bytes} bytes, and at most {} are allowed; store large data elsewhere and push a reference to it",
    Payload::MAX_BYTES
)]
pub struct TooLarge {
    /// How many there were.
    pub bytes: usize,
}
