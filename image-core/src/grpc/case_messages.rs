//! Cases ⇄ messages.

use nephrite_proto::convert::{list, optional_path, path};
use nephrite_proto::v1::case_service_run_response::Event;
use nephrite_proto::{ConvertError, v1};

use super::wire_warning;
use crate::case::{
    BareModel, CaseEstimate, CaseEvent, CaseLabel, CaseMask, CasePipeline, CaseReport, CaseRequest,
    PhaseChoice, Profile, phase,
};
use crate::{CoreError, Counters, FileRecord};

/// More than there are steps in a pipeline or phases of a scan.
const MAX_ENTRIES: usize = 256;

impl TryFrom<v1::CaseServiceRunRequest> for CaseRequest {
    type Error = CoreError;

    fn try_from(request: v1::CaseServiceRunRequest) -> Result<Self, CoreError> {
        let output = path("output", &request.output)?;
        case_request(request, output)
    }
}

/// A request of which the result folder is known, or does not matter.
pub(super) fn case_request(
    request: v1::CaseServiceRunRequest,
    output: std::path::PathBuf,
) -> Result<CaseRequest, CoreError> {
    let pipeline = match (
        optional_path("pipeline", &request.pipeline)?,
        request.models.is_empty(),
    ) {
        (Some(file), true) => CasePipeline::File(file),
        (None, false) => {
            bounded("models", request.models.len())?;
            let models = request.models.iter().map(|bare| {
                Ok(BareModel {
                    model: path("models.model", &bare.model)?,
                    phase: match bare.phase.as_str() {
                        "" => None,
                        name => Some(phase(name)?),
                    },
                })
            });
            CasePipeline::Models(models.collect::<Result<_, CoreError>>()?)
        }
        (None, true) => return Err(ConvertError::Missing { field: "pipeline" }.into()),
        (Some(_), false) => {
            return Err(ConvertError::Value {
                field: "models",
                expected: "none beside a pipeline",
                found: format!("{} models", request.models.len()),
            }
            .into());
        }
    };
    bounded("scans", request.scans.len())?;
    let scans = request
        .scans
        .iter()
        .map(|scan| Ok((phase(&scan.phase)?, path("scans.path", &scan.path)?)));
    bounded("phases", request.phases.len())?;
    let phases = request.phases.iter().map(|choice| {
        Ok(PhaseChoice {
            step: choice.step.clone(),
            phase: phase(&choice.phase)?,
            override_accepted: choice.r#override,
        })
    });
    Ok(CaseRequest {
        pipeline,
        scans: scans.collect::<Result<_, CoreError>>()?,
        steps: list("steps", &request.steps, |step| Ok(step.to_owned()))?,
        profile: match request.profile.as_str() {
            "" => Profile::Full,
            name => Profile::from_name(name)?,
        },
        phases: phases.collect::<Result<_, CoreError>>()?,
        output,
        strict_geometry: request.strict_geometry,
    })
}

fn bounded(field: &'static str, found: usize) -> Result<(), ConvertError> {
    if found > MAX_ENTRIES {
        return Err(ConvertError::TooMany {
            field,
            limit: MAX_ENTRIES,
            found,
        });
    }
    Ok(())
}

impl From<&CaseRequest> for v1::CaseServiceRunRequest {
    fn from(request: &CaseRequest) -> Self {
        let text = |path: &std::path::Path| path.display().to_string();
        let (pipeline, models) = match &request.pipeline {
            CasePipeline::File(file) => (text(file), Vec::new()),
            CasePipeline::Models(models) => {
                let models = models.iter().map(|bare| v1::BareModel {
                    model: text(&bare.model),
                    phase: bare
                        .phase
                        .map_or_else(String::new, |phase| phase.name().to_owned()),
                });
                (String::new(), models.collect())
            }
        };
        let scans = request.scans.iter().map(|(phase, path)| v1::PhaseScan {
            phase: phase.name().to_owned(),
            path: text(path),
        });
        let phases = request.phases.iter().map(|choice| v1::PhaseChoice {
            step: choice.step.clone(),
            phase: choice.phase.name().to_owned(),
            r#override: choice.override_accepted,
        });
        v1::CaseServiceRunRequest {
            pipeline,
            models,
            scans: scans.collect(),
            steps: request.steps.clone(),
            profile: request.profile.name().to_owned(),
            phases: phases.collect(),
            output: text(&request.output),
            strict_geometry: request.strict_geometry,
        }
    }
}

