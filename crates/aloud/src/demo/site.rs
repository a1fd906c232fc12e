//! What is deployed in the demo: a folder with a worker and a letter, of which
//! each version looks different.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The colours of the versions, in turn; `style.css` of the pages has the same.
pub(crate) const COLOURS: [&str; 7] = ["#3d4fd6", "#0f7b6c", "#b3261e", "#8a5a00", "#7b2fbf", "#0b6fa4", "#a0306e"];

/// The worker: `exec`, so that the process that was started is the one that
/// works, and hears its signals.
const WORKER: &str = "#!/bin/sh\nexec \"${NOTICE_PROGRAM:?}\" demo-worker \"$@\"\n";
/// One that cannot start.
const BROKEN: &str =
    "#!/bin/sh\necho \"worker: cannot load the mail library of this version: no such file\" >&2\nexit 1\n";

/// Whether a version can start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sort {
    /// It can.
    Sound,
    /// Its worker ends at once.
    Broken,
}

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    folder: PathBuf,
}

impl Site {
    /// The site at `folder`, whether it is there yet or not.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// Writes a version, in the place of what was there.
    pub(crate) fn write(&self, version: u32, sort: Sort) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let colour = COLOURS[version as usize % COLOURS.len()];
        let worker = if sort == Sort::Sound { WORKER } else { BROKEN };
        let html = notice::letter::HTML.replace(notice::letter::COLOUR, colour);
        for (name, text, mode) in [
            ("worker", worker, 0o755),
            ("letter.txt", notice::letter::TEXT, 0o644),
            ("letter.html", &html, 0o644),
            ("VERSION", &format!("{version}\n"), 0o644),
        ] {
            // Anew, and not over the old: a release may be a hard link to that.
            let (path, draft) = (self.folder.join(name), self.folder.join(format!(".{name}")));
            fs::write(&draft, text)?;
            fs::set_permissions(&draft, fs::Permissions::from_mode(mode))?;
            fs::rename(&draft, &path)?;
        }
        Ok(())
    }

    /// The version that lies there; 0 if none does.
    pub(crate) fn version(&self) -> u32 {
        version_in(&self.folder).unwrap_or(0)
    }
}

/// The version of the release in a folder, if it says one.
pub(crate) fn version_in(folder: &Path) -> Option<u32> {
    fs::read_to_string(folder.join("VERSION")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_says_so_and_has_its_colour() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::at(folder.path().join("site"));
        assert_eq!(site.version(), 0);
        let html = |version| {
            site.write(version, Sort::Sound).unwrap();
            assert_eq!(site.version(), version);
            fs::read_to_string(site.path().join("letter.html")).unwrap()
        };
        assert_ne!(html(1), html(2));
        let style = include_str!("mailbox/style.css");
        for (place, colour) in COLOURS.iter().enumerate() {
            assert!(
                style.contains(&format!(".v{place} {{ --mark: {colour}; }}")),
                "the pages show version {place} otherwise"
            );
        }
        let mode = fs::metadata(site.path().join("worker")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "a worker can be run");
    }
}
