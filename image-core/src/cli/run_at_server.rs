//! A case that runs somewhere else: the same request, and the same progress.

use std::time::Duration;

use nephrite_image_core::case::{CaseEvent, CaseEvents, CaseLabel, CaseRequest};
use nephrite_proto::{CaseEvent as WireEvent, Client, RemoteError, v1};
use nephrite_types::{CancelToken, Cancelled, ErrorCode, Stage, Warning, WarningCode};

use super::Failure;
use super::run::CaseSummary;

/// How often it is looked whether the user has cancelled.
const CANCEL_INTERVAL: Duration = Duration::from_millis(20);

pub(super) fn run(
    url: &str,
    request: &CaseRequest,
    events: &dyn CaseEvents,
    cancel: &CancelToken,
) -> Result<CaseSummary, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure {
        code: ErrorCode::Environment,
        message: format!("no runtime for calls: {error}"),
    })?;
    runtime.block_on(async {
        tokio::select! {
            done = call(url, request, events) => Ok(summary(done?)),
            () = cancelled(cancel) => Err(Failure {
                code: ErrorCode::Cancelled,
                message: Cancelled::ByCaller.to_string(),
            }),
        }
    })
}

async fn cancelled(cancel: &CancelToken) {
    while cancel.check().is_ok() {
        tokio::time::sleep(CANCEL_INTERVAL).await;
    }
}

async fn call(
    url: &str,
    request: &CaseRequest,
    events: &dyn CaseEvents,
) -> Result<v1::CaseDone, RemoteError> {
    let client = Client::connect(url).await?;
    let mut stream = client.run_case(v1::CaseServiceRunRequest::from(request)).await?;
    let mut places = std::collections::BTreeSet::new();
    while let Some(event) = stream.next().await? {
        match event {
            WireEvent::Done(done) => return Ok(done),
            WireEvent::Progress(progress) => {
                let begins = !progress.place.is_empty() && places.insert(progress.step.clone());
                if let Some(event) = case_event(progress, begins) {
                    events.event(event);
                }
            }
            WireEvent::Warning(warning) => {
                if let Some(code) = WarningCode::from_name(&warning.code) {
                    let v1::Warning { file, message, .. } = warning;
                    let warning = Warning { code, file, message };
                    events.event(CaseEvent::Warning { step: None, warning });
                }
            }
            WireEvent::Accepted(_) | WireEvent::Mask(_) => {}
        }
    }
    Err(RemoteError {
        code: ErrorCode::Internal,
        message: format!("{url}: the case ended without a result"),
    })
}

/// The event as it would have come in this process.
fn case_event(progress: v1::StepProgress, begins: bool) -> Option<CaseEvent> {
    let stage = Stage::try_from(progress.stage()).ok();
    let state = progress.state();
    let v1::StepProgress {
        step,
        place,
        tiles_done: done,
        tiles_total: total,
        reason,
        ..
    } = progress;
    match state {
        v1::StepState::Running if begins => Some(CaseEvent::Running { step, place }),
        v1::StepState::Running if total > 0 => Some(CaseEvent::Tiles { step, done, total }),
        v1::StepState::Running => stage.map(|stage| CaseEvent::Stage { step, stage }),
        v1::StepState::Done => Some(CaseEvent::Done { step }),
        v1::StepState::Skipped => Some(CaseEvent::Skipped { step, reason }),
        v1::StepState::Unspecified => None,
    }
}

fn summary(done: v1::CaseDone) -> CaseSummary {
    let label = |label: v1::CaseLabel| CaseLabel {
        id: u16::try_from(label.id).unwrap_or(0), // stands in no table
        name: label.name,
        status: label.status,
        voxels: label.voxels,
        volume_ml: label.volume_ml,
    };
    let masks = done.masks.into_iter();
    CaseSummary {
        output: done.output,
        masks: masks
            .map(|mask| (mask.path, mask.labels.into_iter().map(label).collect()))
            .collect(),
        n_files: done.files.len(),
        scan_reads: done.counters.map_or(0, |counters| counters.scan_reads),
        total_seconds: done.total_seconds,
        peak_rss_bytes: done.peak_rss_bytes,
    }
}
