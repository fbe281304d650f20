//! Where the voxels of an NRRD file lie: ITK's reading of its axes, space, directions, and origin.

use super::fields::Fields;
use crate::VolumeError;
use crate::foreign_header::StatedGrid;
use crate::header_lines::{FieldText, finite};

/// Axes that a header of NIfTI has room for; teem takes 16.
const MAX_AXES: i64 = 7;

/// Kinds of axes that are no place but hold the values of one voxel.
const RANGES: [&str; 28] = [
    "list",
    "point",
    "vector",
    "covariant-vector",
    "normal",
    "scalar",
    "stub",
    "complex",
    "2-vector",
    "3-color",
    "rgb-color",
    "hsv-color",
    "xyz-color",
    "4-color",
    "rgba-color",
    "3-vector",
    "3-gradient",
    "3-normal",
    "4-vector",
    "quaternion",
    "2d-symmetric-matrix",
    "2d-masked-symmetric-matrix",
    "2d-matrix",
    "2d-masked-matrix",
    "3d-symmetric-matrix",
    "3d-masked-symmetric-matrix",
    "3d-matrix",
    "3d-masked-matrix",
];

/// The axes of the file.
pub(super) struct Axes {
    /// Of all of them.
    sizes: Vec<i64>,
    /// Which are places.
    places: Vec<usize>,
}

impl Axes {
    /// # Errors
    /// [`VolumeError::HeaderField`]; [`VolumeError::SeveralValues`] for an axis of several values per voxel.
    pub(super) fn of(fields: &Fields<'_>) -> Result<Axes, VolumeError> {
        let dimension = fields.wanted("dimension")?;
        let expected = "1 to 7";
        let n = match dimension.integer(expected)? {
            n @ 1..=MAX_AXES => n as usize,
            _ => return Err(dimension.refused(expected)),
        };
        let sizes = fields.wanted("sizes")?.integers(n, "a whole number per axis")?;
        let mut places = Vec::new();
        let kinds = match fields.get("kinds") {
            Some(field) => kinds(field, n)?,
            None => vec![Kind::Place; n],
        };
        for (axis, kind) in kinds.iter().enumerate() {
            match kind {
                Kind::Place => places.push(axis),
                // one value: the axis is not one
                Kind::Range(kind) if matches!(*kind, "scalar" | "stub") && sizes[axis] == 1 => {}
                Kind::Range(kind) => {
                    return Err(VolumeError::SeveralValues {
                        name: dimension.name.to_owned(),
                        n: sizes[axis],
                        kind,
                    });
                }
            }
        }
        Ok(Axes { sizes, places })
    }

