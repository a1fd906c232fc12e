//! Looking: searches, pages, queues.

use job::{Again, JobId, JobRef, Outcome, Phase, Timestamp};

use super::bench::{Bench, MAIL, fail};
use crate::jobs::{QueueState, Search};

fn all() -> Search {
    Search { limit: 100, ..Search::default() }
}

async fn found(bench: &Bench, search: Search) -> Vec<u64> {
    bench.search_all(search).await.into_iter().map(|id| id.0).collect()
}

/// Ten jobs: 1 to 6 are live, 7 and 8 dead, 9 and 10 ended.
async fn ten_jobs(bench: &mut Bench) {
    let drafts = [
        bench.job("waits").due_in(60),
        bench.job("waits").key("k"),
        bench.job("runs").priority(0),
        bench.job("fails").priority(1),
        bench.job("asked").guarded(),
        bench.job("waits").queue("maps").key("k"),
        bench.job("bad").queue("early"),
        bench.job("bad").queue("early"),
        bench.job("good").queue("early"),
        bench.job("good").queue("early").due_in(60),
    ];
    bench.push(drafts).await;
    let [_, fails] = bench.claim(2).await.try_into().unwrap();
    bench.fail(&fails).await.unwrap();
    bench.question().await;
    let [first, second, good] = bench.claim_from(&["early"], 3).await.try_into().unwrap();
    bench.finish(&first, fail(Again::Never)).await.unwrap();
    bench.finish(&second, fail(Again::Never)).await.unwrap();
    bench.done(&good).await.unwrap();
    bench.cancel(JobId(10)).await;
}

/// Live jobs come first, then the dead, then the ended; in each the newest.
pub async fn a_search_lists_the_newest_first(bench: &mut Bench) {
    assert_eq!(bench.search(all()).await, crate::jobs::Page::default());
    ten_jobs(bench).await;
    for _ in 0..2 {
        let page = bench.search(all()).await;
        let ids: Vec<_> = page.jobs.iter().map(|found| found.job.id.0).collect();
        assert_eq!(ids, [6, 5, 4, 3, 2, 1, 8, 7, 10, 9]);
        assert_eq!((page.next, page.searched, page.of), (None, 10, 10));
        for found in page.jobs {
            assert_eq!(bench.look(JobRef::Id(found.job.id)).await, Some(found));
        }
        bench.reopen().await;
    }
}

/// Everything that is looked for must fit.
pub async fn a_search_finds_what_fits(bench: &mut Bench) {
    ten_jobs(bench).await;
    let in_phases = |phases: &[Phase]| Search { phases: phases.to_vec(), ..all() };
    let cases = [
        (in_phases(&[Phase::Scheduled]), vec![1]),
        (in_phases(&[Phase::Ready]), vec![6, 2]),
        (in_phases(&[Phase::Checking]), vec![5]),
        (in_phases(&[Phase::Running]), vec![3]),
        (in_phases(&[Phase::Retrying]), vec![4]),
        (in_phases(&[Phase::Dead]), vec![8, 7]),
        (in_phases(&[Phase::Ended]), vec![10, 9]),
        (in_phases(&[Phase::Ended, Phase::Running, Phase::Dead]), vec![3, 8, 7, 10, 9]),
        (Search { outcome: Some(Outcome::Done), ..all() }, vec![9]),
        (Search { outcome: Some(Outcome::Expired), ..all() }, vec![]),
        (Search { outcome: Some(Outcome::Done), ..in_phases(&[Phase::Running]) }, vec![]),
        (Search { queue: Some("early".parse().unwrap()), ..all() }, vec![8, 7, 10, 9]),
        (Search { queue: Some("nothing".parse().unwrap()), ..all() }, vec![]),
        (Search { kind: Some("waits".parse().unwrap()), ..all() }, vec![6, 2, 1]),
        (Search { key: Some("k".parse().unwrap()), ..all() }, vec![6, 2]),
        (Search { key: Some("k".parse().unwrap()), queue: Some(MAIL.parse().unwrap()), ..all() }, vec![2]),
    ];
    for (search, wanted) in cases {
        assert_eq!(found(bench, search.clone()).await, wanted, "{search:?}");
        let in_pages = Search { limit: 1, ..search };
        assert_eq!(found(bench, in_pages.clone()).await, wanted, "{in_pages:?}");
    }
}

