//! What a message says that no message may say, by field.

use nephrite_types::{Coded, ErrorCode, GeometryError};

/// A message holds what no request may say. All are the caller's fault.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A field that every request needs is absent or empty.
    #[error("{field} is missing")]
    Missing {
        /// Name in the .proto file.
        field: &'static str,
    },
    /// None of the fields is there of which every request needs one.
    #[error("one of {fields} is needed, and none is there")]
    NoneOf {
        /// Names in the .proto file.
        fields: &'static str,
    },
    /// An enum is its zero value, or a number that this version does not know.
    #[error("{field} is {number}, which is not one of its values; leave it out for the default")]
    NoChoice {
        /// Name in the .proto file.
        field: &'static str,
        /// As received.
        number: i32,
    },
    /// A text is longer than any path.
    #[error("{field} has {found} bytes, expected at most {limit}")]
    TooLong {
        /// Name in the .proto file.
        field: &'static str,
        /// Bytes allowed.
        limit: usize,
        /// Bytes received.
        found: usize,
    },
    /// A path holds a NUL byte.
    #[error("{field} holds a NUL byte")]
    Nul {
        /// Name in the .proto file.
        field: &'static str,
    },
    /// A list has more entries than any request needs.
    #[error("{field} has {found} entries, expected at most {limit}")]
    TooMany {
        /// Name in the .proto file.
        field: &'static str,
        /// Entries allowed.
        limit: usize,
        /// Entries received.
        found: usize,
    },
    /// A value is not what its field takes.
    #[error("{field} is {found}, expected {expected}")]
    Value {
        /// Name in the .proto file.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// As received.
        found: String,
    },
    /// A shape or spacing cannot be.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// A label table cannot be.
    #[error(transparent)]
    Mask(#[from] nephrite_mask_codec::MaskError),
}

impl Coded for ConvertError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}
