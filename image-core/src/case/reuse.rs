//! A case that was done already: its files are taken instead of running it again.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nephrite_types::CancelToken;
use nephrite_volume::{FileHash, write_atomically};

use super::owner::CaseOwner;
use super::plan::{Plan, PlannedStep};
use super::record::{Record, RequestRecord, ReusedRecord, StepWork};
use super::results::{RECORD, ResultFolder};
use super::verify::read_record;
use super::{CaseError, CaseReport, CaseRequest};
use crate::core::Core;
use crate::memory::read_small_file;
use crate::model::FileRecord;
use crate::place::CaseServices;

/// Takes the files of an earlier case whose inputs are those of the request, if nothing that a mask depends on has changed
/// since: the version of nephrite, the files of models, the provider and precision of this process, versions of operations;
/// and if its result folder is as it was written. The record of the new result folder says from where they are. `None` if the case has to run.
///
/// That scans, pipeline and options are equal must be known already.
///
/// # Errors
/// [`CaseError`], as [`run_case`](super::run_case) before anything runs; what is wrong with the new folder.
pub fn reuse_case(
    core: &Core,
    services: &CaseServices,
    request: &CaseRequest,
    earlier: &Path,
    owner: &dyn CaseOwner,
    cancel: &CancelToken,
) -> Result<Option<CaseReport>, CaseError> {
    let began = Instant::now();
    let Ok(bytes) = read_small_file(core.root(), &earlier.join(RECORD), core.limits().max_json_bytes) else {
        return Ok(None); // it is gone
    };
    let Ok(mut record) = read_record(core.root(), core.limits(), &earlier.join(RECORD)) else {
        return Ok(None);
    };
    let plan = Plan::new(core, services, request, cancel)?;
    if !is_current(core, services, &plan, &record, cancel)? {
        return Ok(None);
    }
    let results = ResultFolder::create(core.root(), &request.output, owner.job().as_ref())?;
    for file in &record.files {
        if !copy(core, earlier, file, &results, cancel)? {
            return Ok(None);
        }
    }
    let absolute = |path: &Path| core.absolute_text(path);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    record.started_unix_seconds = since_epoch.map_or(0, |since| since.as_secs());
    record.request = RequestRecord::of(request, absolute);
    record.reused = Some(ReusedRecord {
        output: absolute(earlier),
        record_sha256: FileHash::of(&bytes).to_string(),
        job: record.job.take().map(|job| job.id),
    });
    record.job = owner.job();
    record.total_seconds = began.elapsed().as_secs_f64();
    Ok(Some(results.finish(record, owner)?))
}

/// Whether the earlier case would come out the same now.
fn is_current(
    core: &Core,
    services: &CaseServices,
    plan: &Plan,
    record: &Record,
    cancel: &CancelToken,
) -> Result<bool, CaseError> {
    if record.nephrite != env!("CARGO_PKG_VERSION") || record.steps.len() != plan.steps.len() {
        return Ok(false);
    }
    let recorded: BTreeMap<&str, &StepWork> = record
        .steps
        .iter()
        .map(|step| (step.id.as_str(), &step.work))
        .collect();
    for step in &plan.steps {
        let is_same = match (step, recorded.get(step.id())) {
            (PlannedStep::Skipped { .. }, Some(StepWork::LeftOut { .. })) => true,
            // an optional model with nothing in its crop
            (PlannedStep::Model(model), Some(StepWork::LeftOut { .. })) => model.step.optional,
            (PlannedStep::Model(model), Some(StepWork::Model { model: was, .. })) => {
                let open = core.models().open(&model.run.model, cancel)?;
                let runtime = core.models().runtime();
                let is_run_alike =
                    runtime.provider() == was.provider && core.models().precision(&open) == was.precision;
                core.models().hashes(&open, cancel)? == was.files
                    && model.run.options == was.options
                    && (!model.place.is_here() || is_run_alike)
            }
            (PlannedStep::Mask(mask), Some(StepWork::Mask { operation, .. })) => {
                let now = services.operations().describe(&mask.operation, cancel)?;
                now.version == operation.version && mask.operation == operation.name
            }
            (PlannedStep::Sample(_), Some(StepWork::Sample { .. })) => true,
            _ => false,
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Copies a file of the earlier result; false if it is not as it was written.
fn copy(
    core: &Core,
    earlier: &Path,
    file: &FileRecord,
    results: &ResultFolder,
    cancel: &CancelToken,
) -> Result<bool, CaseError> {
    let path = earlier.join(&file.path);
    let Ok(mut source) = core.root().open_file(&path) else {
        return Ok(false);
    };
    let (folder, name) = results.place_of(&file.path)?;
    write_atomically(&folder, &name, |out| std::io::copy(&mut source, out).map(drop))?;
    results.note(&file.path, cancel)?;
    let written = results.files();
    Ok(written.iter().any(|copy| copy == file))
}
