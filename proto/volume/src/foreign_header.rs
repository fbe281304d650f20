//! What a header of another format says, in the terms of NIfTI: all that reads voxels, places them, and writes masks beside them
//! is made for those.

use nephrite_types::{Affine, VoxelType};

use crate::VolumeError;
use crate::grid::datatype_code;
use crate::header::{Header, Version};
use crate::world::MM;

/// A grid as NRRD and MetaImage state it, in LPS+ millimeters.
pub(crate) struct StatedGrid {
    /// Voxels per axis, x first; at most seven.
    pub(crate) dims: Vec<i64>,
    /// Millimeters from voxel to voxel, x first; negative where the axis runs against its direction. At most three count.
    pub(crate) spacing: [f64; 3],
    /// Directions of the axes, of length 1: `[axis][world axis]`.
    pub(crate) directions: [[f64; 3]; 3],
    /// Where the first voxel lies.
    pub(crate) origin: [f64; 3],
}

/// From LPS+ to RAS+.
const TO_RAS: [f64; 3] = [-1.0, -1.0, 1.0];

/// The header; the first voxel lies `data_offset` bytes into the (decompressed) file. `field` places the voxels.
///
/// # Errors
/// [`VolumeError::HeaderField`] where the axes do not span the space.
pub(crate) fn foreign_header(
    grid: &StatedGrid,
    voxel_type: VoxelType,
    big_endian: bool,
    data_offset: u64,
    name: &str,
    field: &'static str,
) -> Result<Header, VolumeError> {
    let mut dim = [1; 8];
    dim[0] = grid.dims.len() as i64;
    for (to, length) in dim[1..].iter_mut().zip(&grid.dims) {
        *to = *length;
    }
    let srow: [[f64; 4]; 3] = std::array::from_fn(|r| {
        let step = |axis: usize| TO_RAS[r] * grid.directions[axis][r] * grid.spacing[axis];
        [step(0), step(1), step(2), TO_RAS[r] * grid.origin[r]].map(|v| v + 0.0)
    });
    let [sx, sy, sz] = grid.spacing.map(f64::abs);
    if grid.spacing.contains(&0.0) || Affine::new(srow).is_err() {
        return Err(VolumeError::HeaderField {
            name: name.to_owned(),
            field,
            found: format!("steps {} along x, y, z", text(&grid.spacing)),
            expected: "axes with lengths, which span the space",
        });
    }
    Ok(Header {
        version: Version::Two,
        big_endian,
        dim,
        intent_code: 0,
        datatype: datatype_code(voxel_type),
        pixdim: [1.0, sx, sy, sz, 1.0, 1.0, 1.0, 1.0],
        vox_offset: 0.0,
        scl_slope: 1.0,
        scl_inter: 0.0,
        xyzt_units: MM,
        qform_code: 0,
        sform_code: 1,
        quatern_bcd: [0.0; 3],
        qoffset: [0.0; 3],
        srow,
        data_offset: Some(data_offset),
    })
}

fn text(values: &[f64]) -> String {
    values.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

/// Bytes of all voxels that a header states; `None` for what is too much to be true.
pub(crate) fn stated_bytes(dims: &[i64], voxel_type: VoxelType) -> Option<u64> {
    dims.iter().try_fold(voxel_type.n_bytes() as u64, |n, length| {
        n.checked_mul(u64::try_from(*length).ok()?)
    })
}
