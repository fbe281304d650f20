//! Where values lie: one stretch of memory for all, places used again when a value is dead.
//!
//! A *block* is memory for one value after the other, in *slots* of one z plane each. A convolution may write its result
//! into the block of its input, some slots behind what it still reads: the planes of a block are a ring. So a block has
//! a few slots more than its values have planes, and two large values need hardly more memory than one.

use std::ops::Range;

/// Memory for values of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Values of one plane, `[y, x, pitch]`.
    pub(crate) plane_len: usize,
    pub(crate) n_slots: usize,
    /// First step that writes it, and last step that reads it.
    pub(crate) steps: [usize; 2],
}

impl Block {
    fn len(&self) -> usize {
        self.plane_len.saturating_mul(self.n_slots)
    }
}

/// Where one value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) block: usize,
    /// Slot of its first plane.
    pub(crate) first: usize,
}

impl Home {
    /// Slot of plane `z`.
    pub(crate) fn slot(&self, z: usize, n_slots: usize) -> usize {
        (self.first + z) % n_slots
    }
}

/// Places begin at multiples of so many values.
const ALIGNMENT: usize = 1024;

/// A place for each block, and the length of all. The largest are placed first, each as low as those that live at the
/// same time allow.
pub(crate) fn place(blocks: &[Block]) -> (Vec<Range<usize>>, usize) {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(blocks[i].len()), i));
    let mut places: Vec<Range<usize>> = vec![0..0; blocks.len()];
    let mut placed: Vec<usize> = Vec::new();
    for i in order {
        let (len, [first, last]) = (blocks[i].len(), blocks[i].steps);
        let mut taken: Vec<Range<usize>> = placed
            .iter()
            .filter(|&&other| blocks[other].steps[0] <= last && first <= blocks[other].steps[1])
            .map(|&other| places[other].clone())
            .collect();
        taken.sort_by_key(|range| range.start);
        let mut start = 0usize;
        for range in taken {
            if start.saturating_add(len) <= range.start {
                break;
            }
            start = start.max(range.end.next_multiple_of(ALIGNMENT));
        }
        places[i] = start..start.saturating_add(len);
        placed.push(i);
    }
    let len = places.iter().map(|range| range.end).max().unwrap_or(0);
    (places, len)
}

/// Lends several ranges that do not overlap, each once, in the order asked for.
pub(crate) fn lend<'a>(mut memory: &'a mut [f32], ranges: &[Range<usize>]) -> Vec<&'a mut [f32]> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    order.sort_by_key(|&i| ranges[i].start);
    let mut lent: Vec<&mut [f32]> = ranges.iter().map(|_| &mut [][..]).collect();
    let mut begin = 0;
    for i in order {
        let Range { start, end } = ranges[i];
        let (_, rest) = memory.split_at_mut(start - begin);
        let (range, rest) = rest.split_at_mut(end - start);
        lent[i] = range;
        memory = rest;
        begin = end;
    }
    lent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(len: usize, first: usize, last: usize) -> Block {
        Block {
            plane_len: len,
            n_slots: 1,
            steps: [first, last],
        }
    }

    #[test]
    fn blocks_that_live_together_lie_apart_and_others_share() {
        let blocks = [
            block(5000, 0, 1),
            block(4096, 1, 2),
            block(5000, 2, 3),
            block(10, 0, 3),
        ];
        let (places, len) = place(&blocks);
        for (i, a) in blocks.iter().enumerate() {
            for (j, b) in blocks.iter().enumerate().skip(i + 1) {
                let together = a.steps[0] <= b.steps[1] && b.steps[0] <= a.steps[1];
                let overlap = places[i].start < places[j].end && places[j].start < places[i].end;
                assert!(!(together && overlap), "{i} and {j}: {places:?}");
            }
        }
        assert_eq!(places[0], places[2], "one after the other");
        assert!(len < 5000 + 4096 + 2 * ALIGNMENT + 10);
    }

    #[test]
    fn ranges_are_lent_in_the_order_asked_for() {
        let mut memory: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let lent = lend(&mut memory, &[7..9, 0..2, 4..6]);
        assert_eq!(lent, [&[7.0, 8.0][..], &[0.0, 1.0], &[4.0, 5.0]]);
    }
}
