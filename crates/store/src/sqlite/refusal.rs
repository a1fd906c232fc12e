//! Why a store cannot be opened, in three parts: what happened, what it means,
//! what to do.

use std::io;
use std::path::PathBuf;

use job::AppName;

/// Why a store cannot be opened. Nothing was changed.
///
/// As text it says what happened; [`OpenError::means`] and [`OpenError::hint`]
/// say what that means and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no store, and none was to be created.
    #[error("there is no store in `{}`", data.display())]
    Missing {
        /// The folder.
        data: PathBuf,
    },
    /// It belongs to another app.
    #[error("cannot open the store in `{}`: it belongs to the app `{owner}`, and this is `{app}`", data.display())]
    OtherApp {
        /// The folder.
        data: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who asked.
        app: AppName,
    },
    /// Another process serves it.
    #[error("cannot open the store in `{}`: {} serves it", data.display(), process(*.pid))]
    Held {
        /// The folder.
        data: PathBuf,
        /// That process, if it is known.
        pid: Option<u32>,
    },
    /// A newer aloud wrote it.
    #[error(
        "cannot open the store in `{}`: a newer aloud wrote it, in form {found}; this one knows forms up to {known}",
        data.display()
    )]
    Newer {
        /// The folder.
        data: PathBuf,
        /// The form it is in.
        found: u32,
        /// The newest form that is known here.
        known: u32,
    },
    /// It is something else, or broken.
    #[error("cannot open the store in `{}`: {why}", data.display())]
    Damaged {
        /// The folder.
        data: PathBuf,
        /// What was found.
        why: String,
    },
    /// The folder cannot be used.
    #[error("cannot use the folder `{}`: {error}", data.display())]
    Folder {
        /// The folder.
        data: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The disk, or what else SQLite needs, failed.
    #[error("cannot open the store in `{}`: {why}", data.display())]
    Failed {
        /// The folder.
        data: PathBuf,
        /// What SQLite said.
        why: String,
    },
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("the process {pid}"))
}

impl OpenError {
    /// What it means.
    pub fn means(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "Nothing was created: an empty store where a full one was expected is how work is lost quietly."
            }
            Self::OtherApp { .. } | Self::Newer { .. } | Self::Held { .. } => "No jobs were changed.",
            Self::Damaged { .. } => "Nothing was changed. Its jobs may be lost in part, and are not served.",
            Self::Folder { .. } => "Nothing was read, and nothing was changed.",
            Self::Failed { .. } => "No jobs were served. What was stored before should still be there.",
        }
    }

    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "check the folder (is the disk mounted?); if a new store is wanted there, start with `--init`"
            }
            Self::OtherApp { .. } => "give each app a `data` folder of its own",
            Self::Held { .. } => "stop that process first, or give this one a `data` folder of its own",
            Self::Newer { .. } => "start the newer aloud again; there is no way back but a backup",
            Self::Damaged { .. } => {
                "keep a copy of the whole folder, look at the disk, and put back a backup; `sqlite3 aloud.db .recover` saves what can be read"
            }
            Self::Folder { .. } => {
                "give the user that runs aloud the right to write there, or choose another `data` folder"
            }
            Self::Failed { .. } => "look at the disk: is there room, is it writable, does `dmesg` show errors?",
        }
    }
}
