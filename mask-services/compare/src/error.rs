//! What two masks can have that keeps them from being compared.

use nephrite_kernel::{Coded, ErrorCode, OperationError, quoted};

/// What a request to compare can have wrong, beyond what its description says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A label that the caller wants compared and that one of the masks knows nothing of.
    #[error("label {} cannot be compared: {reason}", quoted(label))]
    Label {
        /// As given.
        label: String,
        /// Which mask, and why.
        reason: &'static str,
    },
    /// No label is in both masks.
    #[error(
        "no label can be compared: the mask has {}, the reference has {}, paired by {paired_by}",
        list(mask),
        list(reference)
    )]
    NoPair {
        /// `name` or `id`.
        paired_by: &'static str,
        /// `name=id` of the mask's labels.
        mask: Vec<String>,
        /// `name=id` of the reference's labels.
        reference: Vec<String>,
    },
}

/// Labels that an error lists.
const SHOWN: usize = 8;

fn list(labels: &[String]) -> String {
    let mut shown: Vec<String> = labels.iter().take(SHOWN).map(|label| quoted(label)).collect();
    if labels.len() > SHOWN {
        shown.push(format!("{} more", labels.len() - SHOWN));
    }
    match shown.is_empty() {
        true => "none".to_owned(),
        false => shown.join(", "),
    }
}

impl Coded for CompareError {
    fn code(&self) -> ErrorCode {
        match self {
            CompareError::Label { .. } => ErrorCode::InvalidArgument,
            CompareError::NoPair { .. } => ErrorCode::InvalidInput,
        }
    }
}

impl From<CompareError> for OperationError {
    fn from(error: CompareError) -> OperationError {
        OperationError::other(error)
    }
}
