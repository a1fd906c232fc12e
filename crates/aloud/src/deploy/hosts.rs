//! A deploy or rollback on several hosts, from one of them or from elsewhere.
//!
//! On each runs an aloud of its own, with its own configuration, which does all
//! that is done there; here it is only decided what they do together. All have
//! the release ready before any switches. What they are told next is decided in
//! [`course`]; what came of it is shown by [`outcome`].

mod course;
mod link;
mod outcome;

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use job::Span;
use release::{Pack, Source};
use tokio::time::Instant;

use super::progress::Stderr;
use super::words::{Act, Line, Order, Said, Supply, Word};
use crate::args::releases::{HostsArgs, VerdictArgs};
use crate::exit::Exit;
use crate::report::Report;
use crate::settings::Found;
use crate::signals::Signals;
use course::{At, Course, Part};
use link::{Event, Link, Way, What};
use outcome::End;

/// The name of this host among others.
const HERE: &str = "localhost";
/// The most hosts.
const MAX_HOSTS: usize = 200;
/// So often each host hears that somebody is still there.
const ALIVE: Duration = Duration::from_secs(10);
/// A host that says nothing for this long is lost. It says every ten seconds
/// that it is there.
const SILENCE: Duration = Duration::from_secs(60);
/// How many of the last lines that `ssh` wrote are kept.
const COMPLAINTS: usize = 8;

/// The hosts, the first being the one where what must run once does.
#[derive(Debug)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// Those that were typed, or else those that are configured; none if it is
    /// this host alone.
    pub(super) fn decide(args: &HostsArgs, found: &Found) -> Result<Option<Self>, Report> {
        let names = match args.hosts.as_slice() {
            [] => found.file.release.hosts.clone().unwrap_or_default(),
            typed => typed.to_vec(),
        };
        let hint = "name each host once, as `ssh` knows it";
        for (place, name) in names.iter().enumerate() {
            let is_name = !name.is_empty() && !name.starts_with('-') && !name.contains(char::is_whitespace);
            if !is_name || name.contains(char::is_control) {
                return Err(Report::usage(format!("{name:?} cannot be a host"), hint));
            }
            if names[..place].contains(name) {
                return Err(Report::usage(format!("the host `{name}` is named twice"), hint));
            }
        }
        if names.len() > MAX_HOSTS {
            return Err(Report::usage(format!("more than {MAX_HOSTS} hosts are named"), "deploy in several goes"));
        }
        Ok((!names.is_empty()).then_some(Self(names)))
    }
}

/// What is to be done on all.
pub(super) enum Errand {
    Deploy { source: Source, revision: Option<String>, strip: bool, prune: bool },
    Rollback { to: Option<String>, reason: Option<String> },
}

/// Does it on all of them.
pub(super) fn run(
    names: Names,
    errand: Errand,
    wait: Span,
    args: &HostsArgs,
    how: &VerdictArgs,
    found: &Found,
    here: &Path,
) -> Result<Exit, Report> {
    let (act, pack) = order(errand)?;
    let ways = Ways {
        ssh: Way::Ssh {
            options: args.ssh_option.clone(),
            aloud: args.remote_aloud.clone(),
            config: args.remote_config.clone(),
            may_ask: io::stdin().is_terminal() && io::stderr().is_terminal(),
        },
        here: Way::Here { program: std::env::current_exe()?, config: found.path.as_ref().map(|path| here.join(path)) },
    };
    let one_revision = matches!(act, Act::Deploy { .. });
    let order =
        Order { act, who: crate::who::full(), wait: wait.to_string(), first: true, all_or_none: args.all_or_none };
    let (events, happens) = channel();
    let _runtime = listen(&events)?;
    let width = names.0.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut all = All {
        hosts: names.0.into_iter().map(Host::new).collect(),
        course: Course::new(args.all_or_none, one_revision),
        pack,
        stderr: Stderr { quiet: how.quiet, width },
    };
    all.open(&ways, &order, &events, &happens);
    all.accompany(&happens);
    let (ends, course) = all.close();
    outcome::tell(&ends, &course, how.json)
}

