//! What is wrong with a model folder, by file and key, in words for the researcher who trained it.

use nephrite_types::{Cancelled, Coded, ErrorCode};

use crate::archive::ArchiveFault;
use crate::pickle::PickleFault;

/// What can be wrong with a model folder. Every message names the file first, then the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system refused to read.
    #[error("{file}: cannot be read: {cause}")]
    Io {
        /// What was read.
        file: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// A file that every trained model folder has is missing.
    #[error("{file}: does not exist")]
    MissingFile {
        /// The missing file.
        file: String,
    },
    /// A directory, pipe or device where a file should be.
    #[error("{file}: is not a regular file")]
    NotAFile {
        /// What it is named.
        file: String,
    },
    /// Something is larger than a limit allows.
    #[error("{file}: {what} takes {found} bytes, the limit is {limit}")]
    TooLarge {
        /// In which file.
        file: String,
        /// What is too large.
        what: &'static str,
        /// Bytes allowed.
        limit: u64,
        /// Bytes found or claimed.
        found: u64,
    },
    /// More of something than any file of its kind has.
    #[error("{file}: has more than {limit} {what}")]
    TooMany {
        /// In which file.
        file: String,
        /// Of what.
        what: &'static str,
        /// Allowed.
        limit: usize,
    },
    /// A folder that is not a trained model, though one is near.
    #[error("{folder}: is {found}, not a trained model; give {instead}")]
    NotAModelFolder {
        /// As named by the caller.
        folder: String,
        /// What it is.
        found: &'static str,
        /// The folder or folders that would do.
        instead: String,
    },
    /// Plain labels that are not 0, 1, 2 …
    #[error(
        "{file}: labels must be 0, 1, 2 … without gaps, found {}: the network writes the index of a label and not its id, so \
         that names would belong to other voxels",
        shown_labels(found)
    )]
    LabelGap {
        /// In which file.
        file: String,
        /// All labels, ascending, the ignore label left out.
        found: Vec<u16>,
    },
    /// Not JSON.
    #[error("{file}: is not valid JSON: {reason}")]
    Json {
        /// In which file.
        file: String,
        /// Line, column and cause.
        reason: String,
    },
    /// A key that inference needs is absent.
    #[error("{file}: key {key} is missing")]
    MissingKey {
        /// In which file.
        file: String,
        /// Dotted path of the key.
        key: String,
    },
    /// A value of the wrong type or outside its range.
    #[error("{file}: {key} must be {expected}, found {found}")]
    InvalidValue {
        /// In which file.
        file: String,
        /// Dotted path of the key.
        key: String,
        /// What would be right.
        expected: String,
        /// The value, shortened.
        found: String,
    },
    /// A name that nephrite has no implementation for.
    #[error("{file}: {key} is {found:?}, which is not supported; supported are {}", known.join(", "))]
    UnknownName {
        /// In which file.
        file: String,
        /// Dotted path of the key.
        key: String,
        /// The name, shortened.
        found: String,
        /// What is supported.
        known: Vec<String>,
    },
    /// The plans have no such configuration.
    #[error("{file}: has no configuration {name:?}; it has {}", known.join(", "))]
    UnknownConfiguration {
        /// In which file.
        file: String,
        /// As asked for.
        name: String,
        /// All configurations of the plans.
        known: Vec<String>,
    },
    /// `inherits_from` runs in a circle.
    #[error("{file}: configurations inherit from each other in a circle: {}", chain.join(" -> "))]
    InheritanceCycle {
        /// In which file.
        file: String,
        /// In order of visit.
        chain: Vec<String>,
    },
    /// A fold was asked for that is not there.
    #[error("{folder}: has no {fold}; it has {}", list_or_none(available))]
    UnknownFold {
        /// The model folder.
        folder: String,
        /// The missing fold.
        fold: String,
        /// Folds that exist.
        available: Vec<String>,
    },
    /// No fold holds the wanted checkpoint.
    #[error("{folder}: no fold has {checkpoint}; folds are {}", list_or_none(available))]
    NoFolds {
        /// The model folder.
        folder: String,
        /// File name of the wanted checkpoint.
        checkpoint: &'static str,
        /// Folds that exist.
        available: Vec<String>,
    },
    /// A fold is there but not the wanted checkpoint.
    #[error("{folder}: {fold} has no {checkpoint}; it has {}", list_or_none(available))]
    MissingCheckpoint {
        /// The model folder.
        folder: String,
        /// The fold.
        fold: String,
        /// File name of the wanted checkpoint.
        checkpoint: &'static str,
        /// Checkpoints of that fold.
        available: Vec<String>,
    },
    /// The checkpoint is in a format older than PyTorch 1.6, or not a checkpoint at all.
    #[error("{file}: {found}, expected a zip archive written by torch.save (PyTorch 1.6 or later)")]
    NotACheckpoint {
        /// The file.
        file: String,
        /// What it looks like.
        found: &'static str,
    },
    /// The zip archive is broken.
    #[error("{file}: broken checkpoint archive: {fault}")]
    Archive {
        /// The file.
        file: String,
        /// What is wrong.
        fault: ArchiveFault,
    },
    /// The pickle is broken or uses what torch.save never writes.
    #[error("{file}: broken pickle: {fault}")]
    Pickle {
        /// The file.
        file: String,
        /// What is wrong.
        fault: PickleFault,
    },
    /// The pickle asks to call a function that no checkpoint needs. Nothing was executed.
    #[error("{file}: the pickle would call {module}.{name}, which is forbidden; nothing was executed")]
    ForbiddenGlobal {
        /// The file.
        file: String,
        /// Python module.
        module: String,
        /// Name within it.
        name: String,
    },
    /// A needed value depends on a Python object that nephrite does not know.
    #[error("{file}: {key} is a Python object of {global}, which is not supported")]
    UnsupportedObject {
        /// The file.
        file: String,
        /// Where.
        key: String,
        /// What it is.
        global: String,
    },
    /// Weights written on a big-endian machine.
    #[error("{file}: tensors are stored as {found:?}, only little-endian is supported")]
    ByteOrder {
        /// The file.
        file: String,
        /// Content of its `byteorder` member.
        found: String,
    },
    /// The checkpoint has no such tensor.
    #[error("{file}: tensor {name} is missing")]
    MissingTensor {
        /// The file.
        file: String,
        /// Canonical name.
        name: String,
    },
    /// A tensor does not fit its storage, or is otherwise impossible.
    #[error("{file}: tensor {name} {fault}")]
    InvalidTensor {
        /// The file.
        file: String,
        /// Name as stored.
        name: String,
        /// What is wrong.
        fault: TensorFault,
    },
    /// No postprocessing was determined for this model.
    #[error(
        "{folder}: has no postprocessing.json or postprocessing.pkl, neither in crossval_results_folds_* nor itself"
    )]
    NoPostprocessing {
        /// The model folder.
        folder: String,
    },
    /// Several cross-validations, none of exactly the selected folds.
    #[error("{folder}: postprocessing is ambiguous between {}; name one", candidates.join(", "))]
    AmbiguousPostprocessing {
        /// The model folder.
        folder: String,
        /// Folders that hold one.
        candidates: Vec<String>,
    },
    /// Stopped from outside.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What is wrong with one tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorFault {
    /// More axes than any weight has.
    #[error("has {found} axes, at most {limit} are supported")]
    Rank {
        /// Axes.
        found: usize,
        /// Axes allowed.
        limit: usize,
    },
    /// Sizes and strides differ in number, or one is negative.
    #[error("has a malformed shape or stride")]
    Layout,
    /// Reaches past the end of its storage.
    #[error("reaches to element {end} of a storage of {len}")]
    OutOfBounds {
        /// Past the last element.
        end: u64,
        /// Elements of the storage.
        len: u64,
    },
    /// Repeats elements, so that it is larger than its storage.
    #[error("has {elements} elements on a storage of {len}")]
    LargerThanStorage {
        /// Elements of the tensor.
        elements: u64,
        /// Elements of the storage.
        len: u64,
    },
    /// The archive lacks the storage.
    #[error("needs the archive member {member}, which is missing")]
    MissingStorage {
        /// Name of the member.
        member: String,
    },
    /// The archive's member is smaller than the pickle says.
    #[error("needs {expected} bytes of the archive member {member}, which has {found}")]
    ShortStorage {
        /// Name of the member.
        member: String,
        /// Bytes needed.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
}

