//! The steps of the check, in the order of the story.

use std::collections::BTreeMap;

use aloud_client::v1::LedgerView;
use aloud_client::{Outcome, Phase};
use job::Timestamp;
use notice::book::Request;
use tokio::time::sleep_until;

use super::Broken;
use super::deploys::{self, DEPLOYS};
use super::eyes::{Asked, Eyes, described};
use super::load::{Stream, is_of_a_stream};
use super::tale::Tale;
use crate::demo::mailbox::Letter;
use crate::demo::stage::{Relay, Stage};
use crate::report::Report;

// The requests that the steps use, each its own.
const SENT: i64 = 1;
const CALLED_OFF: i64 = 2;
const SKIPPED: i64 = 3;
const ALOUD_KILLED: i64 = 4;
const NOTICE_KILLED: i64 = 5;

/// What must have become of the notices at the end: sent are those of the steps
/// `sent`, `aloud killed`, `switched while aloud was dead` and `notice killed`.
const NOTICES: u64 = 4;
const CANCELLED: u64 = 1;
const JUMPED: u64 = 1;
/// How many releases were proven by a job: the first, and those deployed under
/// load.
const PROOFS: u64 = 1 + DEPLOYS as u64;

/// Takes every step, and stops at one that did not hold where the next would
/// build on it.
pub(super) async fn all(stage: &mut Stage, eyes: &Eyes, tale: &mut Tale) -> Result<(), Report> {
    // These touch nothing that another one needs.
    let (sent, called_off, skipped) = tokio::join!(sent(eyes), called_off(eyes), skipped(eyes));
    tale.told("switched on: the mail arrives once, as written, and not before its time", sent)?;
    tale.told("switched on and off: no mail, and the job ended as cancelled", called_off)?;
    tale.told("switched off behind the queue's back: no mail, and the job ended as skipped", skipped)?;
    if !tale.all_held() {
        return Ok(());
    }
    let killed = aloud_killed(stage, eyes).await;
    if !tale.told("aloud killed while a mail waits, and switched meanwhile: both arrive once", killed?)? {
        return Ok(());
    }
    let killed = notice_killed(stage, eyes).await;
    if !tale.told("the application killed between switch and push: the mail arrives once", killed?)? {
        return Ok(());
    }
    let mut streams = 0;
    let operator = &*stage.operator;
    let mut told = |tale: &mut Tale, what, went: Result<(String, Stream), Broken>| {
        let went = went.map(|(seen, stream)| {
            streams += stream.asked.len();
            seen
        });
        tale.told(what, went)
    };
    let seven = deploys::seven(operator, eyes).await;
    if !told(tale, "seven deploys while mails go out: none is lost or doubled, and none waits", seven)? {
        return Ok(());
    }
    let refused = deploys::refused(operator, eyes).await;
    told(tale, "a release that cannot start: its deploy is refused, and nothing else is touched", refused)?;
    let followed = deploys::followed(operator, eyes).await;
    if !told(tale, "another tool switches and deletes the release in use: the workers follow in time", followed)? {
        return Ok(());
    }
    tale.step("every mail arrived exactly once, and no other did", exactly_once(eyes, streams)).await?;
    tale.step("the ledger adds up, and a recount finds the same", ledger(eyes, streams as u64)).await?;
    Ok(())
}

/// What a step that starts and kills processes comes to: not held, or not even
/// tried.
type Went = Result<Result<String, Broken>, Report>;

async fn sent(eyes: &Eyes) -> Result<String, Broken> {
    let asked = eyes.switch_on(SENT).await?;
    let letter = arrives(eyes, SENT, &asked).await?;
    Ok(format!("it arrived {} after the switch, which asks for {}", after(&asked, &letter), eyes.delay))
}

async fn called_off(eyes: &Eyes) -> Result<String, Broken> {
    let asked = eyes.switch_on(CALLED_OFF).await?;
    eyes.until_scheduled(&asked).await?;
    eyes.switch_off(CALLED_OFF).await?;
    eyes.until_ended(&asked, Outcome::Cancelled).await?;
    no_mail(eyes, CALLED_OFF, &asked).await?;
    Ok("it was cancelled at once, and its time is over".to_owned())
}

async fn skipped(eyes: &Eyes) -> Result<String, Broken> {
    let asked = eyes.switch_on(SKIPPED).await?;
    eyes.until_scheduled(&asked).await?;
    eyes.tamper(SKIPPED).await?;
    let job = eyes.until_ended(&asked, Outcome::Skipped).await?;
    no_mail(eyes, SKIPPED, &asked).await?;
    Ok(format!("aloud notes: {}", job.detail.unwrap_or_else(|| "(nothing)".to_owned())))
}

