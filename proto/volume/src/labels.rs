//! From voxels of any type to label ids, refused where a value is none.

use ndarray::Array3;
use nephrite_types::{CancelToken, IntensityScale, Labels, Limits, Stored, Volume, Voxels, with_voxels};
use rayon::prelude::*;

use crate::read::{Content, Scan, read_content};
use crate::volume_files::VolumeFiles;
use crate::{Reader, VolumeError};

/// Voxels that one task looks at.
const VOXELS_PER_TASK: usize = 1 << 18;

/// Labels that were scaled or stored as floats come back this far from whole numbers, and not further.
const WHOLE: f64 = 1e-3;

/// Takes a volume as a label map (the mask of a previous stage, for one): every value, scale factors applied, lies within a
/// thousandth of a whole number from 0 to 65535, and is taken for that. `[z, y, x]`; u8 if the largest is at most 255.
///
/// # Errors
/// [`VolumeError::NotALabel`] for the first value that is no label.
pub fn labels_from_volume(volume: &Volume) -> Result<Labels, VolumeError> {
    labels_from_voxels(&volume.voxels, volume.scale)
}

pub(crate) fn labels_from_voxels(voxels: &Voxels, scale: IntensityScale) -> Result<Labels, VolumeError> {
    with_voxels!(voxels, array => labels_from(array, scale))
}

/// A label map where `reader` of nnU-Net places it, as [`read_volume`](crate::read_volume) would; for
/// [`labels_from_volume`]. For label maps that belong to a scan which that reader reads. Trailing axes of length 1 are dropped
/// whatever the reader, and a value that is not finite stays, to be refused, though ITK's readers make 0 of it. For label
/// maps that are measured, see [`read_label_map`](crate::read_label_map).
///
/// # Errors
/// As [`read_volume`](crate::read_volume).
pub fn read_label_volume(
    files: impl Into<VolumeFiles>,
    name: &str,
    reader: Reader,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Scan, VolumeError> {
    files.into().read_unchanged(name, |sources| {
        read_content(sources, name, reader, Content::Labels, limits, cancel)
    })
}

fn labels_from<T: Stored>(array: &Array3<T>, scale: IntensityScale) -> Result<Labels, VolumeError> {
    let value = |stored: T| stored.to_f64() * scale.slope + scale.inter;
    let standard = array.as_standard_layout();
    let voxels = standard.as_slice().expect("standard layout is one slice");
    let max = voxels
        .par_chunks(VOXELS_PER_TASK)
        .enumerate()
        .map(|(task, chunk)| {
            let mut max = 0;
            for (i, &stored) in chunk.iter().enumerate() {
                let value = value(stored);
                match label_of(value) {
                    Some(label) => max = max.max(label),
                    None => return Err((task * VOXELS_PER_TASK + i, value)),
                }
            }
            Ok(max)
        })
        // Of several wrong values the first, on any number of threads.
        .reduce(
            || Ok(0),
            |a, b| match (a, b) {
                (Ok(a), Ok(b)) => Ok(a.max(b)),
                (Err(a), Err(b)) => Err(if a.0 <= b.0 { a } else { b }),
                (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
            },
        );
    let (_, ny, nx) = array.dim();
    let max = max.map_err(|(i, value)| VolumeError::NotALabel {
        value,
        index: [i / (ny * nx), i / nx % ny, i % nx],
    })?;
    // Every value was checked above, so that the conversions are exact.
    Ok(if max <= u16::from(u8::MAX) {
        Labels::U8(array.map(|&stored| value(stored).round() as u8))
    } else {
        Labels::U16(array.map(|&stored| value(stored).round() as u16))
    })
}

fn label_of(value: f64) -> Option<u16> {
    let nearest = value.round();
    let is_label = (value - nearest).abs() <= WHOLE && (0.0..=f64::from(u16::MAX)).contains(&nearest);
    is_label.then_some(nearest as u16) // NaN is in no range
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Affine, Geometry, Shape3, Spacing, Voxels};

    use super::*;

    fn check(voxels: Voxels, scale: IntensityScale, expected: Result<Labels, (f64, [usize; 3])>) {
        let spacing = Spacing::new([1.0; 3]).unwrap();
        let geometry = Geometry {
            shape: Shape3::new(voxels.shape()).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        };
        match (
            labels_from_volume(&Volume {
                voxels,
                scale,
                geometry,
            }),
            expected,
        ) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(VolumeError::NotALabel { value, index }), Err((expected, at))) => {
                assert!(
                    (value == expected || value.is_nan() && expected.is_nan()) && index == at,
                    "{value} {index:?}"
                );
            }
            (found, expected) => panic!("found {found:?}, expected {expected:?}"),
        }
    }

    fn array<T: Clone>(values: [T; 6]) -> Array3<T> {
        Array3::from_shape_vec((1, 2, 3), values.to_vec()).unwrap()
    }

    #[test]
    fn integers_are_labels_and_nothing_else_is() {
        let id = IntensityScale::IDENTITY;
        let small = array([0u8, 1, 2, 3, 4, 255]);
        check(Voxels::U8(small.clone()), id, Ok(Labels::U8(small.clone())));
        check(Voxels::F64(small.mapv(f64::from)), id, Ok(Labels::U8(small)));
        let large = array([0u16, 1, 2, 3, 4, 65535]);
        check(Voxels::F32(large.mapv(f32::from)), id, Ok(Labels::U16(large)));
        let half = IntensityScale {
            slope: 0.5,
            inter: 1.0,
        };
        check(
            Voxels::I16(array([0, 2, 4, -2, 0, 0])),
            half,
            Ok(Labels::U8(array([1, 2, 3, 0, 1, 1]))),
        );

        check(
            Voxels::I16(array([0, 1, 2, 3, -1, -2])),
            id,
            Err((-1.0, [0, 1, 1])),
        );
        check(
            Voxels::I64(array([0, 65536, 0, 0, 0, 0])),
            id,
            Err((65536.0, [0, 0, 1])),
        );
        check(
            Voxels::F32(array([0.0, 0.0, 0.0, 1.5, 0.0, 0.0])),
            id,
            Err((1.5, [0, 1, 0])),
        );
        check(
            Voxels::F64(array([f64::NAN, 0.0, 0.0, 0.0, 0.0, 0.0])),
            id,
            Err((f64::NAN, [0, 0, 0])),
        );
        check(
            Voxels::F32(array([0.0, f32::INFINITY, 0.0, 0.0, 0.0, 0.0])),
            id,
            Err((f64::INFINITY, [0, 0, 1])),
        );
    }
}
