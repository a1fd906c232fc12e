//! What the check sees, and does: as a browser on the page, as a client of the
//! server, as a reader of the mailbox.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aloud_client::v1::{JobList, JobView, Status};
use aloud_client::{Aloud, Api, Outcome, Phase};
use job::time::{Clock, SystemClock};
use job::{Span, Timestamp};
use notice::book::{Book, Request, SendNotice, Turned};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::Broken;
use crate::demo::mailbox::Letter;
use crate::demo::stage::Stage;
use crate::report::Report;

/// How often something is looked at until it has come.
const LOOK: Duration = Duration::from_millis(25);
/// How long something may take to come that should come at once.
pub(super) const AT_ONCE: Duration = Duration::from_secs(10);

/// Eyes and hands.
pub(super) struct Eyes {
    pub(super) delay: Span,
    browser: reqwest::Client,
    notice: String,
    mailbox: SocketAddr,
    api: Api,
    file: PathBuf,
    requests: Vec<Request>,
}

/// A notice that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) job: String,
    /// Just before the switch was turned.
    pub(super) at: Timestamp,
    /// When its mail must have been sent, or not.
    pub(super) due: Instant,
}

#[derive(Deserialize)]
struct Switched {
    job: Option<String>,
}

impl Eyes {
    /// Opens them on what is on the stage.
    pub(super) fn open(stage: &Stage, delay: Span) -> Result<Self, Report> {
        let failed = |what: &str, why: String| Report::new(crate::exit::Exit::No, format!("{what}: {why}"), "", "");
        let api = Api::new(stage.client()?)?;
        let browser = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(AT_ONCE);
        let browser = browser.build().map_err(|error| failed("cannot look at pages", error.to_string()))?;
        let file = stage.notice_file();
        let book = Book::open(&file).map_err(|error| failed("cannot read notice's file", error.to_string()))?;
        let requests = book.requests().map_err(|error| failed("cannot read notice's file", error.to_string()))?;
        Ok(Self { delay, browser, notice: stage.notice_url(), mailbox: stage.mailbox, api, file, requests })
    }

    /// The request with this number.
    pub(super) fn request(&self, id: i64) -> Result<&Request, Broken> {
        self.requests.iter().find(|request| request.id == id).ok_or_else(|| format!("there is no request {id}"))
    }

    /// Turns a switch on.
    pub(super) async fn switch_on(&self, id: i64) -> Result<Asked, Broken> {
        let (at, due) = (now(), Instant::now() + self.delay.as_duration());
        let job = self.switch(id, true).await?.ok_or("turning the switch on asked for no job")?;
        Ok(Asked { job, at, due })
    }

    /// Turns a switch off.
    pub(super) async fn switch_off(&self, id: i64) -> Result<(), Broken> {
        self.switch(id, false).await.map(drop)
    }

