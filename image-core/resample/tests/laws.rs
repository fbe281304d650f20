//! What holds for every shape.
#![allow(clippy::unwrap_used)] // a test

use ndarray::Array3;
use nephrite_resample::{
    Interpolation, LabelRule, Real, ResampleError, ResizePlan, linear_taps, nearest_indices, resize_labels,
    resize_planes,
};
use nephrite_types::{CancelToken, Coded};
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

fn resize<T: Real>(source: &Array3<T>, to: [usize; 3], plan: &ResizePlan) -> Array3<T> {
    let from: [usize; 3] = source.dim().into();
    let values = source.as_slice().unwrap();
    let n = from[1] * from[2];
    let fill = |k: usize, plane: &mut [T]| plane.copy_from_slice(&values[k * n..(k + 1) * n]);
    resize_planes(from, to, plan, &fill, &CancelToken::new()).unwrap()
}

fn random(shape: [usize; 3], seed: u64) -> Array3<f32> {
    let mut state = seed;
    Array3::from_shape_simple_fn(shape, || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as f32 / 1e3 - 8e3
    })
}

fn shape() -> impl Strategy<Value = [usize; 3]> {
    [1usize..20, 1usize..20, 1usize..70] // the last one crosses the width of a block
}

fn interpolation() -> impl Strategy<Value = Interpolation> {
    prop_oneof![
        Just(Interpolation::Nearest),
        Just(Interpolation::Linear),
        Just(Interpolation::Cubic)
    ]
}

fn plan() -> impl Strategy<Value = ResizePlan> {
    let scipy = (
        interpolation(),
        proptest::option::of((0usize..3, interpolation())),
    )
        .prop_map(|(interpolation, separate)| {
            let plan = ResizePlan::new(interpolation);
            separate.map_or(plan, |(axis, along)| {
                plan.with_separate_axis(axis, along).unwrap()
            })
        });
    let torch = proptest::option::of(0usize..3).prop_map(|axis| ResizePlan::torch(axis).unwrap());
    prop_oneof![4 => scipy, 1 => torch]
}

