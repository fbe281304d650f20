//! Where a reader of nnU-Net puts the array that it makes of a file.

use nephrite_types::{Affine, Geometry, Shape3, Spacing};

use crate::VolumeError;
use crate::grid::Grid;
use crate::header::{Header, Version};
use crate::orientation::Orientation;
use crate::reader::Reader;
use crate::world::{FileGeometry, top_rows};

/// nnU-Net's spacing along the missing axis of a 2-D image, times the larger in-plane spacing.
const SPACING_FACTOR_2D: f64 = 999.0;

/// Where the voxels of the array lie, and how the file's axes become those of the array.
pub(crate) fn array_geometry(
    header: &Header,
    grid: &Grid,
    file: FileGeometry,
    reader: Reader,
    name: &str,
) -> Result<(Geometry, Orientation), VolumeError> {
    let orientation = match reader {
        Reader::SimpleItk | Reader::Nibabel => Orientation::RAS,
        Reader::SimpleItkReorient => Orientation::from_itk_direction(file.affine),
        Reader::NibabelReorient => Orientation::from_nibabel_affine(file.affine),
    };
    let broken = |source| VolumeError::Geometry {
        name: name.to_owned(),
        form: file.form,
        source,
    };
    let turned = orientation != Orientation::RAS;
    let rows = if turned {
        orientation.affine_to_ras(file.affine, grid.shape_xyz)
    } else {
        top_rows(file.affine)
    };
    // nibabel's spacing is the network's, whatever its unit; the world is in mm.
    let mm = file.mm_per_unit();
    let mut spacing = orientation.to_ras(file.spacing_xyz);
    if turned && reader == Reader::NibabelReorient {
        // nibabel writes the turned affine into the header again, and with it pixdim.
        let norms = Affine::new(rows).map_err(broken)?.column_norms_xyz();
        spacing = norms.map(|norm| match header.version {
            Version::One => f64::from(norm as f32),
            Version::Two => norm,
        });
    }
    if grid.n_dims == 2 {
        spacing[2] = SPACING_FACTOR_2D * spacing[0].max(spacing[1]);
    }
    let [sx, sy, sz] = spacing;
    let [x, y, z] = orientation.to_ras(grid.shape_xyz);
    let geometry = Geometry {
        shape: Shape3::new([z, y, x]).map_err(broken)?,
        spacing: Spacing::new([sz, sy, sx]).map_err(broken)?,
        affine: Affine::new(rows.map(|row| row.map(|v| v * mm))).map_err(broken)?,
    };
    Ok((geometry, orientation))
}
