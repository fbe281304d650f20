//! Every transition, and random sequences of them.

use proptest::prelude::*;

use super::*;
use crate::needs::Needs;
use crate::priority::Priority;
use crate::{JobId, NewJob};

fn new(max_attempts: u32) -> NewJob {
    NewJob {
        key: "k".into(),
        tenant: String::new(),
        priority: Priority::Normal,
        request: "{}".into(),
        output: "results/k".into(),
        needs: Needs::default(),
        scan: None,
        witness: String::new(),
        deadline_unix_ms: None,
        max_attempts,
        attached: false,
        reuse: false,
    }
}

fn lease() -> JobEvent {
    JobEvent::Lease {
        worker: "w".into(),
        process: "p".into(),
    }
}

fn result() -> JobResult {
    JobResult {
        record_sha256: "0".into(),
        input_sha256: None,
        reused_from: None,
    }
}

fn failure() -> JobFailure {
    JobFailure {
        code: "invalid_input".into(),
        message: "broken".into(),
    }
}

/// All events that there are; those of a worker with this fence.
fn events(fence: u64) -> Vec<(&'static str, JobEvent)> {
    let fail = |again| JobEvent::Fail {
        fence,
        failure: failure(),
        again,
    };
    vec![
        ("lease", lease()),
        (
            "beat",
            JobEvent::Beat {
                fence,
                progress: None,
                events: 2,
            },
        ),
        ("seal", JobEvent::Seal { fence }),
        (
            "complete",
            JobEvent::Complete {
                fence,
                result: result(),
            },
        ),
        ("fail", fail(false)),
        ("fail_again", fail(true)),
        (
            "stopped_cancelled",
            JobEvent::Stopped {
                fence,
                why: Stop::Cancelled,
            },
        ),
        (
            "stopped_expired",
            JobEvent::Stopped {
                fence,
                why: Stop::Expired,
            },
        ),
        ("give_back", JobEvent::GiveBack { fence }),
        (
            "lease_lost",
            JobEvent::LeaseLost {
                reason: "died".into(),
            },
        ),
        ("cancel", JobEvent::Cancel),
        ("deadline", JobEvent::DeadlinePassed),
        ("retry", JobEvent::Retry),
    ]
}

/// A job in a state, by the shortest way.
fn in_state(state: JobState) -> Job {
    let mut job = Job::queued(new(1), 1, 0);
    let way: Vec<JobEvent> = match state {
        JobState::Queued => vec![],
        JobState::Running => vec![lease()],
        JobState::Succeeded => vec![
            lease(),
            JobEvent::Complete {
                fence: 1,
                result: result(),
            },
        ],
        JobState::Failed => vec![
            lease(),
            JobEvent::Fail {
                fence: 1,
                failure: failure(),
                again: false,
            },
        ],
        JobState::Cancelled => vec![JobEvent::Cancel],
        JobState::Expired => vec![JobEvent::DeadlinePassed],
        JobState::Dead => vec![
            lease(),
            JobEvent::LeaseLost {
                reason: "died".into(),
            },
        ],
    };
    for event in way {
        job.apply(event, 1).unwrap();
    }
    assert_eq!(job.state, state);
    job
}

/// The whole table: every event in every state.
#[test]
fn every_transition_is_allowed_or_refused() {
    use JobState::{Cancelled, Dead, Expired, Failed, Queued, Running, Succeeded};
    // of a job that may be tried once; what is not here is refused
    let allowed = [
        (Queued, "lease", Running),
        (Queued, "cancel", Cancelled),
        (Queued, "deadline", Expired),
        (Running, "beat", Running),
        (Running, "seal", Running),
        (Running, "complete", Succeeded),
        (Running, "fail", Failed),
        (Running, "fail_again", Dead),
        (Running, "stopped_expired", Expired),
        (Running, "give_back", Queued),
        (Running, "lease_lost", Dead),
        (Running, "cancel", Running),
        (Cancelled, "cancel", Cancelled),
        (Failed, "retry", Queued),
        (Cancelled, "retry", Queued),
        (Expired, "retry", Queued),
        (Dead, "retry", Queued),
    ];
    for state in JobState::ALL {
        for (name, event) in events(in_state(state).fence) {
            let before = in_state(state);
            let mut job = before.clone();
            let expected = allowed
                .iter()
                .find(|(from, event, _)| (*from, *event) == (state, name));
            match (job.apply(event, 2), expected) {
                (Ok(()), Some((_, _, to))) => assert_eq!(job.state, *to, "{state} {name}"),
                (Err(_), None) => assert_eq!(job, before, "{state} {name}: a refusal changes nothing"),
                (got, _) => panic!("{state} {name}: {got:?}"),
            }
        }
    }
}

