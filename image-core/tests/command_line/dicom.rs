//! A folder with a DICOM series in every place where a scan is named.

use std::fs::File;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_dicom::test_util::{Labels, Way, single_frame, write};
use nephrite_dicom::{DicomLimits, open_bytes};
use nephrite_dicom_objects::{ObjectLimits, ReadOptions, read_seg};
use nephrite_types::{Affine, CancelToken, Limits, Volume, Voxels};
use nephrite_volume::{Reader, Scan, read_volume};
use serde_json::{Value, json};

use crate::scene::{ONE_CHANNEL, Scene};

const ARTERIAL: &str = "1.2.826.0.1.3680043.10.1";
const PORTAL: &str = "1.2.826.0.1.3680043.10.2";

fn read(scene: &Scene, name: &str) -> Scan {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let file = File::open(scene.path(name)).unwrap();
    read_volume(file, name, Reader::SimpleItk, &limits, &cancel).unwrap()
}

fn write_series(scene: &Scene, folder: &str, volume: &Volume, series_uid: &str, description: &str) {
    std::fs::create_dir_all(scene.path(folder)).unwrap();
    let dir = Dir::open_ambient_dir(scene.path(folder), ambient_authority()).unwrap();
    let labels = Labels {
        series_uid,
        description,
        ..Labels::default()
    };
    let mut files = single_frame(volume, Way::PLAIN, &labels);
    for file in &mut files {
        file.name = format!("{description}-{}", file.name);
    }
    write(&dir, &files);
}

/// A scene with the scan as a series, and the volume that `dicom convert` made of it.
fn scene() -> Scene {
    let scene = Scene::new();
    let scan = read(&scene, "scan.nii.gz");
    write_series(&scene, "series", &scan.volume, ARTERIAL, "arterial");
    scene
        .run(&["dicom", "convert", "series", "--output", "converted.nii.gz"])
        .succeeded();
    scene
}

#[test]
fn a_series_gives_the_mask_of_its_volume() {
    let scene = scene();
    scene.copy_model(ONE_CHANNEL);
    let segment = |input: &str, output: &str| {
        let files = [
            "segment", "--model", "model", "--input", input, "--output", output,
        ];
        scene.run(&files).succeeded();
        scene.read(output)
    };
    let of_file = segment("converted.nii.gz", "out/a.nii.gz");
    assert_eq!(segment("series", "out/b.nii.gz"), of_file);
    assert_eq!(segment(&format!("series#{ARTERIAL}"), "out/c.nii.gz"), of_file);
    let resize = |input: &str, output: &str| {
        let files = [
            "resize",
            "--input",
            input,
            "--output",
            output,
            "--spacing",
            "2,2,2",
        ];
        scene.run(&files).succeeded();
        scene.read(output)
    };
    assert_eq!(
        resize("series", "out/r.nii.gz"),
        resize("converted.nii.gz", "out/s.nii.gz")
    );
}

#[test]
fn the_series_of_a_folder_are_listed_and_one_is_named() {
    let scene = scene();
    let volume = read(&scene, "scan.nii.gz").volume;
    write_series(&scene, "series", &volume, PORTAL, "portal venous");
    scene.write("series/notes.txt", b"no image");
    let listed = scene.run(&["dicom", "list", "series", "--json"]).succeeded();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let ids: Vec<&str> = listed["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| series["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [ARTERIAL, PORTAL]);
    assert_eq!(listed["series"][0]["problem"], Value::Null);
    assert_eq!(listed["others"][0]["file"], json!("notes.txt"));
    let text = scene.run(&["dicom", "list", "series"]).succeeded().stdout;
    assert!(
        text.contains(ARTERIAL) && text.contains("\"portal venous\""),
        "{text}"
    );
    let convert = |input: &str| scene.run(&["dicom", "convert", input, "--output", "out/x.nii.gz"]);
    convert("series").refused(2, &["series holds 2 series", ARTERIAL, PORTAL]);
    convert("series#1.2.3").refused(3, &["holds no series 1.2.3"]);
    convert(&format!("series#{PORTAL}")).succeeded();
    assert_eq!(scene.read("out/x.nii.gz"), scene.read("converted.nii.gz"));
    let files = ["--input", "series", "--output", "out/y.nii.gz"];
    scene.copy_model(ONE_CHANNEL);
    let named = ["segment", "--model", "model", "--series", PORTAL];
    scene.run(&[&named[..], &files].concat()).succeeded();
}

