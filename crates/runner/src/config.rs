//! Handlers and guards, as `aloud.toml` writes them.
//!
//! These are only shapes; what they mean is made of them by
//! [`HandlerConfig::build`] and [`GuardConfig::build`], with one error that
//! names the handler or guard. Unknown keys are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use job::{KindName, Span};
use serde::{Deserialize, Deserializer};

use crate::code::Code;
use crate::exec::{Command, ExecHandler};
use crate::guards::{GuardCommand, HttpAndExecGuards};
use crate::handler::{Handler, Run};
use crate::http::{Ack, HttpHandler};
use crate::mail::{Described, Login, MailHandler, Parts, Server, Template, Templates, Tls};
use crate::secret::Secret;
use crate::unfit::Unfit;

/// What does the jobs of one kind: a `[[handler]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandlerConfig {
    /// Which jobs it does. They are handed to no worker.
    pub kind: KindName,
    /// How it does them.
    pub run: RunConfig,
    /// How many of them at once, 1 to 1000; 10 if left out.
    pub concurrency: Option<usize>,
    /// How long each may take, at most a day; if left out, 30 seconds for
    /// `http`, 1 minute for `mail`, 10 minutes for `exec`.
    pub timeout: Option<Span>,
}

/// How jobs are done: exactly one of `http`, `exec` and `mail`, and what goes
/// with it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Post each job to this address.
    pub http: Option<String>,
    /// With `http`: what makes a 2xx count. `job`, the default, is an answer
    /// that carries `Aloud-Job` with the job's id; `status` is the status alone.
    pub ack: Option<Ack>,
    /// With `http`: a file with the secret that requests are signed with, if
    /// not the app's own.
    pub secret_file: Option<PathBuf>,
    /// Run this program with these arguments.
    pub exec: Option<Vec<String>>,
    /// With `exec`: the folder it is started in. Where aloud knows the releases,
    /// a relative one lies inside the current release, and left out it is that
    /// release; elsewhere both start at the folder of `aloud.toml`.
    pub dir: Option<PathBuf>,
    /// With `exec`: variables for its environment.
    pub env: Option<BTreeMap<String, String>>,
    /// With `exec`: how long it has to end by itself when its time is up, at
    /// most a minute; 5 seconds if left out.
    pub grace: Option<Span>,
    /// Send this letter.
    pub mail: Option<MailConfig>,
}

/// A letter, and who takes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// The mail server's name or address.
    pub host: String,
    /// Its port; if left out 587 for `starttls`, 465 for `tls`, 25 for `none`.
    pub port: Option<u16>,
    /// How aloud calls itself there, for servers that insist on a full name; the
    /// machine's name if left out.
    pub hello: Option<String>,
    /// `starttls`, the default; `tls`, secured from the first byte; or `none`,
    /// which is refused unless the server is on this machine.
    #[serde(default)]
    pub tls: Tls,
    /// Allow `tls = "none"` to another machine.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// A file in PEM with the certificates that are trusted instead of the
    /// system's.
    pub ca_file: Option<PathBuf>,
    /// A file with the user's name on the first line and the password on the
    /// second.
    pub auth_file: Option<PathBuf>,
    /// Who sends it: `Shop <shop@example.com>`. This and all that follows are
    /// templates over the payload's fields.
    pub from: String,
    /// Who gets it: one address, or several as a list.
    #[serde(deserialize_with = "one_or_many")]
    pub to: Vec<String>,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
    /// What it is about.
    pub subject: String,
    /// What it says, as plain text.
    pub text: Option<String>,
    /// The same in a file of its own.
    pub text_file: Option<PathBuf>,
    /// What it says, as HTML.
    pub html: Option<String>,
    /// The same in a file of its own.
    pub html_file: Option<PathBuf>,
}

/// A command that may be asked whether a job is still wanted: a `[[guard]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardConfig {
    /// What a job calls it: `"guard": {"exec": "NAME"}`.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The folder it is started in, as a handler's `dir`.
    pub dir: Option<PathBuf>,
    /// Variables for its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How long it may take, at most a minute; 5 seconds if left out.
    pub timeout: Option<Span>,
}

/// What the settings stand in.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The folder of `aloud.toml`, absolute: relative paths start there.
    pub folder: &'a Path,
    /// The app's own signing secret.
    pub secret: &'a Secret,
    /// What every command is told besides its job, such as `ALOUD_URL`.
    pub env: &'a BTreeMap<String, String>,
    /// The application's code, where commands start that name no folder, or one
    /// inside it. If there is none, both start at `folder`.
    pub code: Option<&'a Arc<dyn Code>>,
}

/// All handlers. No two may have one kind.
pub fn handlers(configs: &[HandlerConfig], around: Around<'_>) -> Result<Vec<Handler>, Unfit> {
    let mut kinds = BTreeSet::new();
    if let Some(twice) = configs.iter().find(|config| !kinds.insert(&config.kind)) {
        return Err(Unfit::new(format!("two handlers do the jobs of kind `{}`", twice.kind), "remove one of them"));
    }
    configs.iter().map(|config| config.build(around)).collect()
}

/// All guards that are commands.
pub fn guards(configs: &[GuardConfig], around: Around<'_>) -> Result<Vec<GuardCommand>, Unfit> {
    configs.iter().map(|config| config.build(around)).collect()
}

