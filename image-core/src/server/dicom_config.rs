//! The keys `[dicom]` of a server's configuration.

use std::ops::Bound;

use nephrite_dicom::{BrokenFiles, Duplicates, FrameOfReference, Layout, SeriesOptions, Tilt};
use nephrite_settings::Section;
use nephrite_settings::kind::{Kind, choice, number};

/// `[dicom]`: how irregular a series may be.
pub(super) fn read_dicom(top: &mut Section<'_>) -> SeriesOptions {
    top.table("dicom", "how irregular a DICOM series may be", read)
}

fn read(section: &mut Section<'_>) -> SeriesOptions {
    let default = SeriesOptions::default();
    SeriesOptions {
        spacing_tolerance: section.get(
            "spacing_tolerance",
            fraction(),
            default.spacing_tolerance,
            "how far a slice may lie from its even place, as a fraction of the step",
        ),
        shift_tolerance: section.get(
            "shift_tolerance",
            fraction(),
            default.shift_tolerance,
            "how far slices may shift against each other from first to last, as a fraction of a pixel",
        ),
        tilt: section.get(
            "tilt",
            choice(&[("refuse", Tilt::Refuse), ("resample", Tilt::Resample)]),
            default.tilt,
            "what becomes of a series whose gantry was tilted",
        ),
        duplicates: section.get(
            "duplicates",
            choice(&[
                ("refuse", Duplicates::Refuse),
                ("identical", Duplicates::Identical),
            ]),
            default.duplicates,
            "what becomes of two slices at one place: refused, or one is taken if their pixels are equal",
        ),
        frame_of_reference: section.get(
            "frame_of_reference",
            choice(&[
                ("require", FrameOfReference::Require),
                ("optional", FrameOfReference::Optional),
            ]),
            default.frame_of_reference,
            "whether a series must name its frame of reference",
        ),
        broken_files: section.get(
            "broken_files",
            choice(&[("refuse", BrokenFiles::Refuse), ("ignore", BrokenFiles::Ignore)]),
            default.broken_files,
            "what becomes of a series beside which a DICOM file is broken",
        ),
        layout: section.get(
            "layout",
            choice(&[("dcm2niix", Layout::Dcm2niix), ("slices", Layout::Slices)]),
            default.layout,
            "how the axes of the array run: as dcm2niix writes them, or so for 3-D MR, too",
        ),
        modalities: default.modalities,
    }
}

fn fraction() -> Kind<f64> {
    number((Bound::Included(0.0), Bound::Included(1.0)))
}
