//! Every algorithm against a plain dense one, on small random masks.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;

use ndarray::Array3;
use nephrite_mask_codec::RunMask;
use nephrite_runs::*;
use nephrite_types::{Affine, CancelToken, Geometry, Labels, Limits, Shape3, Spacing};
use proptest::prelude::*;

fn geometry(shape: [usize; 3], spacing: [f64; 3]) -> Geometry {
    let spacing = Spacing::new(spacing).unwrap();
    Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    }
}

fn runs(dense: &Array3<u8>, spacing: [f64; 3]) -> RunMask {
    let (nz, ny, nx) = dense.dim();
    let geometry = geometry([nz, ny, nx], spacing);
    RunMask::from_labels(&Labels::U8(dense.clone()), &geometry, &Limits::default()).unwrap()
}

fn dense(mask: &RunMask) -> Array3<u8> {
    match mask.to_labels() {
        Labels::U8(array) => array,
        Labels::U16(_) => panic!("labels of a u8 mask"),
    }
}

fn runs_1mm(dense: &Array3<u8>) -> RunMask {
    runs(dense, [1.0; 3])
}

/// Random label maps of all densities, with few labels.
fn masks(max: usize) -> impl Strategy<Value = Array3<u8>> {
    let shape = prop::array::uniform3(1..=max);
    let values = prop::collection::vec(0u8..100, max * max * max);
    (shape, values, 1u8..=100, 1u8..4).prop_map(|([nz, ny, nx], values, density, n_labels)| {
        let mut values = values.into_iter();
        Array3::from_shape_simple_fn((nz, ny, nx), || {
            let value = values.next().unwrap_or(0);
            if value < density { 1 + value % n_labels } else { 0 }
        })
    })
}

/// Neighbors of a voxel that lie inside.
fn neighbours(index: [usize; 3], shape: [usize; 3], n: u32) -> Vec<[usize; 3]> {
    let mut found = Vec::new();
    for offset in 0..27 {
        let d = [offset / 9 - 1, offset / 3 % 3 - 1, offset % 3 - 1];
        let moved = d.iter().filter(|d| **d != 0).count();
        let allowed = match n {
            4 => moved == 1 && d[0] == 0,
            6 => moved == 1,
            18 => (1..=2).contains(&moved),
            _ => (1..=3).contains(&moved),
        };
        let at: [i32; 3] = std::array::from_fn(|axis| index[axis] as i32 + d[axis]);
        if allowed && (0..3).all(|axis| 0 <= at[axis] && at[axis] < shape[axis] as i32) {
            found.push(at.map(|index| index as usize));
        }
    }
    found
}

/// Component of every voxel, from 1, in the order of first voxels.
fn flood(map: &Array3<u8>, n: u32) -> Array3<u32> {
    let (nz, ny, nx) = map.dim();
    let mut component = Array3::zeros(map.dim());
    let mut count = 0;
    for ((z, y, x), &label) in map.indexed_iter() {
        if label == 0 || component[[z, y, x]] != 0 {
            continue;
        }
        count += 1;
        component[[z, y, x]] = count;
        let mut stack = vec![[z, y, x]];
        while let Some(at) = stack.pop() {
            for next in neighbours(at, [nz, ny, nx], n) {
                if map[next] == label && component[next] == 0 {
                    component[next] = count;
                    stack.push(next);
                }
            }
        }
    }
    component
}

fn with_threads<T: Send>(n: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
    pool.install(work)
}

fn check_components(map: &Array3<u8>, connectivity: Connectivity) {
    let mask = runs_1mm(map);
    let found = components(&mask, connectivity, &CancelToken::new()).unwrap();
    let expected = flood(map, connectivity.number());
    let (_, ny, _) = map.dim();
    let mut idx = 0;
    let mut voxels: BTreeMap<u32, u64> = BTreeMap::new();
    for (row, runs) in mask.rows().enumerate() {
        for run in runs {
            for x in run.start..run.end {
                let component = expected[[row / ny, row % ny, x as usize]];
                assert_eq!(found.of_run[idx] + 1, component, "{map:?}");
                *voxels.entry(component).or_default() += 1;
            }
            idx += 1;
        }
    }
    assert_eq!(found.parts.len(), voxels.len());
    for (part, (component, voxels)) in found.parts.iter().zip(voxels) {
        assert_eq!(part.voxels, voxels);
        let of_part: Vec<[usize; 3]> = expected
            .indexed_iter()
            .filter(|(_, found)| **found == component)
            .map(|((z, y, x), _)| [z, y, x])
            .collect();
        assert_eq!(part.label, u16::from(map[of_part[0]]));
        for axis in 0..3 {
            let along = of_part.iter().map(|index| index[axis]);
            assert_eq!(part.bounding_box.start[axis], along.clone().min().unwrap());
            assert_eq!(part.bounding_box.end[axis], along.max().unwrap() + 1);
        }
    }
}

