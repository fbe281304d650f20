//! What can be wrong in a pipeline, and on which line.

use std::fmt;

use nephrite_settings::FaultKind;
use nephrite_types::{ErrorCode, OutputFormatsFault};

/// Something wrong in a pipeline file, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// What.
    pub fault: PipelineFault,
}

/// Faults of a file, each on a line of its own.
pub fn lines(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

/// Something wrong in a pipeline.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineFault {
    /// Not TOML, or a key or value that cannot be.
    #[error(transparent)]
    Setting(#[from] FaultKind),
    /// Two steps have one name.
    #[error("step {id} is there twice{}", first.map(|line| format!(", first on line {line}")).unwrap_or_default())]
    StepTwice {
        /// The name.
        id: String,
        /// Line of the first; `None` if there is no file.
        first: Option<usize>,
    },
    /// Two masks would be kept under one name.
    #[error("file {file} is saved twice")]
    FileTwice {
        /// The name.
        file: String,
    },
    /// The formats of a file do not go together.
    #[error("file {file}: {fault}")]
    Formats {
        /// Of the label map.
        file: String,
        /// Why not.
        fault: OutputFormatsFault,
    },
    /// A step names another one that is not there.
    #[error("{key}: there is no step {step:?}")]
    UnknownStep {
        /// Where it is named.
        key: String,
        /// The name.
        step: String,
    },
    /// A step names another one that makes files and no mask.
    #[error("{key}: step {step:?} is a sample, which has no mask")]
    NoMask {
        /// Where it is named.
        key: String,
        /// The name.
        step: String,
    },
    /// Steps that each need another one of them.
    #[error("steps need each other: {}", steps.join(" needs "))]
    Cycle {
        /// In the order of need; the first and the last are the same.
        steps: Vec<String>,
    },
    /// There is nothing to run.
    #[error("the pipeline has no step")]
    NoSteps,
    /// Nothing would be kept.
    #[error("the pipeline saves nothing")]
    NothingSaved,
}

impl From<nephrite_settings::Fault> for Fault {
    fn from(fault: nephrite_settings::Fault) -> Self {
        Fault {
            line: fault.line,
            fault: fault.kind.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl PipelineFault {
    /// How a caller can act on it.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}
