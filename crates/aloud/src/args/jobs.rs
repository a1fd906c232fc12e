//! `aloud jobs` and `aloud job`, as they are typed.

use aloud_client::v1::JobQuery;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use job::{Key, KindName, Outcome, Phase, QueueName};

use crate::args::Reach;

/// `aloud jobs`.
#[derive(ClapArgs, Debug)]
pub(crate) struct JobsArgs {
    /// In one of these states, with commas between
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = phase())]
    pub(crate) state: Vec<Phase>,

    /// Ended like this
    #[arg(long, value_name = "OUTCOME", value_parser = outcome())]
    pub(crate) outcome: Option<Outcome>,

    /// In this queue
    #[arg(long, value_name = "NAME")]
    pub(crate) queue: Option<QueueName>,

    /// Of this kind
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<KindName>,

    /// With this key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<Key>,

    /// How many at most, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = limit())]
    pub(crate) limit: usize,

    /// Go on where a page ended: what it named as the next
    #[arg(long, value_name = "PLACE")]
    pub(crate) after: Option<String>,

    /// All that fit, page after page
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    pub(crate) all: bool,

    /// Print JSON: one job a line, or one array
    #[arg(long, value_name = "lines|array", num_args = 0..=1, require_equals = true, default_missing_value = "lines",
          hide_possible_values = true)]
    pub(crate) json: Option<JsonList>,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// How a list is written as JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum JsonList {
    /// One a line.
    Lines,
    /// One array.
    Array,
}

/// `aloud job`.
#[derive(ClapArgs, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct JobArgs {
    #[command(subcommand)]
    pub(crate) what: Option<JobCommand>,

    #[command(flatten)]
    pub(crate) show: ShowOne,
}

/// `aloud job ID`. All of it optional, because a subcommand may stand instead.
#[derive(ClapArgs, Debug)]
pub(crate) struct ShowOne {
    /// The job to show
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// What can be done with a job.
#[derive(Subcommand, Debug)]
pub(crate) enum JobCommand {
    /// Show a job and what became of each of its attempts (what `aloud job ID`
    /// does)
    Show(OneJobArgs),
    /// Make a dead job wait again with all its attempts anew, or a waiting one
    /// due now
    Retry(SomeJobsArgs),
    /// Call off a waiting job, by id or by key: once this is answered, it will
    /// never start
    Cancel(CancelArgs),
    /// Delete a dead job
    Delete(SomeJobsArgs),
}

/// One job.
#[derive(ClapArgs, Debug)]
pub(crate) struct OneJobArgs {
    /// The job
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// One job or several.
#[derive(ClapArgs, Debug)]
pub(crate) struct SomeJobsArgs {
    /// The jobs
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,

    /// Print JSON, one line for each
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// `aloud job cancel`.
#[derive(ClapArgs, Debug)]
pub(crate) struct CancelArgs {
    /// The jobs
    #[arg(value_name = "ID", required_unless_present = "key")]
    pub(crate) ids: Vec<String>,

    /// The job that holds this key
    #[arg(long, value_name = "KEY", conflicts_with = "ids")]
    pub(crate) key: Option<Key>,

    /// The queue of the key
    #[arg(long, value_name = "NAME", default_value = "default", requires = "key")]
    pub(crate) queue: QueueName,

    /// Print JSON, one line for each
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

fn limit() -> impl TypedValueParser<Value = usize> {
    let largest = u64::try_from(JobQuery::MAX_LIMIT).expect("a page is not that long");
    clap::value_parser!(u64).range(1..=largest).map(|limit| usize::try_from(limit).expect("it was just bounded"))
}

fn phase() -> impl TypedValueParser<Value = Phase> {
    PossibleValuesParser::new(Phase::ALL.map(Phase::as_str)).map(|name| {
        Phase::ALL.into_iter().find(|phase| phase.as_str() == name).expect("only the names of phases get here")
    })
}

fn outcome() -> impl TypedValueParser<Value = Outcome> {
    PossibleValuesParser::new(Outcome::ALL.map(Outcome::as_str)).map(|name| {
        Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == name).expect("only the names of outcomes get here")
    })
}
