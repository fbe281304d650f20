//! The scans of a phantom as CT series of one study.

use std::path::Path;

use nephrite_dicom_objects::{SyntheticSeries, SyntheticStudy};
use nephrite_phantom::Phantom;
use nephrite_types::{Phase, Voxels};
use sha2::{Digest as _, Sha256};

use crate::DemoError;
use crate::folder::Folder;

/// A series that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenSeries {
    pub(crate) phase: Phase,
    /// SeriesInstanceUID.
    pub(crate) uid: String,
}

/// Writes `PHASE/0001.dcm` and on for every phase of patient `seed` into `folder`, which is made if it is not there. Dates,
/// names and identifiers follow from the phantom alone.
///
/// # Errors
/// [`DemoError::Path`], [`DemoError::Object`].
pub(crate) fn write_series(
    folder: &Path,
    phantom: &Phantom,
    seed: u64,
) -> Result<Vec<WrittenSeries>, DemoError> {
    let study = SyntheticStudy {
        key: key(phantom, seed),
        patient_name: format!("Phantom^Seed {seed}"),
        patient_id: format!("nephrite-phantom-{seed}"),
        description: "Synthetic abdomen in contrast phases".to_owned(),
        date: "20260101".to_owned(),
        manufacturer: "nephrite phantom".to_owned(),
    };
    let write = |(idx, (phase, volume)): (usize, &(Phase, _))| {
        let series = SyntheticSeries {
            study: &study,
            volume,
            phase: *phase,
            number: idx as u32 + 1,
        };
        let folder = Folder::create(&folder.join(phase.name()))?;
        for z in 0..series.n_images() {
            let mut bytes = Vec::new();
            series.write_image(z, &mut bytes)?;
            folder.write(&format!("{:04}.dcm", z + 1), &bytes)?;
        }
        Ok(WrittenSeries {
            phase: *phase,
            uid: series.uid(),
        })
    };
    phantom.phases.iter().enumerate().map(write).collect()
}

/// SHA-256 of seed, grid and voxels, so that no two series with other pixels share an identifier.
fn key(phantom: &Phantom, seed: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"nephrite phantom");
    hash.update(seed.to_le_bytes());
    for row in phantom.truth.geometry.affine.rows() {
        row.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    for (phase, volume) in &phantom.phases {
        hash.update(phase.name());
        volume
            .voxels
            .shape()
            .iter()
            .for_each(|n| hash.update((*n as u64).to_le_bytes()));
        if let Voxels::I16(array) = &volume.voxels {
            let bytes: Vec<u8> = array.iter().flat_map(|value| value.to_le_bytes()).collect();
            hash.update(bytes);
        }
    }
    hash.finalize().into()
}
