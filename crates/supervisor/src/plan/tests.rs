use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy {
    count: 4,
    surge: 1,
    min_ready: Span::ZERO,
    ready_within: Span::from_secs(60),
    quiet_within: Span::from_secs(5),
    stop_within: Span::from_secs(30),
};

fn at(secs: i64) -> Mono {
    Mono(secs * 1_000_000)
}

fn id(generation: u64, slot: u16, tag: u32) -> WorkerId {
    WorkerId::new("mail".parse().unwrap(), slot, Generation(generation), tag)
}

/// A generation whose places, from the first, are as the letters say: `s`
/// starting, `r` ready, `q` quieting, `t` asked to end, `k` killed, `e` ended
/// but for its children, `w` waiting to be started again, `.` empty.
fn team(generation: u64, places: &str, can_start: bool) -> Team {
    let mut team = Team {
        generation: Generation(generation),
        can_start,
        progress: at(0),
        alike: 0,
        members: Vec::new(),
        waiting: Vec::new(),
    };
    for (slot, letter) in (1..).zip(places.chars()) {
        let since = at(0);
        let phase = match letter {
            's' => Phase::Starting,
            'r' => Phase::Ready { since },
            'q' => Phase::Quieting { since, quiet: false },
            't' => Phase::Stopping { since },
            'k' => Phase::Killed,
            'e' => Phase::Ended,
            'w' => {
                team.waiting.push((slot, at(100)));
                continue;
            }
            _ => continue,
        };
        team.members.push(Member { id: id(generation, slot, 0), phase });
    }
    team
}

fn pool(target: u64, on_trial: bool, teams: Vec<Team>) -> Standing {
    Standing { policy: POLICY, target: Some(Generation(target)), on_trial, teams }
}

