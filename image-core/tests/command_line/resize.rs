//! What `resize` makes.

use crate::nifti_file::NiftiFile;
use crate::scene::Scene;

fn header_f32(bytes: &[u8], at: usize) -> f32 {
    f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn to_a_shape_and_to_a_spacing() {
    let scene = Scene::new();
    let outcome = scene
        .run(&[
            "resize",
            "--input",
            "scan.nii.gz",
            "--output",
            "out/a.nii",
            "--shape",
            "12,20,9",
        ])
        .succeeded();
    assert!(outcome.stdout.contains("24×20×18 to 12×20×9"), "{outcome:?}");
    let bytes = scene.read("out/a.nii");
    assert_eq!(bytes.len(), 352 + 2 * 12 * 20 * 9);
    assert_eq!(
        [
            header_f32(&bytes, 80),
            header_f32(&bytes, 84),
            header_f32(&bytes, 88)
        ],
        [3.0, 1.5, 3.6]
    );
    // Half a voxel further in: the outer faces stay.
    assert_eq!(
        [header_f32(&bytes, 292), header_f32(&bytes, 308)],
        [-10.0 + 0.75, 5.0]
    );

    scene
        .run(&[
            "resize",
            "--input",
            "scan.nii.gz",
            "--output",
            "out/b.nii",
            "--spacing",
            "3,1.5,3.6",
        ])
        .succeeded();
    assert_eq!(scene.read("out/b.nii"), bytes);
}

#[test]
fn label_maps_get_no_new_labels() {
    let scene = Scene::new();
    let mut map = NiftiFile::scan([10, 10, 10], [1.0; 3]);
    for (i, label) in map.voxels.iter_mut().enumerate() {
        *label = if i % 10 < 5 { 0 } else { 7 };
    }
    scene.write("map.nii", &map.bytes());
    for interpolation in ["nearest", "linear"] {
        scene
            .run(&[
                "resize",
                "--input",
                "map.nii",
                "--output",
                "out/m.nii",
                "--shape",
                "15,15,15",
                "--label-map",
                "--interpolation",
                interpolation,
            ])
            .succeeded();
        let bytes = scene.read("out/m.nii");
        assert_eq!(bytes.len(), 352 + 15 * 15 * 15);
        let voxels = &bytes[352..];
        assert!(
            voxels.iter().all(|label| [0, 7].contains(label)),
            "{interpolation}"
        );
        assert!(voxels.contains(&7));
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let scene = Scene::new();
    let check = |more: &[&str], exit, says: &[&str]| {
        let files = ["resize", "--input", "scan.nii.gz", "--output", "out/a.nii"];
        scene.run(&[&files[..], more].concat()).refused(exit, says);
        assert!(scene.names("out").is_empty());
    };
    check(&[], 2, &["--spacing"]);
    check(
        &["--spacing", "1,1,1", "--shape", "8,8,8"],
        2,
        &["cannot be used with"],
    );
    check(&["--spacing", "1,0,1"], 2, &["--spacing", "1,0,1"]);
    check(&["--spacing=1,1,-1"], 2, &["--spacing"]);
    check(&["--shape", "8,0,8"], 2, &["--shape", "8,0,8"]);
    check(&["--shape", "1000000,1000000,1000000"], 5, &["limit"]);
    check(&["--spacing", "1e-300,1,1"], 5, &["limit"]);
    check(
        &["--shape", "8,8,8", "--label-map", "--interpolation", "cubic"],
        2,
        &["--interpolation"],
    );
    check(
        &["--shape", "8,8,8", "--label-map"],
        3,
        &["scan.nii.gz", "not a label"],
    );
    scene
        .run(&[
            "resize",
            "--input",
            "scan.nii.gz",
            "--output",
            "scan.nii.gz",
            "--shape",
            "8,8,8",
        ])
        .refused(2, &["replace an input"]);
}