impl HandlerConfig {
    /// The handler that is meant.
    pub fn build(&self, around: Around<'_>) -> Result<Handler, Unfit> {
        let whom = format!("the handler of `{}`", self.kind);
        let run = self.run.build(around).map_err(|unfit| unfit.of(&whom))?;
        let mut handler = Handler::new(self.kind.clone(), run);
        if let Some(concurrency) = self.concurrency {
            handler = handler.with_concurrency(concurrency)?;
        }
        if let Some(timeout) = self.timeout {
            handler = handler.with_timeout(timeout)?;
        }
        Ok(handler)
    }
}

impl RunConfig {
    fn build(&self, around: Around<'_>) -> Result<Run, Unfit> {
        let Self { http, ack, secret_file, exec, dir, env, grace, mail } = self;
        let stray = |with: &str, keys: &[(&str, bool)]| match keys.iter().find(|(_, there)| *there) {
            Some((key, _)) => Err(Unfit::new(format!("`{key}` does not go with `{with}`"), format!("remove `{key}`"))),
            None => Ok(()),
        };
        let of_http = [("ack", ack.is_some()), ("secret_file", secret_file.is_some())];
        let of_exec = [("dir", dir.is_some()), ("env", env.is_some()), ("grace", grace.is_some())];
        match (http, exec, mail) {
            (Some(address), None, None) => {
                stray("http", &of_exec)?;
                let address = address.parse().map_err(|error| {
                    Unfit::new(format!("`http`: {error}"), "write it as `http://127.0.0.1:8080/jobs/notice`")
                })?;
                let secret = match secret_file {
                    Some(path) => Secret::open(&around.folder.join(path))?,
                    None => around.secret.clone(),
                };
                Ok(Run::Http(HttpHandler { address, ack: ack.unwrap_or_default(), secret }))
            }
            (None, Some(argv), None) => {
                stray("exec", &of_http)?;
                let mut command = command(argv, dir.as_deref(), env.as_ref(), around)?;
                if let Some(grace) = *grace {
                    if grace > Span::from_secs(60) {
                        return Err(Unfit::new(format!("`grace` is {grace}"), "give it at most 1m"));
                    }
                    command = command.with_grace(grace);
                }
                Ok(Run::Exec(ExecHandler { command }))
            }
            (None, None, Some(mail)) => {
                stray("mail", &of_http)?;
                stray("mail", &of_exec)?;
                mail.build(around).map(Run::Mail)
            }
            _ => Err(Unfit::new(
                "`run` does not say how",
                "give it exactly one of `http = \"http://…\"`, `exec = [\"…\"]` and `mail = { … }`",
            )),
        }
    }
}

impl MailConfig {
    fn build(&self, around: Around<'_>) -> Result<MailHandler, Unfit> {
        let absolute = |path: &PathBuf| around.folder.join(path);
        let ca_file = self.ca_file.as_ref().map(absolute);
        let server = Server::new(Described {
            host: &self.host,
            port: self.port,
            hello: self.hello.as_deref(),
            tls: self.tls,
            ca_file: ca_file.as_deref(),
            allow_plaintext: self.allow_plaintext,
            login: self.auth_file.as_ref().map(|path| Login::open(&absolute(path))).transpose()?,
        })?;
        let template = |name: &str, inline: &Option<String>, file: &Option<PathBuf>| match (inline, file) {
            (Some(_), Some(_)) => {
                Err(Unfit::new(format!("a letter has both `{name}` and `{name}_file`"), "keep one of them"))
            }
            (Some(source), None) => Ok(Some(Template::Inline(source.clone()))),
            (None, Some(path)) => Ok(Some(Template::File(absolute(path)))),
            (None, None) => Ok(None),
        };
        let templates = Templates::new(Parts {
            from: self.from.clone(),
            to: self.to.clone(),
            reply_to: self.reply_to.clone(),
            subject: self.subject.clone(),
            text: template("text", &self.text, &self.text_file)?,
            html: template("html", &self.html, &self.html_file)?,
        })?;
        Ok(MailHandler { server, templates })
    }
}

impl GuardConfig {
    /// The guard that is meant.
    pub fn build(&self, around: Around<'_>) -> Result<GuardCommand, Unfit> {
        let command = command(&self.command, self.dir.as_deref(), Some(&self.env), around)
            .map_err(|unfit| unfit.of(&format!("the guard `{}`", self.name)))?;
        Ok(GuardCommand {
            name: self.name.clone(),
            command: command.with_grace(GuardCommand::GRACE),
            timeout: self.timeout.unwrap_or(HttpAndExecGuards::TIMEOUT),
        })
    }
}

fn command(
    argv: &[String],
    dir: Option<&Path>,
    env: Option<&BTreeMap<String, String>>,
    around: Around<'_>,
) -> Result<Command, Unfit> {
    let command = match (around.code, dir) {
        (Some(code), dir) => Command::in_code(argv.to_vec(), Arc::clone(code), dir)?,
        (None, Some(dir)) => Command::new(argv.to_vec(), around.folder.join(dir))?,
        (None, None) => Command::new(argv.to_vec(), around.folder)?,
    };
    let mut all = around.env.clone();
    all.extend(env.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    command.with_env(all)
}

/// Reads a text as a list of one.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> serde::de::Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an address, or a list of them")
        }

        fn visit_str<E: serde::de::Error>(self, one: &str) -> Result<Self::Value, E> {
            Ok(vec![one.to_owned()])
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut many: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(one) = many.next_element()? {
                list.push(one);
            }
            Ok(list)
        }
    }

    from.deserialize_any(OneOrMany)
}
