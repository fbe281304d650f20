//! Class sums of many tiles, and the labels that come from them.

use std::sync::Arc;

use nephrite_cuda::{
    Card, ClassSums, CudaError, GridTap, LabelBox, Network, Outcome, Precision, Scan, SumsShape, TileRun,
};
use nephrite_layers::test_util::case::{Builder, Case};
use nephrite_layers::test_util::random::Random;

use crate::cards::cards;
use crate::one_tile::{identity, load};

/// A network of one layer: logits are a product of the scan itself, so that a whole scan is known without tiles.
fn pointwise(n_classes: usize, patch: [usize; 3]) -> Case {
    let mut network = Builder::new(1, &patch);
    let value = network.conv1(network.tile(), 8);
    let value = network.leaky_relu(value, 0.5);
    let output = network.conv1(value, n_classes);
    network.finish(output)
}

/// Logits of one voxel, by the layers.
fn logits_of(case: &Case, value: f32) -> Vec<f32> {
    let [weight, bias, head, head_bias] = [0, 1, 2, 3].map(|p| &case.params[p]);
    let hidden: Vec<f32> = (weight.iter().zip(bias))
        .map(|(w, b)| w * value + b)
        .map(|v| if v < 0.0 { v * 0.5 } else { v })
        .collect();
    (head.chunks_exact(8).zip(head_bias))
        .map(|(head, bias)| bias + head.iter().zip(&hidden).map(|(a, b)| a * b).sum::<f32>())
        .collect()
}

struct Grid {
    grid: [usize; 3],
    patch: [usize; 3],
    starts: [Vec<usize>; 3],
}

impl Grid {
    /// Every start along one axis, with all of the others.
    fn rows(&self, axis: usize) -> Vec<(usize, Vec<[usize; 3]>)> {
        let row = |&at: &usize| {
            let mut starts = Vec::new();
            for &z in &self.starts[0] {
                for &y in &self.starts[1] {
                    starts.extend(
                        self.starts[2]
                            .iter()
                            .map(|&x| [z, y, x])
                            .filter(|start| start[axis] == at),
                    );
                }
            }
            (at, starts)
        };
        self.starts[axis].iter().map(row).collect()
    }
}

fn halfway(n: usize, m: usize) -> Vec<GridTap> {
    let tap = |i: usize| {
        let at = (i as f32 * (n - 1) as f32) / (m - 1).max(1) as f32;
        let lo = at as usize;
        let hi = (lo + 1).min(n - 1);
        let w_hi = if hi == lo { 0.0 } else { at - lo as f32 };
        GridTap {
            lo,
            hi,
            w_lo: 1.0 - w_hi,
            w_hi,
        }
    };
    (0..m).map(tap).collect()
}

/// Labels of a scan, tile by tile, `[z, y, x]`.
fn segment(network: &Network, scan: &Scan, grid: &Grid, outcome: &Outcome, flips: &[[bool; 3]]) -> Vec<u16> {
    let shape = SumsShape {
        grid: grid.grid,
        patch: grid.patch,
        n_classes: network.n_classes(),
    };
    let n_tiles = grid.starts.iter().map(Vec::len).product();
    let mut random = Random::new(5);
    let importance = random.between(0.1, 1.0, grid.patch.iter().product());
    let mut sums = ClassSums::new(network.card(), shape, &importance, n_tiles).unwrap();
    sums.prepare(outcome).unwrap();
    let axis = sums.axis();
    let voxels: [usize; 3] = [0, 1, 2].map(|a| outcome.taps[a].len());
    let mut labels = vec![u16::MAX; voxels.iter().product()];
    let rows = grid.rows(axis);
    let (mut tile, mut n_done, mut n_cleared) = (0, 0, 0);
    for (i, (_, starts)) in rows.iter().enumerate() {
        for &start in starts {
            for &flip in flips {
                sums.add_run(
                    network,
                    scan,
                    &TileRun {
                        tile,
                        start,
                        from: start.map(|i| i as i64),
                        flip,
                        factor: 1.0 / flips.len() as f32,
                    },
                )
                .unwrap();
            }
            sums.add_weights(start).unwrap();
            tile += 1;
        }
        let end = rows.get(i + 1).map_or(grid.grid[axis], |next| next.0);
        let ready = outcome.taps[axis].iter().take_while(|tap| tap.hi < end).count();
        sums.labels::<CudaError>(n_done..ready, |planes, found| {
            let found: Vec<u16> = match found {
                LabelBox::U8(found) => found.iter().map(|label| u16::from(*label)).collect(),
                LabelBox::U16(found) => found.to_vec(),
            };
            let mut size = voxels;
            size[axis] = planes.len();
            for (j, label) in found.into_iter().enumerate() {
                let mut at = [j / (size[1] * size[2]), j / size[2] % size[1], j % size[2]];
                at[axis] += planes.start;
                labels[(at[0] * voxels[1] + at[1]) * voxels[2] + at[2]] = label;
            }
            Ok(())
        })
        .unwrap();
        n_done = ready;
        let keep = end.saturating_sub(1);
        sums.clear(n_cleared..keep).unwrap();
        n_cleared = keep;
    }
    assert_eq!(sums.not_finite().unwrap(), None);
    labels
}

