//! What is wrong with one DICOM file.

use std::io;

use nephrite_types::{Cancelled, Coded, ErrorCode};

/// Why one file was not opened, or not decoded. `name` is the file as the caller named it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The handle is a folder, a pipe or a device.
    #[error("{name} is not a regular file")]
    NotAFile {
        /// As named by the caller.
        name: String,
    },
    /// The operating system failed while the file was read.
    #[error("{name} cannot be read: {source}")]
    Read {
        /// As named by the caller.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody wrote to the file, replaced it or gave it other rights while it was read, or since it was listed.
    #[error("{name} changed while it was read")]
    Changed {
        /// As named by the caller.
        name: String,
    },
    /// What the file holds is at fault.
    #[error("{name}: {fault}")]
    Content {
        /// As named by the caller.
        name: String,
        /// What is wrong.
        #[source]
        fault: FileFault,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// What is wrong with the bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileFault {
    /// Neither the mark of a DICOM file nor a data set.
    #[error("is not a DICOM file")]
    NotDicom,
    /// The file is larger than the limit.
    #[error("has {found} bytes, the limit is {limit}")]
    TooLarge {
        /// Size of the file.
        found: u64,
        /// [`DicomLimits::max_file_bytes`](crate::DicomLimits::max_file_bytes).
        limit: u64,
    },
    /// More than the limit before the pixel data.
    #[error("the header is longer than {limit} bytes")]
    HeaderTooLong {
        /// [`DicomLimits::max_header_bytes`](crate::DicomLimits::max_header_bytes).
        limit: u64,
    },
    /// More elements than the limit.
    #[error("the header has more than {limit} elements")]
    TooManyElements {
        /// [`DicomLimits::max_elements`](crate::DicomLimits::max_elements).
        limit: usize,
    },
    /// More values of text than the limit.
    #[error("the header has more than {limit} values of text")]
    TooManyValues {
        /// [`DicomLimits::max_text_values`](crate::DicomLimits::max_text_values).
        limit: usize,
    },
    /// Sequences lie deeper in each other than the limit.
    #[error("sequences lie more than {limit} deep in each other")]
    TooDeep {
        /// [`DicomLimits::max_depth`](crate::DicomLimits::max_depth).
        limit: usize,
    },
    /// The data set is deflated, and becomes more than the limit.
    #[error("the deflated data set becomes more than {limit} bytes")]
    InflatesTooMuch {
        /// [`DicomLimits::max_inflated_bytes`](crate::DicomLimits::max_inflated_bytes).
        limit: u64,
    },
    /// The deflated data set is broken.
    #[error("the deflated data set is broken")]
    BrokenDeflate,
    /// The file ends inside an element.
    #[error("ends inside element {tag} at byte {offset}")]
    Truncated {
        /// `(gggg,eeee)`.
        tag: String,
        /// Of the element, from the start of the (inflated) data set or file.
        offset: u64,
    },
    /// The structure is broken.
    #[error("broken at byte {offset}: {what}")]
    Malformed {
        /// From the start of the (inflated) data set or file.
        offset: u64,
        /// What was met there.
        what: &'static str,
    },
    /// There is no pixel data.
    #[error("has no pixel data")]
    NoPixels,
    /// The pixel data is encapsulated where it should be native, or the other way around.
    #[error("the pixel data is not stored as transfer syntax {syntax} says")]
    PixelForm {
        /// Name of the transfer syntax.
        syntax: &'static str,
    },
    /// It cannot be told which bytes belong to which frame.
    #[error("{fragments} fragments of pixel data cannot be told apart into {frames} frames")]
    Fragments {
        /// Fragments that are there.
        fragments: usize,
        /// Frames that the header says.
        frames: u32,
    },
    /// The transfer syntax is known by name, or not at all, and not decoded.
    #[error("transfer syntax {uid} ({name}) is not supported")]
    UnsupportedSyntax {
        /// As in the file.
        uid: String,
        /// Name of the syntax; says why where there is a reason.
        name: &'static str,
    },
    /// The compressed frame and the header contradict each other about the sign of pixels; peers correct it in silence, or
    /// give wrong values.
    #[error("the code stream has {stream} pixels, PixelRepresentation (0028,0103) says {header}")]
    SignMismatch {
        /// `signed` or `unsigned`.
        stream: &'static str,
        /// `signed` or `unsigned`.
        header: &'static str,
    },
    /// The compressed frame and the header contradict each other.
    #[error("the code stream has {what} {stream}, the header says {header}")]
    StreamMismatch {
        /// Rows, columns, …
        what: &'static str,
        /// In the code stream.
        stream: u32,
        /// In the header.
        header: u32,
    },
    /// One image is larger than any scanner makes.
    #[error("one image has {found} pixels, the limit is {limit}")]
    FrameTooLarge {
        /// Rows × columns.
        found: u64,
        /// Most that are decoded.
        limit: u64,
    },
    /// Fewer bytes of pixels than rows, columns and frames need.
    #[error("has {found} bytes of pixels, {expected} are needed")]
    ShortPixels {
        /// Bytes that are there.
        found: u64,
        /// Bytes that the header promises.
        expected: u64,
    },
    /// A compressed frame is broken, or has a form that is not decoded.
    #[error("frame {frame} cannot be decoded: {what}")]
    Decode {
        /// Counted from 1.
        frame: u32,
        /// What the decoder said.
        what: String,
    },
    /// An attribute that is needed is absent, or is not what it must be.
    #[error("attribute {attribute} {what}")]
    Attribute {
        /// Name and tag.
        attribute: &'static str,
        /// `is missing`, `is not a number`, …
        what: String,
    },
    /// There is no memory for it.
    #[error("no memory for {bytes} bytes")]
    NoMemory {
        /// Wanted.
        bytes: u64,
    },
}

impl FileFault {
    /// The error about the file of this name.
    pub fn of(self, name: &str) -> FileError {
        FileError::Content {
            name: name.to_owned(),
            fault: self,
        }
    }

    /// How a caller can act on it.
    pub fn code(&self) -> ErrorCode {
        use FileFault::*;
        match self {
            TooLarge { .. }
            | HeaderTooLong { .. }
            | TooManyElements { .. }
            | TooManyValues { .. }
            | TooDeep { .. }
            | InflatesTooMuch { .. }
            | FrameTooLarge { .. }
            | NoMemory { .. } => ErrorCode::LimitExceeded,
            _ => ErrorCode::InvalidInput,
        }
    }
}

impl Coded for FileError {
    /// A file that changed or cannot be read is [`ErrorCode::Environment`].
    fn code(&self) -> ErrorCode {
        match self {
            FileError::NotAFile { .. } => ErrorCode::InvalidInput,
            FileError::Read { .. } | FileError::Changed { .. } => ErrorCode::Environment,
            FileError::Content { fault, .. } => fault.code(),
            FileError::Cancelled(cancelled) => cancelled.code(),
        }
    }
}
