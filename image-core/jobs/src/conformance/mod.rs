//! What every engine must pass: one suite, whatever keeps the jobs.
//!
//! ```ignore
//! conformance::run(&|| Box::new(MyRig::new()), conformance::CASES);
//! ```

#![allow(clippy::unwrap_used)] // a case fails by panicking

mod api;
mod ending;
mod leases;
mod order;
mod rig;
mod watching;

pub use rig::{Rig, new_job, settings, worker};

/// A case of the suite.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What it shows.
    pub name: &'static str,
    /// Panics if the engine does not.
    pub run: fn(&dyn Rig),
}

macro_rules! cases {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$(Case { name: stringify!($name), run: $module::$name }),*]
    };
}

/// All cases.
pub const CASES: &[Case] = cases![
    api::the_same_key_is_the_same_job,
    api::a_result_folder_is_of_one_job_at_a_time,
    api::bad_jobs_are_refused_by_name,
    api::unknown_jobs_are_said_to_be_unknown,
    api::lists_have_filters_and_pages,
    api::a_full_queue_refuses,
    api::a_job_that_was_done_before_ends_at_once,
    api::what_was_answered_is_there_after_a_restart,
    leases::a_job_goes_to_one_worker_and_ends_once,
    leases::a_lease_that_runs_out_goes_to_another_worker_and_the_first_can_write_nothing,
    leases::signs_of_life_keep_a_lease,
    leases::many_workers_take_each_job_once,
    leases::what_is_given_back_is_no_try,
    ending::cancelling_takes_from_the_queue_or_tells_the_worker,
    ending::a_job_that_kills_its_workers_is_dead_with_the_reason,
    ending::failures_end_a_job_or_try_again,
    ending::a_deadline_ends_what_waits,
    ending::what_has_ended_can_be_purged_and_is_kept_no_longer_than_said,
    order::high_goes_first_and_nobody_starves,
    order::jobs_go_where_they_can_run,
    order::a_held_scan_is_left_to_its_holder_for_a_while,
    watching::events_come_once_and_in_order_and_can_be_resumed,
    watching::a_watcher_waits_for_news,
    watching::events_of_a_job_are_bounded,
];

/// Runs all cases, each on an empty rig; panics at the end with the names of those that failed.
///
/// # Panics
/// If a case fails.
pub fn run(rig: &dyn Fn() -> Box<dyn Rig>) {
    let mut failed = Vec::new();
    for case in CASES {
        let rig = rig();
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (case.run)(&*rig)));
        if ran.is_err() {
            failed.push(case.name);
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} cases failed: {failed:?}",
        failed.len(),
        CASES.len()
    );
}
