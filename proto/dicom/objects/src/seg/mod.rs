//! DICOM segmentations: written of masks, and read as masks.

mod bits;
mod frames;
mod groups;
mod kind;
mod packbits;
mod pixels_in;
mod pixels_out;
mod read;
mod segments;
mod write;

pub use kind::{LabelmapCompression, SegKind};
pub use read::{Onto, ReadOptions, SegmentInfo, SegmentationIn, read_seg};
pub use write::write_seg;
