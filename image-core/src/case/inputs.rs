//! What stands for everything that goes into a case.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use nephrite_dicom::SeriesOptions;
use nephrite_dicomweb::Address;
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
    /// SHA-256, hexadecimal, of what goes into a case: its options, and the content of its scans, of its pipeline file, and of
    /// its file of codes. Where
    /// scans lie, and where the result goes, does not count; models are not looked into. A scan that is
    /// fetched when the case runs counts by its address.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn of_case(
        &self,
        core: &Core,
        request: &CaseRequest,
        cancel: &CancelToken,
    ) -> Result<String, CaseError> {
        let absolute = |path: &Path| core.absolute_text(path);
        let mut record = RequestRecord::of(request, absolute);
        for ((_, path), scan) in request.scans.iter().zip(&mut record.scans) {
            scan.path = self.of_scan(core, path, cancel)?;
        }
        if let CasePipeline::File(path) = &request.pipeline {
            let bytes = read_small_file(core.root(), path, core.limits().max_json_bytes)?;
            record.pipeline = Some(FileHash::of(&bytes).to_string());
        }
        if let CasePipeline::Models { objects, .. } = &request.pipeline
            && let Some(path) = &objects.codes
        {
            let bytes = read_small_file(core.root(), path, core.limits().max_json_bytes)?;
            record.codes = Some(FileHash::of(&bytes).to_string());
        }
        Ok(digest(record))
    }

    fn of_scan(&self, core: &Core, path: &Path, cancel: &CancelToken) -> Result<String, CaseError> {
        if Address::is_meant(path) {
            return Ok(path.display().to_string()); // what it will be is not known, and no earlier case is equal
        }
        let open = core.volumes().open_scan(path, cancel)?;
        let now = open.identity().clone();
        let as_series = open.series().map(|series| series.summary.id.clone());
        let read_as = |hash: &str| match &as_series {
            Some(id) => of_series(hash, id, &core.volumes().rules().series),
            None => hash.to_owned(),
        };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, hash)) = known.get(path).filter(|(then, _)| *then == now) {
            return Ok(read_as(hash));
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
        Ok(read_as(&hash))
    }
}

/// The same of a case that is done; `None` if it did not read one of its scans.
pub fn inputs_of_record(record: &Record) -> Option<String> {
    let mut request = record.request.clone();
    for scan in &mut request.scans {
        let read = record.scans.iter().find(|read| read.phase == scan.phase)?;
        let hash = read.sha256.as_ref()?;
        scan.path = match &read.series {
            Some(series) => of_series(hash, &series.id, &series.options),
            None => hash.clone(),
        };
    }
    if let Some(pipeline) = &record.pipeline {
        request.pipeline = Some(pipeline.sha256.clone());
    }
    if let Some(codes) = &record.codes {
        request.codes = Some(codes.sha256.clone());
    }
    Some(digest(request))
}

/// What stands for a series: what its files hold, which of that is meant, and how it is read.
fn of_series(hash: &str, id: &str, options: &SeriesOptions) -> String {
    let options = serde_json::to_string(options).expect("options have string keys only");
    format!("{hash} {id} {options}")
}

/// Of a request that names hashes in place of scans and pipeline.
fn digest(mut request: RequestRecord) -> String {
    request.output.clear();
    request.scans.sort_by_key(|scan| scan.phase);
    let text = serde_json::to_string(&request).expect("a request has string keys only");
    FileHash::of(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use cap_std::fs::Dir;
    use nephrite_dicom::Layout;
    use nephrite_dicom::test_util::{Labels, Way, enhanced, joined, second_stack, write};
    use nephrite_engine::Provider;
    use nephrite_types::{Affine, Geometry, IntensityScale, Limits, Phase, Shape3, Spacing, Volume, Voxels};

    use super::*;
    use crate::case::{CasePipeline, Profile};
    use crate::core::{CoreSettings, StepBudget};
    use crate::model::{ModelBudget, RuntimeSettings};
    use crate::objects::WantedObjects;
    use nephrite_root::Root;

    fn core(root: &Path) -> Core {
        Core::new(CoreSettings {
            root: Root::beneath(root).unwrap(),
            limits: Limits::default(),
            runtime: RuntimeSettings::new(Provider::Cpu, Some(1), None, None),
            models: ModelBudget::default(),
            steps: StepBudget::default(),
        })
    }

    /// Stacks of one file, and one stack that is read in another way, are other inputs.
    #[test]
    fn which_stack_it_is_and_how_it_is_read_goes_into_the_hash_of_a_case() {
        let temp = tempfile::tempdir().unwrap();
        let spacing = Spacing::new([2.0, 1.0, 1.0]).unwrap();
        let volume = Volume {
            voxels: Voxels::I16(ndarray::Array3::zeros([4, 5, 6])),
            scale: IntensityScale::IDENTITY,
            geometry: Geometry {
                shape: Shape3::new([4, 5, 6]).unwrap(),
                spacing,
                affine: Affine::from_spacing(spacing, [0.0; 3]),
            },
        };
        let file = enhanced(&volume, Way::PLAIN, &Labels::default());
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        write(&dir, &[joined(file.clone(), &file, second_stack)]);
        let request = |stack| CaseRequest {
            pipeline: CasePipeline::Models {
                models: Vec::new(),
                objects: WantedObjects::default(),
            },
            scans: vec![(
                Phase::Arterial,
                format!(".#{}:{stack}", Labels::default().series_uid).into(),
            )],
            steps: Vec::new(),
            profile: Profile::Full,
            phases: Vec::new(),
            output: "out".into(),
            strict_geometry: false,
            check_phases: false,
        };
        let (hashes, cancel) = (InputHashes::default(), CancelToken::new());
        let plain = core(temp.path());
        let of = |core: &Core, stack| hashes.of_case(core, &request(stack), &cancel).unwrap();
        assert_eq!(of(&plain, 1), of(&plain, 1));
        assert_ne!(of(&plain, 1), of(&plain, 2));
        let by_slices = core(temp.path()).with_series_options(SeriesOptions {
            layout: Layout::Slices,
            ..SeriesOptions::default()
        });
        assert_ne!(of(&plain, 1), of(&by_slices, 1));
    }
}
