//! Where a listener listens.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// An address to listen on, or `off`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Listen {
    /// Nowhere.
    Off,
    /// There; port 0 takes a free one.
    At(SocketAddr),
}

impl Listen {
    /// Whether only this machine can reach it.
    pub(crate) fn is_local(self) -> bool {
        match self {
            Self::Off => true,
            Self::At(address) => address.ip().is_loopback(),
        }
    }
}

/// The URL under which this machine reaches a server that listens there.
pub(crate) fn url(listens: SocketAddr) -> String {
    let mut address = listens;
    // To listen everywhere is to be reachable here, too.
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        numeric.as_deref().unwrap_or(text).parse().map(Self::At).map_err(|_| {
            format!(
                "{text:?} is no address to listen on; write an IP address and a port, such as `127.0.0.1:7420`, \
                 with port 0 for a free one, or `off`"
            )
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl<'de> serde::Deserialize<'de> for Listen {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_numbers_and_a_port() {
        let read = |text: &str| text.parse::<Listen>().map(|listen| (listen.to_string(), listen.is_local()));
        assert_eq!(read("127.0.0.1:7420"), Ok(("127.0.0.1:7420".to_owned(), true)));
        assert_eq!(read("localhost:0"), Ok(("127.0.0.1:0".to_owned(), true)));
        assert_eq!(read("[::1]:7420"), Ok(("[::1]:7420".to_owned(), true)));
        assert_eq!(read("0.0.0.0:7420"), Ok(("0.0.0.0:7420".to_owned(), false)));
        assert_eq!(read("off"), Ok(("off".to_owned(), true)));
        for bad in ["", "7420", ":7420", "127.0.0.1", "example.org:80", "http://127.0.0.1:7420", "OFF"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
