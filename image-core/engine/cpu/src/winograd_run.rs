//! A convolution by minimal filtering, all of it.

use std::sync::atomic::Ordering;

use crate::lent::Lent;
use crate::norm::Moments;
use crate::slots::{slots, take};
use crate::step::Work;
use crate::step_run::StepRun;
use crate::strip_task::StripTask;
use crate::upsample::split;
use crate::view::BufferId;

impl StepRun<'_> {
    /// Layers of tiles one group after the other: of each, first what the feeder makes for it.
    pub(crate) fn winograd(&self, lent: &mut Lent<'_>, output: BufferId) -> Vec<Moments> {
        let (Work::Winograd { plan, n_layers, .. }, Some(weights)) = (&self.step.work, &self.weights.packed)
        else {
            return Vec::new();
        };
        let arch = self.arch();
        let mut moments = Vec::new();
        let mut n_fed = 0;
        for first in (0..plan.n_layers()).step_by(*n_layers) {
            let layers = first..(first + n_layers).min(plan.n_layers());
            let planes = plan.planes(&layers);
            n_fed = self.feed(lent, n_fed, planes.end + 1);
            let written = lent.take(self.plan, output, planes.clone());
            // The slices are needed again after the tasks: they go in as reborrowed parts.
            let mut written = written;
            let parts = written.iter_mut().map(|plane| &mut **plane).collect();
            let rows = slots(plan.split(&layers, parts, self.layout().pitch));
            let first_strip = layers.start * plan.strips_per_layer();
            {
                let inputs = self.planes(lent);
                let sources = self.sources(&inputs);
                moments.extend(self.for_each_with_moments(rows.len(), |i, scratch, moments| {
                    arch.dispatch(StripTask {
                        plan,
                        strip: plan.strip(first_strip + i),
                        sources: &sources,
                        weights,
                        bias: &self.weights.bias,
                        rows: &mut take(&rows, i),
                        moments,
                        scratch,
                    });
                }));
            }
            drop(rows);
            lent.put(self.plan, output, planes, written);
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        moments
    }

    /// Makes the feeder's planes up to `wanted`, where there are so many; `n_fed` are there already. Gives how many there are
    /// then.
    fn feed(&self, lent: &mut Lent<'_>, n_fed: usize, wanted: usize) -> usize {
        let Some((feeder, weights)) = self.feeder else {
            return n_fed;
        };
        let (Work::Upsample { stride, .. }, Some(output)) = (&feeder.work, feeder.output.buffer()) else {
            return n_fed;
        };
        let layout = feeder.output.layout();
        let wanted = wanted.next_multiple_of(stride[0]).min(layout.size[0]);
        if wanted <= n_fed {
            return n_fed;
        }
        let mut written = lent.take(self.plan, output, n_fed..wanted);
        {
            let view = &feeder.inputs[0];
            let planes = lent.planes(self.plan, view);
            let source = self.source(view, &planes);
            let parts = written.iter_mut().map(|plane| &mut **plane).collect();
            let rows = split(parts, view.layout.size, *stride, layout.pitch);
            self.upsample(feeder, weights, source, n_fed / stride[0], rows);
        }
        lent.put(self.plan, output, n_fed..wanted, written);
        wanted
    }
}