impl From<&Counters> for v1::CaseCounters {
    fn from(counters: &Counters) -> Self {
        v1::CaseCounters {
            scan_reads: counters.scan_reads,
            scan_bytes_read: counters.scan_bytes_read,
            scan_cache_hits: counters.scan_cache_hits,
            preprocessings: counters.preprocessings,
            preprocessing_cache_hits: counters.preprocessing_cache_hits,
            model_loads: counters.model_loads,
            weight_bytes_read: counters.weight_bytes_read,
            model_cache_hits: counters.model_cache_hits,
            mask_resamples: counters.mask_resamples,
            wire_bytes_sent: counters.wire_bytes_sent,
            wire_bytes_received: counters.wire_bytes_received,
            largest_message_bytes: counters.largest_message_bytes,
            exchange_files: counters.exchange_files,
        }
    }
}

impl From<&v1::CaseCounters> for Counters {
    fn from(wire: &v1::CaseCounters) -> Self {
        Counters {
            scan_reads: wire.scan_reads,
            scan_bytes_read: wire.scan_bytes_read,
            scan_cache_hits: wire.scan_cache_hits,
            preprocessings: wire.preprocessings,
            preprocessing_cache_hits: wire.preprocessing_cache_hits,
            model_loads: wire.model_loads,
            weight_bytes_read: wire.weight_bytes_read,
            model_cache_hits: wire.model_cache_hits,
            mask_resamples: wire.mask_resamples,
            wire_bytes_sent: wire.wire_bytes_sent,
            wire_bytes_received: wire.wire_bytes_received,
            largest_message_bytes: wire.largest_message_bytes,
            exchange_files: wire.exchange_files,
        }
    }
}

pub(super) fn file(file: &FileRecord) -> v1::CaseFile {
    v1::CaseFile {
        path: file.path.clone(),
        sha256: file.sha256.clone(),
        bytes: file.bytes,
    }
}

fn label(label: &CaseLabel) -> v1::CaseLabel {
    v1::CaseLabel {
        id: label.id.into(),
        name: label.name.clone(),
        status: label.status.clone(),
        voxels: label.voxels,
        volume_ml: label.volume_ml,
    }
}

/// A mask that is ready; one message per file, or one if it is not kept.
pub(super) fn masks(mask: &CaseMask) -> Vec<v1::MaskReady> {
    let ready = |path: &str| v1::MaskReady {
        step: mask.step.clone(),
        path: path.to_owned(),
        labels: mask.labels.iter().map(label).collect(),
    };
    match mask.paths.as_slice() {
        [] => vec![ready("")],
        paths => paths.iter().map(|path| ready(path)).collect(),
    }
}

/// A progress event; `None` for a mask and for a warning.
pub(super) fn progress(event: &CaseEvent) -> Option<v1::StepProgress> {
    let of = |step: &str, state: v1::StepState| v1::StepProgress {
        step: step.to_owned(),
        state: state.into(),
        ..v1::StepProgress::default()
    };
    Some(match event {
        CaseEvent::Running { step, place } => v1::StepProgress {
            place: place.clone(),
            ..of(step, v1::StepState::Running)
        },
        CaseEvent::Stage { step, stage } => v1::StepProgress {
            stage: v1::Stage::from(*stage).into(),
            ..of(step, v1::StepState::Running)
        },
        CaseEvent::Tiles { step, done, total } => v1::StepProgress {
            stage: v1::Stage::Inference.into(),
            tiles_done: *done,
            tiles_total: *total,
            ..of(step, v1::StepState::Running)
        },
        CaseEvent::Done { step } => of(step, v1::StepState::Done),
        CaseEvent::Skipped { step, reason } => v1::StepProgress {
            reason: reason.clone(),
            ..of(step, v1::StepState::Skipped)
        },
        CaseEvent::Mask(_) | CaseEvent::Warning { .. } => return None,
    })
}

