//! What was observed on this host, kept in its own file.
//!
//! A line is written when what is seen of a subject changes, and never for the
//! same again, so that the file tells what happened and when: also while the
//! server is away, and after the agent is gone. It is bounded: past
//! [`Record::MAX_BYTES`] it becomes `observations.1.jsonl`, in the place of the
//! one before.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use job::{Observation, Subject, Verdict};

/// The file in the agent's folder.
pub const FILE: &str = "observations.jsonl";
const OLDER: &str = "observations.1.jsonl";

/// Keeps what was observed.
#[derive(Debug)]
pub(crate) struct Record {
    dir: PathBuf,
    last: BTreeMap<Subject, (Verdict, String)>,
    /// Why the last write did not work, if it did not.
    trouble: Option<String>,
}

impl Record {
    /// How large the file may become.
    pub(crate) const MAX_BYTES: u64 = 4 << 20;

    /// Goes on with the record in the folder `dir`.
    pub(crate) fn open(dir: &Path) -> Self {
        let mut last = BTreeMap::new();
        for observation in read(dir, usize::MAX) {
            last.insert(observation.subject, (observation.verdict, observation.what));
        }
        Self { dir: dir.to_owned(), last, trouble: None }
    }

    /// Keeps those that say something new, and answers them. If that does not
    /// work, they are kept as soon as it does.
    pub(crate) fn keep<'a>(&mut self, seen: &'a [Observation]) -> Vec<&'a Observation> {
        let is_new = |one: &&Observation| {
            self.last.get(&one.subject).is_none_or(|(verdict, what)| (*verdict, what) != (one.verdict, &one.what))
        };
        let new: Vec<_> = seen.iter().filter(is_new).collect();
        if new.is_empty() {
            return new;
        }
        match self.write(&new) {
            Ok(()) => {
                self.trouble = None;
                for one in &new {
                    self.last.insert(one.subject.clone(), (one.verdict, one.what.clone()));
                }
            }
            Err(error) => {
                let why = format!("what is observed cannot be written to `{}`: {error}", self.dir.join(FILE).display());
                if self.trouble.as_ref() != Some(&why) {
                    tracing::error!("{why}");
                }
                self.trouble = Some(why);
            }
        }
        new
    }

    /// Why nothing can be kept at the moment, if so.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    fn write(&self, new: &[&Observation]) -> io::Result<()> {
        let path = self.dir.join(FILE);
        let mut lines = Vec::new();
        for one in new {
            serde_json::to_writer(&mut lines, one)?;
            lines.push(b'\n');
        }
        if std::fs::metadata(&path).is_ok_and(|file| file.len() + lines.len() as u64 > Self::MAX_BYTES) {
            std::fs::rename(&path, self.dir.join(OLDER))?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all(&lines)?;
        file.sync_data()
    }
}

/// The newest `most` observations in the folder `dir`, the oldest first. Lines
/// that cannot be read, such as one that was cut by a crash, are passed over.
pub fn read(dir: &Path, most: usize) -> Vec<Observation> {
    let mut all = Vec::new();
    for name in [OLDER, FILE] {
        let Ok(file) = File::open(dir.join(name)) else { continue };
        let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
        all.extend(lines.filter_map(|line| serde_json::from_slice(&line).ok()));
    }
    all.split_off(all.len().saturating_sub(most))
}

#[cfg(test)]
mod tests {
    use job::Timestamp;

    use super::*;

    fn seen(verdict: Verdict, what: &str) -> Observation {
        Observation {
            subject: Subject::Host("web1".parse().unwrap()),
            at: Timestamp(0),
            verdict,
            what: what.to_owned(),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn only_what_changed_is_written_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::open(dir.path());
        assert_eq!(record.keep(&[seen(Verdict::Ok, "all is well")]).len(), 1);
        assert_eq!(record.keep(&[seen(Verdict::Ok, "all is well")]).len(), 0);
        assert_eq!(record.keep(&[seen(Verdict::Critical, "a release is gone")]).len(), 1);
        let mut record = Record::open(dir.path());
        assert_eq!(record.keep(&[seen(Verdict::Critical, "a release is gone")]).len(), 0);
        let read: Vec<_> = read(dir.path(), 10).into_iter().map(|one| one.what).collect();
        assert_eq!(read, ["all is well", "a release is gone"]);
    }

    #[test]
    fn a_line_that_was_cut_hides_no_other_and_what_could_not_be_written_is_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::open(dir.path());
        record.keep(&[seen(Verdict::Ok, "a")]);
        let mut file = OpenOptions::new().append(true).open(dir.path().join(FILE)).unwrap();
        file.write_all(b"{\"subject\":{\"ho\n").unwrap();
        record.keep(&[seen(Verdict::Ok, "b")]);
        assert_eq!(read(dir.path(), 10).len(), 2);

        let moved = dir.path().with_extension("moved");
        std::fs::rename(dir.path(), &moved).unwrap();
        assert_eq!(record.keep(&[seen(Verdict::Warning, "c")]).len(), 1);
        assert!(record.trouble().unwrap().starts_with("what is observed cannot be written to"));
        std::fs::rename(&moved, dir.path()).unwrap();
        assert_eq!(record.keep(&[seen(Verdict::Warning, "c")]).len(), 1, "it is still new");
        assert_eq!(record.trouble(), None);
        assert_eq!(read(dir.path(), 1)[0].what, "c");
    }

    #[test]
    fn the_file_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::open(dir.path());
        let long = "x".repeat(200_000);
        for round in 0..60 {
            record.keep(&[seen(Verdict::Ok, &format!("{round} {long}"))]);
        }
        let sizes: Vec<_> = [FILE, OLDER].map(|name| std::fs::metadata(dir.path().join(name)).unwrap().len()).into();
        assert!(sizes.iter().all(|size| *size <= Record::MAX_BYTES), "{sizes:?}");
        assert!(read(dir.path(), 1)[0].what.starts_with("59 "));
    }
}
