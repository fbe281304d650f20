//! What other programs make of our objects: validators find no error, and readers find the same voxels.
//!
//! `tests/foreign.py` writes the same masks with other programs, for our readers; `tests/validate.py` reads and validates ours. They
//! run with the Python that `NEPHRITE_DICOM_PEERS` names, or with that of `build/dicom-peers`, which `make dicom-peers` makes of
//! `tests/peers.txt`. Without either the test says so and passes.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

mod phantom;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use nephrite_dicom::{DicomLimits, SeriesOptions, list, open_bytes};
use nephrite_dicom_objects::*;
use nephrite_mask_codec::{LabelEntry, LabelStatus, LabelTable, Mask, RunMask};
use nephrite_types::{CancelToken, Labels, Limits};
use nephrite_volume::{SourceGeometry, write_label_map};

use phantom::{SHAPE, label, write_image};

/// Directions of rows and columns, LPS, and mm from row to row and from column to column.
const PLANES: [(&str, [f64; 6], [f64; 2]); 4] = [
    ("axial", [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [0.8, 0.8]),
    ("sagittal", [0.0, 1.0, 0.0, 0.0, 0.0, -1.0], [0.7, 0.9]),
    ("coronal", [1.0, 0.0, 0.0, 0.0, 0.0, -1.0], [0.8, 0.8]),
    ("oblique", [0.8, 0.6, 0.0, -0.36, 0.48, -0.8], [0.7, 0.9]),
];

fn python() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("NEPHRITE_DICOM_PEERS") {
        return Some(named.into());
    }
    let of_build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../build/dicom-peers/bin/python");
    of_build.exists().then_some(of_build)
}

fn mask(geometry: nephrite_types::Geometry, labels: ndarray::Array3<u16>) -> Mask {
    let names = ["kidney_left", "tumor", "lymph node ä", "spleen"];
    let entries = names.iter().zip(1u16..).map(|(name, id)| LabelEntry {
        id,
        name: (*name).to_owned(),
        status: LabelStatus::Present,
    });
    let runs = RunMask::from_labels(&Labels::U16(labels), &geometry, &Limits::default()).unwrap();
    Mask::new(runs, LabelTable::new(entries.collect()).unwrap()).unwrap()
}

fn codes() -> BTreeMap<String, LabelCodes> {
    let of = |category: &str, kind: &str, modifier: Option<&str>| LabelCodes {
        category: category.parse().unwrap(),
        property_type: kind.parse().unwrap(),
        modifier: modifier.map(|code| code.parse().unwrap()),
    };
    let structure = "SCT:123037004:Anatomical Structure";
    let altered = "SCT:49755003:Morphologically Altered Structure";
    BTreeMap::from([
        (
            "kidney_left".to_owned(),
            of(structure, "SCT:64033007:Kidney", Some("SCT:7771000:Left")),
        ),
        ("tumor".to_owned(), of(altered, "SCT:108369006:Neoplasm", None)),
    ])
}

/// What `validate.py` finds in the folder of a case.
const OBJECTS: &str = r#"{
  "source": "source",
  "mask": "mask.nii.gz",
  "image_shows_mask": true,
  "labels": ["kidney_left", "tumor", "lymph node ä"],
  "segmentations": ["seg.dcm", "labelmap.dcm", "labelmap_rle.dcm"],
  "segmentations_on_own_grid": ["seg_own.dcm"],
  "other_segmentations": ["seg_lossy.dcm"],
  "structure_sets": ["rtstruct.dcm", "rtstruct_xor.dcm"],
  "reports": ["sr.dcm"]
}
"#;

