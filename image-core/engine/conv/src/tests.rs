//! Against the plain sum in f64.

use proptest::prelude::*;
use pulp::Arch;
use rayon::prelude::*;

use crate::{Conv3d, ConvError};

/// Definition of the convolution; zero padding, f64.
fn plain_sum(
    n_out: usize,
    n_in: usize,
    taps_z: usize,
    size: [usize; 3],
    weight: &[f32],
    input: &[f32],
) -> Vec<f64> {
    let [size_z, size_y, size_x] = size;
    let mut output = Vec::new();
    // Index of a neighbor along one axis, if it is inside.
    let neighbour = |i: usize, tap: usize, n_taps: usize, size: usize| {
        (i + tap).checked_sub(n_taps / 2).filter(|&i| i < size)
    };
    for out in 0..n_out {
        for voxel in 0..size_z * size_y * size_x {
            let (z, y, x) = (voxel / (size_y * size_x), voxel / size_x % size_y, voxel % size_x);
            let mut sum = 0.0;
            for tap in 0..n_in * taps_z * 9 {
                let (channel, dz, dy, dx) = (tap / (taps_z * 9), tap / 9 % taps_z, tap / 3 % 3, tap % 3);
                let (Some(z), Some(y), Some(x)) = (
                    neighbour(z, dz, taps_z, size_z),
                    neighbour(y, dy, 3, size_y),
                    neighbour(x, dx, 3, size_x),
                ) else {
                    continue;
                };
                let at = ((channel * size_z + z) * size_y + y) * size_x + x;
                sum += f64::from(input[at]) * f64::from(weight[out * n_in * taps_z * 9 + tap]);
            }
            output.push(sum);
        }
    }
    output
}

