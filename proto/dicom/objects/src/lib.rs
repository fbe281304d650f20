//! Masks as DICOM segmentations, structure sets and reports, and back.
//!
//! * [`write_seg`]: a segmentation, binary or as a label map. [`write_structure_set`]: contours along the edges of voxels.
//!   [`write_report`]: volumes, TID 1500. The same [`ObjectRequest`] gives the same bytes: identifiers follow from the case,
//!   dates from the source.
//! * [`verify_seg`], [`verify_structure_set`], [`verify_report`] read what was written and compare it with the masks, before it
//!   gets its name.
//! * [`read_seg`], [`read_structure_set`]: objects from outside as masks; [`read_report`]: the volumes of a report. Files are opened
//!   by [`nephrite_dicom::open_object`], which checks their size and depth first.
//! * [`SyntheticSeries`]: a volume that no scanner made as a CT series, for demos.
//!
//! Voxels are placed by position and orientation in the patient alone; a mask that does not lie on the voxels of its series is
//! refused, or written on a grid of its own where [`Placement::OwnGrid`] asks for it.
//!
//! ```
//! use nephrite_dicom_objects::{ObjectError, ObjectRequest, SegKind, Written, verify_seg, write_seg};
//!
//! /// The bytes of a binary segmentation that were read back, voxel by voxel.
//! fn segmentation(request: &ObjectRequest<'_>) -> Result<(Vec<u8>, Written), ObjectError> {
//!     let mut bytes = Vec::new();
//!     let written = write_seg(request, SegKind::Binary, &mut bytes)?;
//!     verify_seg(bytes.clone(), request, &written)?;
//!     Ok((bytes, written))
//! }
//! ```

mod alignment;
mod attributes;
mod check;
mod code;
mod color;
mod decimal;
mod error;
mod file;
mod frames_in;
#[doc(hidden)]
pub mod fuzzing;
mod item;
mod layers;
mod layers_in;
mod limits;
mod memory;
mod modules;
mod object_kind;
mod request;
mod reslice;
mod rtstruct;
mod seg;
mod source;
mod sr;
mod stack;
mod synthetic;
mod text;
mod uid;
mod vector;
mod verify;

#[cfg(test)]
mod tests;

pub use check::{check_label, check_source};
pub use code::{Code, CodeFault, LabelCodes};
pub use error::{ObjectError, ObjectWarning};
pub use limits::ObjectLimits;
pub use memory::ObjectAmount;
pub use object_kind::ObjectKind;
pub use request::{Algorithm, Equipment, ObjectRequest, Placement, Written};
pub use rtstruct::{
    Holes, Nested, RegionInfo, Slices, StructureSetIn, StructureSetOptions, read_structure_set,
    write_structure_set,
};
pub use seg::{
    LabelmapCompression, Onto, ReadOptions, SegKind, SegmentInfo, SegmentationIn, read_seg, write_seg,
};
pub use source::{SourceSeries, SourceSlice};
pub use sr::{ReportRequest, ReportedVolume, read_report, write_report};
pub use synthetic::{SyntheticSeries, SyntheticStudy};
pub use uid::is_uid;
pub use verify::{VerifiedLabel, verify_report, verify_seg, verify_structure_set};
