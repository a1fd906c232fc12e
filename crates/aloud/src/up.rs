//! `aloud up`: everything that aloud.toml declares for this host.

use std::path::Path;

use crate::exit::Exit;
use crate::report::Report;
use crate::serve::{self, Plan};
use crate::settings::{Found, Settings};

/// Runs the command in the folder `here`.
pub(crate) fn run(found: Found, here: &Path) -> Result<Exit, Report> {
    if found.path.is_none() {
        return Err(Report::config(
            format!("there is no aloud.toml in `{}`", here.display()),
            "Nothing was started.",
            "write one with `aloud init`, name one with --config, or start a bare server with `aloud server --data DIR`",
        ));
    }
    let folder = found.folder(here);
    serve::serve(&Plan { settings: Settings::decide(found.file)?, folder, create: false })
}