pub(super) fn done(report: &CaseReport, output: String) -> Event {
    let record = &report.record;
    let path = |name: &str| std::path::Path::new(&output).join(name).display().to_string();
    let masks = record.masks.iter().map(|mask| v1::MaskReady {
        step: mask.step.clone(),
        path: path(&mask.file),
        labels: mask.labels.iter().map(label).collect(),
    });
    let skipped = record.steps.iter().filter(|step| step.skipped.is_some());
    let own = record.processes.first();
    Event::Done(v1::CaseDone {
        files: report.files.iter().map(file).collect(),
        masks: masks.collect(),
        skipped: skipped.map(|step| step.id.clone()).collect(),
        counters: Some((&record.counters).into()),
        total_seconds: record.total_seconds,
        peak_rss_bytes: own.map_or(0, |process| process.peak_rss_bytes),
        record: report.json.clone(),
        warnings: record.warnings.iter().map(wire_warning::of_report).collect(),
        output,
    })
}

pub(super) fn estimate(estimate: CaseEstimate) -> v1::CaseServiceEstimateResponse {
    let steps = estimate.steps.into_iter().map(|step| v1::StepEstimate {
        step: step.step,
        kind: step.kind.to_owned(),
        place: step.place,
        phase: step.phase.unwrap_or_default().to_owned(),
        tiles: step.tiles,
        seconds: step.seconds,
        memory_bytes: step.memory_bytes,
        skipped: step.skipped.unwrap_or_default(),
    });
    v1::CaseServiceEstimateResponse {
        steps: steps.collect(),
        seconds: estimate.seconds,
        memory_bytes: estimate.memory_bytes,
        speed: estimate.speed.to_owned(),
        warnings: estimate.warnings.iter().map(wire_warning::message).collect(),
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::Phase;

    use super::*;

    #[test]
    fn a_request_comes_back_from_its_message() {
        let check = |request: CaseRequest| {
            let wire = v1::CaseServiceRunRequest::from(&request);
            assert_eq!(CaseRequest::try_from(wire).unwrap(), request);
        };
        let request = CaseRequest {
            pipeline: CasePipeline::File("p.toml".into()),
            scans: vec![
                (Phase::Arterial, "a.nii.gz".into()),
                (Phase::Delayed, "d.nii".into()),
            ],
            steps: vec!["kidneys".into()],
            profile: Profile::Quick,
            phases: vec![PhaseChoice {
                step: "kidneys".into(),
                phase: Phase::Delayed,
                override_accepted: true,
            }],
            output: "out".into(),
            strict_geometry: true,
        };
        check(request.clone());
        let bare = |phase| BareModel {
            model: "m".into(),
            phase,
        };
        check(CaseRequest {
            pipeline: CasePipeline::Models(vec![bare(None), bare(Some(Phase::NonContrast))]),
            ..request
        });
    }

    #[test]
    fn what_no_request_may_say_is_refused() {
        let least = || v1::CaseServiceRunRequest {
            pipeline: "p.toml".into(),
            scans: vec![v1::PhaseScan {
                phase: "arterial".into(),
                path: "a".into(),
            }],
            output: "out".into(),
            ..Default::default()
        };
        assert!(CaseRequest::try_from(least()).is_ok());
        let check = |change: &dyn Fn(&mut v1::CaseServiceRunRequest)| {
            let mut request = least();
            change(&mut request);
            assert!(CaseRequest::try_from(request.clone()).is_err(), "{request:?}");
        };
        check(&|request| request.pipeline.clear());
        check(&|request| request.output.clear());
        check(&|request| request.scans[0].path.clear());
        check(&|request| request.scans[0].phase = "Arterial".into());
        check(&|request| request.profile = "fast".into());
        check(&|request| request.models = vec![v1::BareModel::default()]);
        check(&|request| request.scans = vec![request.scans[0].clone(); 257]);
    }
}