/// What each is told to do, and what it is sent for that.
fn order(errand: Errand) -> Result<(Act, Option<Arc<Pack>>), Report> {
    let (source, revision, strip, prune) = match errand {
        Errand::Rollback { to, reason } => return Ok((Act::Rollback { to, reason }, None)),
        Errand::Deploy { source, revision, strip, prune } => (source, revision, strip, prune),
    };
    if let (Source::Git { repository, reference }, false) = (&source, source.is_here()) {
        let source = Supply::Git { repository: repository.clone(), reference: reference.clone() };
        return Ok((Act::Deploy { source, revision, strip, prune }, None));
    }
    let pack = Pack::new(&source).map_err(Report::from)?;
    let revision = revision.or_else(|| pack.revision.clone());
    // Only a tarball that people made may hold one folder too many.
    let strip = strip && matches!(source, Source::Tarball(_));
    Ok((
        Act::Deploy { source: Supply::Sent { shown: source.to_string() }, revision, strip, prune },
        Some(Arc::new(pack)),
    ))
}

/// A signal asks to give it up.
fn listen(events: &Sender<Event>) -> Result<tokio::runtime::Runtime, Report> {
    let runtime = super::here::runtime()?;
    let entered = runtime.enter();
    let mut signals = Signals::listen_on_a_terminal()?;
    drop(entered);
    let events = events.clone();
    runtime.spawn(async move {
        let name = signals.asked().await;
        drop(events.send(Event { host: 0, what: What::Asked(name) }));
        signals.asked().await;
        std::process::exit(i32::from(Exit::No.code()));
    });
    Ok(runtime)
}

struct Ways {
    ssh: Way,
    here: Way,
}

/// All the hosts, and what they do together.
struct All {
    hosts: Vec<Host>,
    course: Course,
    pack: Option<Arc<Pack>>,
    stderr: Stderr,
}

/// A host, as it is seen from here.
struct Host {
    part: Part,
    link: Option<Link>,
    heard: Instant,
    end: End,
    complaints: VecDeque<String>,
}

impl Host {
    fn new(name: String) -> Self {
        Self {
            part: Part { host: name, at: At::Asked },
            link: None,
            heard: Instant::now(),
            end: End::default(),
            complaints: VecDeque::new(),
        }
    }

    /// Nothing more is heard from it.
    fn lose(&mut self) {
        let Some(at) = self.part.at.cut() else { return };
        if at == (At::Lost { switching: false }) {
            let said = self.complaints.back().map(|line| format!(": {line}")).unwrap_or_default();
            let means = "It is given up there.";
            self.end.error = Some(Report::new(
                Exit::No,
                format!("the connection was lost before the switch{said}"),
                means,
                "see whether `ssh` reaches it, and try again",
            ));
        }
        self.part.at = at;
    }

    fn fail(&mut self, report: Report) {
        if self.part.at.cut().is_some() {
            self.part.at = At::Failed(report.happened.clone());
            self.end.error = Some(report);
        }
    }
}

impl All {
    /// Starts a part on each. Where ssh may ask for something, one after the
    /// other, so that it is clear who asks.
    fn open(&mut self, ways: &Ways, order: &Order, events: &Sender<Event>, happens: &Receiver<Event>) {
        for place in 0..self.hosts.len() {
            let host = &mut self.hosts[place];
            let name = host.part.host.clone();
            let way = if name == HERE { &ways.here } else { &ways.ssh };
            let order = Order { first: place == 0, ..order.clone() };
            host.heard = Instant::now();
            match Link::open(&name, way, order, place, events) {
                Ok(link) => host.link = Some(link),
                Err(error) => host.fail(Report::config(
                    format!("cannot start `ssh`: {error}"),
                    "Nothing was changed there.",
                    "install the OpenSSH client",
                )),
            }
            if matches!(way, Way::Ssh { may_ask: true, .. }) {
                self.until(happens, |all| all.hosts[place].part.at != At::Asked);
            }
        }
        self.say_what_follows();
    }

    /// Goes on until nothing more is to be heard from any of them.
    fn accompany(&mut self, happens: &Receiver<Event>) {
        self.until(happens, |all| all.hosts.iter().all(|host| host.part.at.is_over()));
    }