    fn n_all(&self) -> usize {
        self.sizes.len()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Place,
    Range(&'static str),
}

fn kinds(field: FieldText<'_>, n: usize) -> Result<Vec<Kind>, VolumeError> {
    let kind = |text: &str| match text.to_ascii_lowercase().as_str() {
        "domain" | "space" | "time" | "none" | "???" => Some(Kind::Place),
        other => RANGES
            .iter()
            .find(|range| **range == other)
            .map(|range| Kind::Range(range)),
    };
    let kinds: Option<Vec<Kind>> = field.text.split_ascii_whitespace().map(kind).collect();
    kinds
        .filter(|kinds| kinds.len() == n)
        .ok_or_else(|| field.refused("a kind of NRRD per axis"))
}

/// How the axes of the space become L, P, S, and how many they are.
struct Space {
    n_axes: usize,
    to_lps: [f64; 3],
}

impl Space {
    fn of(fields: &Fields<'_>) -> Result<Option<Space>, VolumeError> {
        let lps = [1.0; 3];
        if let Some(field) = fields.get("space") {
            let to_lps = match field.text.trim().to_ascii_lowercase().as_str() {
                "right-anterior-superior" | "ras" => [-1.0, -1.0, 1.0],
                "left-anterior-superior" | "las" => [1.0, -1.0, 1.0],
                "left-posterior-superior" | "lps" | "scanner-xyz" | "3d-right-handed" | "3d-left-handed" => {
                    lps
                }
                _ => {
                    return Err(
                        field.refused("RAS, LAS, LPS, scanner-xyz, 3D-right-handed, or 3D-left-handed")
                    );
                }
            };
            if let Some(field) = fields.get("space dimension") {
                return Err(field.refused("a space or a dimension of it, not both"));
            }
            return Ok(Some(Space { n_axes: 3, to_lps }));
        }
        let Some(field) = fields.get("space dimension") else {
            return Ok(None);
        };
        match field.integer("2 or 3")? {
            n @ 2..=3 => Ok(Some(Space {
                n_axes: n as usize,
                to_lps: lps,
            })),
            _ => Err(field.refused("2 or 3")),
        }
    }
}

/// The grid of the voxels.
///
/// # Errors
/// [`VolumeError::HeaderField`] for what contradicts itself, or is stated in another unit than millimeters.
pub(super) fn stated_grid(fields: &Fields<'_>, axes: &Axes) -> Result<StatedGrid, VolumeError> {
    let space = Space::of(fields)?;
    for field in ["units", "space units"] {
        fields.get(field).map_or(Ok(()), millimetres)?;
    }
    if let Some(space) = &space
        && space.n_axes != axes.places.len()
    {
        let field = fields.wanted("dimension")?;
        return Err(field.refused("as many axes as the space has, and those that hold one value"));
    }
    let dims: Vec<i64> = axes.places.iter().map(|&axis| axes.sizes[axis]).collect();
    let mut grid = StatedGrid {
        dims,
        spacing: [1.0; 3],
        directions: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        origin: [0.0; 3],
    };
    match &space {
        Some(space) => place_in_space(fields, axes, space, &mut grid)?,
        None => place_along_axes(fields, axes, &mut grid)?,
    }
    Ok(grid)
}

/// By `space directions` and `space origin`.
fn place_in_space(
    fields: &Fields<'_>,
    axes: &Axes,
    space: &Space,
    grid: &mut StatedGrid,
) -> Result<(), VolumeError> {
    for field in ["spacings", "axis mins", "axis maxs", "units"] {
        if let Some(field) = fields.get(field) {
            return Err(field.refused("nothing beside a space"));
        }
    }
    if let Some(field) = fields.get("space directions") {
        let expected = "a vector of the space per axis, none for those that are no place";
        let vectors = vectors(field, space.n_axes)
            .filter(|vectors| vectors.len() == axes.n_all())
            .ok_or_else(|| field.refused(expected))?;
        for (place, &axis) in axes.places.iter().enumerate() {
            let step = vectors[axis].ok_or_else(|| field.refused(expected))?;
            let length = step.iter().map(|v| v * v).sum::<f64>().sqrt();
            if !(length > 0.0 && length.is_finite()) {
                return Err(field.refused("vectors with a length"));
            }
            grid.spacing[place] = length;
            grid.directions[place] = std::array::from_fn(|r| space.to_lps[r] * step[r] / length);
        }
    }
    if let Some(field) = fields.get("space origin") {
        let expected = "a vector of the space";
        let origin = match vectors(field, space.n_axes).as_deref() {
            Some([origin]) => origin.unwrap_or_default(),
            _ => return Err(field.refused(expected)),
        };
        grid.origin = std::array::from_fn(|r| space.to_lps[r] * origin[r]);
    }
    Ok(())
}

/// By `spacings` and `axis mins`, along the axes of the world.
fn place_along_axes(fields: &Fields<'_>, axes: &Axes, grid: &mut StatedGrid) -> Result<(), VolumeError> {
    if let Some(field) = fields.get("axis maxs") {
        return Err(field.refused("spacings"));
    }
    let per_axis = |field: FieldText<'_>| -> Result<Vec<f64>, VolumeError> {
        let values = field.numbers(axes.n_all(), "a number per axis")?;
        Ok(axes.places.iter().map(|&axis| values[axis]).collect())
    };
    let spacings = fields.get("spacings").map(per_axis).transpose()?;
    for (to, spacing) in grid.spacing.iter_mut().zip(spacings.iter().flatten()) {
        *to = *spacing;
    }
    let Some(field) = fields.get("axis mins") else {
        return Ok(());
    };
    if spacings.is_none() || grid.spacing.iter().any(|v| *v < 0.0) {
        return Err(field.refused("spacings, all above 0, beside it"));
    }
    let centers = match fields.get("centers") {
        Some(field) => centers(field, axes)?,
        None => vec![0.5; axes.places.len()],
    };
    for (axis, min) in per_axis(field)?.into_iter().enumerate().take(3) {
        grid.origin[axis] = min + centers[axis] * grid.spacing[axis];
    }
    Ok(())
}

/// Where the first voxel of each place lies after its axis begins, in voxels.
fn centers(field: FieldText<'_>, axes: &Axes) -> Result<Vec<f64>, VolumeError> {
    let center = |text: &str| match text.to_ascii_lowercase().as_str() {
        "cell" | "none" | "???" => Some(0.5),
        "node" => Some(0.0),
        _ => None,
    };
    let centers: Option<Vec<f64>> = field.text.split_ascii_whitespace().map(center).collect();
    let centers = centers.filter(|centers| centers.len() == axes.n_all());
    let centers = centers.ok_or_else(|| field.refused("cell or node per axis"))?;
    Ok(axes.places.iter().map(|&axis| centers[axis]).collect())
}

/// `(x,y,z)` or `none`, one after the other, of so many finite numbers each; what is missing is 0. `None` for anything else.
fn vectors(field: FieldText<'_>, n: usize) -> Option<Vec<Option<[f64; 3]>>> {
    let mut rest = field.text.trim();
    let mut vectors = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("none") {
            vectors.push(None);
            rest = after.trim_start();
            continue;
        }
        let (inside, after) = rest.strip_prefix('(')?.split_once(')')?;
        let numbers: Option<Vec<f64>> = inside.split(',').map(finite).collect();
        let numbers = numbers.filter(|numbers| numbers.len() == n)?;
        let mut vector = [0.0; 3];
        vector[..n].copy_from_slice(&numbers);
        vectors.push(Some(vector));
        rest = after.trim_start();
    }
    Some(vectors)
}

/// Quoted units, all of them millimeters or not said. SimpleITK does not look; what it reads then has the wrong size.
fn millimetres(field: FieldText<'_>) -> Result<(), VolumeError> {
    let said = field.text.split('"').skip(1).step_by(2);
    let quoted = field.text.matches('"').count();
    let is_millimetre = |unit: &str| matches!(unit.trim(), "" | "???" | "mm" | "millimeter" | "millimeters");
    if quoted.is_multiple_of(2) && quoted > 0 && said.clone().all(is_millimetre) {
        Ok(())
    } else {
        Err(field.refused("\"mm\" per axis"))
    }
}