#[test]
fn what_is_wrong_with_a_series_is_said() {
    let scene = scene();
    let names = scene.names("series");
    std::fs::remove_file(scene.path("series").join(&names[names.len() / 2])).unwrap();
    scene.copy_model(ONE_CHANNEL);
    let files = ["--input", "series", "--output", "out/m.nii.gz"];
    let model = ["segment", "--model", "model"];
    scene
        .run(&[&model[..], &files].concat())
        .refused(3, &[ARTERIAL, "missing"]);
    let convert = ["dicom", "convert", "series", "--output", "out/m.nii.gz"];
    scene.run(&convert).refused(3, &[ARTERIAL, "missing"]);
    assert!(!scene.path("out/m.nii.gz").exists());
}

#[test]
fn a_case_of_a_series_says_so_in_its_record_and_a_wrong_phase_is_refused() {
    let scene = scene();
    scene.copy_model(ONE_CHANNEL);
    let run = |phase: &str, output: &str, more: &[&str]| {
        let scan = format!("{phase}=series");
        let request = ["run", "--model", "model", "--scan", &scan, "--output", output];
        scene.run(&[&request[..], more].concat())
    };
    run("portal_venous", "out/p", &["--check-phase"]).refused(3, &["SeriesDescription", "arterial"]);
    assert!(!scene.path("out/p").exists());
    run("portal_venous", "out/q", &[]).succeeded();
    run(
        "arterial",
        "out/r",
        &["--check-phase", "--dicom-tilt", "resample"],
    )
    .succeeded();
    let record: Value = serde_json::from_slice(&scene.read("out/r/record.json")).unwrap();
    let series = &record["scans"][0]["series"];
    assert_eq!(series["id"], json!(ARTERIAL));
    assert_eq!(series["options"]["tilt"], json!("resample"));
    let instances = series["instances"].as_array().unwrap().len();
    assert_eq!(instances, scene.names("series").len());
    assert_eq!(record["request"]["check_phases"], json!(true));
    scene.run(&["verify", "out/r/record.json"]).succeeded();
}

