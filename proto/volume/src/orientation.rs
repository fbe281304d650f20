//! How the axes of a file run, and how an array is turned to R, A, S and back.

use ndarray::{Array3, ArrayView3, Axis};
use nephrite_types::{Affine, BoundingBox, Labels, Voxels};

/// How the axes of a file run with respect to R, A, S, or those of one array with respect to another: one of 48.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation {
    /// World axis (0 right, 1 anterior, 2 superior) that file axis x, y, z follows most closely.
    pub(crate) world_axis: [usize; 3],
    /// True if the file axis runs against it.
    pub(crate) flipped: [bool; 3],
}

impl Orientation {
    /// Axes already run to R, A, S.
    pub const RAS: Orientation = Orientation {
        world_axis: [0, 1, 2],
        flipped: [false; 3],
    };

    /// As ITK's `AnatomicalOrientation` finds it: the largest direction cosine takes its row and column, then the
    /// largest of the rest; the last of equals.
    ///
    /// Source: ITK 5.4 `itkAnatomicalOrientation.cxx`, `ConvertDirectionToPositiveEnum`.
    pub(crate) fn from_itk_direction(affine: Affine) -> Orientation {
        let direction = crate::world::unit_columns(&crate::world::top_rows(affine));
        let mut found = Orientation::RAS;
        let (mut rows, mut columns) = ([true; 3], [true; 3]);
        for _ in 0..3 {
            let mut best: Option<(usize, usize)> = None;
            for r in (0..3).filter(|&r| rows[r]) {
                for c in (0..3).filter(|&c| columns[c]) {
                    if best.is_none_or(|(br, bc)| direction[r][c].abs() >= direction[br][bc].abs()) {
                        best = Some((r, c));
                    }
                }
            }
            let (r, c) = best.expect("a row and a column are left in each of three rounds");
            (rows[r], columns[c]) = (false, false);
            found.world_axis[c] = r;
            found.flipped[c] = direction[r][c] < 0.0;
        }
        found
    }

