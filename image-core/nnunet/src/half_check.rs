//! Whether a model may run in half precision.

use nephrite_cuda::{Network, agreement};

use crate::export::LabelRule;
use crate::{Model, NnunetError};

/// What a network in half precision must show when it is loaded: on fixed tiles, it labels as its f32 twin does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfCheck {
    /// Share of voxels that both label alike, 0 to 1.
    pub min_agreement: f64,
    /// What becomes of a model that does not show it.
    pub otherwise: Otherwise,
}

/// What becomes of a model that cannot be run in half precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Otherwise {
    /// It runs in f32; log and record say so.
    #[default]
    Single,
    /// It is refused.
    Refuse,
}

impl Default for HalfCheck {
    /// 99.98 % of voxels, or f32. Trained networks agree on 99.99 % and more, networks with random weights on 99.6 %, and networks
    /// that were barely trained, which label a scan in half precision no better than nnU-Net's autocast, on 99.93 to 99.98 %.
    fn default() -> Self {
        HalfCheck {
            min_agreement: 0.9998,
            otherwise: Otherwise::Single,
        }
    }
}

/// Compares a network in half precision with the same in f32.
pub(crate) fn check_half(
    half: &Network,
    single: &Network,
    rule: &LabelRule,
    check: &HalfCheck,
) -> Result<(), HalfFault> {
    let class_order = rule.class_order();
    let found = agreement(half, single, class_order).map_err(HalfFault::Cuda)?;
    // f32 takes twice the memory between layers, which nobody needs any longer
    half.card().rest();
    tracing::debug!(found, "half precision against f32");
    match found >= check.min_agreement {
        true => Ok(()),
        false => Err(HalfFault::Differs {
            found,
            needed: check.min_agreement,
        }),
    }
}

/// Why a check failed.
#[derive(Debug)]
pub(crate) enum HalfFault {
    /// Too many voxels have another label.
    Differs { found: f64, needed: f64 },
    /// It could not be run.
    Cuda(nephrite_cuda::CudaError),
}

impl Model {
    /// True if a run failed for the range or the precision of half, and f32 may do better.
    pub fn may_succeed_in_single(&self, error: &NnunetError) -> bool {
        let is_half = self.card_precision() == Some(nephrite_cuda::Precision::Half);
        is_half && matches!(error, NnunetError::NotFinite { .. })
    }
}
