//! The program runs, on the twin of a card.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::process::Command;

use serde_json::Value;

fn run(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("found.json");
    let program = Command::new(env!("CARGO_BIN_EXE_time_network"))
        .args(["--twin", "--network", "small", "--patch", "16", "--json"])
        .arg(&file)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        program.status.success(),
        "{}",
        String::from_utf8_lossy(&program.stderr)
    );
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_small_network_is_timed_step_by_step() {
    let found = run(&["--rounds", "2", "--tiles", "3", "--profile"]);
    for (key, value) in [("network", "small"), ("precision", "half"), ("card", "twin")] {
        assert_eq!(found[key], value);
    }
    for key in ["open_s", "load_s", "first_tile_s", "network_ms", "tile_ms"] {
        assert!(found[key].as_f64().unwrap() > 0.0, "{key}: {found}");
    }
    for key in ["weights_bytes", "arena_bytes"] {
        assert!(found[key].as_u64().unwrap() > 0, "{key}");
    }
    assert_eq!(found["tile_ms_of_rounds"].as_array().unwrap().len(), 2);
    let steps = found["steps"].as_array().unwrap();
    let n_convolutions = steps.iter().filter(|step| step["kind"] == "convolution").count();
    assert_eq!(n_convolutions, 2 * 3 + 2 * 2, "the head is no step");
    assert!(steps.iter().all(|step| step["ms"].as_f64().unwrap() > 0.0));
}

#[test]
fn every_precision_and_no_profile() {
    for precision in ["half", "tf32", "f32"] {
        let found = run(&["--rounds", "1", "--tiles", "1", "--precision", precision]);
        assert_eq!(found["precision"], precision);
        assert_eq!(found["steps"].as_array().unwrap().len(), 0);
    }
}
