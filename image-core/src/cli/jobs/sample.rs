//! Jobs for tests of what is said about them.

use nephrite_proto::v1;

/// A job that waits.
pub(super) fn waiting() -> v1::Job {
    v1::Job {
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        key: "case-17".to_owned(),
        priority: v1::JobPriority::Normal.into(),
        state: v1::JobState::Queued.into(),
        request: Some(v1::CaseServiceRunRequest {
            pipeline: "pipelines/kidney.toml".to_owned(),
            scans: vec![v1::PhaseScan {
                phase: v1::Phase::Arterial.into(),
                path: "cases/17/a.nii.gz".to_owned(),
            }],
            profile: Some(v1::Profile::Full.into()),
            output: "results/17".to_owned(),
            ..v1::CaseServiceRunRequest::default()
        }),
        submitted_unix_ms: 1_700_000_000_000,
        max_attempts: 3,
        place: Some(2),
        last_sequence: 1,
        ..v1::Job::default()
    }
}

/// A job that a worker has.
pub(super) fn running() -> v1::Job {
    v1::Job {
        state: v1::JobState::Running.into(),
        started_unix_ms: Some(1_700_000_004_000),
        attempts: 1,
        executions: 1,
        worker: "core-1".to_owned(),
        place: None,
        progress: Some(v1::JobProgress {
            step: "kidney".to_owned(),
            stage: Some(v1::Stage::Inference.into()),
            tiles_done: 12,
            tiles_total: 40,
            seconds_left: Some(30.25),
        }),
        ..waiting()
    }
}

/// A job that cannot be done.
pub(super) fn failed() -> v1::Job {
    v1::Job {
        state: v1::JobState::Failed.into(),
        ended_unix_ms: Some(1_700_000_016_400),
        progress: None,
        error: Some(v1::JobError {
            code: v1::ErrorCode::InvalidInput.into(),
            message: "a.nii.gz: truncated".to_owned(),
        }),
        ..running()
    }
}
