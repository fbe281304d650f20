//! The precision of networks is in the record, like their provider, and what depends on it follows it.

use std::fs;
use std::path::Path;

use nephrite_cpu::CpuOptions;
use nephrite_engine::Provider;
use nephrite_image_core::Core;
use nephrite_image_core::case::{
    Caller, CaseRequest, CaseServices, NoCaseEvents, Record, ServiceSettings, VerifyPlaces, reuse_case,
    run_case, verify_record,
};
use nephrite_types::{CancelToken, Precision};
use serde_json::{Value, json};

use crate::patient::{Around, KIDNEYS, Patient, owner};

/// One model with a few tiles.
fn request(patient: &Patient, output: &str) -> CaseRequest {
    let mut request = patient.request(output);
    let text = format!(
        "[[models]]\nid = 'kidneys'\nmodel = '{KIDNEYS}'\nphases = ['portal_venous']\nno_mirroring = true\n\
         tile_step_size = 1.0\n[[save]]\nstep = 'kidneys'\nfile = 'kidneys.nii.gz'\n"
    );
    request.pipeline = patient.pipeline("one.toml", &text);
    request
}

/// Changes what the record says of its model.
fn edit_model(record: &Path, edit: impl FnOnce(&mut Value)) {
    let mut json: Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    edit(&mut json["steps"][0]["work"]["model"]);
    fs::write(record, json.to_string()).unwrap();
}

fn reuses(core: &Core, request: &CaseRequest, earlier: &str) -> bool {
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    reuse_case(
        core,
        &services,
        request,
        earlier.as_ref(),
        &Caller,
        &CancelToken::new(),
    )
    .unwrap()
    .is_some()
}

fn has_bf16() -> bool {
    let precision = nephrite_cpu::Precision::Bf16;
    nephrite_cpu::check(CpuOptions {
        precision,
        ..CpuOptions::best()
    })
    .is_ok()
}

#[test]
fn a_result_of_another_precision_or_provider_is_not_reused() {
    let patient = Patient::new();
    let core = patient.core();
    let report = patient.run_here(&core, &request(&patient, "first")).unwrap();
    let step = &report.record.steps[0];
    let model = step.model().unwrap();
    assert_eq!((model.provider, model.precision), (Provider::Cpu, Precision::F32));
    let level = CpuOptions::best().level.name();
    let versions: Vec<_> = step
        .versions
        .iter()
        .map(|(name, version)| (&**name, &**version))
        .collect();
    assert_eq!(
        versions,
        [("kernels", level), ("nephrite", env!("CARGO_PKG_VERSION"))]
    );

    let record = patient.path("results/first/record.json");
    assert!(reuses(&core, &request(&patient, "second"), "results/first"));
    edit_model(&record, |model| model["precision"] = json!("bf16"));
    assert!(!reuses(&core, &request(&patient, "third"), "results/first"));
    assert!(!patient.path("results/third").exists());
    edit_model(&record, |model| {
        model["precision"] = json!("f32");
        model["provider"] = json!("openvino");
    });
    assert!(!reuses(&core, &request(&patient, "third"), "results/first"));
}

/// Records were written before there was a choice, when all networks ran in f32 and the library had a version.
#[test]
fn a_record_that_says_no_precision_is_of_f32() {
    let patient = Patient::new();
    let core = patient.core();
    patient.run_here(&core, &request(&patient, "first")).unwrap();
    let path = patient.path("results/first/record.json");
    edit_model(&path, |model| {
        assert_eq!(
            model.as_object_mut().unwrap().remove("precision"),
            Some(json!("f32"))
        );
    });
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["steps"][0]["versions"] = json!({"nephrite": env!("CARGO_PKG_VERSION"), "onnxruntime": "1.24.1"});
    fs::write(&path, json.to_string()).unwrap();
    let record: Record = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(record.steps[0].model().unwrap().precision, Precision::F32);
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/record.schema.json");
    let schema: Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&json));

    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    let configured = VerifyPlaces::Configured(&services);
    let record = "results/first/record.json".as_ref();
    let verified = verify_record(&core, configured, record, &NoCaseEvents, &CancelToken::new()).unwrap();
    assert!(verified.is_equal() && !verified.equal.is_empty(), "{verified:?}");
    assert!(reuses(&core, &request(&patient, "second"), "results/first"));
}

/// The core that ran a step says in which precision; that of the case does not matter.
#[test]
fn a_step_in_another_core_has_the_precision_of_that_core() {
    let patient = Patient::new();
    let mut around = Around::new();
    let precision = match has_bf16() {
        true => Precision::Bf16,
        false => Precision::F32,
    };
    let address = around.core(patient.root.path(), |config| {
        config.precision = Some(precision);
    });
    let core = patient.core();
    let settings = ServiceSettings {
        cores: vec![owner("renal", address, KIDNEYS)],
        ..ServiceSettings::default()
    };
    let services = CaseServices::new(&settings, core.root());
    let report = run_case(
        &core,
        &services,
        &request(&patient, "there"),
        &NoCaseEvents,
        &CancelToken::new(),
    );
    let record = report.unwrap().record;
    let step = &record.steps[0];
    assert_eq!(step.model().unwrap().precision, precision);
    assert_eq!(step.versions["kernels"], CpuOptions::best().level.name());
}
