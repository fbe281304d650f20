//! What a request would run, and what that would cost. Reads headers only.

use nephrite_types::CancelToken;

use super::plan::{Plan, PlannedStep};
use super::{CaseRequest, CaseServices};
use crate::{Core, CoreError};

/// What a case would cost.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseEstimate {
    /// In the order in which they run.
    pub steps: Vec<StepEstimate>,
    /// Wall time.
    pub seconds: f64,
    /// Bytes at the peak, scans included; of this process and the cores together.
    pub memory_bytes: u64,
    /// `measured` or `calibrated`.
    pub speed: &'static str,
}

/// What a step would cost.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEstimate {
    /// Its name.
    pub step: String,
    /// `model`, `mask` or `sample`.
    pub kind: &'static str,
    /// Where it would run.
    pub place: String,
    /// Of a model: the scan's phase.
    pub phase: Option<&'static str>,
    /// Of a model: runs of the network.
    pub tiles: u64,
    /// 0 for what is not estimated.
    pub seconds: f64,
    /// Besides the scan.
    pub memory_bytes: u64,
    /// Why it would be left out.
    pub skipped: Option<String>,
}

/// Says what [`run_case`](super::run_case) would do. The result folder is not looked at.
///
/// # Errors
/// [`CoreError`], as [`run_case`](super::run_case) before anything runs.
pub fn estimate_case(
    core: &Core,
    services: &CaseServices,
    request: &CaseRequest,
    cancel: &CancelToken,
) -> Result<CaseEstimate, CoreError> {
    let plan = Plan::new(core, services, request, cancel)?;
    let steps = plan.steps.iter().map(|step| {
        let (kind, phase) = match step {
            PlannedStep::Model(model) => ("model", Some(model.phase.name())),
            PlannedStep::Mask(_) => ("mask", None),
            PlannedStep::Sample(sample) => ("sample", Some(sample.phase.name())),
            PlannedStep::Skipped { .. } => ("model", None),
        };
        let skipped = match step {
            PlannedStep::Skipped { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        StepEstimate {
            step: step.id().to_owned(),
            kind,
            place: step.place(services),
            phase,
            tiles: 0,
            seconds: 0.0,
            memory_bytes: 0,
            skipped,
        }
    });
    Ok(CaseEstimate {
        steps: steps.collect(),
        seconds: 0.0,
        memory_bytes: 0,
        speed: "calibrated",
    })
}
