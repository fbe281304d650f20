//! The images of one stack: sorted along the normal of their plane, and checked to be one even grid.

use nephrite_types::{Affine, Geometry, GeometryError, Shape3, Spacing};

use super::options::{SeriesOptions, Tilt};
use super::vector::{cross, dot, length, minus, plus, times};
use crate::series_fault::SeriesFault;

/// Images closer than this fraction of a step lie at one place.
const SAME_PLACE: f64 = 0.01;
/// In mm; positions are written with few digits.
const SAME_PLACE_MM: f64 = 1e-3;
/// Cosines, and products of them.
const DIRECTION_TOLERANCE: f64 = 1e-3;
/// A gap is a missing slice if it is a whole number of steps within this.
const WHOLE_STEPS: f64 = 0.1;
/// Shift from first to last that rounding of positions may bring, mm.
const ROUNDED_MM: f64 = 0.02;

/// Where one image lies. `index` is the caller's.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub(super) index: usize,
    pub(super) file: String,
    pub(super) position: [f64; 3],
    pub(super) orientation: [f64; 6],
    /// mm between rows, then between columns.
    pub(super) spacing: [f64; 2],
}

/// Images in order, without those that are there twice, and the grid that they make.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// Indices of the caller, along the normal.
    pub(super) order: Vec<usize>,
    /// Index of an image that is left out, and of the one that lies where it lies.
    pub(super) twice: Vec<(usize, usize)>,
    pub(super) row: [f64; 3],
    pub(super) column: [f64; 3],
    /// mm between rows, columns.
    pub(super) spacing: [f64; 2],
    /// mm from slice to slice.
    pub(super) step: f64,
    /// Of the first slice.
    pub(super) origin: [f64; 3],
    pub(super) normal: [f64; 3],
    /// Rows that each slice is shifted by against the one before it, of a tilted gantry.
    pub(super) tilt_rows: Option<f64>,
}

/// Sorts and checks; all planes have one direction and one spacing (up to rounding).
pub(super) fn place(planes: &[Plane], options: &SeriesOptions) -> Result<Placed, SeriesFault> {
    let first = match planes {
        [] => {
            return Err(geometry(
                "ImagePositionPatient (0020,0032)",
                "is missing",
                Vec::new(),
            ));
        }
        [one] => {
            return Err(SeriesFault::OneSlice {
                file: one.file.clone(),
            });
        }
        [first, ..] => first,
    };
    let [a, b, c, d, e, f] = first.orientation;
    let (row, column) = unit_axes([a, b, c], [d, e, f]).ok_or_else(|| {
        let what = "is not two directions at right angles";
        geometry(
            "ImageOrientationPatient (0020,0037)",
            what,
            vec![first.file.clone()],
        )
    })?;
    let normal = cross(row, column);
    let mut sorted: Vec<(f64, &Plane)> = planes
        .iter()
        .map(|plane| (dot(normal, plane.position), plane))
        .collect();
    sorted.sort_by(|(t, a), (u, b)| {
        t.total_cmp(u)
            .then_with(|| a.file.cmp(&b.file))
            .then(a.index.cmp(&b.index))
    });
    let mut steps: Vec<f64> = sorted
        .windows(2)
        .map(|pair| pair[1].0 - pair[0].0)
        .filter(|&d| d > SAME_PLACE_MM)
        .collect();
    if steps.is_empty() {
        return Err(SeriesFault::NotAVolume {
            n: sorted.len(),
            files: sorted.iter().map(|(_, plane)| plane.file.clone()).collect(),
        });
    }
    steps.sort_by(f64::total_cmp);
    let median = steps[steps.len() / 2];

    let mut kept: Vec<(f64, &Plane)> = Vec::new();
    let mut twice = Vec::new();
    for (t, plane) in sorted {
        match kept.last() {
            Some((before, other)) if t - before < (SAME_PLACE * median).max(SAME_PLACE_MM) => {
                twice.push((plane.index, other.index));
            }
            _ => kept.push((t, plane)),
        }
    }
    let step = even_step(&kept, median, options)?;
    let shift = line(&kept, normal, first.spacing, options)?;
    let tilt_rows = tilt(&kept, shift, [row, column], first.spacing, options)?;
    Ok(Placed {
        order: kept.iter().map(|(_, plane)| plane.index).collect(),
        twice,
        row,
        column,
        spacing: first.spacing,
        step,
        origin: kept[0].1.position,
        normal,
        tilt_rows,
    })
}

fn geometry(attribute: &'static str, what: &'static str, files: Vec<String>) -> SeriesFault {
    SeriesFault::Geometry {
        attribute,
        what,
        files,
    }
}

/// Both of length 1 and at right angles, as they are up to the digits that a file has.
fn unit_axes(row: [f64; 3], column: [f64; 3]) -> Option<([f64; 3], [f64; 3])> {
    let is_unit = |v: [f64; 3]| (length(v) - 1.0).abs() < DIRECTION_TOLERANCE;
    if !is_unit(row) || !is_unit(column) || dot(row, column).abs() > DIRECTION_TOLERANCE {
        return None;
    }
    let row = times(row, 1.0 / length(row));
    let column = minus(column, times(row, dot(row, column)));
    Some((row, times(column, 1.0 / length(column))))
}

