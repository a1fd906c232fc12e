//! What a service tells systemd: that it is ready, how it is, that it lives.
//!
//! The protocol is a few lines of text in one datagram. Where nobody asked to
//! be told, nothing is sent, and what cannot be sent never holds up or ends the
//! service. Whether to say that it lives is decided by [`may_feed`], from what
//! was done and not from the fact that a process is there.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;

use job::Span;

/// Where systemd is told, if it wants to be.
#[derive(Debug, Default)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Span>,
}

/// What the agent did since the watchdog was fed last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Its loop came round.
    pub loop_turned: bool,
    /// How long ago the host was last looked over to the end.
    pub last_scan_age: Span,
    /// The part that owns the workers answered a question.
    pub supervisor_answered: bool,
    /// The process that ends the workers should the agent die is there.
    pub guardian_alive: bool,
    /// What is wrong elsewhere, and would not be mended by a restart.
    pub outside: Vec<Outside>,
}

/// Trouble that is not the agent's own: it is told, and the agent goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outside {
    /// The server was not reached for so long. How old the last report is says
    /// nothing about the agent.
    ServerAway(Span),
    /// The workers of a release end before they are ready.
    CannotBoot {
        /// Which release.
        release: String,
    },
}

/// Whether the watchdog is fed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Feed {
    /// The agent does its work.
    Yes,
    /// It does not; if that stays so, systemd restarts it.
    No(Wedge),
}

/// In what the agent is stuck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wedge {
    /// Its loop did not come round.
    Loop,
    /// The host was not looked over for so long.
    Scan(Span),
    /// The part that owns the workers does not answer.
    Supervisor,
    /// Nobody would end the workers should the agent die.
    Guardian,
}

/// How old the last look at the host may be: three are made in this time.
pub const SCAN_LIMIT: Span = Span::from_secs(15);
/// The longest status, in bytes; systemd drops a datagram of more than 4096.
const MAX_STATUS: usize = 1_000;
/// How long a full socket is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Decides whether the watchdog is fed: only by what was done.
///
/// What is wrong elsewhere feeds it all the same: a restart would mend nothing,
/// and take the workers that are well with it.
pub fn may_feed(progress: &Progress) -> Feed {
    let Progress { loop_turned, last_scan_age, supervisor_answered, guardian_alive, outside: _ } = progress;
    if !loop_turned {
        Feed::No(Wedge::Loop)
    } else if *last_scan_age > SCAN_LIMIT {
        Feed::No(Wedge::Scan(*last_scan_age))
    } else if !supervisor_answered {
        Feed::No(Wedge::Supervisor)
    } else if !guardian_alive {
        Feed::No(Wedge::Guardian)
    } else {
        Feed::Yes
    }
}

/// How the agent is, in one line for `systemctl status`: what is worst first.
pub fn status_line(feed: Feed, outside: &[Outside]) -> String {
    let wedge = match feed {
        Feed::Yes => None,
        Feed::No(wedge) => Some(wedge.to_string()),
    };
    let lines: Vec<_> = wedge.into_iter().chain(outside.iter().map(Outside::to_string)).collect();
    if lines.is_empty() { "all is as it should be".to_owned() } else { lines.join("; ") }
}

/// The clock that [`Notifier::reloading`] is told the time of, in microseconds.
/// It is not [`job::Mono`], which also counts while the machine sleeps.
pub fn monotonic_usec() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000
}

impl Notifier {
    /// The variables by which a service is told whom to tell. A process that
    /// it starts must not inherit them: it would speak in the service's name.
    pub const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

    /// Looks where to tell, in the environment as `variable` has it.
    ///
    /// An address that cannot be used is told to the log, and then nobody is
    /// told anything.
    pub fn from_env(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let Some(address) = variable("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else {
            return Self::default();
        };
        let number = |name| variable(name)?.into_string().ok()?.parse().ok();
        let own = number("WATCHDOG_PID").is_none_or(|pid: i64| pid == i64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| own && *usec > 0).map(Span::from_micros);
        match Self::open(address.as_bytes()) {
            Ok(to) => Self { to: Some(to), watchdog },
            Err(error) => {
                let address = address.to_string_lossy();
                tracing::warn!(%error, %address, "systemd cannot be told anything: NOTIFY_SOCKET cannot be used");
                Self::default()
            }
        }
    }

