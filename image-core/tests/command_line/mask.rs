//! What `mask` makes of label maps, here and at a service, and what it refuses.

use nephrite_kernel::grpc::{Service, ServiceConfig, serve_all};
use serde_json::Value;

use crate::nifti_file::NiftiFile;
use crate::scene::Scene;

/// `mask.nii.gz`, 20×16×12 voxels of 2 mm: a box with id 1 and a hole, a box with id 2, and a speck of each.
fn scene() -> Scene {
    let scene = Scene::new();
    let mut map = NiftiFile::scan([20, 16, 12], [2.0; 3]);
    for (i, label) in map.voxels.iter_mut().enumerate() {
        let (x, y, z) = (i % 20, i / 20 % 16, i / 320);
        let inside =
            |from: usize, to: usize| (from..to).contains(&x) && (3..9).contains(&y) && (3..9).contains(&z);
        *label = match (x, y, z) {
            (5, 6, 6) => 0,
            (1, 14, 1) => 1,
            (18, 14, 10) => 2,
            _ if inside(2, 9) => 1,
            _ if inside(11, 16) => 2,
            _ => 0,
        };
    }
    scene.write("mask.nii.gz", &map.gzip());
    scene
}

const NAMES: &[&str] = &["--labels", "kidney=1,cyst=2"];

fn mask(scene: &Scene, operation: &str, more: &[&str]) -> crate::scene::Outcome {
    let first = ["mask", operation, "--input", "mask.nii.gz"];
    scene.run(&[&first, NAMES, more].concat())
}

fn report(scene: &Scene, name: &str) -> Value {
    serde_json::from_slice(&scene.read(name)).unwrap()
}

/// Id → voxels of the first mask of a report.
fn voxels(report: &Value) -> Vec<(String, u64)> {
    let labels = report["masks"][0]["labels"].as_array().unwrap().iter();
    let row = |label: &Value| {
        (
            label["name"].as_str().unwrap().to_owned(),
            label["voxels"].as_u64().unwrap(),
        )
    };
    labels.map(row).collect()
}

#[test]
fn cleanup_drops_specks_and_fills_holes_and_says_so() {
    let scene = scene();
    let set = ["--set", "keep_largest=1", "--set", "fill_holes=volume"];
    let more = [
        &set[..],
        &["--output", "out/clean.nii.gz", "--report", "out/report.json"],
    ]
    .concat();
    let outcome = mask(&scene, "cleanup", &more).succeeded();
    assert!(outcome.stdout.contains("kidney"), "{outcome:?}");
    let found = report(&scene, "out/report.json");
    let expected = [("kidney".to_owned(), 7 * 6 * 6), ("cyst".to_owned(), 5 * 6 * 6)];
    assert_eq!(voxels(&found), expected);
    assert_eq!(found["place"], "in_process");
    let in_force = serde_json::json!({"connectivity": "26", "fill_holes": "volume", "keep_largest": 1});
    assert_eq!(found["parameters"], in_force, "values, not texts");
    let ml = found["masks"][0]["labels"][1]["volume_ml"].as_f64().unwrap();
    assert!((ml - 180.0 * 8.0 / 1000.0).abs() < 1e-9);
    // What was written is what was told: reading it again changes nothing.
    scene
        .run(
            &[
                &["mask", "cleanup", "--input", "out/clean.nii.gz"],
                NAMES,
                &[
                    "--set",
                    "keep_largest=1",
                    "--output",
                    "out/again.nii.gz",
                    "--quiet",
                ],
            ]
            .concat(),
        )
        .succeeded();
    assert_eq!(scene.read("out/again.nii.gz"), scene.read("out/clean.nii.gz"));
}

#[test]
fn merge_takes_several_masks_with_names_of_their_own() {
    let scene = scene();
    let arguments = [
        "mask",
        "merge",
        "--input",
        "mask.nii.gz",
        "--input",
        "masks=mask.nii.gz",
        "--labels",
        "kidney=1,cyst=2",
        "--labels",
        "tumour=1,kidney=2",
        "--set",
        "priority=tumour,kidney,cyst",
        "--output",
        "out/merged.nii.gz",
        "--report",
        "out/report.json",
    ];
    scene.run(&arguments).succeeded();
    let found = report(&scene, "out/report.json");
    let all = voxels(&found);
    let of = |name: &str| all.iter().find(|(label, _)| label == name).unwrap().1;
    // Everything that the first calls kidney is tumour in the second; what it calls cyst is kidney there.
    assert_eq!((of("tumour"), of("kidney"), of("cyst")), (252, 181, 0));
    assert_eq!(found["masks"][0]["labels"].as_array().unwrap().len(), 3);
}

