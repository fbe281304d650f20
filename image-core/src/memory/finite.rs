//! Scans whose intensities are numbers.

use std::path::Path;

use ndarray::Array3;
use nephrite_types::{Stored, Volume, with_voxels};
use rayon::prelude::*;

use crate::error::CoreError;

/// Refuses a scan with NaN or infinite intensities, which would spread through the whole network.
pub(crate) fn check_finite(volume: &Volume, path: &Path) -> Result<(), CoreError> {
    /// Voxels that one task looks at.
    const VOXELS_PER_TASK: usize = 1 << 18;
    fn first<T: Stored>(array: &Array3<T>, volume: &Volume) -> Option<(usize, f32)> {
        let voxels = array.as_slice()?;
        let tasks = voxels.par_chunks(VOXELS_PER_TASK).enumerate();
        tasks.find_map_first(|(task, chunk)| {
            let intensities = chunk.iter().map(|stored| volume.scale.apply(*stored));
            let mut found = intensities.enumerate().filter(|(_, value)| !value.is_finite());
            found.next().map(|(i, value)| (task * VOXELS_PER_TASK + i, value))
        })
    }
    if !may_be_infinite(volume) {
        return Ok(());
    }
    let Some((at, value)) = with_voxels!(&volume.voxels, array => first(array, volume)) else {
        return Ok(());
    };
    let [_, ny, nx] = volume.voxels.shape();
    Err(CoreError::NotFinite {
        index: [at / (ny * nx), at / nx % ny, at % nx],
        value,
        path: path.to_owned(),
    })
}

/// False for integers whose scale factors cannot carry them out of the range of 32-bit floats.
fn may_be_infinite(volume: &Volume) -> bool {
    use nephrite_types::VoxelType;
    match volume.voxels.voxel_type() {
        VoxelType::F32 | VoxelType::F64 => true,
        _ => volume.scale.slope.abs() > 1e18 || volume.scale.inter.abs() > 1e37,
    }
}