impl Coded for FolderError {
    fn code(&self) -> ErrorCode {
        match self {
            // The directory handle reports a way out of it without an errno; a real EACCES carries one.
            FolderError::Io { cause, .. }
                if cause.kind() == std::io::ErrorKind::PermissionDenied && cause.raw_os_error().is_none() =>
            {
                ErrorCode::PermissionDenied
            }
            FolderError::Io { .. } => ErrorCode::Environment,
            FolderError::Archive {
                fault: ArchiveFault::Io(_),
                ..
            } => ErrorCode::Environment,
            FolderError::TooLarge { .. } | FolderError::TooMany { .. } => ErrorCode::LimitExceeded,
            FolderError::Cancelled(cancelled) => cancelled.code(),
            FolderError::UnknownFold { .. }
            | FolderError::NoFolds { .. }
            | FolderError::MissingCheckpoint { .. }
            | FolderError::NoPostprocessing { .. } => ErrorCode::NotFound,
            FolderError::AmbiguousPostprocessing { .. } => ErrorCode::InvalidArgument,
            _ => ErrorCode::InvalidModel,
        }
    }
}

/// The first labels of many.
fn shown_labels(labels: &[u16]) -> String {
    const MAX: usize = 16;
    let shown: Vec<String> = labels.iter().take(MAX).map(u16::to_string).collect();
    let more = if labels.len() > MAX { ", …" } else { "" };
    format!("[{}{more}]", shown.join(", "))
}

fn list_or_none(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_is_the_environment_and_a_way_out_is_denied() {
        let code = |cause| {
            FolderError::Io {
                file: "f".into(),
                cause,
            }
            .code()
        };
        let eacces = 13;
        assert_eq!(
            code(std::io::Error::from_raw_os_error(eacces)),
            ErrorCode::Environment
        );
        assert_eq!(
            code(std::io::ErrorKind::PermissionDenied.into()),
            ErrorCode::PermissionDenied
        );
        let fault = ArchiveFault::Io(std::io::Error::from_raw_os_error(5));
        let error = FolderError::Archive {
            file: "f".into(),
            fault,
        };
        assert_eq!(error.code(), ErrorCode::Environment);
    }
}
