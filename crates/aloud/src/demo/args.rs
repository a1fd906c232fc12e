//! What was typed after `aloud demo`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use job::Span;

/// `aloud demo`.
#[derive(ClapArgs, Debug)]
pub(crate) struct DemoArgs {
    /// Try everything out without a person, in under a minute: print each step
    /// with its time, and exit with 0 only if all held, or else with 1
    #[arg(long)]
    pub(crate) check: bool,

    /// Play six deploys twice, side by side: under a master that resolved its
    /// path when it started, and under aloud; exit with 0 if the one ends as it
    /// did in earnest and the other loses nothing, or else with 1
    #[arg(long, conflicts_with_all = ["check", "delay"])]
    pub(crate) story: bool,

    /// Keep everything in this folder, and go on from what it holds; without
    /// it, a temporary folder is used and removed at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// How long a mail waits [default: 10s; with --check 3s]
    #[arg(long, value_name = "SPAN")]
    pub(crate) delay: Option<Span>,

    /// The port of the server's API [default: 7420, or a free one; with --check
    /// and --story a free one, as for the ports below]
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,

    /// The port of the application's page [default: 8080, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) notice_port: Option<u16>,

    /// The port of the mailbox's page [default: 8025, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) mailbox_port: Option<u16>,

    /// The port where the mailbox takes mail [default: 2525, or a free one]
    #[arg(long, value_name = "PORT")]
    pub(crate) smtp_port: Option<u16>,
}

/// `aloud demo-worker`.
#[derive(ClapArgs, Debug)]
pub(crate) struct WorkerArgs {
    /// Only say whether it could start
    #[arg(long)]
    pub(crate) check: bool,
}
