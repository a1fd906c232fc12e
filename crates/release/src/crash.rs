//! The moments at which everything may end.

/// Hears of each moment at which a power cut would leave a different disk behind: before and after every record and
/// every call that changes the tree.
///
/// The product brings none. A test brings one that ends the process at the moment of its choice.
pub trait Crash: Send + Sync {
    /// This moment has come.
    fn point(&self, name: &str);
}

/// Nothing happens.
pub(crate) struct Never;

impl Crash for Never {
    fn point(&self, _name: &str) {}
}
