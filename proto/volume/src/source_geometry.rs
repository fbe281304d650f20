//! What must be kept of a scan to write a mask that lies where it lay.

use nephrite_types::{Affine, Geometry, IntensityScale, VoxelType};

use crate::grid::{Grid, datatype_code};
use crate::header::{Header, Version};
use crate::orientation::{Orientation, closest_orthogonal};
use crate::reader::Reader;
use crate::world::{FileGeometry, has_orthonormal_columns, mm_per_unit, top_rows, unit_columns};

/// How the voxels of a source file lay, so that a result can be written the same way: axes turned back, the world
/// geometry that the reader saw, two axes if the source had two.
///
/// The header is made anew, as the reader's own library would make it, not copied: SimpleITK and nibabel then agree on
/// the geometry of the result even where they differ on that of the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceGeometry {
    /// Voxels per axis in file order, x first.
    shape_xyz: [usize; 3],
    /// 2 or 3.
    n_dims: usize,
    /// `pixdim` to be written, x first.
    spacing_xyz: [f64; 3],
    /// Of the file's axes.
    affine: Affine,
    /// From the file's axes to those of arrays.
    orientation: Orientation,
    /// Whose header to write.
    style: Style,
    /// `SimpleITKIOWithReorient` writes masks as u8 whenever that loses nothing.
    prefers_u8: bool,
    /// Numbers keep all their bits, in NIfTI-2 if NIfTI-1 has too few.
    exact: bool,
    /// `xyzt_units` to be written.
    xyzt_units: i32,
}

/// Millimeters and seconds.
const MM_AND_S: i32 = 2 | 8;

/// Whose header to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// qform and sform with code 1, mm and seconds.
    Itk,
    /// sform with code 2, no units unless they are meters or micrometers; `pixdim` from the affine.
    Nibabel,
}

/// The longest axis of NIfTI-1.
const MAX_DIM_1: usize = i16::MAX as usize;

impl SourceGeometry {
    /// For a volume that does not come from a file, or no longer has the grid of one; written as ITK would, with the lengths
    /// that the affine has.
    pub fn from_geometry(geometry: &Geometry) -> SourceGeometry {
        SourceGeometry {
            shape_xyz: geometry.shape.xyz(),
            n_dims: 3,
            spacing_xyz: geometry.measured().spacing.xyz(),
            affine: geometry.affine,
            orientation: Orientation::RAS,
            style: Style::Itk,
            prefers_u8: false,
            exact: false,
            xyzt_units: MM_AND_S,
        }
    }

    /// The same, but `NibabelIO` reads exactly this geometry again: NIfTI-1 stores 32-bit numbers, so where they would
    /// round, NIfTI-2 is written. For files that stand for a message.
    pub fn exact(geometry: &Geometry) -> SourceGeometry {
        SourceGeometry {
            exact: true,
            ..SourceGeometry::from_geometry(geometry)
        }
    }

    /// `xyzt_units` are those of the file: ITK's numbers are millimeters already; nibabel's are as in the file, and without
    /// their unit nobody could tell their length.
    pub(crate) fn of_file(
        grid: &Grid,
        file: FileGeometry,
        orientation: Orientation,
        reader: Reader,
        xyzt_units: i32,
    ) -> Self {
        let style = if reader.is_itk() {
            Style::Itk
        } else {
            Style::Nibabel
        };
        SourceGeometry {
            shape_xyz: grid.shape_xyz,
            n_dims: grid.n_dims,
            spacing_xyz: match style {
                Style::Itk => file.spacing_xyz,
                Style::Nibabel => file.affine.column_norms_xyz(),
            },
            affine: file.affine,
            orientation,
            style,
            prefers_u8: reader == Reader::SimpleItkReorient,
            exact: false,
            xyzt_units: match (style, xyzt_units & 0x07) {
                (Style::Itk, _) => MM_AND_S,
                (Style::Nibabel, metre_or_micrometre @ (1 | 3)) => metre_or_micrometre,
                (Style::Nibabel, _) => 0,
            },
        }
    }

    /// Shape of the arrays that can be written with it, `[z, y, x]`: that of the volume as read.
    pub fn array_shape(&self) -> [usize; 3] {
        let [x, y, z] = self.orientation.to_ras(self.shape_xyz);
        [z, y, x]
    }

    /// How the axes of the file become those of arrays.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// nnU-Net's rule: u8 if the largest label is below 255, else u16; decided for every mask.
    pub(crate) fn label_type(&self, max_label: u16) -> VoxelType {
        let max_of_u8 = if self.prefers_u8 { 255 } else { 254 };
        if max_label <= max_of_u8 {
            VoxelType::U8
        } else {
            VoxelType::U16
        }
    }

    /// The affine of the file. The two axes of a 2-D image cut out of an oblique plane need not be at right angles; ITK
    /// makes them so when it writes, and reads nothing else.
    fn rows_to_write(&self) -> [[f64; 4]; 3] {
        let mut rows = top_rows(self.affine);
        if self.n_dims == 2 && !has_orthonormal_columns(&rows) {
            let direction = closest_orthogonal(unit_columns(&rows));
            let lengths = self.affine.column_norms_xyz();
            for r in 0..3 {
                for c in 0..3 {
                    rows[r][c] = direction[r][c] * lengths[c];
                }
            }
        }
        rows
    }

    /// Voxels per axis in file order, x first: as many as the file has axes.
    pub(crate) fn dims(&self) -> &[usize] {
        &self.shape_xyz[..self.n_dims]
    }

