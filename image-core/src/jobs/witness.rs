//! Whether a worker sees the scans that were handed in.

use std::path::Path;

use nephrite_types::FileIdentity;

use crate::case::{CaseError, CaseRequest};
use crate::core::Core;
use crate::memory::io_error;

/// What stands for the state of the scans of a request: size, and second of modification, of each. A worker on another machine
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
    let file = core.root().open_file(path)?;
    let identity = FileIdentity::of(&file).map_err(|source| io_error(path, source))?;
    Ok(format!("{}-{}", identity.size, identity.modified.0))
}
