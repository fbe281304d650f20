//! The result folder of a case that is done, as its record tells of it.

use std::path::Path;

use nephrite_volume::FileHash;

use super::CaseError;
use super::inputs::inputs_of_record;
use super::report::CaseReport;
use super::results::RECORD;
use super::verify::read_record;
use crate::core::Core;
use crate::memory::read_small_file;
use crate::model::FileRecord;

/// What came of a case that is done, from its result folder.
///
/// # Errors
/// [`CaseError::Record`] if there is no record of this version; what is wrong with the file.
pub fn finished_result(core: &Core, output: &Path) -> Result<CaseReport, CaseError> {
    let path = output.join(RECORD);
    let record = read_record(core.root(), core.limits(), &path)?;
    let bytes = read_small_file(core.root(), &path, core.limits().max_json_bytes)?;
    let mut files = record.files.clone();
    files.push(FileRecord {
        path: RECORD.to_owned(),
        sha256: FileHash::of(&bytes).to_string(),
        bytes: bytes.len() as u64,
    });
    let json = String::from_utf8(bytes).map_err(|_| CaseError::NotText { path })?;
    Ok(CaseReport { record, json, files })
}

/// What came of this submission of a job, if its result folder is there: a try may have given it its name and died before it
/// could say so.
pub fn result_of_job(core: &Core, output: &Path, id: &str, number: u64) -> Option<CaseReport> {
    let report = finished_result(core, output).ok()?;
    let job = report.record.job.as_ref()?;
    (job.id == id && job.number == number).then_some(report)
}

/// What this job was answered with, if that is there already: the result of an equal case, taken when somebody handed it in.
pub fn answer_to_job(core: &Core, output: &Path, id: &str, inputs: &str) -> Option<CaseReport> {
    let report = result_of_job(core, output, id, 0)?;
    let is_equal =
        report.record.reused.is_some() && inputs_of_record(&report.record).as_deref() == Some(inputs);
    is_equal.then_some(report)
}

/// Removes a result folder with all that lies in it.
///
/// # Errors
/// What the system says.
pub fn remove_result(core: &Core, output: &Path) -> Result<(), CaseError> {
    let (parent, name) = core.root().open_parent(output)?;
    parent.remove_dir_all(&name).map_err(|error| CaseError::Output {
        path: output.to_owned(),
        reason: error.to_string(),
    })
}
