//! What is wrong with the file of a volume, or with the place where one is to be written.

use std::io;

use nephrite_types::{Cancelled, Coded, ErrorCode, GeometryError};

/// The part of a header that places the voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `srow_x`, `srow_y`, `srow_z`.
    Sform,
    /// `quatern_*` and `qoffset_*`.
    Qform,
    /// `pixdim` alone.
    Pixdim,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Form::Sform => "sform",
            Form::Qform => "qform",
            Form::Pixdim => "pixdim",
        })
    }
}

/// What can go wrong while a volume is read or written.
///
/// `name` is the file as the caller named it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// The model's plans name an image reader that nephrite does not have.
    #[error(
        "image reader {reader} is not supported; supported are SimpleITKIO, SimpleITKIOWithReorient, NibabelIO, \
         NibabelIOWithReorient"
    )]
    UnknownReader {
        /// As in the plans.
        reader: String,
    },
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
    /// Somebody wrote to the file, replaced it or gave it other rights while it was read.
    #[error("{name} changed while it was read")]
    Changed {
        /// As named by the caller.
        name: String,
    },
    /// The file begins with nothing that nephrite knows.
    #[error("{name} is neither NIfTI nor NRRD nor MetaImage")]
    UnknownFormat {
        /// As named by the caller.
        name: String,
    },
    /// The file begins like NIfTI, but is not.
    #[error("{name} is not NIfTI: {reason}")]
    NotNifti {
        /// As named by the caller.
        name: String,
        /// Which mark is missing.
        reason: &'static str,
    },
    /// Magic `ni1` or `ni2`: the voxels are in another file (`.hdr` and `.img`).
    #[error("{name} is the header of a two-file NIfTI (.hdr and .img); only single files are read")]
    SeparateHeader {
        /// As named by the caller.
        name: String,
    },
    /// NRRD or MetaImage whose voxels are in another file, which was not opened with it.
    #[error(
        "{name} is a header whose voxels are in another file ({data_file}); only files that hold both are read here, such as \
         {attached}"
    )]
    Detached {
        /// As named by the caller.
        name: String,
        /// As named by the header.
        data_file: String,
        /// Ending of files of the format that hold both.
        attached: &'static str,
    },
    /// A header names something for its voxels that is not one file beside or below it.
    #[error("{name} says that its voxels are in `{data_file}`, which {reason}")]
    DataFile {
        /// As named by the caller.
        name: String,
        /// As named by the header.
        data_file: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A data file has more than the header accounts for, so that one of the two is wrong.
    #[error("{name}: the data file should have {expected} bytes by the header, and has {found}")]
    DataFileTooLong {
        /// As named by the caller.
        name: String,
        /// By the header, with what lies before the voxels.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// NRRD or MetaImage inside of gzip.
    #[error(
        "{name} is {format} compressed as a whole, which its readers do not take; the format compresses its voxels itself"
    )]
    CompressedAsAWhole {
        /// As named by the caller.
        name: String,
        /// What is inside.
        format: &'static str,
    },
    /// A text header goes on and on.
    #[error("{name}: the header does not end within {limit} bytes")]
    HeaderTooLong {
        /// As named by the caller.
        name: String,
        /// The longest header that is read.
        limit: u64,
    },
    /// A line of a text header is none.
    #[error("{name}: line {line} of the header is `{found}`, expected {expected}")]
    HeaderLine {
        /// As named by the caller.
        name: String,
        /// The first one is 1.
        line: usize,
        /// As in the file; its beginning.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// A segmentation of 3D Slicer whose segments lie in several label maps, as those that overlap do.
    #[error(
        "{name} has {n} layers of segments ({segments}), which may overlap; only a segmentation of one layer is a label map"
    )]
    SegmentLayers {
        /// As named by the caller.
        name: String,
        /// By the header.
        n: i64,
        /// Names of the first ones.
        segments: String,
    },
    /// A voxel of NRRD has several values.
    #[error("{name} has {n} values per voxel (an axis of kind {kind}), expected one")]
    SeveralValues {
        /// As named by the caller.
        name: String,
        /// By the header.
        n: i64,
        /// What NRRD calls the axis.
        kind: &'static str,
    },
    /// The file, or what it decompresses to, ends inside the header.
    #[error("{name} ends inside the header: expected {expected} bytes, found {found}")]
    TruncatedHeader {
        /// As named by the caller.
        name: String,
        /// Bytes up to the first voxel.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// A header field has a value that no reader accepts.
    #[error("{name}: header field {field} is {found}, expected {expected}")]
    HeaderField {
        /// As named by the caller.
        name: String,
        /// Name in the standard of the format.
        field: &'static str,
        /// As in the file.
        found: String,
        /// What would do.
        expected: &'static str,
    },
    /// Voxels are complex, color, packed bits, or wider than 64 bits.
    #[error(
        "{name}: voxel type {found} is not supported; supported are integers of 8 to 64 bits, float32 and float64"
    )]
    VoxelType {
        /// As named by the caller.
        name: String,
        /// Name of the type, or its code where the standard knows none.
        found: String,
    },
    /// Not a 3-D scan (or 2-D image, for the reader that takes those).
    #[error("{name} has {} dimensions ({dims:?}), {reader} needs {expected}", dims.len())]
    Dimensions {
        /// As named by the caller.
        name: String,
        /// Voxels per axis, x first.
        dims: Vec<u64>,
        /// Name of the reader.
        reader: &'static str,
        /// What would do.
        expected: &'static str,
    },
    /// An axis of the header is zero or negative.
    #[error("{name}: header field dim[{axis}] is {found}, expected at least 1")]
    EmptyAxis {
        /// As named by the caller.
        name: String,
        /// 1 is x.
        axis: usize,
        /// As in the file.
        found: i64,
    },
    /// The number of voxels or bytes does not fit 64 bits.
    #[error("{name}: dimensions {dims:?} overflow")]
    DimensionsOverflow {
        /// As named by the caller.
        name: String,
        /// Voxels per axis, x first.
        dims: Vec<u64>,
    },
    /// More voxels than the limit.
    #[error("{name} has {found} voxels, the limit is {limit}")]
    TooManyVoxels {
        /// As named by the caller.
        name: String,
        /// By the header.
        found: u64,
        /// `Limits::max_voxels`.
        limit: u64,
    },
    /// More bytes of voxels than the limit.
    #[error("{name} has {found} bytes of voxels, the limit is {limit}")]
    TooManyBytes {
        /// As named by the caller.
        name: String,
        /// By the header.
        found: u64,
        /// `Limits::max_payload_bytes`.
        limit: u64,
    },
    /// The memory for the voxels was refused.
    #[error("{name}: no memory for {bytes} bytes of voxels")]
    NoMemory {
        /// As named by the caller.
        name: String,
        /// Wanted.
        bytes: u64,
    },
    /// There is no room for another array of its voxels.
    #[error(transparent)]
    OutOfMemory(#[from] nephrite_types::OutOfMemory),
    /// A number that places voxels in the world, or says how large they are, is NaN or infinite.
    #[error("{name}: header field {field} has an entry that is not finite")]
    NotFinite {
        /// As named by the caller.
        name: String,
        /// Name in the NIfTI standard.
        field: &'static str,
    },
    /// Spacing or affine cannot be (a singular affine, most often).
    #[error("{name}: {form}: {source}")]
    Geometry {
        /// As named by the caller.
        name: String,
        /// Which part of the header says so.
        form: Form,
        /// What is wrong.
        #[source]
        source: GeometryError,
    },
    /// The axes are sheared, and there is no qform to take in place of the sform. SimpleITK refuses such NIfTI files too.
    #[error("{name}: the axes are not at right angles and there is no qform, {reader} needs right angles")]
    NotOrthonormal {
        /// As named by the caller.
        name: String,
        /// Name of the reader.
        reader: &'static str,
    },
    /// The file, or what it decompresses to, ends before the last voxel.
    #[error("{name} ends inside the voxels: expected {expected} bytes of them, found {found}")]
    TruncatedPayload {
        /// As named by the caller.
        name: String,
        /// By the header.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// The header promises more than deflate can make of so few bytes.
    #[error(
        "{name}: {compressed} compressed bytes cannot hold the {expected} bytes of voxels that the header promises"
    )]
    ImpossibleCompression {
        /// As named by the caller.
        name: String,
        /// Size of the file.
        compressed: u64,
        /// By the header.
        expected: u64,
    },
    /// The gzip stream is broken or its checksum does not match.
    #[error("{name}: broken gzip stream: {source}")]
    Gzip {
        /// As named by the caller.
        name: String,
        /// What the decompressor said.
        #[source]
        source: io::Error,
    },
    /// The zlib stream is broken or its checksum does not match.
    #[error("{name}: broken zlib stream: {source}")]
    Zlib {
        /// As named by the caller.
        name: String,
        /// What the decompressor said.
        #[source]
        source: io::Error,
    },
    /// The gzip stream goes on long after the last voxel that the header promises.
    #[error(
        "{name} decompresses to more than the header promises (over {allowed} bytes past the last voxel)"
    )]
    TrailingData {
        /// As named by the caller.
        name: String,
        /// Bytes that would have been ignored.
        allowed: u64,
    },
    /// A label map says two lengths for one axis.
    #[error(
        "{name}: the header contradicts itself: pixdim says {pixdim} from voxel to voxel along {axis}, the affine says \
         {affine}"
    )]
    Lengths {
        /// As named by the caller.
        name: String,
        /// `x`, `y` or `z`.
        axis: &'static str,
        /// In the file's unit.
        pixdim: f64,
        /// In the file's unit.
        affine: f64,
    },
    /// A file is no label map.
    #[error("{name}: {source}")]
    LabelMap {
        /// As named by the caller.
        name: String,
        /// What it holds.
        #[source]
        source: Box<VolumeError>,
    },
    /// A label map holds a value that is no label.
    #[error(
        "value {value} at voxel {index:?} (z, y, x) is not a label: expected a whole number from 0 to 65535, to a thousandth"
    )]
    NotALabel {
        /// First such value, scale factors applied.
        value: f64,
        /// `[z, y, x]`.
        index: [usize; 3],
    },
    /// Voxels to be written do not fit the geometry they are to be written with.
    #[error(
        "{name}: voxels of shape {found:?} (z, y, x) do not fit the source geometry, expected {expected:?}"
    )]
    ShapeMismatch {
        /// As named by the caller.
        name: String,
        /// Of the source geometry.
        expected: [usize; 3],
        /// Of the voxels.
        found: [usize; 3],
    },
    /// The name is not one plain file name, or has an ending that is not written.
    #[error("output name {name:?} {reason}")]
    OutputName {
        /// As named by the caller.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The output folder has been removed.
    #[error("{name} cannot be written: the folder does not exist")]
    OutputFolderMissing {
        /// As named by the caller.
        name: String,
    },
    /// The output folder is not ours to write to, or is on a read-only file system.
    #[error("{name} cannot be written: {source}")]
    NotWritable {
        /// As named by the caller.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No space is left (disk, quota or file size limit).
    #[error("{name} cannot be written, no space is left: {source}")]
    DiskFull {
        /// As named by the caller.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Any other failure while writing.
    #[error("{name} cannot be written: {source}")]
    Write {
        /// As named by the caller.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Coded for VolumeError {
    /// A missing output folder is [`ErrorCode::NotFound`]; a folder that cannot be written to, a full disk and a file that
    /// changed while it was read are [`ErrorCode::Environment`].
    fn code(&self) -> ErrorCode {
        use VolumeError::*;
        match self {
            UnknownReader { .. } => ErrorCode::InvalidModel,
            TooManyVoxels { .. } | TooManyBytes { .. } => ErrorCode::LimitExceeded,
            Read { .. } | Changed { .. } | NotWritable { .. } | DiskFull { .. } | Write { .. } => {
                ErrorCode::Environment
            }
            NoMemory { .. } => ErrorCode::LimitExceeded,
            OutOfMemory(error) => error.code(),
            OutputFolderMissing { .. } => ErrorCode::NotFound,
            ShapeMismatch { .. } | OutputName { .. } => ErrorCode::InvalidArgument,
            LabelMap { source, .. } => source.code(),
            Cancelled(cancelled) => cancelled.code(),
            NotAFile { .. }
            | UnknownFormat { .. }
            | Detached { .. }
            | DataFile { .. }
            | DataFileTooLong { .. }
            | CompressedAsAWhole { .. }
            | HeaderTooLong { .. }
            | HeaderLine { .. }
            | SeveralValues { .. }
            | SegmentLayers { .. }
            | Zlib { .. }
            | NotNifti { .. }
            | SeparateHeader { .. }
            | TruncatedHeader { .. }
            | HeaderField { .. }
            | VoxelType { .. }
            | Dimensions { .. }
            | EmptyAxis { .. }
            | DimensionsOverflow { .. }
            | NotFinite { .. }
            | Geometry { .. }
            | NotOrthonormal { .. }
            | TruncatedPayload { .. }
            | ImpossibleCompression { .. }
            | Gzip { .. }
            | TrailingData { .. }
            | Lengths { .. }
            | NotALabel { .. } => ErrorCode::InvalidInput,
        }
    }
}
