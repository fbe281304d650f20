//! DICOM segmentations and structure sets where a file of a mask may stand.

use std::fs::{self, File};

use nephrite_dicom_objects::SourceSeries;
use nephrite_kernel::{LabelEntry, LabelStatus, LabelTable, Mask, read_mask};
use nephrite_types::{CancelToken, Limits};
use serde_json::Value;

use crate::nifti_file::NiftiFile;
use crate::object_files;
use crate::scene::{Outcome, Scene, golden_model};

const CASCADE: &str = "Dataset906_Cascade/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres";
const INPUT: i32 = 3;

/// Labels 1 and 2 on the voxels of the scan.
fn label_map() -> NiftiFile {
    let mut map = NiftiFile::scan([24, 20, 18], [1.5, 1.5, 1.8]);
    for (i, voxel) in map.voxels.iter_mut().enumerate() {
        let (x, y, z) = (i % 24, i / 24 % 20, i / 480);
        *voxel = match (x, y, z) {
            (2..=9, 4..=12, 3..=9) => 1,
            (12..=20, 3..=8, 8..=15) => 2,
            _ => 0,
        };
    }
    map
}

/// A scene with the scan as a series, too, and a mask as a label map, segmentations, and a structure set.
fn scene() -> Scene {
    let scene = Scene::new();
    scene.write("mask.nii.gz", &label_map().gzip());
    write_series(&scene, "series", [0.0; 3]);
    let mask = mask(&scene);
    let source = source(&scene, "series");
    write_objects(&scene, "mask", &source, &mask);
    scene
}

/// The scan as a series, moved by so many mm.
fn write_series(scene: &Scene, folder: &str, by_mm: [f64; 3]) {
    object_files::write_series(&scene.path("scan.nii.gz"), &scene.path(folder), by_mm);
}

fn mask(scene: &Scene) -> Mask {
    let file = File::open(scene.path("mask.nii.gz")).unwrap();
    let entry = |id, name: &str| LabelEntry {
        id,
        name: name.to_owned(),
        status: LabelStatus::Present,
    };
    let names = LabelTable::new(vec![entry(1, "kidney"), entry(2, "tumor")]).unwrap();
    read_mask(file, "mask", &names, &Limits::default(), &CancelToken::new()).unwrap()
}

fn source(scene: &Scene, folder: &str) -> SourceSeries {
    object_files::source(&scene.path(folder))
}

/// `NAME.seg.dcm`, `NAME.labelmap.dcm`, and `NAME.rtstruct.dcm`.
fn write_objects(scene: &Scene, name: &str, source: &SourceSeries, mask: &Mask) {
    object_files::write_objects(&scene.path(name), source, mask);
}

/// The same object, of another frame of reference: its UID has its last character changed.
fn of_other_frame(scene: &Scene, name: &str, to: &str) {
    let mut bytes = scene.read(name);
    let uid = source(scene, "series").frame_of_reference_uid;
    let places: Vec<usize> = (0..bytes.len() - uid.len())
        .filter(|at| bytes[*at..].starts_with(uid.as_bytes()) && bytes[at + uid.len()] < b'.')
        .collect();
    assert!(!places.is_empty());
    for at in places {
        let last = &mut bytes[at + uid.len() - 1];
        *last = if *last == b'1' { b'2' } else { b'1' };
    }
    scene.write(to, &bytes);
}

fn cascade(scene: &Scene, input: &str, mask: &str, output: &str) -> Outcome {
    let arguments = ["--input", input, "--previous-stage", mask, "--output", output];
    scene.segment(&golden_model(CASCADE), &arguments)
}

#[test]
fn an_object_is_the_mask_of_a_previous_stage_as_its_label_map_is() {
    let scene = scene();
    cascade(&scene, "scan.nii.gz", "mask.nii.gz", "out/map.nii.gz").succeeded();
    let expected = scene.read("out/map.nii.gz");
    for object in ["seg", "labelmap", "rtstruct"] {
        let object = format!("mask.{object}.dcm");
        cascade(&scene, "scan.nii.gz", &object, "out/object.nii.gz").succeeded();
        assert!(
            scene.read("out/object.nii.gz") == expected,
            "{object} on the file"
        );
    }
    cascade(&scene, "series", "mask.nii.gz", "out/map.nii.gz").succeeded();
    let expected = scene.read("out/map.nii.gz");
    for object in ["seg", "labelmap", "rtstruct"] {
        let object = format!("mask.{object}.dcm");
        cascade(&scene, "series", &object, "out/object.nii.gz").succeeded();
        assert!(
            scene.read("out/object.nii.gz") == expected,
            "{object} on the series"
        );
    }
}

