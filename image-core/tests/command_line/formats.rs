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
    for output in ["out/a.raw", "out/a.zraw", "out/.nrrd", "out/.mhd"] {
        let files = ["--input", "scan.nii.gz", "--output", output];
        scene
            .segment(&model, &files)
            .refused(2, &[".nrrd", ".mha", ".nhdr", ".mhd"]);
    }
    let header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 2\nendian: little\nencoding: raw\n";
    let refused = |data_file: &str, code, parts: &[&str]| {
        let header = format!("{header}data file: {data_file}\n");
        scene.write("scan.nhdr", header.as_bytes());
        let files = ["--input", "scan.nhdr", "--output", "out/a.nrrd"];
        scene.segment(&model, &files).refused(code, parts);
    };
    scene.write("scan.raw", &[0; 15]);
    scene.write("long.raw", &[0; 17]);
    std::fs::create_dir(scene.path("folder")).unwrap();
    refused("missing.raw", 3, &["missing.raw", "no such file"]);
    refused("folder", 3, &["folder", "not a"]);
    refused("scan.raw", 3, &["scan.nhdr", "expected 16 bytes", "found 15"]);
    refused("long.raw", 3, &["scan.nhdr", "should have 16 bytes", "has 17"]);
    refused("scan.nhdr", 3, &["scan.nhdr", "is the header itself"]);
    refused("../scan.raw", 3, &["scan.nhdr", "`../scan.raw`", "upward"]);
    refused("/etc/passwd", 3, &["scan.nhdr", "`/etc/passwd`", "absolute"]);
    refused("LIST", 3, &["scan.nhdr", "a list of files"]);
    refused("scan%d.raw 1 2 1", 3, &["scan.nhdr", "pattern"]);
}

/// Takes a file with header and voxels apart: its header, with what it says of where these are replaced, and the voxels.
fn take_apart(scene: &Scene, attached: &str, mark: &str, (was, names): (&str, &str), files: [&str; 2]) {
    let bytes = std::fs::read(scene.path(attached)).unwrap();
    let end = bytes
        .windows(mark.len())
        .position(|window| window == mark.as_bytes())
        .unwrap()
        + mark.len();
    let header = std::str::from_utf8(&bytes[..end]).unwrap();
    assert!(header.contains(was), "{header}");
    scene.write(files[0], header.replacen(was, names, 1).as_bytes());
    scene.write(files[1], &bytes[end..]);
}

#[test]
fn voxels_in_another_file_give_the_mask_that_voxels_in_the_same_file_give() {
    let scene = scene();
    let model = golden_model(ONE_CHANNEL);
    std::fs::create_dir(scene.path("voxels")).unwrap();
    let nhdr = ["detached.nhdr", "detached.raw.gz"];
    take_apart(
        &scene,
        COPIES[1],
        "\n\n",
        ("\nencoding:", "\ndata file: detached.raw.gz\nencoding:"),
        nhdr,
    );
    let local = "ElementDataFile = LOCAL\n";
    let mhd = ["detached.mhd", "voxels/a.zraw"];
    take_apart(
        &scene,
        COPIES[2],
        local,
        (local, "ElementDataFile = voxels/a.zraw"),
        mhd,
    );
    let whole = ["--input", COPIES[0], "--output", "out/whole.nii.gz"];
    scene.segment(&model, &whole).succeeded();
    let right = read(&scene, "out/whole.nii.gz");
    for (input, output) in [(nhdr[0], "out/nhdr.nii.gz"), (mhd[0], "out/mhd.nii.gz")] {
        let files = ["--input", input, "--output", output];
        scene.segment(&model, &files).succeeded();
        assert_eq!(read(&scene, output).volume.voxels, right.volume.voxels, "{input}");
    }
    // the voxels of another file are an input that no output replaces
    let [z, y, x] = read(&scene, COPIES[0]).volume.voxels.shape();
    let shape = format!("{x},{y},{z}");
    scene.write("a.nii", &std::fs::read(scene.path(nhdr[1])).unwrap());
    let header = std::fs::read_to_string(scene.path(nhdr[0])).unwrap();
    scene.write("a.nhdr", header.replace(nhdr[1], "a.nii").as_bytes());
    let how = ["--shape", &shape, "--interpolation", "nearest"];
    let files = ["resize", "--input", "a.nhdr", "--output", "a.nii"];
    scene
        .run(&[&files[..], &how].concat())
        .refused(2, &["a.nii", "input"]);
    let files = ["resize", "--input", "a.nhdr", "--output", "b.nii"];
    scene.run(&[&files[..], &how].concat()).succeeded();
    assert_eq!(
        read(&scene, "b.nii").volume.to_intensities(),
        read(&scene, COPIES[0]).volume.to_intensities()
    );
}

