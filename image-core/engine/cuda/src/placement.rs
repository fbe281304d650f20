//! Where blocks lie, so that those that are needed at the same time lie apart.

use crate::plan::{Block, Extent, Step};

/// First and last step that uses a block; none if nobody does.
fn lives(n_blocks: usize, steps: &[Step], tile: Block, last: Block) -> Vec<Option<(usize, usize)>> {
    let mut lives = vec![None; n_blocks];
    let mut use_at = |block: Block, at: usize| {
        let (first, _) = *lives[block].get_or_insert((at, at));
        lives[block] = Some((first, at));
    };
    use_at(tile, 0);
    for (at, step) in steps.iter().enumerate() {
        step.reads()
            .chain(step.writes())
            .for_each(|block| use_at(block, at));
    }
    use_at(last, steps.len());
    lives
}

/// Where blocks of these sizes lie, and the length of all. `tile` is written before the first step, `last` read after the last.
pub(crate) fn place(sizes: &[usize], steps: &[Step], tile: Block, last: Block) -> (Vec<Extent>, usize) {
    let lives = lives(sizes.len(), steps, tile, last);
    let mut order: Vec<(Block, (usize, usize))> = (lives.iter().enumerate())
        .filter_map(|(block, life)| Some((block, (*life)?)))
        .collect();
    order.sort_by_key(|&(block, _)| std::cmp::Reverse(sizes[block])); // large ones first
    let mut extents = vec![Extent::default(); sizes.len()];
    let mut placed: Vec<(Block, (usize, usize))> = Vec::new();
    for (block, (first, end)) in order {
        let mut taken: Vec<Extent> = (placed.iter())
            .filter(|(_, life)| life.0 <= end && first <= life.1)
            .map(|&(other, _)| extents[other])
            .collect();
        taken.sort_unstable_by_key(|extent| extent.start);
        let mut start = 0;
        for other in taken {
            if start + sizes[block] <= other.start {
                break;
            }
            start = start.max(other.start + other.len);
        }
        extents[block] = Extent {
            start,
            len: sizes[block],
        };
        placed.push((block, (first, end)));
    }
    let len = extents.iter().map(|extent| extent.start + extent.len).max();
    (extents, len.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(x: Block, y: Block) -> Step {
        Step::Pool {
            x,
            y,
            n_channels: 1,
            size: [1; 3],
            stride: [1; 3],
        }
    }

    #[test]
    fn a_chain_needs_two_blocks_and_a_kept_value_a_third() {
        let chain = [pool(0, 1), pool(1, 2), pool(2, 3)];
        let (extents, len) = place(&[10; 4], &chain, 0, 3);
        assert_eq!(len, 20, "{extents:?}");
        // the first value is read again at the end
        let kept = [pool(0, 1), pool(1, 2), pool(2, 3), pool(0, 4)];
        assert_eq!(place(&[10; 5], &kept, 0, 4).1, 30);
    }

    #[test]
    fn blocks_that_live_at_the_same_time_lie_apart() {
        let mut state = 7u64;
        let mut random = |n: usize| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        for _ in 0..100 {
            let n = 2 + random(20);
            let steps: Vec<Step> = (1..n).map(|y| pool(random(y), y)).collect();
            let sizes: Vec<usize> = (0..n).map(|_| 1 + random(50)).collect();
            let (extents, len) = place(&sizes, &steps, 0, n - 1);
            let lives = lives(n, &steps, 0, n - 1);
            for a in 0..n {
                assert!(extents[a].start + extents[a].len <= len);
                for b in 0..a {
                    let ((af, al), (bf, bl)) = (lives[a].unwrap(), lives[b].unwrap());
                    let apart = extents[a].start + extents[a].len <= extents[b].start
                        || extents[b].start + extents[b].len <= extents[a].start;
                    assert!(apart || al < bf || bl < af, "{a} and {b}");
                }
            }
        }
    }
}