    /// Steps of the axes and place of the first voxel in millimeters, RAS+: three rows of x, y, z and offset.
    pub(crate) fn rows_mm(&self) -> [[f64; 4]; 3] {
        let unit = mm_per_unit(self.xyzt_units);
        self.rows_to_write().map(|row| row.map(|v| v * unit))
    }

    /// The header of a NIfTI file with voxels of this type; version 1 unless a number needs version 2.
    pub(crate) fn header(&self, voxel_type: VoxelType, scale: IntensityScale) -> Header {
        let fits_f32 = |v: f64| f64::from(v as f32) == v;
        let fits_1 =
            self.shape_xyz.iter().all(|&n| n <= MAX_DIM_1) && fits_f32(scale.slope) && fits_f32(scale.inter);
        let rows = self.rows_to_write();
        let mut numbers = rows.iter().flatten().chain(&self.spacing_xyz);
        let rounds = self.exact && !numbers.all(|v| fits_f32(*v));
        let version = if fits_1 && !rounds {
            Version::One
        } else {
            Version::Two
        };
        let has_qform = has_orthonormal_columns(&rows);
        let (quatern_bcd, qfac) = quaternion(closest_orthogonal(unit_columns(&rows)));
        let [x, y, z] = self.shape_xyz.map(|n| n as i64);
        let [sx, sy, sz] = self.spacing_xyz;
        Header {
            version,
            big_endian: false,
            dim: [self.n_dims as i64, x, y, z, 1, 1, 1, 1],
            intent_code: 0,
            datatype: datatype_code(voxel_type),
            pixdim: [qfac, sx, sy, sz, 1.0, 1.0, 1.0, 1.0],
            vox_offset: version.min_vox_offset() as f64,
            scl_slope: scale.slope,
            scl_inter: scale.inter,
            xyzt_units: self.xyzt_units,
            qform_code: if self.style == Style::Itk && has_qform {
                1
            } else {
                0
            },
            sform_code: if self.style == Style::Itk { 1 } else { 2 },
            quatern_bcd,
            qoffset: [rows[0][3], rows[1][3], rows[2][3]],
            srow: rows,
            data_offset: None,
        }
    }
}

/// `(b, c, d)` of the unit quaternion with `a ≥ 0`, and the sign of the third axis against it.
///
/// Source: `nifti_mat44_to_quatern` of nifti1_io.c; the largest component is computed first.
fn quaternion(mut r: [[f64; 3]; 3]) -> ([f64; 3], f64) {
    let determinant = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1])
        - r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0])
        + r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
    let qfac = if determinant < 0.0 { -1.0 } else { 1.0 };
    for row in &mut r {
        row[2] *= qfac;
    }
    // Four times the square of a, b, c, d.
    let squares = [
        1.0 + r[0][0] + r[1][1] + r[2][2],
        1.0 + r[0][0] - r[1][1] - r[2][2],
        1.0 - r[0][0] + r[1][1] - r[2][2],
        1.0 - r[0][0] - r[1][1] + r[2][2],
    ];
    // Four times the products with the largest.
    let ab = r[2][1] - r[1][2];
    let ac = r[0][2] - r[2][0];
    let ad = r[1][0] - r[0][1];
    let bc = r[0][1] + r[1][0];
    let bd = r[0][2] + r[2][0];
    let cd = r[1][2] + r[2][1];
    let largest = (0..4).fold(0, |best, i| if squares[i] > squares[best] { i } else { best });
    let products = match largest {
        0 => [squares[0], ab, ac, ad],
        1 => [ab, squares[1], bc, bd],
        2 => [ac, bc, squares[2], cd],
        _ => [ad, bd, cd, squares[3]],
    };
    let scale = 2.0 * squares[largest].max(f64::MIN_POSITIVE).sqrt();
    let [a, b, c, d] = products.map(|v| v / scale);
    let sign = if a < 0.0 { -1.0 } else { 1.0 };
    ([sign * b, sign * c, sign * d], qfac)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::orientation::tests::{affine, all};

    fn rotation([a, b, c, d]: [f64; 4], qfac: f64) -> [[f64; 3]; 3] {
        [
            [
                a * a + b * b - c * c - d * d,
                2.0 * (b * c - a * d),
                qfac * 2.0 * (b * d + a * c),
            ],
            [
                2.0 * (b * c + a * d),
                a * a + c * c - b * b - d * d,
                qfac * 2.0 * (c * d - a * b),
            ],
            [
                2.0 * (b * d - a * c),
                2.0 * (c * d + a * b),
                qfac * (a * a + d * d - c * c - b * b),
            ],
        ]
    }

    fn check(r: [[f64; 3]; 3]) {
        let ([b, c, d], qfac) = quaternion(r);
        let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
        let back = rotation([a, b, c, d], qfac);
        for i in 0..9 {
            assert!(
                (r[i / 3][i % 3] - back[i / 3][i % 3]).abs() < 1e-7,
                "{r:?} {back:?}"
            );
        }
    }

    #[test]
    fn quaternions_of_all_orientations_are_right() {
        for orientation in all() {
            check(unit_columns(&top_rows(affine(orientation, [1.0, 2.0, 3.0]))));
        }
    }

    proptest! {
        #[test]
        fn quaternion_round_trip(q in prop::array::uniform4(-1.0f64..1.0), mirrored in any::<bool>()) {
            let norm = q.iter().map(|v| v * v).sum::<f64>().sqrt();
            prop_assume!(norm > 0.1);
            check(rotation(q.map(|v| v / norm), if mirrored { -1.0 } else { 1.0 }));
        }
    }
}
