//! One step of a run, cut into tasks for all threads.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use pulp::Arch;

use crate::Threads;
use crate::layout::Layout;
use crate::lent::Lent;
use crate::network::StepWeights;
use crate::norm::Moments;
use crate::pages::Pages;
use crate::plan::Plan;
use crate::step::{Step, Work};
use crate::upsample::split;
use crate::view::{Affine, BufferId, Source, View};

/// One step with all that it reads.
pub(crate) struct StepRun<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) step: &'a Step,
    pub(crate) weights: &'a StepWeights,
    /// The step that is computed within this one.
    pub(crate) feeder: Option<(&'a Step, &'a StepWeights)>,
    pub(crate) affines: &'a [Affine],
    pub(crate) identities: &'a [Affine],
    pub(crate) threads: &'a Threads,
    pub(crate) scratch: &'a [Mutex<Pages>],
    pub(crate) stop: &'a AtomicBool,
}

impl StepRun<'_> {
    /// Runs all tasks; gives what they know of the values that they wrote, in order, if a norm follows.
    pub(crate) fn run(&self, memory: &mut [f32], logits: &mut [f32]) -> Vec<Moments> {
        let mut values: Vec<BufferId> = self.step.inputs.iter().map(|view| view.buffer).collect();
        values.extend(self.step.output.buffer());
        if let Some((feeder, _)) = self.feeder {
            values.extend(feeder.inputs.iter().map(|view| view.buffer));
        }
        let mut lent = Lent::new(self.plan, &values, memory);
        let Some(output) = self.step.output.buffer() else {
            let planes = self.planes(&lent);
            let sources = self.sources(&planes);
            return match &self.step.work {
                Work::Direct { .. } => self.direct_logits(&sources, logits),
                Work::Sum { .. } => self.sum_logits(&sources, logits),
                // The plan gives logits to no other.
                Work::Winograd { .. } | Work::Upsample { .. } | Work::Pool { .. } => Vec::new(),
            };
        };
        if let Work::Winograd { .. } = &self.step.work {
            return self.winograd(&mut lent, output);
        }
        let all = 0..self.layout().size[0];
        let mut written = lent.take(self.plan, output, all);
        let planes = self.planes(&lent);
        let sources = self.sources(&planes);
        match &self.step.work {
            Work::Direct { plan, .. } if plan.is_whole() => self.direct(&sources, written),
            Work::Direct { .. } => self.direct_in_parts(&sources, &mut written),
            Work::Upsample { stride, .. } => {
                let rows = split(written, sources[0].layout.size, *stride, self.layout().pitch);
                self.upsample(self.step, self.weights, sources[0], 0, rows);
                Vec::new()
            }
            Work::Sum { in_place } => self.sum(&sources, *in_place, written),
            Work::Pool { stride } => self.pool(&sources, *stride, written),
            Work::Winograd { .. } => Vec::new(), // above
        }
    }

    /// The planes of all inputs.
    pub(crate) fn planes<'l>(&self, lent: &'l Lent<'_>) -> Vec<Vec<&'l [f32]>> {
        let inputs = self.step.inputs.iter();
        inputs.map(|view| lent.planes(self.plan, view)).collect()
    }

    pub(crate) fn sources<'s>(&'s self, planes: &'s [Vec<&'s [f32]>]) -> Vec<Source<'s>> {
        let inputs = self.step.inputs.iter().zip(planes);
        inputs.map(|(view, planes)| self.source(view, planes)).collect()
    }

    pub(crate) fn source<'s>(&'s self, view: &View, planes: &'s [&'s [f32]]) -> Source<'s> {
        Source {
            planes,
            layout: view.layout,
            affine: match view.affine {
                Some(id) => &self.affines[id.0],
                None => identity(self.identities, view.layout.pitch),
            },
            slope: view.slope,
        }
    }

    pub(crate) fn arch(&self) -> Arch {
        self.step.level.arch().unwrap_or(Arch::Scalar)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.step.output.layout()
    }

    /// Calls `task(i, scratch)` for every `i` below `n`.
    pub(crate) fn for_each(&self, n: usize, task: impl Fn(usize, &mut [f32]) + Sync) {
        self.threads.for_each(n, self.stop, |thread, i| {
            let mut scratch = self.scratch[thread]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            task(i, scratch.values_mut());
        });
    }

    /// As [`StepRun::for_each`]; every task fills moments of its own, if there is a norm.
    pub(crate) fn for_each_with_moments(
        &self,
        n: usize,
        task: impl Fn(usize, &mut [f32], Option<&mut Moments>) + Sync,
    ) -> Vec<Moments> {
        if self.step.norm.is_none() {
            self.for_each(n, |i, scratch| task(i, scratch, None));
            return Vec::new();
        }
        let pitch = self.layout().pitch;
        let moments: Vec<Mutex<Moments>> = (0..n).map(|_| Mutex::default()).collect();
        self.for_each(n, |i, scratch| {
            let mut of_task = Moments::new(pitch);
            task(i, scratch, Some(&mut of_task));
            *moments[i].lock().unwrap_or_else(PoisonError::into_inner) = of_task;
        });
        moments
            .into_iter()
            .map(|moments| moments.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }
}

fn identity(identities: &[Affine], pitch: usize) -> &Affine {
    let found = identities.binary_search_by_key(&pitch, |affine| affine.scale.len());
    &identities[found.expect("one was made for every pitch of the plan")]
}