/// Objects lie beside the mask of a series; another run writes the same bytes, and the label map is that of a run without objects.
#[test]
fn objects_of_a_mask_lie_beside_it() {
    let scene = scene();
    scene.copy_model(ONE_CHANNEL);
    let dataset: Value = serde_json::from_slice(&scene.read("model/dataset.json")).unwrap();
    let labels = dataset["labels"].as_object().unwrap().keys();
    let coded = labels.map(|label| {
        format!("[codes.{label:?}]\ncategory = 'SCT:123037004:Anatomical Structure'\ntype = 'SCT:64033007:Kidney'\n")
    });
    scene.write("codes.toml", coded.collect::<String>().as_bytes());
    let segment = |input: &str, output: &str, more: &[&str]| {
        let files = [
            "segment", "--model", "model", "--input", input, "--output", output,
        ];
        scene.run(&[&files[..], more].concat())
    };
    let wanted = ["--output-type", "sr,rtstruct,dicom-seg", "--codes", "codes.toml"];
    let report = ["--report", "report.json"];
    segment("series", "out/a.nii.gz", &[&wanted[..], &report].concat()).succeeded();
    let names = ["a.nii.gz", "a.rtstruct.dcm", "a.seg.dcm", "a.sr.dcm"];
    assert_eq!(scene.names("out"), names);
    let report: Value = serde_json::from_slice(&scene.read("report.json")).unwrap();
    let objects = ["out/a.seg.dcm", "out/a.rtstruct.dcm", "out/a.sr.dcm"];
    assert_eq!(report["objects"], json!(objects));

    segment("series", "plain.nii.gz", &[]).succeeded();
    assert_eq!(scene.read("plain.nii.gz"), scene.read("out/a.nii.gz"));
    std::fs::create_dir(scene.path("again")).unwrap();
    segment("series", "again/a.nii.gz", &wanted).succeeded();
    for name in names {
        assert!(
            scene.read(&format!("again/{name}")) == scene.read(&format!("out/{name}")),
            "{name}"
        );
    }

    let object = open_bytes(scene.read("out/a.seg.dcm"), "a.seg.dcm", &DicomLimits::DEFAULT).unwrap();
    let found = read_seg(&object, None, ReadOptions::default(), &ObjectLimits::default()).unwrap();
    let voxels = |label: &Value| label["voxels"].as_u64().unwrap();
    let expected: Vec<(&str, u64)> = report["labels"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|label| voxels(label) > 0)
        .map(|label| (label["name"].as_str().unwrap(), voxels(label)))
        .collect();
    assert!(!expected.is_empty());
    let mask = &found.masks[0];
    let of_object: Vec<(&str, u64)> = mask
        .labels()
        .entries()
        .iter()
        .filter_map(|entry| Some((entry.name.as_str(), mask.summaries().get(&entry.id)?.voxels)))
        .collect();
    assert_eq!(of_object, expected);
}

#[test]
fn objects_that_cannot_be_written_are_refused_before_anything_is_loaded() {
    let scene = scene();
    scene.copy_model(ONE_CHANNEL);
    scene.write("wrong.toml", b"[codes]\nkidney = 1\n[dicom]\nseg = 'wide'\n");
    scene.write("empty.toml", b"");
    let refused = |input: &str, more: &[&str], says: &[&str]| {
        let files = [
            "segment",
            "--model",
            "model",
            "--input",
            input,
            "--output",
            "out/a.nii.gz",
        ];
        scene.run(&[&files[..], more].concat()).refused(2, says);
        assert_eq!(scene.names("out"), Vec::<String>::new());
    };
    refused(
        "scan.nii.gz",
        &["--output-type", "dicom-seg"],
        &["scan.nii.gz", "dicom-seg", "DICOM series"],
    );
    refused("series", &["--output-type", "sr"], &["dicom-seg beside it"]);
    refused("series", &["--output-type", "dicom-seg,dicom-seg"], &["twice"]);
    refused("series", &["--codes", "empty.toml"], &["--output-type"]);
    refused(
        "series",
        &["--output-type", "nifti", "--codes", "empty.toml"],
        &["codes"],
    );
    let wrong = ["--output-type", "dicom-seg", "--codes", "wrong.toml"];
    refused("series", &wrong, &["wrong.toml", "codes", "dicom.seg"]);
    scene.write("pipeline.toml", b"");
    let run = [
        "run",
        "--pipeline",
        "pipeline.toml",
        "--scan",
        "arterial=series",
        "--output",
        "case",
    ];
    let run = [&run[..], &["--output-type", "dicom-seg"]].concat();
    scene.run(&run).refused(2, &["--output-type", "[[save]]"]);
}

