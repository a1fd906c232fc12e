//! What is typed after `aloud systemd`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// `aloud systemd`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true).args(["print", "install", "check"]))]
pub(crate) struct SystemdArgs {
    /// Print the units
    #[arg(long)]
    pub(crate) print: bool,

    /// Write the units and enable them, and say what was done. A unit that aloud
    /// did not write is never overwritten
    #[arg(long)]
    pub(crate) install: bool,

    /// Ask whether the server, the agent and the timer are enabled and active;
    /// exit 2 if one is not, or if that cannot be known
    #[arg(long)]
    pub(crate) check: bool,

    /// Units of the user who runs this, for `systemctl --user`
    #[arg(long, conflicts_with_all = ["user", "agent_user"])]
    pub(crate) user_units: bool,

    /// The user that the server and the check run as; the store must be theirs
    /// [default: aloud]
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    pub(crate) user: Option<String>,

    /// The user that the agent runs as. It then starts workers as no other user,
    /// and cannot see into other users' processes [default: root]
    #[arg(long, value_name = "NAME", conflicts_with = "check")]
    pub(crate) agent_user: Option<String>,

    /// The folder with `current` and `releases`, so that the agent waits until
    /// it is mounted
    #[arg(long, value_name = "DIR", conflicts_with = "check")]
    pub(crate) root: Option<PathBuf>,

    /// A unit to start when the check finds something wrong, each time it does:
    /// your own alert
    #[arg(long, value_name = "UNIT", conflicts_with = "check")]
    pub(crate) on_failure: Option<String>,

    /// With --install: write below DIR, the root of an image, and leave this
    /// machine's systemd alone
    #[arg(long, value_name = "DIR", requires = "install", conflicts_with = "now")]
    pub(crate) prefix: Option<PathBuf>,

    /// With --install: start what is enabled
    #[arg(long, requires = "install")]
    pub(crate) now: bool,
}
