//! The work of one task of a convolution by minimal filtering.

use crate::norm::Moments;
use crate::pack::Packed;
use crate::strips::{Strip, StripPlan};
use crate::view::Source;

/// The work on one strip.
pub(crate) struct StripTask<'a, 'out> {
    pub(crate) plan: &'a StripPlan,
    pub(crate) strip: Strip,
    pub(crate) sources: &'a [Source<'a>],
    pub(crate) weights: &'a Packed,
    /// One per output, padding included.
    pub(crate) bias: &'a [f32],
    /// As [`StripPlan::split`] gives them.
    pub(crate) rows: &'a mut [&'out mut [f32]],
    pub(crate) moments: Option<&'a mut Moments>,
    pub(crate) scratch: &'a mut [f32],
}
