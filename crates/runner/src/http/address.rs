//! Where a request is sent.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// An address that starts with `http://` or `https://`, without a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// A text that is not such an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// It cannot be read as an address at all, or has another scheme.
    #[error("it is not an address that starts with `http://` or `https://` and names a host")]
    Form,
    /// It holds a user name or a password, which would end up in errors and
    /// logs.
    #[error("it holds a user name or a password; requests are signed instead")]
    Password,
}

impl Address {
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let url = Url::parse(text).map_err(|_| NotAnAddress::Form)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(NotAnAddress::Form);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NotAnAddress::Password);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for Address {
    /// Writes it without its query, which may hold what nobody else should see.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        shown.set_fragment(None);
        let hidden = if shown.query().is_some() { "?…" } else { "" };
        shown.set_query(None);
        write!(f, "{shown}{hidden}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_and_https_without_a_password_are_addresses() {
        let read = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(read("http://127.0.0.1:8080/jobs"), Ok("http://127.0.0.1:8080/jobs".to_owned()));
        assert_eq!(read("https://shop.example/a?token=geheim#x"), Ok("https://shop.example/a?…".to_owned()));
        for bad in ["", "shop.example", "/jobs", "file:///etc/passwd", "ftp://x/", "unix:/run/app.sock", "http://"] {
            assert_eq!(read(bad), Err(NotAnAddress::Form), "{bad}");
        }
        assert_eq!(read("http://ute:geheim@shop.example/"), Err(NotAnAddress::Password));
    }
}
