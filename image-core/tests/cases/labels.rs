//! Labels that no step has are refused before any network runs, and what will come out is known before.

use std::path::Path;
use std::sync::Arc;

use nephrite_image_core::Core;
use nephrite_image_core::case::{
    CaseRequest, CaseServices, ServiceSettings, check_pipeline, estimate_case, run_case,
};
use nephrite_image_core::masks::{Endpoint, OperationSettings};
use nephrite_kernel::{
    CancelToken, Coded, Context, ErrorCode, InputSpec, Inputs, LabelStatus, Mask, MaskOperation,
    OperationDescription, OperationError, Outcome, OutputSpec, ParameterKind, ParameterSpec, Parameters,
    Registry, label_ids,
};
use nephrite_types::Phase;

use crate::patient::{ARTERIES, Around, KIDNEYS, Patient, RecordedEvents, URETERS, operations_at};

/// A researcher's plugin: one side of an organ, under a name of its own.
struct Side(OperationDescription);

impl Side {
    fn new() -> Side {
        let mut description = OperationDescription::new("side", "1.0.0", "one side of an organ");
        description.inputs = vec![InputSpec::required("mask", "the organs")];
        let left = ParameterKind::label(&["mask"]);
        description.parameters = vec![ParameterSpec::new("left", left, "the organ").required()];
        let part = OutputSpec::like_input("part", "mask", "its side");
        description.outputs = vec![part.labels_named_in(&["mask"], "keep")];
        let keep = ParameterKind::labels(&["mask"], nephrite_kernel::LabelForm::Name);
        description
            .parameters
            .push(ParameterSpec::new("keep", keep, "what to keep"));
        Side(description)
    }
}

impl MaskOperation for Side {
    fn description(&self) -> &OperationDescription {
        &self.0
    }

    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        _: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let mask = inputs.one("mask")?;
        label_ids(
            mask,
            "left",
            &[parameters.text("left").unwrap_or_default().to_owned()],
        )?;
        Ok(Outcome::mask("part", Mask::clone(mask)))
    }
}

/// The demo's models, and what a test adds.
fn pipeline(rest: &str) -> String {
    let model = |id: &str, folder: &str, phase: &str, optional: bool| {
        format!(
            "[[models]]\nid = '{id}'\nmodel = '{folder}'\nphases = ['{phase}']\noptional = {optional}\n\
             no_mirroring = true\ntile_step_size = 1.0\n"
        )
    };
    let merged = "[[masks]]\nid = 'all'\noperation = 'merge'\ninputs = { masks = ['kidneys', 'arteries', 'ureters'] }\n";
    [
        "reference = 'portal_venous'\n",
        &model("kidneys", KIDNEYS, "portal_venous", false),
        &model("arteries", ARTERIES, "arterial", false),
        &model("ureters", URETERS, "delayed", true),
        merged,
        rest,
    ]
    .concat()
}

/// What a look, an estimate, and a run say of a request that none of them may accept; no network ran.
fn refusals(core: &Core, services: &CaseServices, request: &CaseRequest) -> [(ErrorCode, String); 3] {
    let cancel = CancelToken::new();
    let events = RecordedEvents::default();
    let look = check_pipeline(core, services, request, Path::new(""), &cancel).map(|_| ());
    let estimate = estimate_case(core, services, request, &cancel).map(|_| ());
    let run = run_case(core, services, request, &events, &cancel).map(|_| ());
    assert!(events.0.lock().unwrap().is_empty(), "something ran");
    [look, estimate, run].map(|said| {
        let error = said.unwrap_err();
        (error.code(), error.to_string())
    })
}

