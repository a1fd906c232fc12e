//! A tarball, unpacked.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::fill::{Filler, is_root};
use crate::error::Trouble;

/// Unpacks a file. With `strip`, the first folder of every path is left away.
pub(super) fn unpack_file(file: &Path, strip: bool, filler: &mut Filler<'_>) -> Result<(), Trouble> {
    let shown = file.display().to_string();
    let opened = File::open(file).map_err(|error| Trouble::io(format!("open `{shown}`"), &error))?;
    let packed = !file.to_string_lossy().to_lowercase().ends_with(".tar");
    let opened = BufReader::new(opened);
    let entries = if packed {
        unpack(MultiGzDecoder::new(opened), &shown, strip, filler)?
    } else {
        unpack(opened, &shown, strip, filler)?
    };
    some(entries, &shown)
}

fn some(entries: usize, shown: &str) -> Result<(), Trouble> {
    if entries == 0 {
        return Err(Trouble::ours(format!("unpack `{shown}`"), "there is nothing in it", "see how it was made"));
    }
    Ok(())
}

/// Unpacks a file whose name says nothing: its first bytes tell whether it is packed.
pub(super) fn unpack_received(file: &Path, shown: &str, strip: bool, filler: &mut Filler<'_>) -> Result<(), Trouble> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let trouble = |error| Trouble::io(format!("open what was received of `{shown}`"), &error);
    let mut opened = BufReader::new(File::open(file).map_err(trouble)?);
    let is_packed = opened.fill_buf().map_err(trouble)?.starts_with(&GZIP);
    let entries = if is_packed {
        unpack(MultiGzDecoder::new(opened), shown, strip, filler)?
    } else {
        unpack(opened, shown, strip, filler)?
    };
    some(entries, shown)
}

/// Unpacks a stream. Answers how many files, folders and links there were.
pub(super) fn unpack(from: impl Read, shown: &str, strip: bool, filler: &mut Filler<'_>) -> Result<usize, Trouble> {
    let broken = |error: std::io::Error| {
        Trouble::ours(
            format!("unpack `{shown}`"),
            error.to_string(),
            "see whether the tarball is whole, and make it anew",
        )
    };
    let mut archive = Archive::new(from);
    let mut count = 0;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let full = entry.path().map_err(broken)?.into_owned();
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let path = if strip { without_first(&full) } else { full.clone() };
        if is_root(&path) {
            continue;
        }
        let mode = entry.header().mode().map_err(broken)?;
        let target = entry.link_name().map_err(broken)?.map(std::borrow::Cow::into_owned);
        match (kind, target) {
            (EntryType::Directory, _) => filler.folder(&path, mode)?,
            (EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse, _) => {
                filler.file(&path, mode, &mut entry)?;
            }
            (EntryType::Symlink, Some(text)) => filler.link(&path, &text)?,
            (EntryType::Link, Some(first)) => {
                let first = if strip { without_first(&first) } else { first };
                filler.hard_link(&path, &first)?;
            }
            (_, _) => {
                return Err(Trouble::ours(
                    format!("unpack {full:?} of `{shown}`"),
                    "it is neither a file nor a folder nor a link",
                    "make the tarball without pipes, sockets and devices",
                ));
            }
        }
        count += 1;
    }
    Ok(count)
}

fn without_first(path: &Path) -> PathBuf {
    let mut parts = path.components().filter(|part| *part != Component::CurDir);
    // A path that leads out stays one, and is refused.
    match parts.next() {
        Some(Component::Normal(_)) => parts.collect(),
        _ => path.to_owned(),
    }
}
