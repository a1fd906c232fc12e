//! `aloud init`: a commented aloud.toml, the store, and the app's token.
//!
//! Nothing that is there is overwritten: the file is refused, a store must be
//! the same app's, and a token is kept.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use job::AppName;

use crate::args::InitArgs;
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::serve;
use crate::settings::Settings;
use crate::settings::file::{self, File};
use crate::settings::sample::{self, Decided};

/// Runs the command in the folder `here`; `named` is where the file goes, if
/// that was said.
pub(crate) fn run(args: &InitArgs, named: Option<&Path>, here: &Path) -> Result<Exit, Report> {
    let path = here.join(named.unwrap_or(Path::new(file::NAME)));
    if path.exists() {
        return Err(Report::config(
            format!("`{}` is there already", path.display()),
            "It was not touched, and nothing was created.",
            "edit it, or write another with --config FILE",
        ));
    }
    let app = match &args.app {
        Some(app) => app.clone(),
        None => named_like(here)?,
    };
    let data = here.join(&args.data);
    // A relative folder stands in the file as it was typed, so that the project
    // can be moved; unless the file is somewhere else.
    let beside = path.parent() == Some(here);
    let written = if beside { args.data.as_path() } else { data.as_path() };
    let written = written.to_str().ok_or_else(|| {
        Report::usage(
            format!("the folder `{}` is not UTF-8, as aloud.toml must be", data.display()),
            "name another one with --data",
        )
    })?;
    let text = sample::text(&Decided { app: &app, data: written });
    let settings = Settings::decide(File::parse(&text, &path)?.with_base(path.parent().unwrap_or(here)))?;
    remote::talk(serve::create(&settings))?;
    write_new(&path, &text)?;
    tell(&settings, &path)?;
    Ok(Exit::Ok)
}

fn tell(settings: &Settings, path: &Path) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "wrote    {}", path.display())?;
    writeln!(stdout, "store    {}", settings.data.display())?;
    writeln!(stdout, "token    {}", settings.token_file.display())?;
    let mut stderr = io::stderr().lock();
    writeln!(
        stderr,
        "next:    `aloud up` starts the server; `aloud push hello '{{\"to\": \"you\"}}'` pushes a first job"
    )
}

/// An app's name made of the folder's.
fn named_like(folder: &Path) -> Result<AppName, Report> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = name.trim().chars().map(fits).collect::<String>().to_ascii_lowercase();
    name.trim_matches('-').parse().map_err(|error| {
        Report::usage(
            format!("no app's name can be made of the folder `{}`: {error}", folder.display()),
            "name the app with --app",
        )
    })
}

fn write_new(path: &Path, text: &str) -> Result<(), Report> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| {
        Report::config(
            format!("cannot write `{}`: {error}", path.display()),
            "There is no configuration.",
            "see that the folder is there and may be written to, and run this again: what was created is kept",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_is_named_like_the_folder() {
        let name = |folder: &str| named_like(Path::new(folder)).map(|app| app.to_string()).map_err(|r| r.exit);
        assert_eq!(name("/srv/shop"), Ok("shop".to_owned()));
        assert_eq!(name("/srv/My Shop!"), Ok("my-shop".to_owned()));
        assert_eq!(name("/"), Err(Exit::Usage));
        assert_eq!(name("/srv/東京"), Err(Exit::Usage));
    }
}
