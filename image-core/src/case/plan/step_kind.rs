//! What kinds of steps there are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// A model on a scan.
    Model,
    /// An operation on masks.
    Mask,
    /// A crop of a scan around labels.
    Sample,
}

impl StepKind {
    /// As in pipelines.
    pub fn name(self) -> &'static str {
        match self {
            StepKind::Model => "model",
            StepKind::Mask => "mask",
            StepKind::Sample => "sample",
        }
    }
}
