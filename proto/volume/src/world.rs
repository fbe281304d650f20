//! Where the voxels of a file lie, as ITK and as nibabel see it.
//!
//! The two differ: ITK prefers the qform unless the sform is a scanner's, takes the length of the axes from `pixdim`
//! and converts units; nibabel prefers the sform as it is, shear and all, and ignores units.
//!
//! A sform that is not finite, singular or sheared gives way to the qform in ITK. nibabel takes it as it is; where it is
//! singular there is no world to be had from it, so the qform places the voxels here, and [`FileGeometry::gives_way`] says
//! so. A form that nobody uses may hold anything.
//!
//! Sources: ITK 5.4 `itkNiftiImageIO.cxx` (`SetImageIOOrientationFromNIfTI`) and `nifti1_io.c`
//! (`nifti_quatern_to_mat44`); nibabel 5.4 `nifti1.py` (`get_best_affine`) and `quaternions.py`. `golden/forms.json` holds
//! what both libraries say of every combination.

use nephrite_types::{Affine, Spacing};

use crate::VolumeError;
use crate::error::Form;
use crate::grid::Grid;
use crate::header::Header;
use crate::reader::{Reader, World};

/// Geometry of the voxels in file order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FileGeometry {
    /// As the reader reports it, x first; the z entry of a 2-D image is 1 (see [`crate::read`]).
    pub(crate) spacing_xyz: [f64; 3],
    /// Voxel `(x, y, z)` to RAS+, in `unit`.
    pub(crate) affine: Affine,
    /// `xyzt_units` of spacing and affine: ITK converts to mm, nibabel leaves numbers as they are.
    pub(crate) unit: i32,
    /// Which form of the header says so.
    pub(crate) form: Form,
    /// True if nibabel would have taken the sform, which is singular.
    pub(crate) gives_way: bool,
}

impl FileGeometry {
    /// Millimeters that one unit of spacing and affine stands for.
    pub(crate) fn mm_per_unit(&self) -> f64 {
        mm_per_unit(self.unit)
    }
}

/// Three rows: columns x, y, z and offset.
pub(crate) type Rows = [[f64; 4]; 3];

/// The geometry that `reader` sees.
pub(crate) fn file_geometry(
    header: &Header,
    grid: &Grid,
    reader: Reader,
    name: &str,
) -> Result<FileGeometry, VolumeError> {
    finite("pixdim", &header.pixdim[1..=grid.n_dims.max(1)], name)?;
    let unit = match reader.world() {
        World::Itk => mm_per_unit(header.xyzt_units),
        World::Nibabel => 1.0,
    };
    let spacing_xyz = pixdim_xyz(header, grid.n_dims).map(|v| v * unit);
    let [sx, sy, sz] = spacing_xyz;
    Spacing::new([sz, sy, sx]).map_err(|source| VolumeError::Geometry {
        name: name.to_owned(),
        form: Form::Pixdim,
        source,
    })?;
    let (rows, form, gives_way) = match reader.world() {
        World::Itk => {
            let (stored, form) = itk_form(header, reader, name)?;
            (itk_rows(header, grid, &stored, spacing_xyz, unit), form, false)
        }
        World::Nibabel => nibabel_rows(header, grid, reader, spacing_xyz, name)?,
    };
    Ok(FileGeometry {
        spacing_xyz,
        affine: Affine::new(rows).map_err(|source| VolumeError::Geometry {
            name: name.to_owned(),
            form,
            source,
        })?,
        unit: match reader.world() {
            World::Itk => MM,
            World::Nibabel => header.xyzt_units & 0x07,
        },
        form,
        gives_way,
    })
}

/// `xyzt_units` of millimeters.
pub(crate) const MM: i32 = 2;

fn finite(field: &'static str, values: &[f64], name: &str) -> Result<(), VolumeError> {
    if values.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    Err(VolumeError::NotFinite {
        name: name.to_owned(),
        field,
    })
}

