//! What is kept on disk of each worker that runs, for whoever comes later.
//!
//! The launcher writes the record before it becomes the worker; the
//! supervisor removes it when nothing of the worker is left. What is in the
//! folder when both are gone is what the guardian, or the next supervisor,
//! has to end. The format is read only by the same program or its successor:
//! a field that is added needs a default.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::code::Dir;
use crate::process::{self, Ident};
use crate::worker::{Generation, WorkerId};

/// One worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) worker: WorkerId,
    #[serde(flatten)]
    pub(crate) ident: Ident,
    pub(crate) boot: String,
    pub(crate) generation: Generation,
    pub(crate) release: String,
    pub(crate) dir: Dir,
    pub(crate) cgroup: Option<PathBuf>,
    /// Why it did not become the program, if it did not.
    #[serde(default)]
    pub(crate) failed: Option<Refusal>,
}

/// Why a worker was not started.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Record {
    /// Whether what it tells of can still be there.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.boot == process::boot()
    }
}

/// The folder in which a supervisor keeps what it needs while it runs.
#[derive(Clone, Debug)]
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes the folder and what belongs in it. Workers of other users must be
    /// able to reach their sockets, and nothing else.
    pub(crate) fn create(&self) -> io::Result<()> {
        for (path, mode) in [
            (self.0.clone(), 0o711),
            (self.0.join("workers"), 0o700),
            (self.0.join("orders"), 0o700),
            (self.0.join("pipes"), 0o700),
            (self.0.join("n"), 0o711),
        ] {
            fs::create_dir_all(&path)?;
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn record(&self, worker: &WorkerId) -> PathBuf {
        self.0.join("workers").join(format!("{worker}.json"))
    }

    pub(crate) fn order(&self, worker: &WorkerId) -> PathBuf {
        self.0.join("orders").join(format!("{worker}.json"))
    }

    pub(crate) fn stdout(&self, worker: &WorkerId) -> PathBuf {
        self.0.join("pipes").join(format!("{worker}.out"))
    }

    pub(crate) fn stderr(&self, worker: &WorkerId) -> PathBuf {
        self.0.join("pipes").join(format!("{worker}.err"))
    }

    pub(crate) fn pipes(&self) -> Vec<PathBuf> {
        listed(&self.0.join("pipes"))
    }

    /// Where the sockets are. Its name is short, because the path of a socket must be.
    pub(crate) fn sockets(&self) -> PathBuf {
        self.0.join("n")
    }

    pub(crate) fn socket(&self, worker: &WorkerId) -> PathBuf {
        self.sockets().join(worker.tag())
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// Through this the guardian is asked to hold the pipes open.
    pub(crate) fn ask_guardian(&self) -> PathBuf {
        self.0.join("guardian.ask")
    }

    /// This is there while the guardian holds the pipes open.
    pub(crate) fn held(&self) -> PathBuf {
        self.0.join("guardian.holds")
    }

    /// All records that can be read. One that was half written was written by
    /// a launcher that never got further.
    pub(crate) fn records(&self) -> Vec<Record> {
        listed(&self.0.join("workers")).iter().filter_map(|path| read(path).ok()).collect()
    }

    /// Removes what belongs to a worker. What is missing already is fine.
    pub(crate) fn forget(&self, worker: &WorkerId) {
        for path in
            [self.order(worker), self.stdout(worker), self.stderr(worker), self.socket(worker), self.record(worker)]
        {
            fs::remove_file(path).ok();
        }
    }

    /// Removes what is left of workers none of which runs.
    pub(crate) fn sweep(&self) {
        for folder in ["workers", "orders", "pipes", "n"] {
            for path in listed(&self.0.join(folder)) {
                fs::remove_file(path).ok();
            }
        }
    }
}

fn listed(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(value)?;
    let half = path.with_extension("tmp");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(&text)?;
    fs::rename(&half, path)
}

/// Reads what [`write`] wrote.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}
