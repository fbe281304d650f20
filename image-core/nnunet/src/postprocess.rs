//! nnU-Net's only postprocessing step: keep the largest component.

use ndarray::{Array3, ArrayView3};

/// Removes all but the largest connected component (26 neighbours) of the union of `labels`; ties are all kept.
///
/// `segmentation` is `[z, y, x]`; sizes are voxel counts. `background` is written where components are removed.
///
/// Source: nnunetv2 2.8.1, `postprocessing/remove_connected_components.py`
/// (`remove_all_but_largest_component_from_segmentation`).
pub fn keep_largest_component<L: Copy + PartialEq + Into<u16>>(
    segmentation: &mut Array3<L>,
    labels: &[u16],
    background: L,
) {
    let is_listed = |label: L| labels.contains(&label.into());
    let components = Components::of_mask(segmentation.map(|&label| is_listed(label)).view());
    let Some(&largest) = components.sizes.iter().max() else {
        return;
    };
    for run in &components.runs {
        if components.sizes[run.component] < largest {
            for x in run.start..run.end {
                segmentation[[run.z, run.y, x]] = background;
            }
        }
    }
}

/// Connected components (26 neighbours) of a mask as runs along x.
struct Components {
    runs: Vec<Run>,
    /// Voxels of every component.
    sizes: Vec<u64>,
}

struct Run {
    z: usize,
    y: usize,
    start: usize,
    end: usize,
    /// Index into `sizes`.
    component: usize,
}

impl Components {
    /// Union–find over runs: a run joins every run of the rows before it that it touches, corners included.
    fn of_mask(mask: ArrayView3<'_, bool>) -> Self {
        let (nz, ny, _) = mask.dim();
        let mut runs: Vec<Run> = Vec::new();
        // `rows[z * ny + y]` is the range of runs of that row
        let mut rows: Vec<std::ops::Range<usize>> = Vec::with_capacity(nz * ny);
        let mut parents: Vec<usize> = Vec::new();
        for z in 0..nz {
            for y in 0..ny {
                let first = runs.len();
                push_runs(mask, z, y, &mut runs);
                parents.extend(first..runs.len());
                rows.push(first..runs.len());
                let above = z.checked_sub(1);
                let neighbours = [
                    y.checked_sub(1).map(|y| (z, y)),
                    above.and_then(|z| Some((z, y.checked_sub(1)?))),
                    above.map(|z| (z, y)),
                    above.filter(|_| y + 1 < ny).map(|z| (z, y + 1)),
                ];
                for (nz, ny_) in neighbours.into_iter().flatten() {
                    join_rows(
                        &runs,
                        first..runs.len(),
                        rows[nz * ny + ny_].clone(),
                        &mut parents,
                    );
                }
            }
        }
        let mut sizes = Vec::new();
        let mut index_of_root = vec![usize::MAX; runs.len()];
        for i in 0..runs.len() {
            let root = root_of(&mut parents, i);
            if index_of_root[root] == usize::MAX {
                index_of_root[root] = sizes.len();
                sizes.push(0);
            }
            runs[i].component = index_of_root[root];
            sizes[runs[i].component] += (runs[i].end - runs[i].start) as u64;
        }
        Components { runs, sizes }
    }
}

fn push_runs(mask: ArrayView3<'_, bool>, z: usize, y: usize, runs: &mut Vec<Run>) {
    let row = mask.slice(ndarray::s![z, y, ..]);
    let mut start = None;
    for (x, &inside) in row.iter().enumerate() {
        match (inside, start) {
            (true, None) => start = Some(x),
            (false, Some(from)) => {
                runs.push(Run {
                    z,
                    y,
                    start: from,
                    end: x,
                    component: 0,
                });
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        runs.push(Run {
            z,
            y,
            start: from,
            end: row.len(),
            component: 0,
        });
    }
}

/// Joins the runs of two rows that touch, corners included. Both are sorted along x.
fn join_rows(
    runs: &[Run],
    here: std::ops::Range<usize>,
    there: std::ops::Range<usize>,
    parents: &mut [usize],
) {
    let (mut i, mut j) = (here.start, there.start);
    while i < here.end && j < there.end {
        if runs[i].start <= runs[j].end && runs[j].start <= runs[i].end {
            let (a, b) = (root_of(parents, i), root_of(parents, j));
            parents[a.max(b)] = a.min(b);
        }
        if runs[i].end < runs[j].end {
            i += 1;
        } else {
            j += 1;
        }
    }
}

fn root_of(parents: &mut [usize], mut i: usize) -> usize {
    while parents[i] != i {
        parents[i] = parents[parents[i]]; // path halving
        i = parents[i];
    }
    i
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
            keep_largest_component(&mut map, labels, 0);
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
        keep_largest_component(&mut map, &[1], 0);
        assert_eq!(map, before);
    }

    /// Component sizes by flood fill, the plain way.
    fn flood_sizes(mask: &Array3<bool>) -> Vec<u64> {
        let (nz, ny, nx) = mask.dim();
        let mut seen = mask.map(|_| false);
        let mut sizes = Vec::new();
        for ((z, y, x), &inside) in mask.indexed_iter() {
            if !inside || seen[[z, y, x]] {
                continue;
            }
            let mut stack = vec![[z, y, x]];
            seen[[z, y, x]] = true;
            let mut size = 0;
            while let Some([z, y, x]) = stack.pop() {
                size += 1;
                for k in z.saturating_sub(1)..(z + 2).min(nz) {
                    for j in y.saturating_sub(1)..(y + 2).min(ny) {
                        for i in x.saturating_sub(1)..(x + 2).min(nx) {
                            if mask[[k, j, i]] && !seen[[k, j, i]] {
                                seen[[k, j, i]] = true;
                                stack.push([k, j, i]);
                            }
                        }
                    }
                }
            }
            sizes.push(size);
        }
        sizes.sort_unstable();
        sizes
    }

    proptest! {
        #[test]
        fn sizes_equal_those_of_a_flood_fill(
            shape in prop::array::uniform3(1usize..6), bits in prop::collection::vec(0u8..10, 125), density in 1u8..9,
        ) {
            let mask = Array3::from_shape_fn((shape[0], shape[1], shape[2]), |(z, y, x)| {
                bits[(z * 5 + y) * 5 + x] < density
            });
            let mut sizes = Components::of_mask(mask.view()).sizes;
            sizes.sort_unstable();
            prop_assert_eq!(sizes, flood_sizes(&mask));
        }
    }
}
