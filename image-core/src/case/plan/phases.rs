//! On which phase each model step runs.

use std::collections::BTreeMap;

use nephrite_pipeline::{Pipeline, Step};
use nephrite_types::Phase;

use super::scans::OpenedScan;
use crate::case::{CaseError, CaseRequest};

/// On which phase a model step runs.
pub(super) struct Chosen {
    /// `None`: left out.
    pub(super) phase: Option<Phase>,
    pub(super) is_override: bool,
}

pub(super) fn choose_phases(
    pipeline: &Pipeline,
    request: &CaseRequest,
    scans: &BTreeMap<Phase, OpenedScan>,
) -> Result<BTreeMap<String, Chosen>, CaseError> {
    let given = || scans.keys().copied().collect::<Vec<_>>();
    for choice in &request.phases {
        match pipeline.step(&choice.step) {
            Some(Step::Model(_)) => {}
            Some(_) => {
                return Err(CaseError::NoModel {
                    step: choice.step.clone(),
                });
            }
            None => {
                return Err(CaseError::Steps(nephrite_pipeline::PipelineFault::UnknownStep {
                    key: "phases".to_owned(),
                    step: choice.step.clone(),
                }));
            }
        }
    }
    let mut chosen = BTreeMap::new();
    for step in pipeline.steps() {
        let Step::Model(step) = step else { continue };
        let wish = request.phases.iter().rev().find(|choice| choice.step == step.id);
        let accepted = step.phases.clone();
        let missing = |accepted| CaseError::MissingPhase {
            step: step.id.clone(),
            accepted,
            given: given(),
        };
        let (phase, is_override) = match wish {
            Some(wish) if !scans.contains_key(&wish.phase) => return Err(missing(vec![wish.phase])),
            Some(wish) if accepted.contains(&wish.phase) => (Some(wish.phase), false),
            Some(wish) if wish.override_accepted => (Some(wish.phase), true),
            Some(wish) => {
                return Err(CaseError::PhaseNotAccepted {
                    step: step.id.clone(),
                    phase: wish.phase,
                    accepted,
                });
            }
            None => match accepted.iter().find(|phase| scans.contains_key(phase)) {
                Some(phase) => (Some(*phase), false),
                None if step.optional => (None, false),
                None => return Err(missing(accepted)),
            },
        };
        chosen.insert(step.id.clone(), Chosen { phase, is_override });
    }
    Ok(chosen)
}
