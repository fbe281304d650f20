//! Label maps as people have them: units, headers that contradict themselves, axes of length 1, values that were scaled.

use serde_json::Value;

use crate::nifti_file::{NiftiFile, gzip};
use crate::scene::Scene;

/// 9³ voxels of `mm`, label 1 in a block of 3³; bytes that a test may change.
fn block(mm: f32) -> Vec<u8> {
    let mut map = NiftiFile::scan([9; 3], [mm; 3]);
    let inside = |i: usize| [i % 9, i / 9 % 9, i / 81].iter().all(|k| (3..6).contains(k));
    map.voxels = (0..729).map(|i| i16::from(inside(i))).collect();
    map.bytes()
}

/// The report of an operation on a file, if it succeeds.
fn report(scene: &Scene, operation: &str, file: &str, set: &[&str]) -> Value {
    let arguments = ["mask", operation, "--input", file, "--report", "out/report.json"];
    let set: Vec<&str> = set.iter().flat_map(|pair| ["--set", pair]).collect();
    scene.run(&[&arguments[..], &set].concat()).succeeded();
    serde_json::from_slice(&scene.read("out/report.json")).unwrap()
}

fn first_label<'a>(report: &'a Value, what: &str) -> &'a Value {
    &report["masks"][0]["labels"][0][what]
}

fn measured(report: &Value, name: &str) -> f64 {
    let all = report["measurements"].as_array().unwrap();
    let found = all.iter().find(|m| m["name"] == name && m["label"] == "label_1");
    found.unwrap()["value"].as_f64().unwrap()
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-5 * expected, "{found} {expected}");
}

#[test]
fn a_spacing_means_a_voxel_whatever_the_header_made_of_it() {
    let scene = Scene::new();
    for mm in ["0.6", "0.7", "0.8", "0.9", "1", "1.1"] {
        scene.write("m.nii", &block(mm.parse().unwrap()));
        let voxels = |set: &str| {
            let report = report(&scene, "cleanup", "m.nii", &[set]);
            first_label(&report, "voxels").as_u64().unwrap()
        };
        assert_eq!(voxels(&format!("dilate_mm={mm}")), 81, "{mm}");
        assert_eq!(voxels(&format!("erode_mm={mm}")), 1, "{mm}");
        let mm3 = mm.parse::<f64>().unwrap().powi(3);
        assert_eq!(voxels(&format!("min_volume_mm3={}", 27.0 * mm3)), 27, "{mm}");
        assert_eq!(voxels(&format!("min_volume_mm3={}", 27.1 * mm3)), 0, "{mm}");
        let sample = report(&scene, "sample", "m.nii", &[&format!("margin_mm={mm}")]);
        let all = sample["measurements"].as_array().unwrap();
        let size = all.iter().find(|m| m["name"] == "sample_voxels").unwrap();
        assert_eq!(size["value"].as_f64(), Some(125.0), "{mm}");
    }
}

#[test]
fn volumes_and_surfaces_are_in_mm_whatever_the_unit() {
    let scene = Scene::new();
    for (unit, mm) in [(0, 1.0), (1, 1000.0), (2, 1.0), (3, 0.001), (8 + 3, 0.001)] {
        let mut bytes = block((2.0 / mm) as f32);
        bytes[123] = unit;
        scene.write("m.nii.gz", &gzip(&bytes));
        let found = report(&scene, "sample", "m.nii.gz", &["margin_mm=0"]);
        let edge: f64 = 6.0;
        assert_close(
            first_label(&found, "volume_ml").as_f64().unwrap(),
            edge.powi(3) / 1000.0,
        );
        assert_close(measured(&found, "volume"), edge.powi(3) / 1000.0);
        // between a ball and a cube
        let surface = measured(&found, "surface_area") / (edge * edge);
        assert!((3.0..6.1).contains(&surface), "{unit}: {surface}");
        // from face to face of the corners: longer than the edge, shorter than the diagonal
        let diameter = measured(&found, "longest_diameter") / edge;
        assert!((1.0..1.74).contains(&diameter), "{unit}: {diameter}");
    }
}

#[test]
fn a_header_with_two_lengths_is_refused_by_name() {
    let scene = Scene::new();
    let mut bytes = block(2.0);
    bytes[84..88].copy_from_slice(&1f32.to_le_bytes()); // pixdim[2]
    scene.write("odd.nii", &bytes);
    for operation in ["cleanup", "compare", "merge", "sample"] {
        let outcome = scene.run(&[
            "mask",
            operation,
            "--input",
            "odd.nii",
            "--output",
            "out/o.nii.gz",
        ]);
        assert_eq!(outcome.exit, Some(3), "{outcome:?}");
        for part in ["odd.nii", "pixdim says 1", "along y", "the affine says 2"] {
            assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
        }
        assert!(!scene.path("out/o.nii.gz").exists());
    }
}

