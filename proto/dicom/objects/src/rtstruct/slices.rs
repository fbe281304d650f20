//! The slices that contours lie on: those of a series, or of a grid that no series is known of.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use nephrite_types::{Affine, Geometry, Shape3, Spacing};

use crate::attributes::items;
use crate::stack::Stack;
use crate::vector::{Vector, add, cross, dot, norm, scale, turn};
use crate::{ObjectError, ObjectLimits, SourceSeries};

/// What the contours of a structure set lie on.
#[derive(Debug, Clone, Copy)]
pub enum Slices<'a> {
    /// The images of a series. Every region must be of its frame of reference.
    Series(&'a SourceSeries),
    /// The voxels of a grid in any order, such as those of a file that is not DICOM: slices lie across the axis that contours are at
    /// right angles to. Its frame of reference is not known, and so not compared; all regions must be of one.
    Grid(&'a Geometry),
}

impl Slices<'_> {
    /// FrameOfReferenceUID, if it is known.
    pub(super) fn frame_of_reference_uid(&self) -> Option<&str> {
        match self {
            Slices::Series(series) => Some(&series.frame_of_reference_uid),
            Slices::Grid(_) => None,
        }
    }

    /// As a stack that the contours of `object` can lie on.
    pub(super) fn stack(
        &self,
        object: &InMemDicomObject,
        limits: &ObjectLimits,
    ) -> Result<Stack, ObjectError> {
        match self {
            Slices::Series(series) => Stack::of_series(series, limits),
            Slices::Grid(geometry) => Stack::of_grid(&across(geometry, normal_of_contours(object))?, limits),
        }
    }
}

/// The same voxels with that axis slowest which runs most along `normal` (LPS); as they are if no contour says one.
fn across(geometry: &Geometry, normal: Option<Vector>) -> Result<Geometry, ObjectError> {
    let rows = geometry.affine.rows();
    let step = |axis: usize| turn([rows[0][axis], rows[1][axis], rows[2][axis]]);
    let along = |axis: usize, normal: Vector| (dot(step(axis), normal) / norm(step(axis))).abs();
    let slowest = normal.map_or(2, |normal| {
        (0..2).fold(2, |best, axis| {
            if along(axis, normal) > along(best, normal) {
                axis
            } else {
                best
            }
        })
    });
    let [x, y, z] = match slowest {
        0 => [1, 2, 0],
        1 => [0, 2, 1],
        _ => [0, 1, 2],
    };
    let (shape, spacing) = (geometry.shape.xyz(), geometry.spacing.xyz());
    Ok(Geometry {
        shape: Shape3::new([z, y, x].map(|axis| shape[axis]))?,
        spacing: Spacing::new([z, y, x].map(|axis| spacing[axis]))?,
        affine: Affine::new([0, 1, 2].map(|r: usize| [x, y, z, 3].map(|c| rows[r][c])))?,
    })
}

/// Unit vector at right angles to the first contour that encloses an area, LPS.
fn normal_of_contours(object: &InMemDicomObject) -> Option<Vector> {
    let regions = items(object, tags::ROI_CONTOUR_SEQUENCE).iter();
    let mut contours = regions.flat_map(|region| items(region, tags::CONTOUR_SEQUENCE));
    contours.find_map(normal_of)
}

/// By Newell's sum over the edges, which is twice the area.
fn normal_of(contour: &InMemDicomObject) -> Option<Vector> {
    let values = contour.get(tags::CONTOUR_DATA)?.to_multi_float64().ok()?;
    let (points, _) = values.as_chunks::<3>();
    let next = points.iter().skip(1).chain(points.first());
    let edges = points.iter().zip(next).map(|(from, to)| cross(*from, *to));
    let sum = edges.fold([0.0; 3], add);
    let length = norm(sum);
    (length > 0.0 && length.is_finite()).then(|| scale(sum, 1.0 / length))
}
