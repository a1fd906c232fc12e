//! `aloud init`: a commented aloud.toml, the store, and the app's token.
//!
//! What the folder shows is written into the file: a tree of releases, and the
//! framework of the application. Nothing that is there is overwritten: the file is refused, a store must be
//! the same app's, and a token is kept.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use job::AppName;

use crate::adopt::root;
use crate::args::InitArgs;
use crate::exit::Exit;
use crate::remote;
use crate::report::Report;
use crate::serve;
use crate::settings::Settings;
use crate::settings::file::{self, File};
use crate::settings::sample::{self, Decided};
use survey::Survey;

pub(crate) mod code;
pub(crate) mod survey;
pub(crate) mod tree;

/// Runs the command in the folder `here`; `named` is where the file goes, if
/// that was said.
pub(crate) fn run(args: &InitArgs, named: Option<&Path>, here: &Path) -> Result<Exit, Report> {
    let survey = Survey::of(here);
    let home = home(&survey, here);
    let path = named.map_or_else(|| home.join(file::NAME), |named| here.join(named));
    if path.exists() {
        return Err(Report::config(
            format!("`{}` is there already", path.display()),
            "It was not touched, and nothing was created.",
            "edit it, or write another with --config FILE",
        ));
    }
    let workers = survey::workers(&survey.code.workers);
    let plan = Plan::new(args.app.as_ref(), &args.data, path, &home, &survey, &workers, "")?;
    plan.create()?;
    plan.tell(survey.line().as_deref())?;
    writeln!(
        io::stderr(),
        "next:    `aloud up` starts the server; `aloud push hello '{{\"to\": \"you\"}}'` pushes a first job"
    )?;
    Ok(Exit::Ok)
}

/// Where the file goes if nothing else is said: never into a release, with which
/// it would be removed.
pub(crate) fn home(survey: &Survey, here: &Path) -> PathBuf {
    let tree = survey.tree.as_ref().filter(|tree| root::is_in_a_release(here, &tree.root));
    tree.map_or_else(|| here.to_owned(), |tree| tree.root.clone())
}

/// What is about to be created.
pub(crate) struct Plan {
    path: PathBuf,
    /// The text of the file.
    pub(crate) text: String,
    settings: Settings,
}

impl Plan {
    /// A file at `path` for what was found; a relative `data` starts at `home`.
    pub(crate) fn new(
        app: Option<&AppName>,
        data: &Path,
        path: PathBuf,
        home: &Path,
        survey: &Survey,
        workers: &str,
        watched: &str,
    ) -> Result<Self, Report> {
        let app = match app {
            Some(app) => app.clone(),
            None => named_like(home)?,
        };
        // A relative folder stands in the file as it was typed, so that the
        // project can be moved; unless the file is somewhere else.
        let absolute = home.join(data);
        let written = if path.parent() == Some(home) { data } else { &absolute };
        if let Some(tree) = &survey.tree {
            for (what, place) in [("configuration", &path), ("store", &absolute)] {
                if root::is_in_a_release(place, &tree.root) {
                    return Err(Report::config(
                        format!("the {what} `{}` would lie in a release", place.display()),
                        "It would be removed with that release. Nothing was created.",
                        "name another place, with --config FILE or --data DIR",
                    ));
                }
            }
        }
        let written = written.to_str().ok_or_else(|| {
            Report::usage(
                format!("the folder `{}` is not UTF-8, as aloud.toml must be", absolute.display()),
                "name another one with --data",
            )
        })?;
        let release = survey.release();
        let text = sample::text(&Decided { app: &app, data: written, release: &release, workers, watched });
        let settings = Settings::decide(File::parse(&text, &path)?.with_base(path.parent().unwrap_or(home)))?;
        Ok(Self { path, text, settings })
    }

    /// Creates the store and its token if they are not there, and the file.
    pub(crate) fn create(&self) -> Result<(), Report> {
        remote::talk(serve::create(&self.settings))?;
        write_new(&self.path, &self.text)
    }

    /// Says what was found and created.
    pub(crate) fn tell(&self, found: Option<&str>) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if let Some(found) = found {
            writeln!(stdout, "found    {found}")?;
        }
        writeln!(stdout, "wrote    {}", self.path.display())?;
        writeln!(stdout, "store    {}", self.settings.data.display())?;
        writeln!(stdout, "token    {}", self.settings.token_file.display())
    }
}

/// An app's name made of the folder's.
pub(crate) fn named_like(folder: &Path) -> Result<AppName, Report> {
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