#[test]
fn sample_writes_its_files() {
    let scene = scene();
    let more = [
        "--artefacts",
        "out",
        "--set",
        "meshes=true",
        "--set",
        "labels=cyst",
        "--report",
        "out/report.json",
    ];
    mask(&scene, "sample", &more).succeeded();
    let expected = [
        "mesh_cyst.stl",
        "preview.png",
        "report.json",
        "sample.nii.gz",
        "statistics.csv",
        "statistics.json",
    ];
    assert_eq!(scene.names("out"), expected);
    let named = report(&scene, "out/report.json");
    assert_eq!(named["artefacts"].as_array().unwrap().len(), 5);
}

#[test]
fn the_folder_for_files_is_made_and_goes_with_an_operation_that_fails() {
    let scene = scene();
    mask(&scene, "sample", &["--artefacts", "out/look"]).succeeded();
    assert_eq!(
        scene.names("out/look"),
        [
            "preview.png",
            "sample.nii.gz",
            "statistics.csv",
            "statistics.json"
        ]
    );
    let nowhere = ["--artefacts", "out/none/look"];
    mask(&scene, "sample", &nowhere).refused(3, &["out/none"]);
    let failing = ["--artefacts", "out/gone", "--set", "labels=liver"];
    mask(&scene, "sample", &failing).refused(2, &["names label \"liver\"", "kidney, cyst"]);
    assert_eq!(scene.names("out"), ["look"]);
}

#[test]
fn labels_come_from_a_dataset_file_too() {
    let scene = scene();
    scene.write(
        "dataset.json",
        br#"{"labels": {"background": 0, "kidney": 1.0, "cyst": "2", "both": [1, 2], "ignore": 3}}"#,
    );
    let arguments = [
        "mask",
        "cleanup",
        "--input",
        "mask.nii.gz",
        "--labels",
        "dataset.json",
        "--report",
        "out/report.json",
    ];
    scene.run(&arguments).succeeded();
    let names: Vec<String> = voxels(&report(&scene, "out/report.json"))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["kidney", "cyst"]);
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_written() {
    let scene = scene();
    scene.write("broken.nii.gz", b"no gzip");
    let out = ["--output", "out/a.nii.gz", "--artefacts", "out"];
    let check = |operation: &str, more: &[&str], exit: i32, says: &[&str]| {
        mask(&scene, operation, &[more, &out[..2]].concat()).refused(exit, says);
        assert!(scene.names("out").is_empty(), "{operation} {more:?}");
    };
    check(
        "sharpen",
        &[],
        2,
        &["sharpen", "cleanup", "compare", "merge", "sample", "--config"],
    );
    check(
        "cleanup",
        &["--set", "radius_mm=1"],
        2,
        &["radius_mm", "keep_largest"],
    );
    check("cleanup", &["--set", "erode_mm=-1"], 2, &["erode_mm", "-1"]);
    check("cleanup", &["--set", "erode_mm=NaN"], 2, &["erode_mm"]);
    check("cleanup", &["--set", "erode_mm=wide"], 2, &["erode_mm", "wide"]);
    check(
        "cleanup",
        &["--set", "keep_largest=1.5"],
        2,
        &["keep_largest", "whole number"],
    );
    check("cleanup", &["--set", "labels=liver"], 2, &["liver", "kidney"]);
    check("cleanup", &["--set", "near_mm=3"], 2, &["near_label"]);
    check(
        "cleanup",
        &["--input", "other=mask.nii.gz"],
        2,
        &["other", "mask"],
    );
    check("cleanup", &["--input", "mask.nii.gz"], 2, &["mask", "2 times"]);
    check("cleanup", &["--output", "other=out/b.nii.gz"], 2, &["other"]);
    check("cleanup", &["--output", "out/b.png"], 2, &["b.png", ".nii.gz"]);
    check("cleanup", &["--artefacts", "out"], 2, &["files"]);
    check("cleanup", &["--endpoint", "nowhere"], 2, &["nowhere", "http://"]);
    check(
        "cleanup",
        &["--endpoint", "http://127.0.0.1:1", "--timeout", "0.5"],
        6,
        &["http://127.0.0.1:1"],
    );
    let bare = |input: &str, more: &[&str], exit: i32, says: &[&str]| {
        scene
            .run(&[&["mask", "cleanup", "--input", input], more, &out[..2]].concat())
            .refused(exit, says);
        assert!(scene.names("out").is_empty(), "{input} {more:?}");
    };
    bare("missing.nii.gz", &[], 3, &["missing.nii.gz"]);
    bare("broken.nii.gz", &[], 3, &["broken.nii.gz"]);
    bare("scan.nii.gz", &[], 3, &["scan.nii.gz"]);
    bare("mask.nii.gz", &["--labels", "kidney"], 2, &["--labels", "kidney"]);
    bare("mask.nii.gz", &["--labels", "a=1,b=1"], 2, &["--labels", "twice"]);
    bare(
        "mask.nii.gz",
        &["--labels", "a=1", "--labels", "b=1"],
        2,
        &["--labels", "2 times"],
    );
    bare(
        "mask.nii.gz",
        &["--artefacts", "nowhere"],
        2,
        &["writes no files"],
    );
    scene
        .run(&[
            "mask",
            "cleanup",
            "--input",
            "mask.nii.gz",
            "--output",
            "mask.nii.gz",
        ])
        .refused(2, &["mask.nii.gz", "replace an input"]);
}

