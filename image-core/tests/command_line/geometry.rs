//! Channels and masks that do not lie where the scan lies, odd headers, and scans that no network can take.

use std::path::{Path, PathBuf};

use crate::nifti_file::{HEADER_BYTES, NiftiFile, gzip};
use crate::scene::{ONE_CHANNEL, Outcome, Scene, TWO_CHANNELS, golden_model};

const INPUT: i32 = 3;
const CASCADE: &str = "Dataset906_Cascade/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres";
const SHAPE: [i16; 3] = [24, 20, 18];

fn scan() -> NiftiFile {
    NiftiFile::scan(SHAPE, [1.5, 1.5, 1.8])
}

fn two_channels(scene: &Scene, second: &NiftiFile, more: &[&str]) -> Outcome {
    scene.write("second.nii.gz", &second.gzip());
    let inputs = [
        "--input",
        "scan.nii.gz",
        "--input",
        "second.nii.gz",
        "--output",
        "out/mask.nii.gz",
    ];
    scene.segment(&golden_model(TWO_CHANNELS), &[&inputs, more].concat())
}

fn warnings(scene: &Scene) -> Vec<(String, String)> {
    let report: serde_json::Value = serde_json::from_slice(&scene.read("out/report.json")).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let warnings = report["warnings"].as_array().unwrap().iter();
    warnings
        .map(|warning| (text(&warning["code"]), text(&warning["file"])))
        .collect()
}

#[test]
fn a_channel_that_lies_elsewhere_is_told_and_refused_where_geometry_is_strict() {
    let scene = Scene::new();
    let report = ["--report", "out/report.json"];
    let told = two_channels(&scene, &scan(), &[&report[..], &["--strict-geometry"]].concat()).succeeded();
    assert!(told.stderr.is_empty(), "{told:?}");
    assert!(warnings(&scene).is_empty());

    let mut moved = scan();
    moved.srow[0][3] += 3.0;
    let mut flipped = scan();
    for r in 0..3 {
        flipped.srow[r][3] += 23.0 * flipped.srow[r][0];
        flipped.srow[r][0] = -flipped.srow[r][0];
    }
    let mut turned = scan();
    turned.srow[0][1] = 0.01;
    turned.srow[1][0] = -0.01; // 0.4 degrees
    for (second, apart) in [
        (moved, "3.000 mm (2.000 voxels)"),
        (flipped, "34.500 mm"),
        (turned, "mm"),
    ] {
        // warnings are told where nothing else is: the helper says --quiet
        let told = two_channels(&scene, &second, &report).succeeded();
        for text in [
            "warning: channel 2 does not lie where the first one lies",
            apart,
            "second.nii.gz",
        ] {
            assert!(told.stderr.contains(text), "{text:?} is not in: {}", told.stderr);
        }
        assert_eq!(
            warnings(&scene),
            [("channel_geometry".to_owned(), "second.nii.gz".to_owned())]
        );
        std::fs::remove_file(scene.path("out/mask.nii.gz")).unwrap();
        two_channels(&scene, &second, &["--strict-geometry"])
            .refused(INPUT, &["channel 2", "second.nii.gz", "geometry is strict"]);
        assert_eq!(scene.names("out"), ["report.json"], "no mask is left");
    }
    // what 32-bit numbers may differ by
    let mut close = scan();
    close.srow[0][3] += 0.001;
    two_channels(&scene, &close, &["--strict-geometry"]).succeeded();
}

/// Labels in blobs, not alike in any direction.
fn labels() -> NiftiFile {
    let mut mask = scan();
    let [nx, ny, _] = SHAPE.map(|n| n as usize);
    for (i, voxel) in mask.voxels.iter_mut().enumerate() {
        let (x, y, z) = (i % nx, i / nx % ny, i / (nx * ny));
        *voxel = match (x, y, z) {
            (2..=9, 4..=12, 3..=9) => 1,
            (12..=20, 3..=8, 8..=15) => 2,
            _ => 0,
        };
    }
    mask
}