#[test]
fn a_label_that_no_step_has_is_refused_before_any_network_runs() {
    let patient = Patient::new();
    let core = patient.core();
    let mut around = Around::new();
    let mut plugins = Registry::new();
    plugins.register(Arc::new(Side::new())).unwrap();
    let plugin = around.service(patient.root.path(), plugins);
    let ours = around.mask_services(patient.root.path());
    let with_plugin = |mut operations: OperationSettings| {
        let endpoint = Endpoint::parse(&format!("http://{plugin}")).unwrap();
        operations.endpoints.insert("side".to_owned(), endpoint);
        ServiceSettings {
            operations,
            ..ServiceSettings::default()
        }
    };
    // Built-in operations here, and at a service.
    for settings in [
        with_plugin(OperationSettings::default()),
        with_plugin(operations_at(ours)),
    ] {
        let services = CaseServices::new(&settings, core.root());
        let check = |step: &str, label: &str, rest: &str| {
            let mut request = patient.request("refused");
            request.pipeline = patient.pipeline("refused.toml", &pipeline(rest));
            for (code, message) in refusals(&core, &services, &request) {
                assert_eq!(code, ErrorCode::InvalidArgument, "{message}");
                let wanted = [format!("step {step}: "), format!("{label:?}")];
                assert!(wanted.iter().all(|part| message.contains(part)), "{message}");
            }
            patient.assert_nothing_left("refused");
        };
        let of = |operation: &str, parameters: &str| {
            format!(
                "[[masks]]\nid = 'step'\noperation = '{operation}'\ninputs = {{ mask = 'all' }}\n\
                 parameters = {{ {parameters} }}\n[[save]]\nstep = 'step'\nfile = 'step.nii.gz'\n"
            )
        };
        check("step", "left_kidney", &of("side", "left = 'left_kidney'"));
        check("step", "liver", &of("side", "left = 'kidney', keep = ['liver']"));
        check("step", "liver", &of("cleanup", "labels = ['kidney', 'liver']"));
        check(
            "step",
            "liver",
            &of("cleanup", "near_label = 'liver', near_mm = 3"),
        );
        check(
            "step",
            "liver",
            &of("cleanup", "preset = 'nnunet', regions = ['kidney+liver']"),
        );
        check("step", "liver", &of("sample", "labels = ['liver']"));
        let again = |parameters: &str| of("merge", parameters).replace("mask = 'all'", "masks = ['all']");
        check("step", "liver", &again("priority = ['liver']"));
        check("step", "liver", &again("labels = ['kidney=1', 'liver=2']"));
        check(
            "step",
            "liver",
            &again("steps = ['kidney = kidney subtract liver']"),
        );
        // What a step gives is known to later ones, and what one takes away is not.
        let only = "[[masks]]\nid = 'few'\noperation = 'merge'\ninputs = { masks = ['all'] }\n\
                    parameters = { labels = ['kidney=1'] }\n";
        check(
            "late",
            "aorta",
            &format!(
                "{only}[[masks]]\nid = 'late'\noperation = 'cleanup'\ninputs = {{ mask = 'few' }}\n\
             parameters = {{ labels = ['aorta'] }}\n[[save]]\nstep = 'late'\nfile = 'late.nii.gz'\n"
            ),
        );
        check(
            "look",
            "aorta",
            &format!(
                "{only}[[samples]]\nid = 'look'\nstep = 'few'\nlabels = ['aorta']\nmargin_mm = 5\n\
             [[save]]\nstep = 'few'\nfile = 'few.nii.gz'\n"
            ),
        );
    }
}

/// Faults of parameters that an operation alone knows are told as early.
#[test]
fn parameters_that_contradict_each_other_are_refused_before_any_network_runs() {
    let patient = Patient::new();
    let core = patient.core();
    let mut around = Around::new();
    let ours = around.mask_services(patient.root.path());
    for operations in [OperationSettings::default(), operations_at(ours)] {
        let settings = ServiceSettings {
            operations,
            ..ServiceSettings::default()
        };
        let services = CaseServices::new(&settings, core.root());
        let check = |operation: &str, parameters: &str, says: &str| {
            let input = if operation == "merge" {
                "masks = ['all']"
            } else {
                "mask = 'all'"
            };
            let rest = format!(
                "[[masks]]\nid = 'step'\noperation = '{operation}'\ninputs = {{ {input} }}\n\
                 parameters = {{ {parameters} }}\n[[save]]\nstep = 'step'\nfile = 'step.nii.gz'\n"
            );
            let mut request = patient.request("refused");
            request.pipeline = patient.pipeline("refused.toml", &pipeline(&rest));
            for (code, message) in refusals(&core, &services, &request) {
                assert_eq!(code, ErrorCode::InvalidArgument, "{message}");
                assert!(message.contains(says), "{message}");
            }
        };
        check("cleanup", "near_label = 'aorta'", "near_mm");
        check("cleanup", "preset = 'nnunet', open_mm = 2", "preset, open_mm");
        check("merge", "labels = ['kidney=1', 'aorta=1']", "the id 1 twice");
        check("merge", "steps = ['kidney = aorta']", "steps");
        check("sample", "preview = true", "folder");
    }
}

