//! Cases ⇄ messages.

use std::path::Path;

use nephrite_kernel::OperationError;
use nephrite_mask_codec::EncodedMask;
use nephrite_proto::convert::{choice, list, optional_path, optional_phase, path, phase};
use nephrite_proto::v1::case_service_run_response::Event;
use nephrite_proto::{ConvertError, v1};
use nephrite_types::count;
use prost::Message as _;

use super::cost::file;
use super::objects::{format_list, wanted_objects};
use super::warning;
use crate::case::{
    BareModel, CaseError, CaseEstimate, CaseEvent, CaseMask, CasePipeline, CaseReport, CaseRequest,
    FinishedMask, PhaseChoice, Profile, StepKind,
};
use crate::masks::StepPlace;
use crate::model::SpeedSource;
use crate::objects::WantedObjects;

/// More than there are steps in a pipeline or phases of a scan.
const MAX_ENTRIES: usize = 256;

impl TryFrom<v1::CaseServiceRunRequest> for CaseRequest {
    type Error = CaseError;

    fn try_from(request: v1::CaseServiceRunRequest) -> Result<Self, CaseError> {
        let output = path("output", &request.output)?;
        case_request(request, output)
    }
}

/// A request of which the result folder is known, or does not matter.
pub(crate) fn case_request(
    request: v1::CaseServiceRunRequest,
    output: std::path::PathBuf,
) -> Result<CaseRequest, CaseError> {
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
                    phase: optional_phase("models.phase", bare.phase)?,
                })
            });
            CasePipeline::Models {
                models: models.collect::<Result<_, CaseError>>()?,
                objects: wanted_objects(&request.output_type, &request.codes)?,
            }
        }
        (None, true) => {
            return Err(ConvertError::NoneOf {
                fields: "pipeline, models",
            }
            .into());
        }
        (Some(_), false) => {
            return Err(ConvertError::Value {
                field: "models",
                expected: "none beside a pipeline",
                found: count(request.models.len(), "model"),
            }
            .into());
        }
    };
    let has_objects = !request.output_type.is_empty() || !request.codes.is_empty();
    if has_objects && matches!(pipeline, CasePipeline::File(_)) {
        return Err(ConvertError::Value {
            field: "output_type",
            expected: "none beside a pipeline, which says it itself",
            found: count(request.output_type.len(), "format"),
        }
        .into());
    }
    bounded("scans", request.scans.len())?;
    let scans = request
        .scans
        .iter()
        .map(|scan| Ok((phase("scans.phase", scan.phase)?, path("scans.path", &scan.path)?)));
    bounded("phases", request.phases.len())?;
    let phases = request.phases.iter().map(|choice| {
        Ok(PhaseChoice {
            step: choice.step.clone(),
            phase: phase("phases.phase", choice.phase)?,
            override_accepted: choice.r#override,
        })
    });
    Ok(CaseRequest {
        pipeline,
        scans: scans.collect::<Result<_, CaseError>>()?,
        steps: list("steps", &request.steps, |step| Ok(step.to_owned()))?,
        profile: match choice("profile", request.profile)? {
            Some(v1::Profile::Quick) => Profile::Quick,
            Some(v1::Profile::Full | v1::Profile::Unspecified) | None => Profile::Full,
        },
        phases: phases.collect::<Result<_, CaseError>>()?,
        output,
        strict_geometry: request.strict_geometry,
        check_phases: request.check_phases,
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
        let nothing = WantedObjects::default();
        let (pipeline, models, objects) = match &request.pipeline {
            CasePipeline::File(file) => (text(file), Vec::new(), &nothing),
            CasePipeline::Models { models, objects } => {
                let models = models.iter().map(|bare| v1::BareModel {
                    model: text(&bare.model),
                    phase: bare.phase.map(|phase| v1::Phase::from(phase).into()),
                });
                (String::new(), models.collect(), objects)
            }
        };
        let scans = request.scans.iter().map(|(phase, path)| v1::PhaseScan {
            phase: v1::Phase::from(*phase).into(),
            path: text(path),
        });
        let phases = request.phases.iter().map(|choice| v1::PhaseChoice {
            step: choice.step.clone(),
            phase: v1::Phase::from(choice.phase).into(),
            r#override: choice.override_accepted,
        });
        v1::CaseServiceRunRequest {
            pipeline,
            models,
            scans: scans.collect(),
            steps: request.steps.clone(),
            profile: Some(match request.profile {
                Profile::Full => v1::Profile::Full.into(),
                Profile::Quick => v1::Profile::Quick.into(),
            }),
            phases: phases.collect(),
            output: text(&request.output),
            output_type: format_list(&objects.formats),
            codes: objects.codes.as_deref().map(text).unwrap_or_default(),
            strict_geometry: request.strict_geometry,
            check_phases: request.check_phases,
        }
    }
}