/// A label is right if no other one has a logit that is larger by more than rounding.
fn check(card: &Arc<Card>, n_classes: usize, class_order: Option<Vec<u16>>, grid: &Grid, voxels: [usize; 3]) {
    let case = pointwise(n_classes, grid.patch);
    let network = load(card, &case, Precision::Single).unwrap();
    let [n_z, n_y, n_x] = grid.grid;
    let values = Random::new(3).values(n_z * n_y * n_x, 2.0);
    let row = |_: usize, z: usize, y: usize, to: &mut [f32]| {
        to.copy_from_slice(&values[(z * n_y + y) * n_x..][..n_x])
    };
    let scan = Scan::upload(card, Precision::Single, 1, grid.grid, [0; 3], row).unwrap();
    let taps = if voxels == grid.grid {
        voxels.map(identity)
    } else {
        [0, 1, 2].map(|a| halfway(grid.grid[a], voxels[a]))
    };
    let is_wide = class_order
        .as_ref()
        .is_some_and(|order| order.iter().any(|label| *label > 255));
    let outcome = Outcome {
        taps,
        class_order,
        is_wide,
    };
    let flips = [[false; 3], [true, false, false], [false, true, true], [true; 3]];
    let found = segment(&network, &scan, grid, &outcome, &flips);
    let logits: Vec<Vec<f32>> = values.iter().map(|value| logits_of(&case, *value)).collect();
    let mut n_seen = std::collections::BTreeSet::new();
    for (i, label) in found.iter().enumerate() {
        let at = [
            i / (voxels[1] * voxels[2]),
            i / voxels[2] % voxels[1],
            i % voxels[2],
        ];
        let mut mixed = vec![0f32; n_classes];
        for corner in 0..8 {
            let (mut weight, mut index) = (1.0, 0);
            for (a, taps) in outcome.taps.iter().enumerate() {
                let tap = taps[at[a]];
                let (i, w) = if corner >> a & 1 == 1 {
                    (tap.hi, tap.w_hi)
                } else {
                    (tap.lo, tap.w_lo)
                };
                weight *= w;
                index = index * grid.grid[a] + i;
            }
            mixed
                .iter_mut()
                .zip(&logits[index])
                .for_each(|(sum, logit)| *sum += weight * logit);
        }
        const ROUNDING: f32 = 2e-4;
        let is_right = match &outcome.class_order {
            None => mixed
                .iter()
                .all(|logit| mixed[usize::from(*label)] >= logit - ROUNDING),
            Some(order) => {
                let last = order.iter().position(|of| of == label);
                (*label == 0 || mixed[last.unwrap()] > -ROUNDING)
                    && mixed
                        .iter()
                        .skip(last.map_or(0, |last| last + 1))
                        .all(|logit| *logit < ROUNDING)
            }
        };
        assert!(is_right, "{label} at {at:?} of {mixed:?}");
        n_seen.insert(*label);
    }
    assert!(n_seen.len() > 1, "there is something to tell apart");
}

fn long() -> Grid {
    Grid {
        grid: [21, 9, 8],
        patch: [6, 6, 8],
        starts: [vec![0, 3, 6, 9, 12, 15], vec![0, 3], vec![0]],
    }
}