/// The result with this many threads.
fn on_threads<R: Send>(n: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new()
        .num_threads(n)
        .build()
        .unwrap()
        .install(work)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn equal_shapes_are_left_alone(shape in shape(), plan in plan(), seed: u64) {
        let source = random(shape, seed);
        prop_assert_eq!(resize(&source, shape, &plan), source);
    }

    #[test]
    fn a_constant_stays_constant(from in shape(), to in shape(), interpolation in interpolation(), value in -1e4f32..1e4) {
        let source = Array3::from_elem(from, value);
        prop_assert_eq!(resize(&source, to, &ResizePlan::new(interpolation)), Array3::from_elem(to, value));
    }

    #[test]
    fn f32_is_close_to_f64(from in shape(), to in shape(), plan in plan(), seed: u64) {
        let narrow = resize(&random(from, seed), to, &plan);
        let wide = resize(&random(from, seed).mapv(f64::from), to, &plan);
        for (a, b) in narrow.iter().zip(&wide) {
            prop_assert!((f64::from(*a) - b).abs() <= 1e-6 * 1.6e4, "{} {}", a, b);
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes(from in shape(), to in shape(), plan in plan(), seed: u64) {
        let source = random(from, seed);
        let bytes = |threads| on_threads(threads, || resize(&source, to, &plan).mapv(f32::to_bits));
        let one = bytes(1);
        prop_assert_eq!(&bytes(2), &one);
        prop_assert_eq!(&bytes(5), &one);
    }

    #[test]
    fn the_axes_are_alike(from in shape(), to in shape(), interpolation in interpolation(), seed: u64) {
        let source = random(from, seed).mapv(f64::from);
        let plan = ResizePlan::new(interpolation);
        let direct = resize(&source, to, &plan);
        for order in [[1, 2, 0], [2, 1, 0], [0, 2, 1]] {
            let turned = source.view().permuted_axes(order).as_standard_layout().into_owned();
            let turned = resize(&turned, order.map(|axis| to[axis]), &plan);
            let expected = direct.view().permuted_axes(order);
            for (a, b) in turned.iter().zip(expected) {
                prop_assert!((a - b).abs() <= 1e-12 * 8e3, "{} {}", a, b);
            }
        }
    }

    #[test]
    fn results_stay_in_the_range_and_nearest_keeps_the_values(from in shape(), to in shape(), seed: u64) {
        let source = random(from, seed);
        let (lo, hi) = source.iter().fold((f32::MAX, f32::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v)));
        let cubic = resize(&source, to, &ResizePlan::new(Interpolation::Cubic));
        prop_assert!(cubic.iter().all(|&v| lo <= v && v <= hi));
        let nearest = resize(&source, to, &ResizePlan::new(Interpolation::Nearest));
        let picks: [Vec<usize>; 3] = std::array::from_fn(|axis| nearest_indices(from[axis], to[axis]));
        for ((z, y, x), value) in nearest.indexed_iter() {
            prop_assert_eq!(*value, source[[picks[0][z], picks[1][y], picks[2][x]]]);
        }
    }

    #[test]
    fn a_ramp_is_reproduced_inside(from in 24usize..60, to in 1usize..90, axis in 0usize..3) {
        let shape = |len| std::array::from_fn(|a| if a == axis { len } else { 2 });
        let position = |(z, y, x): (usize, usize, usize)| [z, y, x][axis] as f64;
        let source = Array3::from_shape_fn(shape(from), position);
        for interpolation in [Interpolation::Linear, Interpolation::Cubic] {
            let resized = resize(&source, shape(to), &ResizePlan::new(interpolation));
            for (index, value) in resized.indexed_iter() {
                let x = (position(index) + 0.5) * from as f64 / to as f64 - 0.5;
                let margin = if interpolation == Interpolation::Cubic { 11.0 } else { 0.0 };
                if x >= margin && x <= from as f64 - 1.0 - margin {
                    // What the ends do to a spline dies away by 0.27 per voxel.
                    let tolerance = if margin > 0.0 { 2e-6 } else { 1e-12 };
                    prop_assert!((value - x).abs() < tolerance, "{} {} {:?}", value, x, interpolation);
                }
            }
        }
    }

    #[test]
    fn slab_by_slab_equals_at_once(n in 1usize..40, m in 1usize..60, seed: u64) {
        let source = random([n, 1, 1], seed);
        let at_once = resize(&source, [m, 1, 1], &ResizePlan::new(Interpolation::Linear).without_clip());
        let taps = linear_taps::<f32>(n, m);
        prop_assume!(n != m);
        for (tap, &expected) in taps.iter().zip(&at_once) {
            prop_assert_eq!(tap.w_lo * source[[tap.lo, 0, 0]] + tap.w_hi * source[[tap.hi, 0, 0]], expected);
        }
    }

    #[test]
    fn labels_of_the_result_are_labels_of_the_source(from in shape(), to in shape(), seed: u64) {
        let source = random(from, seed).mapv(|v| (v as i32).rem_euclid(5) - 1);
        for order in [Interpolation::Nearest, Interpolation::Linear, Interpolation::Cubic] {
            let rule = LabelRule::Batchgenerators(order);
            let resized = resize_labels(source.view(), to, rule, None, &CancelToken::new()).unwrap();
            prop_assert!(resized.iter().all(|label| source.iter().any(|other| other == label)));
            let one = Array3::from_elem(from, 3i16);
            let resized = resize_labels(one.view(), to, rule, None, &CancelToken::new()).unwrap();
            prop_assert_eq!(resized, Array3::from_elem(to, 3i16));
        }
    }
}

#[test]
fn a_plane_is_asked_for_once_and_unused_planes_never() {
    let asked = |from: usize, to: usize, interpolation| {
        let counts: Vec<AtomicUsize> = (0..from).map(|_| AtomicUsize::new(0)).collect();
        let fill = |k: usize, plane: &mut [f32]| {
            counts[k].fetch_add(1, Ordering::Relaxed);
            plane.fill(k as f32);
        };
        let plan = ResizePlan::new(interpolation);
        resize_planes([from, 3, 4], [to, 5, 2], &plan, &fill, &CancelToken::new()).unwrap();
        counts
            .into_iter()
            .map(AtomicUsize::into_inner)
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(5, 3, Interpolation::Cubic), [1; 5]);
    assert_eq!(asked(5, 9, Interpolation::Linear), [1; 5]);
    assert_eq!(asked(5, 9, Interpolation::Nearest), [1; 5]);
    assert_eq!(asked(6, 3, Interpolation::Nearest), [0, 1, 0, 1, 0, 1]);
}

#[test]
fn a_nan_spreads_along_lines_only_and_does_not_disturb_the_clip() {
    let mut source = random([4, 5, 40], 1);
    source[[1, 2, 3]] = f32::NAN;
    let plan = ResizePlan::new(Interpolation::Linear);
    let resized = resize(&source, [4, 5, 20], &plan);
    assert_eq!(resized.iter().filter(|v| v.is_nan()).count(), 1);
    let resized = resize(&source, [4, 5, 20], &ResizePlan::new(Interpolation::Cubic));
    assert_eq!(resized.iter().filter(|v| v.is_nan()).count(), 20);
}

#[test]
fn impossible_shapes_and_cancelled_work_are_refused() {
    let token = CancelToken::new();
    let fill = |_: usize, plane: &mut [f32]| {
        token.cancel();
        plane.fill(0.0);
    };
    let plan = ResizePlan::new(Interpolation::Cubic);
    let resize =
        |from, to| on_threads(1, || resize_planes::<f32>(from, to, &plan, &fill, &token)).unwrap_err();
    assert!(matches!(
        resize([0, 2, 2], [2, 2, 2]),
        ResampleError::Shape { .. }
    ));
    assert!(matches!(
        resize([2, 2, 2], [2, 0, 2]),
        ResampleError::Shape { .. }
    ));
    assert!(matches!(
        resize([2, 2, 2], [usize::MAX / 4, 3, 3]),
        ResampleError::Shape { .. }
    ));
    assert!(!token.is_cancelled(), "nothing was filled");
    let err = resize([50, 2, 2], [20, 3, 3]);
    assert!(matches!(err, ResampleError::Cancelled(_)), "{err}");
    assert_eq!(err.code(), nephrite_types::ErrorCode::Cancelled);
}
