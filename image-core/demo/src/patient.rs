//! The demo's patient and models as files, as they would lie there for a real one.

use std::path::Path;

use nephrite_phantom::models::demo_models;
use nephrite_phantom::{Phantom, PhantomSpec};
use nephrite_types::Phase;
use nephrite_volume::{SourceGeometry, write_label_map, write_volume};

use crate::DemoError;
use crate::dicom::write_series;
use crate::folder::Folder;

pub(crate) fn scan_name(phase: Phase) -> String {
    format!("scan_{phase}.nii.gz")
}

/// Draws the patient `seed` and writes `truth.nii.gz`, `scan_PHASE.nii.gz` for every phase, the folders of the three models,
/// and `patient/PHASE/*.dcm`, the scans as DICOM series, into `folder`, which is made if it is not there.
///
/// # Errors
/// [`DemoError::Path`], [`DemoError::Volume`], [`DemoError::Phantom`], [`DemoError::Object`].
pub fn write_patient(folder: &Path, seed: u64) -> Result<(), DemoError> {
    let phantom = write(&Folder::create(folder)?, seed)?;
    write_series(&folder.join("patient"), &phantom, seed)?;
    Ok(())
}

pub(crate) fn write(folder: &Folder, seed: u64) -> Result<Phantom, DemoError> {
    let phantom = PhantomSpec::demo(seed).generate();
    let source = SourceGeometry::from_geometry(&phantom.truth.geometry);
    write_label_map(&folder.dir, "truth.nii.gz", &phantom.truth.labels, &source)?;
    for (phase, scan) in &phantom.phases {
        write_volume(&folder.dir, &scan_name(*phase), scan, &source)?;
    }
    for model in demo_models() {
        model.write_to(&folder.dir)?;
    }
    Ok(phantom)
}
