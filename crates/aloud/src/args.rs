//! What was typed.
//!
//! Parsing validates the form of each argument and nothing else: what it means
//! together with the configuration is decided in [`crate::settings`], and what
//! it does in the file named like the command. The doc comments here are the
//! help, and docs/commands.md is made of them.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use job::{AppName, Span};

use crate::settings::file::{Durability, File};
use crate::settings::listen::Listen;

pub(crate) mod adopt;
pub(crate) mod agents;
pub(crate) mod jobs;
pub(crate) mod push;
pub(crate) mod releases;
pub(crate) mod systemd;

/// Background jobs that fail out loud.
///
/// aloud runs an application's background jobs on a queue that does not lose
/// them. Settings come from `aloud.toml`; `ALOUD_*` variables override it, and
/// flags override both. Data goes to stdout, everything else to stderr.
#[derive(Parser, Debug)]
#[command(name = "aloud", version, after_long_help = crate::exit::manual(), max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct Common {
    /// The configuration; by default `aloud.toml` in this folder, if it is
    /// there [variable: ALOUD_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) config: Option<PathBuf>,

    /// What to log to stderr: `error`, `warn`, `info`, `debug`, `trace`, or by
    /// part: `info,store=debug` [variable: ALOUD_LOG]
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Everywhere")]
    pub(crate) log: Option<String>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Write a commented aloud.toml, and create the store and the app's token
    Init(InitArgs),
    /// Show which process runs which release of somebody else's tree, and take
    /// the tree over
    Adopt(adopt::AdoptArgs),
    /// Run everything that aloud.toml declares for this host
    Up(UpArgs),
    /// Run the queue server; needs no configuration file
    Server(ServerArgs),
    /// Run the host's agent: it starts the workers, and keeps them on the
    /// deployed release
    Agent(releases::AgentArgs),
    /// Deploy a release, and see its workers run
    Deploy(Box<releases::DeployArgs>),
    /// Go back to an earlier release
    Rollback(releases::RollbackArgs),
    /// List the releases, and who uses them
    Releases(releases::ReleasesArgs),
    /// Remove old releases that nobody is in
    Prune(releases::PruneArgs),
    /// List the workers of this host, and what each was seen to run
    Workers(releases::WorkersArgs),
    /// Replace the workers, one after the other, and say which were confirmed
    Restart(releases::RestartArgs),
    /// Become a worker, as an order says
    #[command(hide = true)]
    Launch(releases::LaunchArgs),
    /// End the workers of an agent that has died
    #[command(hide = true)]
    Guardian(releases::GuardianArgs),
    /// Try it out: aloud, an application with workers, and a mailbox on this machine
    Demo(crate::demo::args::DemoArgs),
    /// The application of the demo, as its environment says
    #[command(hide = true)]
    DemoNotice,
    /// A worker of that application, as its environment says
    #[command(hide = true)]
    DemoWorker(crate::demo::args::WorkerArgs),
    /// The master of the demo's story, as its environment says
    #[command(hide = true)]
    DemoMaster,
    /// Push a job, and print its id
    Push(Box<push::PushArgs>),
    /// List and search jobs
    Jobs(jobs::JobsArgs),
    /// Show a job, or retry, cancel or delete it
    Job(jobs::JobArgs),
    /// List the queues, or hold one and let it go on
    Queues(QueuesArgs),
    /// List the hosts with an agent, or let one in or lock it out
    Agents(agents::AgentsArgs),
    /// Say how everything is; the exit code says it too
    Status(StatusArgs),
    /// Write the units that keep aloud running on this host, or check them
    Systemd(systemd::SystemdArgs),
}

/// `aloud init`.
#[derive(ClapArgs, Debug)]
pub(crate) struct InitArgs {
    /// The app's name; by default that of this folder
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<AppName>,

    /// Where the store is created
    #[arg(long, value_name = "DIR", default_value = "aloud-data")]
    pub(crate) data: PathBuf,
}

/// `aloud up`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct UpArgs {
    /// End when stdin ends, and so with whoever started this as a part of
    /// something else
    #[arg(long, hide = true)]
    pub(crate) end_with_stdin: bool,
}

