//! A status as a person reads it: the verdict first, then host by host, then
//! what waits too long, what is held, and the count of all jobs.

use std::collections::BTreeMap;

use aloud_client::v1::{
    HostView, LateQueue, LedgerView, PausedQueue, Status, TreeReport, WorkerReport, WorkerState, sentence,
};
use job::{Observation, Timestamp, Verdict};

use crate::age::{relative, rough};

/// The page; `now` is what times are told against. Its first line begins with
/// the verdict, which is [`Status::verdict`].
pub(crate) fn page(status: &Status, now: Timestamp) -> String {
    let Status { app, store, version, judged, verdict, serving, relaxed, findings, hosts, late, paused, ledger } =
        status;
    let mut page = Page(String::new());
    let serves = if *serving { "serving" } else { "NOT SERVING" };
    page.plain(&format!("{verdict}: {serves}, app {app}"));
    page.line("server", &format!("aloud {version}, store {store}"));
    page.line("judged", &format!("{judged} ({})", relative(*judged, now)));
    if *relaxed {
        page.line("durability", "relaxed: a power cut may take the last second");
    }
    // What follows below tells the rest, with its evidence.
    let told_below: Vec<String> = hosts
        .iter()
        .flat_map(|host| host.observations.iter().map(sentence))
        .chain(late.iter().map(ToString::to_string))
        .collect();
    for finding in findings.iter().filter(|finding| !told_below.contains(finding)) {
        page.line("finding", finding);
    }
    for host in hosts {
        page.host(host, now);
    }
    for LateQueue { queue, oldest_due, ready, .. } in late {
        let oldest = rough(now.since(*oldest_due));
        page.line("late", &format!("{queue}: the oldest of {ready} due jobs waits for {oldest}"));
    }
    for PausedQueue { queue, pause } in paused {
        let until = match pause.until {
            Some(until) => format!("until {until} ({})", relative(until, now)),
            None => "until somebody resumes it".to_owned(),
        };
        page.line("paused", &format!("{queue} by {} {until}: {}", pause.by, pause.reason));
    }
    page.0.push_str(&ledger_text(ledger));
    page.0
}

struct Page(String);

impl Page {
    /// One line, without what would move a terminal's cursor.
    fn plain(&mut self, text: &str) {
        let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0.push_str(shown.trim_end());
        self.0.push('\n');
    }

    fn line(&mut self, name: &str, text: &str) {
        self.plain(&format!("{name:<12}{text}"));
    }

    fn host(&mut self, host: &HostView, now: Timestamp) {
        let heard = match host.heard {
            Some(heard) => format!("heard {}", relative(heard, now)),
            None => "never heard".to_owned(),
        };
        self.line("host", &format!("{}: {}, {heard}", host.host, host.verdict));
        let was = if host.fresh { "" } else { " (when it was heard last)" };
        if let Some(TreeReport { root, current, .. }) = &host.tree {
            let current = current.as_deref().unwrap_or("nothing");
            self.within("current", &format!("{current} in {root}{was}"));
        }
        for (pool, workers) in by_pool(&host.workers) {
            self.within(pool, &format!("{}{was}", in_short(&workers)));
        }
        for seen in host.observations.iter().filter(|seen| seen.verdict != Verdict::Ok) {
            self.observation(seen, now);
        }
    }

    fn within(&mut self, name: &str, text: &str) {
        self.line("", &format!("{name:<10}  {text}"));
    }

    fn observation(&mut self, seen: &Observation, now: Timestamp) {
        let age = now.since(seen.at);
        let dated = if age < Observation::FRESH_FOR { String::new() } else { format!(" (seen {} ago)", rough(age)) };
        self.within(seen.verdict.word(), &format!("{}{dated}", sentence(seen)));
        for line in &seen.evidence {
            self.within("", &format!("  {line}"));
        }
    }
}

fn by_pool(workers: &[WorkerReport]) -> BTreeMap<&str, Vec<&WorkerReport>> {
    let mut pools: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for worker in workers {
        pools.entry(worker.pool.as_str()).or_default().push(worker);
    }
    pools
}

/// `4 ready on 66, 1 draining on 65, which is old`.
fn in_short(workers: &[&WorkerReport]) -> String {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for worker in workers {
        // Those on the current release first.
        *counts.entry((!worker.current, worker.state, worker.release.as_deref())).or_default() += 1;
    }
    let told = counts.into_iter().map(|((old, state, release), count)| {
        let state = match state {
            WorkerState::Backoff => "waiting to start again",
            WorkerState::Starting | WorkerState::Ready | WorkerState::Draining | WorkerState::Ended => state.word(),
        };
        let on = release.map(|release| format!(" on {release}")).unwrap_or_default();
        let old = if old && release.is_some() { ", which is not current" } else { "" };
        format!("{count} {state}{on}{old}")
    });
    told.collect::<Vec<_>>().join("; ")
}

