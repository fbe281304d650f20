//! Slices of a scan as a radiologist looks at them.

use nephrite_sample::Plane;
use nephrite_types::{Geometry, Labels, Volume, with_voxels};

/// Array axes (0 z, 1 y, 2 x): across the plane, down the picture, to the right in the picture.
pub(crate) fn array_axes(plane: Plane) -> [usize; 3] {
    plane.world_axes().map(|world| 2 - world)
}

/// A rectangle of values, row by row, as it appears in the picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slice<T> {
    pub(crate) values: Vec<T>,
    /// Rows, columns.
    pub(crate) shape: [usize; 2],
    /// mm from row to row, column to column.
    pub(crate) spacing: [f64; 2],
}

impl<T: Copy> Slice<T> {
    pub(crate) fn at(&self, row: usize, column: usize) -> T {
        self.values[row * self.shape[1] + column]
    }

    /// The part of `rows` and `columns`.
    pub(crate) fn crop(&self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Slice<T> {
        let shape = [rows.len(), columns.len()];
        let values = rows
            .flat_map(|row| columns.clone().map(move |column| self.at(row, column)))
            .collect();
        Slice {
            values,
            shape,
            spacing: self.spacing,
        }
    }
}

/// True where the picture runs against the array: the head is up, the front is up or at the left, the patient's right at the left.
/// Takes the scan to lie along the world's axes (RAS+), whichever way each runs.
fn is_reversed(geometry: &Geometry, axis: usize) -> bool {
    let world = 2 - axis;
    // every world axis grows away from where the picture begins: right, front, head
    geometry.affine.rows()[world][world] > 0.0
}

fn cut<T>(geometry: &Geometry, plane: Plane, index: usize, value: impl Fn([usize; 3]) -> T) -> Slice<T> {
    let [across, down, right] = array_axes(plane);
    let (size, spacing) = (geometry.shape.zyx(), geometry.spacing.zyx());
    let along = |axis: usize, i: usize| {
        if is_reversed(geometry, axis) {
            size[axis] - 1 - i
        } else {
            i
        }
    };
    let mut values = Vec::with_capacity(size[down] * size[right]);
    for row in 0..size[down] {
        for column in 0..size[right] {
            let mut voxel = [0; 3];
            voxel[across] = index;
            voxel[down] = along(down, row);
            voxel[right] = along(right, column);
            values.push(value(voxel));
        }
    }
    Slice {
        values,
        shape: [size[down], size[right]],
        spacing: [spacing[down], spacing[right]],
    }
}

/// Intensities of the plane at `index` of the axis across it.
pub(crate) fn cut_volume(volume: &Volume, plane: Plane, index: usize) -> Slice<f32> {
    with_voxels!(&volume.voxels, array => {
        cut(&volume.geometry, plane, index, |voxel| volume.scale.apply(array[voxel]))
    })
}

/// Label ids of the same plane.
pub(crate) fn cut_labels(labels: &Labels, geometry: &Geometry, plane: Plane, index: usize) -> Slice<u16> {
    match labels {
        Labels::U8(array) => cut(geometry, plane, index, |voxel| array[voxel].into()),
        Labels::U16(array) => cut(geometry, plane, index, |voxel| array[voxel]),
    }
}

/// Per array axis the index of the plane that shows most: each structure counts as the share of its fullest plane. The middle where no
/// structure is anywhere.
pub(crate) fn best_indices(labels: &Labels, ids: &[u16]) -> [usize; 3] {
    let shape = labels.shape();
    let mut counts: [Vec<u32>; 3] = shape.map(|len| vec![0; len * ids.len()]);
    let mut tally = |voxel: (usize, usize, usize), id: u16| {
        if let Some(k) = ids.iter().position(|&wanted| wanted == id) {
            for (counts, i) in counts.iter_mut().zip([voxel.0, voxel.1, voxel.2]) {
                counts[i * ids.len() + k] += 1;
            }
        }
    };
    match labels {
        Labels::U8(array) => array
            .indexed_iter()
            .filter(|(_, id)| **id > 0)
            .for_each(|(v, &id)| tally(v, id.into())),
        Labels::U16(array) => array
            .indexed_iter()
            .filter(|(_, id)| **id > 0)
            .for_each(|(v, &id)| tally(v, id)),
    }
    std::array::from_fn(|axis| {
        let planes: Vec<&[u32]> = counts[axis].chunks(ids.len().max(1)).collect();
        let most: Vec<u32> = (0..ids.len())
            .map(|k| planes.iter().map(|p| p[k]).max().unwrap_or(0).max(1))
            .collect();
        let score = |plane: &[u32]| {
            plane
                .iter()
                .zip(&most)
                .map(|(&n, &most)| f64::from(n) / f64::from(most))
                .sum::<f64>()
        };
        let middle = shape[axis] / 2;
        let start = (middle, planes.get(middle).map_or(0.0, |plane| score(plane)));
        planes
            .iter()
            .enumerate()
            .fold(start, |best, (i, plane)| {
                if score(plane) > best.1 {
                    (i, score(plane))
                } else {
                    best
                }
            })
            .0
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use nephrite_types::{Affine, Shape3, Spacing};

    use super::*;

    fn geometry(shape: [usize; 3], signs_xyz: [f64; 3]) -> Geometry {
        let [x, y, z] = signs_xyz;
        let rows = [
            [2.0 * x, 0.0, 0.0, 0.0],
            [0.0, 3.0 * y, 0.0, 0.0],
            [0.0, 0.0, 5.0 * z, 0.0],
        ];
        Geometry {
            shape: Shape3::new(shape).unwrap(),
            spacing: Spacing::new([5.0, 3.0, 2.0]).unwrap(),
            affine: Affine::new(rows).unwrap(),
        }
    }

    /// A voxel at the patient's right, front, head end shows in the first row and column of every plane, however stored.
    #[test]
    fn right_front_and_head_come_first_for_every_orientation() {
        for bits in 0..8 {
            let signs: [f64; 3] = std::array::from_fn(|c| if bits >> c & 1 == 1 { 1.0 } else { -1.0 });
            let shape = [4, 5, 6];
            let geometry = geometry(shape, signs);
            let mut array = Array3::<u8>::zeros(shape);
            let corner: [usize; 3] =
                std::array::from_fn(|axis| if signs[2 - axis] > 0.0 { shape[axis] - 1 } else { 0 });
            array[corner] = 9;
            let labels = Labels::U8(array);
            for plane in Plane::ALL {
                let slice = cut_labels(&labels, &geometry, plane, corner[array_axes(plane)[0]]);
                assert_eq!(slice.at(0, 0), 9, "{signs:?} {plane:?}");
                assert_eq!(slice.values.iter().filter(|&&id| id == 9).count(), 1);
            }
        }
    }

    #[test]
    fn spacing_follows_the_plane() {
        let geometry = geometry([4, 5, 6], [1.0; 3]);
        let labels = Labels::U8(Array3::zeros([4, 5, 6]));
        let check = |plane, shape, spacing| {
            let slice = cut_labels(&labels, &geometry, plane, 0);
            assert_eq!((slice.shape, slice.spacing), (shape, spacing));
        };
        check(Plane::Axial, [5, 6], [3.0, 2.0]);
        check(Plane::Coronal, [4, 6], [5.0, 2.0]);
        check(Plane::Sagittal, [4, 5], [5.0, 3.0]);
    }

    #[test]
    fn the_best_plane_shows_all_structures_rather_than_one_large_one() {
        let mut array = Array3::<u8>::zeros([3, 4, 4]);
        array.slice_mut(ndarray::s![0, .., ..]).fill(1);
        array.slice_mut(ndarray::s![2, 0..3, ..]).fill(1);
        array[[2, 3, 3]] = 2;
        let labels = Labels::U8(array);
        assert_eq!(best_indices(&labels, &[1, 2])[0], 2);
        assert_eq!(best_indices(&labels, &[1])[0], 0);
        assert_eq!(best_indices(&labels, &[7]), [1, 2, 2], "the middle");
        assert_eq!(best_indices(&labels, &[]), [1, 2, 2]);
    }
}
