//! Transposed convolutions, sums and averages, all of each.

use pulp::Arch;

use crate::logits::{by_class, separate};
use crate::network::StepWeights;
use crate::norm::Moments;
use crate::passes::{PoolTask, SumTask, VOXELS_PER_TASK};
use crate::slots::{slots, take};
use crate::step::{Step, Work};
use crate::step_run::StepRun;
use crate::upsample::UpsampleTask;
use crate::view::Source;

impl StepRun<'_> {
    /// A transposed convolution, from input plane `first_plane` on; `rows` are those of every input row's boxes.
    pub(crate) fn upsample(
        &self,
        step: &Step,
        weights: &StepWeights,
        source: Source<'_>,
        first_plane: usize,
        rows: Vec<Vec<&mut [f32]>>,
    ) {
        let (Work::Upsample { stride, .. }, Some(packed)) = (&step.work, &weights.packed) else {
            return;
        };
        let rows = slots(rows);
        let arch = step.level.arch().unwrap_or(Arch::Scalar);
        self.for_each(rows.len(), |row, panel| {
            arch.dispatch(UpsampleTask {
                stride: *stride,
                source,
                row: first_plane * source.layout.size[1] + row,
                weights: packed,
                bias: &weights.bias,
                rows: &mut take(&rows, row),
                panel,
            });
        });
    }

    pub(crate) fn sum(
        &self,
        sources: &[Source<'_>],
        in_place: bool,
        output: Vec<&mut [f32]>,
    ) -> Vec<Moments> {
        let pitch = self.layout().pitch;
        let n = VOXELS_PER_TASK * pitch;
        let parts = output.into_iter().enumerate().flat_map(|(z, plane)| {
            let parts = plane.chunks_mut(n).enumerate();
            parts.map(move |(i, part)| (z, i * n, part))
        });
        let parts = slots(parts);
        let arch = self.arch();
        self.for_each_with_moments(parts.len(), |i, _, moments| {
            let (z, first, to) = take(&parts, i);
            arch.dispatch(SumTask {
                a: sources[0],
                b: sources.get(1).copied(),
                in_place,
                z,
                first,
                to,
                moments,
            });
        })
    }

    pub(crate) fn sum_logits(&self, sources: &[Source<'_>], logits: &mut [f32]) -> Vec<Moments> {
        let layout = self.layout();
        let per_plane = layout.size[1] * layout.size[2];
        let classes = slots(by_class(logits, layout, VOXELS_PER_TASK));
        let per_plane_parts = per_plane.div_ceil(VOXELS_PER_TASK);
        let arch = self.arch();
        self.for_each(classes.len(), |i, _| {
            let classes = take(&classes, i);
            let mut values = vec![0.0; classes[0].len() * layout.pitch];
            arch.dispatch(SumTask {
                a: sources[0],
                b: None,
                in_place: false,
                z: i / per_plane_parts,
                first: i % per_plane_parts * VOXELS_PER_TASK * layout.pitch,
                to: &mut values,
                moments: None,
            });
            separate(&values, layout.pitch, classes);
        });
        Vec::new()
    }

    pub(crate) fn pool(
        &self,
        sources: &[Source<'_>],
        stride: [usize; 3],
        output: Vec<&mut [f32]>,
    ) -> Vec<Moments> {
        let layout = self.layout();
        let [_, size_y, size_x] = layout.size;
        let rows = output
            .into_iter()
            .flat_map(|plane| plane.chunks_mut(size_x * layout.pitch));
        let rows = slots(rows);
        let arch = self.arch();
        self.for_each(rows.len(), |i, _| {
            arch.dispatch(PoolTask {
                source: sources[0],
                stride,
                row: [i / size_y, i % size_y],
                to: take(&rows, i),
            });
        });
        Vec::new()
    }
}