fn ledger_text(ledger: &LedgerView) -> String {
    let LedgerView {
        pushed,
        waiting,
        running,
        dead,
        done,
        skipped,
        cancelled,
        superseded,
        expired,
        discarded,
        adds_up,
    } = ledger;
    let sum = if *adds_up { "" } else { "            THIS DOES NOT ADD UP: the store has lost count of its jobs\n" };
    format!(
        "jobs        {pushed} pushed = {waiting} waiting + {running} running + {dead} dead\n            \
         + {done} done + {skipped} skipped + {cancelled} cancelled + {superseded} superseded + {expired} expired \
         + {discarded} discarded\n{sum}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: &str) -> Status {
        let rest = r#""app":"shop","store":"00ff","version":"0.1.0","judged":"2026-11-23T12:00:00Z","serving":true,
            "ledger":{"pushed":6,"waiting":1,"running":1,"dead":1,"done":1,"skipped":1,"cancelled":1,
            "superseded":0,"expired":0,"discarded":0,"adds_up":true}"#;
        serde_json::from_str(&format!("{{{rest},{json}}}")).unwrap()
    }

    fn shown(json: &str) -> String {
        page(&status(json), "2026-11-23T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn what_is_well_is_short() {
        let host = r#"{"host":"web1","heard":"2026-11-23T11:59:58Z","fresh":true,"version":"0.1.0","verdict":"ok",
            "observations":[{"subject":{"host":"web1"},"at":"2026-11-23T11:59:58Z","verdict":"ok","what":"it is up"}],
            "workers":[],"tree":{"root":"/srv/shop","current":"66"}}"#;
        insta::assert_snapshot!(shown(&format!(r#""verdict":"ok","findings":[],"hosts":[{host}]"#)), @r"
        ok: serving, app shop
        server      aloud 0.1.0, store 00ff
        judged      2026-11-23T12:00:00.000Z (now)
        host        web1: ok, heard 2s ago
                    current     66 in /srv/shop
        jobs        6 pushed = 1 waiting + 1 running + 1 dead
                    + 1 done + 1 skipped + 1 cancelled + 0 superseded + 0 expired + 0 discarded
        ");
    }

    #[test]
    fn what_is_not_well_is_told_once_with_its_evidence() {
        let worker = |id: u32, state: &str, release: &str, current: bool| {
            format!(
                r#"{{"id":"mail.{id}","pool":"mail","release":"{release}","generation":7,"state":"{state}","ready":null,
                "since":"2026-11-23T11:00:00Z","restarts":0,"current":{current}}}"#
            )
        };
        let workers = [
            worker(1, "draining", "65", false),
            worker(2, "ready", "66", true),
            worker(3, "ready", "66", true),
            worker(4, "backoff", "66", true),
        ];
        let web1 = format!(
            r#"{{"host":"web1","heard":"2026-11-23T11:59:58Z","fresh":true,"version":"0.1.0","verdict":"critical",
            "observations":[
            {{"subject":{{"workers":{{"host":"web1","pool":"mail"}}}},"at":"2026-11-23T11:59:58Z","verdict":"critical",
              "what":"one starts again and again","evidence":["mail.4 ended with status 1","Class \u001b[31mnot found"]}},
            {{"subject":{{"host":"web1"}},"at":"2026-11-23T11:58:00Z","verdict":"unknown","what":"its disk is full"}}],
            "workers":[{}],"tree":{{"root":"/srv/shop","current":"66"}}}}"#,
            workers.join(",")
        );
        let web2 = format!(
            r#"{{"host":"web2","heard":"2026-11-23T11:57:00Z","fresh":false,"version":"0.1.0","verdict":"unknown",
            "observations":[{{"subject":{{"host":"web2"}},"at":"2026-11-23T12:00:00Z","verdict":"unknown",
              "what":"host web2 has not reported since 2026-11-23T11:57:00.000Z"}}],"workers":[{}]}}"#,
            worker(1, "ready", "65", true)
        );
        let json = format!(
            r#""verdict":"critical","findings":["workers mail on web1: one starts again and again",
            "host web2 has not reported since 2026-11-23T11:57:00.000Z","the disk is nearly full",
            "queue mail: 12 jobs that are due, the oldest since 2026-11-23T11:50:00.000Z"],"hosts":[{web1},{web2}],
            "late":[{{"queue":"mail","oldest_due":"2026-11-23T11:50:00Z","late":"10m","ready":12}}],
            "paused":[{{"queue":"mail","by":"Ute","reason":"the relay is down","since":"2026-11-23T11:00:00Z",
              "until":"2026-11-23T13:00:00Z"}},
             {{"queue":"sms","by":"Ute","reason":"no credit","since":"2026-11-23T11:00:00Z"}}]"#
        );
        insta::assert_snapshot!(shown(&json), @r"
        critical: serving, app shop
        server      aloud 0.1.0, store 00ff
        judged      2026-11-23T12:00:00.000Z (now)
        finding     the disk is nearly full
        host        web1: critical, heard 2s ago
                    current     66 in /srv/shop
                    mail        2 ready on 66; 1 waiting to start again on 66; 1 draining on 65, which is not current
                    critical    workers mail on web1: one starts again and again
                                  mail.4 ended with status 1
                                  Class  [31mnot found
                    unknown     host web1: its disk is full (seen 2m ago)
        host        web2: unknown, heard 3m ago
                    mail        1 ready on 65 (when it was heard last)
                    unknown     host web2 has not reported since 2026-11-23T11:57:00.000Z
        late        mail: the oldest of 12 due jobs waits for 10m
        paused      mail by Ute until 2026-11-23T13:00:00.000Z (in 1h): the relay is down
        paused      sms by Ute until somebody resumes it: no credit
        jobs        6 pushed = 1 waiting + 1 running + 1 dead
                    + 1 done + 1 skipped + 1 cancelled + 0 superseded + 0 expired + 0 discarded
        ");
    }

    #[test]
    fn the_ledger_is_shown_as_the_sum_that_it_is() {
        let lost = LedgerView { adds_up: false, ..status(r#""findings":[]"#).ledger };
        insta::assert_snapshot!(ledger_text(&lost), @r"
        jobs        6 pushed = 1 waiting + 1 running + 1 dead
                    + 1 done + 1 skipped + 1 cancelled + 0 superseded + 0 expired + 0 discarded
                    THIS DOES NOT ADD UP: the store has lost count of its jobs
        ");
    }

    #[test]
    fn a_server_that_says_no_verdict_is_not_thought_well_of() {
        assert_eq!(status(r#""findings":[]"#).verdict, Verdict::Unknown);
    }
}
