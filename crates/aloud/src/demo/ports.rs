//! Which ports the demo listens on, all of them on loopback.
//!
//! A named folder remembers them: what waits there asks the application at the
//! address that it had when the job was pushed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use tokio::net::TcpListener;

use crate::demo::args::DemoArgs;
use crate::report::Report;

/// One port, as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    /// This one, or any that is free if it is taken.
    Usual(u16),
    /// This one and no other.
    Only(u16),
    /// Any that is free.
    Free,
}

/// All of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) aloud: Port,
    pub(crate) notice: Port,
    pub(crate) mailbox: Port,
    pub(crate) smtp: Port,
}

impl Ports {
    /// Decides by what was typed, or else by what the folder remembers.
    pub(crate) fn decide(args: &DemoArgs) -> Self {
        let last = args.data.as_deref().map(remembered).unwrap_or_default();
        let port = |typed: Option<u16>, name: &str, usual: u16| match typed {
            Some(0) => Port::Free,
            Some(port) => Port::Only(port),
            None if args.check || args.story => Port::Free,
            None => Port::Usual(last.get(name).copied().unwrap_or(usual)),
        };
        Self {
            aloud: port(args.port, "aloud", 7420),
            notice: port(args.notice_port, "notice", 8080),
            mailbox: port(args.mailbox_port, "mailbox", 8025),
            smtp: port(args.smtp_port, "smtp", 2525),
        }
    }
}

/// The file in which a folder remembers its ports.
const FILE: &str = "ports.toml";

fn remembered(folder: &Path) -> BTreeMap<String, u16> {
    let text = fs::read_to_string(folder.join(FILE)).unwrap_or_default();
    toml::from_str(&text).unwrap_or_default()
}

/// Remembers which ports were taken.
pub(crate) fn remember(folder: &Path, taken: [(&str, SocketAddr); 4]) -> io::Result<()> {
    let lines = taken.map(|(name, address)| format!("{name} = {}\n", address.port()));
    fs::write(folder.join(FILE), lines.concat())
}

impl Port {
    /// Listens there.
    pub(crate) async fn listen(self) -> Result<(TcpListener, SocketAddr), Report> {
        let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let bound = match self {
            Self::Usual(port) => match bind(port).await {
                Ok(listener) => Ok(listener),
                Err(_) => bind(0).await,
            },
            Self::Only(port) => bind(port).await,
            Self::Free => bind(0).await,
        };
        bound
            .and_then(|listener| Ok((listener.local_addr()?, listener)))
            .map(|(address, listener)| (listener, address))
            .map_err(|error| {
                let port = match self {
                    Self::Usual(_) | Self::Free => "on any port".to_owned(),
                    Self::Only(port) => format!("on port {port}"),
                };
                Report::config(
                    format!("cannot listen on 127.0.0.1 {port}: {error}"),
                    "The demo did not start.",
                    "leave the port out, and a free one is taken",
                )
            })
    }

    /// A free port for another process, for whom it is decided before it is
    /// started.
    pub(crate) async fn decide(self) -> Result<SocketAddr, Report> {
        self.listen().await.map(|(_listener, address)| address)
    }

    /// Where another process is to listen: there, or with port 0 where it
    /// finds room.
    pub(crate) async fn for_another(self) -> SocketAddr {
        let port = match self {
            Self::Usual(port) => match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(_) => port,
                Err(_) => 0,
            },
            Self::Only(port) => port,
            Self::Free => 0,
        };
        (Ipv4Addr::LOCALHOST, port).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_remembers_its_ports_and_what_is_typed_counts_more() {
        let folder = tempfile::tempdir().unwrap();
        let none = DemoArgs {
            check: false,
            story: false,
            data: Some(folder.path().to_owned()),
            delay: None,
            port: None,
            notice_port: None,
            mailbox_port: None,
            smtp_port: None,
        };
        assert_eq!(Ports::decide(&none).notice, Port::Usual(8080));
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        remember(folder.path(), [("aloud", at(1)), ("notice", at(2)), ("mailbox", at(3)), ("smtp", at(4))]).unwrap();
        let ports = Ports::decide(&none);
        assert_eq!(ports.notice, Port::Usual(2));
        assert_eq!(ports.smtp, Port::Usual(4));
        assert_eq!(Ports::decide(&DemoArgs { notice_port: Some(7), ..none }).notice, Port::Only(7));
    }

    #[tokio::test]
    async fn a_usual_port_that_is_taken_gives_way_and_one_that_was_asked_for_does_not() {
        let (_listener, taken) = Port::Free.listen().await.unwrap();
        let (_other, elsewhere) = Port::Usual(taken.port()).listen().await.unwrap();
        assert_ne!(elsewhere.port(), taken.port());
        assert_eq!(Port::Usual(taken.port()).for_another().await.port(), 0);
        let refused = Port::Only(taken.port()).listen().await.unwrap_err();
        assert!(refused.happened.contains(&format!("on port {}", taken.port())), "{refused}");
        assert!(elsewhere.ip().is_loopback());
    }
}