async fn aloud_killed(stage: &mut Stage, eyes: &Eyes) -> Went {
    let waits = async {
        let waits = eyes.switch_on(ALOUD_KILLED).await?;
        eyes.until_scheduled(&waits).await?;
        Ok(waits)
    };
    let waits = match waits.await {
        Ok(waits) => waits,
        Err(broken) => return Ok(Err(broken)),
    };
    let workers = match deploys::working(&stage.operator).await {
        Ok(workers) => workers,
        Err(broken) => return Ok(Err(broken)),
    };
    if let Some(aloud) = stage.aloud.take() {
        aloud.kill().await?;
    }
    if eyes.server_answers().await {
        return Ok(Err("aloud was killed, and answers".to_owned()));
    }
    // Nobody is left to look after its workers, so a guardian ends them.
    if let Err(broken) = deploys::until_gone(&workers).await {
        return Ok(Err(format!("aloud was killed, and its workers work on: {broken}")));
    }
    // The application goes on without it: what is switched now is kept there.
    let meanwhile = async {
        eyes.switch_off(SENT).await?;
        eyes.switch_on(SENT).await
    };
    let meanwhile = meanwhile.await;
    stage.start_aloud().await?;
    let went = async {
        let meanwhile = meanwhile?;
        let letter = arrives(eyes, ALOUD_KILLED, &waits).await?;
        eyes.until_ended(&meanwhile, Outcome::Done).await?;
        match eyes.mails_of(eyes.request(SENT)?).await?.len() {
            2 => Ok(format!(
                "its {} workers ended with it and were started with it; the mail that waited arrived {} after its switch",
                workers.len(),
                after(&waits, &letter)
            )),
            count => {
                Err(format!("the one that was switched meanwhile: its receiver should have 2 mails, and has {count}"))
            }
        }
    };
    Ok(went.await)
}

async fn notice_killed(stage: &mut Stage, eyes: &Eyes) -> Went {
    if let Some(notice) = stage.notice.take() {
        notice.stop().await?;
    }
    stage.start_notice(Relay::Held).await?;
    // Now a switch is committed with what it asks for, and nothing is pushed.
    let asked = match eyes.switch_on(NOTICE_KILLED).await {
        Ok(asked) => asked,
        Err(broken) => return Ok(Err(broken)),
    };
    if let Some(notice) = stage.notice.take() {
        notice.kill().await?;
    }
    let between = async {
        if !eyes.kept_by_notice(&asked.job).await? {
            return Err("the application does not keep what its switch asked for".to_owned());
        }
        match eyes.job(&asked.job).await? {
            Some(job) => Err(format!("it was pushed before the application was killed: {}", described(&job))),
            None => Ok(()),
        }
    };
    let between = between.await;
    stage.start_notice(Relay::On).await?;
    let went = async {
        between?;
        let letter = arrives(eyes, NOTICE_KILLED, &asked).await?;
        Ok(format!(
            "aloud had never heard of it when the application died; it arrived {} after the switch",
            after(&asked, &letter)
        ))
    };
    Ok(went.await)
}

/// Waits for the mail of a notice, and reads it.
async fn arrives(eyes: &Eyes, id: i64, asked: &Asked) -> Result<Letter, Broken> {
    let request = eyes.request(id)?;
    let job = eyes.until_ended(asked, Outcome::Done).await?;
    let mut mails = eyes.mails_of(request).await?;
    let Some(letter) = mails.pop() else {
        return Err(format!("the job ended as done, and no mail arrived: {}", described(&job)));
    };
    if !mails.is_empty() {
        return Err(format!("{} mails arrived instead of one", mails.len() + 1));
    }
    read(&letter, request)?;
    let due = asked.at + eyes.delay;
    if Timestamp(letter.arrived) < due {
        return Err(format!("the mail arrived at {}, before it was due at {due}", Timestamp(letter.arrived)));
    }
    Ok(letter)
}

/// Whether a mail is what the request's mail should be.
fn read(letter: &Letter, request: &Request) -> Result<(), Broken> {
    let Request { title, recipient, address, .. } = request;
    let text = letter.text.as_deref().unwrap_or_default();
    let html = letter.html.as_deref().unwrap_or_default();
    let is_right = letter.envelope_to == [address.as_str()]
        && letter.to == *address
        && letter.subject == *title
        && text.contains(&format!("{title}."))
        && text.contains(recipient)
        && html.contains(title)
        && !letter.message_id.is_empty();
    if is_right {
        return Ok(());
    }
    let letter = serde_json::to_string(letter).unwrap_or_else(|error| error.to_string());
    Err(format!("the mail to {address} about `{title}` reads otherwise: {letter}"))
}