/// Slices that were straightened have voxels that no image has: their segmentation has a grid of its own, and contours are refused.
#[test]
fn a_straightened_series_has_a_segmentation_on_a_grid_of_its_own() {
    let scene = Scene::new();
    scene.copy_model(ONE_CHANNEL);
    let mut volume = read(&scene, "scan.nii.gz").volume;
    let [mut rows @ .., _] = volume.geometry.affine.rows();
    rows[1][2] += 0.2 * volume.geometry.spacing.xyz()[2]; // a step along slices goes along columns, too
    volume.geometry.affine = Affine::new(rows).unwrap();
    write_series(&scene, "tilted", &volume, ARTERIAL, "tilted");
    let segment = |more: &[&str]| {
        let files = [
            "segment",
            "--model",
            "model",
            "--input",
            "tilted",
            "--output",
            "out/a.nii.gz",
        ];
        scene.run(&[&files[..], more].concat())
    };
    segment(&["--output-type", "dicom-seg"]).refused(3, &["tilt"]);
    let straightened = ["--dicom-tilt", "resample", "--output-type"];
    segment(&[&straightened[..], &["dicom-seg,rtstruct"]].concat()).refused(3, &["structure set", "tilt"]);
    assert_eq!(scene.names("out"), Vec::<String>::new());
    segment(&[&straightened[..], &["dicom-seg"]].concat()).succeeded();
    let label_map = read(&scene, "out/a.nii.gz").volume;
    let object = open_bytes(scene.read("out/a.seg.dcm"), "a.seg.dcm", &DicomLimits::DEFAULT).unwrap();
    let found = read_seg(&object, None, ReadOptions::default(), &ObjectLimits::default()).unwrap();
    let summaries = found.masks[0].summaries();
    let of_object: u64 = summaries.values().map(|label| label.voxels).sum();
    let Voxels::U8(labels) = &label_map.voxels else {
        panic!("{:?}", label_map.voxels.voxel_type())
    };
    let n_labeled = labels.iter().filter(|label| **label != 0).count() as u64;
    assert!(n_labeled > 0);
    assert_eq!(of_object, n_labeled);
    // one place of the segmentation, in the world
    let (seg, [z, y, x]) = (
        found.masks[0].runs().geometry(),
        summaries.values().next().unwrap().bounding_box.start,
    );
    let world = seg.affine.world_from_voxel([x, y, z].map(|i| i as f64));
    let of_map = label_map.geometry.affine;
    let near = |index: [usize; 3]| {
        let [z, y, x] = index.map(|i| i as f64);
        let there = of_map.world_from_voxel([x, y, z]);
        (0..3).all(|i| (there[i] - world[i]).abs() < 1e-3)
    };
    let [nz, ny, nx] = label_map.geometry.shape.zyx();
    let mut all = (0..nz).flat_map(|z| (0..ny).flat_map(move |y| (0..nx).map(move |x| [z, y, x])));
    assert!(all.any(near), "{world:?} is a voxel of the label map");
}

#[test]
fn one_file_of_a_series_is_refused_with_the_name_of_its_folder() {
    let scene = scene();
    scene.copy_model(ONE_CHANNEL);
    let name = scene.names("series").remove(3);
    let file = format!("series/{name}");
    let folder = format!("name its folder, series#{ARTERIAL};");
    let says = [folder.as_str(), &file];
    let segment = [
        "segment",
        "--model",
        "model",
        "--input",
        &file,
        "--output",
        "out/a.nii.gz",
    ];
    scene.run(&segment).refused(3, &says);
    let convert = ["dicom", "convert", &file, "--output", "out/a.nii.gz"];
    scene.run(&convert).refused(3, &says);
    let resize = [
        "resize",
        "--input",
        &file,
        "--output",
        "out/a.nii.gz",
        "--spacing",
        "2,2,2",
    ];
    scene.run(&resize).refused(3, &says);
    // A file of the folder where the command runs.
    std::fs::copy(scene.path(&file), scene.path("one.dcm")).unwrap();
    let resize = [
        "resize",
        "--input",
        "one.dcm",
        "--output",
        "out/a.nii.gz",
        "--spacing",
        "2,2,2",
    ];
    scene
        .run(&resize)
        .refused(3, &[&format!("name its folder, .#{ARTERIAL};")]);
    assert!(scene.names("out").is_empty());
}