/// Voxels kept where `keep(label, size, number of larger or earlier ones of the label)` is true.
fn keep_dense(map: &Array3<u8>, n: u32, keep: impl Fn(u64, usize) -> bool) -> Array3<u8> {
    let component = flood(map, n);
    let mut sizes: BTreeMap<u32, (u8, u64)> = BTreeMap::new();
    for (index, &component) in component.indexed_iter() {
        if component > 0 {
            sizes.entry(component).or_insert((map[index], 0)).1 += 1;
        }
    }
    let mut out = map.clone();
    for (index, value) in out.indexed_iter_mut() {
        let Some(&(label, size)) = sizes.get(&component[index]) else {
            continue;
        };
        let ahead = sizes.iter().filter(|(other, (other_label, other_size))| {
            *other_label == label
                && (*other_size > size || (*other_size == size && **other < component[index]))
        });
        if !keep(size, ahead.count()) {
            *value = 0;
        }
    }
    out
}

fn fill_dense(map: &Array3<u8>, mode: Holes) -> Array3<u8> {
    let (nz, ny, nx) = map.dim();
    let n = if mode == Holes::Volume { 6 } else { 4 };
    let background = map.map(|label| u8::from(*label == 0));
    let component = flood(&background, n);
    let mut open = std::collections::BTreeSet::new();
    for ((z, y, x), &component) in component.indexed_iter() {
        let side = y == 0 || y + 1 == ny || x == 0 || x + 1 == nx;
        if side || (mode == Holes::Volume && (z == 0 || z + 1 == nz)) {
            open.insert(component);
        }
    }
    Array3::from_shape_fn(map.dim(), |index| {
        u8::from(map[index] != 0 || !open.contains(&component[index]))
    })
}

