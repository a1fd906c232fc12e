//! What is to be deployed.

use job::Span;

use crate::source::Source;

/// A release that is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Build {
    /// Where it comes from.
    pub source: Source,
    /// What it is made from, where the source does not say so itself.
    pub revision: Option<String>,
    /// Names that are left out when a folder is copied, besides `.git`: each is compared with the name of a file or
    /// folder, and with its path from the source's root.
    pub exclude: Vec<String>,
    /// Whether the one folder that a tarball holds is left away.
    pub strip: bool,
    /// What it shares with the other releases.
    pub shared: Shared,
    /// What is run to build it, in this order. At most 64.
    pub hooks: Vec<Hook>,
    /// What is run to see whether it starts at all.
    pub boot_check: Option<Hook>,
}

/// What all releases share: paths from a release's root onwards.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shared {
    /// Folders.
    pub folders: Vec<String>,
    /// Files.
    pub files: Vec<String>,
}

/// A command of a deploy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// What it is called.
    pub name: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// How long it may take.
    pub within: Span,
}

impl Build {
    /// A release made from `source`, with nothing shared and nothing run.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            revision: None,
            exclude: Vec::new(),
            strip: false,
            shared: Shared::default(),
            hooks: Vec::new(),
            boot_check: None,
        }
    }
}
