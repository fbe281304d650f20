//! What is wrong with a mask, or with a message that claims to be one.

use nephrite_types::{Coded, ErrorCode};

/// A mask that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// There is no room for a dense array, or for the runs.
    #[error(transparent)]
    OutOfMemory(#[from] nephrite_types::OutOfMemory),
    /// More rows (z times y) than the limit.
    #[error("mask has {found} rows, the limit is {limit}")]
    TooManyRows {
        /// Of the process.
        limit: u64,
        /// Of the mask.
        found: u64,
    },
    /// More voxels than the limit.
    #[error("mask has {found} voxels, the limit is {limit}")]
    TooManyVoxels {
        /// Of the process.
        limit: u64,
        /// Of the mask.
        found: u64,
    },
    /// More runs than the limit.
    #[error("mask has {found} runs or more, the limit is {limit}")]
    TooManyRuns {
        /// Of the process.
        limit: u64,
        /// Counted so far.
        found: u64,
    },
    /// More voxels along x than a run can say.
    #[error("rows of {found} voxels are longer than 2^32 - 1")]
    RowTooLong {
        /// Voxels along x.
        found: usize,
    },
    /// Runs overlap, are not sorted, or leave their row.
    #[error("runs of row {row} (z times ny plus y) overlap, are not sorted or leave the row")]
    RunOrder {
        /// Index of the row.
        row: usize,
    },
    /// Rows are missing or too many.
    #[error("mask has {found} rows, expected {expected}")]
    RowCount {
        /// By the geometry.
        expected: usize,
        /// Given.
        found: usize,
    },
    /// An array or another mask has another shape.
    #[error("shape is {found:?} (z, y, x), expected {expected:?}")]
    Shape {
        /// By the geometry.
        expected: [usize; 3],
        /// Given.
        found: [usize; 3],
    },
    /// Voxels carry an id that the label table does not know.
    #[error("label {id} is not in the label table")]
    UnknownLabel {
        /// The smallest such id.
        id: u16,
    },
    /// A label table has an id twice, or a name twice, or the id 0.
    #[error("label table: {name:?} with id {id}: {reason}")]
    LabelTable {
        /// The entry.
        id: u16,
        /// The entry.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Coded for MaskError {
    fn code(&self) -> ErrorCode {
        match self {
            MaskError::OutOfMemory(error) => error.code(),
            MaskError::TooManyRows { .. }
            | MaskError::TooManyVoxels { .. }
            | MaskError::TooManyRuns { .. }
            | MaskError::RowTooLong { .. } => ErrorCode::LimitExceeded,
            _ => ErrorCode::InvalidInput,
        }
    }
}

/// A message that is no mask, or a mask that no message can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The decoded mask cannot be.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The box of what is coded does not lie within the shape, or is empty.
    #[error("bounding box {start:?}..{end:?} (z, y, x) does not lie within {shape:?}")]
    Box {
        /// First voxel.
        start: [usize; 3],
        /// First voxel past the end.
        end: [usize; 3],
        /// Of the mask.
        shape: [usize; 3],
    },
    /// A plane of the box has too many voxels for the 32-bit positions of the payload.
    #[error("a plane of the box has {found} voxels, the format allows {limit}")]
    PlaneTooLarge {
        /// Of the format.
        limit: u64,
        /// y times x.
        found: u64,
    },
    /// Ids are neither one nor two bytes wide, or an id does not fit.
    #[error("labels of {found} bytes, expected 1 or 2")]
    LabelBytes {
        /// As given.
        found: u32,
    },
    /// The payload is no deflate stream, or ends early.
    #[error("payload is not a whole deflate stream")]
    Deflate,
    /// The payload inflates to more than its header accounts for.
    #[error("payload inflates to more than the {limit} bytes that its runs can take")]
    InflatesPast {
        /// By the header.
        limit: u64,
    },
    /// The payload inflates to fewer bytes than its own counts need, or to more.
    #[error("payload inflates to {found} bytes, expected {expected}")]
    PayloadSize {
        /// By its counts.
        expected: u64,
        /// Found.
        found: u64,
    },
    /// The checksum of the inflated payload is wrong.
    #[error("checksum of the payload is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// As stated.
        expected: u32,
        /// As computed.
        found: u32,
    },
    /// The planes do not hold as many runs as stated.
    #[error("planes hold {found} runs, expected {expected}")]
    RunTotal {
        /// As stated.
        expected: u64,
        /// Found.
        found: u64,
    },
    /// A plane keeps more or fewer runs of the plane before it than it has places for.
    #[error("plane {plane} keeps {kept} runs and has places for {places}")]
    Kept {
        /// Counted from the start of the box.
        plane: usize,
        /// Not cut from the plane before.
        kept: usize,
        /// Not new in this plane.
        places: usize,
    },
    /// A run starts before the one ahead of it, or past the end of its plane: the runs make too few or too many voxels.
    #[error("plane {plane}: runs are not sorted or cover more than its {n_voxels} voxels")]
    RunStart {
        /// Counted from the start of the box.
        plane: usize,
        /// y times x of the box.
        n_voxels: usize,
    },
    /// What the label table states is not what the payload holds.
    #[error("label {id} has {found} voxels, the table says {stated}")]
    VoxelCount {
        /// Which.
        id: u16,
        /// In the table.
        stated: u64,
        /// In the payload.
        found: u64,
    },
    /// The box of a label, or of all, is not what the payload holds.
    #[error("the stated bounding box of {what} is not that of its voxels")]
    StatedBox {
        /// A label's name, or the mask.
        what: String,
    },
}

impl Coded for CodecError {
    fn code(&self) -> ErrorCode {
        match self {
            CodecError::Mask(error) => error.code(),
            CodecError::PlaneTooLarge { .. } => ErrorCode::LimitExceeded,
            _ => ErrorCode::InvalidInput,
        }
    }
}