/// Waits until the notice's time is over, and sees that no mail came.
async fn no_mail(eyes: &Eyes, id: i64, asked: &Asked) -> Result<(), Broken> {
    sleep_until(asked.due).await;
    match eyes.mails_of(eyes.request(id)?).await?.first() {
        None => Ok(()),
        Some(letter) => Err(format!("a mail arrived all the same: {}", letter.subject)),
    }
}

/// Sees that the mails of the notices are all there is, besides so many of
/// streams, each to an address of its own.
async fn exactly_once(eyes: &Eyes, streams: usize) -> Result<String, Broken> {
    let mails = eyes.mails().await?;
    let streamed = mails.iter().filter(|mail| is_of_a_stream(&mail.to)).count();
    if streamed != streams {
        return Err(format!("of the streams, {streams} mails should have arrived, and {streamed} did"));
    }
    let mut arrived: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ids: Vec<_> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    for mail in &mails {
        for to in mail.envelope_to.iter().filter(|to| !is_of_a_stream(to)) {
            *arrived.entry(to).or_default() += 1;
        }
    }
    let mut expected = BTreeMap::new();
    for (id, count) in [(SENT, 2), (ALOUD_KILLED, 1), (NOTICE_KILLED, 1)] {
        expected.insert(eyes.request(id)?.address.as_str(), count);
    }
    if arrived != expected {
        return Err(format!("expected {expected:?}, and got {arrived:?}"));
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != mails.len() {
        return Err(format!("{} mails have only {} different ids", mails.len(), ids.len()));
    }
    let to = arrived.len() + streamed;
    Ok(format!("{} mails to {to} addresses", mails.len()))
}

async fn ledger(eyes: &Eyes, streams: u64) -> Result<String, Broken> {
    let status = eyes.status().await?;
    if !status.findings.is_empty() || !status.serving {
        return Err(format!("the server finds: {}", status.findings.join("; ")));
    }
    let counted = status.ledger;
    let recounted = recount(eyes).await?;
    if counted != recounted {
        return Err(format!("the ledger says {counted:?}, and a recount {recounted:?}"));
    }
    let done = NOTICES + streams + PROOFS;
    let expected = LedgerView {
        pushed: done + CANCELLED + JUMPED,
        waiting: 0,
        running: 0,
        dead: 0,
        done,
        skipped: JUMPED,
        cancelled: CANCELLED,
        superseded: 0,
        expired: 0,
        discarded: 0,
        adds_up: true,
    };
    if counted != expected {
        return Err(format!("the ledger says {counted:?}, and should say {expected:?}"));
    }
    Ok(format!(
        "{} pushed = {done} done ({PROOFS} of them proofs of a release) + {CANCELLED} cancelled + {JUMPED} skipped",
        counted.pushed
    ))
}

/// Counts every job that the server lists.
async fn recount(eyes: &Eyes) -> Result<LedgerView, Broken> {
    let mut count = LedgerView {
        pushed: 0,
        waiting: 0,
        running: 0,
        dead: 0,
        done: 0,
        skipped: 0,
        cancelled: 0,
        superseded: 0,
        expired: 0,
        discarded: 0,
        adds_up: true,
    };
    for job in eyes.every_job().await? {
        count.pushed += 1;
        let slot = match (job.state, job.outcome) {
            (Phase::Scheduled | Phase::Checking | Phase::Ready | Phase::Retrying, _) => &mut count.waiting,
            (Phase::Running, _) => &mut count.running,
            (Phase::Dead, _) => &mut count.dead,
            (Phase::Ended, Some(Outcome::Done)) => &mut count.done,
            (Phase::Ended, Some(Outcome::Skipped)) => &mut count.skipped,
            (Phase::Ended, Some(Outcome::Cancelled)) => &mut count.cancelled,
            (Phase::Ended, Some(Outcome::Superseded)) => &mut count.superseded,
            (Phase::Ended, Some(Outcome::Expired)) => &mut count.expired,
            (Phase::Ended, Some(Outcome::Discarded)) => &mut count.discarded,
            (Phase::Ended, None) => return Err(format!("a job ended without an outcome: {}", described(&job))),
        };
        *slot += 1;
    }
    Ok(count)
}

fn after(asked: &Asked, letter: &Letter) -> String {
    format!("{:.2} s", Timestamp(letter.arrived).since(asked.at).as_secs_f64())
}
