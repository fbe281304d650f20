//! What events, answers and the record of a case say of it: where steps run, where files lie, what was asked for.

use std::collections::BTreeSet;

use nephrite_proto::v1::{self, StepState};
use nephrite_proto::{CaseEvent, Client};
use serde_json::{Value, json};

use crate::patient::{Around, Patient};

fn wire_request(patient: &Patient, output: &str) -> v1::CaseServiceRunRequest {
    v1::CaseServiceRunRequest::from(&patient.request(output))
}

#[test]
fn events_and_record_say_the_same_of_places_files_and_parameters() {
    let patient = Patient::new();
    let mut around = Around::new();
    let services = around.mask_services(patient.root.path());
    let address = around.core(patient.root.path(), |config| {
        config.operations = crate::patient::operations_at(services);
        config.operations.endpoints.remove("sample");
    });
    let (mut progress, mut ready, mut done) = (Vec::new(), Vec::new(), None);
    around.runtime.block_on(async {
        let client = Client::connect(&format!("http://{address}")).await.unwrap();
        let mut events = client.run_case(wire_request(&patient, "case")).await.unwrap();
        while let Some(event) = events.next().await.unwrap() {
            match event {
                CaseEvent::Progress(event) => progress.push(event),
                CaseEvent::Mask(event) => ready.push(event),
                CaseEvent::Done(event) => done = Some(event),
                CaseEvent::Accepted(_) | CaseEvent::Warning(_) => {}
            }
        }
    });
    let done = done.unwrap();
    let record: Value = serde_json::from_str(&done.record).unwrap();

    // Every event has the place that the record has, and a stage exactly while a model runs.
    for event in &progress {
        let place = event
            .place
            .as_ref()
            .unwrap_or_else(|| panic!("{event:?} has no place"));
        let step = record["steps"]
            .as_array()
            .unwrap()
            .iter()
            .find(|step| step["id"] == event.step);
        let recorded = &step.unwrap()["place"];
        match place.kind() {
            v1::PlaceKind::InProcess => assert_eq!(*recorded, "in_process", "{event:?}"),
            _ => assert_eq!(
                recorded["service"]["address"],
                place.address.as_str(),
                "{event:?}"
            ),
        }
        assert!(event.stage.is_none_or(|stage| stage != 0), "{event:?}");
        let in_stage = event.state() == StepState::Running && event.stage.is_some();
        assert!(in_stage || event.tiles_total == 0, "{event:?}");
    }
    let stages: BTreeSet<i32> = progress.iter().filter_map(|event| event.stage).collect();
    assert!(stages.len() >= 5, "{stages:?}");

    // Files start at the result folder, everywhere.
    let kept = |files: &[v1::MaskReady]| -> BTreeSet<(String, String)> {
        let kept = files.iter().filter(|mask| !mask.file.is_empty());
        kept.map(|mask| (mask.step.clone(), mask.file.clone())).collect()
    };
    let recorded: BTreeSet<(String, String)> = record["masks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mask| {
            let text = |key: &str| mask[key].as_str().unwrap().to_owned();
            (text("step"), text("file"))
        })
        .collect();
    assert_eq!(kept(&ready), recorded);
    assert_eq!(kept(&done.masks), recorded);
    assert_eq!(done.output, "results/case", "as the request named it");
    let folder = patient.path("results/case");
    assert_eq!(record["request"]["output"], folder.to_str().unwrap());
    let files: Vec<&str> = done.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files.last(), Some(&"record.json"));
    for file in &files {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let of_record = record["files"].as_array().unwrap().iter();
    let of_record: Vec<&str> = of_record.map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(files[..files.len() - 1], of_record);

    // Values are values, and pairs are objects.
    let work = |id: &str| {
        let steps = record["steps"].as_array().unwrap();
        steps.iter().find(|step| step["id"] == id).unwrap()["work"].clone()
    };
    assert_eq!(
        work("clean")["parameters"],
        json!({"connectivity": "26", "min_volume_mm3": 50.0})
    );
    assert_eq!(
        work("clean")["operation"],
        json!({"name": "cleanup", "version": "1.0.0", "at_service": null})
    );
    let scan = |phase: &str| json!({"phase": phase, "path": patient.path(&format!("scans/{phase}.nii.gz"))});
    assert_eq!(
        record["request"]["scans"],
        json!([scan("arterial"), scan("portal_venous"), scan("delayed")])
    );
    let crop = &work("arteries")["model"]["crop"];
    for corner in ["start", "end"] {
        assert_eq!(crop[corner].as_array().map(Vec::len), Some(3), "{crop}");
    }
}

#[test]
fn each_kind_of_parameter_keeps_its_value_in_the_record() {
    let patient = Patient::new();
    let text = crate::patient::PIPELINE
        .replace(
            "inputs = { masks = [\"kidneys\", \"arteries\", \"ureters\"] }",
            "inputs = { masks = [\"kidneys\", \"arteries\", \"ureters\"] }\n\
             parameters = { labels = [\"kidney=1\", \"vein=2\", \"aorta=3\", \"renal_artery=4\", \"renal_pelvis=5\", \"ureter=6\"] }",
        )
        .replace(
            "artefacts = true",
            "artefacts = true\nparameters = { preview = true, max_voxels = 100000, labels = [\"kidney\"] }",
        )
        .replace("min_volume_mm3 = 50", "near_label = \"kidney\", near_mm = 80.5, labels = [\"ureter\"]");
    let mut request = patient.request("values");
    request.pipeline = patient.pipeline("values.toml", &text);
    let json = patient.run_here(&patient.core(), &request).unwrap().json;
    let record: Value = serde_json::from_str(&json).unwrap();
    let parameters = |id: &str| {
        let steps = record["steps"].as_array().unwrap();
        steps.iter().find(|step| step["id"] == id).unwrap()["work"]["parameters"].clone()
    };
    assert_eq!(
        parameters("all"),
        json!({
            "interpolation": "nearest",
            "labels": ["kidney=1", "vein=2", "aorta=3", "renal_artery=4", "renal_pelvis=5", "ureter=6"],
        })
    );
    assert_eq!(
        parameters("clean"),
        json!({"connectivity": "26", "labels": ["ureter"], "near_label": "kidney", "near_mm": 80.5})
    );
    assert_eq!(
        parameters("numbers"),
        json!({"labels": ["kidney"], "margin_mm": 5.0, "max_voxels": 100_000, "preview": true, "reduce": "downsample"})
    );
}