#[test]
fn an_object_that_lies_elsewhere_is_no_mask_of_a_previous_stage() {
    let scene = scene();
    // Half a voxel along x; far away.
    for (name, by_mm) in [("half", [0.75, 0.0, 0.0]), ("far", [150.0, 0.0, 0.0])] {
        write_series(&scene, name, by_mm);
        let source = source(&scene, name);
        let mut moved = label_map();
        (0..3).for_each(|r| moved.srow[r][3] += by_mm[r] as f32);
        let at = scene.read("mask.nii.gz");
        scene.write("mask.nii.gz", &moved.gzip());
        write_objects(&scene, name, &source, &mask(&scene));
        scene.write("mask.nii.gz", &at);
    }
    let refused = |input: &str, object: &str, says: &[&str]| {
        cascade(&scene, input, object, "out/no.nii.gz").refused(INPUT, &[says, &[object]].concat());
        assert!(!scene.path("out/no.nii.gz").exists());
    };
    for input in ["scan.nii.gz", "series"] {
        for object in ["half.seg.dcm", "half.labelmap.dcm"] {
            refused(input, object, &["does not lie on the voxels", "0.500 voxels off"]);
        }
        for object in ["far.seg.dcm", "far.labelmap.dcm"] {
            refused(input, object, &["outside the grid"]);
        }
    }
    // Of another frame of reference, which only a series states.
    for object in ["seg", "labelmap", "rtstruct"] {
        let (from, to) = (format!("mask.{object}.dcm"), format!("other.{object}.dcm"));
        of_other_frame(&scene, &from, &to);
        refused("series", &to, &["FrameOfReferenceUID", "that of the"]);
        cascade(&scene, "scan.nii.gz", &to, "out/yes.nii.gz").succeeded();
        fs::remove_file(scene.path("out/yes.nii.gz")).unwrap();
    }
    scene.write("broken.dcm", &scene.read("mask.seg.dcm")[..600]);
    refused("scan.nii.gz", "broken.dcm", &[]);
}

#[test]
fn a_segmentation_is_resized_as_its_label_map_is() {
    let scene = scene();
    let resize = |input: &str, output: &str| {
        let files = ["resize", "--label-map", "--input", input, "--output", output];
        scene.run(&[&files[..], &["--spacing", "0.75,0.75,0.9"]].concat())
    };
    // The object has the slices with a voxel alone, so its size is not that of the label map; that of a voxel is.
    resize("mask.nii.gz", "out/map.nii.gz").succeeded();
    resize("mask.labelmap.dcm", "out/object.nii.gz").succeeded();
    let voxels = |name: &str| {
        let report = ["--report", "out/report.json", "--quiet"];
        let arguments = ["mask", "cleanup", "--input", name];
        scene.run(&[&arguments[..], &report].concat()).succeeded();
        let report: Value = serde_json::from_slice(&scene.read("out/report.json")).unwrap();
        let labels = report["masks"][0]["labels"].as_array().unwrap().clone();
        labels
            .iter()
            .map(|label| label["voxels"].as_u64().unwrap())
            .collect::<Vec<u64>>()
    };
    let found = voxels("out/object.nii.gz");
    assert_eq!(found, voxels("out/map.nii.gz"));
    let eightfold = voxels("mask.nii.gz").into_iter().map(|n| 8 * n);
    assert_eq!(found, eightfold.collect::<Vec<u64>>());
    resize("mask.rtstruct.dcm", "out/no.nii.gz").refused(2, &["--input", "contours and no voxels"]);
    let replaced = resize("mask.seg.dcm", "mask.seg.dcm");
    assert_eq!(replaced.exit, Some(2), "{replaced:?}");
    assert!(!scene.path("out/no.nii.gz").exists());
}