/// Values between -1 and 1 that look random and are the same everywhere.
fn values(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn run(conv: &Conv3d, size: [usize; 3], input: &[f32]) -> Vec<f32> {
    // What the scratch memory holds from before must not matter.
    let mut output = vec![f32::NAN; conv.n_out() * size.iter().product::<usize>()];
    conv.run(size, input, &mut output, |n, task| (0..n).for_each(task))
        .unwrap();
    output
}

#[track_caller]
fn check(n_out: usize, n_in: usize, taps_z: usize, size: [usize; 3]) {
    let weight = values(n_out * n_in * taps_z * 9, 1);
    let bias = values(n_out, 2);
    let input = values(n_in * size.iter().product::<usize>(), 3);
    let conv = Conv3d::new(n_out, n_in, [taps_z, 3, 3], &weight, Some(&bias)).unwrap();
    let expected = plain_sum(n_out, n_in, taps_z, size, &weight, &input);
    let n_voxels = size.iter().product::<usize>();
    // Rounding of f32: of the transforms, as large as the sum itself, and of every step of the sum.
    let n_terms = (n_in * taps_z * 9) as f64;
    let tolerance = 1e-6 * n_terms.sqrt() + 5e-8 * n_terms;
    for (i, (found, expected)) in run(&conv, size, &input).into_iter().zip(expected).enumerate() {
        let expected = expected + f64::from(bias[i / n_voxels]);
        assert!(
            (f64::from(found) - expected).abs() <= tolerance,
            "{n_out} from {n_in}, {taps_z} taps along z, {size:?}: value {i} is {found}, expected {expected}"
        );
    }
}

#[test]
fn sums_are_those_of_the_definition() {
    check(8, 8, 3, [4, 4, 16]);
    check(16, 16, 3, [8, 10, 20]);
    check(9, 4, 1, [3, 8, 33]);
    check(3, 1, 3, [6, 6, 64]);
}

#[test]
fn odd_sizes_and_single_voxels_are_right() {
    check(5, 3, 3, [5, 7, 9]);
    check(1, 2, 3, [1, 1, 1]);
    check(1, 2, 1, [1, 1, 1]);
    check(2, 2, 3, [1, 2, 3]);
    check(2, 2, 3, [3, 1, 70]);
}

/// All instruction sets that this machine has.
fn archs() -> Vec<Arch> {
    let mut archs = vec![Arch::Scalar, Arch::new()];
    #[cfg(target_arch = "x86_64")]
    archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
    archs
}

#[test]
fn every_instruction_set_gives_the_same_sums() {
    let (size, n_in, n_out) = ([4, 10, 21], 5, 11);
    let (weight, input) = (values(n_out * n_in * 27, 1), values(n_in * 4 * 10 * 21, 2));
    let expected = plain_sum(n_out, n_in, 3, size, &weight, &input);
    for arch in archs() {
        let conv = Conv3d::new(n_out, n_in, [3, 3, 3], &weight, None)
            .unwrap()
            .with_arch(arch);
        for (found, expected) in run(&conv, size, &input).into_iter().zip(&expected) {
            assert!(
                (f64::from(found) - expected).abs() <= 2e-5,
                "{arch:?}: {found}, expected {expected}"
            );
        }
    }
}

#[test]
fn many_channels_are_right_though_a_row_of_them_is_larger_than_a_strip_should_be() {
    check(9, 400, 3, [2, 4, 20]);
}

#[test]
fn a_strip_may_be_cut_anywhere() {
    // More rows than one strip holds, and an odd last one.
    check(8, 32, 3, [3, 41, 62]);
}

#[test]
fn threads_do_not_change_a_byte() {
    let (size, n_in, n_out) = ([12, 24, 40], 16, 16);
    let conv = Conv3d::new(n_out, n_in, [3, 3, 3], &values(n_out * n_in * 27, 1), None).unwrap();
    let input = values(n_in * 12 * 24 * 40, 2);
    let alone = run(&conv, size, &input);
    let mut output = vec![f32::NAN; alone.len()];
    conv.run(size, &input, &mut output, |n, task| {
        (0..n).into_par_iter().for_each(task)
    })
    .unwrap();
    assert_eq!(output, alone);
    conv.run(size, &input, &mut output, |n, task| (0..n).rev().for_each(task))
        .unwrap();
    assert_eq!(output, alone);
}

#[test]
fn nothing_to_compute_is_no_error() {
    let conv = Conv3d::new(2, 1, [3, 3, 3], &[0.0; 54], None).unwrap();
    conv.run([0, 4, 4], &[], &mut [], |_, _| panic!("no task"))
        .unwrap();
    assert!(
        run(
            &Conv3d::new(0, 1, [3, 3, 3], &[], None).unwrap(),
            [1, 1, 1],
            &[1.0]
        )
        .is_empty()
    );
    assert_eq!(
        run(
            &Conv3d::new(1, 0, [3, 3, 3], &[], Some(&[2.0])).unwrap(),
            [1, 1, 2],
            &[]
        ),
        [2.0, 2.0]
    );
}

#[test]
fn other_kernels_and_wrong_lengths_are_refused() {
    assert_eq!(
        Conv3d::new(1, 1, [3, 3, 1], &[0.0; 9], None).unwrap_err(),
        ConvError::Kernel { found: [3, 3, 1] }
    );
    let length = |what, expected, found| ConvError::Length {
        what,
        expected,
        found,
    };
    let new = |n_out, weight: &[f32], bias: Option<&[f32]>| {
        Conv3d::new(n_out, 1, [1, 3, 3], weight, bias).unwrap_err()
    };
    assert_eq!(new(2, &[0.0; 17], None), length("convolution weight", 18, 17));
    assert_eq!(
        new(usize::MAX, &[0.0; 9], None),
        length("convolution weight", usize::MAX, 9)
    );
    assert_eq!(new(1, &[0.0; 9], Some(&[])), length("convolution bias", 1, 0));
    let conv = Conv3d::new(2, 1, [1, 3, 3], &[0.0; 18], None).unwrap();
    let run = |size, input: &[f32], output: &mut [f32]| conv.run(size, input, output, |_, _| ()).unwrap_err();
    assert_eq!(
        run([1, 2, 2], &[0.0; 3], &mut [0.0; 8]),
        length("convolution input", 4, 3)
    );
    assert_eq!(
        run([1, 2, 2], &[0.0; 4], &mut [0.0; 7]),
        length("convolution output", 8, 7)
    );
    assert_eq!(
        run([usize::MAX, 2, 2], &[], &mut []),
        length("convolution input", usize::MAX, 0)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_size_is_right(n_out in 1..20usize, n_in in 1..6usize, flat: bool, z in 1..7usize, y in 1..9usize, x in 1..40usize) {
        check(n_out, n_in, if flat { 1 } else { 3 }, [z, y, x]);
    }
}