    fn open(address: &[u8]) -> io::Result<(UnixDatagram, SocketAddr)> {
        let to = match address {
            #[cfg(target_os = "linux")]
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(Path::new(std::ffi::OsStr::from_bytes(address)))?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok((socket, to))
    }

    /// Whether anybody is told.
    pub fn is_heard(&self) -> bool {
        self.to.is_some()
    }

    /// How often the watchdog wants to be fed at least; none if there is none
    /// for this process. Feed it twice in this time.
    pub fn watchdog_every(&self) -> Option<Span> {
        self.watchdog
    }

    /// It serves. Also said at the end of a reload.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// How it is, for people, in one line; a longer text than 1000 bytes is cut.
    pub fn status(&self, text: &str) {
        let line = text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
        let line = line.join(" ");
        self.say(&format!("STATUS={}", &line[..line.floor_char_boundary(MAX_STATUS)]));
    }

    /// It lives. Ask [`may_feed`] first.
    pub fn watchdog(&self) {
        self.say("WATCHDOG=1");
    }

    /// It begins to end.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// It begins anew, in the same process, at this time of [`monotonic_usec`].
    pub fn reloading(&self, monotonic_usec: u64) {
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={monotonic_usec}"));
    }

    /// The start or the end that is under way needs this long from now on.
    pub fn extend_timeout(&self, span: Span) {
        self.say(&format!("EXTEND_TIMEOUT_USEC={}", span.as_micros()));
    }

    fn say(&self, what: &str) {
        let Some((socket, to)) = &self.to else { return };
        if let Err(error) = socket.send_to_addr(what.as_bytes(), to) {
            tracing::warn!(%error, what, "systemd could not be told");
        }
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerAway(span) => write!(f, "the server has not been reached for {:.0} s", span.as_secs_f64()),
            Self::CannotBoot { release } => write!(f, "the workers of release {release} do not get ready"),
        }
    }
}