fn told(steps: &[Action]) -> String {
    let one = |step: &Action| match step {
        Action::Start { generation, slot } => format!("start {generation}/{slot}"),
        Action::Quiet(id) => format!("quiet {}/{}", id.generation(), id.slot()),
        Action::Stop(id) => format!("stop {}/{}", id.generation(), id.slot()),
        Action::Kill(id) => format!("kill {}/{}", id.generation(), id.slot()),
        Action::Hold(Why::EndAlike { .. }) => "hold: alike".into(),
        Action::Hold(Why::NotReady { .. }) => "hold: late".into(),
        Action::Fail(Why::EndAlike { .. }) => "fail: alike".into(),
        Action::Fail(Why::NotReady { .. }) => "fail: late".into(),
        Action::Arrived => "arrived".into(),
    };
    steps.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn check(pool: &Standing, expect: &str) {
    assert_eq!(told(&plan(pool, at(1))), expect, "{pool:?}");
}

#[test]
fn the_first_generation_starts_all_at_once_and_arrives_when_all_are_ready() {
    check(&pool(1, true, vec![team(1, "", true)]), "start g1/1, start g1/2, start g1/3, start g1/4");
    check(&pool(1, true, vec![team(1, "rssr", true)]), "");
    check(&pool(1, true, vec![team(1, "rrrr", true)]), "arrived");
    check(&pool(1, false, vec![team(1, "rrrr", true)]), "");
    check(&pool(1, true, vec![team(1, "", false)]), "");
}

#[test]
fn an_empty_place_is_filled_unless_it_has_to_wait() {
    check(&pool(1, false, vec![team(1, "r.rr", true)]), "start g1/2");
    check(&pool(1, false, vec![team(1, "rwrr", true)]), "");
    check(&pool(1, false, vec![team(1, "rerr", true)]), "start g1/2");
    check(&pool(1, false, vec![team(1, "wwww", true)]), "");
    check(&pool(1, false, vec![team(1, "w.ww", true)]), "start g1/2");
}

#[test]
fn a_roll_starts_beside_the_old_and_ends_one_old_for_each_new_that_is_ready() {
    let roll = |old: &str, new: &str| pool(2, true, vec![team(1, old, true), team(2, new, true)]);
    check(&roll("rrrr", ""), "start g2/1");
    check(&roll("rrrr", "s"), "");
    check(&roll("rrrr", "r"), "quiet g1/4, start g2/2");
    check(&roll("rrrq", "rs"), "");
    check(&roll("rrrt", "rr"), "quiet g1/3, start g2/3");
    check(&roll("r...", "rrrr"), "quiet g1/1");
    check(&roll("q", "rrrr"), "");
    check(&roll("e", "rrrr"), "");
    check(&roll("", "rrrr"), "arrived");
}

#[test]
fn while_a_roll_is_on_its_way_the_old_generation_is_kept_full() {
    let roll = |old: &str, new: &str| pool(2, true, vec![team(1, old, true), team(2, new, true)]);
    check(&roll("rr.r", "s"), "start g1/3");
    check(&roll("rrw.", "r"), "start g2/2");
    check(&roll("rsrr", "r"), "quiet g1/2, start g2/2");
}

#[test]
fn without_an_old_release_the_new_one_fills_up_at_once() {
    let roll = |old: &str, new: &str| pool(2, true, vec![team(1, old, false), team(2, new, true)]);
    check(&roll("rrrr", ""), "start g2/1");
    check(&roll("rr", ""), "start g2/1, start g2/2, start g2/3");
    check(&roll("", "w"), "start g2/2, start g2/3, start g2/4");
}

#[test]
fn a_generation_that_fails_is_given_up_if_another_serves_and_only_then() {
    let alike = |old: &str, can_start| {
        let new = Team { alike: 3, ..team(2, "w", true) };
        pool(2, true, vec![team(1, old, can_start), new])
    };
    check(&alike("rrrr", true), "hold: alike");
    check(&alike("ssss", true), "fail: alike");
    assert!(told(&plan(&alike("", false), at(1))).ends_with("fail: alike"));
    let late = pool(2, true, vec![team(1, "rrrr", true), team(2, "s", true)]);
    assert_eq!(told(&plan(&late, at(59))), "");
    assert_eq!(told(&plan(&late, at(60))), "hold: late");
    assert_eq!(wake(&late, at(1)), Some(at(60)));
    let draining = pool(2, true, vec![team(1, "k", true), team(2, "rrrr", true)]);
    assert_eq!(told(&plan(&draining, at(600))), "", "all that is new is ready: the old may take its time");
}

#[test]
fn a_hold_moves_back_without_a_gap() {
    let back = |old: &str, new: &str| pool(1, false, vec![team(1, old, true), team(2, new, false)]);
    check(&back("rr", "rrw"), "start g1/3");
    check(&back("rrs", "rr"), "");
    check(&back("rrr", "rr"), "quiet g2/2, start g1/4");
    check(&back("rrrr", "s"), "quiet g2/1");
    check(&back("rrqq", "rr"), "start g1/3");
}

#[test]
fn whoever_leaves_is_quieted_asked_and_killed_each_in_its_time() {
    let leaving = |letter: &str| pool(2, false, vec![team(1, letter, false), team(2, "rrrr", true)]);
    let steps = |letter, secs| told(&plan(&leaving(letter), at(secs)));
    assert_eq!(steps("q", 4), "");
    assert_eq!(steps("q", 5), "stop g1/1");
    assert_eq!(steps("t", 29), "");
    assert_eq!(steps("t", 30), "kill g1/1");
    assert_eq!(steps("k", 999), "");
    let mut quiet = leaving("q");
    quiet.teams[0].members[0].phase = Phase::Quieting { since: at(0), quiet: true };
    check(&quiet, "stop g1/1");
}

#[test]
fn when_fewer_are_wanted_the_last_places_go_and_when_none_is_all_go() {
    let mut fewer = pool(1, false, vec![team(1, "rrrr", true)]);
    fewer.policy.count = 2;
    check(&fewer, "quiet g1/4, quiet g1/3");
    fewer.policy.count = 0;
    fewer.teams.push(team(2, "s", false));
    check(&fewer, "quiet g2/1, quiet g1/4, quiet g1/3, quiet g1/2, quiet g1/1");
    let none = Standing { target: None, ..pool(1, false, vec![]) };
    check(&none, "");
}

#[test]
fn one_that_was_not_ready_for_long_enough_does_not_count() {
    let mut roll = pool(2, true, vec![team(1, "rrrr", true), team(2, "r", true)]);
    roll.policy.min_ready = Span::from_secs(10);
    assert_eq!(told(&plan(&roll, at(9))), "");
    assert_eq!(told(&plan(&roll, at(10))), "quiet g1/4, start g2/2");
    assert_eq!(wake(&roll, at(1)), Some(at(10)));
}

proptest! {
    /// Whatever state two generations are in: the plan itself never takes the
    /// number of ready workers below what it was, or below what is asked for.
    #[test]
    fn a_plan_never_takes_away_what_is_needed(
        old in "[srqtkew.]{0,6}", new in "[srqtkew.]{0,6}", can_start: bool, target in 1_u64..3, on_trial: bool,
    ) {
        let teams = vec![team(1, &old, can_start || target == 1), team(2, &new, can_start || target == 2)];
        let pool = pool(target, on_trial, teams);
        let steps = plan(&pool, at(1));
        let ready = |member: &&Member| matches!(member.phase, Phase::Ready { .. });
        let before = pool.teams.iter().flat_map(|team| &team.members).filter(ready).count();
        let taken = pool.teams.iter().flat_map(|team| &team.members).filter(ready)
            .filter(|member| steps.contains(&Action::Quiet(member.id.clone()))).count();
        prop_assert!(before - taken >= before.min(usize::from(POLICY.count)), "{} {:?}", told(&steps), pool);
        let started = steps.iter().filter(|step| matches!(step, Action::Start { .. })).count();
        let active = pool.teams.iter().flat_map(|team| &team.members).filter(|m| is_active(m)).count();
        prop_assert!(started == 0 || active + started <= usize::from(POLICY.count + POLICY.surge), "{}", told(&steps));
    }
}
