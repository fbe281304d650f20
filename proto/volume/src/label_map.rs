//! Label maps as mask operations want them: labels that are whole numbers, lengths that are millimeters.
//!
//! A scan that goes into a network is read as a reader of nnU-Net reads it ([`crate::read_volume`]), whatever that makes of
//! units, of a missing third axis, of a header that contradicts itself. A label map is measured, and so is read for what
//! it says.

use std::collections::BTreeMap;

use nephrite_types::{Affine, CancelToken, Geometry, LabelMap, Limits, Shape3, Spacing};

use crate::VolumeError;
use crate::file_header::FileHeader;
use crate::format::read_header;
use crate::grid::{Grid, stored_dims};
use crate::header::{Header, without_trailing_axes};
use crate::input::Input;
use crate::intensity_scale::intensity_scale;
use crate::labels::labels_from_voxels;
use crate::payload::{Payload, check_size, skip_to_voxels};
use crate::reader::Reader;
use crate::source::{Source, Sources};
use crate::volume_files::VolumeFiles;
use crate::world::{file_geometry, mm_per_unit, top_rows};

/// `pixdim` may differ by this share from the lengths of the axes in the world; files are written with four digits.
const PIXDIM_TOLERANCE: f64 = 1e-3;

/// Reads a label map from NIfTI, NRRD, or MetaImage, `[z, y, x]`; of NRRD a segmentation of 3D Slicer too, if it is one layer.
///
/// * **Place**: the sform, else the qform, else the center at the origin, as nibabel takes them; shear stays. Units are
///   converted to mm (meter, millimeter, micrometer; unknown is millimeter), offsets too.
/// * **Lengths**: those of the affine's columns, one set for volumes, surfaces and distances. `pixdim` that differs by more
///   than a thousandth is refused; 0 says nothing.
/// * **Axes**: trailing ones of length 1 are dropped; a 2-D image is one slice, 1 mm thick unless the header says how thick.
/// * **Values**: scale factors as nibabel takes them; within a thousandth of a whole number from 0 to 65535, as
///   [`crate::labels_from_volume`].
///
/// `name` stands in messages only. Sizes are compared with `limits` before memory is asked for.
///
/// # Errors
/// [`VolumeError`]; [`VolumeError::Lengths`] for a header that contradicts itself, [`VolumeError::LabelMap`] for a value
/// that is no label.
pub fn read_label_map(
    files: impl Into<VolumeFiles>,
    name: &str,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<LabelMap, VolumeError> {
    Ok(read_named_label_map(files, name, limits, cancel)?.map)
}

/// A label map, and what its file calls the labels.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedLabelMap {
    /// As [`read_label_map`] gives it.
    pub map: LabelMap,
    /// Names of values, as a segmentation of 3D Slicer (`.seg.nrrd`) states them; there need be no voxel of the value.
    pub names: BTreeMap<u16, String>,
}

/// [`read_label_map`], with the names of labels that the file itself states.
///
/// # Errors
/// As [`read_label_map`]; [`VolumeError::SegmentLayers`] for segments that may overlap.
pub fn read_named_label_map(
    files: impl Into<VolumeFiles>,
    name: &str,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<NamedLabelMap, VolumeError> {
    files
        .into()
        .read_unchanged(name, |sources| read_sources(sources, name, limits, cancel))
}

/// What the header of a label map promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelMapSize {
    /// `[z, y, x]`
    pub shape: [usize; 3],
    /// Of all voxels, as they are stored.
    pub stored_bytes: u64,
}

/// Reads the header of a label map, for what [`read_label_map`] will take.
///
/// # Errors
/// As [`read_label_map`], for what a header can have wrong in its axes and sizes.
pub fn label_map_size(files: &VolumeFiles, name: &str, limits: &Limits) -> Result<LabelMapSize, VolumeError> {
    files.read_unchanged(name, |sources| {
        let size = sources.size;
        let FileHeader { header, .. } = read_header(&mut Input::new(sources, name)?, size, name)?;
        let (header, _) = three_axes(header, name)?;
        let grid = Grid::new(&header, Reader::Nibabel, limits, name)?;
        let [x, y, z] = grid.shape_xyz;
        Ok(LabelMapSize {
            shape: [z, y, x],
            stored_bytes: grid.n_bytes,
        })
    })
}

