//! What this host has to do with releases and workers, by its configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agent::config::{WatchedConfig, WorkerConfig};
use agent::deploy::{Site, Verify};
use job::{AppName, HostName, Span};
use runner::config::{Around, GuardConfig, HandlerConfig};

use crate::report::Report;
use crate::settings::Found;
use crate::settings::file::{self, OnFailure};
use crate::settings::target::Target;

/// How long a deploy leaves what was cut short for people to look at.
const GRACE: Span = Span::from_secs(3_600);

/// The part of the configuration that is about releases and workers.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// What this host is called.
    pub(crate) name: HostName,
    /// The app, if it is said.
    pub(crate) app: Option<AppName>,
    /// The tree of releases.
    pub(crate) root: PathBuf,
    /// The agent's folder.
    pub(crate) dir: PathBuf,
    /// Where the configuration is.
    pub(crate) config: Option<PathBuf>,
    /// How the server is reached, or why that is not known; without a token
    /// file if none is known of.
    pub(crate) target: Result<Target, Report>,
    /// The file with the app's token, where the store of this configuration is.
    pub(crate) token_beside: Option<PathBuf>,
    /// The file with the agent's own token.
    pub(crate) agent_token: Option<PathBuf>,
    /// The workers.
    pub(crate) workers: Vec<WorkerConfig>,
    /// The processes of others.
    pub(crate) watched: Vec<WatchedConfig>,
    /// What is said of releases.
    pub(crate) release: file::Release,
    /// What does the jobs that aloud runs itself.
    pub(crate) handlers: Vec<HandlerConfig>,
    /// What may be asked whether a job is still wanted.
    pub(crate) guards: Vec<GuardConfig>,
}

impl Host {
    /// Decides it; none if the configuration names no tree.
    pub(crate) fn decide(found: &Found, here: &Path) -> Result<Option<Self>, Report> {
        let file = found.file.clone();
        let Some(root) = file.release.root.clone() else {
            if file.worker.is_empty() && file.watched.is_empty() {
                return Ok(None);
            }
            return Err(Report::config(
                "the configuration declares workers, and no tree of releases that they run from",
                "Nothing was started.",
                "name the folder that holds `current` and `releases/` as `root` in [release]",
            ));
        };
        let root = here.join(root);
        let name = match file.agent.host.clone() {
            Some(name) => name,
            None => host::machine::hostname().known().ok_or_else(|| {
                Report::config(
                    "this machine's name cannot be used as the host's",
                    "Nothing was started.",
                    "name the host as `host` in [agent], or with ALOUD_HOST",
                )
            })?,
        };
        let folder = found.folder(here);
        let absolute = |paths: &mut Vec<PathBuf>| paths.iter_mut().for_each(|path| *path = from(&folder, path));
        let mut workers = file.worker.clone();
        for worker in &mut workers {
            absolute(&mut worker.env_files);
            if let Some(log) = &mut worker.log.file {
                *log = folder.join(&log);
            }
        }
        check_names(&workers, &file.watched)?;
        Ok(Some(Self {
            name,
            app: file.app.clone(),
            dir: file.agent.dir.clone().map_or_else(|| agent::Settings::default_dir(&root), |dir| here.join(dir)),
            config: found.path.as_ref().map(|path| here.join(path)),
            token_beside: file
                .server
                .token_file
                .clone()
                .or_else(|| file.server.data.as_deref().map(crate::settings::token_beside)),
            agent_token: file.agent.token_file.clone(),
            workers,
            watched: file.watched.clone(),
            release: file.release.clone(),
            handlers: file.handler.clone(),
            guards: file.guard.clone(),
            target: Target::decide(file),
            root,
        }))
    }

    /// The same, where it is needed.
    pub(crate) fn needed(found: &Found, here: &Path) -> Result<Self, Report> {
        Self::decide(found, here)?.ok_or_else(|| {
            Report::config(
                "the configuration names no tree of releases",
                "Nothing was changed.",
                "name the folder that holds `current` and `releases/` as `root` in [release] of aloud.toml; `aloud init` \
                 finds it where there is one",
            )
        })
    }

    /// What an agent is told, with the server where `target` says.
    pub(crate) fn agent(&self) -> Result<agent::Settings, Report> {
        let target = self.target.clone()?;
        let target = match &self.agent_token {
            Some(token) => Target { token_file: Some(token.clone()), ..target },
            None => target,
        };
        Ok(agent::Settings {
            host: self.name.clone(),
            root: self.root.clone(),
            dir: self.dir.clone(),
            program: program()?,
            config: self.config.clone(),
            workers: self.workers.clone(),
            watched: self.watched.clone(),
            server: target.settings()?,
            env: self.env(),
            releases: self.options("agent"),
            accepted: self.accepted(),
            exec: agent::Exec::default(),
        })
    }

    /// The same where the address of the server is not known before it listens:
    /// in one process with the agent.
    pub(crate) fn agent_beside_its_server(&self) -> Result<agent::Settings, Report> {
        match &self.target {
            Ok(_) => self.agent(),
            Err(_) => {
                let url = aloud_client::Settings::DEFAULT_URL.to_owned();
                let target = Ok(Target { url, token_file: self.token_beside.clone(), app: self.app.clone() });
                Self { target, ..self.clone() }.agent()
            }
        }
    }

