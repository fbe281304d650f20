//! `nephrite pipeline check` and `CaseService.Estimate` are one plan and one estimate: equal field by field.

use std::fs;
use std::path::{Path, PathBuf};

use nephrite_image_core::case::StepPlace;
use nephrite_proto::{Client, RemoteError, v1};
use nephrite_types::Phase;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::patient::{PIPELINE, Patient};
use crate::run::{Served, nephrite};

/// The folders of all golden models, below `models`.
fn golden_models(patient: &Patient) -> Vec<String> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/models");
    let mut models = Vec::new();
    for dataset in folders(&golden) {
        for model in folders(&dataset) {
            let below = model.strip_prefix(&golden).unwrap();
            copy(&model, &patient.path("models").join(below));
            models.push(format!("models/{}", below.display()));
        }
    }
    models.sort();
    models
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

fn words(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap().to_lowercase()
}

/// The message as the command line prints it.
fn as_printed(estimate: v1::CaseServiceEstimateResponse) -> Value {
    let speed = estimate.speed().as_str_name();
    let v1::CaseServiceEstimateResponse {
        steps,
        seconds,
        memory_bytes,
        speed: _,
        multiply_adds_per_second,
        scans,
        warnings,
    } = estimate;
    let phase = |number: i32| {
        Phase::ALL
            .into_iter()
            .find(|phase| i32::from(v1::Phase::from(*phase)) == number)
    };
    let steps = steps.into_iter().map(|step| {
        let kind = words(step.kind().as_str_name(), "STEP_KIND_");
        let v1::StepEstimate {
            step,
            kind: _,
            place,
            phase: on,
            tiles,
            seconds,
            memory_bytes,
            skipped,
            network_runs,
            at_most,
            model,
            operation,
            labels,
            files,
        } = step;
        let text = |text: String| (!text.is_empty()).then_some(text);
        json!({
            "step": step, "kind": kind, "place": place.map(|place| StepPlace::try_from(place).unwrap()),
            "phase": on.map(|on| phase(on).unwrap()), "left_out": (!skipped.is_empty()).then_some(skipped),
            "at_most": at_most, "tiles": tiles, "network_runs": network_runs, "seconds": seconds,
            "memory_bytes": memory_bytes, "model": text(model), "operation": text(operation),
            "labels": (!labels.is_empty()).then_some(labels), "files": files,
        })
    });
    let scans = scans.into_iter().map(|scan| {
        let v1::ScanEstimate {
            phase: of,
            path,
            shape,
            spacing,
            memory_bytes,
        } = scan;
        json!({
            "phase": phase(of).unwrap(), "file": path, "shape": shape, "spacing": spacing, "memory_bytes": memory_bytes,
        })
    });
    assert!(warnings.is_empty(), "{warnings:?}");
    json!({
        "scans": scans.collect::<Vec<_>>(), "steps": steps.collect::<Vec<_>>(), "seconds": seconds,
        "memory_bytes": memory_bytes, "multiply_adds_per_second": multiply_adds_per_second,
        "speed": words(speed, "SPEED_SOURCE_"),
    })
}

/// Seconds as work: two processes find two speeds.
fn without_speed(mut estimate: Value) -> Value {
    let speed = estimate["multiply_adds_per_second"].take().as_f64().unwrap();
    assert!(speed > 0.0);
    let to_work = |value: &mut Value| {
        if let Some(seconds) = value.as_f64() {
            *value = json!(format!("{:.9e}", seconds * speed));
        }
    };
    to_work(&mut estimate["seconds"]);
    for step in estimate["steps"].as_array_mut().unwrap() {
        to_work(&mut step["seconds"]);
    }
    estimate
}