    async fn switch(&self, id: i64, on: bool) -> Result<Option<String>, Broken> {
        let post = self.browser.post(format!("{}/requests/{id}/switch", self.notice));
        let post = post.header("content-type", "application/x-www-form-urlencoded").body(format!("on={on}"));
        let answer = post.header("accept", "application/json").send().await.map_err(|error| chain(&error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| chain(&error))?;
        let switched = serde_json::from_str::<Switched>(&text);
        switched.map(|switched| switched.job).map_err(|_| format!("the application answered {status}: {text}"))
    }

    /// Turns a switch off in the application's own file, past the application.
    pub(super) async fn tamper(&self, id: i64) -> Result<(), Broken> {
        let file = self.file.clone();
        let tampered = tokio::task::spawn_blocking(move || Book::open(&file)?.tamper(id)).await;
        match tampered.map_err(|error| error.to_string())?.map_err(|error| error.to_string())? {
            Turned::Now(_) => Ok(()),
            other @ (Turned::Already | Turned::Nothing) => Err(format!("the switch was not on: {other:?}")),
        }
    }

    /// How many intents the application still keeps for aloud.
    pub(super) async fn kept_by_notice(&self, job: &str) -> Result<bool, Broken> {
        let (file, job) = (self.file.clone(), job.to_owned());
        let kept =
            tokio::task::spawn_blocking(move || Book::open(&file).and_then(|book| Ok(book.kept_here(&job)?.is_some())));
        kept.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Asks aloud for a mail that is due at once, past the application.
    pub(super) async fn ask_for_a_mail(&self, to: &str) -> Result<(), Broken> {
        let notice = SendNotice {
            request: 0,
            title: "One of a steady stream".to_owned(),
            recipient: "whoever reads this".to_owned(),
            to: to.to_owned(),
        };
        let pushed = Aloud::over(self.api.clone()).push(&notice).send().await;
        pushed.map(drop).map_err(|error| error.to_string())
    }

    /// The job, if the server knows it.
    pub(super) async fn job(&self, id: &str) -> Result<Option<JobView>, Broken> {
        match self.api.job(id).await {
            Ok(job) => Ok(Some(job)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits until the server holds the job as scheduled.
    pub(super) async fn until_scheduled(&self, asked: &Asked) -> Result<(), Broken> {
        let seen = self.until(asked, Instant::now() + AT_ONCE, |job| job.state == Phase::Scheduled).await;
        seen.map(drop).map_err(|seen| format!("the job was not scheduled: {seen}"))
    }

    /// Waits until the job has ended, at most a while longer than it waits.
    pub(super) async fn until_ended(&self, asked: &Asked, as_: Outcome) -> Result<JobView, Broken> {
        let ended = self.until(asked, asked.due + AT_ONCE, |job| job.state == Phase::Ended).await;
        match ended {
            Ok(job) if job.outcome == Some(as_) => Ok(job),
            Ok(job) => Err(format!("the job should have ended as {as_:?}: {}", described(&job))),
            Err(seen) => Err(format!("the job did not end: {seen}")),
        }
    }

    async fn until(
        &self,
        asked: &Asked,
        deadline: Instant,
        wanted: impl Fn(&JobView) -> bool,
    ) -> Result<JobView, Broken> {
        let mut seen = format!("the server does not know {}", asked.job);
        let look = async {
            loop {
                match self.job(&asked.job).await {
                    Ok(Some(job)) if wanted(&job) => return job,
                    Ok(Some(job)) => seen = described(&job),
                    Ok(None) => seen = format!("the server does not know {}", asked.job),
                    Err(broken) => seen = broken,
                }
                sleep(LOOK).await;
            }
        };
        timeout_at(deadline, look).await.map_err(|_| seen)
    }

    /// How the server is.
    pub(super) async fn status(&self) -> Result<Status, Broken> {
        self.api.status().await.map_err(|error| error.to_string())
    }

    /// Every job that the server keeps, found by listing them all.
    pub(super) async fn every_job(&self) -> Result<Vec<JobView>, Broken> {
        let (mut all, mut search) = (Vec::new(), aloud_client::v1::JobQuery::default());
        loop {
            let JobList { jobs, next, .. } = self.api.jobs(&search).await.map_err(|error| error.to_string())?;
            all.extend(jobs);
            match next {
                Some(next) => search.after = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// Whether the server answers at all.
    pub(super) async fn server_answers(&self) -> bool {
        self.api.status().await.is_ok()
    }

    /// All mails.
    pub(super) async fn mails(&self) -> Result<Vec<Letter>, Broken> {
        let get = self.browser.get(format!("http://{}/mails.json", self.mailbox));
        let text = async { get.send().await?.error_for_status()?.text().await }.await.map_err(|error| chain(&error))?;
        serde_json::from_str(&text).map_err(|error| format!("the mailbox answered what is no list of mails: {error}"))
    }

    /// The mails to whoever a request is for.
    pub(super) async fn mails_of(&self, request: &Request) -> Result<Vec<Letter>, Broken> {
        let mut mails = self.mails().await?;
        mails.retain(|mail| mail.envelope_to.contains(&request.address));
        Ok(mails)
    }
}

/// What a job is like, for a step that did not hold.
pub(super) fn described(job: &JobView) -> String {
    serde_json::to_string(job).unwrap_or_else(|error| error.to_string())
}

/// What the wall clock says.
pub(crate) fn now() -> Timestamp {
    SystemClock::resume(None).now().wall
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
