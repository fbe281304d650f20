//! A case that holds one of its masks against another: the numbers are in its record, the difference among its files.

use serde_json::Value;

use crate::patient::{PIPELINE, Patient};

#[test]
fn a_pipeline_compares_its_masks() {
    let patient = Patient::new();
    let core = patient.core();
    let mut request = patient.request("compared");
    let rest = "[[masks]]\nid = 'changed'\noperation = 'compare'\ninputs = { mask = 'clean', reference = 'all' }\n\
                [[save]]\nstep = 'changed'\nfile = 'changed.nii.gz'\n\
                [[save]]\nstep = 'all'\nfile = 'all.nii.gz'\n";
    // Small parts of every structure go, so that something differs.
    let text = PIPELINE.replace("min_volume_mm3 = 50", "keep_largest = 1, erode_mm = 4") + rest;
    request.pipeline = patient.pipeline("compared.toml", &text);
    patient.run_here(&core, &request).unwrap();
    let record: Value =
        serde_json::from_slice(&std::fs::read(patient.path("results/compared/record.json")).unwrap())
            .unwrap();
    let steps = record["steps"].as_array().unwrap();
    let changed = steps.iter().find(|step| step["id"] == "changed").unwrap();
    let measurements = changed["work"]["measurements"].as_array().unwrap();
    let of = |label: &str, name: &str| {
        let mut all = measurements.iter();
        let found = all.find(|found| found["label"] == label && found["name"] == name);
        found.map(|found| found["value"].as_f64().unwrap())
    };
    let masks = record["masks"].as_array().unwrap();
    let voxels = |file: &str, label: &str| {
        let mask = masks.iter().find(|mask| mask["file"] == file).unwrap();
        let mut labels = mask["labels"].as_array().unwrap().iter();
        let found = labels.find(|found| found["name"] == label).unwrap();
        found["voxels"].as_f64().unwrap()
    };
    let (kept, before) = (voxels("abdomen.nii.gz", "kidney"), voxels("all.nii.gz", "kidney"));
    assert!(0.0 < kept && kept < before, "{kept} of {before}");
    assert_eq!(of("kidney", "voxels"), Some(kept));
    assert_eq!(of("kidney", "reference_voxels"), Some(before));
    assert_eq!(of("kidney", "dice"), Some(2.0 * kept / (kept + before)));
    let differing =
        ["only_mask", "only_reference", "other_label"].map(|label| voxels("changed.nii.gz", label));
    assert_eq!(
        (differing[0], differing[2]),
        (0.0, 0.0),
        "cleanup only takes away"
    );
    assert_eq!(of("", "differing_voxels"), Some(differing[1]));
}
