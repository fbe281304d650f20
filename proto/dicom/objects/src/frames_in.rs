//! The grid that frames from outside lie on.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use nephrite_types::{Affine, Geometry, Shape3, Spacing};

use crate::attributes::{fault, item, numbers_opt};
use crate::vector::{Vector, add, cross, dot, norm, scale, subtract, turn};
use crate::{ObjectError, ObjectLimits};

/// How far a frame may lie from its place on the grid, in steps.
const MAX_OFF_STEPS: f64 = 0.1;
/// How far frames may shift against each other within their plane, in voxels.
const MAX_SHIFT_VOXELS: f64 = 0.2;
/// Cosines that differ by no more are the same; an axis this far from unit length or a right angle is refused.
const SAME: f64 = 1e-3;

/// Where frames lie.
#[derive(Debug, Clone)]
pub(crate) struct FrameGrid {
    /// `[slice, row, column]` as `[z, y, x]`, ascending along the normal.
    pub(crate) geometry: Geometry,
    /// Slice of each frame.
    pub(crate) slices: Vec<usize>,
}

impl FrameGrid {
    /// Of functional groups per frame and those that are shared.
    ///
    /// # Errors
    /// [`ObjectError::Object`] if frames are no parallel planes at multiples of one step.
    pub(crate) fn of(
        groups: &[InMemDicomObject],
        shared: Option<&InMemDicomObject>,
        [rows, columns]: [usize; 2],
        limits: &ObjectLimits,
    ) -> Result<FrameGrid, ObjectError> {
        let first = groups
            .first()
            .ok_or_else(|| fault(tags::NUMBER_OF_FRAMES, "is 0"))?;
        let orientation = |group| {
            let found = lookup(
                group,
                shared,
                tags::PLANE_ORIENTATION_SEQUENCE,
                tags::IMAGE_ORIENTATION_PATIENT,
            )?;
            found.ok_or_else(|| fault(tags::IMAGE_ORIENTATION_PATIENT, "is missing"))
        };
        let spacing = |group| {
            let found = lookup::<2>(group, shared, tags::PIXEL_MEASURES_SEQUENCE, tags::PIXEL_SPACING)?;
            let found = found.filter(|spacing| spacing.iter().all(|mm| *mm > 0.0));
            found.ok_or_else(|| fault(tags::PIXEL_SPACING, "is missing or not positive"))
        };
        let directions: [f64; 6] = orientation(first)?;
        let [row_mm, column_mm] = spacing(first)?;
        let (along_row, along_column) = halves(directions);
        let is_unit = |v: Vector| (norm(v) - 1.0).abs() <= SAME;
        if !is_unit(along_row) || !is_unit(along_column) || dot(along_row, along_column).abs() > SAME {
            return Err(fault(
                tags::IMAGE_ORIENTATION_PATIENT,
                "is no pair of unit vectors at a right angle",
            ));
        }
        let normal = cross(along_row, along_column);
        let mut positions = Vec::with_capacity(groups.len());
        for group in groups {
            let far = |a: &[f64], b: &[f64]| !a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME);
            if far(&orientation(group)?, &directions) || far(&spacing(group)?, &[row_mm, column_mm]) {
                return Err(fault(
                    tags::IMAGE_ORIENTATION_PATIENT,
                    "or the spacing differs from frame to frame",
                ));
            }
            let position = lookup::<3>(
                group,
                shared,
                tags::PLANE_POSITION_SEQUENCE,
                tags::IMAGE_POSITION_PATIENT,
            )?;
            positions.push(position.ok_or_else(|| fault(tags::IMAGE_POSITION_PATIENT, "is missing"))?);
        }
        let along: Vec<f64> = positions.iter().map(|position| dot(normal, *position)).collect();
        let stated = |tag| lookup::<1>(first, shared, tags::PIXEL_MEASURES_SEQUENCE, tag);
        let stated = [
            stated(tags::SPACING_BETWEEN_SLICES)?,
            stated(tags::SLICE_THICKNESS)?,
        ];
        let stated = stated.into_iter().flatten().map(|[mm]| mm.abs());
        let (step, places) = step_of(&along, stated, limits)?;

        let lowest = (0..along.len()).fold(0, |best, idx| if along[idx] < along[best] { idx } else { best });
        // The middle of what the frames say of where the first lies.
        let starts = along
            .iter()
            .zip(&places)
            .map(|(mm, place)| mm - *place as f64 * step);
        let start = starts.sum::<f64>() / along.len() as f64;
        let lateral = |position: Vector| subtract(position, scale(normal, dot(normal, position)));
        let leaning = |position: &Vector| norm(subtract(lateral(*position), lateral(positions[lowest])));
        if positions.iter().map(leaning).fold(0.0, f64::max) > MAX_SHIFT_VOXELS * row_mm.min(column_mm) {
            return Err(fault(
                tags::IMAGE_POSITION_PATIENT,
                "frames do not lie straight above each other",
            ));
        }
        let origin = turn(add(lateral(positions[lowest]), scale(normal, start)));
        let (x, y) = (
            turn(scale(along_row, column_mm)),
            turn(scale(along_column, row_mm)),
        );
        let z = turn(scale(normal, step));
        let n = places.iter().max().map_or(1, |last| last + 1);
        let geometry = Geometry {
            shape: Shape3::new([n, rows, columns])?,
            spacing: Spacing::new([step, row_mm, column_mm])?,
            affine: Affine::new(std::array::from_fn(|r| [x[r], y[r], z[r], origin[r]]))?,
        };
        Ok(FrameGrid {
            geometry: geometry.measured(),
            slices: places,
        })
    }
}

fn halves([a, b, c, d, e, f]: [f64; 6]) -> (Vector, Vector) {
    ([a, b, c], [d, e, f])
}

/// Numbers of a functional group: of the frame, or else shared.
fn lookup<const N: usize>(
    group: &InMemDicomObject,
    shared: Option<&InMemDicomObject>,
    sequence: Tag,
    tag: Tag,
) -> Result<Option<[f64; N]>, ObjectError> {
    let of_frame = item(group, sequence);
    let found = of_frame.or_else(|| shared.and_then(|shared| item(shared, sequence)));
    found.map_or(Ok(None), |found| numbers_opt(found, tag))
}

/// A step of which all distances from the lowest are multiples, and the multiple of each: one that is stated, or the
/// smallest distance between neighbors.
fn step_of(
    along: &[f64],
    stated: impl Iterator<Item = f64>,
    limits: &ObjectLimits,
) -> Result<(f64, Vec<usize>), ObjectError> {
    let mut sorted = along.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    let gaps = sorted.windows(2).map(|pair| pair[1] - pair[0]);
    let smallest = gaps.filter(|gap| *gap > 1e-3).fold(f64::INFINITY, f64::min);
    let stated = stated.filter(|mm| mm.is_finite() && *mm > 1e-3);
    let mut candidates: Vec<f64> = stated.collect();
    match smallest.is_finite() {
        true => candidates.push(smallest),
        false => candidates.push(1.0), // one slice whose thickness nobody says
    }
    for step in candidates {
        let n = ((high - low) / step).round();
        if n >= limits.max_slices as f64 {
            continue;
        }
        let multiples = along.iter().map(|mm| (mm - low) / step);
        if multiples
            .clone()
            .all(|multiple| (multiple - multiple.round()).abs() <= MAX_OFF_STEPS)
        {
            return Ok((
                step,
                multiples.map(|multiple| multiple.round() as usize).collect(),
            ));
        }
    }
    Err(fault(
        tags::IMAGE_POSITION_PATIENT,
        "frames do not lie at multiples of one step, or too far apart",
    ))
}
