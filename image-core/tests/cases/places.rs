//! Where steps ran is in the record, and a second run finds its places there.

use std::process::Command;

use nephrite_image_core::case::{
    CaseServices, NoCaseEvents, ServiceSettings, StepPlace, VerifyPlaces, run_case, verify_record,
};
use nephrite_image_core::masks::Endpoint;
use nephrite_types::{CancelToken, Coded, ErrorCode};

use crate::patient::{ARTERIES, Around, Patient, operations_at, owner};

#[test]
fn a_second_run_takes_its_places_from_the_record() {
    let patient = Patient::new();
    let mut around = Around::new();
    let root = patient.root.path();
    let masks = around.mask_services(root);
    let mut operations = operations_at(masks);
    // A name of the pipeline's own for an operation of the service.
    let tidy = Endpoint::parse(&format!("http://{masks}/cleanup")).unwrap();
    operations.endpoints.insert("tidy".to_owned(), tidy);
    let settings = ServiceSettings {
        operations,
        cores: vec![owner("vessel", around.core(root, |_| {}), ARTERIES)],
        ..ServiceSettings::default()
    };
    let core = patient.core();
    let mut request = patient.request("case");
    let text = crate::patient::PIPELINE.replace("\"cleanup\"", "\"tidy\"");
    request.pipeline = patient.pipeline("tidy.toml", &text);
    let services = CaseServices::new(&settings, core.root());
    let cancel = CancelToken::new();
    let record = run_case(&core, &services, &request, &NoCaseEvents, &cancel)
        .unwrap()
        .record;
    let place = |id: &str| {
        let step = record.steps.iter().find(|step| step.id == id).unwrap();
        step.place.clone().unwrap()
    };
    assert!(matches!(place("clean"), StepPlace::Service { .. }));
    assert!(matches!(place("arteries"), StepPlace::Core { .. }));

    let path = "results/case/record.json".as_ref();
    let here = CaseServices::new(&ServiceSettings::default(), core.root());
    let configured = VerifyPlaces::Configured(&here);
    let unknown = verify_record(&core, configured, path, &NoCaseEvents, &cancel).unwrap_err();
    assert!(unknown.is_unknown_operation(), "{unknown}");

    let report = verify_record(&core, VerifyPlaces::Recorded, path, &NoCaseEvents, &cancel).unwrap();
    assert!(report.is_equal(), "{report:?}");
    assert!(report.equal.len() > 3);
    let left: Vec<_> = std::fs::read_dir(patient.path("results"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["case"]);

    let nephrite = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_nephrite"))
            .args(arguments)
            .args(["--root", ".", "--quiet"])
            .current_dir(root)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let record = "results/case/record.json";
    let scans =
        ["arterial", "portal_venous", "delayed"].map(|phase| format!("--scan={phase}=scans/{phase}.nii.gz"));
    let mut run = vec!["run", "--pipeline", "tidy.toml", "--output", "results/new"];
    run.extend(scans.iter().map(String::as_str));
    let (code, said) = nephrite(&run);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("\"tidy\"") && said.contains("--config"), "{said}");
    let (code, said) = nephrite(&["verify", record]);
    assert_eq!(code, Some(2), "{said}");
    for text in ["\"tidy\"", "--config", "--recorded-places"] {
        assert!(said.contains(text), "{text} is not in: {said}");
    }
    let (code, said) = nephrite(&["verify", record, "--recorded-places"]);
    assert_eq!(code, Some(0), "{said}");

    drop(around); // the recorded places are gone
    let gone = verify_record(&core, VerifyPlaces::Recorded, path, &NoCaseEvents, &cancel).unwrap_err();
    assert_eq!(gone.code(), ErrorCode::Unavailable, "{gone}");
    assert!(gone.to_string().contains(&masks.to_string()), "{gone}");
}
