//! What `pipeline check` says of a pipeline file, and what it refuses.

use serde_json::Value;

use crate::nifti_file::NiftiFile;
use crate::scene::{ONE_CHANNEL, Scene, TWO_CHANNELS, golden_model};

fn model(id: &str, folder: &str, more: &str) -> String {
    let folder = golden_model(folder);
    let folder = folder.to_str().unwrap();
    format!("[[models]]\nid = '{id}'\nmodel = '{folder}'\nphases = ['portal_venous']\n{more}\n")
}

const CLEAN: &str = "[[masks]]\nid = 'clean'\noperation = 'cleanup'\ninputs = { mask = 'organ' }\n\
                     parameters = { keep_largest = 1 }\n[[save]]\nstep = 'clean'\nfile = 'clean.nii.gz'\n";

fn check(scene: &Scene, text: &str, more: &[&str]) -> crate::scene::Outcome {
    scene.write("p.toml", text.as_bytes());
    scene.run(&[&["pipeline", "check", "p.toml"], more].concat())
}

#[test]
fn a_pipeline_is_explained_in_the_order_in_which_it_runs() {
    let scene = Scene::new();
    let text = format!("{CLEAN}{}", model("organ", ONE_CHANNEL, "optional = true"));
    let said = check(&scene, &text, &[]).succeeded().stdout;
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("organ  model") && lines[0].contains("finds kidney, tumor"),
        "{said}"
    );
    assert!(
        lines[0].contains("optional") && lines[0].contains("portal_venous"),
        "{said}"
    );
    assert!(
        lines[1].starts_with("clean  mask cleanup; after organ; finds kidney, tumor; in process"),
        "{said}"
    );
    assert!(said.contains("saves clean as clean.nii.gz"), "{said}");
    let json: Value = serde_json::from_str(&check(&scene, &text, &["--json"]).succeeded().stdout).unwrap();
    assert_eq!(json["steps"][1]["needs"][0], "organ");
    assert!(json["expected_memory_bytes"].as_u64().unwrap() > 0);
    assert_eq!(json["estimate"]["steps"][0]["place"], "in_process");
    let one = check(&scene, &text, &["--steps", "organ"]).succeeded().stdout;
    assert!(
        one.contains("saves organ as organ.nii.gz") && !one.contains("cleanup"),
        "{one}"
    );
}

#[test]
fn what_cannot_run_is_refused_by_name() {
    let scene = Scene::new();
    let organ = model("organ", ONE_CHANNEL, "");
    let whole = format!("{organ}{CLEAN}");
    let refused = |text: &str, more: &[&str], exit: i32, says: &[&str]| {
        check(&scene, text, more).refused(exit, says);
    };
    refused(
        "[[models]]\nid = 'a'\nspeed = 1\n",
        &[],
        2,
        &["p.toml", "line 3", "models.speed", "models.model: missing"],
    );
    refused(&whole, &["--steps", "liver"], 2, &["liver"]);
    refused(
        &whole.replace("keep_largest", "keep_smallest"),
        &[],
        2,
        &["step clean", "keep_smallest"],
    );
    refused(
        &whole.replace("keep_largest = 1", "keep_largest = 0"),
        &[],
        2,
        &["step clean", "keep_largest", "0"],
    );
    refused(
        &whole.replace("'cleanup'", "'sharpen'"),
        &[],
        2,
        &["step clean", "sharpen"],
    );
    refused(
        &whole.replace("mask = 'organ'", "masks = 'organ'"),
        &[],
        2,
        &["step clean", "masks"],
    );
    refused(
        &whole.replace("'organ' }", "['organ', 'organ'] }"),
        &[],
        2,
        &["step clean", "mask", "2 times"],
    );
    refused(
        &whole.replace("[[save]]", "artefacts = true\n[[save]]"),
        &[],
        2,
        &["step clean", "files"],
    );
    let missing = "[[models]]\nid = 'organ'\nmodel = 'nowhere/a__b__c'\nphases = ['arterial']\n";
    refused(&format!("{missing}{CLEAN}"), &[], 3, &["step organ", "nowhere"]);
    refused(
        &format!("{}{CLEAN}", model("organ", TWO_CHANNELS, "")),
        &[],
        2,
        &["step organ", "2 channel"],
    );
    let fine = |more: &str| format!("{whole}{}", model("fine", ONE_CHANNEL, more));
    refused(
        &fine("previous_stage = 'organ'"),
        &[],
        2,
        &["step fine", "previous stage"],
    );
    refused(
        &fine("crop = { step = 'organ', labels = ['liver'] }"),
        &[],
        2,
        &["step fine", "liver", "kidney, tumor"],
    );
    refused(&fine("crop = { step = 'fine' }"), &[], 2, &["fine needs fine"]);
    scene
        .run(&["pipeline", "check", "none.toml"])
        .refused(3, &["none.toml"]);
}

