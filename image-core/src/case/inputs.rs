//! What stands for everything that goes into a case.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use nephrite_types::CancelToken;
use nephrite_volume::FileHash;

use super::record::{Record, RequestRecord};
use super::{CaseError, CasePipeline, CaseRequest};
use crate::core::Core;
use crate::memory::{ScanIdentity, read_small_file};

/// Hashes of scans that requests name, each made once for each state of its files.
#[derive(Debug, Default)]
pub struct InputHashes {
    known: Mutex<HashMap<PathBuf, (ScanIdentity, String)>>,
}

/// Files whose hashes are kept.
const MAX_KEPT: usize = 4096;

impl InputHashes {
    /// SHA-256, hexadecimal, of what goes into a case: its options, and the content of its scans and of its pipeline file. Where
    /// scans lie, and where the result goes, does not count; models are not looked into.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn of_case(
        &self,
        core: &Core,
        request: &CaseRequest,
        cancel: &CancelToken,
    ) -> Result<String, CaseError> {
        let absolute = |path: &Path| {
            let whole = core.root().absolute(path).unwrap_or_else(|_| path.to_owned());
            whole.display().to_string()
        };
        let mut record = RequestRecord::of(request, absolute);
        for ((_, path), scan) in request.scans.iter().zip(&mut record.scans) {
            scan.path = self.of_scan(core, path, cancel)?;
        }
        if let CasePipeline::File(path) = &request.pipeline {
            let bytes = read_small_file(core.root(), path, core.limits().max_json_bytes)?;
            record.pipeline = Some(FileHash::of(&bytes).to_string());
        }
        Ok(digest(record))
    }

    fn of_scan(&self, core: &Core, path: &Path, cancel: &CancelToken) -> Result<String, CaseError> {
        let open = core.volumes().open_scan(path, cancel)?;
        let now = open.identity().clone();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, hash)) = known.get(path).filter(|(then, _)| *then == now) {
            return Ok(hash.clone());
        }
        drop(known);
        let hash = open.hash(path, cancel)?.to_string();
        // One that was changed just now can change once more without its identity showing it.
        if now.is_settled(SystemTime::now()) {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MAX_KEPT {
                known.clear();
            }
            known.insert(path.to_owned(), (now, hash.clone()));
        }
        Ok(hash)
    }
}

/// The same of a case that is done; `None` if it did not read one of its scans.
pub fn inputs_of_record(record: &Record) -> Option<String> {
    let mut request = record.request.clone();
    for scan in &mut request.scans {
        let read = record.scans.iter().find(|read| read.phase == scan.phase)?;
        scan.path.clone_from(read.sha256.as_ref()?);
    }
    if let Some(pipeline) = &record.pipeline {
        request.pipeline = Some(pipeline.sha256.clone());
    }
    Some(digest(request))
}

/// Of a request that names hashes in place of scans and pipeline.
fn digest(mut request: RequestRecord) -> String {
    request.output.clear();
    request.scans.sort_by_key(|scan| scan.phase);
    let text = serde_json::to_string(&request).expect("a request has string keys only");
    FileHash::of(text.as_bytes()).to_string()
}
