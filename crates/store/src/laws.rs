//! What every store promises, in sentences.
//!
//! A law is an async function that works on a [`Bench`]. It asks only through
//! the traits, never which store it runs on. [`laws!`](crate::laws!) makes a
//! test of each for a store: it is given an expression that makes a [`Maker`],
//! and is written once in a test file:
//!
//! ```ignore
//! store::laws!(InMemory::default());
//! ```
//!
//! [`Through`](makers::Through) puts a fault around the stores of any maker. No
//! law is left out there: the bench does what a correct caller does. Answers are
//! lost only of calls that may be repeated
//! ([`may_be_repeated`](crate::faults::Verb::may_be_repeated)), for of the others
//! no caller can tell what came of them.
//!
//! To add a law, write it in the module of its noun and name it in the list
//! below; a test holds the list to the modules.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a law is a test that is compiled for other crates' tests, where these are how a test fails"
)]

use std::time::Duration;

pub mod bench;
pub mod draft;
pub mod makers;

pub mod cancelling;
pub mod claiming;
pub mod clocks;
pub mod counting;
pub mod expiring;
pub mod finishing;
pub mod guards;
pub mod keeping;
pub mod keys;
pub mod leases;
pub mod looking;
pub mod pausing;
pub mod pushing;
pub mod repeating;
pub mod retrying;
pub mod ringing;
pub mod together;

pub use bench::{Bench, Maker};