/// Is a voxel of `set` at most `radius` away? `None` if there is none at all.
fn near(set: &Array3<bool>, at: (usize, usize, usize), radius: f64, spacing: [f64; 3]) -> Option<bool> {
    let distances = set
        .indexed_iter()
        .filter(|(_, inside)| **inside)
        .map(|(other, _)| {
            let d = [
                at.0.abs_diff(other.0) as f64 * spacing[0],
                at.1.abs_diff(other.1) as f64 * spacing[1],
                at.2.abs_diff(other.2) as f64 * spacing[2],
            ];
            (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt()
        });
    let nearest = distances.fold(f64::INFINITY, f64::min);
    nearest.is_finite().then_some(nearest <= radius)
}

fn grow_dense(map: &Array3<u8>, radius: f64, spacing: [f64; 3]) -> Array3<u8> {
    let set = map.map(|label| *label != 0);
    Array3::from_shape_fn(map.dim(), |at| {
        u8::from(near(&set, at, radius, spacing) == Some(true))
    })
}

fn shrink_dense(map: &Array3<u8>, radius: f64, spacing: [f64; 3]) -> Array3<u8> {
    let background = map.map(|label| *label == 0);
    Array3::from_shape_fn(map.dim(), |at| {
        u8::from(map[at] != 0 && near(&background, at, radius, spacing) != Some(true))
    })
}

fn spacings() -> impl Strategy<Value = [f64; 3]> {
    prop_oneof![
        // Exact in binary, so that distances equal the radius.
        prop::array::uniform3(prop::sample::select(vec![0.25, 0.5, 0.75, 1.0, 2.5])),
        prop::array::uniform3(0.3f64..4.0),
    ]
}

fn radii() -> impl Strategy<Value = f64> {
    prop_oneof![
        prop::sample::select(vec![0.0, 0.5, 1.0, 1.25, 2.5, 5.0]),
        0.0f64..8.0,
        Just(1e9),
        Just(f64::MAX),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn components_are_those_of_a_flood_fill(map in masks(6)) {
        for connectivity in Connectivity::ALL {
            check_components(&map, connectivity);
        }
    }

    #[test]
    fn small_parts_go_and_large_ones_stay(map in masks(5), min in 0u64..8, k in 0usize..4) {
        let (mask, cancel) = (runs_1mm(&map), CancelToken::new());
        for connectivity in Connectivity::ALL {
            let n = connectivity.number();
            let found = drop_small(&mask, min, connectivity, &cancel).unwrap();
            prop_assert_eq!(dense(&found), keep_dense(&map, n, |size, _| size >= min));
            let found = keep_largest(&mask, k, connectivity, &cancel).unwrap();
            prop_assert_eq!(dense(&found), keep_dense(&map, n, |_, ahead| ahead < k));
        }
    }

    #[test]
    fn holes_are_what_no_path_leads_out_of(map in masks(6)) {
        let (mask, limits, cancel) = (runs_1mm(&map), Limits::default(), CancelToken::new());
        for mode in [Holes::Volume, Holes::Slices] {
            let filled = fill_holes(&mask, mode, &limits, &cancel).unwrap();
            let expected = fill_dense(&map, mode);
            prop_assert_eq!(&dense(&filled), &expected);
            let holes = holes(&mask, mode, &limits, &cancel).unwrap();
            let only = Array3::from_shape_fn(map.dim(), |at| u8::from(expected[at] != 0 && map[at] == 0));
            prop_assert_eq!(dense(&holes), only);
        }
    }

    #[test]
    fn balls_are_those_of_all_pairs(map in masks(5), spacing in spacings(), radius in radii()) {
        let (mask, limits, cancel) = (runs(&map, spacing), Limits::default(), CancelToken::new());
        let grown = grow(&mask, radius, &limits, &cancel).unwrap();
        prop_assert_eq!(dense(&grown), grow_dense(&map, radius, spacing));
        let shrunk = shrink(&mask, radius, &limits, &cancel).unwrap();
        prop_assert_eq!(dense(&shrunk), shrink_dense(&map, radius, spacing));
        let opened = open(&mask, radius, &limits, &cancel).unwrap();
        prop_assert_eq!(subtract(&opened, &mask, &limits).unwrap().runs().len(), 0);
        prop_assert_eq!(dense(&opened), grow_dense(&shrink_dense(&map, radius, spacing), radius, spacing));
        let closed = close(&mask, radius, &limits, &cancel).unwrap();
        prop_assert_eq!(subtract(&mask, &closed, &limits).unwrap().runs().len(), 0);
        prop_assert_eq!(dense(&closed), shrink_dense(&grow_dense(&map, radius, spacing), radius, spacing));
    }

    #[test]
    fn sets_are_those_of_voxels(a in masks(5), seed in 1u8..50) {
        let b = a.map(|label| label.wrapping_mul(seed).wrapping_add(seed) % 3);
        let (ra, rb, limits) = (runs_1mm(&a), runs_1mm(&b), Limits::default());
        let each = |f: fn(u8, u8) -> u8| Array3::from_shape_fn(a.dim(), |at| f(a[at], b[at]));
        prop_assert_eq!(dense(&union(&ra, &rb, &limits).unwrap()), each(|a, b| if a != 0 { a } else { b }));
        prop_assert_eq!(dense(&intersect(&ra, &rb, &limits).unwrap()), each(|a, b| if b != 0 { a } else { 0 }));
        prop_assert_eq!(dense(&subtract(&ra, &rb, &limits).unwrap()), each(|a, b| if b != 0 { 0 } else { a }));
        prop_assert_eq!(dense(&select(&ra, |label| label == 2)), a.map(|label| if *label == 2 { 2 } else { 0 }));
        prop_assert_eq!(dense(&flatten(&ra, 9)), a.map(|label| if *label != 0 { 9 } else { 0 }));
    }

    #[test]
    fn statistics_are_those_of_voxels(map in masks(6)) {
        let found = statistics(&runs_1mm(&map));
        let labels: std::collections::BTreeSet<u8> = map.iter().copied().filter(|label| *label != 0).collect();
        prop_assert_eq!(found.iter().map(|found| found.label as u8).collect::<Vec<_>>(), labels.iter().copied().collect::<Vec<_>>());
        for (found, label) in found.iter().zip(labels) {
            let voxels: Vec<[usize; 3]> = map
                .indexed_iter()
                .filter(|(_, found)| **found == label)
                .map(|((z, y, x), _)| [z, y, x])
                .collect();
            prop_assert_eq!(found.voxels, voxels.len() as u64);
            for axis in 0..3 {
                let along = voxels.iter().map(|index| index[axis]);
                prop_assert_eq!(found.bounding_box.start[axis], along.clone().min().unwrap());
                prop_assert_eq!(found.bounding_box.end[axis], along.clone().max().unwrap() + 1);
                let sum: usize = along.sum();
                prop_assert_eq!(found.centroid[axis], sum as f64 / voxels.len() as f64);
            }
        }
    }
}

/// Large enough for several slabs, and components that cross their seams.
#[test]
fn any_number_of_threads_gives_the_same() {
    let mut state = 1u64;
    let map = Array3::from_shape_simple_fn((40, 50, 60), || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        match state >> 61 {
            0 | 1 => 1,
            2 => 2,
            _ => 0,
        }
    });
    let (mask, limits, cancel) = (runs(&map, [2.0, 0.7, 1.1]), Limits::default(), CancelToken::new());
    assert!(mask.runs().len() > 30_000, "several slabs");
    let all = || {
        let found = Connectivity::ALL.map(|connectivity| components(&mask, connectivity, &cancel).unwrap());
        let grown = grow(&select(&mask, |label| label == 2), 1.5, &limits, &cancel).unwrap();
        let filled = fill_holes(&mask, Holes::Volume, &limits, &cancel).unwrap();
        (found, grown, filled, statistics(&mask))
    };
    let alone = with_threads(1, all);
    let expected = flood(&map, 26);
    assert_eq!(alone.0[2].parts.len() as u32, *expected.iter().max().unwrap());
    for n in [2, 3, 4, 7] {
        assert!(with_threads(n, all) == alone, "{n} threads");
    }
}
