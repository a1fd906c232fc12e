//! Which sorts of problem there are.

use http::StatusCode;

macro_rules! sorts {
    ($($name:ident = $status:ident $word:literal,)*) => {
        /// A sort of problem.
        #[derive(Clone, Copy, Debug)]
        pub(super) enum Sort {
            $($name,)*
        }

        impl Sort {
            /// Its status, and the word that scripts know it by.
            pub(super) const fn status_and_word(self) -> (StatusCode, &'static str) {
                match self {
                    $(Self::$name => (StatusCode::$status, $word),)*
                }
            }

            #[cfg(test)]
            const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

// Neither a status nor a word ever changes; `docs/http-api.md` lists them all.
sorts! {
    Unauthorized = UNAUTHORIZED "unauthorized",
    OtherApp = FORBIDDEN "other-app",
    OtherHost = FORBIDDEN "other-host",
    NotForAgents = FORBIDDEN "not-for-agents",
    WrongHost = MISDIRECTED_REQUEST "wrong-host",
    WrongOrigin = FORBIDDEN "wrong-origin",
    NoSuchAddress = NOT_FOUND "no-such-address",
    WrongMethod = METHOD_NOT_ALLOWED "wrong-method",
    BadPath = BAD_REQUEST "bad-path",
    BadQuery = BAD_REQUEST "bad-query",
    NotJson = UNSUPPORTED_MEDIA_TYPE "not-json",
    BadJson = BAD_REQUEST "bad-json",
    TooLarge = PAYLOAD_TOO_LARGE "too-large",
    TooSlow = REQUEST_TIMEOUT "too-slow",
    BrokenBody = BAD_REQUEST "broken-body",
    Refused = UNPROCESSABLE_ENTITY "refused",
    NoSuchJob = NOT_FOUND "no-such-job",
    NoSuchKey = NOT_FOUND "no-such-key",
    KeyHeld = CONFLICT "key-held",
    Running = CONFLICT "running",
    Ended = CONFLICT "ended",
    CameBack = CONFLICT "came-back",
    StaleLease = CONFLICT "stale-lease",
    AgentAway = CONFLICT "agent-away",
    TooManyWaiting = SERVICE_UNAVAILABLE "too-many-waiting",
    Broken = INTERNAL_SERVER_ERROR "broken",
    Busy = SERVICE_UNAVAILABLE "busy",
    Full = INSUFFICIENT_STORAGE "full",
    Unknown = INTERNAL_SERVER_ERROR "unknown",
    Damaged = INTERNAL_SERVER_ERROR "damaged",
    Stopping = SERVICE_UNAVAILABLE "stopping",
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../../docs/http-api.md");

    #[test]
    fn the_page_lists_every_word_once_with_its_status() {
        let rows: Vec<Vec<&str>> = PAGE.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        for sort in Sort::ALL {
            let (status, word) = sort.status_and_word();
            let listed = rows.iter().filter_map(|row| match row.as_slice() {
                ["", words, status, ..] if words.contains(&format!("`{word}`")) => status.parse().ok(),
                _ => None,
            });
            assert_eq!(listed.collect::<Vec<u16>>(), [status.as_u16()], "{word}");
        }
    }

    #[test]
    fn no_word_has_two_meanings() {
        let words: std::collections::BTreeSet<_> = Sort::ALL.iter().map(|sort| sort.status_and_word().1).collect();
        assert_eq!(words.len(), Sort::ALL.len());
    }
}