/// [`read_named_label_map`] for anything that can be read.
pub(crate) fn read_sources<S: Source>(
    sources: Sources<'_, S>,
    name: &str,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<NamedLabelMap, VolumeError> {
    cancel.check()?;
    let size = sources.size;
    let mut input = Input::new(sources, name)?;
    let FileHeader {
        header,
        n_bytes,
        size,
        names,
        ..
    } = read_header(&mut input, size, name)?;
    let (header, n_axes) = three_axes(header, name)?;
    let grid = Grid::new(&header, Reader::Nibabel, limits, name)?;
    let geometry = geometry_mm(&header, &grid, n_axes, name)?;
    let scale = intensity_scale(&header, Reader::Nibabel, name)?;
    check_size(&grid, input.is_compressed(), size, name)?;
    skip_to_voxels(&mut input, &grid, n_bytes, name)?;
    let payload = Payload {
        grid: &grid,
        big_endian: header.big_endian,
        only_finite: false,
        name,
        cancel,
    };
    let voxels = payload.read(&mut input)?;
    input.finish()?;
    let labels = labels_from_voxels(&voxels, scale).map_err(|source| VolumeError::LabelMap {
        name: name.to_owned(),
        source: Box::new(source),
    })?;
    Ok(NamedLabelMap {
        map: LabelMap { labels, geometry },
        names,
    })
}

/// The same voxels as a 3-D image, where the missing axis of a 2-D one has a direction and a length; and how many axes there
/// were.
fn three_axes(header: Header, name: &str) -> Result<(Header, usize), VolumeError> {
    let mut header = without_trailing_axes(header);
    let dims = stored_dims(&header, name)?;
    match dims.len() {
        3 => return Ok((header, 3)),
        2 => {}
        _ => {
            return Err(VolumeError::Dimensions {
                name: name.to_owned(),
                dims,
                reader: "a label map",
                expected: "2 or 3, and all others of length 1",
            });
        }
    }
    (header.dim[0], header.dim[3]) = (3, 1);
    let thickness = header.pixdim[3].abs();
    if !thickness.is_finite() || thickness == 0.0 {
        header.pixdim[3] = 1.0 / mm_per_unit(header.xyzt_units);
    }
    let column = |c: usize| [0, 1, 2].map(|r: usize| header.srow[r][c]);
    let (x, y, z) = (column(0), column(1), column(2));
    let normal = cross(x, y);
    let (area, length) = (norm(normal), norm(z));
    // A slice that leaves its own plane has a third column; writers of 2-D files leave out what they do not know.
    let leaves_plane = dot(normal, z).abs() > 1e-6 * area * length;
    if !leaves_plane && area > 0.0 {
        for (row, n) in header.srow.iter_mut().zip(normal) {
            row[2] = n / area * header.pixdim[3].abs();
        }
    }
    Ok((header, 2))
}

/// Where the voxels lie, in mm, with one set of lengths.
fn geometry_mm(header: &Header, grid: &Grid, n_axes: usize, name: &str) -> Result<Geometry, VolumeError> {
    let file = file_geometry(header, grid, Reader::Nibabel, name)?;
    let steps = file.affine.column_norms_xyz();
    let agrees = |axis: usize| {
        let (stated, step) = (header.pixdim[axis + 1].abs(), steps[axis]);
        stated == 0.0 || (stated - step).abs() <= PIXDIM_TOLERANCE * step
    };
    if let Some(axis) = (0..n_axes).find(|&axis| !agrees(axis)) {
        return Err(VolumeError::Lengths {
            name: name.to_owned(),
            axis: ["x", "y", "z"][axis],
            pixdim: header.pixdim[axis + 1].abs(),
            affine: steps[axis],
        });
    }
    let broken = |source| VolumeError::Geometry {
        name: name.to_owned(),
        form: file.form,
        source,
    };
    let unit = mm_per_unit(header.xyzt_units);
    let rows = top_rows(file.affine).map(|row| row.map(|v| v * unit));
    let ([sx, sy, sz], [x, y, z]) = (file.spacing_xyz.map(|v| v * unit), grid.shape_xyz);
    let geometry = Geometry {
        shape: Shape3::new([z, y, x]).map_err(broken)?,
        spacing: Spacing::new([sz, sy, sx]).map_err(broken)?,
        affine: Affine::new(rows).map_err(broken)?,
    };
    Ok(geometry.measured())
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|i| a[i] * b[i]).sum()
}

fn norm(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}