fn at_server(runtime: &Runtime, url: &str, scans: &[Phase]) -> Result<Value, RemoteError> {
    let scans = scans.iter().map(|phase| v1::PhaseScan {
        phase: v1::Phase::from(*phase).into(),
        path: format!("scans/{phase}.nii.gz"),
    });
    let request = v1::CaseServiceRunRequest {
        pipeline: "checked.toml".to_owned(),
        scans: scans.collect(),
        ..Default::default()
    };
    runtime.block_on(async {
        let client = Client::connect(url).await?;
        let estimate = client.estimate_case(v1::CaseServiceEstimateRequest {
            request: Some(request),
        });
        Ok(without_speed(as_printed(estimate.await?)))
    })
}

fn at_command_line(patient: &Patient, scans: &[Phase]) -> Result<Value, String> {
    let scans: Vec<String> = scans
        .iter()
        .map(|phase| format!("--scan={phase}=scans/{phase}.nii.gz"))
        .collect();
    let mut arguments = vec!["pipeline", "check", "checked.toml", "--root", ".", "--json"];
    arguments.extend(scans.iter().map(String::as_str));
    let outcome = nephrite(patient.root.path(), &arguments);
    match outcome.exit {
        Some(0) => {
            let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
            Ok(without_speed(printed["estimate"].clone()))
        }
        _ => Err(outcome.stderr),
    }
}

#[test]
fn pipeline_check_and_estimate_are_equal_for_all_golden_models_the_cascade_and_a_whole_pipeline() {
    let patient = Patient::new();
    let runtime = Runtime::new().unwrap();
    let models = golden_models(&patient);
    assert_eq!(models.len(), 22);
    let server = Served::new(&patient, "");
    let (mut n_equal, mut n_refused) = (0, 0);
    let mut check = |text: &str, scans: &[Phase]| {
        fs::write(patient.path("checked.toml"), text).unwrap();
        match (
            at_command_line(&patient, scans),
            at_server(&runtime, &server.url, scans),
        ) {
            (Ok(typed), Ok(at_server)) => {
                assert_eq!(typed, at_server, "{text}");
                n_equal += 1;
                Some(typed)
            }
            (Err(typed), Err(at_server)) => {
                assert!(typed.contains(&at_server.message), "{typed}\n{at_server}");
                n_refused += 1;
                None
            }
            other => panic!("{text}: {other:?}"),
        }
    };
    let step = |id: &str, model: &str, more: &str| {
        format!("[[models]]\nid = '{id}'\nmodel = '{model}'\nphases = ['portal_venous']\n{more}\n")
    };
    let save = |id: &str| format!("[[save]]\nstep = '{id}'\nfile = '{id}.nii.gz'\n");
    for model in &models {
        for more in ["", "no_mirroring = true\ntile_step_size = 0.7"] {
            check(&(step("a", model, more) + &save("a")), &[Phase::PortalVenous]);
        }
    }
    // The cascade: its first stage is implied, or another step.
    let [cascade, lowres] = ["3d_cascade_fullres", "3d_lowres"]
        .map(|name| format!("models/Dataset906_Cascade/nnUNetTrainer__nnUNetPlans__{name}"));
    let tiles = |estimate: Option<Value>| -> Vec<u64> {
        let estimate = estimate.unwrap();
        let steps = estimate["steps"].as_array().unwrap().iter();
        steps.map(|step| step["tiles"].as_u64().unwrap()).collect()
    };
    let implied = check(&(step("b", &cascade, "") + &save("b")), &[Phase::PortalVenous]);
    let two_steps = step("a", &lowres, "") + &step("b", &cascade, "previous_stage = 'a'") + &save("b");
    let stated = check(&two_steps, &[Phase::PortalVenous]);
    let (implied, stated) = (tiles(implied), tiles(stated));
    assert_eq!(implied, [stated.iter().sum::<u64>()], "{stated:?}");
    // A crop, an optional step, operations, a sample; with all scans, and without some.
    let all = [Phase::PortalVenous, Phase::Arterial, Phase::Delayed];
    for n_scans in [3, 2, 1] {
        check(PIPELINE, &all[..n_scans]);
    }
    println!("{n_equal} equal, {n_refused} refused alike");
    // a model of two channels, twice, which one scan does not give; and a pipeline without its arterial scan
    assert_eq!((n_equal, n_refused), (46, 3));
}
