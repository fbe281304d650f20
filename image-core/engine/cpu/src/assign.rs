//! Which value shares its memory with which: results in the place of what they are made of, and values of which only a
//! few planes exist at a time.

use crate::layout::Layout;
use crate::memory::{Block, Home};
use crate::step::{Step, Target, Work};
use crate::strips::StripPlan;
use crate::view::BufferId;

/// Values below which memory is not worth a barrier: 4 MiB.
const WORTH_IT: usize = 1 << 20;
/// Tasks of a thread between two barriers, at least: all wait for the last one. With more, more planes exist at a time.
const TASKS_OF_A_THREAD: usize = 16;

/// Where all values lie.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) homes: Vec<Home>,
    pub(crate) blocks: Vec<Block>,
}

/// Gives every value of the steps a home; joins steps whose values need not exist whole. `n_threads` will work on a tile.
pub(crate) fn assign(steps: &mut Vec<Step>, layouts: &[Layout], n_threads: usize) -> Assignment {
    let n_tasks = TASKS_OF_A_THREAD.saturating_mul(n_threads.max(1));
    join_feeders(steps, n_tasks);
    let last_read = last_reads(steps, layouts.len());
    // Slots are counted backwards from the first value of a block, and brought into the ring at the end.
    let mut behind: Vec<usize> = vec![0; layouts.len()];
    let mut block_of: Vec<usize> = vec![0; layouts.len()];
    let mut blocks = vec![new_block(&layouts[0], 0, last_read[0])];
    for (i, step) in steps.iter_mut().enumerate() {
        if let Some(feeder) = step.feeder()
            && let Target::Buffer(buffer, layout) = feeder.output
        {
            block_of[buffer.0] = blocks.len();
            blocks.push(new_block(&layout, i, i));
        }
        let Target::Buffer(output, layout) = step.output else {
            continue;
        };
        let replaced = replaceable(step, i, &layout, &last_read, n_tasks);
        let Some(input) = replaced else {
            block_of[output.0] = blocks.len();
            blocks.push(new_block(&layout, i, last_read[output.0]));
            continue;
        };
        let block = block_of[input.0];
        block_of[output.0] = block;
        behind[output.0] = behind[input.0];
        blocks[block].steps[1] = blocks[block].steps[1].max(last_read[output.0]);
        if let Work::Winograd { plan, n_layers, .. } = &mut step.work {
            *n_layers = layers_at_once(plan, n_tasks);
            // What is written now must lie behind the plane before the first one, which is still read.
            let distance = *n_layers * plan.tile.0[0] + 1;
            behind[output.0] += distance;
            blocks[block].n_slots = blocks[block].n_slots.max(layout.size[0] + distance);
        }
    }
    for step in steps.iter_mut() {
        shrink_feeder_block(step, &block_of, &mut blocks, n_tasks);
    }
    let homes = (0..layouts.len())
        .map(|buffer| {
            let n_slots = blocks[block_of[buffer]].n_slots.max(1);
            Home {
                block: block_of[buffer],
                first: (n_slots - behind[buffer] % n_slots) % n_slots,
            }
        })
        .collect();
    Assignment { homes, blocks }
}

fn new_block(layout: &Layout, first: usize, last: usize) -> Block {
    Block {
        plane_len: layout.plane_len(),
        n_slots: layout.size[0],
        steps: [first, last.max(first)],
    }
}

/// Layers of tiles that are so many tasks.
fn layers_at_once(plan: &StripPlan, n_tasks: usize) -> usize {
    n_tasks
        .div_ceil(plan.strips_per_layer().max(1))
        .clamp(1, plan.n_layers())
}

