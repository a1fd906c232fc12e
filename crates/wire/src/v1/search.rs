//! Looking for jobs: `GET /v1/jobs`.

use job::{Key, KindName, Outcome, Phase, QueueName};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{JobView, Refused};

/// The query of `GET /v1/jobs`. Everything that is given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobQuery {
    /// In one of these states, separated by commas; none means all.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "with_commas",
        deserialize_with = "at_commas"
    )]
    pub state: Vec<Phase>,
    /// With this outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// In this queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// Of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// With this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// Where the last page ended: its `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many at most, 1 to 500; 50 if left out.
    #[serde(default = "fifty")]
    pub limit: usize,
}

fn fifty() -> usize {
    50
}

impl Default for JobQuery {
    /// The first page of everything.
    fn default() -> Self {
        Self { state: Vec::new(), outcome: None, queue: None, kind: None, key: None, after: None, limit: fifty() }
    }
}

impl JobQuery {
    /// The most jobs of one page.
    pub const MAX_LIMIT: usize = 500;

    /// Whether what it asks for lies within its bounds.
    pub fn check(&self) -> Result<(), Refused> {
        if (1..=Self::MAX_LIMIT).contains(&self.limit) {
            return Ok(());
        }
        Err(Refused::new("limit", format!("it must lie between 1 and {}", Self::MAX_LIMIT)))
    }
}

fn with_commas<S: Serializer>(states: &[Phase], to: S) -> Result<S::Ok, S::Error> {
    let words: Vec<_> = states.iter().map(|state| state.as_str()).collect();
    to.serialize_str(&words.join(","))
}

fn at_commas<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Phase>, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
    text.split(',').map(|word| Phase::deserialize(word.into_deserializer())).collect()
}

/// The answer to [`JobQuery`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobList {
    /// Those that fit.
    pub jobs: Vec<JobView>,
    /// Give this as `after` for the next page; not there at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// How many jobs were looked at for this page.
    pub searched: u64,
    /// How many are kept in all.
    pub of: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_stand_between_commas() {
        let query = JobQuery { state: vec![Phase::Dead, Phase::Ready], ..JobQuery::default() };
        let json = serde_json::to_string(&query).unwrap();
        assert_eq!(json, r#"{"state":"dead,ready","limit":50}"#);
        assert_eq!(serde_json::from_str::<JobQuery>(&json).unwrap(), query);
        let error = serde_json::from_str::<JobQuery>(r#"{"state":"dead,done"}"#).unwrap_err().to_string();
        assert!(error.starts_with("unknown variant `done`, expected one of `scheduled`, `checking`"), "{error}");
    }

    #[test]
    fn a_page_has_a_limit() {
        let limit = |limit| JobQuery { limit, ..JobQuery::default() }.check().is_ok();
        assert_eq!([limit(0), limit(1), limit(500), limit(501)], [false, true, true, false]);
    }
}