/// The same voxels in the same places, x and y exchanged and z running the other way in the file.
fn rearranged(mask: &NiftiFile) -> NiftiFile {
    let [nx, ny, nz] = [1, 2, 3].map(|i| mask.dim[i] as usize);
    let mut other = mask.clone();
    (other.dim[1], other.dim[2]) = (mask.dim[2], mask.dim[1]);
    other.spacing.swap(0, 1);
    for (i, voxel) in other.voxels.iter_mut().enumerate() {
        let (y, x, z) = (i % ny, i / ny % nx, i / (nx * ny));
        *voxel = mask.voxels[x + nx * (y + ny * (nz - 1 - z))];
    }
    for r in 0..3 {
        let [x, y, z, offset] = mask.srow[r];
        other.srow[r] = [y, x, -z, offset + z * (nz as f32 - 1.0)];
    }
    other
}

fn cascade(scene: &Scene, mask: &str, output: &str) -> Outcome {
    let output = format!("out/{output}");
    let arguments = [
        "--input",
        "scan.nii.gz",
        "--previous-stage",
        mask,
        "--output",
        &output,
    ];
    scene.segment(&golden_model(CASCADE), &arguments)
}

#[test]
fn the_mask_of_a_previous_stage_lies_where_its_world_says() {
    let scene = Scene::new();
    let mask = labels();
    scene.write("mask.nii.gz", &mask.gzip());
    scene.write("rearranged.nii.gz", &rearranged(&mask).gzip());
    scene.write(
        "none.nii.gz",
        &NiftiFile {
            voxels: vec![0; mask.voxels.len()],
            ..mask.clone()
        }
        .gzip(),
    );
    for name in ["mask", "rearranged", "none"] {
        cascade(&scene, &format!("{name}.nii.gz"), &format!("{name}.nii.gz")).succeeded();
    }
    assert_eq!(scene.read("out/mask.nii.gz"), scene.read("out/rearranged.nii.gz"));
    assert_ne!(
        scene.read("out/mask.nii.gz"),
        scene.read("out/none.nii.gz"),
        "the mask counts"
    );

    let mut moved = mask.clone();
    moved.srow[1][3] += 1.5;
    let mut flipped = mask.clone(); // the affine, not the voxels
    flipped.srow[0][0] = -1.5;
    let mut finer = mask;
    finer.srow[2][2] = 0.9;
    finer.spacing[2] = 0.9;
    for (name, file, says) in [
        ("moved.nii.gz", moved, "1.500 mm apart"),
        ("flipped.nii.gz", flipped, "mm apart"),
        ("finer.nii.gz", finer, "mm apart"),
        (
            "short.nii.gz",
            NiftiFile::scan([24, 20, 17], [1.5, 1.5, 1.8]),
            "24×20×17",
        ),
    ] {
        scene.write(name, &file.gzip());
        cascade(&scene, name, "no.nii.gz")
            .refused(INPUT, &["previous stage", "voxels of the scan", says, name]);
    }
}

#[test]
fn the_odd_files_of_the_shared_set() {
    let faults = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/faults");
    if !faults.is_dir() {
        println!("skipped: {} is not there", faults.display());
        return;
    }
    let scene = Scene::new();
    let fault = |name: &str| faults.join(name).display().to_string();
    let base = fault("base.nii.gz");
    for name in ["m_u1", "m_flipx"] {
        let (mask, output) = (fault(&format!("{name}.nii.gz")), format!("out/{name}.nii.gz"));
        let arguments = ["--input", &base, "--previous-stage", &mask, "--output", &output];
        scene.segment(&golden_model(CASCADE), &arguments).succeeded();
    }
    assert_eq!(scene.read("out/m_u1.nii.gz"), scene.read("out/m_flipx.nii.gz"));
    let (first, second) = (fault("two_a.nii.gz"), fault("two_c.nii.gz"));
    let arguments = [
        "--input",
        &first,
        "--input",
        &second,
        "--output",
        "out/two.nii.gz",
    ];
    let told = scene.segment(&golden_model(TWO_CHANNELS), &arguments).succeeded();
    assert!(
        told.stderr.contains("3.000 mm") && told.stderr.contains("two_c.nii.gz"),
        "{told:?}"
    );
    let strict = [&arguments[..], &["--strict-geometry"]].concat();
    scene
        .segment(&golden_model(TWO_CHANNELS), &strict)
        .refused(INPUT, &["two_c.nii.gz"]);
}