#[test]
fn axes_of_length_1_are_dropped_and_two_axes_are_a_slice() {
    let scene = Scene::new();
    let with_dim = |dim: [i16; 8]| {
        let mut bytes = block(2.0);
        for (i, n) in dim.iter().enumerate() {
            bytes[40 + 2 * i..42 + 2 * i].copy_from_slice(&n.to_le_bytes());
        }
        bytes
    };
    let run = |bytes: &[u8]| {
        scene.write("m.nii", bytes);
        report(&scene, "cleanup", "m.nii", &[])
    };
    let voxels = |report: &Value| first_label(report, "voxels").as_u64();
    assert_eq!(voxels(&run(&with_dim([4, 9, 9, 9, 1, 1, 1, 1]))), Some(27));
    assert_eq!(voxels(&run(&with_dim([7, 9, 9, 9, 1, 1, 1, 1]))), Some(27));
    // one slice of the file; the first of the block, moved to the front
    let mut flat = with_dim([2, 9, 9, 1, 1, 1, 1, 1]);
    let (head, slice) = (flat[..352].to_vec(), flat[352 + 3 * 162..352 + 4 * 162].to_vec());
    flat = [head, slice].concat();
    let found = run(&flat);
    assert_eq!(voxels(&found), Some(9));
    assert_close(
        first_label(&found, "volume_ml").as_f64().unwrap(),
        9.0 * 8.0 / 1000.0,
    );
    scene.write("m.nii", &with_dim([4, 9, 9, 3, 3, 1, 1, 1]));
    let outcome = scene.run(&["mask", "cleanup", "--input", "m.nii"]);
    assert_eq!(outcome.exit, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains("m.nii has 4 dimensions"), "{outcome:?}");
}

#[test]
fn values_near_whole_numbers_are_labels_and_others_are_named() {
    let scene = Scene::new();
    let float = |values: &dyn Fn(usize) -> f32, slope: f32| {
        let mut bytes = block(1.0);
        bytes[70..74].copy_from_slice(&[16, 0, 32, 0]); // float32
        bytes[112..116].copy_from_slice(&slope.to_le_bytes());
        bytes.truncate(352);
        bytes.extend((0..729).flat_map(|i| values(i).to_le_bytes()));
        bytes
    };
    scene.write("m.nii", &float(&|i| if i < 27 { 0.999_999_94 } else { 0.0 }, 1.0));
    let found = report(&scene, "cleanup", "m.nii", &[]);
    assert_eq!(first_label(&found, "voxels").as_u64(), Some(27));
    scene.write(
        "m.nii",
        &float(&|i| if i < 27 { 255.0 } else { 0.0 }, 1.0 / 255.0),
    );
    let found = report(&scene, "cleanup", "m.nii", &[]);
    assert_eq!(
        (
            first_label(&found, "id").as_u64(),
            first_label(&found, "voxels").as_u64()
        ),
        (Some(1), Some(27))
    );
    for (value, shown) in [
        (0.5, "value 0.5"),
        (f32::NAN, "value NaN"),
        (-1.0, "value -1"),
        (65536.0, "value 65536"),
    ] {
        scene.write("bad.nii", &float(&|i| if i == 100 { value } else { 0.0 }, 1.0));
        for arguments in [
            &[
                "mask",
                "cleanup",
                "--input",
                "bad.nii",
                "--output",
                "out/o.nii.gz",
            ][..],
            &[
                "resize",
                "--label-map",
                "--input",
                "bad.nii",
                "--output",
                "out/o.nii.gz",
                "--shape",
                "5,5,5",
            ],
        ] {
            let outcome = scene.run(arguments);
            assert_eq!(outcome.exit, Some(3), "{value} {outcome:?}");
            assert!(
                outcome.stderr.contains("bad.nii") && outcome.stderr.contains(shown),
                "{value} {outcome:?}"
            );
            assert!(!scene.path("out/o.nii.gz").exists());
        }
    }
}

/// Files that were measured wrongly once.
#[test]
fn the_files_of_the_fault_set() {
    let Some(faults) = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .map(|beside| beside.join("shared/data/faults"))
        .filter(|folder| folder.is_dir())
    else {
        println!("skipped: no ../shared/data/faults");
        return;
    };
    let scene = Scene::new();
    let copy = |name: &str| {
        scene.write(name, &std::fs::read(faults.join(name)).unwrap());
        name.to_owned()
    };
    let found = report(&scene, "cleanup", &copy("d_08.nii.gz"), &["dilate_mm=0.8"]);
    assert_eq!(first_label(&found, "voxels").as_u64(), Some(7));
    let found = report(&scene, "cleanup", &copy("v_07.nii.gz"), &["min_volume_mm3=9.261"]);
    assert_eq!(first_label(&found, "voxels").as_u64(), Some(27));
    let found = report(&scene, "sample", &copy("m_um.nii.gz"), &[]);
    assert_close(first_label(&found, "volume_ml").as_f64().unwrap(), 2.1825);
    let found = report(&scene, "cleanup", &copy("m_255.nii.gz"), &[]);
    assert_eq!(first_label(&found, "id").as_u64(), Some(1));
    for (name, says) in [
        ("m_pix_vs_sform.nii.gz", "pixdim says"),
        ("m_half.nii.gz", "value 0.5"),
    ] {
        let outcome = scene.run(&["mask", "sample", "--input", &copy(name)]);
        assert_eq!(outcome.exit, Some(3), "{outcome:?}");
        assert!(
            outcome.stderr.contains(name) && outcome.stderr.contains(says),
            "{outcome:?}"
        );
    }
}
