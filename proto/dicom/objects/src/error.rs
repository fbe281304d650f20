//! Why an object was not written, not read, or not believed.

use nephrite_mask_codec::MaskError;
use nephrite_types::{Coded, ErrorCode, GeometryError};

/// Why a mask did not become an object, or an object did not become a mask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The source lacks an identifier that every object refers to.
    #[error("{of}: {attribute} is {found:?}, which is no UID; objects cannot refer to it")]
    SourceUid {
        /// The series, or a file of it by its place.
        of: String,
        /// The attribute.
        attribute: &'static str,
        /// As found, cut to 64 characters.
        found: String,
    },
    /// The source has no slices, or more than the limit.
    #[error("the source series has {found} slices, expected 1 to {limit}")]
    SliceCount {
        /// Of the process.
        limit: usize,
        /// Of the series.
        found: usize,
    },
    /// The slices of the source are no stack: matrix, orientation, spacing or steps differ.
    #[error("slice {slice} of the source series (in the order given): {reason}")]
    Slices {
        /// Counted from 0.
        slice: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The mask does not lie on the voxels of the source.
    #[error(
        "the mask does not lie on the voxels of the source series: a corner is {off_voxels:.3} voxels off, {tolerance} are allowed"
    )]
    OffGrid {
        /// The largest distance of a corner, in voxels of the source; infinite where axes do not match at all.
        off_voxels: f64,
        /// How much is allowed.
        tolerance: f64,
    },
    /// The mask has labels outside the grid that it must lie on.
    #[error("label {label} has voxels outside the grid")]
    OutsideGrid {
        /// The id of one such label.
        label: u16,
    },
    /// The axes of a grid are not at right angles, so no stack of frames or images can hold it.
    #[error("the axes of the grid are not at right angles (cosine {cosine:.2e})")]
    Sheared {
        /// The largest cosine between two axes.
        cosine: f64,
    },
    /// No label has a voxel.
    #[error("no label has a voxel, so there is nothing to write: {}", labels.join(", "))]
    NothingToWrite {
        /// The names of the labels that were looked for.
        labels: Vec<String>,
    },
    /// More labels than segment numbers.
    #[error("{found} labels, an object has room for {limit}")]
    TooManySegments {
        /// Of the format.
        limit: usize,
        /// Given.
        found: usize,
    },
    /// Two masks give one name to two labels.
    #[error("label {name:?} occurs in two masks")]
    NameTwice {
        /// The name.
        name: String,
    },
    /// A label map has one label per voxel.
    #[error(
        "labels {first:?} and {second:?} overlap, which a label map cannot hold; write a binary segmentation"
    )]
    Overlap {
        /// Of the first mask.
        first: String,
        /// Of a later one.
        second: String,
    },
    /// A size is over a limit.
    #[error("{what}: {found}, the limit is {limit}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// Of the process, or of the format.
        limit: u64,
        /// Wanted.
        found: u64,
    },
    /// A text does not fit its element.
    #[error("{attribute} {text:?}: {reason}")]
    Text {
        /// The attribute.
        attribute: &'static str,
        /// The text, cut to 100 characters.
        text: String,
        /// Why.
        reason: &'static str,
    },
    /// A measured value is NaN or infinite.
    #[error("mean attenuation of label {name:?} is {value}, which is no number")]
    NotFinite {
        /// The label.
        name: String,
        /// Given.
        value: f64,
    },
    /// Mean attenuation of images that have no Hounsfield units.
    #[error("mean attenuation of a series of modality {modality:?}: only CT has Hounsfield units")]
    NoAttenuation {
        /// Of the source.
        modality: String,
    },
    /// Voxels that are no Hounsfield units as they are stored.
    #[error(
        "a synthetic CT series is made of int16 voxels without a scale, which are Hounsfield units; found {found}"
    )]
    NoHounsfieldUnits {
        /// Type of the voxels.
        found: &'static str,
    },
    /// The library could not encode a data set.
    #[error("a data set cannot be encoded: {reason}")]
    Encode {
        /// As the library says it.
        reason: String,
    },
    /// Writing failed.
    #[error("an object cannot be written")]
    Write(#[from] std::io::Error),
    /// What was written does not say what it should.
    #[error("what was written does not hold the mask: {reason}")]
    Verify {
        /// The first difference.
        reason: String,
    },
    /// An object from outside is not what it claims to be, or not what is read here.
    #[error("{what}: {reason}")]
    Object {
        /// The attribute or part.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An object of a kind that is refused unless asked for.
    #[error("the segmentation is FRACTIONAL ({kind}); name a threshold to read it as a mask")]
    Fractional {
        /// Its fractional type.
        kind: String,
    },
    /// A mask cannot be.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// A geometry cannot be.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

impl ObjectError {
    /// Of an object from outside.
    pub(crate) fn object(what: impl Into<String>, reason: impl Into<String>) -> ObjectError {
        ObjectError::Object {
            what: what.into(),
            reason: reason.into(),
        }
    }

    /// Refuses a number above a limit.
    pub(crate) fn check(what: &'static str, found: u64, limit: u64) -> Result<(), ObjectError> {
        match found <= limit {
            true => Ok(()),
            false => Err(ObjectError::TooLarge { what, limit, found }),
        }
    }
}

impl Coded for ObjectError {
    fn code(&self) -> ErrorCode {
        match self {
            ObjectError::TooLarge { .. } | ObjectError::TooManySegments { .. } => ErrorCode::LimitExceeded,
            ObjectError::Write(_) => ErrorCode::Environment,
            ObjectError::Encode { .. } | ObjectError::Verify { .. } => ErrorCode::Internal,
            ObjectError::Text { .. }
            | ObjectError::NameTwice { .. }
            | ObjectError::Overlap { .. }
            | ObjectError::NotFinite { .. }
            | ObjectError::NoAttenuation { .. }
            | ObjectError::NoHounsfieldUnits { .. } => ErrorCode::InvalidArgument,
            ObjectError::Mask(error) => error.code(),
            _ => ErrorCode::InvalidInput,
        }
    }
}

/// Something that is not wrong enough to stop, and that its user should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectWarning {
    /// A label has no code, and is called tissue.
    #[error("label {label:?} has no code; it is written as SCT:85756007:Tissue")]
    NoCode {
        /// Its name.
        label: String,
    },
    /// The source has no date, and a content date must not be empty.
    #[error("the source series has no date; objects are dated 1900-01-01")]
    NoDate,
    /// A label name is too long, and was cut.
    #[error("label {label:?} is longer than the {max_chars} characters of {attribute}, and was cut there")]
    NameCut {
        /// Its name.
        label: String,
        /// Where.
        attribute: &'static str,
        /// Of the format.
        max_chars: usize,
    },
    /// Contours with fewer than three points were left out.
    #[error("{n} contours of {roi:?} have fewer than 3 points, and were left out")]
    ShortContours {
        /// Name of the region.
        roi: String,
        /// How many.
        n: usize,
    },
    /// Contours that enclose no area.
    #[error("{n} contours of {roi:?} are points or open lines, which enclose no voxel, and were left out")]
    OpenContours {
        /// Name of the region.
        roi: String,
        /// How many.
        n: usize,
    },
    /// A region has no contour on slices between two that have one.
    #[error("{roi:?} has no contour on {n} slices between its first and its last; nothing was put there")]
    SlicesBetween {
        /// Name of the region.
        roi: String,
        /// How many slices.
        n: usize,
    },
}
