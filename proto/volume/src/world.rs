//! Where the voxels of a file lie, as ITK and as nibabel see it.
//!
//! The two differ: ITK prefers the qform unless the sform is a scanner's, takes the length of the axes from `pixdim`
//! and converts units; nibabel prefers the sform as it is, shear and all, and ignores units.
//!
//! Sources: ITK 5.4 `itkNiftiImageIO.cxx` (`SetImageIOOrientationFromNIfTI`) and `nifti1_io.c`
//! (`nifti_quatern_to_mat44`); nibabel 5.4 `nifti1.py` (`get_best_affine`) and `quaternions.py`.

use nephrite_types::{Affine, Spacing};

use crate::VolumeError;
use crate::grid::Grid;
use crate::header::Header;
use crate::reader::Reader;

/// Geometry of the voxels in file order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FileGeometry {
    /// As the reader reports it, x first; the z entry of a 2-D image is 1 (see [`crate::read`]).
    pub(crate) spacing_xyz: [f64; 3],
    /// Voxel `(x, y, z)` to RAS+, in `unit`.
    pub(crate) affine: Affine,
    /// `xyzt_units` of spacing and affine: ITK converts to mm, nibabel leaves numbers as they are.
    pub(crate) unit: i32,
}

impl FileGeometry {
    /// Millimetres that one unit of spacing and affine stands for.
    pub(crate) fn mm_per_unit(&self) -> f64 {
        mm_per_unit(self.unit)
    }
}

/// Three rows: columns x, y, z and offset.
type Rows = [[f64; 4]; 3];

/// The geometry that `reader` sees.
pub(crate) fn file_geometry(
    header: &Header,
    grid: &Grid,
    reader: Reader,
    name: &str,
) -> Result<FileGeometry, VolumeError> {
    check_finite(header, name)?;
    let geometry = |source| VolumeError::Geometry {
        name: name.to_owned(),
        source,
    };
    // A singular sform is a broken file, even where the reader would take the qform.
    let sform = if header.sform_code > 0 {
        Some(Affine::new(header.srow).map_err(geometry)?)
    } else {
        None
    };
    let (spacing_xyz, rows) = if reader.is_itk() {
        let unit = mm_per_unit(header.xyzt_units);
        let spacing = pixdim_xyz(header, grid.n_dims).map(|v| v * unit);
        (
            spacing,
            itk_rows(header, grid, sform, spacing, unit, reader, name)?,
        )
    } else {
        let spacing = pixdim_xyz(header, grid.n_dims);
        (spacing, nibabel_rows(header, grid, spacing, name)?)
    };
    let [sx, sy, sz] = spacing_xyz;
    Spacing::new([sz, sy, sx]).map_err(geometry)?;
    Ok(FileGeometry {
        spacing_xyz,
        affine: Affine::new(rows).map_err(geometry)?,
        unit: if reader.is_itk() {
            MM
        } else {
            header.xyzt_units & 0x07
        },
    })
}

/// `xyzt_units` of millimetres.
pub(crate) const MM: i32 = 2;

