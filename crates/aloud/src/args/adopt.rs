//! What is typed about trees that others made.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use job::AppName;

/// `aloud adopt`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct AdoptArgs {
    /// The folder with `releases/` and `current`, or `current`, or any folder in
    /// a release; by default the root that aloud.toml names, or the tree that
    /// this is run in
    #[arg(value_name = "ROOT")]
    pub(crate) root: Option<PathBuf>,

    /// Change nothing: only show which process runs which release, and what is
    /// wrong. Exits with 1 for a warning, with 2 if something runs what is old
    /// or gone, or cannot be seen
    #[arg(long)]
    pub(crate) check: bool,

    /// Change nothing: only print the aloud.toml that would be written
    #[arg(long, conflicts_with = "check")]
    pub(crate) dry_run: bool,

    /// The app's name; by default that of the tree's folder
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    pub(crate) app: Option<AppName>,

    /// Where the store is created; a relative folder starts beside aloud.toml
    #[arg(long, value_name = "DIR", default_value = "aloud-data")]
    pub(crate) data: PathBuf,

    /// Print JSON
    #[arg(long, requires = "check")]
    pub(crate) json: bool,
}
