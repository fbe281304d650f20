//! Surface area from intersections with lines (Crofton's formula).

use nephrite_kernel::{CancelToken, Run, RunMask};
use nephrite_types::{Affine, Cancelled};
use rayon::prelude::*;

/// Steps `[z, y, x]` to half of the 26 neighbors: one for each direction of lines.
const DIRECTIONS: [[i64; 3]; 13] = [
    [0, 0, 1],
    [0, 1, -1],
    [0, 1, 0],
    [0, 1, 1],
    [1, -1, -1],
    [1, -1, 0],
    [1, -1, 1],
    [1, 0, -1],
    [1, 0, 0],
    [1, 0, 1],
    [1, 1, -1],
    [1, 1, 0],
    [1, 1, 1],
];

/// For every label, by id: surface area in mm².
///
/// Lines through the voxel centers along the 13 directions to the neighbors cross the surface wherever the label
/// changes. The mean number of crossings per area across the lines, over all directions, is half of the surface. Every
/// direction counts by the share of the sphere that is nearer to it than to the others, in the world: spacing and
/// oblique axes are accounted for. The outside of the grid is background.
///
/// On balls of radius 5 to 40 voxels the error is below 2.5 %, with slices up to three times as far apart as voxels below
/// 5 % (tested). Planes along the grid's axes are the worst case: 7 % too small, 16 % with slices three times as far
/// apart. A single voxel of 1 mm has 3.0 mm².
///
/// Source: Lehmann and Legland, "Efficient N-dimensional surface estimation using Crofton formula and run-length
/// encoding", Insight Journal 2012. *Cost*: 13 passes over the runs.
pub(crate) fn surface_areas(mask: &RunMask, cancel: &CancelToken) -> Result<Vec<f64>, Cancelled> {
    let affine = mask.geometry().affine;
    let (crossings, shares) = (ends(mask, cancel)?, shares(affine));
    let voxel_mm3 = affine.determinant().abs();
    let lengths = DIRECTIONS.map(|direction| norm(world_step(affine, direction)));
    let area = |label: &[u64; 13]| {
        let sum: f64 = (0..13).map(|k| shares[k] * label[k] as f64 / lengths[k]).sum();
        4.0 * voxel_mm3 * sum
    };
    Ok(crossings.iter().map(area).collect())
}

/// Voxels whose next voxel along each direction does not have their label, by id.
fn ends(mask: &RunMask, cancel: &CancelToken) -> Result<Vec<[u64; 13]>, Cancelled> {
    let [nz, ny, _] = mask.shape();
    let n_labels = mask
        .runs()
        .iter()
        .map(|run| usize::from(run.label) + 1)
        .max()
        .unwrap_or(0);
    let none = || vec![[0u64; 13]; n_labels];
    let add = |mut all: Vec<[u64; 13]>, part: Vec<[u64; 13]>| {
        for (all, part) in all.iter_mut().zip(part) {
            for (all, part) in all.iter_mut().zip(part) {
                *all += part;
            }
        }
        all
    };
    // Thick slabs: every one has a table of all labels.
    let slab = nz.div_ceil(4 * rayon::current_num_threads()).max(1);
    (0..nz.div_ceil(slab))
        .into_par_iter()
        .map(|part| {
            let mut ends = none();
            for z in part * slab..((part + 1) * slab).min(nz) {
                cancel.check()?;
                for y in 0..ny {
                    count_row(mask, z, y, &mut ends);
                }
            }
            Ok(ends)
        })
        .try_reduce(none, |all, part| Ok(add(all, part)))
}

fn count_row(mask: &RunMask, z: usize, y: usize, ends: &mut [[u64; 13]]) {
    let [nz, ny, _] = mask.shape();
    let row = mask.row(z * ny + y);
    for run in row {
        for (k, ends) in ends[usize::from(run.label)].iter_mut().enumerate() {
            *ends += if k == 0 { 1 } else { u64::from(run.len()) };
        }
    }
    for (k, [dz, dy, dx]) in DIRECTIONS.iter().enumerate().skip(1) {
        let (Some(z), Some(y)) = (
            z.checked_add_signed(*dz as isize),
            y.checked_add_signed(*dy as isize),
        ) else {
            continue;
        };
        if z < nz && y < ny {
            subtract_contacts(row, mask.row(z * ny + y), *dx, k, ends);
        }
    }
}

/// Takes away the voxels `x` of `row` whose label is that of voxel `x + dx` of `other`.
fn subtract_contacts(row: &[Run], other: &[Run], dx: i64, direction: usize, ends: &mut [[u64; 13]]) {
    let (mut i, mut j) = (0, 0);
    while let (Some(a), Some(b)) = (row.get(i), other.get(j)) {
        let (b_start, b_end) = (i64::from(b.start) - dx, i64::from(b.end) - dx);
        let (a_start, a_end) = (i64::from(a.start), i64::from(a.end));
        if a.label == b.label {
            let both = a_end.min(b_end) - a_start.max(b_start);
            ends[usize::from(a.label)][direction] -= both.max(0) as u64;
        }
        if a_end <= b_end {
            i += 1;
        } else {
            j += 1;
        }
    }
}

