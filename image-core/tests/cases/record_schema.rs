//! The JSON schema of `record.json` is that of its type, and a record keeps to it.

use std::path::Path;

use nephrite_image_core::case::{Record, StepWork};
use serde_json::{Value, json};

use crate::patient::Patient;

#[test]
fn the_committed_schema_is_that_of_the_type_and_a_record_keeps_to_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/record.schema.json");
    let schema = serde_json::to_value(schemars::schema_for!(Record)).unwrap();
    if std::env::var_os("NEPHRITE_UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
    }
    let committed: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        committed, schema,
        "run this test with NEPHRITE_UPDATE_GENERATED=1"
    );

    // Models, operations, a sample, and a step that is left out.
    let patient = Patient::new();
    let mut request = patient.request("recorded");
    request.scans.retain(|(phase, _)| phase.name() != "delayed");
    let report = patient.run_here(&patient.core(), &request).unwrap();
    let kinds = report.record.steps.iter().map(|step| match step.work {
        StepWork::Model { .. } => "model",
        StepWork::Mask { .. } => "mask",
        StepWork::Sample { .. } => "sample",
        StepWork::LeftOut { .. } => "left_out",
    });
    let kinds: Vec<&str> = kinds.collect();
    for kind in ["model", "mask", "sample", "left_out"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let record: Value = serde_json::from_str(&report.json).unwrap();
    let validator = jsonschema::validator_for(&committed).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&record)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");

    // What is no record is refused, by the schema as by the type.
    let refused = |what: &str, change: &dyn Fn(&mut Value)| {
        let mut changed = record.clone();
        change(&mut changed);
        assert_ne!(changed, record, "{what}");
        assert!(!validator.is_valid(&changed), "the schema takes {what}");
        assert!(
            serde_json::from_value::<Record>(changed).is_err(),
            "the type takes {what}"
        );
    };
    refused("an unknown field", &|record| record["more"] = json!(1));
    refused("no scans", &|record| {
        drop(record.as_object_mut().unwrap().remove("scans"))
    });
    refused("an unknown phase", &|record| {
        record["reference"] = json!("venous")
    });
    refused("a text for a number", &|record| {
        record["total_seconds"] = json!("1 s")
    });
    refused("an unknown kind of step", &|record| {
        record["steps"][0]["work"]["kind"] = json!("magic")
    });
    refused("a field of another kind", &|record| {
        let work = record["steps"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .map(|step| &mut step["work"]);
        work.filter(|work| work["kind"] == "sample")
            .for_each(|work| work["tiles"] = json!(1));
    });
    refused("an unknown place", &|record| {
        record["processes"][0]["place"] = json!("elsewhere")
    });
}