/// Tiles of a run of the same model on the same scan.
fn tiles_of_a_run(scene: &Scene, scan: &str, more: &[&str]) -> u64 {
    let report = scene.path("report.json");
    let (report, out) = (report.to_str().unwrap(), scene.path("out/mask.nii.gz"));
    let arguments = [
        "--input",
        scan,
        "--output",
        out.to_str().unwrap(),
        "--report",
        report,
    ];
    scene
        .segment(&golden_model(ONE_CHANNEL), &[&arguments, more].concat())
        .succeeded();
    let report: Value = serde_json::from_slice(&scene.read("report.json")).unwrap();
    report["tiles"].as_u64().unwrap()
}

#[test]
fn the_estimate_has_exactly_the_tiles_of_a_run() {
    let scene = Scene::new();
    for (shape, spacing) in [
        ([24, 20, 18], [1.5, 1.5, 1.8]),
        ([50, 41, 33], [0.9, 1.2, 2.2]),
        ([9, 61, 7], [3.0, 1.0, 1.5]),
    ] {
        scene.write("other.nii.gz", &NiftiFile::scan(shape, spacing).gzip());
        for step_size in ["0.5", "0.8"] {
            let more = format!("folds = [0, 1]\ntile_step_size = {step_size}");
            let text = format!("{}{CLEAN}", model("organ", ONE_CHANNEL, &more));
            let scan = ["--json", "--scan", "portal_venous=other.nii.gz"];
            let json: Value = serde_json::from_str(&check(&scene, &text, &scan).succeeded().stdout).unwrap();
            let step = &json["estimate"]["steps"][0];
            let found = tiles_of_a_run(&scene, "other.nii.gz", &["--tile-step-size", step_size]);
            assert_eq!(step["tiles"], found, "{shape:?} {spacing:?} {step_size}");
            assert_eq!(
                step["network_runs"],
                found * 2 * 8,
                "two folds, mirrored along three axes"
            );
            assert!(step["seconds"].as_f64().unwrap() > 0.0);
            assert_eq!(json["estimate"]["scans"][0]["shape"], serde_json::json!(shape));
        }
    }
}

