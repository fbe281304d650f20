//! Which step may read and write which planes.

use std::ops::Range;

use crate::memory::lend;
use crate::plan::Plan;
use crate::view::{BufferId, View};

/// The blocks that a step reads and writes, each cut into planes; those that are being written are taken out.
pub(crate) struct Lent<'a> {
    /// Numbers of the blocks.
    blocks: Vec<usize>,
    /// `[block][slot]`.
    slots: Vec<Vec<Option<&'a mut [f32]>>>,
}

impl<'a> Lent<'a> {
    pub(crate) fn new(plan: &Plan, values: &[BufferId], memory: &'a mut [f32]) -> Self {
        let mut blocks: Vec<usize> = values.iter().map(|value| plan.homes[value.0].block).collect();
        blocks.sort_unstable();
        blocks.dedup();
        let ranges: Vec<Range<usize>> = blocks.iter().map(|&block| plan.places[block].clone()).collect();
        let slots = lend(memory, &ranges)
            .into_iter()
            .zip(&blocks)
            .map(|(values, &block)| {
                let planes = values.chunks_exact_mut(plan.blocks[block].plane_len.max(1));
                planes.map(Some).collect()
            })
            .collect();
        Lent { blocks, slots }
    }

    fn block(&self, plan: &Plan, value: BufferId) -> usize {
        let block = plan.homes[value.0].block;
        let found = self.blocks.binary_search(&block);
        found.expect("all values of the step were lent")
    }

    /// Takes planes of a value, to write them.
    pub(crate) fn take(&mut self, plan: &Plan, value: BufferId, planes: Range<usize>) -> Vec<&'a mut [f32]> {
        let block = self.block(plan, value);
        let n_slots = self.slots[block].len();
        planes
            .map(|z| {
                let slot = plan.homes[value.0].slot(z, n_slots);
                self.slots[block][slot]
                    .take()
                    .expect("no plane is written twice at once")
            })
            .collect()
    }

    /// Gives them back.
    pub(crate) fn put(
        &mut self,
        plan: &Plan,
        value: BufferId,
        planes: Range<usize>,
        slices: Vec<&'a mut [f32]>,
    ) {
        let block = self.block(plan, value);
        let n_slots = self.slots[block].len();
        for (z, slice) in planes.zip(slices) {
            self.slots[block][plan.homes[value.0].slot(z, n_slots)] = Some(slice);
        }
    }

    /// The planes of a value, for reading; empty those that are taken.
    pub(crate) fn planes(&self, plan: &Plan, view: &View) -> Vec<&[f32]> {
        let block = self.block(plan, view.buffer);
        let slots = &self.slots[block];
        (0..view.layout.size[0])
            .map(|z| {
                let slot = plan.homes[view.buffer.0].slot(z, slots.len());
                slots[slot].as_deref().unwrap_or(&[])
            })
            .collect()
    }
}