#[test]
fn what_will_come_out_is_known_before() {
    let patient = Patient::new();
    let core = patient.core();
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    let request = patient.request("known");
    let estimate = estimate_case(&core, &services, &request, &CancelToken::new()).unwrap();
    let done = patient.run_here(&core, &request).unwrap().record;
    for (step, ran) in estimate.steps.iter().zip(&done.steps) {
        assert_eq!(step.step, ran.id);
        let found: Vec<String> = ran.labels.iter().map(|label| label.name.clone()).collect();
        let expected = step.labels.clone().unwrap_or_default();
        assert_eq!(expected, found, "{}", step.step);
        // What is in a folder that only the run can name stands for itself.
        let folder = step.files.iter().find_map(|file| file.strip_suffix('/'));
        let named = |file: &String| folder.is_none_or(|folder| !file.starts_with(&format!("{folder}/")));
        let mut files: Vec<String> = ran.files.iter().filter(|file| named(file)).cloned().collect();
        files.extend(folder.map(|folder| format!("{folder}/")));
        let sorted = |mut files: Vec<String>| {
            files.sort();
            files
        };
        assert_eq!(sorted(step.files.clone()), sorted(files), "{}", step.step);
    }
    let of = |id: &str| estimate.steps.iter().find(|step| step.step == id).unwrap();
    assert_eq!(of("kidneys").model.as_deref(), Some(KIDNEYS));
    assert_eq!(of("clean").operation.as_deref(), Some("cleanup"));
    assert_eq!(of("clean").files, ["abdomen.nii.gz"]);
    assert_eq!(of("numbers").files, ["numbers/"]);
    assert_eq!(
        of("look").files,
        ["look/image.nii.gz", "look/mask.nii.gz", "look/overlay.png"]
    );
}

/// A mask that is not made, because all that it needs is left out, still names its labels to later steps.
#[test]
fn labels_of_a_mask_that_is_left_out_stay_named() {
    let patient = Patient::new();
    let core = patient.core();
    let rest = "[[masks]]\nid = 'tidy'\noperation = 'cleanup'\ninputs = { mask = 'ureters' }\n\
                parameters = { min_voxels = 2 }\n\
                [[masks]]\nid = 'last'\noperation = 'merge'\ninputs = { masks = ['kidneys', 'tidy'] }\n\
                parameters = { labels = ['kidney=1', 'ureter=6'] }\n\
                [[save]]\nstep = 'last'\nfile = 'last.nii.gz'\n";
    let mut request = patient.request("without");
    request.pipeline = patient.pipeline("without.toml", &pipeline(rest));
    request.scans.retain(|(phase, _)| *phase != Phase::Delayed);
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    let estimate = estimate_case(&core, &services, &request, &CancelToken::new()).unwrap();
    let of = |id: &str| estimate.steps.iter().find(|step| step.step == id).unwrap();
    assert!(of("tidy").left_out.is_some() && of("tidy").files.is_empty());
    assert!(of("tidy").labels.as_ref().unwrap().contains(&"ureter".to_owned()));
    let record = patient.run_here(&core, &request).unwrap().record;
    let labels: Vec<(u16, &str, LabelStatus)> = record.masks[0]
        .labels
        .iter()
        .map(|label| (label.id, label.name.as_str(), label.status))
        .collect();
    assert_eq!(
        labels,
        [
            (1, "kidney", LabelStatus::Present),
            (6, "ureter", LabelStatus::NotSearched)
        ]
    );
}
