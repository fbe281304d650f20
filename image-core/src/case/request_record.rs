//! A request as a record keeps it, and back.

use std::path::Path;

use super::record::{BareModelRecord, PhaseChoiceRecord, RequestRecord, ScanRequestRecord};
use super::{BareModel, CasePipeline, CaseRequest, PhaseChoice};

impl RequestRecord {
    /// The request, with its paths as `text` says them.
    pub fn of(request: &CaseRequest, text: impl Fn(&Path) -> String) -> RequestRecord {
        let (pipeline, models) = match &request.pipeline {
            CasePipeline::File(path) => (Some(text(path)), Vec::new()),
            CasePipeline::Models(models) => {
                let models = models.iter().map(|bare| BareModelRecord {
                    model: text(&bare.model),
                    phase: bare.phase,
                });
                (None, models.collect())
            }
        };
        let scans = request.scans.iter().map(|(phase, path)| ScanRequestRecord {
            phase: *phase,
            path: text(path),
        });
        let phases = request.phases.iter().map(|choice| PhaseChoiceRecord {
            step: choice.step.clone(),
            phase: choice.phase,
            r#override: choice.override_accepted,
        });
        RequestRecord {
            pipeline,
            models,
            scans: scans.collect(),
            steps: request.steps.clone(),
            profile: request.profile,
            phases: phases.collect(),
            output: text(&request.output),
            strict_geometry: request.strict_geometry,
            check_phases: request.check_phases,
        }
    }
}

impl From<&RequestRecord> for CaseRequest {
    fn from(record: &RequestRecord) -> Self {
        let pipeline = match &record.pipeline {
            Some(path) => CasePipeline::File(path.into()),
            None => {
                let models = record.models.iter().map(|bare| BareModel {
                    model: (&bare.model).into(),
                    phase: bare.phase,
                });
                CasePipeline::Models(models.collect())
            }
        };
        let scans = record.scans.iter().map(|scan| (scan.phase, (&scan.path).into()));
        let phases = record.phases.iter().map(|choice| PhaseChoice {
            step: choice.step.clone(),
            phase: choice.phase,
            override_accepted: choice.r#override,
        });
        CaseRequest {
            pipeline,
            scans: scans.collect(),
            steps: record.steps.clone(),
            profile: record.profile,
            phases: phases.collect(),
            output: (&record.output).into(),
            strict_geometry: record.strict_geometry,
            check_phases: record.check_phases,
        }
    }
}
