//! Why settings are refused.

/// Settings that cannot be used, found before anything was started.
///
/// Its parts are what a person is told: what is wrong, what that means, and
/// what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}\n  {means}\nhint: {hint}")]
pub struct Unfit {
    /// What is wrong, as a clause without a full stop.
    pub what: String,
    /// What that means.
    pub means: String,
    /// What to do about it.
    pub hint: String,
}

impl Unfit {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), means: "Nothing was started.".to_owned(), hint: hint.into() }
    }

    /// The same, said of `whom`.
    pub(crate) fn of(self, whom: &str) -> Self {
        Self { what: format!("{whom}: {}", self.what), ..self }
    }
}
