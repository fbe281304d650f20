//! Resizing as a user asks for it: a volume or a label map on another grid.

use ndarray::{Array3, Axis};
use nephrite_types::memory::{self, Zeroable};
use nephrite_types::{
    CancelToken, LabelMap, Labels, Limits, OutOfMemory, Stored, Volume, Voxels, with_voxels,
};
use rayon::prelude::*;

use crate::labels::pick;
use crate::planes::RESIZED;
use crate::taps::nearest_indices;
use crate::{
    Interpolation, Label, LabelRule, Real, ResampleError, ResizePlan, ResizeTarget, resize_labels,
    resize_planes,
};

/// How a label map is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelInterpolation {
    /// The label of the nearest voxel.
    Nearest,
    /// The label whose linearly interpolated indicator is largest; smoother, never a label that is not there.
    PerLabelLinear,
}

/// Resizes a volume; world positions are kept (the outer faces of the voxel block stay where they are).
///
/// The result has the voxel type and intensity scale of the source. Linear and cubic interpolation run on the stored
/// values, in f32 for types of up to 16 bits and for f32, else in f64 (64-bit integers beyond 2^53 lose their last
/// bits), and are clipped to the range of the source; integer types are rounded to the nearest, ties to even. There is
/// no smoothing, also not when the grid gets coarser.
///
/// # Errors
/// [`ResampleError::OverLimit`] before anything is allocated, [`ResampleError::GeometryMismatch`],
/// [`ResampleError::Cancelled`].
pub fn resize_volume(
    volume: &Volume,
    target: ResizeTarget,
    interpolation: Interpolation,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Volume, ResampleError> {
    let from = volume.geometry.shape.zyx();
    check_geometry(from, volume.voxels.shape())?;
    let geometry = target.geometry(&volume.geometry, volume.voxels.voxel_type().n_bytes(), limits)?;
    let to = geometry.shape.zyx();
    let voxels = if from == to {
        volume.voxels.try_clone()?
    } else if interpolation == Interpolation::Nearest {
        let indices = std::array::from_fn(|axis| nearest_indices(from[axis], to[axis]));
        picked(&volume.voxels, &indices, cancel)?
    } else {
        interpolated(&volume.voxels, to, &ResizePlan::new(interpolation), cancel)?
    };
    Ok(Volume {
        voxels,
        scale: volume.scale,
        geometry,
    })
}

/// Resizes a label map; world positions are kept.
///
/// # Errors
/// As [`resize_volume`].
pub fn resize_label_map(
    map: &LabelMap,
    target: ResizeTarget,
    interpolation: LabelInterpolation,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<LabelMap, ResampleError> {
    check_geometry(map.geometry.shape.zyx(), map.labels.shape())?;
    let voxel_bytes = match map.labels {
        Labels::U8(_) => 1,
        Labels::U16(_) => 2,
    };
    let geometry = target.geometry(&map.geometry, voxel_bytes, limits)?;
    let rule = LabelRule::Batchgenerators(match interpolation {
        LabelInterpolation::Nearest => Interpolation::Nearest,
        LabelInterpolation::PerLabelLinear => Interpolation::Linear,
    });
    fn resized<L: Label>(
        labels: &Array3<L>,
        to: [usize; 3],
        rule: LabelRule,
        cancel: &CancelToken,
    ) -> Result<Array3<L>, ResampleError> {
        resize_labels(labels.view(), to, rule, None, cancel)
    }
    let to = geometry.shape.zyx();
    let labels = match &map.labels {
        Labels::U8(labels) => Labels::U8(resized(labels, to, rule, cancel)?),
        Labels::U16(labels) => Labels::U16(resized(labels, to, rule, cancel)?),
    };
    Ok(LabelMap { labels, geometry })
}

fn check_geometry(expected: [usize; 3], found: [usize; 3]) -> Result<(), ResampleError> {
    if expected == found {
        Ok(())
    } else {
        Err(ResampleError::GeometryMismatch { expected, found })
    }
}

fn picked(voxels: &Voxels, indices: &[Vec<usize>; 3], cancel: &CancelToken) -> Result<Voxels, ResampleError> {
    Ok(match voxels {
        Voxels::U8(a) => Voxels::U8(pick(a.view(), indices, cancel)?),
        Voxels::I8(a) => Voxels::I8(pick(a.view(), indices, cancel)?),
        Voxels::U16(a) => Voxels::U16(pick(a.view(), indices, cancel)?),
        Voxels::I16(a) => Voxels::I16(pick(a.view(), indices, cancel)?),
        Voxels::U32(a) => Voxels::U32(pick(a.view(), indices, cancel)?),
        Voxels::I32(a) => Voxels::I32(pick(a.view(), indices, cancel)?),
        Voxels::U64(a) => Voxels::U64(pick(a.view(), indices, cancel)?),
        Voxels::I64(a) => Voxels::I64(pick(a.view(), indices, cancel)?),
        Voxels::F32(a) => Voxels::F32(pick(a.view(), indices, cancel)?),
        Voxels::F64(a) => Voxels::F64(pick(a.view(), indices, cancel)?),
    })
}

fn interpolated(
    voxels: &Voxels,
    to: [usize; 3],
    plan: &ResizePlan,
    cancel: &CancelToken,
) -> Result<Voxels, ResampleError> {
    let narrow = || resize_stored::<f32>(voxels, to, plan, cancel);
    let wide = || resize_stored::<f64>(voxels, to, plan, cancel);
    // Conversions from float saturate, which is the clamp to the type's range.
    Ok(match voxels {
        Voxels::U8(_) => Voxels::U8(converted(&narrow()?, |v| v.round_ties_even() as u8)?),
        Voxels::I8(_) => Voxels::I8(converted(&narrow()?, |v| v.round_ties_even() as i8)?),
        Voxels::U16(_) => Voxels::U16(converted(&narrow()?, |v| v.round_ties_even() as u16)?),
        Voxels::I16(_) => Voxels::I16(converted(&narrow()?, |v| v.round_ties_even() as i16)?),
        Voxels::U32(_) => Voxels::U32(converted(&wide()?, |v| v.round_ties_even() as u32)?),
        Voxels::I32(_) => Voxels::I32(converted(&wide()?, |v| v.round_ties_even() as i32)?),
        Voxels::U64(_) => Voxels::U64(converted(&wide()?, |v| v.round_ties_even() as u64)?),
        Voxels::I64(_) => Voxels::I64(converted(&wide()?, |v| v.round_ties_even() as i64)?),
        Voxels::F32(_) => Voxels::F32(narrow()?),
        Voxels::F64(_) => Voxels::F64(wide()?),
    })
}

fn resize_stored<T: Real>(
    voxels: &Voxels,
    to: [usize; 3],
    plan: &ResizePlan,
    cancel: &CancelToken,
) -> Result<Array3<T>, ResampleError> {
    fn resize<V: Stored, T: Real>(
        source: &Array3<V>,
        to: [usize; 3],
        plan: &ResizePlan,
        cancel: &CancelToken,
    ) -> Result<Array3<T>, ResampleError> {
        let fill = |z: usize, plane: &mut [T]| {
            for (value, stored) in plane.iter_mut().zip(source.index_axis(Axis(0), z)) {
                *value = T::from_f64(stored.to_f64());
            }
        };
        resize_planes(source.dim().into(), to, plan, &fill, cancel)
    }
    with_voxels!(voxels, array => resize(array, to, plan, cancel))
}

fn converted<T: Real, V: Copy + Zeroable + Send + Sync>(
    source: &Array3<T>,
    convert: impl Fn(T) -> V + Sync,
) -> Result<Array3<V>, OutOfMemory> {
    let mut target: Array3<V> = memory::zeroed_array(source.raw_dim(), RESIZED)?;
    target
        .axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(source.axis_iter(Axis(0)))
        .for_each(|(mut target, source)| {
            target
                .iter_mut()
                .zip(source)
                .for_each(|(target, &value)| *target = convert(value));
        });
    Ok(target)
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Affine, Geometry, IntensityScale, Shape3, Spacing};

    use super::*;

    fn geometry(zyx: [usize; 3]) -> Geometry {
        let spacing = Spacing::new([2.0, 1.0, 0.5]).unwrap();
        Geometry {
            shape: Shape3::new(zyx).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [-10.0, 20.0, 5.0]),
        }
    }

    fn volume(zyx: [usize; 3], voxels: Voxels) -> Volume {
        Volume {
            voxels,
            scale: IntensityScale {
                slope: 2.0,
                inter: -1.0,
            },
            geometry: geometry(zyx),
        }
    }

    fn resize(volume: &Volume, to: [usize; 3], interpolation: Interpolation) -> Volume {
        let target = ResizeTarget::Shape(Shape3::new(to).unwrap());
        resize_volume(
            volume,
            target,
            interpolation,
            &Limits::default(),
            &CancelToken::new(),
        )
        .unwrap()
    }

    #[test]
    fn integers_are_rounded_and_keep_type_scale_and_range() {
        let extreme = Array3::from_shape_vec([1, 1, 4], vec![i16::MIN, i16::MAX, i16::MAX, 0]).unwrap();
        let source = volume([1, 1, 4], Voxels::I16(extreme));
        let resized = resize(&source, [1, 1, 8], Interpolation::Cubic);
        let Voxels::I16(voxels) = &resized.voxels else {
            panic!("{:?}", resized.voxels.voxel_type())
        };
        assert_eq!(
            voxels.iter().copied().max(),
            Some(i16::MAX),
            "the overshoot is clipped, not wrapped"
        );
        assert_eq!(voxels[[0, 0, 0]], i16::MIN);
        assert_eq!(resized.scale, source.scale);

        let ramp = volume(
            [1, 1, 2],
            Voxels::U8(Array3::from_shape_vec([1, 1, 2], vec![0, 3]).unwrap()),
        );
        let resized = resize(&ramp, [1, 1, 4], Interpolation::Linear); // 0, 0.75, 2.25, 3
        assert_eq!(
            resized.voxels,
            Voxels::U8(Array3::from_shape_vec([1, 1, 4], vec![0, 1, 2, 3]).unwrap())
        );
    }

    #[test]
    fn every_voxel_type_is_resized_in_its_own_type() {
        macro_rules! check {
            ($($variant:ident),*) => {$(
                let source = volume([2, 3, 4], Voxels::$variant(Array3::from_elem([2, 3, 4], 7 as _)));
                for interpolation in [Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic] {
                    let resized = resize(&source, [3, 2, 5], interpolation);
                    assert_eq!(resized.voxels, Voxels::$variant(Array3::from_elem([3, 2, 5], 7 as _)));
                    assert_eq!(resized.geometry, source.geometry.resized(Shape3::new([3, 2, 5]).unwrap()));
                }
            )*};
        }
        check!(U8, I8, U16, I16, U32, I32, U64, I64, F32, F64);
    }

    #[test]
    fn a_world_ramp_stays_where_it_is() {
        let from = [6, 8, 10];
        let world_x = |g: &Geometry, [z, y, x]: [usize; 3]| {
            g.affine.world_from_voxel([x as f64, y as f64, z as f64])[0] as f32
        };
        let mut source = volume(from, Voxels::F32(Array3::zeros(from)));
        let g = source.geometry;
        source.voxels = Voxels::F32(Array3::from_shape_fn(from, |(z, y, x)| world_x(&g, [z, y, x])));
        let resized = resize(&source, [4, 11, 25], Interpolation::Linear);
        let Voxels::F32(voxels) = &resized.voxels else {
            panic!()
        };
        for x in 2..23 {
            let expected = world_x(&resized.geometry, [1, 5, x]);
            assert!((voxels[[1, 5, x]] - expected).abs() < 1e-5, "x {x}");
        }
    }

    #[test]
    fn label_maps_keep_their_labels_and_their_place() {
        let labels = Array3::from_shape_vec([1, 1, 4], vec![0u16, 300, 300, 7]).unwrap();
        let map = LabelMap {
            labels: Labels::U16(labels),
            geometry: geometry([1, 1, 4]),
        };
        let target = ResizeTarget::Spacing(Spacing::new([2.0, 1.0, 0.25]).unwrap());
        for interpolation in [LabelInterpolation::Nearest, LabelInterpolation::PerLabelLinear] {
            let resized = resize_label_map(
                &map,
                target,
                interpolation,
                &Limits::default(),
                &CancelToken::new(),
            )
            .unwrap();
            let expected = Array3::from_shape_vec([1, 1, 8], vec![0, 0, 300, 300, 300, 300, 7, 7]).unwrap();
            assert_eq!(resized.labels, Labels::U16(expected), "{interpolation:?}");
            assert_eq!(resized.geometry.spacing.zyx(), [2.0, 1.0, 0.25]);
        }
    }

    #[test]
    fn a_volume_that_contradicts_its_geometry_is_refused() {
        let mut bad = volume([2, 2, 2], Voxels::U8(Array3::zeros([2, 2, 2])));
        bad.geometry = geometry([2, 2, 3]);
        let target = ResizeTarget::Shape(Shape3::new([3, 3, 3]).unwrap());
        let err = resize_volume(
            &bad,
            target,
            Interpolation::Linear,
            &Limits::default(),
            &CancelToken::new(),
        );
        assert!(matches!(err, Err(ResampleError::GeometryMismatch { .. })));
    }
}
