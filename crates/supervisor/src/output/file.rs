//! A file that does not grow without bound.
//!
//! `mail.log` is written; when it is full it becomes `mail.log.1`, what that
//! was becomes `mail.log.2`, and the last one goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Line;

/// The file, opened at the first line.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    limit: u64,
    keep: u8,
    open: Option<(File, u64)>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, limit: u64, keep: u8) -> Self {
        Self { path, limit: limit.max(4_096), keep, open: None }
    }

    /// Writes a line whole, with when and by whom it was written. After an
    /// error the file is opened anew.
    pub(super) fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = format!("{} {} {} ", line.at, line.worker, line.stream.word()).into_bytes();
        text.extend_from_slice(&line.text);
        if line.cut {
            text.extend_from_slice(b" ...");
        }
        text.push(b'\n');
        let written = self.append(&text);
        if written.is_err() {
            self.open = None;
        }
        written
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let length = text.len() as u64;
        if self.open.as_ref().is_some_and(|(_, size)| *size > 0 && size + length > self.limit) {
            self.open = None;
            self.rotate()?;
        }
        let (file, size) = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(open(&self.path)?),
        };
        file.write_all(text)?;
        *size += length;
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let older = |n: u8| PathBuf::from(format!("{}.{n}", self.path.display()));
        for n in (1..self.keep).rev() {
            match fs::rename(older(n), older(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        if self.keep == 0 { fs::remove_file(&self.path) } else { fs::rename(&self.path, older(1)) }
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use job::Timestamp;

    use super::*;
    use crate::output::Stream;
    use crate::worker::{Generation, WorkerId};

    fn line(text: &str) -> Line {
        let worker = WorkerId::new("mail".parse().unwrap(), 1, Generation(1), 7);
        Line { at: Timestamp(0), worker, stream: Stream::Stdout, text: text.into(), cut: false }
    }

    #[test]
    fn a_full_file_is_put_aside_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/mail.log");
        let mut log = LogFile::new(path.clone(), 4_096, 2);
        for n in 0..40 {
            log.write(&line(&format!("{n} {}", "x".repeat(1_000)))).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["mail.log", "mail.log.1", "mail.log.2"]);
        for name in names {
            assert!(fs::metadata(path.parent().unwrap().join(name)).unwrap().len() <= 4_096);
        }
        let newest = fs::read_to_string(&path).unwrap();
        assert!(newest.starts_with("1970-01-01T00:00:00.000Z mail.1.g1.x00000007 out "), "{newest}");
        assert!(newest.lines().last().unwrap().contains(" out 39 "));
    }

    #[test]
    fn what_was_there_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        LogFile::new(path.clone(), 4_096, 0).write(&line("one")).unwrap();
        LogFile::new(path.clone(), 4_096, 0).write(&line("two")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }
}