fn sform_is_finite(header: &Header, name: &str) -> Result<(), VolumeError> {
    let fields = ["srow_x", "srow_y", "srow_z"].into_iter().zip(&header.srow);
    for (field, row) in fields {
        finite(field, row, name)?;
    }
    Ok(())
}

fn qform_is_finite(header: &Header, name: &str) -> Result<(), VolumeError> {
    finite("quatern", &header.quatern_bcd, name)?;
    finite("qoffset", &header.qoffset, name)
}

/// Absolute values; zero counts as 1 in both libraries. Axes that a 2-D image lacks get 1.
pub(crate) fn pixdim_xyz(header: &Header, n_dims: usize) -> [f64; 3] {
    std::array::from_fn(|axis| match header.pixdim[axis + 1].abs() {
        _ if axis >= n_dims => 1.0,
        0.0 => 1.0,
        length => length,
    })
}

/// ITK's conversion to millimeters; unknown units count as millimeters.
pub(crate) fn mm_per_unit(xyzt_units: i32) -> f64 {
    match xyzt_units & 0x07 {
        1 => 1e3,
        3 => 1e-3,
        _ => 1.0,
    }
}

/// The form that ITK takes directions and offset from.
fn itk_form(header: &Header, reader: Reader, name: &str) -> Result<(Rows, Form), VolumeError> {
    let (has_sform, has_qform) = (header.sform_code > 0, header.qform_code > 0);
    let qform = || -> Result<(Rows, Form), VolumeError> {
        qform_is_finite(header, name)?;
        Ok((itk_qform(header), Form::Qform))
    };
    if !has_sform && !has_qform {
        // ITK's identity is LPS.
        let identity = [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        return Ok((identity, Form::Pixdim));
    }
    if !has_sform {
        return qform();
    }
    let sform = header.srow;
    let other = itk_qform(header);
    let sform_is_finite = sform_is_finite(header, name);
    let spans = sform_is_finite.is_ok() && Affine::new(sform).is_ok();
    let takes_sform = if spans && has_orthonormal_columns(&sform) {
        !has_qform || header.sform_code == 1 || same_axes_and_offset(&sform, &other)
    } else {
        has_qform && same_numbers(&sform, &other)
    };
    if !takes_sform && has_qform {
        return qform();
    }
    sform_is_finite?;
    Affine::new(sform).map_err(|source| VolumeError::Geometry {
        name: name.to_owned(),
        form: Form::Sform,
        source,
    })?;
    if takes_sform {
        return Ok((sform, Form::Sform));
    }
    Err(VolumeError::NotOrthonormal {
        name: name.to_owned(),
        reader: reader.name(),
    })
}

/// In 32 bits, with lengths. Numbers that are not finite are zero in `nifti1_io.c`, lengths that are not positive one.
fn itk_qform(header: &Header) -> Rows {
    let or_zero = |values: [f64; 3]| values.map(|v| if v.is_finite() { v } else { 0.0 });
    let rows = qform_rows(
        itk_quaternion(or_zero(header.quatern_bcd)),
        or_zero(header.qoffset),
        qfac(header.pixdim[0] < 0.0),
    );
    let length = |c: usize| match header.pixdim[c + 1] {
        length if length > 0.0 => length,
        _ => 1.0,
    };
    rows.map(|[x, y, z, offset]| {
        [x * length(0), y * length(1), z * length(2), offset].map(|v| f64::from(v as f32))
    })
}

/// Directions of `stored` with the lengths that `pixdim` says.
fn itk_rows(header: &Header, grid: &Grid, stored: &Rows, spacing: [f64; 3], unit: f64) -> Rows {
    let mut rows = [[0.0; 4]; 3];
    for axis in 0..3 {
        if axis >= grid.n_dims {
            rows[axis][axis] = 1.0;
            continue;
        }
        // A 2-D image in ITK knows only the first two world axes.
        let column: [f64; 3] = std::array::from_fn(|r| if r < grid.n_dims { stored[r][axis] } else { 0.0 });
        let norm = column.iter().map(|v| v * v).sum::<f64>().sqrt();
        // ITK's image reader turns an axis with negative spacing round.
        let sign = if header.pixdim[axis + 1] < 0.0 { -1.0 } else { 1.0 };
        for r in 0..3 {
            rows[r][axis] = if norm > 0.0 {
                sign * spacing[axis] * (column[r] / norm)
            } else {
                0.0
            };
        }
    }
    for r in 0..grid.n_dims {
        rows[r][3] = stored[r][3] * unit;
    }
    rows
}

/// Rows, the form that they come from, and whether a singular sform gave way to it.
fn nibabel_rows(
    header: &Header,
    grid: &Grid,
    reader: Reader,
    spacing: [f64; 3],
    name: &str,
) -> Result<(Rows, Form, bool), VolumeError> {
    // Codes that the standard does not know are set to 0.
    let known = |code| (1..=5).contains(&code);
    let has_sform = known(header.sform_code);
    if has_sform {
        sform_is_finite(header, name)?;
        // Without axes that span the world, nibabel cannot tell how to turn them.
        let gives_way = Affine::new(header.srow).is_err() && known(header.qform_code) && !reader.reorients();
        if !gives_way {
            return Ok((header.srow, Form::Sform, false));
        }
    }
    if known(header.qform_code) {
        qform_is_finite(header, name)?;
        let quaternion = nibabel_quaternion(header, name)?;
        let mut rows = qform_rows(quaternion, header.qoffset, qfac(header.pixdim[0] == -1.0));
        for row in &mut rows {
            for c in 0..3 {
                row[c] *= spacing[c];
            }
        }
        return Ok((rows, Form::Qform, has_sform));
    }
    // Center of the volume at the origin, x to the left.
    let mut rows = [[0.0; 4]; 3];
    for axis in 0..3 {
        let step = if axis == 0 { -spacing[axis] } else { spacing[axis] };
        rows[axis][axis] = step;
        rows[axis][3] = -step * (grid.shape_xyz[axis] as f64 - 1.0) / 2.0;
    }
    Ok((rows, Form::Pixdim, false))
}

/// Sign of the third axis against the rotation.
fn qfac(negative: bool) -> f64 {
    if negative { -1.0 } else { 1.0 }
}

/// `(a, b, c, d)` as `nifti_quatern_to_mat44` completes it: near a half turn, `a` is 0 and the rest normalized.
fn itk_quaternion([b, c, d]: [f64; 3]) -> [f64; 4] {
    let rest = 1.0 - (b * b + c * c + d * d);
    if rest < 1e-7 {
        let norm = (b * b + c * c + d * d).sqrt();
        [0.0, b / norm, c / norm, d / norm]
    } else {
        [rest.sqrt(), b, c, d]
    }
}

/// `(a, b, c, d)` as nibabel's `fillpositive` completes it, then normalized as `quat2mat` does.
fn nibabel_quaternion(header: &Header, name: &str) -> Result<[f64; 4], VolumeError> {
    let [b, c, d] = header.quatern_bcd;
    let epsilon = match header.version {
        crate::header::Version::One => f64::from(f32::EPSILON),
        crate::header::Version::Two => f64::EPSILON,
    };
    let rest = 1.0 - (b * b + c * c + d * d);
    let a = if rest.abs() < 3.0 * epsilon {
        0.0
    } else if rest < 0.0 {
        return Err(VolumeError::HeaderField {
            name: name.to_owned(),
            field: "quatern",
            found: format!("{:?}", header.quatern_bcd),
            expected: "a part of a unit quaternion",
        });
    } else {
        rest.sqrt()
    };
    let norm = (a * a + b * b + c * c + d * d).sqrt();
    Ok([a, b, c, d].map(|v| v / norm))
}

/// Rotation (unit columns) and offset of the qform.
fn qform_rows([a, b, c, d]: [f64; 4], [x, y, z]: [f64; 3], qfac: f64) -> Rows {
    [
        [
            a * a + b * b - c * c - d * d,
            2.0 * (b * c - a * d),
            qfac * 2.0 * (b * d + a * c),
            x,
        ],
        [
            2.0 * (b * c + a * d),
            a * a + c * c - b * b - d * d,
            qfac * 2.0 * (c * d - a * b),
            y,
        ],
        [
            2.0 * (b * d - a * c),
            2.0 * (c * d + a * b),
            qfac * (a * a + d * d - c * c - b * b),
            z,
        ],
    ]
}

pub(crate) fn top_rows(affine: Affine) -> Rows {
    let [x, y, z, _] = affine.rows();
    [x, y, z]
}

/// The 3×3 part with columns of length 1.
pub(crate) fn unit_columns(rows: &Rows) -> [[f64; 3]; 3] {
    let norm = |c: usize| (0..3).map(|r| rows[r][c] * rows[r][c]).sum::<f64>().sqrt();
    let norms = [norm(0), norm(1), norm(2)];
    std::array::from_fn(|r| std::array::from_fn(|c| rows[r][c] / norms[c]))
}

/// ITK's test for a sform without shear: unit columns `D`, `D · Dᵀ` is the identity within 1e-4.
pub(crate) fn has_orthonormal_columns(rows: &Rows) -> bool {
    let d = unit_columns(rows);
    (0..3).all(|i| {
        (0..3).all(|j| {
            let dot: f64 = (0..3).map(|k| d[i][k] * d[j][k]).sum();
            (dot - if i == j { 1.0 } else { 0.0 }).abs() <= 1e-4
        })
    })
}

/// ITK's first test of whether two forms say the same: number by number. What is not a number differs from nothing.
fn same_numbers(sform: &Rows, qform: &Rows) -> bool {
    let pairs = || sform.iter().zip(qform);
    let differs = pairs().any(|(s, q)| (0..3).any(|c| (s[c] - q[c]).abs() > 1e-5));
    let distance: f64 = pairs().map(|(s, q)| (s[3] - q[3]).abs()).sum();
    !differs && (distance.is_nan() || distance <= 1e-7)
}

/// ITK's second test: equal lengths, equal axes, equal offsets, so that the sform, which is more precise, may be taken.
///
/// ITK compares singular values and left singular vectors. For orthogonal columns these are the lengths and directions of
/// the columns, the longest first, with signs that do not tell a column from its opposite: two forms of which one runs
/// against the other pass for the same.
fn same_axes_and_offset(sform: &Rows, qform: &Rows) -> bool {
    let ((s_lengths, s), (q_lengths, q)) = (singular_vectors(sform), singular_vectors(qform));
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-4;
    (0..3).all(|i| close(s_lengths[i], q_lengths[i]) && close(sform[i][3], qform[i][3]))
        && (0..3).all(|i| {
            (0..3).all(|j| {
                let dot: f64 = (0..3).map(|k| s[k][i] * q[k][j]).sum();
                close(dot, if i == j { 1.0 } else { 0.0 })
            })
        })
}

/// Lengths of orthogonal columns and the left singular vectors `[k]` of length 1, the longest first, with the signs that
/// LINPACK's `svdc` gives them: those of the orthogonal factor of a Householder factorization.
fn singular_vectors(rows: &Rows) -> ([f64; 3], [[f64; 3]; 3]) {
    // columns, which lose what the columns before them took
    let mut left: [[f64; 3]; 3] = std::array::from_fn(|c| std::array::from_fn(|r| rows[r][c]));
    let columns = left;
    let mut found = [(0.0, [0.0; 3]); 3];
    for c in 0..3 {
        let norm = left[c][c..].iter().map(|v| v * v).sum::<f64>().sqrt();
        let sign = if left[c][c] < 0.0 { -1.0 } else { 1.0 };
        let mut mirror = [0.0; 3];
        mirror[c..].copy_from_slice(&left[c][c..]);
        mirror[c] += sign * norm;
        let squared: f64 = mirror.iter().map(|v| v * v).sum();
        for column in &mut left {
            let dot: f64 = (0..3).map(|r| mirror[r] * column[r]).sum();
            (0..3).for_each(|r| column[r] -= 2.0 * dot / squared * mirror[r]);
        }
        let length = columns[c].iter().map(|v| v * v).sum::<f64>().sqrt();
        found[c] = (length, columns[c].map(|v| -sign * v / length));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    (found.map(|(length, _)| length), found.map(|(_, vector)| vector))
}

#[cfg(test)]
mod tests {
    use nephrite_types::{GeometryError, Limits};

    use super::*;
    use crate::header::{Version, tests::plain};

    const P: [f64; 3] = [2.0, 3.0, 4.0];
    const STRAIGHT: Rows = [[2.0, 0.0, 0.0, 5.0], [0.0, 3.0, 0.0, 6.0], [0.0, 0.0, 4.0, 7.0]];
    const TURNED: Rows = [[0.0, 3.0, 0.0, 5.0], [2.0, 0.0, 0.0, 6.0], [0.0, 0.0, 4.0, 7.0]];
    const SHEARED: Rows = [[2.0, 1.0, 0.0, 5.0], [0.0, 3.0, 0.0, 6.0], [0.0, 0.0, 4.0, 7.0]];

    fn geometry(reader: Reader, change: impl Fn(&mut Header)) -> Result<FileGeometry, VolumeError> {
        let mut header = plain(Version::One, false);
        header.sform_code = 0;
        header.qoffset = [1.0, 2.0, 3.0];
        change(&mut header);
        let grid = Grid::new(&header, reader, &Limits::default(), "t.nii").unwrap();
        file_geometry(&header, &grid, reader, "t.nii")
    }

    /// Expected values are SimpleITK's 2.5 (turned from LPS to RAS) and nibabel's 5.4 for the same header.
    fn check(reader: Reader, spacing: [f64; 3], rows: Rows, change: impl Fn(&mut Header)) {
        let found = geometry(reader, change).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs().max(1e-3);
        assert!(
            (0..3).all(|a| close(found.spacing_xyz[a], spacing[a])),
            "{found:?}"
        );
        let found_rows = top_rows(found.affine);
        assert!(
            (0..3).all(|r| (0..4).all(|c| close(found_rows[r][c], rows[r][c]))),
            "{found_rows:?} {rows:?}"
        );
    }

    #[test]
    fn itk_takes_geometry_as_simpleitk_does() {
        let itk =
            |spacing, rows, change: &dyn Fn(&mut Header)| check(Reader::SimpleItk, spacing, rows, change);
        let lps: Rows = [[-2.0, 0.0, 0.0, 0.0], [0.0, -3.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]];
        itk(P, lps, &|_| ());
        itk(P, STRAIGHT, &|h| h.sform_code = 1);
        itk(P, STRAIGHT, &|h| h.sform_code = 9);
        // Negative spacing turns the axis; zero counts as 1.
        itk(P, [[-2.0, 0.0, 0.0, 5.0], STRAIGHT[1], STRAIGHT[2]], &|h| {
            (h.sform_code, h.pixdim[1]) = (1, -2.0)
        });
        itk(
            [1.0, 3.0, 4.0],
            [[1.0, 0.0, 0.0, 5.0], STRAIGHT[1], STRAIGHT[2]],
            &|h| {
                (h.sform_code, h.pixdim[1]) = (1, 0.0);
            },
        );
        // Lengths come from pixdim, whatever the sform says.
        let unit: Rows = [[1.0, 0.0, 0.0, 5.0], [0.0, 1.0, 0.0, 6.0], [0.0, 0.0, 1.0, 7.0]];
        itk([1.0; 3], unit, &|h| {
            (h.sform_code, h.pixdim[1], h.pixdim[2], h.pixdim[3]) = (1, 1.0, 1.0, 1.0)
        });
        // Units scale offsets too.
        itk(
            P.map(|v| v * 1e-3),
            STRAIGHT.map(|row| row.map(|v| v * 1e-3)),
            &|h| (h.sform_code, h.xyzt_units) = (1, 3),
        );
        itk(
            P.map(|v| v * 1e3),
            STRAIGHT.map(|row| row.map(|v| v * 1e3)),
            &|h| (h.sform_code, h.xyzt_units) = (1, 1),
        );
        // Half turn about z, and the third axis against it.
        let half_turn: Rows = [[-2.0, 0.0, 0.0, 1.0], [0.0, -3.0, 0.0, 2.0], [0.0, 0.0, 4.0, 3.0]];
        itk(P, half_turn, &|h| {
            (h.qform_code, h.quatern_bcd) = (1, [0.0, 0.0, 1.0])
        });
        itk(P, half_turn, &|h| {
            (h.qform_code, h.quatern_bcd, h.pixdim[0]) = (1, [0.0, 0.0, 1.2], 0.0)
        });
        itk(P, [half_turn[0], half_turn[1], [0.0, 0.0, -4.0, 3.0]], &|h| {
            (h.qform_code, h.quatern_bcd, h.pixdim[0]) = (1, [0.0, 0.0, 1.0], -1.0);
        });
        // Both: the scanner's sform, else the qform.
        let qform: Rows = [[2.0, 0.0, 0.0, 1.0], [0.0, 3.0, 0.0, 2.0], [0.0, 0.0, 4.0, 3.0]];
        itk(P, TURNED_ITK, &|h| {
            (h.sform_code, h.qform_code, h.srow) = (1, 1, TURNED)
        });
        itk(P, qform, &|h| {
            (h.sform_code, h.qform_code, h.srow) = (2, 1, TURNED)
        });
        itk(P, qform, &|h| {
            (h.sform_code, h.qform_code, h.srow) = (1, 1, SHEARED)
        });
        // Forms of which one runs against the other count as equal, unless lengths or offsets differ.
        itk(P, STRAIGHT, &|h| {
            (h.sform_code, h.qform_code, h.pixdim[0], h.qoffset) = (2, 1, -1.0, [5.0, 6.0, 7.0]);
        });
        itk(P, STRAIGHT, &|h| {
            (h.sform_code, h.qform_code, h.quatern_bcd, h.qoffset) = (2, 1, [0.0, 0.0, 1.0], [5.0, 6.0, 7.0]);
        });
        let against: Rows = [
            [-2.0, 0.0, 0.0, 5.0],
            [0.0, -3.0, 0.0, 6.0],
            [0.0, 0.0, -4.0, 7.0],
        ];
        itk(P, against, &|h| {
            (h.sform_code, h.qform_code, h.srow, h.qoffset) = (2, 1, against, [5.0, 6.0, 7.0]);
        });
        itk(P, [STRAIGHT[0], STRAIGHT[1], [0.0, 0.0, -4.0, 7.0]], &|h| {
            (h.sform_code, h.qform_code, h.pixdim[0], h.qoffset) = (2, 1, -1.0, [5.0, 6.0, 7.0]);
            h.srow[2][2] = 5.0;
        });
        // 2-D: only the first two world axes.
        let flat: Rows = [[2.0, 0.0, 0.0, 5.0], [0.0, 3.0, 0.0, 6.0], [0.0, 0.0, 1.0, 0.0]];
        itk([2.0, 3.0, 1.0], flat, &|h| (h.sform_code, h.dim[0]) = (1, 2));
    }

    /// Directions of `TURNED`, lengths from pixdim.
    const TURNED_ITK: Rows = [[0.0, 3.0, 0.0, 5.0], [2.0, 0.0, 0.0, 6.0], [0.0, 0.0, 4.0, 7.0]];

    #[test]
    fn nibabel_takes_geometry_as_nibabel_does() {
        let nibabel =
            |spacing, rows, change: &dyn Fn(&mut Header)| check(Reader::Nibabel, spacing, rows, change);
        let centred: Rows = [
            [-2.0, 0.0, 0.0, 3.0],
            [0.0, 3.0, 0.0, -3.0],
            [0.0, 0.0, 4.0, -2.0],
        ];
        nibabel(P, centred, &|_| ());
        nibabel(P, centred, &|h| (h.sform_code, h.pixdim[1]) = (9, -2.0));
        nibabel(P, STRAIGHT, &|h| (h.sform_code, h.xyzt_units) = (1, 3));
        nibabel(P, SHEARED, &|h| (h.sform_code, h.srow) = (1, SHEARED));
        nibabel(P, TURNED, &|h| {
            (h.sform_code, h.qform_code, h.srow) = (2, 1, TURNED)
        });
        nibabel([1.0, 3.0, 4.0], STRAIGHT, &|h| {
            (h.sform_code, h.pixdim[1]) = (1, 0.0)
        });
        let half_turn: Rows = [[-2.0, 0.0, 0.0, 1.0], [0.0, -3.0, 0.0, 2.0], [0.0, 0.0, 4.0, 3.0]];
        nibabel(P, half_turn, &|h| {
            (h.qform_code, h.quatern_bcd) = (1, [0.0, 0.0, 1.0])
        });
        nibabel(P, half_turn, &|h| {
            (h.qform_code, h.quatern_bcd) = (1, [0.0, 0.0, f64::from(0.9999999f32)])
        });
        nibabel(P, half_turn, &|h| {
            (h.qform_code, h.quatern_bcd, h.pixdim[1]) = (1, [0.0, 0.0, 1.0], -2.0)
        });
    }

    #[test]
    fn impossible_geometry_is_refused() {
        for reader in [Reader::SimpleItk, Reader::Nibabel] {
            // Not finite, in what is used.
            let of_qform = |h: &mut Header| h.qform_code = 1;
            for (field, poison) in [
                (
                    "srow_y",
                    (|h: &mut Header| (h.sform_code, h.srow[1][3]) = (1, f64::NAN)) as fn(&mut Header),
                ),
                ("srow_x", |h| (h.sform_code, h.srow[0][0]) = (1, f64::INFINITY)),
                ("quatern", |h| h.quatern_bcd[1] = f64::NAN),
                ("qoffset", |h| h.qoffset[2] = f64::NEG_INFINITY),
                ("pixdim", |h| h.pixdim[2] = f64::NAN),
            ] {
                let error = geometry(reader, |h| {
                    if field.starts_with('q') {
                        of_qform(h);
                    }
                    poison(h);
                })
                .unwrap_err();
                assert!(
                    matches!(error, VolumeError::NotFinite { field: f, .. } if f == field),
                    "{error}"
                );
            }
            let singular = geometry(reader, |h| (h.sform_code, h.srow[2]) = (1, [0.0; 4]));
            assert!(matches!(
                singular,
                Err(VolumeError::Geometry {
                    form: Form::Sform,
                    source: GeometryError::AffineSingular { .. },
                    ..
                })
            ));
        }
        let sheared = geometry(Reader::SimpleItk, |h| (h.sform_code, h.srow) = (1, SHEARED));
        assert!(matches!(sheared, Err(VolumeError::NotOrthonormal { .. })));
        let no_rotation = geometry(Reader::Nibabel, |h| {
            (h.qform_code, h.quatern_bcd) = (1, [0.0, 0.0, 1.2])
        });
        assert!(matches!(
            no_rotation,
            Err(VolumeError::HeaderField { field: "quatern", .. })
        ));
    }
}
