//! What `demo` makes.

use crate::scene::Scene;

#[test]
fn the_demo_finds_every_structure_and_draws_it() {
    let scene = Scene::new();
    let table = scene
        .run(&["demo", "--output", "out/demo", "--seed", "11"])
        .succeeded()
        .stdout;
    for structure in [
        "aorta",
        "renal_artery",
        "kidney",
        "vein",
        "renal_pelvis",
        "ureter",
    ] {
        let row = table
            .lines()
            .find(|line| line.starts_with(structure))
            .unwrap_or_default();
        let dice: f64 = row
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .parse()
            .unwrap_or_default();
        assert!(dice > 0.7, "{structure}\n{table}");
    }
    assert!(scene.read("out/demo/demo.png").starts_with(b"\x89PNG\r\n\x1a\n"));
    let names = scene.names("out/demo");
    for name in [
        "truth.nii.gz",
        "scan_arterial.nii.gz",
        "mask_delayed.nii.gz",
        "Dataset902_DemoKidney",
        "mask.nii.gz",
    ] {
        assert!(names.iter().any(|n| n == name), "{names:?}");
    }
    let sampled = scene.names("out/demo/sample");
    for name in [
        "preview.png",
        "sample.nii.gz",
        "statistics.csv",
        "statistics.json",
        "mesh_kidney.stl",
        "mesh_ureter.stl",
    ] {
        assert!(sampled.iter().any(|n| n == name), "{sampled:?}");
    }
    let rows = String::from_utf8(scene.read("out/demo/sample/statistics.csv")).unwrap();
    assert_eq!(rows.lines().count(), 7, "a header and six structures: {rows}");
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}
