//! Which process this is, to the one who started it.

use std::ffi::OsString;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::Error;

/// The name that a supervisor gave to this process, and the release that it
/// runs from. A worker says both with each request, so that the supervisor
/// hears that this very process works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    worker: String,
    release: Option<String>,
}

/// The longest that either may be, in bytes.
const MAX_BYTES: usize = wire::v1::AgentReport::MAX_ID_BYTES;

impl Identity {
    /// Checks the texts: visible ASCII without spaces, at most 100 bytes.
    pub(crate) fn new(worker: String, release: Option<String>) -> Result<Self, Error> {
        for text in [Some(&worker), release.as_ref()].into_iter().flatten() {
            if !fits(text) {
                return Err(Error::config(
                    format!("{text:?} cannot be the name of a worker or a release"),
                    format!("give 1 to {MAX_BYTES} visible ASCII characters without spaces"),
                ));
            }
        }
        Ok(Self { worker, release })
    }

    /// What the environment says: `ALOUD_WORKER` and `ALOUD_RELEASE`, which
    /// aloud gives to each process that it starts. What cannot be said in a
    /// header is left out.
    pub(crate) fn from_env() -> Option<Self> {
        Self::from_vars(|name| std::env::var_os(name))
    }

    fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let text = |name| var(name)?.into_string().ok().filter(|text| fits(text));
        Some(Self { worker: text("ALOUD_WORKER")?, release: text("ALOUD_RELEASE") })
    }

    pub(crate) fn worker(&self) -> &str {
        &self.worker
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name, text: &str| {
            let value = HeaderValue::from_str(text).expect("it holds only visible ASCII characters");
            headers.insert(HeaderName::from_static(name), value);
        };
        set("aloud-worker", &self.worker);
        if let Some(release) = &self.release {
            set("aloud-release", release);
        }
        headers
    }
}

fn fits(text: &str) -> bool {
    (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_which_process_this_is() {
        let read = |worker: Option<&str>, release: Option<&str>| {
            Identity::from_vars(|name| {
                let value = if name == "ALOUD_WORKER" { worker } else { release };
                value.map(OsString::from)
            })
        };
        let identity = read(Some("mail.2.g7.x3f9"), Some("66")).unwrap();
        assert_eq!(
            (identity.worker(), &identity.headers()["aloud-release"]),
            ("mail.2.g7.x3f9", &HeaderValue::from_static("66"))
        );
        assert_eq!(read(None, Some("66")), None);
        assert_eq!(read(Some(""), Some("66")), None);
        assert_eq!(read(Some("mail 2"), None), None);
        assert_eq!(read(Some("mail"), Some("é")).unwrap().headers().len(), 1);
    }

    #[test]
    fn a_name_that_no_header_can_hold_is_refused() {
        for bad in ["", "mail 2", "é", &"w".repeat(101)] {
            assert!(Identity::new(bad.to_owned(), None).is_err(), "{bad}");
            assert!(Identity::new("mail".to_owned(), Some(bad.to_owned())).is_err(), "{bad}");
        }
    }
}
