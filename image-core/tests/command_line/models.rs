//! What `models` says.

use crate::scene::{ONE_CHANNEL, Scene, golden_model};

#[test]
fn a_model_is_described_for_people_and_for_programs() {
    let scene = Scene::new();
    let model = golden_model(ONE_CHANNEL);
    let model = model.to_str().unwrap();
    let text = scene.run(&["models", "inspect", model]).succeeded().stdout;
    for part in [
        "PlainConvUNet",
        "1 kidney, 2 tumor",
        "1.7 × 1.6 × 1.4 mm",
        "16 × 20 × 16",
        "fold_all",
        "CT",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let json = scene
        .run(&["models", "inspect", model, "--json", "--folds", "1"])
        .succeeded()
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["folds"], serde_json::json!(["fold_1"]));
    assert_eq!(json["patch_size"], serde_json::json!([16, 20, 16]));
    scene
        .run(&["models", "inspect", "out"])
        .refused(4, &["plans.json"]);
    scene
        .run(&["models", "inspect", "nowhere"])
        .refused(3, &["nowhere"]);
}

#[test]
fn models_are_found_beneath_a_folder() {
    let scene = Scene::new();
    let root = golden_model("");
    let root = root.to_str().unwrap();
    let text = scene.run(&["models", "list", root]).succeeded().stdout;
    assert!(text.contains(&format!("{ONE_CHANNEL}  folds 0,1,all")), "{text}");
    let json = scene.run(&["models", "list", root, "--json"]).succeeded().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let first = &json[0];
    assert_eq!(first["dataset"], "Dataset901_Iso");
    assert_eq!(first["configuration"], "3d_fullres");
    assert_eq!(scene.run(&["models", "list", "out"]).succeeded().stdout, "");
    scene.run(&["models", "list", "nowhere"]).refused(3, &["nowhere"]);
}

#[test]
fn the_program_knows_its_version() {
    let scene = Scene::new();
    let text = scene.run(&["--version"]).succeeded().stdout;
    assert!(
        text.starts_with(concat!("nephrite ", env!("CARGO_PKG_VERSION"))),
        "{text}"
    );
}

#[test]
fn labels_with_gaps_are_refused_where_a_model_is_looked_at_and_where_it_is_used() {
    let scene = Scene::new();
    scene.copy_model(ONE_CHANNEL);
    scene.edit_json("model/dataset.json", |json| {
        json["labels"] = serde_json::json!({ "background": 0, "kidney": 1, "tumor": 3 });
    });
    let says = [
        "model/dataset.json: labels must be 0, 1, 2",
        "found [0, 1, 3]",
        "index",
    ];
    scene.run(&["models", "inspect", "model"]).refused(4, &says);
    let files = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];
    scene.segment(&scene.path("model"), &files).refused(4, &says);
    assert!(scene.names("out").is_empty());
}

#[test]
fn a_folder_near_a_model_says_which_one_to_give() {
    let scene = Scene::new();
    let dataset = golden_model("Dataset901_Iso");
    let dataset = dataset.to_str().unwrap();
    let says = [
        "Dataset901_Iso: is a dataset's folder",
        "Dataset901_Iso/nnUNetTrainer__nnUNetPlans__3d_fullres",
    ];
    scene.run(&["models", "inspect", dataset]).refused(4, &says);
    let fold = format!("{dataset}/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0");
    scene
        .run(&["models", "inspect", &fold])
        .refused(4, &["one fold of a model", "give the folder above it"]);
}

#[test]
fn hostile_plans_are_refused_soon_and_in_little_memory() {
    let scene = Scene::new();
    scene.copy_model(ONE_CHANNEL);
    let peak = |scene: &Scene| {
        let mut command = std::process::Command::new("sh");
        let program = env!("CARGO_BIN_EXE_nephrite");
        // 600 MB of address space; the program itself takes 100
        let script = format!("ulimit -v 600000; exec {program} models inspect model");
        command
            .args(["-c", &script])
            .current_dir(scene.path(""))
            .env("RAYON_NUM_THREADS", "1");
        crate::scene::Outcome::of(command.output().unwrap())
    };
    let huge = format!("{{\"x\": [{}0]}}", "[],".repeat(14_000_000));
    scene.write("model/plans.json", huge.as_bytes());
    peak(&scene).refused(5, &["model/plans.json: the file takes 42000", "4194304"]);
    let many = format!("{{\"x\": [{}0]}}", "[],".repeat(1_000_000));
    scene.write("model/plans.json", many.as_bytes());
    peak(&scene).refused(5, &["model/plans.json: has more than 200000 values"]);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    scene.write("model/plans.json", deep.as_bytes());
    peak(&scene).refused(4, &["model/plans.json", "nested"]);
    scene.copy_model(ONE_CHANNEL);
    scene.edit_json("model/dataset.json", |json| {
        let labels = (0..100_000).map(|id| {
            (
                if id == 0 {
                    "background".into()
                } else {
                    format!("l{id}")
                },
                id.into(),
            )
        });
        json["labels"] = serde_json::Value::Object(labels.collect());
    });
    let started = std::time::Instant::now();
    peak(&scene).refused(
        4,
        &["model/dataset.json: labels must be at most 1024 output channels"],
    );
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn a_patch_that_no_memory_holds_is_refused_before_anything_is_loaded() {
    let scene = Scene::new();
    scene.copy_model(ONE_CHANNEL);
    scene.edit_json("model/plans.json", |json| {
        json["configurations"]["3d_fullres"]["patch_size"] = serde_json::json!([1024, 1024, 1024]);
    });
    let files = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];
    // More than any machine has: it is the limit of one network that refuses.
    let files = [&files[..], &["--max-memory-bytes", "1000000000000"]].concat();
    let started = std::time::Instant::now();
    scene
        .segment(&scene.path("model"), &files)
        .refused(5, &["model", "its network would keep", "bytes in memory"]);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn more_threads_than_there_are_become_as_many_as_there_are() {
    let scene = Scene::new();
    let usable = std::thread::available_parallelism().unwrap().get();
    let files = [
        "--input",
        "scan.nii.gz",
        "--output",
        "out/mask.nii.gz",
        "--report",
        "out/report.json",
    ];
    let started = std::time::Instant::now();
    let outcome = scene
        .segment(
            &golden_model(ONE_CHANNEL),
            &[&files[..], &["--threads", "2000"]].concat(),
        )
        .succeeded();
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "one line says so: {outcome:?}");
    assert!(
        lines[0].contains(&format!("{usable} threads are used")) && lines[0].contains("2000"),
        "{outcome:?}"
    );
    let report: serde_json::Value = serde_json::from_slice(&scene.read("out/report.json")).unwrap();
    assert_eq!(report["threads"], usable);
    let mut command = scene.command(&["models", "list", "."]);
    let outcome =
        crate::scene::Outcome::of(command.env("RAYON_NUM_THREADS", "5000").output().unwrap()).succeeded();
    assert!(outcome.stderr.contains("5000"), "{outcome:?}");
    scene
        .segment(
            &golden_model(ONE_CHANNEL),
            &[&files[..4], &["--threads", "0"]].concat(),
        )
        .refused(2, &["--threads"]);
}