/// Our operations as a service on loopback; ends with the runtime.
fn service(root: &std::path::Path) -> (tokio::runtime::Runtime, String) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let service = Service {
        name: "ours".to_owned(),
        version: "1".to_owned(),
        operations: nephrite_mask_services::operations(),
    };
    runtime.spawn(serve_all(
        service,
        ServiceConfig::new(root.to_owned()),
        listener,
        std::future::pending(),
    ));
    (runtime, address)
}

#[test]
fn a_service_gives_the_same_bytes_however_it_is_named() {
    let scene = scene();
    let root = scene.path(".");
    let (_runtime, address) = service(&root);
    let exchange = scene.path("exchange");
    std::fs::create_dir(&exchange).unwrap();
    std::fs::write(
        scene.path("nephrite.toml"),
        format!(
            "root = '.'\nexchange = 'exchange'\n[operations]\ncleanup = '{address}'\nmerge = '{address}'\n\
             sample = '{address}'\ncompare = '{address}'\ntidy = '{address}/cleanup'\n"
        ),
    )
    .unwrap();
    let cases: [(&str, &[&str]); 4] = [
        ("cleanup", &["--set", "keep_largest=1", "--set", "close_mm=3"]),
        (
            "merge",
            &["--input", "mask.nii.gz", "--set", "interpolation=linear"],
        ),
        (
            "compare",
            &["--input", "reference=mask.nii.gz", "--set", "labels=kidney"],
        ),
        (
            "sample",
            &[
                "--artefacts",
                "out",
                "--set",
                "meshes=true",
                "--set",
                "margin_mm=4",
            ],
        ),
    ];
    let all_files = |scene: &Scene| -> Vec<(String, Vec<u8>)> {
        let names = scene
            .names("out")
            .into_iter()
            .filter(|name| name != "report.json");
        names
            .map(|name| (name.clone(), scene.read(&format!("out/{name}"))))
            .collect()
    };
    for (operation, more) in cases {
        let mut results = Vec::new();
        for place in [
            &[][..],
            &["--endpoint", &address][..],
            &["--config", "nephrite.toml"][..],
        ] {
            std::fs::remove_dir_all(scene.path("out")).unwrap();
            std::fs::create_dir(scene.path("out")).unwrap();
            let out = [
                "--output",
                "out/mask.nii.gz",
                "--report",
                "out/report.json",
                "--quiet",
            ];
            mask(&scene, operation, &[more, place, &out].concat()).succeeded();
            let found = report(&scene, "out/report.json");
            assert_eq!(found["place"] == "in_process", place.is_empty(), "{found}");
            results.push((
                all_files(&scene),
                found["measurements"].clone(),
                found["masks"].clone(),
            ));
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{operation}");
        assert!(!results[0].0.is_empty());
    }
    assert!(scene.names("exchange").is_empty(), "nothing is left behind");

    // Another name of a service's operation, and what lists and describes them.
    let more = [
        "--config",
        "nephrite.toml",
        "--set",
        "keep_largest=1",
        "--output",
        "out/tidy.nii.gz",
    ];
    mask(&scene, "tidy", &more).succeeded();
    let listed = scene
        .run(&["plugin", "list", "--config", "nephrite.toml"])
        .succeeded()
        .stdout;
    assert_eq!(listed.lines().count(), 5, "{listed}");
    assert!(listed.lines().all(|line| line.contains(&address)), "{listed}");
    let described = scene.run(&["plugin", "describe", &address]).succeeded().stdout;
    assert!(described.contains("--set keep_largest="), "{described}");
    let one = scene
        .run(&["plugin", "describe", "merge", "--json"])
        .succeeded()
        .stdout;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one[0]["name"], "merge");
    scene
        .run(&["plugin", "describe", "http://127.0.0.1:1", "--timeout", "0.5"])
        .refused(6, &["127.0.0.1:1"]);
}

#[test]
fn our_operations_pass_the_conformance_kit_through_the_command_line() {
    let scene = scene();
    let root = scene.path(".");
    let (_runtime, address) = service(&root);
    let exchange = scene.path("exchange");
    std::fs::create_dir(&exchange).unwrap();
    let exchange = exchange.to_str().unwrap();
    let checked = scene.run(&[
        "plugin",
        "check",
        &address,
        "--operation",
        "cleanup",
        "--exchange",
        exchange,
        "--json",
    ]);
    let checked: Value = serde_json::from_str(&checked.succeeded().stdout).unwrap();
    assert_eq!(checked["passed"], true);
    assert!(checked["rows"].as_array().unwrap().len() > 15, "{checked}");
    scene
        .run(&["plugin", "check", "http://127.0.0.1:1"])
        .refused(6, &["127.0.0.1:1"]);
}