/// Phases are those of the moment of the search.
pub async fn a_search_sees_what_time_has_done(bench: &mut Bench) {
    ten_jobs(bench).await;
    bench.pass(30).await;
    let ready = Search { phases: vec![Phase::Ready], ..all() };
    assert_eq!(found(bench, ready.clone()).await, [6, 5, 4, 2]);
    bench.pass(30).await;
    assert_eq!(found(bench, ready).await, [6, 5, 4, 3, 2, 1]);
}

/// Page by page each job is found once, whatever the size of a page.
pub async fn pages_join_without_gap_or_overlap(bench: &mut Bench) {
    ten_jobs(bench).await;
    for limit in [0, 1, 2, 3, 7, 10, 11] {
        let (mut ids, mut searched) = (Vec::new(), 0);
        let mut search = Search { limit, ..Search::default() };
        loop {
            let page = bench.search(search.clone()).await;
            assert!(page.jobs.len() <= limit.max(1));
            assert_eq!(page.of, 10);
            searched += page.searched;
            ids.extend(page.jobs.iter().map(|found| found.job.id.0));
            match page.next {
                Some(next) => search.after = Some(next),
                None => break,
            }
        }
        assert_eq!((ids, searched), (vec![6, 5, 4, 3, 2, 1, 8, 7, 10, 9], 10), "with {limit} a page");
    }
}

/// Who reads on is not disturbed by what is pushed meanwhile.
pub async fn a_page_goes_on_where_the_last_ended(bench: &mut Bench) {
    ten_jobs(bench).await;
    let first = bench.search(Search { limit: 3, ..all() }).await;
    let drafts = [bench.job("newer"), bench.job("newer")];
    bench.push(drafts).await;
    bench.cancel(JobId(2)).await;
    let rest = found(bench, Search { after: first.next, ..all() }).await;
    assert_eq!(rest, [3, 1, 8, 7, 10, 9, 2]);
}

/// Each queue says how many of its jobs are where.
pub async fn queues_say_how_they_stand(bench: &mut Bench) {
    assert!(bench.queues().await.is_empty());
    ten_jobs(bench).await;
    let oldest_due = Some(bench.now().wall);
    let empty = |name: &str| QueueState {
        name: name.parse().unwrap(),
        scheduled: 0,
        ready: 0,
        running: 0,
        retrying: 0,
        dead: 0,
        oldest_due: None,
        pause: None,
    };
    let wanted = [
        QueueState { dead: 2, ..empty("early") },
        QueueState { scheduled: 1, ready: 2, running: 1, retrying: 1, oldest_due, ..empty(MAIL) },
        QueueState { ready: 1, oldest_due, ..empty("maps") },
    ];
    for asked in [1, 0] {
        assert_eq!(bench.queues().await, wanted, "with {asked} guards being asked");
        bench.reopen().await;
    }
    bench.pass(60).await;
    let mail = QueueState { ready: 5, oldest_due, ..empty(MAIL) };
    assert_eq!(bench.queue(MAIL).await, mail);
}

/// The oldest due time is that of the job that has waited longest, in whole
/// seconds.
pub async fn a_queue_says_since_when_its_oldest_job_is_due(bench: &mut Bench) {
    bench.clock().step(1_234_567);
    let start = bench.now().wall;
    let whole = |time: Timestamp| Some(Timestamp(time.0 / 1_000_000 * 1_000_000));
    let oldest = async |bench: &Bench| bench.queue(MAIL).await.oldest_due;
    let drafts = [bench.job("a").due_in(60), bench.job("b").due_at(30), bench.job("c")];
    bench.push(drafts).await;
    assert_eq!(oldest(bench).await, whole(start));
    bench.take().await;
    assert_eq!(oldest(bench).await, None);
    bench.pass(100).await;
    assert_eq!(oldest(bench).await, whole(start + job::Span::from_secs(30)));
    bench.reopen().await;
    assert_eq!(oldest(bench).await, whole(start + job::Span::from_secs(30)));
    bench.cancel(JobId(2)).await;
    assert_eq!(oldest(bench).await, whole(start + job::Span::from_secs(60)));
    bench.revive(JobId(1)).await;
    assert_eq!(oldest(bench).await, whole(start + job::Span::from_secs(100)), "revived, and rescued, just now");
}
