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

/// Structures of the merged mask, and the numbers that their rows have: phantom, Dice, label map, segmentation, structure set, report.
fn rows(table: &str) -> Vec<(&str, Vec<f64>, bool)> {
    let rows = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers: Vec<f64> = words
            .iter()
            .skip(1)
            .filter_map(|word| word.parse().ok())
            .collect();
        let name = words.first().filter(|_| numbers.len() == 6)?;
        Some((*name, numbers, words.last() == Some(&"ok")))
    });
    rows.collect()
}

#[test]
fn series_of_the_demo_become_objects_that_all_say_the_same() {
    let scene = Scene::new();
    let said = scene
        .run(&[
            "demo",
            "--dicom",
            "--output",
            "out/dicom",
            "--seed",
            "11",
            "--quiet",
        ])
        .succeeded();
    assert_eq!(said.stdout, "");
    assert_eq!(scene.names("out/dicom/patient/arterial").len(), 96);
    for file in ["all.nii.gz", "all.seg.dcm", "all.rtstruct.dcm", "all.sr.dcm"] {
        assert!(
            scene.names("out/dicom/results").iter().any(|name| name == file),
            "{file}"
        );
    }
    // the same case again, by the commands that anybody has
    let listed = scene
        .run(&["dicom", "list", "out/dicom/patient"])
        .succeeded()
        .stdout;
    let uid = |term: &str| {
        let series = listed
            .split("\n2.25.")
            .find(|series| series.contains(term))
            .unwrap();
        let uid = series.split_whitespace().next().unwrap();
        format!("2.25.{}", uid.trim_start_matches("2.25."))
    };
    let scan = |phase: &str, term: &str| format!("{phase}=out/dicom/patient#{}", uid(term));
    let scans = [
        scan("arterial", "\"ARTERIAL\""),
        scan("portal_venous", "\"PORTAL_VENOUS\""),
        scan("delayed", "\"DELAYED\""),
    ];
    let run = |scans: &[String; 3], output: &str| {
        let mut arguments = vec!["run", "--root", "out/dicom", "--check-phase", "--quiet"];
        arguments.extend([
            "--pipeline",
            "out/dicom/pipelines/demo-dicom.toml",
            "--output",
            output,
        ]);
        scans.iter().for_each(|scan| arguments.extend(["--scan", scan]));
        scene.run(&arguments)
    };
    run(&scans, "out/dicom/again").succeeded();
    for file in ["all.nii.gz", "all.seg.dcm", "all.rtstruct.dcm", "all.sr.dcm"] {
        let of = |folder: &str| scene.read(&format!("out/dicom/{folder}/{file}"));
        assert!(of("results") == of("again"), "{file}");
    }
    let [arterial, portal_venous, delayed] = scans;
    let exchanged = [
        arterial.replace("arterial=", "portal_venous="),
        portal_venous.replace("portal_venous=", "arterial="),
        delayed,
    ];
    let refused = run(&exchanged, "out/dicom/exchanged");
    assert_ne!(refused.exit, Some(0));
    assert!(
        refused.stderr.contains("ContrastBolusAgentPhase"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_table_of_the_series_has_every_structure_and_no_folder_is_used_twice() {
    let scene = Scene::new();
    let table = scene
        .run(&["demo", "--dicom", "--output", "out/dicom"])
        .succeeded()
        .stdout;
    let found = rows(&table);
    let names: Vec<&str> = found.iter().map(|(name, ..)| *name).collect();
    assert_eq!(
        names,
        [
            "kidney",
            "vein",
            "aorta",
            "renal_artery",
            "renal_pelvis",
            "ureter"
        ],
        "{table}"
    );
    for (name, numbers, is_ok) in &found {
        let [phantom, dice, mask, seg, rtstruct, sr] = numbers[..] else {
            unreachable!()
        };
        assert!(*is_ok && phantom > 1.0 && dice > 0.7, "{name}\n{table}");
        assert!(
            [seg, rtstruct, sr].iter().all(|found| *found == mask),
            "{name}\n{table}"
        );
    }
    assert!(table.contains(": 2457600 of 2457600 voxels are equal"), "{table}");
    let again = scene.run(&["demo", "--dicom", "--output", "out/dicom"]);
    assert!(again.stderr.contains("exists already"), "{again:?}");
    assert_eq!(again.exit, Some(2), "{again:?}");
}
