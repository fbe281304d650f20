//! NRRD and MetaImage in every place where a file of voxels is named: a format is that of the file, never of the model.

use std::fs::File;

use nephrite_types::{CancelToken, Limits};
use nephrite_volume::{Reader, Scan, read_volume};
use serde_json::json;

use crate::scene::{ONE_CHANNEL, Scene, golden_model};

/// Copies of the scan that `resize` wrote on the scan's own grid.
const COPIES: [&str; 3] = ["copy.nii.gz", "copy.nrrd", "copy.mha"];

fn read(scene: &Scene, name: &str) -> Scan {
    let file = File::open(scene.path(name)).unwrap();
    read_volume(
        file,
        name,
        Reader::SimpleItk,
        &Limits::default(),
        &CancelToken::new(),
    )
    .unwrap()
}

/// A scene with the scan in every format; the same voxels, in the same place.
fn scene() -> Scene {
    let scene = Scene::new();
    let [z, y, x] = read(&scene, "scan.nii.gz").volume.voxels.shape();
    let shape = format!("{x},{y},{z}");
    for copy in COPIES {
        let files = ["resize", "--input", "scan.nii.gz", "--output", copy];
        let how = ["--shape", &shape, "--interpolation", "nearest"];
        scene.run(&[&files[..], &how].concat()).succeeded();
    }
    scene
}

#[test]
fn a_model_of_any_file_ending_gives_one_mask_of_a_scan_in_any_format() {
    let scene = scene();
    let nifti = read(&scene, COPIES[0]);
    scene.copy_model(ONE_CHANNEL);
    for copy in COPIES {
        assert_eq!(
            read(&scene, copy).volume.to_intensities(),
            nifti.volume.to_intensities(),
            "{copy}"
        );
    }
    let mut masks = Vec::new();
    for (copy, ending, output) in [
        (COPIES[0], ".nii.gz", "out/a.nii.gz"),
        (COPIES[1], ".nrrd", "out/a.nrrd"),
        (COPIES[2], ".mha", "out/a.mha"),
        // neither the model nor the output says what the scan is
        (COPIES[1], ".mha", "out/b.nii"),
        (COPIES[2], ".nii.gz", "out/b.nrrd"),
    ] {
        scene.edit_json("model/dataset.json", |dataset| {
            dataset["file_ending"] = json!(ending)
        });
        let files = ["--input", copy, "--output", output];
        scene.segment(&scene.path("model"), &files).succeeded();
        masks.push(read(&scene, output));
    }
    let first = &masks[0].volume;
    assert!(
        first.to_intensities().iter().any(|v| *v > 0.0),
        "there is something to compare"
    );
    for mask in &masks[1..] {
        assert_eq!(mask.volume.voxels, first.voxels);
        let (found, right) = (mask.volume.geometry, first.geometry);
        let numbers = found
            .affine
            .rows()
            .concat()
            .into_iter()
            .zip(right.affine.rows().concat());
        // NIfTI-1 has 32 bits
        assert!(
            numbers.into_iter().all(|(a, b)| (a - b).abs() < 1e-4),
            "{found:?} {right:?}"
        );
    }
    // the golden model itself, on the golden scan
    let whole = ["--input", "scan.nii.gz", "--output", "out/c.nrrd"];
    scene.segment(&golden_model(ONE_CHANNEL), &whole).succeeded();
    assert_eq!(read(&scene, "out/c.nrrd").volume.voxels, first.voxels);
}

#[test]
fn operations_take_and_make_every_format() {
    let scene = scene();
    let files = ["--input", "copy.mha", "--output", "out/a.nrrd"];
    scene.segment(&golden_model(ONE_CHANNEL), &files).succeeded();
    for output in ["out/m.mha", "out/m.nrrd", "out/m.nii.gz"] {
        let files = ["mask", "cleanup", "--input", "out/a.nrrd", "--output", output];
        scene.run(&files).succeeded();
    }
    let right = read(&scene, "out/m.nii.gz");
    for output in ["out/m.mha", "out/m.nrrd"] {
        assert_eq!(
            read(&scene, output).volume.voxels,
            right.volume.voxels,
            "{output}"
        );
    }
}

#[test]
fn names_of_other_formats_and_headers_without_voxels_are_refused() {
    let scene = Scene::new();
    let model = golden_model(ONE_CHANNEL);
    for output in ["out/a.nhdr", "out/a.mhd", "out/.nrrd"] {
        let files = ["--input", "scan.nii.gz", "--output", output];
        scene.segment(&model, &files).refused(2, &[".nrrd", ".mha"]);
    }
    let header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nendian: little\nencoding: raw\ndata file: scan.raw\n\n";
    scene.write("scan.nhdr", header.as_bytes());
    let files = ["--input", "scan.nhdr", "--output", "out/a.nrrd"];
    scene
        .segment(&model, &files)
        .refused(3, &["scan.nhdr", "another file (scan.raw)", ".nrrd"]);
}
