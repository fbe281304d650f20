//! Events of a job as JSON: one object a line.

use nephrite_proto::convert::warning;
use nephrite_proto::v1;
use nephrite_proto::v1::watch_response::Event;
use nephrite_types::Stage;
use serde_json::{Value, json};

use super::json::{job, stage, state_name, text_or_null};

/// An event of a job on a line of its own.
pub(super) fn line(event: &v1::WatchResponse) -> String {
    let mut object = json!({"sequence": event.sequence, "unix_ms": event.unix_ms});
    let (kind, fields) = match &event.event {
        Some(Event::State(change)) => ("state", state(change)),
        Some(Event::Progress(step)) => ("progress", progress(step)),
        Some(Event::Mask(ready)) => ("mask", mask(ready)),
        Some(Event::Warning(odd)) => ("warning", oddity(odd)),
        None => ("unknown", Value::Null), // a newer server knows it
    };
    object["kind"] = json!(kind);
    if let Value::Object(fields) = fields {
        for (name, value) in fields {
            object[name] = value;
        }
    }
    format!("{object}\n")
}

fn state(change: &v1::JobStateChange) -> Value {
    json!({
        "state": state_name(change.state()),
        "attempt": change.attempt,
        "worker": text_or_null(&change.worker),
        "reason": text_or_null(&change.reason),
        "job": change.job.as_ref().map(job),
    })
}

fn progress(progress: &v1::StepProgress) -> Value {
    let state = match progress.state() {
        v1::StepState::Unspecified => "unknown",
        v1::StepState::Running => "running",
        v1::StepState::Done => "done",
        v1::StepState::Skipped => "skipped",
    };
    json!({
        "step": progress.step,
        "state": state,
        "place": progress.place.as_ref().map(place),
        "stage": stage(progress.stage).map(Stage::name),
        "tiles_done": progress.tiles_done,
        "tiles_total": progress.tiles_total,
        "seconds_left": progress.seconds_left,
        "reason": text_or_null(&progress.reason),
    })
}

fn place(place: &v1::StepPlace) -> Value {
    let kind = match place.kind() {
        v1::PlaceKind::Unspecified => "unknown",
        v1::PlaceKind::InProcess => "in_process",
        v1::PlaceKind::Service => "service",
        v1::PlaceKind::Core => "core",
    };
    json!({"kind": kind, "name": text_or_null(&place.name), "address": text_or_null(&place.address)})
}

fn mask(ready: &v1::MaskReady) -> Value {
    let labels = ready.labels.iter().map(|label| {
        json!({"id": label.id, "name": label.name, "status": status_name(label.status()),
               "voxels": label.voxels, "volume_ml": label.volume_ml})
    });
    json!({"step": ready.step, "file": text_or_null(&ready.file), "labels": labels.collect::<Value>()})
}

fn status_name(status: v1::LabelStatus) -> &'static str {
    match status {
        v1::LabelStatus::Unspecified => "unknown",
        v1::LabelStatus::Present => "present",
        v1::LabelStatus::NotFound => "not_found",
        v1::LabelStatus::NotSearched => "not_searched",
        v1::LabelStatus::Failed => "failed",
    }
}

fn oddity(odd: &v1::Warning) -> Value {
    let code = warning(odd).map_or("unknown", |known| known.code.name());
    json!({"code": code, "file": odd.file, "message": odd.message})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(event: Option<Event>) -> Value {
        let event = v1::WatchResponse {
            sequence: 7,
            unix_ms: 1_700_000_000_000,
            event,
        };
        let line = line(&event);
        assert_eq!(line.find('\n'), Some(line.len() - 1), "one line: {line:?}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn a_change_of_state_has_the_job_with_it() {
        let change = v1::JobStateChange {
            state: v1::JobState::Running.into(),
            attempt: 2,
            worker: "core-1".to_owned(),
            ..v1::JobStateChange::default()
        };
        let expected = json!({
            "sequence": 7, "unix_ms": 1_700_000_000_000_u64, "kind": "state",
            "state": "running", "attempt": 2, "worker": "core-1", "reason": null, "job": null,
        });
        assert_eq!(line_of(Some(Event::State(change))), expected);
    }

    #[test]
    fn steps_say_where_they_run_and_how_far_they_are() {
        let step = v1::StepProgress {
            step: "kidney".to_owned(),
            state: v1::StepState::Running.into(),
            place: Some(v1::StepPlace {
                kind: v1::PlaceKind::InProcess.into(),
                ..v1::StepPlace::default()
            }),
            stage: Some(v1::Stage::Inference.into()),
            tiles_done: 1,
            tiles_total: 8,
            ..v1::StepProgress::default()
        };
        let expected = json!({
            "sequence": 7, "unix_ms": 1_700_000_000_000_u64, "kind": "progress", "step": "kidney", "state": "running",
            "place": {"kind": "in_process", "name": null, "address": null}, "stage": "inference",
            "tiles_done": 1, "tiles_total": 8, "seconds_left": null, "reason": null,
        });
        assert_eq!(line_of(Some(Event::Progress(step))), expected);
    }

    #[test]
    fn masks_and_warnings_name_what_they_are_about() {
        let label = v1::LabelVolume {
            id: 1,
            name: "kidney".to_owned(),
            status: v1::LabelStatus::NotFound.into(),
            ..v1::LabelVolume::default()
        };
        let ready = v1::MaskReady {
            step: "kidney".to_owned(),
            file: "kidney.nii.gz".to_owned(),
            labels: vec![label],
        };
        let mask = line_of(Some(Event::Mask(ready)));
        assert_eq!(
            (&mask["kind"], &mask["file"]),
            (&json!("mask"), &json!("kidney.nii.gz"))
        );
        assert_eq!(mask["labels"][0]["status"], "not_found");
        let odd = v1::Warning {
            code: v1::WarningCode::OtherWorld.into(),
            file: "a.nii".to_owned(),
            message: "two\nlines".to_owned(),
        };
        let warning = line_of(Some(Event::Warning(odd)));
        assert_eq!(
            (&warning["code"], &warning["message"]),
            (&json!("other_world"), &json!("two\nlines"))
        );
        assert_eq!(line_of(None)["kind"], "unknown");
    }
}
