//! `aloud agents`: the hosts with an agent, listed; or one let in, or locked
//! out.
//!
//! Adding and removing are done in the store's folder, by a user who may write
//! there. A server that runs sees it at once.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aloud_client::v1::HostView;
use server::Agents;

use crate::age::relative;
use crate::args::agents::{AddAgentArgs, AgentsArgs, AgentsCommand, ListAgentsArgs, RemoveAgentArgs};
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::settings::Found;
use crate::table::Table;

/// Where a store keeps the tokens of hosts, and what they said last.
pub(crate) fn folder(data: &Path) -> PathBuf {
    data.join("agents")
}

/// Runs the command.
pub(crate) fn run(args: AgentsArgs, found: Found) -> Result<Exit, Report> {
    match args.what {
        Some(AgentsCommand::List(args)) => list(&args, found),
        Some(AgentsCommand::Add(args)) => add(&args, found),
        Some(AgentsCommand::Remove(args)) => remove(&args, found),
        None => list(&args.list, found),
    }
}

fn list(args: &ListAgentsArgs, found: Found) -> Result<Exit, Report> {
    let api = remote::connect(found, &args.reach)?;
    let agents = remote::talk(async { Ok(api.agents().await?) })?;
    if args.json {
        remote::print_json(&agents)?;
        return Ok(Exit::Ok);
    }
    let now = remote::now().wall;
    let mut table = Table::new(&["host", "heard", "verdict", "version", "workers"]);
    for HostView { host, heard, verdict, version, workers, .. } in agents.agents {
        table.row(vec![
            host.to_string(),
            heard.map_or_else(|| "never".to_owned(), |heard| relative(heard, now)),
            verdict.to_string(),
            version.unwrap_or_default(),
            workers.len().to_string(),
        ]);
    }
    table.print()?;
    Ok(Exit::Ok)
}

fn add(args: &AddAgentArgs, found: Found) -> Result<Exit, Report> {
    let data = data(args.data.as_deref(), found)?;
    let path = Agents::add(&folder(&data), &args.host)?;
    writeln!(io::stdout().lock(), "{}", path.display())?;
    writeln!(
        io::stderr().lock(),
        "next:    bring this file to {} as a file that only its owner can read, and name it there as ALOUD_TOKEN_FILE\n\
         \x20        or `token_file`; until its agent reports, `aloud status` says that the host is unknown",
        args.host
    )?;
    Ok(Exit::Ok)
}

fn remove(args: &RemoveAgentArgs, found: Found) -> Result<Exit, Report> {
    let data = data(args.data.as_deref(), found)?;
    if !Agents::remove(&folder(&data), &args.host)? {
        return Err(Report::new(
            Exit::No,
            format!("there is no host `{}`", args.host),
            "It has no token, and never reported. Nothing was changed.",
            "`aloud agents` lists the hosts",
        ));
    }
    writeln!(io::stdout().lock(), "{} is forgotten, and its agent is locked out", args.host)?;
    Ok(Exit::Ok)
}

/// The store's folder, which must be there.
fn data(typed: Option<&Path>, found: Found) -> Result<PathBuf, Report> {
    let Some(data) = typed.map(Path::to_owned).or(found.file.server.data) else {
        return Err(Report::config(
            "no folder is named for the store",
            "Hosts are added and removed where the store is. Nothing was changed.",
            "give `--data DIR`, or run this where aloud.toml is",
        ));
    };
    if !data.is_dir() {
        return Err(Report::config(
            format!("there is no folder `{}`", data.display()),
            "Hosts are added and removed where the store is. Nothing was changed.",
            "run this on the server's machine, as the user whom the store belongs to",
        ));
    }
    Ok(data)
}
