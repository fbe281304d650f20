//! The flips of test-time mirroring, into the network and back out of it.

/// Which of the three array axes are reversed.
pub type Flip = [bool; 3];

/// All mirrorings that nnU-Net averages, in its order: none first, then by number of axes,
/// `itertools.combinations` order within. `axes` are array axes 0..3.
///
/// Source: nnunetv2 2.8.1, `predict_from_raw_data.py` (`_internal_maybe_mirror_and_predict`).
pub fn flip_combinations(axes: &[usize]) -> Vec<Flip> {
    let mut flips: Vec<Flip> = vec![[false; 3]];
    for size in 1..=axes.len() {
        // combinations of `size` axes in the order in which they are listed
        let mut chosen: Vec<usize> = (0..size).collect();
        loop {
            flips.push(std::array::from_fn(|axis| {
                chosen.iter().any(|&c| axes[c] == axis)
            }));
            let Some(i) = (0..size).rev().find(|&i| chosen[i] < axes.len() - size + i) else {
                break;
            };
            chosen[i] += 1;
            for j in i + 1..size {
                chosen[j] = chosen[j - 1] + 1;
            }
        }
    }
    flips
}

/// Copies `[channel, z, y, x]` with some axes reversed.
pub fn flip_into(source: &[f32], patch: [usize; 3], flip: Flip, target: &mut [f32]) {
    for_each_row(patch, flip, source.len(), |from, to| {
        let (row, out) = (&source[from..from + patch[2]], &mut target[to..to + patch[2]]);
        if flip[2] {
            out.iter_mut().zip(row.iter().rev()).for_each(|(o, v)| *o = *v);
        } else {
            out.copy_from_slice(row);
        }
    });
}

/// Reverses `[class, z, y, x]` back and adds it to `sum`.
pub fn add_flipped(source: &[f32], patch: [usize; 3], flip: Flip, sum: &mut [f32]) {
    for_each_row(patch, flip, source.len(), |from, to| {
        let (row, out) = (&source[from..from + patch[2]], &mut sum[to..to + patch[2]]);
        if flip[2] {
            out.iter_mut().zip(row.iter().rev()).for_each(|(o, v)| *o += *v);
        } else {
            out.iter_mut().zip(row).for_each(|(o, v)| *o += *v);
        }
    });
}

/// Calls `visit(from, to)` with the offsets of every row and of its mirror image.
fn for_each_row(patch: [usize; 3], flip: Flip, len: usize, mut visit: impl FnMut(usize, usize)) {
    let [nz, ny, nx] = patch;
    let reversed = |flip: bool, i: usize, n: usize| if flip { n - 1 - i } else { i };
    for c in 0..len / (nz * ny * nx) {
        for z in 0..nz {
            for y in 0..ny {
                let from = ((c * nz + z) * ny + y) * nx;
                let to = ((c * nz + reversed(flip[0], z, nz)) * ny + reversed(flip[1], y, ny)) * nx;
                visit(from, to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_come_in_nnunets_order() {
        let names: Vec<String> = flip_combinations(&[0, 1, 2])
            .iter()
            .map(|f| (0..3).filter(|a| f[*a]).map(|a| a.to_string()).collect())
            .collect();
        assert_eq!(names, ["", "0", "1", "2", "01", "02", "12", "012"]);
        assert_eq!(flip_combinations(&[0, 2]).len(), 4);
        assert_eq!(flip_combinations(&[]), vec![[false; 3]]);
    }

    #[test]
    fn flipping_twice_is_identity() {
        let patch = [2, 3, 4];
        let tile: Vec<f32> = (0..48).map(|v| v as f32).collect();
        for flip in flip_combinations(&[0, 1, 2]) {
            let mut once = vec![0.0; 48];
            flip_into(&tile, patch, flip, &mut once);
            let mut twice = vec![1.0; 48];
            add_flipped(&once, patch, flip, &mut twice);
            let expected: Vec<f32> = tile.iter().map(|v| v + 1.0).collect();
            assert_eq!(twice, expected);
            assert_eq!(once == tile, flip == [false; 3]);
        }
    }
}
