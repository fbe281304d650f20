//! What a case needs of the process that runs it.

use std::path::Path;

use nephrite_types::CancelToken;

use super::estimate::memory_here;
use super::plan::{Plan, PlannedStep};
use super::results::check_output_is_free;
use super::{CaseError, CaseRequest};
use crate::core::Core;
use crate::place::CaseServices;

/// What a case needs of the process that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseNeeds {
    /// Folders of the models that run in that process, absolute; sorted, each once.
    pub models: Vec<String>,
    /// Bytes at the peak; `None` if not all of it can be known.
    pub memory_bytes: Option<u64>,
    /// The largest scan that it reads: its path, absolute, and its size. Cases with equal ones share what is read.
    pub scan: Option<(String, u64)>,
}

/// Checks a request as [`run_case`](super::run_case) does before anything runs, and says what it needs. Reads headers only.
/// `runs_here` refuses what can never fit into this process.
///
/// # Errors
/// [`CaseError`], as [`run_case`](super::run_case) before anything runs.
pub fn case_needs(
    core: &Core,
    services: &CaseServices,
    request: &CaseRequest,
    runs_here: bool,
    cancel: &CancelToken,
) -> Result<CaseNeeds, CaseError> {
    let plan = Plan::for_later(core, services, request, cancel)?;
    if runs_here && plan.is_certain() {
        plan.check_memory(core, cancel)?;
    }
    check_output_is_free(core.root(), &request.output)?;
    let absolute = |path: &Path| core.absolute_text(path);
    let models = plan.steps.iter().filter_map(|step| match step {
        PlannedStep::Model(model) if model.place.is_here() => Some(absolute(&model.run.model.folder)),
        _ => None,
    });
    let mut models: Vec<String> = models.collect();
    models.sort_unstable();
    models.dedup();
    let there = plan.scans.values().filter(|scan| !scan.is_assumed());
    let largest = there.max_by_key(|scan| scan.bytes);
    Ok(CaseNeeds {
        models,
        memory_bytes: match plan.is_certain() {
            true => memory_here(core, &plan, cancel)?,
            false => None,
        },
        scan: largest.map(|scan| (absolute(&scan.path), scan.bytes)),
    })
}
