//! Jobs as JSON, for programs: the names here do not change.

use nephrite_proto::convert::{error_code_of, phase};
use nephrite_proto::v1;
use nephrite_types::{ErrorCode, Phase, Stage};
use serde_json::{Value, json};

/// A state, as it stands in lists and filters.
pub(crate) fn state_name(state: v1::JobState) -> &'static str {
    match state {
        v1::JobState::Unspecified => "unknown",
        v1::JobState::Queued => "queued",
        v1::JobState::Running => "running",
        v1::JobState::Succeeded => "succeeded",
        v1::JobState::Failed => "failed",
        v1::JobState::Cancelled => "cancelled",
        v1::JobState::Expired => "expired",
        v1::JobState::Dead => "dead",
    }
}

/// A priority, as it is typed.
pub(super) fn priority_name(priority: v1::JobPriority) -> &'static str {
    match priority {
        v1::JobPriority::Unspecified => "unknown",
        v1::JobPriority::High => "high",
        v1::JobPriority::Normal => "normal",
        v1::JobPriority::Low => "low",
    }
}

/// The name of a code, as in logs and reports.
pub(super) fn error_name(error: &v1::JobError) -> &'static str {
    error_code_of(error.code).map_or("unknown", ErrorCode::name)
}

/// A phase, as it is typed.
pub(super) fn phase_name(number: i32) -> &'static str {
    phase("phase", number).map_or("unknown", Phase::name)
}

/// How thoroughly a case runs, as it is typed.
pub(super) fn profile_name(request: &v1::CaseServiceRunRequest) -> &'static str {
    match request.profile.map(v1::Profile::try_from) {
        None | Some(Ok(v1::Profile::Full)) => "full",
        Some(Ok(v1::Profile::Quick)) => "quick",
        Some(Ok(v1::Profile::Unspecified) | Err(_)) => "unknown",
    }
}

/// The stage that a number of the contract stands for.
pub(super) fn stage(number: Option<i32>) -> Option<Stage> {
    let wire = v1::Stage::try_from(number?).ok()?;
    Stage::try_from(wire).ok()
}

/// An empty text says that there is none.
pub(super) fn text_or_null(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => json!(text),
    }
}

/// A job.
pub(crate) fn job(job: &v1::Job) -> Value {
    json!({
        "id": job.id,
        "key": job.key,
        "tenant": text_or_null(&job.tenant),
        "priority": priority_name(job.priority()),
        "state": state_name(job.state()),
        "request": job.request.as_ref().map(request),
        "submitted_unix_ms": job.submitted_unix_ms,
        "started_unix_ms": job.started_unix_ms,
        "ended_unix_ms": job.ended_unix_ms,
        "deadline_unix_ms": job.deadline_unix_ms,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "executions": job.executions,
        "worker": text_or_null(&job.worker),
        "cancel_requested": job.cancel_requested,
        "place": job.place,
        "blocked": text_or_null(&job.blocked),
        "progress": job.progress.as_ref().map(progress),
        "error": job.error.as_ref().map(error),
        "record_sha256": text_or_null(&job.record_sha256),
        "reused_from": text_or_null(&job.reused_from),
        "capability": text_or_null(&job.capability),
        "last_sequence": job.last_sequence,
        "memory_bytes": job.memory_bytes,
    })
}

/// Why something did not go well.
pub(super) fn error(error: &v1::JobError) -> Value {
    json!({"code": error_name(error), "message": error.message})
}

fn request(request: &v1::CaseServiceRunRequest) -> Value {
    let models = request
        .models
        .iter()
        .map(|bare| json!({"model": bare.model, "phase": bare.phase.map(phase_name)}));
    let scans = request
        .scans
        .iter()
        .map(|scan| json!({"phase": phase_name(scan.phase), "path": scan.path}));
    let phases = request.phases.iter().map(|choice| {
        json!({"step": choice.step, "phase": phase_name(choice.phase), "override": choice.r#override})
    });
    json!({
        "pipeline": text_or_null(&request.pipeline),
        "models": models.collect::<Value>(),
        "scans": scans.collect::<Value>(),
        "steps": request.steps,
        "profile": profile_name(request),
        "phases": phases.collect::<Value>(),
        "output": request.output,
        "strict_geometry": request.strict_geometry,
        "check_phases": request.check_phases,
    })
}

fn progress(progress: &v1::JobProgress) -> Value {
    json!({
        "step": progress.step,
        "stage": stage(progress.stage).map(Stage::name),
        "tiles_done": progress.tiles_done,
        "tiles_total": progress.tiles_total,
        "seconds_left": progress.seconds_left,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::jobs::sample;

    #[test]
    fn a_job_has_stable_names() {
        let expected = json!({
            "id": "0123456789abcdef0123456789abcdef",
            "key": "case-17",
            "tenant": null,
            "priority": "normal",
            "state": "running",
            "request": {
                "pipeline": "pipelines/kidney.toml",
                "models": [],
                "scans": [{"phase": "arterial", "path": "cases/17/a.nii.gz"}],
                "steps": [],
                "profile": "full",
                "phases": [],
                "output": "results/17",
                "strict_geometry": false,
                "check_phases": false,
            },
            "submitted_unix_ms": 1_700_000_000_000_u64,
            "started_unix_ms": 1_700_000_004_000_u64,
            "ended_unix_ms": null,
            "deadline_unix_ms": null,
            "attempts": 1,
            "max_attempts": 3,
            "executions": 1,
            "worker": "core-1",
            "cancel_requested": false,
            "place": null,
            "blocked": null,
            "progress": {
                "step": "kidney",
                "stage": "inference",
                "tiles_done": 12,
                "tiles_total": 40,
                "seconds_left": 30.25,
            },
            "error": null,
            "record_sha256": null,
            "reused_from": null,
            "capability": null,
            "last_sequence": 1,
            "memory_bytes": null,
        });
        assert_eq!(job(&sample::running()), expected);
        let error = &job(&sample::failed())["error"];
        assert_eq!(
            *error,
            json!({"code": "invalid_input", "message": "a.nii.gz: truncated"})
        );
    }

    #[test]
    fn cases_without_a_pipeline_name_their_models() {
        let case = v1::CaseServiceRunRequest {
            models: vec![v1::BareModel {
                model: "models/kidney".to_owned(),
                phase: Some(v1::Phase::PortalVenous.into()),
            }],
            profile: Some(v1::Profile::Quick.into()),
            phases: vec![v1::PhaseChoice {
                step: "kidney".to_owned(),
                phase: v1::Phase::Delayed.into(),
                r#override: true,
            }],
            ..v1::CaseServiceRunRequest::default()
        };
        let case = request(&case);
        assert_eq!(case["pipeline"], Value::Null);
        assert_eq!(
            case["models"],
            json!([{"model": "models/kidney", "phase": "portal_venous"}])
        );
        assert_eq!(
            case["phases"],
            json!([{"step": "kidney", "phase": "delayed", "override": true}])
        );
        assert_eq!(case["profile"], "quick");
    }

    #[test]
    fn what_a_newer_server_says_is_unknown_and_no_fault() {
        let newer = v1::Job {
            state: 99,
            priority: 99,
            error: Some(v1::JobError {
                code: 99,
                message: String::new(),
            }),
            ..v1::Job::default()
        };
        let newer = job(&newer);
        for name in [&newer["state"], &newer["priority"], &newer["error"]["code"]] {
            assert_eq!(*name, "unknown");
        }
        assert_eq!(phase_name(99), "unknown");
    }
}