    /// As nibabel's `io_orientation` finds it: on the closest matrix without shear, file axes from the clearest to the
    /// least clear, each the world axis that it changes most; the first of equals.
    ///
    /// Source: nibabel 5.4 `orientations.py`.
    pub(crate) fn from_nibabel_affine(affine: Affine) -> Orientation {
        let mut rotation = closest_orthogonal(crate::world::unit_columns(&crate::world::top_rows(affine)));
        let largest = |c: usize| rotation.iter().map(|row| row[c] * row[c]).fold(0.0, f64::max);
        let clearness = [largest(0), largest(1), largest(2)];
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| clearness[b].total_cmp(&clearness[a]));
        let mut found = Orientation::RAS;
        let mut free = [true; 3];
        for c in order {
            let mut best: Option<usize> = None;
            for r in (0..3).filter(|&r| free[r]) {
                if best.is_none_or(|b| rotation[r][c].abs() > rotation[b][c].abs()) {
                    best = Some(r);
                }
            }
            let r = best.expect("a world axis is left for each of three file axes");
            free[r] = false;
            found.world_axis[c] = r;
            found.flipped[c] = rotation[r][c] < 0.0;
            rotation[r] = [0.0; 3];
        }
        found
    }

    /// File axis that follows each world axis.
    pub(crate) fn file_axis(self) -> [usize; 3] {
        let mut file_axis = [0; 3];
        for (c, &r) in self.world_axis.iter().enumerate() {
            file_axis[r] = c;
        }
        file_axis
    }

    /// Three letters, the way x, y, z run: `RAS`, `LPS`, …
    pub(crate) fn code(self) -> String {
        let letter = |c: usize| {
            let towards = [['R', 'L'], ['A', 'P'], ['S', 'I']];
            towards[self.world_axis[c]][usize::from(self.flipped[c])]
        };
        (0..3).map(letter).collect()
    }

    /// Values per file axis, x first, in the order of the world axes.
    pub(crate) fn to_ras<T: Copy>(self, file_xyz: [T; 3]) -> [T; 3] {
        self.file_axis().map(|c| file_xyz[c])
    }

    /// The affine of the array whose axes run to R, A, S; `shape_xyz` in file order.
    pub(crate) fn affine_to_ras(self, affine: Affine, shape_xyz: [usize; 3]) -> [[f64; 4]; 3] {
        let rows = affine.rows();
        let last = |c: usize| {
            if self.flipped[c] {
                shape_xyz[c] as f64 - 1.0
            } else {
                0.0
            }
        };
        let first_voxel = affine.world_from_voxel([last(0), last(1), last(2)]);
        let file_axis = self.file_axis();
        std::array::from_fn(|r| {
            std::array::from_fn(|w| match w {
                3 => first_voxel[r],
                _ if self.flipped[file_axis[w]] => -rows[r][file_axis[w]],
                _ => rows[r][file_axis[w]],
            })
        })
    }

    /// From `[z, y, x]` in file order to `[z, y, x]` with axes to R, A, S.
    pub(crate) fn view_to_ras<T>(self, file: ArrayView3<'_, T>) -> ArrayView3<'_, T> {
        let [cx, cy, cz] = self.file_axis();
        let mut view = file.permuted_axes([2 - cz, 2 - cy, 2 - cx]);
        for (w, c) in [cx, cy, cz].into_iter().enumerate() {
            if self.flipped[c] {
                view.invert_axis(Axis(2 - w));
            }
        }
        view
    }

    /// Labels in file order, `[z, y, x]`, as an array whose axes run to R, A, S.
    pub fn labels_to_ras(self, labels: Labels) -> Labels {
        self.turned(
            labels,
            |file| self.view_to_ras(file).to_owned(),
            |file| self.view_to_ras(file).to_owned(),
        )
    }

    /// The inverse of [`Orientation::labels_to_ras`].
    pub fn labels_to_file(self, labels: Labels) -> Labels {
        self.turned(
            labels,
            |ras| self.view_to_file(ras).to_owned(),
            |ras| self.view_to_file(ras).to_owned(),
        )
    }

    fn turned(
        self,
        labels: Labels,
        narrow: impl Fn(ArrayView3<'_, u8>) -> Array3<u8>,
        wide: impl Fn(ArrayView3<'_, u16>) -> Array3<u16>,
    ) -> Labels {
        if self == Orientation::RAS {
            return labels;
        }
        // `to_owned` of a turned view keeps its strides; rows must be rows again.
        match labels {
            Labels::U8(array) => Labels::U8(narrow(array.view()).as_standard_layout().into_owned()),
            Labels::U16(array) => Labels::U16(wide(array.view()).as_standard_layout().into_owned()),
        }
    }

    /// A volume with axes to R, A, S in file order again. Its world stays: `geometry` is that of the result.
    pub fn voxels_to_file(self, voxels: Voxels) -> Voxels {
        if self == Orientation::RAS {
            return voxels;
        }
        macro_rules! turn {
            ($($variant:ident)*) => {
                match voxels {
                    $(Voxels::$variant(array) => {
                        Voxels::$variant(self.view_to_file(array.view()).as_standard_layout().into_owned())
                    })*
                }
            };
        }
        turn!(U8 I8 U16 I16 U32 I32 U64 I64 F32 F64)
    }

    /// A box of voxels `[z, y, x]` of a file of `shape`, in an array whose axes run to R, A, S.
    pub fn box_to_ras(self, bounds: &BoundingBox, shape: [usize; 3]) -> BoundingBox {
        let ends = self.to_ras(std::array::from_fn(|c| {
            let (start, end, n) = (bounds.start[2 - c], bounds.end[2 - c], shape[2 - c]);
            if self.flipped[c] {
                [n - end, n - start]
            } else {
                [start, end]
            }
        }));
        let [x, y, z] = ends;
        BoundingBox {
            start: [z[0], y[0], x[0]],
            end: [z[1], y[1], x[1]],
        }
    }

    /// The inverse of [`Orientation::view_to_ras`].
    pub(crate) fn view_to_file<T>(self, ras: ArrayView3<'_, T>) -> ArrayView3<'_, T> {
        let [wx, wy, wz] = self.world_axis;
        let mut view = ras.permuted_axes([2 - wz, 2 - wy, 2 - wx]);
        for c in 0..3 {
            if self.flipped[c] {
                view.invert_axis(Axis(2 - c));
            }
        }
        view
    }
}

/// The orthogonal factor of the polar decomposition, by Newton's iteration `R ← (R + R⁻ᵀ) / 2`. The same matrix as
/// nibabel's `U · Vᵀ` of the singular value decomposition. `m` is invertible.
///
/// Source: Higham, Computing the polar decomposition, SIAM J. Sci. Stat. Comput. 7 (1986).
pub(crate) fn closest_orthogonal(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let mut r = m;
    for _ in 0..60 {
        let cofactor: [[f64; 3]; 3] = std::array::from_fn(|i| {
            std::array::from_fn(|j| {
                let (i1, i2, j1, j2) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
                r[i1][j1] * r[i2][j2] - r[i1][j2] * r[i2][j1]
            })
        });
        let determinant: f64 = (0..3).map(|j| r[0][j] * cofactor[0][j]).sum();
        let next: [[f64; 3]; 3] =
            std::array::from_fn(|i| std::array::from_fn(|j| 0.5 * (r[i][j] + cofactor[i][j] / determinant)));
        let change = (0..9)
            .map(|k| (next[k / 3][k % 3] - r[k / 3][k % 3]).abs())
            .fold(0.0, f64::max);
        r = next;
        if change <= 1e-15 {
            break;
        }
    }
    r
}

#[cfg(test)]
pub(crate) mod tests {
    use ndarray::Array3;

    use super::*;

    /// All 48.
    pub(crate) fn all() -> Vec<Orientation> {
        let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let mut all = Vec::new();
        for world_axis in permutations {
            for bits in 0..8 {
                all.push(Orientation {
                    world_axis,
                    flipped: std::array::from_fn(|c| bits >> c & 1 == 1),
                });
            }
        }
        all
    }

    /// Axis-aligned, file axis `c` with step `steps[c]`.
    pub(crate) fn affine(orientation: Orientation, steps: [f64; 3]) -> Affine {
        let mut rows = [
            [0.0, 0.0, 0.0, -10.0],
            [0.0, 0.0, 0.0, 20.5],
            [0.0, 0.0, 0.0, 30.0],
        ];
        for c in 0..3 {
            rows[orientation.world_axis[c]][c] = if orientation.flipped[c] {
                -steps[c]
            } else {
                steps[c]
            };
        }
        Affine::new(rows).unwrap()
    }

    #[test]
    fn every_orientation_is_recognised_and_undone() {
        let file = Array3::from_shape_fn((2, 3, 4), |(z, y, x)| 100 * z + 10 * y + x);
        for orientation in all() {
            let affine = affine(orientation, [0.5, 1.5, 2.5]);
            assert_eq!(Orientation::from_itk_direction(affine), orientation);
            assert_eq!(Orientation::from_nibabel_affine(affine), orientation);
            let ras = orientation.view_to_ras(file.view());
            assert_eq!(orientation.view_to_file(ras), file);
            // A voxel keeps its place in the world.
            let ras_affine = Affine::new(orientation.affine_to_ras(affine, [4, 3, 2])).unwrap();
            let diagonal: Vec<f64> = (0..3).map(|a| ras_affine.rows()[a][a]).collect();
            assert!(diagonal.iter().all(|&d| d > 0.0), "{diagonal:?}");
            for ((z, y, x), value) in ras.indexed_iter() {
                let world = ras_affine.world_from_voxel([x as f64, y as f64, z as f64]);
                let (fz, fy, fx) = (value / 100, value / 10 % 10, value % 10);
                assert_eq!(world, affine.world_from_voxel([fx as f64, fy as f64, fz as f64]));
            }
        }
    }

    #[test]
    fn codes_name_the_way_axes_run() {
        assert_eq!(Orientation::RAS.code(), "RAS");
        assert_eq!(
            Orientation {
                world_axis: [1, 2, 0],
                flipped: [true, false, true]
            }
            .code(),
            "PSL"
        );
        let codes: std::collections::HashSet<_> = all().into_iter().map(Orientation::code).collect();
        assert_eq!(codes.len(), 48);
    }

    #[test]
    fn shear_is_taken_out_before_axes_are_compared() {
        let r = closest_orthogonal([[1.0, 0.6, 0.0], [0.0, 0.8, 0.0], [0.0, 0.0, 1.0]]);
        for i in 0..3 {
            for j in 0..3 {
                let dot: f64 = (0..3).map(|k| r[i][k] * r[j][k]).sum();
                assert!((dot - if i == j { 1.0 } else { 0.0 }).abs() < 1e-14);
            }
        }
        // numpy: P, S, Q = svd(m); P @ Q
        assert!(
            (r[0][0] - 0.948683298050514).abs() < 1e-14 && (r[0][1] - 0.316227766016838).abs() < 1e-14,
            "{r:?}"
        );
    }
}