/// Operations on DICOM objects, and on the label map that they were made of, on every grid of the scan.
#[test]
fn an_object_is_what_its_label_map_is_for_an_operation() {
    let scene = scene();
    let cleaned = |input: &str, grid: &[&str]| {
        let files = [
            "mask",
            "cleanup",
            "--input",
            input,
            "--output",
            "out/clean.nii.gz",
        ];
        let more = ["--labels", "kidney=1,tumor=2", "--quiet", "--set", "erode_mm=2"];
        let grid: Vec<&str> = grid.iter().flat_map(|grid| ["--grid", grid]).collect();
        scene.run(&[&files[..], &more, &grid].concat()).succeeded();
        scene.read("out/clean.nii.gz")
    };
    for grid in ["scan.nii.gz", "series", "series#1.2.826.0.1.3680043.10.1"] {
        scene
            .run(&[
                "mask",
                "merge",
                "--input",
                "mask.seg.dcm",
                "--grid",
                grid,
                "--output",
                "out/on.nii.gz",
            ])
            .succeeded();
        let expected = cleaned("out/on.nii.gz", &[]);
        for object in ["seg", "labelmap", "rtstruct"] {
            assert!(
                cleaned(&format!("mask.{object}.dcm"), &[grid]) == expected,
                "{object} on {grid}"
            );
        }
    }
    // On the file, that is the grid of the label map as it was.
    assert_eq!(
        cleaned("mask.rtstruct.dcm", &["scan.nii.gz"]),
        cleaned("mask.nii.gz", &[])
    );
    // Once per input; label maps have a grid of their own.
    let merged = [
        "mask",
        "merge",
        "--input",
        "mask.nii.gz",
        "--input",
        "mask.rtstruct.dcm",
    ];
    let merged = [
        &merged[..],
        &["--labels", "kidney=1,tumor=2", "--output", "out/merged.nii.gz"],
    ]
    .concat();
    let grids = ["--grid", "mask.nii.gz", "--grid", "scan.nii.gz"];
    scene.run(&[&merged[..], &grids].concat()).succeeded();
    let wrong = [&merged[..], &grids, &grids[..2]].concat();
    scene.run(&wrong).refused(2, &["--grid", "3 times for 2 inputs"]);
    let useless = ["mask", "cleanup", "--input", "mask.nii.gz", "--grid", "series"];
    scene
        .run(&useless)
        .refused(2, &["--grid is series", "a grid of their own"]);
}

/// A label map, eroded, beside the objects that it was made of before: every number is the same for each of them.
#[test]
fn an_object_is_a_reference_as_its_label_map_is() {
    let scene = scene();
    let names = ["--labels", "kidney=1,tumor=2"];
    let erode = [
        "mask",
        "cleanup",
        "--input",
        "mask.nii.gz",
        "--quiet",
        "--set",
        "erode_mm=2",
    ];
    scene
        .run(&[&erode[..], &names, &["--output", "out/eroded.nii.gz"]].concat())
        .succeeded();
    let compared = |reference: &str, grid: &[&str]| {
        let reference = format!("reference={reference}");
        let files = [
            "mask",
            "compare",
            "--input",
            "out/eroded.nii.gz",
            "--input",
            &reference,
        ];
        let out = ["--output", "out/difference.nii.gz", "--report", "out/report.json"];
        let found = scene.run(&[&files[..], &names, &out, grid].concat()).succeeded();
        let report: serde_json::Value = serde_json::from_slice(&scene.read("out/report.json")).unwrap();
        (
            report["measurements"].clone(),
            scene.read("out/difference.nii.gz"),
            found.stdout,
        )
    };
    let (measured, difference, shown) = compared("mask.nii.gz", &[]);
    let of = |label: &str, name: &str| {
        let mut all = measured.as_array().unwrap().iter();
        let one = all.find(|found| found["label"] == label && found["name"] == name);
        one.unwrap()["value"].as_f64().unwrap()
    };
    let (voxels, before) = (of("kidney", "voxels"), of("kidney", "reference_voxels"));
    assert!(voxels > 0.0 && voxels < before && of("kidney", "common_voxels") == voxels);
    assert_eq!(of("kidney", "dice"), 2.0 * voxels / (voxels + before));
    assert!(shown.contains("dice") && shown.contains("tumor"), "{shown}");
    for object in ["seg", "labelmap", "rtstruct"] {
        let object = format!("mask.{object}.dcm");
        let (found, voxels, _) = compared(&object, &["--grid", "scan.nii.gz"]);
        assert_eq!(found, measured, "{object}");
        assert_eq!(voxels, difference, "{object}");
    }
    // Names of somebody else: nothing is compared unless somebody says by what.
    let other = [
        "mask",
        "compare",
        "--input",
        "out/eroded.nii.gz",
        "--input",
        "reference=mask.nii.gz",
    ];
    let named = ["--labels", "kidney=1,tumor=2", "--labels", "Niere=1,Tumor=2"];
    let refused = scene.run(&[&other[..], &named].concat());
    refused.refused(INPUT, &["kidney=1", "Niere=1", "paired by name"]);
    scene
        .run(&[&other[..], &named, &["--set", "match=id"]].concat())
        .succeeded();
}