fn wide() -> Grid {
    Grid {
        grid: [6, 8, 40],
        patch: [6, 6, 10],
        starts: [vec![0], vec![0, 2], vec![0, 5, 10, 15, 20, 25, 30]],
    }
}

fn flat() -> Grid {
    Grid {
        grid: [5, 12, 8],
        patch: [1, 8, 8],
        starts: [vec![0, 1, 2, 3, 4], vec![0, 4], vec![0]],
    }
}

#[test]
fn tiles_on_a_ring_give_the_labels_of_the_whole_scan() {
    for card in cards() {
        for grid in [long(), wide(), flat()] {
            for n_classes in [1, 3, 8, 9, 40] {
                let class_order = (n_classes == 1).then(|| vec![1]);
                check(&card, n_classes, class_order, &grid, grid.grid);
            }
            check(&card, 4, None, &grid, [11, 13, 17]);
            check(&card, 4, Some(vec![1, 2, 3, 4]), &grid, [40, 7, 9]);
            check(&card, 3, Some(vec![5, 300, 2]), &grid, grid.grid);
        }
    }
}

#[test]
fn a_ring_lies_along_the_axis_with_the_smallest_planes() {
    let shape = |grid: &Grid| SumsShape {
        grid: grid.grid,
        patch: grid.patch,
        n_classes: 5,
    };
    assert_eq!(shape(&long()).axis(), 0);
    assert_eq!(shape(&wide()).axis(), 2);
    assert_eq!(shape(&flat()).axis(), 0);
    let long = SumsShape {
        grid: [10_000, 9, 8],
        ..shape(&long())
    };
    assert_eq!(
        long.bytes(),
        7 * 9 * 8 * 6 * 4,
        "independent of the length of the scan"
    );
}

/// Logits of a whole scan that is smaller than the patch, in the middle of its padding.
fn padded_logits(network: &Network, scan: &Scan, size: [usize; 3]) -> Vec<f32> {
    let patch = network.patch();
    let low = [0, 1, 2].map(|a| (patch[a] - size[a]) / 2);
    let shape = SumsShape {
        grid: patch,
        patch,
        n_classes: network.n_classes(),
    };
    let mut sums = ClassSums::new(network.card(), shape, &vec![1.0; patch.iter().product()], 1).unwrap();
    let taps = [0, 1, 2].map(|a| (low[a]..low[a] + size[a]).map(GridTap::at).collect());
    let outcome = Outcome {
        taps,
        class_order: None,
        is_wide: false,
    };
    sums.prepare(&outcome).unwrap();
    let run = TileRun {
        tile: 0,
        start: [0; 3],
        from: low.map(|low| -(low as i64)),
        flip: [false; 3],
        factor: 1.0,
    };
    sums.add_weights([0; 3]).unwrap();
    sums.add_run(network, scan, &run).unwrap();
    assert_eq!(sums.axis(), 0, "planes come in order");
    let mut logits = Vec::new();
    sums.logits::<CudaError>(0..size[0], |_, values| {
        logits.extend(values);
        Ok(())
    })
    .unwrap();
    logits
}

#[test]
fn models_of_different_patches_read_one_scan_alike() {
    let size = [5, 6, 7];
    let values = Random::new(3).values(size.iter().product(), 2.0);
    for card in cards() {
        let row = |_: usize, z: usize, y: usize, to: &mut [f32]| {
            to.copy_from_slice(&values[(z * size[1] + y) * size[2]..][..size[2]]);
        };
        let scan = Scan::upload(&card, Precision::Single, 1, size, [0; 3], row).unwrap();
        for patch in [[6, 6, 8], [10, 9, 8], [5, 12, 16]] {
            let case = pointwise(3, patch);
            let network = load(&card, &case, Precision::Single).unwrap();
            let found = padded_logits(&network, &scan, size);
            for (i, value) in values.iter().enumerate() {
                for (class, expected) in logits_of(&case, *value).into_iter().enumerate() {
                    let found = found[class * values.len() + i];
                    assert!(
                        (found - expected).abs() < 1e-4,
                        "{patch:?}: {found} and {expected}"
                    );
                }
            }
        }
    }
}
