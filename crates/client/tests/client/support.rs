//! What the tests share.

use std::time::Duration;

use aloud_client::JobKind;
use serde::{Deserialize, Serialize};

/// The job of most tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SendNotice {
    pub(crate) notice: u64,
}

impl JobKind for SendNotice {
    const KIND: &'static str = "notice.send";
    const QUEUE: &'static str = "mail";
}

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Looks until it is so. For what announces itself nowhere.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
