//! nnU-Net's only postprocessing step: keep the largest component.

use ndarray::{Array3, s};
use nephrite_mask_codec::{Run, RunMask, RunMaskBuilder};
use nephrite_runs::{Connectivity, RunsError, components};
use nephrite_types::{Affine, CancelToken, Geometry, Limits, Shape3, Spacing};

/// Removes all but the largest connected component (26 neighbors) of the union of `labels`; ties are all kept.
///
/// `segmentation` is `[z, y, x]`; sizes are voxel counts. `background` is written where components are removed.
///
/// Source: nnunetv2 2.8.1, `postprocessing/remove_connected_components.py`
/// (`remove_all_but_largest_component_from_segmentation`).
///
/// # Errors
/// [`RunsError::Mask`] if the labels have 2^32 runs or more, [`RunsError::Cancelled`].
pub fn keep_largest_component<L: Copy + PartialEq + Into<u16>>(
    segmentation: &mut Array3<L>,
    labels: &[u16],
    background: L,
    cancel: &CancelToken,
) -> Result<(), RunsError> {
    let Ok(shape) = Shape3::new(segmentation.dim().into()) else {
        return Ok(()); // no voxels
    };
    let set = runs_of(segmentation, shape, labels, cancel)?;
    let components = components(&set, Connectivity::Corners26, cancel)?;
    let largest = components.parts.iter().map(|part| part.voxels).max();
    let removed = components.select(&set, |_, part| Some(part.voxels) < largest);
    let [_, ny, _] = shape.zyx();
    for (row, runs) in removed.rows().enumerate() {
        for run in runs {
            let voxels = s![row / ny, row % ny, run.start as usize..run.end as usize];
            segmentation.slice_mut(voxels).fill(background);
        }
    }
    Ok(())
}

/// The voxels that carry one of `labels`, as one label.
fn runs_of<L: Copy + PartialEq + Into<u16>>(
    segmentation: &Array3<L>,
    shape: Shape3,
    labels: &[u16],
    cancel: &CancelToken,
) -> Result<RunMask, RunsError> {
    let [nz, ny, nx] = shape.zyx();
    let mut is_listed = vec![false; usize::from(u16::MAX) + 1];
    for label in labels {
        is_listed[usize::from(*label)] = true;
    }
    let mut rows = RunMaskBuilder::new(voxel_grid(shape), &NO_LIMITS)?;
    let mut runs: Vec<Run> = Vec::new();
    for z in 0..nz {
        cancel.check()?;
        for y in 0..ny {
            runs.clear();
            let row = segmentation.slice(s![z, y, ..]);
            let mut start = 0;
            for x in 1..=nx {
                if x == nx || row[x] != row[start] {
                    if is_listed[usize::from(row[start].into())] {
                        runs.push(Run {
                            start: start as u32, // the builder saw the row's length
                            end: x as u32,
                            label: 1,
                        });
                    }
                    start = x;
                }
            }
            rows.push_row(runs.iter().copied())?;
        }
    }
    Ok(rows.finish()?)
}

/// The labels are in memory already; runs take less.
const NO_LIMITS: Limits = Limits {
    max_voxels: u64::MAX,
    max_payload_bytes: u64::MAX,
    max_checkpoint_bytes: u64::MAX,
    max_json_bytes: u64::MAX,
    max_pickle_bytes: u64::MAX,
    max_classes: usize::MAX,
    max_tiles: u64::MAX,
    max_accumulator_bytes: u64::MAX,
    max_network_bytes: u64::MAX,
    max_mask_rows: u64::MAX,
    max_mask_runs: u64::MAX,
};

/// Where voxels lie in the world changes no component.
fn voxel_grid(shape: Shape3) -> Geometry {
    let spacing = Spacing::new([1.0; 3]).expect("positive");
    Geometry {
        shape,
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(values: &[u8]) -> Array3<u8> {
        Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap()
    }

    #[test]
    fn ties_are_all_kept_and_other_labels_untouched() {
        let check = |before: &[u8], labels: &[u16], after: &[u8]| {
            let mut map = line(before);
            keep_largest_component(&mut map, labels, 0, &CancelToken::new()).unwrap();
            assert_eq!(map, line(after));
        };
        check(&[1, 1, 0, 1, 0, 1, 1], &[1], &[1, 1, 0, 0, 0, 1, 1]);
        check(&[1, 0, 2, 2, 0, 1, 1], &[1], &[0, 0, 2, 2, 0, 1, 1]);
        check(&[1, 2, 2, 0, 1, 1], &[1, 2], &[1, 2, 2, 0, 0, 0]);
        check(&[0, 0, 0], &[1], &[0, 0, 0]);
        check(&[3, 3], &[1], &[3, 3]);
    }

    #[test]
    fn corners_connect() {
        let mut map = Array3::<u8>::zeros((3, 3, 3));
        map[[0, 0, 0]] = 1;
        map[[1, 1, 1]] = 1;
        map[[2, 0, 2]] = 1;
        let before = map.clone();
        keep_largest_component(&mut map, &[1], 0, &CancelToken::new()).unwrap();
        assert_eq!(map, before);
    }

    #[test]
    fn no_voxels_and_cancelled_work() {
        let cancel = CancelToken::new();
        let mut none = Array3::<u8>::zeros((2, 0, 3));
        assert_eq!(keep_largest_component(&mut none, &[1], 0, &cancel), Ok(()));
        cancel.cancel();
        let found = keep_largest_component(&mut line(&[1, 0, 1]), &[1], 0, &cancel);
        assert!(matches!(found, Err(RunsError::Cancelled(_))), "{found:?}");
    }

    /// Sizes of all components by flood fill, the plain way; 0 outside.
    fn flood_sizes(mask: &Array3<bool>) -> Array3<usize> {
        let (nz, ny, nx) = mask.dim();
        let mut sizes = mask.map(|_| 0);
        for ((z, y, x), &inside) in mask.indexed_iter() {
            if !inside || sizes[[z, y, x]] > 0 {
                continue;
            }
            let mut found = vec![[z, y, x]];
            sizes[[z, y, x]] = 1;
            let mut next = 0;
            while let Some(&[z, y, x]) = found.get(next) {
                next += 1;
                for k in z.saturating_sub(1)..(z + 2).min(nz) {
                    for j in y.saturating_sub(1)..(y + 2).min(ny) {
                        for i in x.saturating_sub(1)..(x + 2).min(nx) {
                            if mask[[k, j, i]] && sizes[[k, j, i]] == 0 {
                                sizes[[k, j, i]] = 1;
                                found.push([k, j, i]);
                            }
                        }
                    }
                }
            }
            for at in &found {
                sizes[*at] = found.len();
            }
        }
        sizes
    }

    proptest! {
        #[test]
        fn what_stays_is_what_a_flood_fill_finds_largest(
            shape in prop::array::uniform3(1usize..6), bits in prop::collection::vec(0u8..10, 125), density in 1u8..9,
        ) {
            let map = Array3::from_shape_fn((shape[0], shape[1], shape[2]), |(z, y, x)| {
                let bit = bits[(z * 5 + y) * 5 + x];
                if bit < density { bit % 3 + 1 } else { 0 }
            });
            let sizes = flood_sizes(&map.map(|label| matches!(label, 1 | 3)));
            let largest = sizes.iter().copied().max().unwrap_or(0);
            let expected = Array3::from_shape_fn(map.dim(), |at| {
                if (1..largest).contains(&sizes[at]) { 9 } else { map[at] }
            });
            let mut found = map.clone();
            keep_largest_component(&mut found, &[1, 3], 9, &CancelToken::new()).unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}