#[test]
fn a_mask_with_its_labels_in_another_file_is_one() {
    let scene = scene();
    let model = golden_model(ONE_CHANNEL);
    let files = ["--input", "scan.nii.gz", "--output", "out/a.nrrd"];
    scene.segment(&model, &files).succeeded();
    let files = ["out/m.nhdr", "out/m.raw.gz"];
    take_apart(
        &scene,
        "out/a.nrrd",
        "\n\n",
        ("\nencoding:", "\ndata file: m.raw.gz\nencoding:"),
        files,
    );
    for (input, output) in [("out/a.nrrd", "out/one.nii.gz"), ("out/m.nhdr", "out/two.nii.gz")] {
        let files = ["mask", "cleanup", "--input", input, "--output", output];
        scene.run(&files).succeeded();
    }
    let [one, two] = ["out/one.nii.gz", "out/two.nii.gz"].map(|name| read(&scene, name));
    assert_eq!(one.volume, two.volume);
}

/// Headers and their voxels in files of their own, wherever a volume is written.
#[test]
fn pairs_are_written_wherever_one_file_is() {
    let scene = scene();
    let model = golden_model(ONE_CHANNEL);
    let files = ["--input", "scan.nii.gz", "--output", "out/a.nii.gz"];
    scene.segment(&model, &files).succeeded();
    let right = read(&scene, "out/a.nii.gz");
    for (header, data) in [("mask.nhdr", "mask.raw.gz"), ("mask.mhd", "mask.zraw")] {
        std::fs::create_dir(scene.path("pair")).unwrap();
        let output = format!("pair/{header}");
        let segment = ["--input", "scan.nii.gz", "--output", &output];
        scene.segment(&model, &segment).succeeded();
        assert_eq!(scene.names("pair"), [header, data]);
        let [z, y, x] = right.volume.voxels.shape();
        let shape = format!("{x},{y},{z}");
        let resize = [
            "resize",
            "--input",
            &output,
            "--output",
            "out/b.nii.gz",
            "--shape",
            &shape,
        ];
        scene.run(&[&resize[..], &["--label-map"]].concat()).succeeded();
        assert_eq!(
            read(&scene, "out/b.nii.gz").volume.voxels,
            right.volume.voxels,
            "{header}"
        );
        // An operation on the pair, written over itself, is refused; written beside it, it replaces both files of an older pair.
        let mask = ["mask", "cleanup", "--input", &output, "--output"];
        let replaces = scene.run(&[&mask[..], &[&output]].concat());
        replaces.refused(2, &["would replace an input", header]);
        let other = output.replace("mask", "other");
        for _ in 0..2 {
            scene.run(&[&mask[..], &[&other]].concat()).succeeded();
        }
        let (other_header, other_data) = (header.replace("mask", "other"), data.replace("mask", "other"));
        assert_eq!(scene.names("pair"), [header, data, &other_header, &other_data]);
        // Voxels that are an input under any name, too.
        std::fs::copy(scene.path("scan.nii.gz"), scene.path("pair").join(data)).unwrap();
        let input = format!("pair/{data}");
        let segment = ["--input", &input, "--output", &output];
        scene
            .segment(&model, &segment)
            .refused(2, &["would replace an input", header]);
        assert_eq!(scene.read(&input), scene.read("scan.nii.gz"));
        std::fs::remove_dir_all(scene.path("pair")).unwrap();
    }
}
