//! What `pipeline check` says of a pipeline file, and what it refuses.

use serde_json::Value;

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
        lines[1].starts_with("clean  mask cleanup; after organ; in process"),
        "{said}"
    );
    assert!(said.contains("saves clean as clean.nii.gz"), "{said}");
    let json: Value = serde_json::from_str(&check(&scene, &text, &["--json"]).succeeded().stdout).unwrap();
    assert_eq!(json["steps"][1]["needs"][0], "organ");
    assert!(json["expected_memory_bytes"].as_u64().unwrap() > 0);
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
