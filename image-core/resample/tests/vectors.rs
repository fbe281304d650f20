//! Reference vectors: one line each, through every axis.
#![allow(clippy::unwrap_used)] // a test

use nephrite_resample::{Interpolation, Real, ResizePlan, resize_planes};
use nephrite_types::CancelToken;

/// Resizes a line laid along `axis`, with the other two axes of length 1.
fn resize_line<T: Real>(line: &[f64], m: usize, axis: usize, plan: &ResizePlan) -> Vec<f64> {
    let shape = |len| std::array::from_fn(|a| if a == axis { len } else { 1 });
    let fill = |k: usize, plane: &mut [T]| {
        for (i, value) in plane.iter_mut().enumerate() {
            *value = T::from_f64(line[k + i]); // one of the two is always 0
        }
    };
    let resized = resize_planes(shape(line.len()), shape(m), plan, &fill, &CancelToken::new()).unwrap();
    resized.iter().map(|v| v.as_f64()).collect()
}

fn check(line: &[f64], plan: ResizePlan, expected: &[f64]) {
    let amplitude = line.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    for axis in 0..3 {
        let within = |found: Vec<f64>, tolerance: f64| {
            assert_eq!(found.len(), expected.len());
            for (found_k, expected_k) in found.iter().zip(expected) {
                let error = (found_k - expected_k).abs();
                assert!(
                    error <= tolerance * amplitude,
                    "axis {axis}: {found:?}, expected {expected:?}"
                );
            }
        };
        within(resize_line::<f64>(line, expected.len(), axis, &plan), 1e-13);
        within(resize_line::<f32>(line, expected.len(), axis, &plan), 1e-6);
    }
}

const HILL: [f64; 5] = [0.0, 10.0, 20.0, 10.0, 0.0];
const VALLEY: [f64; 6] = [100.0, 0.0, 0.0, 0.0, 50.0, 200.0];

#[test]
fn linear_and_nearest_lines_of_scikit_image() {
    let expected = [0.0, 4.375, 10.625, 16.875, 16.875, 10.625, 4.375, 0.0];
    check(&HILL, ResizePlan::new(Interpolation::Linear), &expected);
    let expected = [100.0, 0.0, 0.0, 0.0, 0.0, 0.0, 50.0, 200.0, 200.0];
    check(&VALLEY, ResizePlan::new(Interpolation::Nearest), &expected);
}

#[test]
fn cubic_lines_of_scikit_image() {
    let cubic = ResizePlan::new(Interpolation::Cubic);
    let half = [0.0, 3.164663510194018, 10.877120581586876, 18.615439044161736];
    let expected: Vec<f64> = half.into_iter().chain(half.into_iter().rev()).collect();
    check(&HILL, cubic, &expected);
    check(&HILL, cubic, &[2.199449178726396, 20.0, 2.199449178726384]);
    check(
        &[1.0, 2.0],
        cubic,
        &[1.0, 1.2156851183952093, 1.7843148816047911, 2.0],
    );

    let mut expected = [
        107.74547991844027,
        49.92924578678323,
        0.0,
        0.0,
        1.7068998035874547,
        0.9332337227802182,
        31.518363147489495,
        130.21735146344116,
        200.0,
    ];
    check(&VALLEY, cubic, &expected);
    expected[2] = -7.640658861822802;
    expected[3] = -3.2304926910579415;
    expected[8] = 210.52074579556043;
    check(&VALLEY, cubic.without_clip(), &expected);
}

#[test]
fn cubic_plane_of_scikit_image() {
    let plane = [0.0, 10.0, 20.0, 40.0];
    let expected = [
        0.0,
        3.0672766422710516,
        8.394054600576668,
        8.840365985362634,
        17.5,
        26.159634014637373,
        19.940233286759835,
        31.932723357728953,
        40.0,
    ];
    for thin in 0..3 {
        let shape = |len| std::array::from_fn(|axis| if axis == thin { 1 } else { len });
        let fill = |k: usize, out: &mut [f64]| {
            let n = out.len();
            out.copy_from_slice(&plane[k * n..(k + 1) * n]);
        };
        let plan = ResizePlan::new(Interpolation::Cubic);
        let found = resize_planes(shape(2), shape(3), &plan, &fill, &CancelToken::new()).unwrap();
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-12,
                "thin axis {thin}: {found}, expected {expected}"
            );
        }
    }
}