/// Puts each large transposed convolution into the convolution that alone reads it, and reads it first.
fn join_feeders(steps: &mut Vec<Step>, n_tasks: usize) {
    let mut i = 0;
    while i + 1 < steps.len() {
        if feeds_next(steps, i, n_tasks) {
            let feeder = steps.remove(i);
            if let Work::Winograd {
                plan,
                n_layers,
                feeder: of_next,
                ..
            } = &mut steps[i].work
            {
                *n_layers = layers_at_once(plan, n_tasks);
                *of_next = Some(Box::new(feeder));
            }
        }
        i += 1;
    }
}

fn feeds_next(steps: &[Step], i: usize, n_tasks: usize) -> bool {
    let (step, next) = (&steps[i], &steps[i + 1]);
    let (Work::Upsample { .. }, Target::Buffer(buffer, layout)) = (&step.work, step.output) else {
        return false;
    };
    let n_readers = steps
        .iter()
        .flat_map(|step| &step.inputs)
        .filter(|view| view.buffer == buffer);
    let is_first = next.inputs.first().is_some_and(|view| view.buffer == buffer);
    let many_planes = layout.size[0] > 2 * ring_len(step, next, n_tasks);
    let is_winograd = matches!(next.work, Work::Winograd { .. });
    n_readers.count() == 1 && is_first && is_winograd && layout.len() >= WORTH_IT && many_planes
}

/// Planes of the feeder's value that must exist at a time: those of a group of layers, one before and one behind, and
/// what is made with the last one.
fn ring_len(feeder: &Step, step: &Step, n_tasks: usize) -> usize {
    let (Work::Upsample { stride, .. }, Work::Winograd { plan, .. }) = (&feeder.work, &step.work) else {
        return usize::MAX / 2;
    };
    layers_at_once(plan, n_tasks) * plan.tile.0[0] + 2 + stride[0]
}

fn shrink_feeder_block(step: &Step, block_of: &[usize], blocks: &mut [Block], n_tasks: usize) {
    if let Some(feeder) = step.feeder()
        && let Target::Buffer(buffer, _) = feeder.output
    {
        blocks[block_of[buffer.0]].n_slots = ring_len(feeder, step, n_tasks);
    }
}

/// Of every value, the last step that reads it.
fn last_reads(steps: &[Step], n_values: usize) -> Vec<usize> {
    let mut last = vec![0; n_values];
    for (i, step) in steps.iter().enumerate() {
        let of_feeder = step.feeder().map_or(&[][..], |feeder| &feeder.inputs);
        for view in step.inputs.iter().chain(of_feeder) {
            last[view.buffer.0] = i;
        }
        if let Some(buffer) = step.output.buffer() {
            last[buffer.0] = last[buffer.0].max(i);
        }
    }
    last
}

/// The input that the result of a step may replace: of the same layout, and read by nothing else from then on.
fn replaceable(
    step: &mut Step,
    i: usize,
    layout: &Layout,
    last_read: &[usize],
    n_tasks: usize,
) -> Option<BufferId> {
    let feeder = step.feeder().and_then(|feeder| feeder.output.buffer());
    let fits = |step: &Step, k: usize| {
        let view = &step.inputs[k];
        let n = step
            .inputs
            .iter()
            .filter(|other| other.buffer == view.buffer)
            .count();
        view.layout == *layout
            && view.buffer != BufferId(0)
            && Some(view.buffer) != feeder
            && last_read[view.buffer.0] == i
            && n == 1
    };
    let found = (0..step.inputs.len()).find(|&k| fits(step, k))?;
    let buffer = step.inputs[found].buffer;
    match &mut step.work {
        Work::Winograd { plan, .. } => {
            let n_layers = layers_at_once(plan, n_tasks);
            let saves = layout.len() >= WORTH_IT && 2 * n_layers <= plan.n_layers();
            saves.then_some(buffer)
        }
        Work::Sum { in_place } => {
            *in_place = true;
            step.inputs.swap(0, found);
            Some(buffer)
        }
        Work::Direct { .. } | Work::Upsample { .. } | Work::Pool { .. } => None,
    }
}
