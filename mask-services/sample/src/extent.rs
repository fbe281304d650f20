//! How far a label extends: its box in the world and its longest diameter.

use std::cmp::Ordering;

use nephrite_kernel::CancelToken;
use nephrite_types::{Affine, Cancelled};

use crate::spans::Spans;

/// A point of the grid, `[x, y, z]`.
type Point = [i64; 3];

/// In world millimeters, RAS+.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extent {
    /// Least and greatest x, y, z of the outer faces of the voxels.
    pub(crate) box_mm: [[f64; 3]; 2],
    /// The greatest distance between two centers of outer voxel faces, which are the corners of the label's mesh. For a
    /// single voxel, its longest edge.
    pub(crate) diameter_mm: f64,
}

/// Exact: the farthest voxels are corners of the convex hull, and only these are compared.
///
/// *Cost*: linear in the label's runs, then quadratic in what may be corners of its hull (some hundred for an organ).
pub(crate) fn extent(spans: &Spans, affine: Affine, cancel: &CancelToken) -> Result<Extent, Cancelled> {
    let corners = hull_candidates(spans, cancel)?;
    let world: Vec<[f64; 3]> = corners
        .iter()
        .map(|point| affine.world_from_voxel(point.map(|index| index as f64)))
        .collect();
    let rows = affine.rows();
    let half: [f64; 3] = std::array::from_fn(|r| (0..3).map(|c| rows[r][c].abs()).sum::<f64>() / 2.0);
    let least = |r: usize| world.iter().map(|p| p[r]).fold(f64::INFINITY, f64::min) - half[r];
    let greatest = |r: usize| world.iter().map(|p| p[r]).fold(f64::NEG_INFINITY, f64::max) + half[r];
    Ok(Extent {
        box_mm: [std::array::from_fn(least), std::array::from_fn(greatest)],
        diameter_mm: diameter(world, affine, cancel)?,
    })
}

/// Voxels among which all corners of the convex hull are: in every plane of z, then of y, then of x, only the corners
/// of the hull of that plane stay.
fn hull_candidates(spans: &Spans, cancel: &CancelToken) -> Result<Vec<Point>, Cancelled> {
    let mut kept = Vec::new();
    let mut plane: Vec<[i64; 2]> = Vec::new();
    let mut rows = spans.rows().peekable();
    while let Some(([z, y], row)) = rows.next() {
        if let (Some(first), Some(last)) = (row.first(), row.last()) {
            // y first: sorted already
            plane.push([y.into(), first[0].into()]);
            plane.push([y.into(), i64::from(last[1]) - 1]);
        }
        if rows.peek().is_none_or(|([next, _], _)| *next != z) {
            cancel.check()?;
            kept.extend(
                hull_corners(&mut plane)
                    .into_iter()
                    .map(|[y, x]| [x, y, z.into()]),
            );
            plane.clear();
        }
    }
    for across in [1, 0] {
        cancel.check()?;
        kept.sort_unstable_by_key(|point| point[across]);
        let others = [(across + 1) % 3, (across + 2) % 3];
        let mut fewer = Vec::new();
        for same in kept.chunk_by(|a, b| a[across] == b[across]) {
            plane.clear();
            plane.extend(same.iter().map(|point| [point[others[0]], point[others[1]]]));
            for corner in hull_corners(&mut plane) {
                let mut point = [same[0][across]; 3];
                point[others[0]] = corner[0];
                point[others[1]] = corner[1];
                fewer.push(point);
            }
        }
        kept = fewer;
    }
    kept.sort_unstable();
    Ok(kept)
}

/// Corners of the convex hull of points in a plane.
///
/// Source: Andrew, "Another efficient algorithm for convex hulls in two dimensions", 1979; in whole numbers.
fn hull_corners(points: &mut Vec<[i64; 2]>) -> Vec<[i64; 2]> {
    points.sort_unstable();
    points.dedup();
    if points.len() < 3 {
        return points.clone();
    }
    let mut hull: Vec<[i64; 2]> = Vec::new();
    let turns_left = |a: [i64; 2], b: [i64; 2], c: [i64; 2]| {
        let wide = |v: i64| i128::from(v);
        wide(b[0] - a[0]) * wide(c[1] - a[1]) > wide(b[1] - a[1]) * wide(c[0] - a[0])
    };
    for upper in [false, true] {
        let first = hull.len();
        let mut add = |point: [i64; 2]| {
            while hull.len() >= first + 2 && !turns_left(hull[hull.len() - 2], hull[hull.len() - 1], point) {
                hull.pop();
            }
            hull.push(point);
        };
        if upper {
            points.iter().rev().for_each(|point| add(*point));
        } else {
            points.iter().for_each(|point| add(*point));
        }
        hull.pop(); // the first of the other half
    }
    hull
}