/// Writes a series, a mask as NIfTI, and all objects of both.
fn write_case(folder: &Path, plane: [f64; 6], spacing: [f64; 2]) -> (SourceSeries, Mask) {
    let source = folder.join("source");
    std::fs::create_dir_all(&source).unwrap();
    let value = |label: u16| [-50i16, 120, 60, 30][usize::from(label)];
    for k in 0..SHAPE[0] {
        write_image(&source, k, plane, spacing, |row, column| {
            value(label(k, row, column))
        });
    }
    let dir = |path: &Path| cap_std::fs::Dir::open_ambient_dir(path, cap_std::ambient_authority()).unwrap();
    let limits = DicomLimits::default();
    let listing = list(
        &dir(&source),
        "source",
        &limits,
        &SeriesOptions::default(),
        &CancelToken::new(),
    )
    .unwrap();
    let series = listing.select(None).unwrap();
    let (geometry, axes) = (series.geometry().unwrap(), series.axes().unwrap());
    let labels = ndarray::Array3::from_shape_fn(geometry.shape.zyx(), |(z, y, x)| {
        let [k, row, column] = axes.source_index([z, y, x]);
        label(k, row, column)
    });
    let nifti = SourceGeometry::from_geometry(&geometry);
    write_label_map(&dir(folder), "mask.nii.gz", &Labels::U16(labels.clone()), &nifti).unwrap();
    let masks = [mask(geometry, labels)];
    let (source, codes) = (SourceSeries::of(series).unwrap(), codes());
    let algorithm = Algorithm {
        name: "nnU-Net abdomen".to_owned(),
        version: "3".to_owned(),
    };
    let (equipment, object_limits) = (Equipment::nephrite(), ObjectLimits::default());
    let request = ObjectRequest {
        source: &source,
        masks: &masks,
        codes: &codes,
        placement: Placement::OnSource,
        case: [7; 32],
        role: "organs",
        series_number: 900,
        description: "Organs",
        algorithm: &algorithm,
        equipment: &equipment,
        limits: &object_limits,
    };
    let save = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    save("objects.json", OBJECTS.as_bytes());
    let mut binary = None;
    for (name, kind) in [
        ("seg.dcm", SegKind::Binary),
        ("labelmap.dcm", SegKind::Labelmap(LabelmapCompression::Native)),
        ("labelmap_rle.dcm", SegKind::Labelmap(LabelmapCompression::Rle)),
    ] {
        let mut bytes = Vec::new();
        let written = write_seg(&request, kind, &mut bytes).unwrap();
        save(name, &bytes);
        assert_eq!(verify_seg(bytes, &request, &written).unwrap().len(), 3);
        assert_eq!(written.absent, [("spleen".to_owned(), LabelStatus::NotFound)]);
        binary.get_or_insert(written);
    }
    let lossy = SourceSeries {
        is_lossy: true,
        lossy_details: Some(("12.5".to_owned(), "ISO_15444_1".to_owned())),
        ..source.clone()
    };
    let of_lossy = ObjectRequest {
        source: &lossy,
        role: "lossy",
        ..request.clone()
    };
    let on_own_grid = ObjectRequest {
        placement: Placement::OwnGrid,
        ..request.clone()
    };
    for (name, request) in [("seg_lossy.dcm", of_lossy), ("seg_own.dcm", on_own_grid)] {
        let mut bytes = Vec::new();
        let written = write_seg(&request, SegKind::Binary, &mut bytes).unwrap();
        save(name, &bytes);
        verify_seg(bytes, &request, &written).unwrap();
    }
    for (name, holes) in [("rtstruct.dcm", Holes::Keyhole), ("rtstruct_xor.dcm", Holes::Xor)] {
        let mut bytes = Vec::new();
        let written = write_structure_set(&request, holes, &mut bytes).unwrap();
        save(name, &bytes);
        verify_structure_set(bytes, &request, &written).unwrap();
    }
    let segmentation = binary.unwrap();
    let means = BTreeMap::from([("kidney_left".to_owned(), 120.0)]);
    let report = ReportRequest {
        segmentation: &segmentation,
        mean_attenuation_hu: &means,
    };
    let mut bytes = Vec::new();
    let written = write_report(&request, &report, &mut bytes).unwrap();
    save("sr.dcm", &bytes);
    verify_report(bytes, &request, &written, &segmentation).unwrap();
    let [mask] = masks;
    (source, mask)
}

