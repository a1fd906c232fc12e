//! What was intended, and what was done.
//!
//! One record per line: the CRC-32 of the record as 8 digits, a space, the record as JSON. The file is longer than what
//! stands in it: the zeros at its end are room that is already ours, so that a full disk does not stop the record of an
//! abort. (Where the file system never writes in place, it may do so all the same.) A line that was torn at the end by
//! a power cut is cut off; a damaged one in the middle is passed over.
//!
//! To change a record, add fields with defaults. A record that a later version wrote and this one cannot read is passed
//! over like a damaged one; what `current` says counts in any case.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use job::Timestamp;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::deploy::Step;
use crate::dir::Dir;
use crate::error::Trouble;
use crate::id::{ReleaseId, TxId};

/// One line of the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// What it belongs to.
    pub tx: TxId,
    /// What kind of thing that is.
    pub act: Act,
    /// The step.
    pub step: Step,
    /// Whether it is about to happen, or has.
    pub mark: Mark,
    /// The release that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
    /// The release that was current when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<ReleaseId>,
    /// When, by the wall clock.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// More about it: a hook's name, why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What is being done to the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A new release.
    Deploy,
    /// A sealed release that was left behind becomes the current one.
    Resume,
    /// Back to an older release.
    Rollback,
    /// It is seen whether the current release works.
    Confirm,
    /// Old releases are removed, or what was cut short is put in order.
    Prune,
}

/// Before or after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It is about to happen.
    Intent,
    /// It has happened.
    Done,
    /// It was tried, and failed.
    Failed,
    /// With this record all of it is over; the step is the last one.
    Over,
}

/// The journal, open for writing: one process at a time, the one that holds the lock.
pub(crate) struct Journal {
    dir: Dir,
    file: File,
    end: u64,
    records: Vec<Record>,
}

const NAME: &str = "journal";
/// Room that is made at once.
const ROOM: u64 = 256 << 10;
/// Room that a deploy wants to see before it begins: some 60 records of 500 bytes, and 64 hooks.
const WANTED: u64 = 96 << 10;
/// Room with which a rollback can be written down.
const NEEDED: u64 = 8 << 10;
/// From here on only the newest records are kept.
const FULL: u64 = 512 << 10;
/// How many are kept then.
const KEPT: usize = 500;
/// The most that is read. A longer one is not ours.
const MAX_BYTES: u64 = 4 << 20;
/// The most bytes of a note that are written down.
const MAX_NOTE: usize = 1_000;

impl Journal {
    /// Opens the journal below `dir`, cuts off what was torn, and makes room.
    pub(crate) fn open(dir: Dir) -> Result<Self, Trouble> {
        let mut file = dir.open_file(NAME)?;
        let bytes = read(&mut file)?;
        let (records, end) = parse(&bytes);
        if bytes[end..].iter().any(|byte| *byte != 0) {
            dir.point("journal cut");
            file.write_all_at(&vec![0; bytes.len() - end], end as u64)
                .and_then(|()| file.sync_data())
                .map_err(|error| Trouble::io("cut the journal", &error))?;
        }
        let mut journal = Self { dir, file, end: end as u64, records };
        if journal.end > FULL {
            journal.shorten()?;
        }
        journal.make_room()?;
        Ok(journal)
    }

    /// The last `most` records, newest last, read without the lock: a record that is being written may be missing.
    pub(crate) fn peek(dir: &Dir, most: usize) -> Result<Vec<Record>, Trouble> {
        let Some(text) = dir.read(NAME, MAX_BYTES)? else { return Ok(Vec::new()) };
        let mut records = parse(text.as_bytes()).0;
        Ok(records.split_off(records.len().saturating_sub(most)))
    }

    pub(crate) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Writes a record; it is on the disk when this returns.
    pub(crate) fn add(&mut self, mut record: Record) -> Result<(), Trouble> {
        if let Some(note) = &mut record.note {
            shorten(note);
        }
        let line = line(&record);
        self.dir.point("journal");
        self.file
            .write_all_at(line.as_bytes(), self.end)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| Trouble::io("write the journal", &error))?;
        self.end += line.len() as u64;
        self.records.push(record);
        self.dir.point("journal done");
        Ok(())
    }

    /// What was begun and is not over: its records, oldest first.
    pub(crate) fn unfinished(&self) -> Vec<Record> {
        let over: HashSet<&TxId> = self.records.iter().filter(|r| r.mark == Mark::Over).map(|r| &r.tx).collect();
        let open = self.records.iter().rev().map(|record| &record.tx).find(|tx| !over.contains(tx));
        open.map_or_else(Vec::new, |tx| self.records.iter().filter(|r| r.tx == *tx).cloned().collect())
    }

    fn make_room(&mut self) -> Result<(), Trouble> {
        let length = self.file.metadata().map_err(|error| Trouble::io("look at the journal", &error))?.len();
        if length.saturating_sub(self.end) >= WANTED {
            return Ok(());
        }
        let made = match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, self.end + ROOM) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let zeros = vec![0; usize::try_from(ROOM).unwrap_or_default()];
                self.file.write_all_at(&zeros, self.end).map_err(|e| Trouble::io("make room in the journal", &e))
            }
            made => made.map_err(|error| Trouble::system("make room in the journal", error)),
        };
        match made.and_then(|()| self.file.sync_all().map_err(|e| Trouble::io("write the journal", &e))) {
            // Somebody who wants to go back on a full disk must be able to.
            Err(_) if length.saturating_sub(self.end) >= NEEDED => Ok(()),
            made => made,
        }
    }

    /// Keeps the newest records only. The journal is the old or the new one, also after a power cut.
    fn shorten(&mut self) -> Result<(), Trouble> {
        let newest = self.records.split_off(self.records.len().saturating_sub(KEPT));
        let text: String = newest.iter().map(line).collect();
        match self.dir.write(NAME, &text) {
            Ok(()) => {
                self.file = self.dir.open_file(NAME)?;
                self.end = text.len() as u64;
                self.records = newest;
                Ok(())
            }
            Err(trouble) => {
                tracing::warn!(%trouble, "the journal could not be shortened");
                self.records.extend(newest);
                Ok(())
            }
        }
    }
}

