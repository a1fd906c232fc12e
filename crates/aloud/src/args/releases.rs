//! What is typed about releases and workers.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use job::{PoolName, Span};

/// `aloud deploy`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct DeployArgs {
    /// What to deploy: a folder, a `.tar` or `.tar.gz`, or a git repository,
    /// with `#REF` behind it for a branch, a tag or a commit
    #[arg(value_name = "SOURCE", required_unless_present_any = ["resume", "abort"])]
    pub(crate) source: Option<String>,

    /// The branch, tag or commit of a git repository
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) reference: Option<String>,

    /// What the release is made from, for people, where the source does not say
    /// it itself
    #[arg(long, value_name = "TEXT")]
    pub(crate) revision: Option<String>,

    /// Leave away the one folder that a tarball holds
    #[arg(long)]
    pub(crate) strip: bool,

    /// Go on with a release that was made and never switched to
    #[arg(long, conflicts_with_all = ["source", "abort", "hosts", "all_or_none"])]
    pub(crate) resume: bool,

    /// Give up what an interrupted deploy has left
    #[arg(long, conflicts_with_all = ["source", "hosts", "all_or_none"])]
    pub(crate) abort: bool,

    /// Do not remove old releases at the end
    #[arg(long)]
    pub(crate) no_prune: bool,

    /// How long to wait for another deploy to end
    #[arg(long, value_name = "SPAN", default_value = "0s")]
    pub(crate) wait: Span,

    /// Be one host's part of a deploy on several, as another aloud says over
    /// stdin
    #[arg(long, hide = true)]
    pub(crate) part: bool,

    #[command(flatten)]
    pub(crate) hosts: HostsArgs,

    #[command(flatten)]
    pub(crate) verdict: VerdictArgs,
}

/// Which hosts, and how they are reached.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct HostsArgs {
    /// A host to do it on, as `ssh` knows it, or `localhost` for this one;
    /// again for each further one. By default `hosts` in [release], or else
    /// this host alone. All have the release ready before any switches to it
    #[arg(long = "host", value_name = "HOST", help_heading = "Other hosts")]
    pub(crate) hosts: Vec<String>,

    /// If it does not work on one of the hosts, go back on all
    #[arg(long, help_heading = "Other hosts")]
    pub(crate) all_or_none: bool,

    /// An option for `ssh`: `Port=2222` is given to it with `-o`, and what
    /// begins with `-` as it is: `-F/etc/ssh/deploy`
    #[arg(long, value_name = "OPTION", help_heading = "Other hosts", allow_hyphen_values = true)]
    pub(crate) ssh_option: Vec<String>,

    /// The configuration on the other hosts
    #[arg(long, value_name = "PATH", help_heading = "Other hosts", default_value = "/etc/aloud/aloud.toml")]
    pub(crate) remote_config: String,

    /// How aloud is run on the other hosts: a path, or what their shell
    /// understands, such as `sudo -n aloud`
    #[arg(long, value_name = "PATH", help_heading = "Other hosts", default_value = "aloud")]
    pub(crate) remote_aloud: String,
}

/// How a command ends that changed something.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct VerdictArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Print only what went wrong and the verdict
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// `aloud rollback`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct RollbackArgs {
    /// Which release to go back to; by default the last one that worked before
    /// the current
    #[arg(value_name = "RELEASE")]
    pub(crate) to: Option<String>,

    /// Why, for whoever reads `aloud releases`
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    /// How long to wait for another deploy to end
    #[arg(long, value_name = "SPAN", default_value = "0s")]
    pub(crate) wait: Span,

    #[command(flatten)]
    pub(crate) hosts: HostsArgs,

    #[command(flatten)]
    pub(crate) verdict: VerdictArgs,
}

/// `aloud releases`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct ReleasesArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `aloud prune`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct PruneArgs {
    /// Only say what would be removed, and what not, and why
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Remove also what may be in use by processes that could not be looked at
    #[arg(long)]
    pub(crate) accept_unknown: bool,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `aloud workers`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct WorkersArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `aloud restart`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct RestartArgs {
    /// Which workers; by default all
    #[arg(value_name = "POOL")]
    pub(crate) pool: Option<PoolName>,

    /// How long it may take
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    pub(crate) timeout: Span,

    #[command(flatten)]
    pub(crate) verdict: VerdictArgs,
}

/// `aloud agent`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct AgentArgs {
    /// Only say whether it could start with this configuration
    #[arg(long)]
    pub(crate) check: bool,

    /// End when stdin ends, and so with whoever started this as a part of
    /// something else
    #[arg(long, hide = true)]
    pub(crate) end_with_stdin: bool,
}

/// `aloud launch`.
#[derive(ClapArgs, Debug)]
pub(crate) struct LaunchArgs {
    /// Become a command that is run once, and no worker.
    #[arg(long)]
    pub(crate) once: bool,

    /// The order.
    pub(crate) order: PathBuf,
}

/// `aloud guardian`.
#[derive(ClapArgs, Debug)]
pub(crate) struct GuardianArgs {
    /// Whose workers, and where.
    #[arg(required = true)]
    pub(crate) watched: Vec<std::ffi::OsString>,
}