/// The golden model of nibabel's reader.
fn nibabel_model() -> PathBuf {
    golden_model("Dataset913_Readers/nnUNetTrainer__nnUNetNibabelPlans__3d_fullres")
}

/// The scan in 32-bit floats, one voxel of it something else.
fn with_voxel(value: f32) -> Vec<u8> {
    let plain = scan();
    let mut bytes = plain.bytes();
    bytes.truncate(HEADER_BYTES);
    bytes[70..74].copy_from_slice(&[16, 0, 32, 0]);
    let at = 5 + 24 * (6 + 20 * 7);
    let voxels = plain.voxels.iter().enumerate();
    bytes.extend(voxels.flat_map(|(i, v)| if i == at { value } else { f32::from(*v) }.to_le_bytes()));
    gzip(&bytes)
}

#[test]
fn voxels_that_are_no_numbers_are_told_by_scan_and_place() {
    let scene = Scene::new();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        scene.write("odd.nii.gz", &with_voxel(value));
        let arguments = ["--input", "odd.nii.gz", "--output", "out/mask.nii.gz"];
        scene
            .segment(&nibabel_model(), &arguments)
            .refused(INPUT, &["odd.nii.gz", "[7, 6, 5]", "finite"]);
        let model = nibabel_model();
        let run = [
            "run",
            "--model",
            model.to_str().unwrap(),
            "--scan",
            "arterial=odd.nii.gz",
            "--output",
            "out/case",
        ];
        scene
            .run(&run)
            .refused(INPUT, &["odd.nii.gz", "[7, 6, 5]", "finite"]);
        // ITK reads them as zero, and so does nnU-Net with its reader
        scene.segment(&golden_model(ONE_CHANNEL), &arguments).succeeded();
        std::fs::remove_file(scene.path("out/mask.nii.gz")).unwrap();
    }
    scene.write("fine.nii.gz", &with_voxel(7.0));
    let arguments = ["--input", "fine.nii.gz", "--output", "out/mask.nii.gz"];
    scene.segment(&nibabel_model(), &arguments).succeeded();
}

#[test]
fn an_axis_that_vanishes_names_the_file() {
    let scene = Scene::new();
    scene.write(
        "thin.nii.gz",
        &NiftiFile::scan([24, 20, 1], [1.5, 1.5, 0.1]).gzip(),
    );
    let arguments = ["--input", "thin.nii.gz", "--output", "out/mask.nii.gz"];
    let says = ["without voxels", "thin.nii.gz"];
    scene
        .segment(&golden_model(ONE_CHANNEL), &arguments)
        .refused(INPUT, &says);
    let model = golden_model(ONE_CHANNEL);
    let run = [
        "run",
        "--model",
        model.to_str().unwrap(),
        "--scan",
        "arterial=thin.nii.gz",
        "--output",
        "out/case",
    ];
    scene.run(&run).refused(INPUT, &says);
}

#[test]
fn headers_that_leave_out_what_itk_does_not_need_are_read() {
    let scene = Scene::new();
    let plain = scan();
    let mut four = plain.clone();
    (four.dim[0], four.dim[4]) = (4, 0);
    let mut no_offset = plain.bytes();
    no_offset[108..112].copy_from_slice(&0f32.to_le_bytes());
    scene.write("four.nii.gz", &four.gzip());
    scene.write("no_offset.nii", &no_offset);
    let mut masks = Vec::new();
    for name in ["scan.nii.gz", "four.nii.gz", "no_offset.nii"] {
        let arguments = ["--input", name, "--output", "out/mask.nii.gz"];
        scene.segment(&golden_model(ONE_CHANNEL), &arguments).succeeded();
        masks.push(scene.read("out/mask.nii.gz"));
    }
    assert!(masks[0] == masks[1] && masks[0] == masks[2]);
    // nibabel sees a 4-D file, and takes the header for voxels
    let with = |name: &str, says: &[&str]| {
        let arguments = ["--input", name, "--output", "out/none.nii.gz"];
        scene.segment(&nibabel_model(), &arguments).refused(INPUT, says);
    };
    with("four.nii.gz", &["four.nii.gz", "4 dimensions", "NibabelIO"]);
    with("no_offset.nii", &["no_offset.nii", "vox_offset"]);
}