fn read(file: &mut File) -> Result<Vec<u8>, Trouble> {
    let failed = |error| Trouble::io("read the journal", &error);
    let length = file.metadata().map_err(failed)?.len();
    if length > MAX_BYTES {
        return Err(Trouble::ours(
            "read the journal",
            format!("it has {length} bytes, and aloud never lets it grow over {MAX_BYTES}"),
            "see who else writes to `.aloud/journal`, and move it away",
        ));
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The records, and where the next one goes.
fn parse(bytes: &[u8]) -> (Vec<Record>, usize) {
    let (mut records, mut end, mut at) = (Vec::new(), 0, 0);
    while let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        if let Some(record) = parse_line(&bytes[at..at + length]) {
            records.push(record);
            end = at + length + 1;
        }
        at += length + 1;
    }
    (records, end)
}

fn parse_line(line: &[u8]) -> Option<Record> {
    let (sum, json) = (line.get(..8)?, line.get(9..)?);
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (line[8] == b' ' && crc32fast::hash(json) == sum).then(|| serde_json::from_slice(json).ok()).flatten()
}

fn line(record: &Record) -> String {
    let json = serde_json::to_string(record).expect("it holds nothing that JSON cannot say");
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

fn shorten(note: &mut String) {
    if note.len() > MAX_NOTE {
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        note.push('…');
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::crash::Never;

    fn record(n: u32) -> Record {
        Record {
            tx: TxId::new(Timestamp(i64::from(n)), n),
            act: Act::Deploy,
            step: Step::Fill,
            mark: Mark::Done,
            release: None,
            was: None,
            at: Timestamp(0),
            who: "alice".into(),
            note: Some("a\nb".into()),
        }
    }

    fn written(records: u32) -> (tempfile::TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open(folder.path(), Arc::new(Never)).unwrap();
        let mut journal = Journal::open(dir.again().unwrap()).unwrap();
        for n in 0..records {
            journal.add(record(n)).unwrap();
        }
        (folder, dir)
    }

    #[test]
    fn records_are_read_as_they_were_written_and_go_on_after_them() {
        let (_folder, dir) = written(3);
        let mut journal = Journal::open(dir.again().unwrap()).unwrap();
        assert_eq!(journal.records(), [record(0), record(1), record(2)]);
        journal.add(record(3)).unwrap();
        assert_eq!(Journal::peek(&dir, 2).unwrap(), [record(2), record(3)]);
    }

    #[test]
    fn there_is_room_for_a_deploy_before_it_begins() {
        let (folder, _dir) = written(0);
        let length = std::fs::metadata(folder.path().join("journal")).unwrap().len();
        assert!(length >= WANTED, "{length}");
    }

    #[test]
    fn a_damaged_record_is_passed_over_and_the_others_count() {
        let (folder, dir) = written(0);
        let damaged = line(&record(1)).replace("alice", "alicf");
        std::fs::write(folder.path().join("journal"), line(&record(0)) + &damaged + &line(&record(2))).unwrap();
        let mut journal = Journal::open(dir.again().unwrap()).unwrap();
        assert_eq!(journal.records(), [record(0), record(2)]);
        journal.add(record(3)).unwrap();
        assert_eq!(Journal::peek(&dir, 9).unwrap(), [record(0), record(2), record(3)]);
    }

    #[test]
    fn a_long_journal_is_shortened_to_its_newest_records() {
        let (folder, dir) = written(0);
        let text: String = (0..5_000).map(|n| line(&record(n))).collect();
        std::fs::write(folder.path().join("journal"), text).unwrap();
        let journal = Journal::open(dir.again().unwrap()).unwrap();
        assert_eq!(journal.records().len(), KEPT);
        assert_eq!(journal.records().last(), Some(&record(4_999)));
        assert_eq!(Journal::peek(&dir, 9_999).unwrap().len(), KEPT);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_a_power_cut_left_at_the_end_is_cut_off(cut in 0_usize..400, garbage in any::<Vec<u8>>()) {
            let (folder, dir) = written(3);
            let path = folder.path().join("journal");
            let whole: String = (0..3).map(|n| line(&record(n))).collect();
            let cut = whole.len().saturating_sub(cut);
            let mut bytes = whole.as_bytes()[..cut].to_vec();
            bytes.extend(&garbage);
            bytes.resize(bytes.len() + 1_000, 0);
            std::fs::write(&path, bytes).unwrap();
            let left = whole[..cut].matches('\n').count();
            let mut journal = Journal::open(dir.again().unwrap()).unwrap();
            prop_assert_eq!(journal.records().len(), left);
            journal.add(record(9)).unwrap();
            let read = Journal::open(dir.again().unwrap()).unwrap().records().to_vec();
            prop_assert_eq!(read.len(), left + 1);
            prop_assert_eq!(read.last(), Some(&record(9)));
        }
    }
}