/// `aloud server`.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct ServerArgs {
    /// The folder of the store [variable: ALOUD_DATA]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Create the store and its token if they are not there. Without this, a
    /// store that is not there is an error: an empty one in the place of a full
    /// one is how work is lost quietly
    #[arg(long)]
    pub(crate) init: bool,

    /// Where the HTTP API listens, or `off`; port 0 takes a free one
    /// [default: 127.0.0.1:7420] [variable: ALOUD_HTTP]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<Listen>,

    /// Whose the store must be; without it, the store says so itself, and a new
    /// one belongs to `default` [variable: ALOUD_APP]
    #[arg(long, value_name = "NAME")]
    pub(crate) app: Option<AppName>,

    /// When an answered push is on disk: before it is answered, or within a
    /// second [default: full] [variable: ALOUD_DURABILITY]
    #[arg(long, value_enum, hide_possible_values = true, value_name = "full|relaxed")]
    pub(crate) durability: Option<Durability>,

    /// Listen where other machines can reach it, without encryption [variable:
    /// ALOUD_ALLOW_REMOTE]
    #[arg(long)]
    pub(crate) allow_remote: bool,

    /// The file with the app's token; by default `token` in the store's folder
    /// [variable: ALOUD_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,

    /// End when stdin ends, and so with whoever started this as a part of
    /// something else
    #[arg(long, hide = true)]
    pub(crate) end_with_stdin: bool,
}

impl ServerArgs {
    /// Lets what was typed override the file and the environment.
    pub(crate) fn overlay(&self, file: &mut File) {
        let Self { data, init: _, http, app, durability, allow_remote, token_file, end_with_stdin: _ } = self;
        let server = &mut file.server;
        over(&mut server.data, data.clone());
        over(&mut server.http, *http);
        over(&mut server.durability, *durability);
        over(&mut server.allow_remote, allow_remote.then_some(true));
        over(&mut server.token_file, token_file.clone());
        over(&mut file.app, app.clone());
    }
}

/// How the commands reach the server.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct Reach {
    /// The server's address; by default where aloud.toml says that it listens
    /// [variable: ALOUD_URL]
    #[arg(long, value_name = "URL", help_heading = "The server")]
    pub(crate) url: Option<String>,

    /// The file with the app's token; by default `token` in the store's folder,
    /// if aloud.toml names that [variable: ALOUD_TOKEN_FILE]
    #[arg(long, value_name = "FILE", help_heading = "The server")]
    pub(crate) token_file: Option<PathBuf>,

    /// The app that the server must belong to [variable: ALOUD_APP]
    #[arg(long, value_name = "NAME", help_heading = "The server")]
    pub(crate) app: Option<AppName>,
}

impl Reach {
    /// Lets what was typed override the file and the environment.
    pub(crate) fn overlay(&self, file: &mut File) {
        let Self { url, token_file, app } = self;
        over(&mut file.server.url, url.clone());
        over(&mut file.server.token_file, token_file.clone());
        over(&mut file.app, app.clone());
    }
}

fn over<T>(setting: &mut Option<T>, typed: Option<T>) {
    if typed.is_some() {
        *setting = typed;
    }
}

/// `aloud queues`.
#[derive(ClapArgs, Debug)]
pub(crate) struct QueuesArgs {
    #[command(subcommand)]
    pub(crate) what: Option<QueuesCommand>,

    #[command(flatten)]
    pub(crate) list: ListQueuesArgs,
}

/// What can be done about queues.
#[derive(Subcommand, Debug)]
pub(crate) enum QueuesCommand {
    /// List every queue that a job was ever pushed to (what `aloud queues` does)
    List(ListQueuesArgs),
    /// Hold a queue: its jobs wait, and grow older
    Pause(PauseArgs),
    /// Let a queue go on
    Resume(ResumeArgs),
}

/// `aloud queues list`.
#[derive(ClapArgs, Debug)]
pub(crate) struct ListQueuesArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `aloud queues pause`.
#[derive(ClapArgs, Debug)]
pub(crate) struct PauseArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: job::QueueName,

    /// For how long, such as `2h`; without it until somebody resumes
    #[arg(long = "for", value_name = "SPAN")]
    pub(crate) for_: Option<Span>,

    /// Why, for whoever finds the queue held
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,

    /// Who holds it; by default the user who runs this
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `aloud queues resume`.
#[derive(ClapArgs, Debug)]
pub(crate) struct ResumeArgs {
    /// The queue
    #[arg(value_name = "QUEUE")]
    pub(crate) queue: job::QueueName,

    /// Print JSON: the pause that was there, or null
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `aloud status`.
#[derive(ClapArgs, Debug)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_flag_overrides_what_the_file_says() {
        let mut file = File::default();
        file.server.http = Some(Listen::Off);
        file.server.data = Some("a".into());
        let args = ServerArgs { http: Some("127.0.0.1:0".parse().unwrap()), ..ServerArgs::default() };
        args.overlay(&mut file);
        assert_eq!(file.server.http, args.http);
        assert_eq!(file.server.data, Some("a".into()), "what was not typed stays");
        assert_eq!(file.server.allow_remote, None);
    }
}
