//! The box around what is not zero, and which voxels within are.

use ndarray::{Array3, ArrayView3, Axis, Ix3, Zip};
use nephrite_types::{BoundingBox, IntensityScale, OutOfMemory, Stored, Volume, memory, with_voxels};
use rayon::prelude::*;

/// The box around every voxel whose intensity is not zero in some channel, axes `[z, y, x]` of the reader; the whole
/// array if there is none. NaN counts as not zero.
///
/// Source: nnunetv2 2.8.1, `preprocessing/cropping/cropping.py` (`crop_to_nonzero`).
pub(crate) fn nonzero_box(channels: &[&Volume]) -> BoundingBox {
    let shape = channels[0].voxels.shape();
    channels
        .iter()
        .filter_map(|volume| with_voxels!(&volume.voxels, array => box_of(array.view(), volume.scale)))
        .reduce(|a, b| a.union(&b))
        .unwrap_or(BoundingBox::full(shape))
}

fn box_of<T: Stored>(array: ArrayView3<'_, T>, scale: IntensityScale) -> Option<BoundingBox> {
    array
        .axis_iter(Axis(0))
        .into_par_iter()
        .enumerate()
        .filter_map(|(z, plane)| {
            let mut found: Option<BoundingBox> = None;
            for (y, row) in plane.axis_iter(Axis(0)).enumerate() {
                let nonzero = |v: &T| scale.apply(*v) != 0.0;
                let Some(first) = row.iter().position(nonzero) else {
                    continue;
                };
                let last = row.len() - 1 - row.iter().rev().position(nonzero).unwrap_or(0);
                let row_box = BoundingBox {
                    start: [z, y, first],
                    end: [z + 1, y + 1, last + 1],
                };
                found = Some(found.map_or(row_box, |b| b.union(&row_box)));
            }
            found
        })
        .reduce_with(|a, b| a.union(&b))
}

/// True where some channel is not zero, inside the box; axes `[z, y, x]` of the reader. Holes are not filled yet.
///
/// # Errors
/// [`OutOfMemory`]
pub(crate) fn nonzero_mask(channels: &[&Volume], crop: &BoundingBox) -> Result<Array3<bool>, OutOfMemory> {
    let [nz, ny, nx] = crop.shape();
    let mut mask = memory::zeroed_array(Ix3(nz, ny, nx), "the mask of what is not zero")?;
    for volume in channels {
        let scale = volume.scale;
        with_voxels!(&volume.voxels, array => {
            let inside = cropped(array.view(), crop);
            Zip::from(&mut mask).and(&inside).par_for_each(|m, v| *m |= scale.apply(*v) != 0.0);
        });
    }
    Ok(mask)
}

/// The part of an array inside a box.
pub(crate) fn cropped<'a, T>(array: ArrayView3<'a, T>, crop: &BoundingBox) -> ArrayView3<'a, T> {
    let [s0, s1, s2] = crop.start;
    let [e0, e1, e2] = crop.end;
    array.slice_move(ndarray::s![s0..e0, s1..e1, s2..e2])
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Affine, Geometry, Shape3, Spacing, Voxels};

    use super::*;

    fn volume(array: Array3<f32>, scale: IntensityScale) -> Volume {
        let (z, y, x) = array.dim();
        let spacing = Spacing::new([1.0; 3]).unwrap();
        Volume {
            voxels: Voxels::F32(array),
            scale,
            geometry: Geometry {
                shape: Shape3::new([z, y, x]).unwrap(),
                spacing,
                affine: Affine::from_spacing(spacing, [0.0; 3]),
            },
        }
    }

    #[test]
    fn the_box_is_half_open_and_covers_all_channels() {
        let mut a = Array3::zeros((4, 5, 6));
        a[[1, 2, 3]] = -1.0;
        let mut b = Array3::zeros((4, 5, 6));
        b[[2, 0, 3]] = f32::NAN;
        let (a, b) = (
            volume(a, IntensityScale::IDENTITY),
            volume(b, IntensityScale::IDENTITY),
        );
        assert_eq!(
            nonzero_box(&[&a]),
            BoundingBox {
                start: [1, 2, 3],
                end: [2, 3, 4]
            }
        );
        let both = nonzero_box(&[&a, &b]);
        assert_eq!(
            both,
            BoundingBox {
                start: [1, 0, 3],
                end: [3, 3, 4]
            }
        );
        assert_eq!(
            nonzero_mask(&[&a, &b], &both)
                .unwrap()
                .iter()
                .filter(|m| **m)
                .count(),
            2
        );
    }

    #[test]
    fn an_empty_volume_keeps_its_full_extent() {
        let zero = volume(Array3::zeros((2, 3, 4)), IntensityScale::IDENTITY);
        assert_eq!(nonzero_box(&[&zero]), BoundingBox::full([2, 3, 4]));
    }

    #[test]
    fn zero_means_intensity_zero_not_stored_zero() {
        let mut a = Array3::from_elem((2, 2, 2), 4.0);
        a[[1, 1, 1]] = 0.0;
        let shifted = volume(
            a,
            IntensityScale {
                slope: 0.5,
                inter: -2.0,
            },
        );
        assert_eq!(
            nonzero_box(&[&shifted]),
            BoundingBox {
                start: [1; 3],
                end: [2; 3]
            }
        );
    }
}
