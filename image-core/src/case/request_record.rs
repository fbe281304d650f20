//! A request as a record keeps it, and back.

use std::path::Path;

use super::record::{BareModelRecord, PhaseChoiceRecord, RequestRecord, ScanRequestRecord};
use super::{BareModel, CasePipeline, CaseRequest, PhaseChoice};
use crate::objects::WantedObjects;

impl RequestRecord {
    /// The request, with its paths as `text` says them.
    pub fn of(request: &CaseRequest, text: impl Fn(&Path) -> String) -> RequestRecord {
        let nothing = WantedObjects::default();
        let (pipeline, models, objects) = match &request.pipeline {
            CasePipeline::File(path) => (Some(text(path)), Vec::new(), &nothing),
            CasePipeline::Models { models, objects } => {
                let models = models.iter().map(|bare| BareModelRecord {
                    model: text(&bare.model),
                    phase: bare.phase,
                });
                (None, models.collect(), objects)
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
            formats: objects.formats.clone(),
            codes: objects.codes.as_deref().map(&text),
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
                CasePipeline::Models {
                    models: models.collect(),
                    objects: WantedObjects {
                        formats: record.formats.clone(),
                        codes: record.codes.as_ref().map(Into::into),
                    },
                }
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
