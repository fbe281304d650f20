//! A scan as a DICOM series, and masks of it as DICOM objects.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_dicom::test_util::{Labels, Way, single_frame, write};
use nephrite_dicom::{DicomLimits, SeriesOptions, list};
use nephrite_dicom_objects::{
    Algorithm, Equipment, Holes, LabelmapCompression, ObjectLimits, ObjectRequest, Placement, SegKind,
    SourceSeries, write_seg, write_structure_set,
};
use nephrite_kernel::Mask;
use nephrite_types::{Affine, CancelToken, Limits};
use nephrite_volume::{Reader, read_volume};

/// Writes the scan of a file into a new folder as a series, moved by so many mm.
pub(crate) fn write_series(scan: &Path, folder: &Path, by_mm: [f64; 3]) {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let file = File::open(scan).unwrap();
    let read = read_volume(file, "scan", Reader::SimpleItk, &limits, &cancel);
    let mut volume = read.unwrap().volume;
    let mut rows = volume.geometry.affine.rows();
    rows.iter_mut().zip(by_mm).for_each(|(row, mm)| row[3] += mm);
    volume.geometry.affine = Affine::new([rows[0], rows[1], rows[2]]).unwrap();
    fs::create_dir_all(folder).unwrap();
    let dir = Dir::open_ambient_dir(folder, ambient_authority()).unwrap();
    write(&dir, &single_frame(&volume, Way::PLAIN, &Labels::default()));
}

/// The series of a folder, as objects refer to it.
pub(crate) fn source(folder: &Path) -> SourceSeries {
    let dir = Dir::open_ambient_dir(folder, ambient_authority()).unwrap();
    let (limits, options) = (DicomLimits::DEFAULT, SeriesOptions::default());
    let listing = list(&dir, "series", &limits, &options, &CancelToken::new()).unwrap();
    SourceSeries::of(listing.select(None).unwrap()).unwrap()
}

/// Writes `NAME.seg.dcm`, `NAME.labelmap.dcm`, and `NAME.rtstruct.dcm`.
pub(crate) fn write_objects(name: &Path, source: &SourceSeries, mask: &Mask) {
    let limits = ObjectLimits::default();
    let request = ObjectRequest {
        source,
        masks: std::slice::from_ref(mask),
        codes: &BTreeMap::new(),
        placement: Placement::OnSource,
        case: [7; 32],
        role: "mask",
        series_number: 9001,
        description: "mask",
        algorithm: &Algorithm {
            name: "mask".to_owned(),
            version: "1".to_owned(),
        },
        equipment: &Equipment::nephrite(),
        limits: &limits,
    };
    let (mut seg, mut labelmap, mut contours) = (Vec::new(), Vec::new(), Vec::new());
    write_seg(&request, SegKind::Binary, &mut seg).unwrap();
    let kind = SegKind::Labelmap(LabelmapCompression::Native);
    write_seg(&request, kind, &mut labelmap).unwrap();
    write_structure_set(&request, Holes::Keyhole, &mut contours).unwrap();
    for (ending, bytes) in [("seg", seg), ("labelmap", labelmap), ("rtstruct", contours)] {
        let file = format!("{}.{ending}.dcm", name.display());
        fs::write(file, bytes).unwrap();
    }
}
