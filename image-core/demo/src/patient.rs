//! The demo's patient and models as files, as they would lie there for a real one.

use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_phantom::models::demo_models;
use nephrite_phantom::{Phantom, PhantomSpec};
use nephrite_root::PathError;
use nephrite_types::Phase;
use nephrite_volume::{SourceGeometry, write_label_map, write_volume};

use crate::DemoError;

/// Where the demo puts its files.
pub(crate) struct Folder {
    pub(crate) dir: Dir,
    pub(crate) path: PathBuf,
}

impl Folder {
    /// Makes it, if it is not there.
    pub(crate) fn create(path: &Path) -> Result<Folder, PathError> {
        let failed = |source| PathError::NotWritable {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(path).map_err(failed)?;
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        Ok(Folder {
            dir,
            path: path.to_owned(),
        })
    }
}

pub(crate) fn scan_name(phase: Phase) -> String {
    format!("scan_{phase}.nii.gz")
}

/// Draws the patient `seed` and writes `truth.nii.gz`, `scan_PHASE.nii.gz` for every phase, and the folders of the three
/// models into `folder`, which is made if it is not there.
///
/// # Errors
/// [`DemoError::Path`], [`DemoError::Volume`], [`DemoError::Phantom`].
pub fn write_patient(folder: &Path, seed: u64) -> Result<(), DemoError> {
    write(&Folder::create(folder)?, seed)?;
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
