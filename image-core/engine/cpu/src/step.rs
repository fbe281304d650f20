//! What a run consists of: steps, each of which writes one value.

use nephrite_layers::ParamId;

use crate::Level;
use crate::direct::DirectPlan;
use crate::layout::Layout;
use crate::pack::{Depths, PackedShape};
use crate::strips::StripPlan;
use crate::view::{AffineId, BufferId, View};

/// One step of a run: one write of one value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// Of the layer that it stems from.
    pub(crate) name: String,
    pub(crate) inputs: Vec<View>,
    pub(crate) output: Target,
    pub(crate) work: Work,
    /// Instructions.
    pub(crate) level: Level,
    /// The norm that follows.
    pub(crate) norm: Option<PlannedNorm>,
}

/// Where a step writes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// To a value of the plan.
    Buffer(BufferId, Layout),
    /// To the caller, `[class, z, y, x]`.
    Logits(Layout),
}

impl Target {
    pub(crate) fn layout(&self) -> Layout {
        match *self {
            Target::Buffer(_, layout) | Target::Logits(layout) => layout,
        }
    }

    pub(crate) fn buffer(&self) -> Option<BufferId> {
        match *self {
            Target::Buffer(buffer, _) => Some(buffer),
            Target::Logits(_) => None,
        }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    /// A convolution by minimal filtering.
    Winograd {
        plan: StripPlan,
        params: ConvParams,
        /// Layers of tiles that are computed before the next ones begin.
        n_layers: usize,
        /// The transposed convolution that makes the first input, some planes ahead of what is computed.
        feeder: Option<Box<Step>>,
    },
    /// A convolution by copied windows.
    Direct { plan: DirectPlan, params: ConvParams },
    /// A transposed convolution.
    Upsample { stride: [usize; 3], params: ConvParams },
    /// The sum of two values; of one value, the value itself. In place: of the first one, which it replaces.
    Sum { in_place: bool },
    /// Averages of boxes.
    Pool { stride: [usize; 3] },
}

/// Weights of a convolution.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConvParams {
    pub(crate) weight: ParamId,
    pub(crate) bias: Option<ParamId>,
    pub(crate) shape: PackedShape,
    pub(crate) depths: Depths,
}

/// A norm over the voxels of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PlannedNorm {
    pub(crate) affine: AffineId,
    pub(crate) params: Option<(ParamId, ParamId)>,
    pub(crate) eps: f32,
    pub(crate) channels: usize,
}

/// A norm with statistics from training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FixedNorm {
    pub(crate) norm: PlannedNorm,
    pub(crate) mean: ParamId,
    pub(crate) var: ParamId,
}

impl Step {
    /// The step that is computed within this one.
    pub(crate) fn feeder(&self) -> Option<&Step> {
        match &self.work {
            Work::Winograd { feeder, .. } => feeder.as_deref(),
            _ => None,
        }
    }
}

impl Work {
    pub(crate) fn params(&self) -> Option<&ConvParams> {
        match self {
            Work::Winograd { params, .. } | Work::Direct { params, .. } | Work::Upsample { params, .. } => {
                Some(params)
            }
            Work::Sum { .. } | Work::Pool { .. } => None,
        }
    }

    /// Scratch memory of one thread, in values.
    pub(crate) fn scratch(&self, step: &Step) -> usize {
        let lanes = step.level.lanes();
        match self {
            Work::Winograd { plan, feeder, .. } => {
                let of_feeder = feeder.as_ref().map_or(0, |step| step.work.scratch(step));
                plan.scratch(lanes).max(of_feeder)
            }
            Work::Direct { plan, .. } => plan.scratch(lanes),
            Work::Upsample { params, .. } => step.inputs[0].layout.size[2] * params.shape.depth,
            Work::Sum { .. } | Work::Pool { .. } => 0,
        }
    }
}