    fn until(&mut self, happens: &Receiver<Event>, is_so: impl Fn(&Self) -> bool) {
        let mut said_alive = Instant::now();
        while !is_so(self) {
            match happens.recv_timeout(ALIVE.saturating_sub(said_alive.elapsed())) {
                Ok(event) => self.hear(event),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    said_alive = Instant::now();
                    self.say(&Word::Alive);
                    self.lose_the_silent();
                }
            }
            self.say_what_follows();
        }
    }

    fn hear(&mut self, event: Event) {
        let stderr = self.stderr;
        let host = &mut self.hosts[event.host];
        let name = host.part.host.clone();
        match event.what {
            What::Asked(signal) => self.asked(signal),
            What::Said(said) => self.hear_said(event.host, *said),
            What::Complained(line) => {
                if host.complaints.len() == COMPLAINTS {
                    host.complaints.pop_front();
                }
                stderr.put(Some(&name), &Line { word: String::new(), text: line.clone(), loud: false });
                host.complaints.push_back(line);
            }
            What::Unpacked(error) => host.fail(Report::from(*error)),
            What::Ungreeted(ungreeted) => {
                let mut report = ungreeted.report();
                let complaints: Vec<_> = host.complaints.iter().map(String::as_str).collect();
                if !complaints.is_empty() {
                    report.happened = format!("{}: {}", report.happened, complaints.join("\n"));
                }
                host.fail(report);
            }
            What::Closed => {
                host.lose();
                if let Some(link) = &mut host.link {
                    link.close();
                }
            }
        }
    }

    fn hear_said(&mut self, place: usize, said: Said) {
        let stderr = self.stderr;
        let host = &mut self.hosts[place];
        host.heard = Instant::now();
        // Who was given up for lost has been told so.
        if host.part.at.is_over() {
            return;
        }
        match said {
            Said::Alive => {}
            Said::Hello { version, exclude } => {
                host.part.at = At::Making;
                if version != env!("CARGO_PKG_VERSION") {
                    let text = format!("aloud {version} is there, and {} here", env!("CARGO_PKG_VERSION"));
                    stderr.put(Some(&host.part.host), &Line { word: "note".to_owned(), text, loud: false });
                }
                if let (Some(link), Some(pack)) = (&mut host.link, &self.pack) {
                    link.supply(pack.clone(), exclude);
                }
            }
            Said::Line(line) => stderr.put(Some(&host.part.host), &line),
            Said::Sealed { release, revision } => {
                host.end.release = Some(release);
                host.part.at = At::Sealed { revision };
            }
            Said::Switching => host.part.at = At::Switching,
            Said::Verified => host.part.at = At::Verified,
            Said::Settled { told, healthy } => {
                host.end.told = Some(told);
                host.part.at = At::Settled { healthy };
            }
            Said::Seen { verdict, red, text } => {
                host.end.seen = Some(outcome::Seen { verdict, red, text });
                if let At::Settled { healthy } = host.part.at {
                    host.part.at = At::Seen { healthy };
                }
            }
            Said::Failed { happened, means, hint, exit } => {
                let exit = Exit::ALL.into_iter().find(|one| one.code() == exit).unwrap_or(Exit::No);
                host.fail(Report::new(exit, happened, means, hint));
            }
        }
    }

    fn asked(&mut self, signal: &str) {
        let text = match self.course.give_up("it was given up where it was started") {
            Some(word) => {
                self.say(&word);
                "it is given up on all hosts, and nothing is switched. Again, and this ends at once"
            }
            None => {
                "it is too late to give it up: each host brings it to its end. Again, and this ends at once, and the \
                 hosts go on by themselves"
            }
        };
        drop(writeln!(io::stderr(), "{signal}: {text}"));
    }

    fn lose_the_silent(&mut self) {
        for host in &mut self.hosts {
            // As long as somebody may be typing a password, nobody is lost.
            if !host.part.at.is_over() && host.heard.elapsed() > SILENCE && host.link.is_some() {
                host.lose();
                if let Some(link) = &mut host.link {
                    link.kill();
                }
            }
        }
    }

    fn say_what_follows(&mut self) {
        loop {
            let parts: Vec<_> = self.hosts.iter().map(|host| host.part.clone()).collect();
            let Some(word) = self.course.next(&parts) else { return };
            self.say(&word);
        }
    }

    fn say(&mut self, word: &Word) {
        let whom = if *word == Word::Once { 1 } else { self.hosts.len() };
        for host in self.hosts.iter_mut().take(whom).filter(|host| !host.part.at.is_over()) {
            if let Some(link) = &mut host.link {
                link.say(word.clone());
            }
        }
    }

    fn close(self) -> (Vec<End>, Course) {
        let mut ends = Vec::new();
        for host in self.hosts {
            if let Some(mut link) = host.link {
                link.close();
            }
            ends.push(End { host: host.part.host, at: host.part.at, ..host.end });
        }
        (ends, self.course)
    }
}
