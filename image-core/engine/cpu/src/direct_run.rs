//! A direct convolution, all of it.

use std::sync::{Mutex, PoisonError};

use pulp::{Simd, WithSimd};

use crate::direct::DirectTask;
use crate::logits::{by_class, separate};
use crate::norm::{Moments, gather};
use crate::passes::VOXELS_PER_TASK;
use crate::slots::{slots, take};
use crate::step::Work;
use crate::step_run::StepRun;
use crate::view::Source;

impl StepRun<'_> {
    /// One task of a convolution by copied windows, its results anywhere.
    fn direct_task(
        &self,
        sources: &[Source<'_>],
        i: usize,
        results: &mut [f32],
        panel: &mut [f32],
        moments: Option<&mut Moments>,
    ) {
        if let (Work::Direct { plan, .. }, Some(weights)) = (&self.step.work, &self.weights.packed) {
            self.arch().dispatch(DirectTask {
                plan,
                part: plan.part(i),
                sources,
                weights,
                bias: &self.weights.bias,
                results,
                moments,
                panel,
            });
        }
    }

    /// Every task has all outputs of a run of voxels, which lie in one plane.
    pub(crate) fn direct(&self, sources: &[Source<'_>], output: Vec<&mut [f32]>) -> Vec<Moments> {
        let Work::Direct { plan, .. } = &self.step.work else {
            return Vec::new();
        };
        let n = plan.n_voxels() * self.layout().pitch;
        let results = slots(output.into_iter().flat_map(|plane| plane.chunks_mut(n)));
        self.for_each_with_moments(plan.n_tasks(), |i, panel, moments| {
            self.direct_task(sources, i, take(&results, i), panel, moments);
        })
    }

    /// Every task has some outputs of a run of voxels; they are put together afterwards. For small volumes.
    pub(crate) fn direct_in_parts(&self, sources: &[Source<'_>], output: &mut [&mut [f32]]) -> Vec<Moments> {
        let (Work::Direct { plan, .. }, Some(weights)) = (&self.step.work, &self.weights.packed) else {
            return Vec::new();
        };
        let layout = self.layout();
        let (pitch, per_plane) = (layout.pitch, layout.size[1] * layout.size[2]);
        let (shape, lanes) = (weights.shape(), self.step.level.lanes());
        let block_width = lanes * crate::product::BLOCK_VECTORS;
        let columns = |i: usize| {
            let blocks = plan.part(i).blocks;
            blocks.start * block_width..(blocks.end * block_width).min(shape.n_out)
        };
        let results: Vec<Mutex<Vec<f32>>> = (0..plan.n_tasks()).map(|_| Mutex::default()).collect();
        self.for_each(plan.n_tasks(), |i, panel| {
            let mut values = vec![0.0; plan.part(i).positions.len() * columns(i).len()];
            self.direct_task(sources, i, &mut values, panel, None);
            *results[i].lock().unwrap_or_else(PoisonError::into_inner) = values;
        });
        for (i, values) in results.into_iter().enumerate() {
            let values = values.into_inner().unwrap_or_else(PoisonError::into_inner);
            let columns = columns(i);
            let positions = plan.part(i).positions;
            for (position, values) in positions.zip(values.chunks_exact(columns.len())) {
                let (z, at) = (position / per_plane, position % per_plane * pitch);
                output[z][at..][columns.clone()].copy_from_slice(values);
            }
        }
        if self.step.norm.is_none() {
            return Vec::new();
        }
        let parts = output
            .iter()
            .flat_map(|plane| plane.chunks(VOXELS_PER_TASK * pitch));
        parts
            .map(|values| {
                let mut moments = Moments::new(pitch);
                self.arch().dispatch(Gather {
                    values,
                    pitch,
                    moments: &mut moments,
                });
                moments
            })
            .collect()
    }

    pub(crate) fn direct_logits(&self, sources: &[Source<'_>], logits: &mut [f32]) -> Vec<Moments> {
        let Work::Direct { plan, .. } = &self.step.work else {
            return Vec::new();
        };
        let pitch = self.layout().pitch;
        let n = plan.n_voxels();
        let classes = slots(by_class(logits, self.layout(), n));
        self.for_each(plan.n_tasks(), |i, scratch| {
            let (results, panel) = scratch.split_at_mut(n * pitch);
            let results = &mut results[..plan.part(i).positions.len() * pitch];
            self.direct_task(sources, i, results, panel, None);
            separate(results, pitch, take(&classes, i));
        });
        Vec::new()
    }
}

/// Statistics of a small value.
struct Gather<'a> {
    values: &'a [f32],
    pitch: usize,
    moments: &'a mut Moments,
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        gather(simd, self.values, self.pitch, self.moments);
    }
}