fn check_finite(header: &Header, name: &str) -> Result<(), VolumeError> {
    let fields: [(&'static str, &[f64]); 6] = [
        ("pixdim", &header.pixdim[1..4]),
        ("srow_x", &header.srow[0]),
        ("srow_y", &header.srow[1]),
        ("srow_z", &header.srow[2]),
        ("quatern", &header.quatern_bcd),
        ("qoffset", &header.qoffset),
    ];
    match fields
        .iter()
        .find(|(_, values)| values.iter().any(|v| !v.is_finite()))
    {
        Some((field, _)) => Err(VolumeError::NotFinite {
            name: name.to_owned(),
            field,
        }),
        None => Ok(()),
    }
}

/// Absolute values; zero counts as 1 in both libraries. Axes that a 2-D image lacks get 1.
fn pixdim_xyz(header: &Header, n_dims: usize) -> [f64; 3] {
    std::array::from_fn(|axis| match header.pixdim[axis + 1].abs() {
        _ if axis >= n_dims => 1.0,
        0.0 => 1.0,
        length => length,
    })
}

/// ITK's conversion to millimetres; unknown units count as millimetres.
pub(crate) fn mm_per_unit(xyzt_units: i32) -> f64 {
    match xyzt_units & 0x07 {
        1 => 1e3,
        3 => 1e-3,
        _ => 1.0,
    }
}

fn itk_rows(
    header: &Header,
    grid: &Grid,
    sform: Option<Affine>,
    spacing: [f64; 3],
    unit: f64,
    reader: Reader,
    name: &str,
) -> Result<Rows, VolumeError> {
    let stored = match (sform, header.qform_code > 0) {
        // ITK's identity is LPS.
        (None, false) => [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
        (None, true) => qform_rows(
            header,
            itk_quaternion(header.quatern_bcd),
            qfac(header.pixdim[0] < 0.0),
        ),
        (Some(sform), has_qform) => {
            let qform = qform_rows(
                header,
                itk_quaternion(header.quatern_bcd),
                qfac(header.pixdim[0] < 0.0),
            );
            let orthonormal = has_orthonormal_columns(&top_rows(sform));
            match (orthonormal, has_qform) {
                (true, false) => top_rows(sform),
                (true, true) if header.sform_code == 1 || nearly_equal(&top_rows(sform), &qform) => {
                    top_rows(sform)
                }
                (_, true) => qform,
                (false, false) => {
                    return Err(VolumeError::NotOrthonormal {
                        name: name.to_owned(),
                        reader: reader.name(),
                    });
                }
            }
        }
    };
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
    Ok(rows)
}

fn nibabel_rows(header: &Header, grid: &Grid, spacing: [f64; 3], name: &str) -> Result<Rows, VolumeError> {
    // Codes that the standard does not know are set to 0.
    let known = |code| (1..=5).contains(&code);
    if known(header.sform_code) {
        return Ok(header.srow);
    }
    if known(header.qform_code) {
        let rotation = qform_rows(
            header,
            nibabel_quaternion(header, name)?,
            qfac(header.pixdim[0] == -1.0),
        );
        let scaled = |r: usize, c: usize| {
            if c < 3 {
                rotation[r][c] * spacing[c]
            } else {
                rotation[r][c]
            }
        };
        return Ok(std::array::from_fn(|r| std::array::from_fn(|c| scaled(r, c))));
    }
    // Centre of the volume at the origin, x to the left.
    let mut rows = [[0.0; 4]; 3];
    for axis in 0..3 {
        let step = if axis == 0 { -spacing[axis] } else { spacing[axis] };
        rows[axis][axis] = step;
        rows[axis][3] = -step * (grid.shape_xyz[axis] as f64 - 1.0) / 2.0;
    }
    Ok(rows)
}

/// Sign of the third axis against the rotation.
fn qfac(negative: bool) -> f64 {
    if negative { -1.0 } else { 1.0 }
}

/// `(a, b, c, d)` as `nifti_quatern_to_mat44` completes it: near a half turn, `a` is 0 and the rest normalised.
fn itk_quaternion([b, c, d]: [f64; 3]) -> [f64; 4] {
    let rest = 1.0 - (b * b + c * c + d * d);
    if rest < 1e-7 {
        let norm = (b * b + c * c + d * d).sqrt();
        [0.0, b / norm, c / norm, d / norm]
    } else {
        [rest.sqrt(), b, c, d]
    }
}

/// `(a, b, c, d)` as nibabel's `fillpositive` completes it, then normalised as `quat2mat` does.
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
fn qform_rows(header: &Header, [a, b, c, d]: [f64; 4], qfac: f64) -> Rows {
    let [x, y, z] = header.qoffset;
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

/// True if sform and qform say the same, so that the sform, which is more precise, may be taken. ITK compares singular
/// values and vectors; for matrices with orthogonal columns that is direction and offset.
fn nearly_equal(sform: &Rows, qform: &Rows) -> bool {
    let (s, q) = (unit_columns(sform), unit_columns(qform));
    (0..3).all(|r| {
        (0..3).all(|c| (s[r][c] - q[r][c]).abs() <= 1e-4) && (sform[r][3] - qform[r][3]).abs() <= 1e-4
    })
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
            // Not finite, used or not.
            for (field, poison) in [
                (
                    "srow_y",
                    (|h: &mut Header| h.srow[1][3] = f64::NAN) as fn(&mut Header),
                ),
                ("srow_x", |h| (h.sform_code, h.srow[0][0]) = (1, f64::INFINITY)),
                ("quatern", |h| h.quatern_bcd[1] = f64::NAN),
                ("qoffset", |h| h.qoffset[2] = f64::NEG_INFINITY),
                ("pixdim", |h| h.pixdim[2] = f64::NAN),
            ] {
                let error = geometry(reader, poison).unwrap_err();
                assert!(
                    matches!(error, VolumeError::NotFinite { field: f, .. } if f == field),
                    "{error}"
                );
            }
            let singular = geometry(reader, |h| {
                (h.sform_code, h.qform_code, h.srow[2]) = (1, 1, [0.0; 4])
            });
            assert!(matches!(
                singular,
                Err(VolumeError::Geometry {
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
