//! The grid of a series of images: frames in ascending order along their normal.

use nephrite_types::{Affine, Geometry, Shape3, Spacing};

use crate::uid::is_uid;
use crate::vector::{Vector, add, cross, dot, norm, scale, subtract, turn};
use crate::{ObjectError, ObjectLimits, SourceSeries, SourceSlice};

/// Cosines and millimeters of one stack that differ by no more are the same.
const SAME: f64 = 1e-4;
/// How far a slice may lie from its place in an even stack, in steps.
const MAX_OFF_STEPS: f64 = 0.05;
/// How far the last slice may have shifted against the first within its plane, in voxels.
const MAX_SHIFT_VOXELS: f64 = 0.15;
/// How far an axis may be from unit length or a right angle.
const MAX_SKEW: f64 = 1e-3;

/// A frame of an object: where it lies, and of which image it is the copy.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Center of the first voxel, mm, LPS.
    pub(crate) position: Vector,
    /// SOP class, SOP instance, and frame number of the image in the same place, if there is one.
    pub(crate) image: Option<(String, String, Option<u32>)>,
}

/// Parallel frames at even distances, ascending along their normal.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    /// `[frame, row, column]` as `[z, y, x]`.
    pub(crate) geometry: Geometry,
    /// Unit vectors, LPS: where columns count up, where rows count up.
    pub(crate) row_direction: Vector,
    pub(crate) column_direction: Vector,
    /// From row to row, from column to column, from frame to frame, mm.
    pub(crate) spacing: [f64; 3],
    pub(crate) frames: Vec<Frame>,
}

impl Stack {
    /// Of a source series, whose identifiers are checked as well.
    pub(crate) fn of_series(series: &SourceSeries, limits: &ObjectLimits) -> Result<Stack, ObjectError> {
        let n = series.slices.len();
        if n == 0 || n > limits.max_slices {
            return Err(ObjectError::SliceCount {
                limit: limits.max_slices,
                found: n,
            });
        }
        check_uids(series)?;
        let first = &series.slices[0];
        check_plane(first)?;
        let fault = |slice, reason| ObjectError::Slices { slice, reason };
        if let Some((idx, reason)) = (1..n).find_map(|idx| Some((idx, differs(first, &series.slices[idx])?)))
        {
            return Err(fault(idx, reason));
        }
        let normal = cross(first.row_direction, first.column_direction);
        let mut order: Vec<usize> = (0..n).collect();
        let along = |idx: usize| dot(normal, series.slices[idx].position);
        order.sort_by(|&a, &b| along(a).total_cmp(&along(b)));
        let (start, end) = (&series.slices[order[0]], &series.slices[order[n - 1]]);
        let step = match n {
            1 => scale(
                normal,
                first
                    .thickness
                    .filter(|mm| mm.is_finite() && *mm > 0.0)
                    .unwrap_or(1.0),
            ),
            _ => scale(subtract(end.position, start.position), 1.0 / (n - 1) as f64),
        };
        let length = norm(step);
        if !(length > SAME && length.is_finite()) {
            return Err(fault(order[0], "all slices lie in one place"));
        }
        let shift = norm(cross(step, normal)) * (n - 1) as f64;
        if shift > MAX_SHIFT_VOXELS * first.spacing[0].min(first.spacing[1]) {
            return Err(fault(
                order[0],
                "the slices are sheared: a mask on them needs a grid of its own",
            ));
        }
        for (k, &idx) in order.iter().enumerate() {
            let expected = add(start.position, scale(step, k as f64));
            if norm(subtract(series.slices[idx].position, expected)) > MAX_OFF_STEPS * length {
                return Err(fault(
                    idx,
                    "is missing, twice there, or not at an even distance from its neighbors",
                ));
            }
        }
        let frame = |&idx: &usize| {
            let slice = &series.slices[idx];
            let image = (
                slice.sop_class_uid.clone(),
                slice.sop_instance_uid.clone(),
                slice.frame,
            );
            Frame {
                position: slice.position,
                image: Some(image),
            }
        };
        Ok(Stack {
            geometry: geometry_of(start, step, n)?,
            row_direction: first.row_direction,
            column_direction: first.column_direction,
            spacing: [first.spacing[0], first.spacing[1], length],
            frames: order.iter().map(frame).collect(),
        })
    }

    /// The same, of a size that an object can have.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`], [`ObjectError::Sheared`]
    pub(crate) fn of_grid(geometry: &Geometry, limits: &ObjectLimits) -> Result<Stack, ObjectError> {
        let [frames, rows, columns] = geometry.shape.zyx();
        ObjectError::check("rows or columns of the grid", rows.max(columns) as u64, 65_535)?;
        ObjectError::check("slices of the grid", frames as u64, limits.max_slices as u64)?;
        Stack::of_mask(geometry)
    }