impl fmt::Display for Wedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("STUCK, the watchdog is not fed: ")?;
        match self {
            Self::Loop => f.write_str("the agent's loop does not come round"),
            Self::Scan(age) => write!(f, "the host was last looked over {:.0} s ago", age.as_secs_f64()),
            Self::Supervisor => f.write_str("what owns the workers does not answer"),
            Self::Guardian => f.write_str("the guardian of the workers is gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket as systemd listens on one, and a notifier that was told of it.
    fn heard_at(address: SocketAddr, name: &str, more: &[(&str, &str)]) -> (UnixDatagram, Notifier) {
        let systemd = UnixDatagram::bind_addr(&address).unwrap();
        systemd.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let notifier = Notifier::from_env(|variable| {
            let all = more.iter().copied().chain([("NOTIFY_SOCKET", name)]);
            all.filter(|(known, _)| *known == variable).map(|(_, value)| value.into()).next()
        });
        (systemd, notifier)
    }

    fn heard(more: &[(&str, &str)]) -> (tempfile::TempDir, UnixDatagram, Notifier) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let (systemd, notifier) = heard_at(SocketAddr::from_pathname(&path).unwrap(), path.to_str().unwrap(), more);
        (folder, systemd, notifier)
    }

    fn next(systemd: &UnixDatagram) -> String {
        let mut datagram = [0; 8_192];
        let bytes = systemd.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..bytes].to_vec()).unwrap()
    }

    #[test]
    fn what_is_said_arrives_word_for_word() {
        let (_folder, systemd, notifier) = heard(&[]);
        notifier.ready();
        notifier.watchdog();
        notifier.stopping();
        notifier.reloading(42);
        notifier.extend_timeout(Span::from_secs(90));
        notifier.status("4 workers\nof release 66\n");
        let said: Vec<_> = (0..6).map(|_| next(&systemd)).collect();
        assert_eq!(
            said,
            [
                "READY=1",
                "WATCHDOG=1",
                "STOPPING=1",
                "RELOADING=1\nMONOTONIC_USEC=42",
                "EXTEND_TIMEOUT_USEC=90000000",
                "STATUS=4 workers of release 66",
            ]
        );
    }

    #[test]
    fn a_status_stays_one_line_that_is_not_too_long() {
        let (_folder, systemd, notifier) = heard(&[]);
        notifier.status(&format!("x{}\nREADY=1", "ü".repeat(3_000)));
        let said = next(&systemd);
        assert!(said.len() <= "STATUS=".len() + MAX_STATUS && !said.contains('\n'), "{said}");
        assert!(said.ends_with('ü'));
        notifier.status("a\nREADY=1");
        assert_eq!(next(&systemd), "STATUS=a READY=1", "nothing else can be said by it");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_address_is_told_too() {
        let name = format!("aloud-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let (systemd, notifier) = heard_at(address, &format!("@{name}"), &[]);
        notifier.ready();
        assert_eq!(next(&systemd), "READY=1");
    }

    #[test]
    fn where_nobody_asked_nothing_is_said() {
        let none = Notifier::from_env(|_| None);
        assert!(!none.is_heard() && none.watchdog_every().is_none());
        none.ready();
        for unusable in ["", "notify", "vsock:2:1234", &format!("/{}", "x".repeat(200))] {
            let notifier = Notifier::from_env(|name| (name == "NOTIFY_SOCKET").then(|| unusable.into()));
            assert!(!notifier.is_heard(), "{unusable}");
        }
    }

    #[test]
    fn nobody_there_and_nobody_reading_hold_nothing_up() {
        let (folder, systemd, notifier) = heard(&[]);
        systemd.set_nonblocking(true).unwrap();
        let filler = UnixDatagram::unbound().unwrap();
        filler.set_nonblocking(true).unwrap();
        while filler.send_to(b"x", folder.path().join("notify")).is_ok() {}
        notifier.ready();
        drop(systemd);
        notifier.ready();
    }

    #[test]
    fn the_watchdog_is_that_of_this_process() {
        let own = std::process::id().to_string();
        let every = |more: &[(&str, &str)]| heard(more).2.watchdog_every();
        assert_eq!(every(&[("WATCHDOG_USEC", "30000000")]), Some(Span::from_secs(30)));
        assert_eq!(every(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", &own)]), Some(Span::from_secs(30)));
        assert_eq!(every(&[("WATCHDOG_USEC", "30000000"), ("WATCHDOG_PID", "1")]), None);
        assert_eq!(every(&[("WATCHDOG_USEC", "soon")]), None);
        assert_eq!(every(&[("WATCHDOG_USEC", "0")]), None);
        assert_eq!(every(&[]), None);
    }

    fn well() -> Progress {
        Progress {
            loop_turned: true,
            last_scan_age: Span::from_secs(5),
            supervisor_answered: true,
            guardian_alive: true,
            outside: Vec::new(),
        }
    }

    #[test]
    fn the_watchdog_is_fed_only_by_what_was_done() {
        let away = vec![Outside::ServerAway(Span::from_secs(86_400))];
        let broken = vec![Outside::CannotBoot { release: "66".to_owned() }];
        let old = Span::from_secs(16);
        for (progress, feed) in [
            (well(), Feed::Yes),
            (Progress { last_scan_age: SCAN_LIMIT, ..well() }, Feed::Yes),
            (Progress { outside: away.clone(), ..well() }, Feed::Yes),
            (Progress { outside: broken.clone(), ..well() }, Feed::Yes),
            (Progress { outside: [away.clone(), broken].concat(), ..well() }, Feed::Yes),
            (Progress { loop_turned: false, ..well() }, Feed::No(Wedge::Loop)),
            (Progress { last_scan_age: old, ..well() }, Feed::No(Wedge::Scan(old))),
            (Progress { supervisor_answered: false, ..well() }, Feed::No(Wedge::Supervisor)),
            (Progress { guardian_alive: false, ..well() }, Feed::No(Wedge::Guardian)),
            (Progress { guardian_alive: false, outside: away, ..well() }, Feed::No(Wedge::Guardian)),
        ] {
            assert_eq!(may_feed(&progress), feed, "{progress:?}");
        }
    }

    #[test]
    fn the_status_says_what_is_wrong_inside_and_outside() {
        let outside = [Outside::ServerAway(Span::from_secs(90)), Outside::CannotBoot { release: "66".to_owned() }];
        assert_eq!(status_line(Feed::Yes, &[]), "all is as it should be");
        assert_eq!(
            status_line(Feed::Yes, &outside),
            "the server has not been reached for 90 s; the workers of release 66 do not get ready"
        );
        assert_eq!(
            status_line(Feed::No(Wedge::Scan(Span::from_secs(40))), &outside[..1]),
            "STUCK, the watchdog is not fed: the host was last looked over 40 s ago; \
             the server has not been reached for 90 s"
        );
    }
}