/// Looks at one law, and then at the ledger, which must add up after each.
pub async fn hold(maker: impl Maker + 'static, law: impl AsyncFnOnce(&mut Bench)) {
    let mut bench = Bench::new(maker);
    let look = async {
        law(&mut bench).await;
        let recount = bench.recount().await;
        assert!(recount.agrees(), "the ledger does not add up: {recount:?}");
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("the store answers");
}

/// Makes a test of each law, for the stores that the given [`bench::Maker`]
/// makes.
#[macro_export]
macro_rules! laws {
    ($maker:expr) => {
        $crate::laws! { @list $maker;
            pushing {
                a_pushed_job_waits_as_it_was_pushed
                the_longest_payload_comes_back_byte_for_byte
                jobs_are_numbered_in_the_order_in_which_they_are_pushed
                a_push_of_nothing_changes_nothing
                a_client_id_is_accepted_once
                a_client_id_counts_within_one_push
                a_client_id_is_free_when_its_job_was_removed
                a_client_id_that_was_not_accepted_stays_free
                a_known_client_id_comes_before_a_held_key
                a_job_is_found_by_both_forms_of_its_id
                the_number_of_queues_is_bounded
                a_queue_is_known_after_its_jobs_are_gone
            }
            keys {
                a_held_key_keeps_the_first_job
                a_held_key_rejects_who_asks_for_that
                a_newer_job_takes_the_place_of_the_one_that_waits
                replacing_again_and_again_leaves_the_last
                a_key_is_held_in_one_queue_only
                later_jobs_of_a_push_see_the_keys_of_earlier_ones
                a_key_is_free_when_its_job_starts
                a_key_is_free_when_its_job_waits_no_longer
                a_job_that_comes_back_holds_its_key_again
                a_failed_job_gives_way_to_a_newer_one_with_its_key
                a_snoozed_job_gives_way_to_a_newer_one_with_its_key
                a_rescued_job_gives_way_to_a_newer_one_with_its_key
                a_job_that_would_not_wait_does_not_mind_its_key
                of_two_runs_with_one_key_one_waits_again
                of_two_lost_runs_with_one_key_the_earlier_lease_waits_again
                a_dead_job_whose_key_is_held_is_not_revived
                an_expired_holder_gives_way
                a_late_holder_gives_way
                a_dead_job_is_revived_over_a_late_holder
                keys_are_held_over_a_restart
            }
            claiming {
                jobs_are_claimed_by_queue_then_priority_then_age
                the_order_holds_over_many_claims_and_a_restart
                a_claim_takes_no_more_than_its_limit
                a_claim_and_a_page_hold_only_so_many_bytes
                a_job_is_handed_out_once
                a_job_is_not_claimed_before_it_is_due
                a_job_that_is_pushed_due_is_claimable_at_once
                a_claimed_job_runs_under_its_lease
                own_kinds_are_not_handed_to_those_who_ask_for_queues
                a_kind_is_claimed_through_all_queues
                a_kind_of_others_cannot_be_claimed_as_ones_own
                another_set_of_own_kinds_counts_after_a_restart
                a_thousand_jobs_are_handed_out_once_each
            }
            finishing {
                a_done_job_is_over
                a_run_that_has_nothing_to_do_ends_as_skipped
                the_error_of_a_failed_run_is_kept
                endless_texts_are_cut
                a_late_ack_changes_nothing
                a_lease_is_good_for_one_end
                an_end_without_the_right_changes_nothing
                a_run_is_ended_by_either_form_of_the_id
                no_ends_change_nothing
            }
            retrying {
                a_failed_job_waits_ever_longer_and_then_is_dead
                jitter_spreads_what_failed_together
                a_worker_may_ask_for_a_longer_wait
                a_permanent_failure_is_not_tried_again
                a_snooze_spends_no_attempt
                a_snooze_of_no_time_is_due_at_once
                every_attempt_is_another_one
                a_revived_job_has_all_its_attempts_again
                a_waiting_job_can_be_made_due
                only_what_rests_is_revived_or_deleted
                a_deleted_job_is_over
            }
            leases {
                a_lease_that_runs_out_is_rescued
                a_job_that_was_rescued_too_often_is_dead
                a_lease_counts_until_its_job_was_rescued
                an_extension_moves_the_end_of_a_lease
                an_extension_may_shorten_a_lease
                an_extension_without_the_right_changes_nothing
                leases_survive_a_restart_with_token_and_deadline
                a_lease_does_not_mind_the_wall_clock
                lost_jobs_are_rescued_in_the_order_of_their_deadlines
            }
            guards {
                a_guarded_job_does_not_run_unasked
                a_yes_lets_the_job_run
                a_yes_goes_stale
                a_yes_does_not_mind_the_wall_clock
                a_no_ends_the_job_as_skipped
                an_error_puts_off_the_next_question
                a_question_is_open_once
                guards_are_asked_in_the_order_of_claims
                a_guard_is_not_asked_before_its_job_could_run
                a_question_without_an_answer_is_asked_anew
                an_answer_to_no_open_question_changes_nothing
                an_answer_that_was_overtaken_does_not_count
                a_revived_job_is_asked_at_once
                each_run_needs_its_own_yes
                questions_do_not_survive_a_restart
                no_guard_is_asked_about_expired_or_late_work
                a_yes_does_not_outlive_the_job
                a_yes_does_not_make_a_job_due
            }
            cancelling {
                a_cancelled_job_never_starts
                a_job_between_its_runs_can_be_cancelled
                what_does_not_wait_cannot_be_cancelled
                a_job_is_cancelled_by_its_client_id
                a_key_cancels_the_job_that_waits_with_it
                a_key_of_the_dead_and_the_ended_is_unknown
                a_job_whose_guard_is_asked_can_be_cancelled
                a_job_whose_guard_said_yes_can_be_cancelled
            }
            expiring {
                a_waiting_job_expires
                an_expired_job_is_not_claimed
                a_running_job_does_not_expire
                a_rescued_job_expires
                an_expiry_keeps_to_its_clock
                a_job_expires_after_a_restart
                a_dead_job_does_not_expire
                late_work_is_run_by_default
                late_work_is_held_where_the_queue_says_so
                late_work_is_expired_where_the_queue_says_so
                work_is_late_after_its_time
                late_work_with_a_guard_is_found_by_its_question
                late_work_behind_a_full_claim_is_left_alone
            }
            pausing {
                a_paused_queue_hands_out_nothing
                a_pause_stops_only_claims
                a_pause_ends_by_itself
                a_pause_keeps_to_its_clock
                a_newer_pause_replaces_the_older
                pauses_are_shown
            }
            clocks {
                a_delay_does_not_mind_the_wall_clock
                an_appointment_follows_the_wall_clock
                a_run_does_not_mind_the_wall_clock
                nothing_to_come_is_said_to_be_nothing
                who_comes_back_as_told_is_never_late
                time_passes_in_slices
            }
            ringing {
                a_push_is_heard
                a_job_that_falls_due_is_heard
                a_claim_is_heard_by_the_timers
                a_shorter_lease_is_heard_by_the_timers
                a_job_that_comes_back_is_heard
                a_revived_job_is_heard
                a_queue_that_goes_on_is_heard
                what_becomes_of_a_question_is_heard
                what_waits_is_heard_after_a_restart
            }
            keeping {
                a_restart_changes_no_job
                an_id_is_never_given_twice
                ended_jobs_are_removed_in_time
                only_what_ended_is_removed
                ended_jobs_are_removed_in_slices
                a_clock_set_back_removes_nothing
                a_store_remembers_who_it_is
                a_store_remembers_the_clocks
                a_closed_store_is_closed
            }
            looking {
                a_search_lists_the_newest_first
                a_search_finds_what_fits
                a_search_sees_what_time_has_done
                pages_join_without_gap_or_overlap
                a_page_goes_on_where_the_last_ended
                queues_say_how_they_stand
                a_queue_says_since_when_its_oldest_job_is_due
            }
            counting {
                the_ledger_counts_every_step
                what_changes_nothing_is_not_counted
                the_ledger_outlives_what_it_counted
            }
            repeating {
                a_push_with_client_ids_can_be_repeated
                calls_take_effect_in_their_order
                an_end_can_be_repeated
            }
            together {
                what_is_done_at_once_is_done_in_some_order
                a_claim_and_a_cancel_at_once_agree
            }
        }
    };
    (@list $maker:expr; $($noun:ident { $($law:ident)* })*) => {
        $(mod $noun {
            use super::*;
            $(#[tokio::test]
            async fn $law() {
                $crate::laws::hold($maker, $crate::laws::$noun::$law).await;
            })*
        })*
    };
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn every_law_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/laws");
        let list = std::fs::read_to_string(folder.with_extension("rs")).unwrap();
        let (_, list) = list.split_once("@list $maker;").unwrap();
        let (list, _) = list.split_once("(@list").unwrap();
        let mut laws = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                continue; // What the bench is made of; laws are in files.
            }
            let noun = path.file_stem().unwrap().to_str().unwrap();
            let of_noun =
                list.split_once(&format!(" {noun} {{")).map_or("", |(_, rest)| rest.split('}').next().unwrap());
            let listed: Vec<_> = of_noun.split_whitespace().collect();
            let text = std::fs::read_to_string(&path).unwrap();
            let written: Vec<_> = text
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('(').map(|(name, _)| name))
                .collect();
            assert_eq!(listed, written, "the list of {noun} in laws.rs");
            laws += written.len();
        }
        assert!(laws > 100);
    }
}