    /// The grid of a mask as a stack of its own, which no image lies in.
    pub(crate) fn of_mask(geometry: &Geometry) -> Result<Stack, ObjectError> {
        let rows = geometry.affine.rows();
        let column = |c: usize| turn([rows[0][c], rows[1][c], rows[2][c]]);
        let (x, y, z) = (column(0), column(1), column(2));
        let [sx, sy, sz] = [x, y, z].map(norm);
        let cosines = [
            dot(x, y) / (sx * sy),
            dot(y, z) / (sy * sz),
            dot(z, x) / (sz * sx),
        ];
        let cosine = cosines.into_iter().map(f64::abs).fold(0.0, f64::max);
        if cosine > MAX_SKEW {
            return Err(ObjectError::Sheared { cosine });
        }
        let (row_direction, column_direction) = (scale(x, 1.0 / sx), scale(y, 1.0 / sy));
        let [nz, ny, nx] = geometry.shape.zyx();
        let origin = turn([rows[0][3], rows[1][3], rows[2][3]]);
        // Ascending along the normal: from the other end if the axes are left-handed.
        let is_right_handed = dot(cross(x, y), z) > 0.0;
        let (start, step) = match is_right_handed {
            true => (origin, z),
            false => (add(origin, scale(z, (nz - 1) as f64)), scale(z, -1.0)),
        };
        let position = |k: usize| add(start, scale(step, k as f64));
        let slice = SourceSlice {
            sop_class_uid: String::new(),
            sop_instance_uid: String::new(),
            frame: None,
            position: start,
            row_direction,
            column_direction,
            spacing: [sy, sx],
            thickness: None,
            rows: ny,
            columns: nx,
        };
        let frame = |k| Frame {
            position: position(k),
            image: None,
        };
        Ok(Stack {
            geometry: geometry_of(&slice, step, nz)?,
            row_direction,
            column_direction,
            spacing: [sy, sx, sz],
            frames: (0..nz).map(frame).collect(),
        })
    }

    /// mm, LPS, of a place in a frame; whole numbers are centers of voxels.
    pub(crate) fn place(&self, frame: usize, row: f64, column: f64) -> Vector {
        let along_column = scale(self.column_direction, row * self.spacing[0]);
        let along_row = scale(self.row_direction, column * self.spacing[1]);
        add(self.frames[frame].position, add(along_column, along_row))
    }
}

/// The grid of `n` frames from the first one on.
fn geometry_of(first: &SourceSlice, step: Vector, n: usize) -> Result<Geometry, ObjectError> {
    let x = turn(scale(first.row_direction, first.spacing[1]));
    let y = turn(scale(first.column_direction, first.spacing[0]));
    let (z, origin) = (turn(step), turn(first.position));
    let geometry = Geometry {
        shape: Shape3::new([n, first.rows, first.columns])?,
        spacing: Spacing::new([norm(step), first.spacing[0], first.spacing[1]])?,
        affine: Affine::new(std::array::from_fn(|r| [x[r], y[r], z[r], origin[r]]))?,
    };
    Ok(geometry.measured())
}

/// Refuses identifiers that are none.
fn check_uids(series: &SourceSeries) -> Result<(), ObjectError> {
    let study = series.study.get(dicom_dictionary_std::tags::STUDY_INSTANCE_UID);
    let study = study
        .and_then(|element| element.to_str().ok())
        .unwrap_or_default();
    let of_series = [
        ("StudyInstanceUID", study.trim_end_matches(['\0', ' '])),
        ("SeriesInstanceUID", series.series_uid.as_str()),
        ("FrameOfReferenceUID", series.frame_of_reference_uid.as_str()),
    ];
    let check = |of: &dyn Fn() -> String, attribute, found: &str| match is_uid(found) {
        true => Ok(()),
        false => Err(ObjectError::SourceUid {
            of: of(),
            attribute,
            found: found.chars().take(64).collect(),
        }),
    };
    for (attribute, uid) in of_series {
        check(&|| "the source series".to_owned(), attribute, uid)?;
    }
    for (idx, slice) in series.slices.iter().enumerate() {
        let of = || format!("slice {idx} of the source series (in the order given)");
        check(&of, "SOPInstanceUID", &slice.sop_instance_uid)?;
        check(&of, "SOPClassUID", &slice.sop_class_uid)?;
    }
    Ok(())
}

/// Refuses a plane that is none.
fn check_plane(slice: &SourceSlice) -> Result<(), ObjectError> {
    let fault = |reason| Err(ObjectError::Slices { slice: 0, reason });
    let numbers = [slice.position, slice.row_direction, slice.column_direction];
    if !numbers.iter().flatten().all(|v| v.is_finite()) {
        return fault("position or orientation is not finite");
    }
    if !slice.spacing.iter().all(|mm| mm.is_finite() && *mm > 0.0) {
        return fault("pixel spacing is not positive");
    }
    let (row, column) = (slice.row_direction, slice.column_direction);
    let is_unit = |v: Vector| (norm(v) - 1.0).abs() <= MAX_SKEW;
    if !is_unit(row) || !is_unit(column) || dot(row, column).abs() > MAX_SKEW {
        return fault("the directions of rows and columns are not unit vectors at a right angle");
    }
    if slice.rows == 0 || slice.columns == 0 || slice.rows > 65_535 || slice.columns > 65_535 {
        return fault("rows and columns must be 1 to 65535");
    }
    Ok(())
}

/// How a slice differs from the first in what all slices of a stack share.
fn differs(first: &SourceSlice, slice: &SourceSlice) -> Option<&'static str> {
    let far = |a: &[f64], b: &[f64]| !a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME);
    if (slice.rows, slice.columns) != (first.rows, first.columns) {
        return Some("its matrix is another than that of the first");
    }
    if far(&slice.row_direction, &first.row_direction)
        || far(&slice.column_direction, &first.column_direction)
    {
        return Some("its orientation is another than that of the first");
    }
    if far(&slice.spacing, &first.spacing) {
        return Some("its pixel spacing is another than that of the first");
    }
    (!slice.position.iter().all(|mm| mm.is_finite())).then_some("its position is not finite")
}
