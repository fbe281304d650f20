//! Series of a folder: listed by their headers, then read.

mod assemble;
mod axes;
mod folder;
mod headed;
mod list;
mod model;
mod options;
mod phase;
mod placed;
mod plan;
mod read;
mod record;
mod select;
mod single;
mod source;
mod stack;
mod study;
mod vector;

pub use axes::ArrayAxes;
pub use list::list;
pub use model::{Listing, OtherFile, Problem, Series, SeriesSummary, SourceSlice};
pub use options::{BrokenFiles, Duplicates, FrameOfReference, Layout, SeriesOptions, Tilt};
pub use phase::{PhaseContradiction, PhaseEvidence, check_phase};
pub use read::{DicomScan, hash_series, read};
pub use single::SingleFile;
pub use study::Study;

/// Reads all that a listing reads of one file.
pub(crate) fn read_header(header: &crate::guard::DicomHeader) {
    let image = record::ImageFile::of(header);
    let _ = image.is_localizer();
    let _ = phase::PhaseEvidence::of(&header.object);
    let _ = study::copied(&header.object);
}