#[test]
fn only_the_last_lease_counts() {
    let mut job = Job::queued(new(3), 1, 0);
    job.apply(lease(), 1).unwrap();
    job.apply(
        JobEvent::LeaseLost {
            reason: "silent".into(),
        },
        2,
    )
    .unwrap();
    assert_eq!(job.state, JobState::Queued);
    job.apply(lease(), 3).unwrap();
    assert_eq!((job.fence, job.attempts, job.executions), (2, 2, 2));
    for (name, event) in events(1) {
        let is_workers = !["lease", "lease_lost", "cancel", "deadline", "retry"].contains(&name);
        if is_workers {
            let refused = job.clone().apply(event, 4).unwrap_err();
            assert!(
                matches!(
                    refused,
                    Refused::LeaseOver {
                        fence: 1,
                        current: 2,
                        ..
                    }
                ),
                "{name}"
            );
        }
    }
}

#[test]
fn a_job_that_is_cancelled_while_it_runs_never_runs_again() {
    for (name, event) in events(1) {
        let mut job = Job::queued(new(3), 1, 0);
        job.apply(lease(), 1).unwrap();
        job.apply(JobEvent::Cancel, 2).unwrap();
        if job.apply(event, 3).is_err() {
            continue;
        }
        let expected = match name {
            "complete" => JobState::Succeeded, // its result is there
            "fail" => JobState::Failed,
            "stopped_expired" => JobState::Expired,
            "beat" | "seal" | "cancel" => JobState::Running,
            _ => JobState::Cancelled,
        };
        assert_eq!(job.state, expected, "{name}");
    }
}

#[test]
fn what_is_given_back_is_no_try_and_a_retry_begins_anew() {
    let mut job = Job::queued(new(1), 1, 0);
    for n in 1..=5 {
        job.apply(lease(), 1).unwrap();
        assert_eq!((job.attempts, job.executions), (1, n));
        job.apply(JobEvent::GiveBack { fence: job.fence }, 2).unwrap();
        assert_eq!(job.state, JobState::Queued);
    }
    job.apply(lease(), 3).unwrap();
    job.apply(
        JobEvent::LeaseLost {
            reason: "died".into(),
        },
        4,
    )
    .unwrap();
    assert_eq!(job.state, JobState::Dead);
    assert_eq!(job.failure.as_ref().unwrap().message, "died");
    job.new.deadline_unix_ms = Some(3);
    job.apply(JobEvent::Retry, 5).unwrap();
    assert_eq!(
        (job.state, job.attempts, &job.failure),
        (JobState::Queued, 0, &None)
    );
    assert_eq!(job.new.deadline_unix_ms, None, "it was over");
}

#[test]
fn the_log_is_bounded_and_the_id_is_that_of_the_key() {
    let mut job = Job::queued(new(u32::MAX), 1, 0);
    assert_eq!(job.id, JobId::of("", "k"));
    for n in 0..1000 {
        job.apply(lease(), n).unwrap();
        job.apply(JobEvent::GiveBack { fence: job.fence }, n).unwrap();
    }
    assert_eq!(job.log.len(), crate::MAX_LOG);
    assert_eq!(job.log.last().unwrap().sequence, job.last_sequence);
    let text = serde_json::to_string(&job).unwrap();
    assert_eq!(serde_json::from_str::<Job>(&text).unwrap(), job);
}

proptest! {
    /// Whatever happens in whatever order: a job ends at most once between two retries, its numbers only grow, and a job that
    /// has ended is left alone by workers.
    #[test]
    fn any_sequence_of_events_ends_a_job_once(
        max_attempts in 1_u32..4,
        steps in proptest::collection::vec((0_usize..13, 0_u64..4), 0..60),
    ) {
        let mut job = Job::queued(new(max_attempts), 1, 0);
        for (now, (which, behind)) in steps.into_iter().enumerate() {
            let (name, event) = events(job.fence.saturating_sub(behind)).swap_remove(which);
            let before = job.clone();
            let applied = job.apply(event, now as u64);
            if applied.is_err() {
                prop_assert_eq!(&job, &before);
                continue;
            }
            prop_assert!(job.fence >= before.fence && job.executions >= before.executions);
            prop_assert!(job.last_sequence >= before.last_sequence);
            prop_assert!(job.attempts <= max_attempts);
            if before.state.has_ended() {
                prop_assert!(name == "retry" || (name == "cancel" && before == job));
            }
            prop_assert_eq!(job.state.has_ended(), job.ended_unix_ms.is_some());
            prop_assert_eq!(job.state == JobState::Succeeded, job.result.is_some());
            let sequences: Vec<u64> = job.log.iter().map(|entry| entry.sequence).collect();
            prop_assert!(sequences.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(job.log.last().unwrap().state, job.state);
        }
    }
}