    /// What an agent runs for a server elsewhere: the declared commands, in the
    /// current release.
    pub(crate) fn exec(&self, folder: &Path) -> Result<agent::Exec, Report> {
        let code = agent::exec_code(&self.root, &self.dir)?;
        let env: BTreeMap<String, String> = self.env().into_iter().collect();
        // Commands sign nothing; requests are the server's.
        let secret = runner::Secret::new(&[0; 32])?;
        let around = Around { folder, secret: &secret, env: &env, code: Some(&code) };
        let is_exec = |handler: &&HandlerConfig| handler.run.exec.is_some();
        let handlers: Vec<_> = self.handlers.iter().filter(is_exec).cloned().collect();
        Ok(agent::Exec {
            handlers: runner::config::handlers(&handlers, around)?,
            guards: runner::config::guards(&self.guards, around)?,
        })
    }

    /// What workers and hooks are told.
    fn env(&self) -> Vec<(String, String)> {
        let mut env: Vec<_> = self.app.iter().map(|app| ("ALOUD_APP".to_owned(), app.to_string())).collect();
        let Ok(target) = &self.target else { return env };
        env.push(("ALOUD_URL".to_owned(), target.url.clone()));
        let token = target.token_file.as_deref().and_then(|path| std::path::absolute(path).ok());
        env.extend(token.map(|path| ("ALOUD_TOKEN_FILE".to_owned(), path.display().to_string())));
        env
    }

    fn accepted(&self) -> agent::Accepted {
        agent::Accepted(self.release.accept_unknown.clone().unwrap_or_default())
    }

    /// How the tree is treated.
    pub(crate) fn options(&self, who: &str) -> release::Options {
        let said = &self.release;
        let mut options = release::Options::new(who);
        options.keep.healthy = said.keep.map_or(options.keep.healthy, |keep| keep as usize);
        options.keep.failed = said.keep_failed.map_or(options.keep.failed, |keep| keep as usize);
        options.grace = GRACE;
        options.on_failure = match said.on_failure {
            None => release::OnFailure::Decide,
            Some(OnFailure::Hold) => release::OnFailure::Hold,
            Some(OnFailure::Rollback) => release::OnFailure::Rollback,
        };
        options
    }

    /// How a release is made from `source`.
    pub(crate) fn build(&self, source: release::Source) -> Result<release::Build, Report> {
        let said = &self.release;
        let mut build = release::Build::new(source);
        build.exclude = said.exclude.clone().unwrap_or_default();
        build.shared.folders = texts("shared_dirs", said.shared_dirs.as_deref())?;
        build.shared.files = texts("shared_files", said.shared_files.as_deref())?;
        let within = said.build_within.unwrap_or(Span::from_secs(30 * 60));
        let hook = |argv: &Vec<String>| release::Hook { name: argv.join(" "), argv: argv.clone(), within };
        let steps = said.build.iter().flatten().chain(said.build_once.iter().flatten());
        build.hooks = steps.map(hook).collect();
        if build.hooks.iter().any(|hook| hook.argv.first().is_none_or(String::is_empty)) {
            return Err(Report::config(
                "a command of `build` in [release] is empty",
                "Nothing was changed.",
                "write each command as a list of texts: `[[\"composer\", \"install\"]]`",
            ));
        }
        build.boot_check = said.boot_check.clone().filter(|argv| !argv.is_empty()).map(|argv| release::Hook {
            name: "boot check".to_owned(),
            argv,
            within: said.boot_within.unwrap_or(Span::from_secs(60)),
        });
        Ok(build)
    }

    /// What a deploy needs to know of this host.
    pub(crate) fn site(&self) -> Result<Site, Report> {
        let said = &self.release;
        let mut launcher = vec![program()?.into_os_string()];
        launcher.push("launch".into());
        let job = said.verify_job.clone().map(|kind| {
            let queue = said.verify_queue.clone().unwrap_or_else(|| "default".parse().expect("the default is a queue"));
            (kind, queue)
        });
        Ok(Site {
            dir: self.dir.clone(),
            launcher,
            workers: self.workers.clone(),
            watches: !self.watched.is_empty(),
            builder: said.user.clone(),
            env: self.env(),
            verify: Verify {
                http: said.verify_http.clone().unwrap_or_default(),
                job,
                within: said.verify_within.unwrap_or(Span::from_secs(30)),
                settle: said.settle.unwrap_or(Span::from_secs(2)),
                server: self.target.as_ref().ok().and_then(|target| target.settings().ok()),
            },
            accepted: self.accepted(),
        })
    }
}

/// A path of an environment file: relative ones start at the folder of the
/// configuration, and one that may be missing keeps its mark.
fn from(folder: &Path, path: &Path) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_prefix('-')) {
        Some(rest) => PathBuf::from(format!("-{}", folder.join(rest).display())),
        None => folder.join(path),
    }
}

