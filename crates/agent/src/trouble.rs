//! Why an agent, or a command about releases and workers, does not go on.

/// An error in three parts, found before anything was changed unless it says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{happened}\n  {means}\nhint: {hint}")]
pub struct Trouble {
    /// What happened, as a clause without a full stop.
    pub happened: String,
    /// What it means: what changed and what did not.
    pub means: String,
    /// What to do.
    pub hint: String,
}

impl Trouble {
    /// An error in its three parts.
    pub fn new(happened: impl Into<String>, means: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { happened: happened.into(), means: means.into(), hint: hint.into() }
    }
}

impl From<release::Error> for Trouble {
    fn from(error: release::Error) -> Self {
        let message = error.message();
        Self::new(message.happened.clone(), message.means.clone(), message.hint.clone())
    }
}

impl From<supervisor::Failure> for Trouble {
    /// What the supervisor says has three parts, one below the other.
    fn from(failure: supervisor::Failure) -> Self {
        let text = failure.to_string();
        let (happened, rest) = text.split_once('\n').unwrap_or((&text, ""));
        let (means, hint) = rest.split_once("\nhint: ").unwrap_or((rest, ""));
        Self::new(happened, means.trim(), hint)
    }
}