/// A mask that is ready; one message per file, or one if it is not kept.
pub(crate) fn masks(mask: &CaseMask) -> Vec<v1::MaskReady> {
    let ready = |file: &str| v1::MaskReady {
        step: mask.step.clone(),
        file: file.to_owned(),
        labels: mask.labels.iter().map(Into::into).collect(),
    };
    match mask.files.as_slice() {
        [] => vec![ready("")],
        files => files.iter().map(|file| ready(file)).collect(),
    }
}

/// A progress event; `None` for a mask and for a warning.
pub(crate) fn progress(event: &CaseEvent) -> Option<v1::StepProgress> {
    let of = |step: &str, state: v1::StepState| v1::StepProgress {
        step: step.to_owned(),
        state: state.into(),
        ..v1::StepProgress::default()
    };
    Some(match event {
        CaseEvent::Running { step, place } => v1::StepProgress {
            place: Some(place.into()),
            ..of(step, v1::StepState::Running)
        },
        CaseEvent::Stage { step, stage } => v1::StepProgress {
            stage: Some(v1::Stage::from(*stage).into()),
            ..of(step, v1::StepState::Running)
        },
        CaseEvent::Tiles { step, done, total } => v1::StepProgress {
            stage: Some(v1::Stage::Inference.into()),
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

pub(crate) fn done(report: &CaseReport, output: String) -> Event {
    let record = &report.record;
    let masks = record.masks.iter().map(|mask| v1::MaskReady {
        step: mask.step.clone(),
        file: mask.file.clone(),
        labels: mask.labels.iter().map(Into::into).collect(),
    });
    let skipped = record.steps.iter().filter(|step| step.left_out().is_some());
    let own = record.processes.first();
    Event::Done(v1::CaseDone {
        files: report.files.iter().map(file).collect(),
        masks: masks.collect(),
        skipped: skipped.map(|step| step.id.clone()).collect(),
        counters: Some((&record.counters).into()),
        total_seconds: record.total_seconds,
        peak_rss_bytes: own.map_or(0, |process| process.peak_rss_bytes),
        record: report.json.clone(),
        warnings: record.warnings.iter().map(warning::of_report).collect(),
        output,
    })
}

/// A mask as it was kept in the result folder `output`.
///
/// # Errors
/// [`CaseError::MaskTooLarge`]
pub(crate) fn finished_mask(
    output: &Path,
    finished: FinishedMask,
    limit: usize,
) -> Result<v1::GetMaskResponse, CaseError> {
    let encoded = EncodedMask::encode(&finished.mask).map_err(OperationError::from)?;
    let encoded = v1::EncodedMask::from(encoded);
    let found = encoded.encoded_len();
    if found > limit {
        let path = output.join(&finished.file);
        return Err(CaseError::MaskTooLarge { path, found, limit });
    }
    Ok(v1::GetMaskResponse {
        mask: Some(encoded),
        file: finished.file,
    })
}

pub(crate) fn estimate(estimate: CaseEstimate) -> v1::CaseServiceEstimateResponse {
    let warnings = estimate.warnings().map(warning::of_report).collect();
    let steps = estimate.steps.into_iter().map(|step| v1::StepEstimate {
        step: step.step,
        kind: step_kind(step.kind).into(),
        place: step.place.as_ref().map(Into::into),
        phase: step.phase.map(|phase| v1::Phase::from(phase).into()),
        tiles: step.tiles,
        seconds: step.seconds,
        memory_bytes: step.memory_bytes,
        skipped: step.left_out.unwrap_or_default(),
        network_runs: step.network_runs,
        at_most: step.at_most,
        model: step.model.unwrap_or_default(),
        operation: step.operation.unwrap_or_default(),
        labels: step.labels.unwrap_or_default(),
        files: step.files,
    });
    let scans = estimate.scans.into_iter().map(|scan| v1::ScanEstimate {
        phase: v1::Phase::from(scan.phase).into(),
        path: scan.file.unwrap_or_default(),
        shape: scan.shape.map(|n| n as u64).into(),
        spacing: scan.spacing.into(),
        memory_bytes: scan.memory_bytes,
    });
    v1::CaseServiceEstimateResponse {
        steps: steps.collect(),
        seconds: estimate.seconds,
        memory_bytes: estimate.memory_bytes,
        speed: match estimate.speed {
            SpeedSource::Measured => v1::SpeedSource::Measured.into(),
            SpeedSource::Calibrated => v1::SpeedSource::Calibrated.into(),
        },
        multiply_adds_per_second: estimate.multiply_adds_per_second,
        scans: scans.collect(),
        warnings,
    }
}

impl From<&StepPlace> for v1::StepPlace {
    fn from(place: &StepPlace) -> Self {
        let (kind, name, address) = match place {
            StepPlace::InProcess => (v1::PlaceKind::InProcess, "", ""),
            StepPlace::Service { name, address } => (v1::PlaceKind::Service, &**name, &**address),
            StepPlace::Core { name, address } => (v1::PlaceKind::Core, &**name, &**address),
        };
        v1::StepPlace {
            kind: kind.into(),
            name: name.to_owned(),
            address: address.to_owned(),
        }
    }
}

impl TryFrom<v1::StepPlace> for StepPlace {
    type Error = ConvertError;

    fn try_from(wire: v1::StepPlace) -> Result<Self, ConvertError> {
        let kind = choice("place.kind", Some(wire.kind))?;
        let v1::StepPlace { name, address, .. } = wire;
        Ok(match kind {
            Some(v1::PlaceKind::Service) => StepPlace::Service { name, address },
            Some(v1::PlaceKind::Core) => StepPlace::Core { name, address },
            Some(v1::PlaceKind::InProcess | v1::PlaceKind::Unspecified) | None => StepPlace::InProcess,
        })
    }
}

fn step_kind(kind: StepKind) -> v1::StepKind {
    match kind {
        StepKind::Model => v1::StepKind::Model,
        StepKind::Mask => v1::StepKind::Mask,
        StepKind::Sample => v1::StepKind::Sample,
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::OutputFormat;
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
            check_phases: true,
        };
        check(request.clone());
        let bare = |phase| BareModel {
            model: "m".into(),
            phase,
        };
        check(CaseRequest {
            pipeline: CasePipeline::Models {
                models: vec![bare(None), bare(Some(Phase::NonContrast))],
                objects: WantedObjects {
                    formats: vec![OutputFormat::DicomSeg, OutputFormat::Sr],
                    codes: Some("codes.toml".into()),
                },
            },
            ..request
        });
    }

    #[test]
    fn what_no_request_may_say_is_refused() {
        let least = || v1::CaseServiceRunRequest {
            pipeline: "p.toml".into(),
            scans: vec![v1::PhaseScan {
                phase: v1::Phase::Arterial.into(),
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
        let neither = v1::CaseServiceRunRequest {
            pipeline: String::new(),
            ..least()
        };
        let error = CaseRequest::try_from(neither).unwrap_err();
        assert_eq!(
            error.to_string(),
            "one of pipeline, models is needed, and none is there"
        );
        check(&|request| request.output.clear());
        check(&|request| request.scans[0].path.clear());
        check(&|request| request.scans[0].phase = 0);
        check(&|request| request.scans[0].phase = 5);
        check(&|request| request.profile = Some(3));
        check(&|request| request.models = vec![v1::BareModel::default()]);
        check(&|request| request.output_type = vec![v1::OutputType::DicomSeg.into()]);
        check(&|request| request.codes = "codes.toml".into());
        check(&|request| request.scans = vec![request.scans[0].clone(); 257]);
    }
}