fn texts(key: &str, paths: Option<&[PathBuf]>) -> Result<Vec<String>, Report> {
    let text = |path: &PathBuf| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            Report::config(
                format!("a path of `{key}` in [release] is not UTF-8"),
                "Nothing was changed.",
                "name it otherwise",
            )
        })
    };
    paths.unwrap_or_default().iter().map(text).collect()
}

fn check_names(workers: &[WorkerConfig], watched: &[WatchedConfig]) -> Result<(), Report> {
    let mut seen = std::collections::BTreeSet::new();
    let mut names = workers.iter().map(|worker| &worker.name).chain(watched.iter().map(|watched| &watched.name));
    match names.find(|name| !seen.insert((*name).clone())) {
        None => Ok(()),
        Some(twice) => Err(Report::config(
            format!("two pools of workers are called `{twice}`"),
            "Nothing was started.",
            "give each [[worker]] and [[watched]] a name of its own",
        )),
    }
}

/// This program, by the path under which a newer one will be installed: the one
/// that it was started by, if it leads here, or if the file that it runs was
/// removed, as it is when a newer one was put there.
fn program() -> Result<PathBuf, Report> {
    let exe = std::env::current_exe().map_err(|error| {
        Report::config(format!("cannot tell which program this is: {error}"), "Nothing was started.", "")
    })?;
    let typed = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let candidates: Vec<PathBuf> = if typed.components().count() > 1 {
        vec![std::path::absolute(&typed).unwrap_or(typed)]
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(&typed)).collect()
    };
    let there = exe.canonicalize().ok();
    let leads_here = |path: &PathBuf| there.is_none() || path.canonicalize().ok() == there;
    Ok(candidates.into_iter().find(leads_here).unwrap_or(exe))
}

#[cfg(test)]
mod tests {
    use crate::settings::file::File;

    use super::*;

    fn host(text: &str) -> Result<Option<Host>, Report> {
        let file = File::parse(text, Path::new("/etc/aloud/aloud.toml"))?.with_base(Path::new("/etc/aloud"));
        Host::decide(&Found { path: Some("/etc/aloud/aloud.toml".into()), file }, Path::new("/"))
    }

    #[test]
    fn a_host_without_a_tree_has_no_workers() {
        assert!(host("app = 'shop'").unwrap().is_none());
        let refused = host("[[worker]]\nname = 'mail'\ncommand = ['work']").unwrap_err();
        assert!(refused.happened.contains("no tree of releases"), "{refused}");
    }

    #[test]
    fn the_tree_decides_where_the_agent_is() {
        let decided = host("agent.host = 'web1'\nrelease.root = '/srv/shop'").unwrap().unwrap();
        assert_eq!(decided.dir, Path::new("/srv/shop/.aloud/agent"));
        let decided =
            host("agent = { host = 'web1', dir = '/var/lib/aloud-agent' }\nrelease.root = 'tree'").unwrap().unwrap();
        assert_eq!(
            (decided.root.as_path(), decided.dir.as_path()),
            (Path::new("/etc/aloud/tree"), Path::new("/var/lib/aloud-agent"))
        );
    }

    #[test]
    fn no_two_pools_share_a_name_and_files_of_variables_are_found_from_the_configuration() {
        let text = "agent.host = 'web1'\nrelease.root = '/srv/shop'\n\
                    [[worker]]\nname = 'mail'\ncommand = ['a']\nenv_files = ['shop.env', '-local.env', '/etc/x']\n";
        let decided = host(text).unwrap().unwrap();
        let files: Vec<_> = decided.workers[0].env_files.iter().map(|path| path.display().to_string()).collect();
        assert_eq!(files, ["/etc/aloud/shop.env", "-/etc/aloud/local.env", "/etc/x"]);
        let twice = format!("{text}[[watched]]\nname = 'mail'\ncommand = 'b'\n");
        assert!(host(&twice).unwrap_err().happened.contains("two pools"));
    }

    #[test]
    fn a_release_is_built_as_the_configuration_says() {
        let text = "agent.host = 'web1'\n[release]\nroot = '/srv/shop'\nkeep = 7\nshared_dirs = ['storage']\n\
                    build = [['composer', 'install'], ['npm', 'ci']]\nboot_check = ['php', 'artisan']\non_failure = 'hold'";
        let decided = host(text).unwrap().unwrap();
        let build = decided.build(release::Source::Folder("/src".into())).unwrap();
        assert_eq!(
            build.hooks.iter().map(|hook| hook.name.as_str()).collect::<Vec<_>>(),
            ["composer install", "npm ci"]
        );
        assert_eq!(build.shared.folders, ["storage"]);
        assert_eq!(build.boot_check.unwrap().within, Span::from_secs(60));
        let options = decided.options("ute");
        assert_eq!((options.keep.healthy, options.keep.failed, options.on_failure), (7, 2, release::OnFailure::Hold));
        assert!(
            host("agent.host = 'w'\nrelease = { root = '/r', build = [[]] }")
                .unwrap()
                .unwrap()
                .build(release::Source::Folder("/".into()))
                .is_err()
        );
    }
}
