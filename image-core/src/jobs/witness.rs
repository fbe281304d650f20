//! Whether a worker sees the scans that were handed in.

use std::path::Path;

use nephrite_dicomweb::Address;
use nephrite_types::CancelToken;

use crate::case::{CaseError, CaseRequest};
use crate::core::Core;

/// What stands for the state of the scans of a request: size, and second of the last modification, of each. A worker on another machine
/// compares it before it runs the case: one that sees another volume at this path would take another patient's scan.
pub(super) fn witness(core: &Core, request: &CaseRequest) -> Result<String, CaseError> {
    let mut texts = Vec::new();
    for (_, path) in &request.scans {
        texts.push(of_scan(core, path)?);
    }
    Ok(texts.join(" "))
}

/// # Errors
/// [`CaseError::OtherScan`]; what is wrong with a file.
pub(super) fn check(core: &Core, request: &CaseRequest, witness: &str) -> Result<(), CaseError> {
    let mut expected = witness.split(' ');
    for (_, path) in &request.scans {
        if expected.next() != Some(&*of_scan(core, path)?) {
            return Err(CaseError::OtherScan { path: path.clone() });
        }
    }
    Ok(())
}

fn of_scan(core: &Core, path: &Path) -> Result<String, CaseError> {
    if Address::is_meant(path) {
        return Ok("fetched".to_owned()); // by each process itself
    }
    let open = core.volumes().open_scan(path, &CancelToken::new())?;
    let identity = open.identity();
    Ok(format!("{}-{}", identity.size(), identity.modified_seconds()))
}