#[test]
fn a_structure_set_without_its_scan_is_refused() {
    let scene = scene();
    write_series(&scene, "moved", [0.0, 0.0, 0.9]);
    let refused = |input: &str, more: &[&str], exit: i32, says: &[&str]| {
        let files = ["mask", "cleanup", "--input", input, "--output", "out/no.nii.gz"];
        scene.run(&[&files[..], more].concat()).refused(exit, says);
        assert!(!scene.path("out/no.nii.gz").exists());
    };
    let set = "mask.rtstruct.dcm";
    refused(set, &[], INPUT, &["--grid is missing", set]);
    refused(set, &["--grid", "nothing"], INPUT, &["nothing"]);
    refused(
        set,
        &["--grid", "series#1.2.3"],
        INPUT,
        &["holds no series 1.2.3"],
    );
    refused(
        set,
        &["--grid", "moved"],
        INPUT,
        &["lies on no slice of the scan", set],
    );
    of_other_frame(&scene, set, "other.rtstruct.dcm");
    let other = "other.rtstruct.dcm";
    refused(
        other,
        &["--grid", "series"],
        INPUT,
        &["ReferencedFrameOfReferenceUID", other],
    );
    of_other_frame(&scene, "mask.seg.dcm", "other.seg.dcm");
    let frame = ["FrameOfReferenceUID", "that of the grid"];
    refused("other.seg.dcm", &["--grid", "series"], INPUT, &frame);
    // Neither of both may be replaced.
    let before = scene.read("scan.nii.gz");
    let onto_grid = ["mask", "cleanup", "--input", set, "--grid", "scan.nii.gz"];
    let replaced = scene.run(&[&onto_grid[..], &["--output", "scan.nii.gz"]].concat());
    replaced.refused(2, &["would replace an input", "scan.nii.gz"]);
    assert_eq!(scene.read("scan.nii.gz"), before);
}

#[test]
fn contours_that_are_left_out_are_told() {
    let scene = scene();
    // One contour becomes a line that is open.
    let mut bytes = scene.read("mask.rtstruct.dcm");
    let at = bytes
        .windows(14)
        .position(|window| window == b"CLOSED_PLANAR ")
        .unwrap();
    bytes[at..at + 14].copy_from_slice(b"OPEN_PLANAR   ");
    scene.write("open.dcm", &bytes);
    let told = "1 contours of \"kidney\" are points or open lines";
    let files = [
        "mask",
        "cleanup",
        "--input",
        "open.dcm",
        "--grid",
        "series",
        "--report",
        "out/report.json",
    ];
    let outcome = scene.run(&files).succeeded();
    assert!(outcome.stderr.contains(told), "{outcome:?}");
    let report: Value = serde_json::from_slice(&scene.read("out/report.json")).unwrap();
    assert_eq!(report["warnings"][0]["code"], "dicom_object");
    let outcome = cascade(&scene, "series", "open.dcm", "out/mask.nii.gz").succeeded();
    assert!(outcome.stderr.contains(told), "{outcome:?}");
}

#[test]
fn an_object_is_no_scan() {
    let scene = scene();
    for (object, what) in [("seg", "a segmentation"), ("rtstruct", "a structure set")] {
        let object = format!("mask.{object}.dcm");
        let files = [
            "resize",
            "--input",
            &object,
            "--output",
            "out/no.nii.gz",
            "--spacing",
            "2,2,2",
        ];
        scene
            .run(&files)
            .refused(INPUT, &[&format!("{what} is no scan"), &object]);
        let grid = ["mask", "cleanup", "--input", "mask.seg.dcm", "--grid", &object];
        scene
            .run(&grid)
            .refused(INPUT, &[&format!("{what} is no scan"), &object]);
    }
}