fn world_step(affine: Affine, [dz, dy, dx]: [i64; 3]) -> [f64; 3] {
    let rows = affine.rows();
    std::array::from_fn(|r| rows[r][0] * dx as f64 + rows[r][1] * dy as f64 + rows[r][2] * dz as f64)
}

fn norm(v: [f64; 3]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Share of the sphere that is nearer to each direction (or its opposite) than to the others.
fn shares(affine: Affine) -> [f64; 13] {
    /// Evenly spread over half of the sphere; shares are then right to about 1e-4.
    const POINTS: usize = 20_000;
    let units = DIRECTIONS.map(|direction| {
        let step = world_step(affine, direction);
        step.map(|v| v / norm(step))
    });
    let golden = std::f64::consts::PI * (3.0 - 5f64.sqrt());
    let mut counts = [0usize; 13];
    for i in 0..POINTS {
        // a Fibonacci lattice
        let z = (i as f64 + 0.5) / POINTS as f64;
        let (sin, cos) = (golden * i as f64).sin_cos();
        let r = (1.0 - z * z).sqrt();
        let point = [r * cos, r * sin, z];
        let nearness = |k: usize| (0..3).map(|c| units[k][c] * point[c]).sum::<f64>().abs();
        let nearest = (1..13).fold(0, |best, k| if nearness(k) > nearness(best) { k } else { best });
        counts[nearest] += 1;
    }
    counts.map(|n| n as f64 / POINTS as f64)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use ndarray::Array3;
    use nephrite_kernel::Limits;
    use nephrite_types::{Geometry, Labels, Shape3, Spacing};

    use super::*;

    fn geometry(shape: [usize; 3], spacing: [f64; 3]) -> Geometry {
        let spacing = Spacing::new(spacing).unwrap();
        Geometry {
            shape: Shape3::new(shape).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        }
    }

    fn areas(array: Array3<u8>, spacing: [f64; 3]) -> Vec<f64> {
        let (z, y, x) = array.dim();
        let geometry = geometry([z, y, x], spacing);
        let mask = RunMask::from_labels(&Labels::U8(array), &geometry, &Limits::default()).unwrap();
        surface_areas(&mask, &CancelToken::new()).unwrap()
    }

    fn check_ball(radius_mm: f64, spacing: [f64; 3], tolerance: f64) {
        let shape = spacing.map(|mm| (2.0 * radius_mm / mm).ceil() as usize + 3);
        let ball = Array3::from_shape_fn(shape, |(z, y, x)| {
            let distance: f64 = [z, y, x]
                .into_iter()
                .zip(shape)
                .zip(spacing)
                .map(|((i, n), mm)| ((i as f64 - (n as f64 - 1.0) / 2.0) * mm).powi(2))
                .sum();
            u8::from(distance <= radius_mm * radius_mm)
        });
        let (found, expected) = (areas(ball, spacing)[1], 4.0 * PI * radius_mm * radius_mm);
        let error = found / expected - 1.0;
        assert!(
            error.abs() < tolerance,
            "radius {radius_mm}, spacing {spacing:?}: {:.2} %",
            100.0 * error
        );
    }

    #[test]
    fn the_surface_of_balls() {
        for radius in [5.0, 8.0, 12.5, 20.0, 40.0] {
            check_ball(radius, [1.0; 3], 0.025);
        }
        for radius in [10.0, 20.0] {
            check_ball(radius, [1.0, 0.75, 0.75], 0.025);
            check_ball(radius, [2.0, 1.0, 1.0], 0.05);
            check_ball(radius, [3.0, 1.0, 1.0], 0.05);
        }
    }

    #[test]
    fn one_voxel_a_plate_and_two_labels_that_touch() {
        let one = areas(Array3::ones([1, 1, 1]), [1.0; 3])[1];
        assert!((one - 3.0).abs() < 0.01, "{one}");
        for (spacing, error) in [([1.0; 3], -0.07), ([3.0, 1.0, 1.0], -0.155)] {
            let plate = areas(Array3::ones([1, 400, 400]), spacing)[1] / (2.0 * 400.0 * 400.0) - 1.0;
            assert!((plate - error).abs() < 0.01, "{spacing:?}: {plate}");
        }
        let mut halves = Array3::from_elem([4, 4, 8], 1);
        halves.slice_mut(ndarray::s![.., .., 4..]).fill(2);
        let halves = areas(halves, [1.0; 3]);
        let alone = areas(Array3::ones([4, 4, 4]), [1.0; 3]);
        assert_eq!((halves[1], halves[2]), (alone[1], alone[1]));
        assert!(areas(Array3::zeros([2, 2, 2]), [1.0; 3]).is_empty());
    }

    #[test]
    fn the_area_does_not_depend_on_the_orientation_of_the_grid() {
        let array = Array3::from_shape_fn([6, 7, 8], |(z, y, x)| u8::from(z * 3 + y * 5 + x * 7 > 40));
        let straight = areas(array.clone(), [2.0, 1.5, 1.0])[1];
        let flipped = areas(
            array.slice(ndarray::s![..;-1, .., ..;-1]).to_owned(),
            [2.0, 1.5, 1.0],
        )[1];
        assert!((straight / flipped - 1.0).abs() < 1e-3, "{straight} {flipped}");
    }
}
