//! What the demo says when everything runs: where, and what to try.

use std::path::Path;
use std::time::Duration;

use job::Span;

use crate::demo::stage::Stage;

/// What there is to say.
pub(crate) struct Banner<'a> {
    pub(crate) notice: String,
    pub(crate) mailbox: String,
    pub(crate) host: String,
    pub(crate) server: String,
    pub(crate) smtp: String,
    pub(crate) aloud_pid: u32,
    pub(crate) delay: Span,
    pub(crate) config: &'a Path,
    pub(crate) data: &'a Path,
    pub(crate) temporary: bool,
    pub(crate) program: String,
    pub(crate) took: Duration,
}

impl<'a> Banner<'a> {
    /// What there is to say of a stage that was set in so long.
    pub(crate) fn of(stage: &'a Stage, config: &'a Path, delay: Span, took: Duration) -> Self {
        Self {
            notice: format!("{}/", stage.notice_url()),
            mailbox: format!("http://{}/", stage.mailbox),
            host: format!("http://{}/host", stage.mailbox),
            server: format!("{}/", stage.server_url()),
            smtp: stage.smtp.to_string(),
            aloud_pid: stage.aloud.as_ref().map_or(0, |aloud| aloud.pid()),
            delay,
            config,
            data: stage.path(),
            temporary: stage.is_temporary(),
            program: program(),
            took,
        }
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        let Self { notice, mailbox, host, server, smtp, aloud_pid, delay, program, .. } = self;
        let config = self.config.display();
        let kept = if self.temporary { "removed at the end; --data DIR keeps it" } else { "kept" };
        format!(
            "
  notice    {notice:<28} switches that have mails sent, {delay} later
  mailbox   {mailbox:<28} where the mails arrive (SMTP on {smtp})
  host      {host:<28} the workers that send them, their releases, and buttons
  aloud     {server:<28} the queue in between

  Try this:
    - Switch a notice on, and watch its mail arrive in the mailbox.
    - Switch one on and off again: no mail, and it says `called off`.
    - Switch one on, then off behind the queue's back: aloud asks before it sends, and skips it.
    - Deploy new versions on the host's page: each colours its mails, and the old workers end when theirs are sent.
    - Delete the release in use there, as another tool would: the workers move within seconds.
    - Switch one on, then `kill -9 {aloud_pid}`: aloud is started again with its workers, and the mail comes, once.
    - See what became of it all:  {program} jobs --config {config}
                                  {program} workers --config {config}

  Everything lies in {} ({kept}). Started in {:.2} s; Ctrl-C ends it.
",
            self.data.display(),
            self.took.as_secs_f64(),
        )
    }
}

/// How this program is called from here.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_default();
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(&path);
    short.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_where_everything_is_and_what_to_try() {
        let banner = Banner {
            notice: "http://127.0.0.1:8080/".to_owned(),
            mailbox: "http://127.0.0.1:8025/".to_owned(),
            host: "http://127.0.0.1:8025/host".to_owned(),
            server: "http://127.0.0.1:7420/".to_owned(),
            smtp: "127.0.0.1:2525".to_owned(),
            aloud_pid: 4711,
            delay: Span::from_secs(10),
            config: Path::new("/tmp/aloud-demo-x/aloud.toml"),
            data: Path::new("/tmp/aloud-demo-x"),
            temporary: true,
            program: "target/release/aloud".to_owned(),
            took: Duration::from_millis(340),
        };
        insta::assert_snapshot!(banner.text());
    }
}
