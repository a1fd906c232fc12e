//! Opening what a server needs to be there: the store's folder, the token, the
//! signing secret, the store.
//!
//! Nothing is created unless that was asked for.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use job::time::SystemClock;
use job::{AppName, Clock};
use runner::Secret;
use server::Token;
use store::Store;
use store::sqlite::{OpenError, Options, Sqlite};

use crate::report::Report;
use crate::settings::Settings;

/// What lets clients in, and what requests to the application are signed with.
pub(crate) struct Secrets {
    pub(crate) token: Token,
    pub(crate) signing: Secret,
}

/// Creates whatever of a store is not there yet: folder, secrets, store.
pub(crate) async fn create(settings: &Settings) -> Result<(), Report> {
    folder(&settings.data)?;
    let store = store(settings, true).await?;
    let secrets = secrets(settings, true);
    let closed = store.close().await;
    secrets?;
    closed.map_err(|error| {
        Report::config(
            format!("the store was created, and cannot be closed: {error}"),
            "It may not be whole.",
            "see whether the disk has room and works, delete the folder, and run this again",
        )
    })
}

/// Creates the folder of a store, for its owner alone.
pub(crate) fn folder(data: &Path) -> Result<(), Report> {
    let make = || {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
        // A store in a project's folder should not end up in its repository,
        // and its secrets least of all.
        match std::fs::OpenOptions::new().write(true).create_new(true).open(data.join(".gitignore")) {
            Ok(mut ignore) => std::io::Write::write_all(&mut ignore, b"*\n"),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    };
    make().map_err(|error| {
        Report::config(
            format!("cannot create the folder `{}`: {error}", data.display()),
            "There is no store, and nothing was started.",
            "see that the folder above it is there and may be written to, or name another with --data",
        )
    })
}

/// Reads the secrets; draws those that are not there, if that was asked for.
pub(crate) fn secrets(settings: &Settings, create: bool) -> Result<Secrets, Report> {
    let (token_file, secret_file) = (&settings.token_file, &settings.secret_file);
    if !create {
        return Ok(Secrets { token: Token::read(token_file)?, signing: Secret::open(secret_file)? });
    }
    let token = if token_file.exists() { Token::read(token_file)? } else { Token::create(token_file)? };
    Ok(Secrets { token, signing: Secret::open_or_create(secret_file)? })
}

/// Opens the store; creates it if it is not there, if that was asked for.
///
/// Who names no app takes the store's own; a store that is created then belongs
/// to `default`.
pub(crate) async fn store(settings: &Settings, create: bool) -> Result<Arc<dyn Store>, Report> {
    let unnamed = || "default".parse().expect("`default` is an app's name");
    let options = Options {
        create,
        rules: settings.rules.clone(),
        durability: settings.durability.into(),
        free_floor: settings.free_floor.0,
        ..Options::new(&settings.data, settings.app.clone().unwrap_or_else(unnamed))
    };
    let named = settings.app.is_some();
    // It reads all that waits.
    let opened = tokio::task::spawn_blocking(move || open(options, named)).await;
    opened.expect("opening a store does not panic").map(|store| Arc::new(store) as Arc<dyn Store>)
}

fn open(options: Options, named: bool) -> Result<Sqlite, Report> {
    let now = SystemClock::resume(None).now().wall;
    let opened = match Sqlite::open(options.clone(), now) {
        Err(OpenError::OtherApp { owner, .. }) if !named && owner.parse::<AppName>().is_ok() => {
            let app = owner.parse().expect("it was parsed just now");
            Sqlite::open(Options { app, ..options }, now)
        }
        opened => opened,
    };
    opened.map_err(|error| Report::config(error.to_string(), error.means(), error.hint()))
}
