//! `aloud agents`, as it is typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use job::HostName;

use super::Reach;

/// `aloud agents`.
#[derive(ClapArgs, Debug)]
pub(crate) struct AgentsArgs {
    #[command(subcommand)]
    pub(crate) what: Option<AgentsCommand>,

    #[command(flatten)]
    pub(crate) list: ListAgentsArgs,
}

/// What can be done about agents.
#[derive(Subcommand, Debug)]
pub(crate) enum AgentsCommand {
    /// List the hosts, when each was heard, and how it is (what `aloud agents`
    /// does)
    List(ListAgentsArgs),
    /// Let the agent of a host in: write a token for it, and print where. From
    /// then on a host that does not report is unknown
    Add(AddAgentArgs),
    /// Lock the agent of a host out, and forget the host
    Remove(RemoveAgentArgs),
}

/// `aloud agents list`.
#[derive(ClapArgs, Debug)]
pub(crate) struct ListAgentsArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `aloud agents add`.
#[derive(ClapArgs, Debug)]
pub(crate) struct AddAgentArgs {
    /// The host, as its agent calls it
    #[arg(value_name = "HOST")]
    pub(crate) host: HostName,

    /// The folder of the store, on this machine [variable: ALOUD_DATA]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// `aloud agents remove`.
#[derive(ClapArgs, Debug)]
pub(crate) struct RemoveAgentArgs {
    /// The host
    #[arg(value_name = "HOST")]
    pub(crate) host: HostName,

    /// The folder of the store, on this machine [variable: ALOUD_DATA]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}