/// The step from first to last, if every slice lies where it makes it lie.
fn even_step(kept: &[(f64, &Plane)], median: f64, options: &SeriesOptions) -> Result<f64, SeriesFault> {
    let n = kept.len();
    let (low, high) = (kept[0].0, kept[n - 1].0);
    let step = (high - low) / (n as f64 - 1.0);
    let off = |index: usize| kept[index].0 - (low + index as f64 * step);
    let worst = (0..n).fold(0, |worst, index| {
        if off(index).abs() > off(worst).abs() {
            index
        } else {
            worst
        }
    });
    if off(worst).abs() <= options.spacing_tolerance * step {
        return Ok(step);
    }
    let gaps: Vec<f64> = kept
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0) / median)
        .collect();
    let is_whole = |gap: f64| (gap - gap.round()).abs() < WHOLE_STEPS && gap.round() >= 1.0;
    let first_gap = gaps.iter().position(|gap| gap.round() > 1.0);
    match first_gap {
        Some(at) if gaps.iter().all(|&gap| is_whole(gap)) => Err(SeriesFault::MissingSlice {
            missing: gaps
                .iter()
                .map(|gap| gap.round() as usize - 1)
                .fold(0, usize::saturating_add),
            gap: gaps[at].round() as usize,
            step: median,
            files: [kept[at].1.file.clone(), kept[at + 1].1.file.clone()],
        }),
        _ => Err(SeriesFault::UnevenSpacing {
            deviation: off(worst).abs(),
            step,
            file: kept[worst].1.file.clone(),
        }),
    }
}

/// Shift within the plane from first to last, mm, and the way along the normal; slices must lie on one line.
#[derive(Clone, Copy)]
struct Shift {
    vector: [f64; 3],
    height: f64,
}

fn line(
    kept: &[(f64, &Plane)],
    normal: [f64; 3],
    spacing: [f64; 2],
    options: &SeriesOptions,
) -> Result<Shift, SeriesFault> {
    let (first, last) = (kept[0], kept[kept.len() - 1]);
    let whole = minus(last.1.position, first.1.position);
    let height = dot(whole, normal);
    for (t, plane) in kept {
        let along = times(whole, (t - first.0) / height);
        let beside = length(minus(plane.position, plus(first.1.position, along)));
        if beside > allowed_mm(spacing, options) {
            return Err(SeriesFault::Misaligned {
                shift: beside,
                file: plane.file.clone(),
            });
        }
    }
    Ok(Shift {
        vector: minus(whole, times(normal, height)),
        height,
    })
}

/// What counts as no shift.
fn allowed_mm(spacing: [f64; 2], options: &SeriesOptions) -> f64 {
    (options.shift_tolerance * spacing[0].min(spacing[1])).max(ROUNDED_MM)
}

/// Rows that slices shift by, if they may; a gantry tilts along columns only.
fn tilt(
    kept: &[(f64, &Plane)],
    shift: Shift,
    [row, column]: [[f64; 3]; 2],
    spacing: [f64; 2],
    options: &SeriesOptions,
) -> Result<Option<f64>, SeriesFault> {
    let (mm, allowed) = (length(shift.vector), allowed_mm(spacing, options));
    if mm <= allowed {
        return Ok(None);
    }
    if options.tilt == Tilt::Resample && dot(shift.vector, row).abs() <= allowed {
        let steps = kept.len() as f64 - 1.0;
        return Ok(Some(dot(shift.vector, column) / spacing[0] / steps));
    }
    Err(SeriesFault::GantryTilt {
        degrees: mm.atan2(shift.height).to_degrees(),
        shift: mm,
        files: [kept[0].1.file.clone(), kept[kept.len() - 1].1.file.clone()],
    })
}

impl Placed {
    /// Rows of the array before the first of an image, and rows of the array: those of an image, and more where slices shift.
    pub(super) fn rows(&self, rows: u32) -> [u32; 2] {
        let shift = self.tilt_rows.unwrap_or(0.0) * (self.order.len() as f64 - 1.0);
        // Ends that are whole rows up to rounding take no further row.
        let whole = |rows: f64| (rows - SAME_PLACE).ceil().max(0.0) as u32;
        let before = whole(-shift);
        [before, rows.saturating_add(before).saturating_add(whole(shift))]
    }

    /// The grid of the array `[slice, row, column]` with rows from the last to the first, as dcm2niix has it: RAS+.
    pub(super) fn grid(&self, image_rows: u32, columns: u32) -> Result<Geometry, GeometryError> {
        let [before, rows] = self.rows(image_rows);
        let [between_rows, between_columns] = self.spacing;
        let last_row = times(
            self.column,
            between_rows * (f64::from(rows) - 1.0 - f64::from(before)),
        );
        let steps = [
            times(self.row, between_columns),
            times(self.column, -between_rows),
            times(self.normal, self.step),
            plus(self.origin, last_row),
        ];
        // LPS to RAS.
        let affine = std::array::from_fn(|r| steps.map(|v| if r < 2 { -v[r] } else { v[r] }));
        Ok(Geometry {
            shape: Shape3::new([self.order.len(), rows as usize, columns as usize])?,
            spacing: Spacing::new([self.step, between_rows, between_columns])?,
            affine: Affine::new(affine)?,
        })
    }
}
