//! Intents that are written with the application's own data.
//!
//! A push and the change that it is about belong together: neither may happen
//! without the other, whatever crashes in between. So the application writes
//! the *intent* to push into a table beside its own, in the same transaction.
//! A [`Relay`] sends the intents in their order, for as long as it takes.
//!
//! The id of the job is drawn when the intent is written. A relay that dies
//! between sending and deleting sends again, and the server answers that it
//! knows the job: a crash anywhere never loses a job and never makes two.
//!
//! - `push` and `cancel_key` write into an SQLite transaction, and `Sqlite` is
//!   where a relay reads them (feature `sqlite`).
//! - For PostgreSQL and MySQL, [`Intent`] is the row to insert, and
//!   [`Intents`] is what a relay needs; `sql/postgres.sql` and `sql/mysql.sql`
//!   hold the tables and every statement.
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")] {
//! use aloud_client::outbox::{self, Relay};
//! # use aloud_client::Aloud;
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct SendNotice { notice: u64 }
//! # impl aloud_client::JobKind for SendNotice { const KIND: &'static str = "notice.send"; }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut db = rusqlite::Connection::open("notice.db")?;
//! outbox::create_table(&db)?;
//! let relay = Relay::start(outbox::Sqlite::open("notice.db")?, Aloud::from_env()?);
//!
//! let tx = db.transaction()?;
//! tx.execute("UPDATE notices SET wanted = 1 WHERE id = 42", [])?;
//! outbox::push(&tx, &SendNotice { notice: 42 })
//!     .in_(std::time::Duration::from_secs(1800))
//!     .key("notice:42")
//!     .replace()
//!     .write()?;
//! tx.commit()?;
//! relay.wake();
//! # Ok(()) }
//! # }
//! ```

mod intent;
mod relay;
#[cfg(feature = "sqlite")]
mod sqlite;

use intent::Act;
pub use intent::{Intent, Queued};
pub use relay::{Counts, Health, Intents, Relay};
#[cfg(feature = "sqlite")]
pub use sqlite::{Sqlite, cancel_key, create_table, push};
