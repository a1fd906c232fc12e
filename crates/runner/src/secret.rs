//! What only aloud and the application know, and the signature made with it.
//!
//! A secret is read from a file that nobody else can read. It is never shown:
//! not in an error, not in a log, not in the environment of a process.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::unfit::Unfit;

/// What requests to the application are signed with.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// The fewest bytes that a secret may have.
    pub const MIN_BYTES: usize = 16;

    /// Takes the bytes, unless they are too few.
    pub fn new(bytes: &[u8]) -> Result<Self, Unfit> {
        if bytes.len() < Self::MIN_BYTES {
            return Err(Unfit::new(
                format!("the signing secret has {} bytes, and at least {} are needed", bytes.len(), Self::MIN_BYTES),
                "write a longer one: `openssl rand -hex 32 > FILE && chmod 600 FILE`",
            ));
        }
        Ok(Self(bytes.into()))
    }

    /// Reads the file: its text without the white space around it.
    pub fn open(path: &Path) -> Result<Self, Unfit> {
        let text = read_private(path, "the signing secret")?;
        Self::new(text.trim().as_bytes()).map_err(|unfit| unfit.of(&format!("`{}`", path.display())))
    }

    /// Reads the file, or makes it with a new secret if it is not there. It is
    /// there whole or not at all.
    pub fn open_or_create(path: &Path) -> Result<Self, Unfit> {
        if !path.exists() {
            let made = path.with_extension(format!("new-{}", std::process::id()));
            let linked = write_new(&made).and_then(|()| fs::hard_link(&made, path));
            let unwritable = |error: io::Error| {
                Unfit::new(
                    format!("cannot write a signing secret to `{}`: {error}", path.display()),
                    "check that the folder is there and belongs to the user that aloud runs as",
                )
            };
            fs::remove_file(&made).ok();
            match linked {
                // Somebody else was quicker: theirs counts.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                linked => linked.map_err(unwritable)?,
            }
        }
        Self::open(path)
    }

    /// The signature of a request: HMAC-SHA256 over `timestamp.id.body` in
    /// hexadecimal digits, where `timestamp` and `id` are as the headers
    /// `Aloud-Timestamp` and `Aloud-Job` have them.
    ///
    /// The form `v1=…` in the header tells which this is; another one would get
    /// another number and be sent beside it.
    pub fn sign(&self, timestamp: &str, id: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(timestamp.as_bytes());
        mac.update(b".");
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(body);
        hex(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads a small text file that others must not be able to read.
pub(crate) fn read_private(path: &Path, what: &str) -> Result<String, Unfit> {
    const LIMIT: u64 = 4_096;
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Unfit::new(format!("cannot read {what} in `{shown}`: {error}"), "check the path, and that the file is readable")
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(Unfit::new(
            format!("{what} in `{shown}` can be read or written by everybody on this machine"),
            format!("`chmod 600 {shown}`, and if others may have read it, replace it"),
        ));
    }
    let mut text = String::new();
    file.take(LIMIT + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > LIMIT {
        return Err(Unfit::new(format!("`{shown}` is longer than {LIMIT} bytes, and so not {what}"), "check the path"));
    }
    Ok(text)
}

fn write_new(path: &Path) -> io::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", hex(&random))?;
    file.sync_all()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_the_manual_shows() {
        let secret = Secret::new(b"0123456789abcdef0123456789abcdef").unwrap();
        // printf '1790000000.j17.{"n":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        assert_eq!(
            secret.sign("1790000000", "j17", b"{\"n\":1}"),
            "602998c6485c5db1c17ec7a525c170f58c02cc0fe85d7f2e5d647b70caf29945"
        );
    }

    #[test]
    fn a_secret_is_made_once_and_then_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let made = Secret::open_or_create(&path).unwrap();
        let read = Secret::open_or_create(&path).unwrap();
        assert_eq!(made.0, read.0);
        assert_eq!(made.0.len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(format!("{made:?}"), "Secret(…)");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        let nowhere = Secret::open_or_create(&folder.path().join("no/folder")).unwrap_err();
        assert!(nowhere.what.contains("cannot write a signing secret to"), "{nowhere}");
    }

    #[test]
    fn a_secret_that_others_can_read_or_that_is_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "0123456789abcdef\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Secret::open(&path).unwrap_err().what.contains("can be read or written by everybody"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Secret::open(&path).is_ok());
        fs::write(&path, "short\n").unwrap();
        assert!(Secret::open(&path).unwrap_err().what.contains("has 5 bytes, and at least 16 are needed"));
        fs::remove_file(&path).unwrap();
        assert!(Secret::open(&path).unwrap_err().what.contains("No such file"));
    }
}
