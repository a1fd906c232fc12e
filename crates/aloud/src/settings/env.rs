//! The `ALOUD_*` variables of the environment.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};

use crate::report::Report;

/// The variables, read once at the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Env(BTreeMap<String, String>);

impl Env {
    /// The variables of this process.
    pub(crate) fn of_this_process() -> Self {
        // What is not UTF-8 cannot be one of our names; a value of ours that is
        // not then fails to parse, with U+FFFD in the message.
        let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("ALOUD_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        };
        Self(std::env::vars_os().filter_map(ours).collect())
    }

    /// A variable's text; one that is empty, or has no name, counts as not set.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A variable's value, read as the file would read it, with the quotes of
    /// a string left out.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Report> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let as_string: Result<T, Error> = T::deserialize(StrDeserializer::new(text));
        let why = match as_string {
            Ok(value) => return Ok(Some(value)),
            Err(why) => why,
        };
        // Numbers, booleans and lists are written as in the file.
        let as_toml = toml::de::ValueDeserializer::parse(text).and_then(T::deserialize);
        as_toml.map(Some).map_err(|_| {
            Report::config(
                format!("the variable {name}: {why}"),
                "Nothing was started, and nothing was sent.",
                format!("set {name} to a value as the reference in docs/configuration.md has it, or unset it"),
            )
        })
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

#[cfg(test)]
mod tests {
    use job::Span;

    use super::*;

    #[test]
    fn a_variable_is_read_as_the_file_would_read_it() {
        let env = Env::from([("ALOUD_A", "24h"), ("ALOUD_B", "true"), ("ALOUD_C", "[\"x\", \"y\"]"), ("ALOUD_D", "")]);
        assert_eq!(env.read::<Span>("ALOUD_A").unwrap(), Some(Span::from_secs(86_400)));
        assert_eq!(env.read::<bool>("ALOUD_B").unwrap(), Some(true));
        assert_eq!(env.read::<Vec<String>>("ALOUD_C").unwrap(), Some(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(env.read::<Span>("ALOUD_D").unwrap(), None);
        assert_eq!(env.read::<Span>("ALOUD_E").unwrap(), None);
    }

    #[test]
    fn a_variable_that_cannot_be_read_is_named() {
        let env = Env::from([("ALOUD_LATE_AFTER", "24")]);
        insta::assert_snapshot!(env.read::<Span>("ALOUD_LATE_AFTER").unwrap_err(), @r#"
        error: the variable ALOUD_LATE_AFTER: "24" is not a length of time; write a number and a unit: `500ms`, `45s`, `30m`, `2h`, `7d`, or several: `1h30m`
          Nothing was started, and nothing was sent.
        hint: set ALOUD_LATE_AFTER to a value as the reference in docs/configuration.md has it, or unset it
        "#);
    }
}