/// Whether the label of this id has the same voxels in masks of the same grid.
fn is_same(found: &[Mask], expected: &Mask, id: u16) -> bool {
    let alone = |mask: &Mask| mask.runs().relabel(|_, run| u16::from(run.label == id));
    let found = found.iter().find(|mask| mask.labels().by_id(id).is_some());
    let (found, expected) = (alone(found.unwrap()), alone(expected));
    found.runs() == expected.runs() && found.row_starts() == expected.row_starts()
}

/// Reads what other programs wrote of the same mask.
fn read_foreign(folder: &Path, source: &SourceSeries, mask: &Mask) {
    let open = |name: &str| {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        open_bytes(bytes, name, &DicomLimits::default()).unwrap()
    };
    let (grid, limits) = (mask.runs().geometry(), ObjectLimits::default());
    let onto = Some(Onto {
        geometry: grid,
        frame_of_reference_uid: Some(&source.frame_of_reference_uid),
    });
    for name in [
        "binary",
        "binary_all",
        "labelmap",
        "labelmap_rle",
        "fractional",
        "dcmqi",
    ] {
        let file = open(&format!("foreign_{name}.dcm"));
        let threshold = |fractional_threshold| ReadOptions { fractional_threshold };
        if name == "fractional" {
            let refused = read_seg(&file, onto, threshold(None), &limits).unwrap_err();
            assert!(matches!(refused, ObjectError::Fractional { .. }));
        }
        let found = read_seg(&file, onto, threshold(Some(0.5)), &limits).unwrap();
        for id in 1..=3 {
            assert!(
                is_same(&found.masks, mask, id),
                "{}: {name}, label {id}",
                folder.display()
            );
        }
    }
    // Contours through centers of voxels, and holes that look like islands. rt-utils 1.2.7 takes the spacing of rows for that of
    // columns, so only square voxels come out where they were.
    let [row_mm, column_mm] = source.slices[0].spacing;
    if row_mm != column_mm {
        return;
    }
    let file = open("foreign_rt_utils.dcm");
    let read = |nested| {
        read_structure_set(
            &file,
            Slices::Series(source),
            Some(grid),
            StructureSetOptions { nested },
            &limits,
        )
    };
    let refused = read(Nested::Refuse).unwrap_err();
    assert!(refused.to_string().contains("overlap in one slice"), "{refused}");
    let found = read(Nested::Xor).unwrap();
    for id in 1..=3 {
        assert!(
            is_same(&found.masks, mask, id),
            "{}: rt-utils, label {id}",
            folder.display()
        );
    }
}

fn run(python: &Path, script: &str, folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let status = Command::new(python).arg(&script).arg(folder).status().unwrap();
    assert!(status.success(), "{}: {status}", script.display());
}

#[test]
#[ignore = "takes half a minute, and programs from the Python package index"]
fn peers_agree() {
    let Some(python) = python() else {
        println!("skipped: neither NEPHRITE_DICOM_PEERS nor build/dicom-peers names a Python with the peers");
        return;
    };
    let kept = std::env::var_os("NEPHRITE_DICOM_PEERS_OUT").map(PathBuf::from);
    let scratch = tempfile::tempdir().unwrap();
    let folder = kept.unwrap_or_else(|| scratch.path().to_owned());
    let cases = PLANES
        .map(|(name, plane, spacing)| (folder.join(name), write_case(&folder.join(name), plane, spacing)));
    run(&python, "foreign.py", &folder);
    for (folder, (source, mask)) in &cases {
        read_foreign(folder, source, mask);
    }
    run(&python, "validate.py", &folder);
}

/// The same objects, read by ourselves alone.
#[test]
fn a_listed_series_and_its_mask_become_objects() {
    let scratch = tempfile::tempdir().unwrap();
    for (name, plane, spacing) in PLANES {
        write_case(&scratch.path().join(name), plane, spacing);
    }
}
