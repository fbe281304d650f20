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