#[test]
fn time_and_memory_are_for_the_scans_named_or_for_an_assumed_one() {
    let scene = Scene::new();
    let optional = model("late", ONE_CHANNEL, "optional = true").replace("portal_venous", "delayed");
    let text = format!(
        "{}{CLEAN}{optional}",
        model("organ", ONE_CHANNEL, "no_mirroring = true")
    );
    let said = check(&scene, &text, &[]).succeeded().stdout;
    for part in [
        "512×512×400 voxels of 0.800×0.800×1.000 mm (assumed",
        " at the peak",
        "speed calibrated",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let scan = ["--scan", "portal_venous=scan.nii.gz"];
    let said = check(&scene, &text, &scan).succeeded().stdout;
    assert!(said.contains("24×20×18 voxels of 1.500×1.500×1.800 mm"), "{said}");
    assert!(!said.contains("assumed"), "{said}");
    let late = said.lines().find(|line| line.starts_with("late")).unwrap();
    assert!(late.contains("left out: no scan of delayed"), "{late}");
    let json = check(&scene, &text, &[&scan[..], &["--json"]].concat())
        .succeeded()
        .stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    let estimate = &json["estimate"];
    assert_eq!(estimate["speed"], "calibrated");
    assert_eq!(estimate["scans"][0]["memory_bytes"], 24 * 20 * 18 * 2);
    let step = estimate["steps"][0]["memory_bytes"].as_u64().unwrap();
    let process = 16_000_000;
    assert_eq!(estimate["memory_bytes"], process + step + 24 * 20 * 18 * 2);

    let refused = |scans: &[&str], exit: i32, says: &[&str]| {
        let scans: Vec<&str> = scans.iter().flat_map(|scan| ["--scan", scan]).collect();
        check(&scene, &text, &scans).refused(exit, says);
    };
    refused(
        &["venous=scan.nii.gz"],
        2,
        &["--scan", "venous=scan.nii.gz", "PHASE=FILE"],
    );
    refused(&["scan.nii.gz"], 2, &["--scan", "PHASE=FILE"]);
    refused(
        &["arterial=scan.nii.gz", "arterial=scan.nii.gz"],
        2,
        &["--scan", "arterial twice"],
    );
    refused(&["portal_venous=none.nii.gz"], 3, &["none.nii.gz"]);
    refused(
        &["delayed=scan.nii.gz"],
        2,
        &["step organ needs a scan of portal_venous, given is delayed"],
    );
}

#[test]
fn an_operation_that_nobody_knows_may_be_that_of_a_service() {
    let scene = Scene::new();
    let text = model("a", ONE_CHANNEL, "")
        + "[[masks]]\nid = 'b'\noperation = 'centreline'\ninputs = { mask = 'a' }\n[[save]]\nstep = 'b'\nfile = 'b.nii.gz'\n";
    check(&scene, &text, &[]).refused(2, &["step b", "\"centreline\"", "found by --config"]);
    scene.write(
        "server.toml",
        b"root = '.'\n[operations]\nother = 'http://127.0.0.1:9'\n",
    );
    let named = check(&scene, &text, &["--config", "server.toml"]);
    assert!(!named.stderr.contains("--config"), "{named:?}");
    named.refused(2, &["\"centreline\"", "other"]);
}

#[test]
fn models_of_other_cores_are_said_to_run_there() {
    let scene = Scene::new();
    scene.copy_model(ONE_CHANNEL);
    let config = "root = \".\"\n[[cores]]\nname = \"kidney-core\"\naddress = \"http://kidney-core:7443\"\n\
                  models = [\"model\"]\n";
    scene.write("hybrid.toml", config.as_bytes());
    let text = format!(
        "{}{}",
        model("organ", ONE_CHANNEL, ""),
        model("far", ONE_CHANNEL, "")
    );
    let folder = golden_model(ONE_CHANNEL);
    let local = text.replacen(folder.to_str().unwrap(), "model", 1);
    let sample = "[[samples]]\nid = 'look'\nstep = 'organ'\nlabels = ['tumor']\n";
    let root = scene.path("");
    let more = ["--config", "hybrid.toml", "--root", root.to_str().unwrap()];
    let said = check(&scene, &format!("{local}{sample}"), &more)
        .succeeded()
        .stdout;
    let line = |id: &str| said.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(
        line("organ").ends_with("kidney-core (http://kidney-core:7443)"),
        "{said}"
    );
    assert!(line("far").ends_with("in process"), "{said}");
    assert!(
        line("look").contains("sample look/; after organ; shows tumor"),
        "{said}"
    );
    check(
        &scene,
        &format!("{local}{}", sample.replace("tumor", "liver")),
        &more,
    )
    .refused(2, &["step look", "liver", "kidney, tumor"]);
}

/// What people get wrong in a pipeline; each ends with its exit code, and says where.
#[test]
fn bad_pipelines_are_refused_by_line_or_step() {
    let scene = Scene::new();
    let organ = model("organ", ONE_CHANNEL, "");
    let good = format!("{organ}{CLEAN}");
    check(&scene, &good, &[]).succeeded();
    let n_lines = good.lines().count();
    let refused = |text: &str, exit: i32, says: &[&str]| check(&scene, text, &[]).refused(exit, says);

    // unknown key, in every table
    let after = |line: &str| format!("{good}{line}");
    let last = format!("line {}", n_lines + 1);
    refused(
        &after("keep = true\n"),
        2,
        &["p.toml", &last, "save.keep: unknown key, known are step, file"],
    );
    refused(&format!("speed = 1\n{good}"), 2, &["line 1: speed: unknown key"]);
    refused(
        &good.replace("operation =", "operations ="),
        2,
        &["masks.operations: unknown key", "masks.operation: missing"],
    );
    refused(
        &after("[[samples]]\nid = 's'\nstep = 'organ'\nmargin = 3\n"),
        2,
        &[
            &format!("line {}", n_lines + 4),
            "samples.margin: unknown key",
            "margin_mm",
        ],
    );

    // id used twice: among models, and between tables
    refused(
        &format!("{organ}{good}"),
        2,
        &["line 6: step organ is there twice, first on line 1"],
    );
    refused(
        &good.replace("'clean'\noperation", "'organ'\noperation"),
        2,
        &[
            "line 6: step organ is there twice, first on line 1",
            "no step \"clean\"",
        ],
    );

    // cycle
    let cycle = good.replace("phases", "crop = { step = 'clean' }\nphases");
    refused(
        &cycle,
        2,
        &["line 1: steps need each other: organ needs clean needs organ"],
    );

    // missing model: no such folder, a file, a folder that is no model
    let with_model = |folder: &str| {
        let golden = golden_model(ONE_CHANNEL);
        good.replace(golden.to_str().unwrap(), folder)
    };
    refused(&with_model("models/none"), 3, &["step organ", "models/none"]);
    refused(&with_model("scan.nii.gz"), 3, &["step organ", "scan.nii.gz"]);
    refused(
        &with_model("out"),
        4,
        &["step organ", "out/plans.json", "does not exist"],
    );

    // plugin not configured, and one that is configured and not there
    let plugin = good.replace("'cleanup'", "'stone-finder'");
    refused(
        &plugin,
        2,
        &[
            "step clean: unknown operation \"stone-finder\", known are ",
            "cleanup",
            "merge",
            "sample",
        ],
    );
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    check(
        &scene,
        &plugin,
        &["--endpoint", &format!("http://{nobody}/stone-finder")],
    )
    .refused(6, &["step clean", &nobody.to_string()]);

    // impossible crop
    let crop = |crop: &str| format!("{}{good}", model("fine", ONE_CHANNEL, &format!("crop = {crop}")));
    refused(
        &crop("{ step = 'organ', margin_mm = -1 }"),
        2,
        &["line 5: models.crop.margin_mm: -1, expected"],
    );
    refused(
        &crop("{ step = 'organ', margin_mm = inf }"),
        2,
        &["line 5: models.crop.margin_mm"],
    );
    refused(
        &crop("{ margin_mm = 3 }"),
        2,
        &["line 5: models.crop.step: missing"],
    );
    refused(
        &crop("{ step = 'liver' }"),
        2,
        &["line 1: step fine: there is no step \"liver\""],
    );
    refused(
        &crop("'organ'"),
        2,
        &["line 5: models.crop: no table, expected a table such as"],
    );
    refused(
        &crop("{ step = 'organ', labels = ['kidney', 'liver'] }"),
        2,
        &["step fine: step organ has no label \"liver\", but kidney, tumor"],
    );
    refused(
        &crop("{ step = 'organ', labels = ['background'] }"),
        2,
        &["step fine: step organ has no label \"background\""],
    );
    let sample = "[[samples]]\nid = 's'\nstep = 'organ'\n";
    refused(
        &format!("{}{sample}", crop("{ step = 's' }")),
        2,
        &["line 1: step fine: step \"s\" is a sample, which has no mask"],
    );

    // several at once: all are told
    let text = good
        .replace("phases", "phase")
        .replace("keep_largest", "speed = 1970-01-01, keep_largest");
    refused(
        &text,
        2,
        &[
            "line 4: models.phase: unknown key",
            "models.phases: missing",
            "masks.parameters.speed",
        ],
    );
}
