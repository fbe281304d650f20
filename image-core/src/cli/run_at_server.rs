//! A case that runs somewhere else: the same request, and the same progress.

use std::path::Path;

use nephrite_image_core::case::{CaseEvent, CaseEvents, CaseRequest, StepPlace};
use nephrite_kernel::LabelVolume;
use nephrite_proto::convert::warning;
use nephrite_proto::{CaseEvent as WireEvent, Client, RemoteError, v1};
use nephrite_types::{CancelToken, Cancelled, ErrorCode, Stage};

use super::case_summary::CaseSummary;
use super::failure::Failure;
use super::wait::wait;

pub(super) fn run(
    url: &str,
    request: &CaseRequest,
    events: &dyn CaseEvents,
    cancel: &CancelToken,
) -> Result<CaseSummary, Failure> {
    match wait(cancel, call(url, request, events))? {
        Some(done) => Ok(summary(done?)),
        None => Err(Failure {
            code: ErrorCode::Cancelled,
            message: Cancelled::ByCaller.to_string(),
        }),
    }
}

async fn call(
    url: &str,
    request: &CaseRequest,
    events: &dyn CaseEvents,
) -> Result<v1::CaseDone, RemoteError> {
    let client = Client::connect(url).await?;
    let mut stream = client.run_case(v1::CaseServiceRunRequest::from(request)).await?;
    while let Some(event) = stream.next().await? {
        match event {
            WireEvent::Done(done) => return Ok(done),
            WireEvent::Progress(progress) => {
                if let Some(event) = case_event(progress) {
                    events.event(event);
                }
            }
            WireEvent::Warning(odd) => {
                if let Some(warning) = warning(&odd) {
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
pub(super) fn case_event(progress: v1::StepProgress) -> Option<CaseEvent> {
    let stage = progress.stage.and_then(|stage| v1::Stage::try_from(stage).ok());
    let stage = stage.and_then(|stage| Stage::try_from(stage).ok());
    let state = progress.state();
    let v1::StepProgress {
        step,
        place,
        tiles_done: done,
        tiles_total: total,
        reason,
        ..
    } = progress;
    match (state, stage) {
        (v1::StepState::Running, None) => {
            let place = StepPlace::try_from(place?).ok()?;
            Some(CaseEvent::Running { step, place })
        }
        (v1::StepState::Running, Some(_)) if total > 0 => Some(CaseEvent::Tiles { step, done, total }),
        (v1::StepState::Running, Some(stage)) => Some(CaseEvent::Stage { step, stage }),
        (v1::StepState::Done, _) => Some(CaseEvent::Done { step }),
        (v1::StepState::Skipped, _) => Some(CaseEvent::Skipped { step, reason }),
        (v1::StepState::Unspecified, _) => None,
    }
}

fn summary(done: v1::CaseDone) -> CaseSummary {
    // a label that is none is left out
    let labels = |labels: Vec<v1::LabelVolume>| labels.into_iter().flat_map(LabelVolume::try_from).collect();
    let masks = done.masks.into_iter();
    let path = |file: &str| Path::new(&done.output).join(file).display().to_string();
    CaseSummary {
        masks: masks
            .map(|mask| (path(&mask.file), labels(mask.labels)))
            .collect(),
        output: done.output,
        n_files: done.files.len(),
        scan_reads: done.counters.map_or(0, |counters| counters.scan_reads),
        total_seconds: done.total_seconds,
        peak_rss_bytes: done.peak_rss_bytes,
    }
}