/// The greatest distance between points that lie half a voxel along an axis from two of these centers.
fn diameter(mut centres: Vec<[f64; 3]>, affine: Affine, cancel: &CancelToken) -> Result<f64, Cancelled> {
    let rows = affine.rows();
    // Differences of two half steps along axes; their opposites come with the opposite pair.
    let half = |c: usize, sign: f64| -> [f64; 3] { std::array::from_fn(|r| sign * rows[r][c] / 2.0) };
    let halves: Vec<[f64; 3]> = (0..3).flat_map(|c| [half(c, 1.0), half(c, -1.0)]).collect();
    let differences: Vec<[f64; 3]> = halves
        .iter()
        .flat_map(|a| halves.iter().map(|b| std::array::from_fn(|r| a[r] - b[r])))
        .collect();
    let reach = differences.iter().map(|d| norm(*d)).fold(0.0, f64::max);

    // From the outside to the inside: pairs too near to the middle to matter are all at the end.
    let n = centres.len().max(1) as f64;
    let middle: [f64; 3] = std::array::from_fn(|r| centres.iter().map(|p| p[r]).sum::<f64>() / n);
    let from_middle = |p: &[f64; 3]| distance(*p, middle);
    centres.sort_by(|a, b| {
        from_middle(b)
            .partial_cmp(&from_middle(a))
            .unwrap_or(Ordering::Equal)
    });
    let radii: Vec<f64> = centres.iter().map(from_middle).collect();
    let mut best = 0.0f64;
    for (i, a) in centres.iter().enumerate() {
        cancel.check()?;
        if 2.0 * radii[i] + reach <= best {
            break;
        }
        for (b, radius) in centres[i..].iter().zip(&radii[i..]) {
            if radii[i] + radius + reach <= best {
                break;
            }
            if distance(*a, *b) + reach > best {
                let between: [f64; 3] = std::array::from_fn(|r| a[r] - b[r]);
                for difference in &differences {
                    best = best.max(norm(std::array::from_fn(|r| between[r] + difference[r])));
                }
            }
        }
    }
    Ok(best)
}

fn norm(v: [f64; 3]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    norm(std::array::from_fn(|r| a[r] - b[r]))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use nephrite_kernel::{Geometry, Limits, RunMask};
    use nephrite_types::{Labels, Shape3, Spacing};
    use proptest::prelude::*;

    use super::*;

    const OBLIQUE: [[f64; 4]; 3] = [
        [0.6, -1.6, 0.0, 5.0],
        [0.48, 0.72, -2.4, 6.0],
        [0.64, 0.96, 1.8, 7.0],
    ];

    fn extent_of(array: &Array3<u8>, affine: Affine) -> Extent {
        let (z, y, x) = array.dim();
        let geometry = Geometry {
            shape: Shape3::new([z, y, x]).unwrap(),
            spacing: Spacing::new([1.0; 3]).unwrap(),
            affine,
        };
        let mask = RunMask::from_labels(&Labels::U8(array.clone()), &geometry, &Limits::default()).unwrap();
        extent(&Spans::of_labels(&mask)[&1], affine, &CancelToken::new()).unwrap()
    }

    #[test]
    fn one_voxel_has_its_longest_edge() {
        let spacing = Spacing::new([3.0, 2.0, 1.0]).unwrap();
        let affine = Affine::from_spacing(spacing, [10.0, 20.0, 30.0]);
        let found = extent_of(&Array3::ones([1, 1, 1]), affine);
        assert_eq!(found.diameter_mm, 3.0);
        assert_eq!(found.box_mm, [[9.5, 19.0, 28.5], [10.5, 21.0, 31.5]]);
    }

    #[test]
    fn a_ball_is_as_long_as_it_is() {
        let ball = Array3::from_shape_fn([61, 61, 61], |(z, y, x)| {
            let squared: i64 = [z, y, x].iter().map(|i| (*i as i64 - 30).pow(2)).sum();
            u8::from(squared <= 25 * 25)
        });
        let found = extent_of(
            &ball,
            Affine::from_spacing(Spacing::new([1.0; 3]).unwrap(), [0.0; 3]),
        );
        assert!((50.0..52.0).contains(&found.diameter_mm), "{}", found.diameter_mm);
    }

    proptest! {
        #[test]
        fn the_extent_is_that_of_all_pairs(
            values in proptest::collection::vec(prop_oneof![2 => Just(0u8), 1 => Just(1u8)], 4 * 4 * 5),
            oblique in any::<bool>(),
        ) {
            let mut array = Array3::from_shape_vec([4, 4, 5], values).unwrap();
            array[[1, 2, 3]] = 1;
            let affine = if oblique {
                Affine::new(OBLIQUE).unwrap()
            } else {
                Affine::from_spacing(Spacing::new([3.0, 0.5, 1.0]).unwrap(), [0.0; 3])
            };
            let voxels: Vec<[f64; 3]> = array
                .indexed_iter()
                .filter(|(_, id)| **id == 1)
                .map(|((z, y, x), _)| [x as f64, y as f64, z as f64])
                .collect();
            let faces: Vec<[f64; 3]> = voxels.iter().flat_map(|voxel| (0..6).map(|side| {
                let mut face = *voxel;
                face[side / 2] += if side % 2 == 0 { 0.5 } else { -0.5 };
                affine.world_from_voxel(face)
            })).collect();
            let longest = faces.iter().flat_map(|a| faces.iter().map(|b| distance(*a, *b))).fold(0.0, f64::max);
            let found = extent_of(&array, affine);
            prop_assert!((found.diameter_mm - longest).abs() < 1e-9, "{} {}", found.diameter_mm, longest);
            let corners: Vec<[f64; 3]> = voxels.iter().flat_map(|voxel| (0..8).map(|corner| {
                let side = |c: usize| if corner >> c & 1 == 1 { 0.5 } else { -0.5 };
                affine.world_from_voxel(std::array::from_fn(|c| voxel[c] + side(c)))
            })).collect();
            for r in 0..3 {
                let (low, high) = corners.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| {
                    (low.min(p[r]), high.max(p[r]))
                });
                prop_assert!((found.box_mm[0][r] - low).abs() < 1e-9 && (found.box_mm[1][r] - high).abs() < 1e-9);
            }
        }
    }
}
