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
    let plan = Plan::new(core, services, request, cancel)?;
    if runs_here {
        plan.check_memory(core, cancel)?;
    }
    check_output_is_free(core.root(), &request.output)?;
    let absolute = |path: &Path| {
        let whole = core.root().absolute(path).unwrap_or_else(|_| path.to_owned());
        whole.display().to_string()
    };
    let models = plan.steps.iter().filter_map(|step| match step {
        PlannedStep::Model(model) if model.place.is_here() => Some(absolute(&model.run.model.folder)),
        _ => None,
    });
    let mut models: Vec<String> = models.collect();
    models.sort_unstable();
    models.dedup();
    let largest = plan.scans.values().max_by_key(|scan| scan.bytes);
    Ok(CaseNeeds {
        models,
        memory_bytes: memory_here(core, &plan, cancel)?,
        scan: largest.map(|scan| (absolute(&scan.path), scan.bytes)),
    })
}
