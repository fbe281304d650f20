//! What pipeline files say, and what is wrong with them, by line.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use nephrite_nnunet_folder::{CheckpointKind, FoldName, FoldSelection};
use nephrite_pipeline::{
    Crop, DicomOutput, MaskChannel, ModelStep, ParameterValue, Pipeline, PipelineFault, SampleStep, Save,
    Step,
};
use nephrite_types::{Numerics, OutputFormat, Phase};
use proptest::prelude::*;

const WHOLE: &str = r#"
reference = "portal_venous"

[[masks]]
id = "clean"
operation = "cleanup"
inputs = { mask = "all" }
parameters = { keep_largest = 2, min_volume_mm3 = 0.5, labels = ["a", "b"], preset = "x", on = true }
artefacts = true

[[masks]]
id = "all"
operation = "merge"
inputs = { masks = ["fine", "locate"], reference = "locate" }

[[models]]
id = "fine"
model = "m/fine"
quick_model = "m/low"
phases = ["arterial", "portal_venous"]
optional = true
folds = [0, "all"]
checkpoint = "best"
no_mirroring = true
no_gaussian = true
tile_step_size = 1
numerics = "reference"
postprocessing = true
crop = { step = "locate", labels = ["kidney"], margin_mm = 20 }
previous_stage = "locate"
channels = ["locate:kidney"]

[[models]]
id = "locate"
model = "m/locate"
phases = ["portal_venous"]

[[samples]]
id = "small"
step = "clean"
labels = ["kidney"]
margin_mm = 12.5
phase = "arterial"

[[save]]
step = "clean"
file = "clean.nii.gz"
"#;

fn model(id: &str, more: &str) -> String {
    format!("[[models]]\nid = '{id}'\nmodel = 'm'\nphases = ['arterial']\n{more}\n")
}

fn save(step: &str) -> String {
    format!("[[save]]\nstep = '{step}'\nfile = '{step}.nii.gz'\n")
}

#[test]
fn every_key_is_taken_and_steps_come_after_what_they_need() {
    let pipeline = Pipeline::parse(WHOLE).unwrap();
    assert_eq!(pipeline.reference, Some(Phase::PortalVenous));
    let ids: Vec<&str> = pipeline.steps().map(Step::id).collect();
    assert_eq!(ids, ["locate", "fine", "all", "clean", "small"]);
    let Some(Step::Model(fine)) = pipeline.step("fine") else {
        panic!("a model");
    };
    assert_eq!(fine.phases, [Phase::Arterial, Phase::PortalVenous]);
    assert!(fine.optional);
    assert_eq!(fine.quick_model.as_deref(), Some(std::path::Path::new("m/low")));
    assert_eq!(
        fine.folds,
        FoldSelection::List(vec![FoldName::Number(0), FoldName::All])
    );
    assert_eq!(fine.checkpoint, CheckpointKind::Best);
    assert!(!fine.options.mirroring && !fine.options.gaussian && fine.postprocessing);
    assert_eq!(
        (fine.options.tile_step_size, fine.options.numerics),
        (1.0, Numerics::Reference)
    );
    let crop = Crop {
        step: "locate".into(),
        labels: vec!["kidney".into()],
        margin_mm: 20.0,
    };
    assert_eq!(fine.crop, Some(crop));
    let channel = MaskChannel {
        step: "locate".into(),
        label: "kidney".into(),
    };
    assert_eq!(fine.channels, [channel]);
    let Some(Step::Model(locate)) = pipeline.step("locate") else {
        panic!("a model");
    };
    assert!(
        !locate.optional
            && locate.quick_model.is_none()
            && locate.options.mirroring
            && locate.folds == FoldSelection::Available
    );
    let Some(Step::Mask(clean)) = pipeline.step("clean") else {
        panic!("an operation");
    };
    assert!(clean.artefacts);
    assert_eq!(clean.parameters["keep_largest"], ParameterValue::Integer(2));
    assert_eq!(clean.parameters["min_volume_mm3"], ParameterValue::Number(0.5));
    assert_eq!(
        clean.parameters["labels"],
        ParameterValue::Texts(vec!["a".into(), "b".into()])
    );
    assert_eq!(clean.parameters["on"], ParameterValue::Flag(true));
    assert_eq!(pipeline.step("all").unwrap().needs().len(), 2, "each step once");
    let small = SampleStep {
        id: "small".into(),
        step: "clean".into(),
        labels: vec!["kidney".into()],
        margin_mm: 12.5,
        phase: Some(Phase::Arterial),
    };
    assert_eq!(pipeline.step("small"), Some(&Step::Sample(small)));
    assert_eq!(pipeline.step("small").unwrap().needs(), ["clean"]);
}

#[test]
fn a_sample_alone_is_enough_and_says_no_more_than_its_step() {
    let text = format!("[[samples]]\nid = 's'\nstep = 'a'\n{}", model("a", ""));
    let pipeline = Pipeline::parse(&text).unwrap();
    assert!(pipeline.save.is_empty());
    let small = SampleStep {
        id: "s".into(),
        step: "a".into(),
        labels: Vec::new(),
        margin_mm: 5.0,
        phase: None,
    };
    let steps: Vec<&Step> = pipeline.steps().collect();
    assert_eq!(steps[1], &Step::Sample(small));
}

#[test]
fn models_need_no_file() {
    let step = |id: &str, previous: Option<&str>| {
        let Some(Step::Model(step)) = Pipeline::parse(&format!("{}{}", model("x", ""), save("x")))
            .unwrap()
            .step("x")
            .cloned()
        else {
            panic!("a model");
        };
        ModelStep {
            id: id.to_owned(),
            previous_stage: previous.map(str::to_owned),
            ..step
        }
    };
    let pipeline = Pipeline::from_models(vec![step("fine", Some("low")), step("low", None)]).unwrap();
    assert_eq!(
        pipeline.steps().map(Step::id).collect::<Vec<_>>(),
        ["low", "fine"]
    );
    let files: Vec<&str> = pipeline.save.iter().map(|save| save.file.as_str()).collect();
    assert_eq!(files, ["fine.nii.gz", "low.nii.gz"]);
    let check = |models: Vec<ModelStep>, says: &str| {
        let fault = Pipeline::from_models(models).unwrap_err().to_string();
        assert!(fault.contains(says), "{says:?} is not in {fault:?}");
    };
    check(Vec::new(), "no step");
    check(vec![step("a", None), step("a", None)], "step a is there twice");
    check(vec![step("A b", None)], "models.id: \"A b\", expected a name");
    check(vec![step("a", Some("b"))], "step a: there is no step \"b\"");
    check(vec![step("a", Some("a"))], "a needs a");
    let nowhere = ModelStep {
        phases: Vec::new(),
        ..step("a", None)
    };
    check(vec![nowhere], "phases of step a: missing");
}

#[test]
fn a_choice_of_steps_brings_what_they_need() {
    let pipeline = Pipeline::parse(WHOLE).unwrap();
    let fine = pipeline.only(&["fine".into()]).unwrap();
    assert_eq!(fine.steps().map(Step::id).collect::<Vec<_>>(), ["locate", "fine"]);
    let kept = Save {
        step: "fine".into(),
        file: "fine.nii.gz".into(),
        formats: vec![OutputFormat::Nifti],
    };
    assert_eq!(fine.save, [kept]);
    let clean = pipeline.only(&["clean".into()]).unwrap();
    assert_eq!(clean.steps().len(), 4, "all but the sample");
    assert_eq!(clean.save, pipeline.save);
    let small = pipeline.only(&["small".into()]).unwrap();
    assert_eq!(small.steps().len(), 5);
    assert!(small.save.is_empty(), "a sample keeps its own files");
    assert_eq!(pipeline.only(&[]), Err(PipelineFault::NoSteps));
    let text = format!(
        "{}{}[[save]]\nstep = 'a'\nfile = 'b.nii.gz'\n",
        model("a", ""),
        model("b", "")
    );
    let clash = Pipeline::parse(&text).unwrap().only(&["a".into(), "b".into()]);
    assert!(matches!(clash, Err(PipelineFault::FileTwice { .. })), "{clash:?}");
    let unknown = pipeline.only(&["liver".into()]).unwrap_err();
    assert!(matches!(unknown, PipelineFault::UnknownStep { .. }), "{unknown}");
}

#[track_caller]
fn check(text: &str, line: usize, says: &str) {
    let faults = Pipeline::parse(text).unwrap_err();
    let found: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 1, "{found:?}");
    assert_eq!(faults[0].line, line, "{found:?}");
    assert!(found[0].contains(says), "{says:?} is not in {found:?}");
}

#[test]
fn faults_name_their_line() {
    let (a, kept) = (model("a", ""), save("a"));
    let with = |more: &str| format!("{}{kept}", model("a", more));
    check("", 1, "no step");
    check(&with("quick_model = ''"), 5, "models.quick_model");
    check(&a, 1, "saves nothing");
    check("reference = \n", 1, "");
    check(&format!("speed = 3\n{a}{kept}"), 1, "speed: unknown key");
    check(
        &format!("reference = 'venous'\n{a}{kept}"),
        1,
        "reference: \"venous\", expected non_contrast",
    );
    check(
        &with("fold = 1"),
        5,
        "models.fold: unknown key, known are id, model",
    );
    check(&with("folds = []"), 5, "models.folds");
    check(&with("tile_step_size = nan"), 5, "models.tile_step_size");
    check(&with("tile_step_size = 0"), 5, "models.tile_step_size: 0");
    check(&with("optional = 'yes'"), 5, "true or false");
    check(&with("crop = 3"), 5, "models.crop");
    check(&with("crop = { labels = ['x'] }"), 5, "models.crop.step: missing");
    let cropped = model("a", "crop = { step = 'b', margin_mm = -1 }");
    check(
        &format!("{cropped}{}{kept}", model("b", "")),
        5,
        "models.crop.margin_mm: -1",
    );
    check(&with("crop = { step = 'liver' }"), 1, "no step \"liver\"");
    check(&with("channels = ['liver']"), 5, "STEP:LABEL");
    check(&with("previous_stage = 'b'"), 1, "no step \"b\"");
    check(
        &format!("{a}{a}{kept}"),
        6,
        "step a is there twice, first on line 1",
    );
    check(&format!("{a}{}", save("b")), 6, "no step \"b\"");
    check(&format!("{a}{kept}{kept}"), 9, "file a.nii.gz is saved twice");
    check(
        &format!("{a}[[save]]\nstep = 'a'\nfile = '../a.nii.gz'\n"),
        8,
        "save.file",
    );
    check(
        &format!("{a}[[save]]\nstep = 'a'\nfile = 'a.png'\n"),
        8,
        "save.file",
    );
    check(
        "[[models]]\nid = 'a'\nphases = ['arterial']\n",
        1,
        "models.model: missing",
    );
    check(
        "[[models]]\nid = 'a'\nmodel = 'm'\nphases = []\n",
        4,
        "models.phases",
    );
    check(
        "[[models]]\nid = 'a'\nmodel = 'm'\nphases = ['late']\n",
        4,
        "models.phases",
    );
    check(
        "[[models]]\nid = 'A'\nmodel = 'm'\nphases = ['arterial']\n",
        2,
        "models.id",
    );
    check("models = 3\n", 1, "models");
    let mask = |rest: &str| format!("{a}[[masks]]\nid = 'b'\n{rest}\n{kept}");
    check(&mask("operation = 'merge'\ninputs = {}"), 9, "masks.inputs");
    check(&mask("inputs = { mask = 'a' }"), 6, "masks.operation: missing");
    check(
        &mask("operation = 'merge'\ninputs = { mask = 'x' }"),
        6,
        "no step \"x\"",
    );
    check(
        &mask("operation = 'merge'\ninputs = { mask = 'a' }\nparameters = { when = 2020-01-01 }"),
        10,
        "masks.parameters.when",
    );
}

#[test]
fn samples_have_no_mask_and_names_of_their_own() {
    let a = model("a", "");
    let sample = |more: &str| format!("{a}[[samples]]\nid = 's'\nstep = 'a'\n{more}");
    check(&sample("speed = 1\n"), 9, "samples.speed: unknown key");
    check(&sample("margin_mm = -1\n"), 9, "samples.margin_mm: -1");
    check(&sample("margin_mm = nan\n"), 9, "samples.margin_mm");
    check(&sample("phase = 'late'\n"), 9, "samples.phase: \"late\"");
    check(&sample("labels = 'kidney'\n"), 9, "samples.labels");
    check(&sample("").replace("step = 'a'", ""), 6, "samples.step: missing");
    check(
        &sample("").replace("step = 'a'", "step = 'b'"),
        6,
        "no step \"b\"",
    );
    check(
        &sample("").replace("'s'", "'a'"),
        6,
        "step a is there twice, first on line 1",
    );
    check(&sample("").replace("step = 'a'", "step = 's'"), 6, "s needs s");
    let no_mask = "step \"s\" is a sample, which has no mask";
    check(&sample(&save("s")), 9, no_mask);
    check(&sample(&model("b", "crop = { step = 's' }")), 9, no_mask);
    check(
        &sample("[[masks]]\nid = 'm'\noperation = 'merge'\ninputs = { masks = ['a', 's'] }\n"),
        9,
        no_mask,
    );
    // Names of files end in .nii or .nii.gz, those of samples' folders hold no dot.
    check(
        &sample("[[save]]\nstep = 'a'\nfile = 's'\n"),
        11,
        "save.file: \"s\", expected a plain file name",
    );
}

/// A name that looks like another one in a terminal or a listing, or that some system cannot have.
#[test]
fn files_that_do_not_look_like_what_they_are_are_refused() {
    for file in [
        "a\\u202Ezg.iin.nii.gz",
        "a\\u2066b.nii.gz",
        "a\\u200Bb.nii.gz",
        "a\\uFEFF.nii",
        "a\\nb.nii.gz",
        "a\\u0000b.nii.gz",
        "a\\u001B[2Jb.nii.gz",
        "a\\u0085b.nii",
        "a/b.nii.gz",
        "a\\\\b.nii.gz",
        "nul.nii.gz",
        ".nephrite-0123456789abcdef.partial.nii",
        ".a.nii",
    ] {
        let text = format!("{}[[save]]\nstep = 'a'\nfile = \"{file}\"\n", model("a", ""));
        let faults = Pipeline::parse(&text).unwrap_err();
        let said = faults[0].to_string();
        assert!(faults.len() == 1 && said.contains("save.file"), "{file}: {said}");
        assert!(
            !said.contains(['\n', '\u{202e}', '\u{2066}', '\u{200b}', '\u{1b}']),
            "{said:?}"
        );
    }
    for file in ["niere-größe.nii.gz", "腎臓.nii", "a b.nii.gz"] {
        let text = format!("{}[[save]]\nstep = 'a'\nfile = \"{file}\"\n", model("a", ""));
        assert_eq!(Pipeline::parse(&text).unwrap().save[0].file, file);
    }
    let step = format!("{}{}{}", model("con", ""), model("a", ""), save("a"));
    check(&step, 2, "models.id");
}

#[test]
fn steps_that_need_each_other_are_a_cycle() {
    let step = |id: &str, needs: &str| model(id, &format!("previous_stage = '{needs}'"));
    let text = format!(
        "{}{}{}{}",
        step("a", "b"),
        step("b", "c"),
        step("c", "b"),
        save("a")
    );
    check(&text, 6, "b needs c needs b");
    check(&format!("{}{}", step("a", "a"), save("a")), 1, "a needs a");
}

#[test]
fn all_faults_are_told_at_once_by_line() {
    let text = format!("x = 1\n{}{}", model("a", "y = 1\nfolds = 3"), save("b"));
    let lines: Vec<usize> = Pipeline::parse(&text)
        .unwrap_err()
        .iter()
        .map(|fault| fault.line)
        .collect();
    assert_eq!(lines, [1, 6, 7, 8]);
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read_and_never_panics(text in "[a-z\\[\\]='\"{},.0-9\n ]{0,200}") {
        let _ = Pipeline::parse(&text);
    }

    #[test]
    fn a_pipeline_with_a_byte_changed_is_refused_or_read(at in 0usize..WHOLE.len(), byte in 32u8..127) {
        let mut text = WHOLE.as_bytes().to_vec();
        text[at] = byte;
        if let Ok(pipeline) = Pipeline::parse(std::str::from_utf8(&text).unwrap()) {
            // Whatever was read is in an order that works.
            let ids: Vec<&str> = pipeline.steps().map(Step::id).collect();
            for (idx, step) in pipeline.steps().enumerate() {
                prop_assert!(step.needs().iter().all(|id| ids[..idx].contains(id)));
            }
        }
    }
}

#[test]
fn formats_and_codes_are_taken() {
    let text = format!(
        "{}{}formats = ['sr', 'nifti', 'dicom-seg']\n[codes]\na = {{ category = 'SCT:1:A', type = 'SCT:2:B', modifier = 'SCT:3:C' }}\n\
         \"b c\" = {{ category = 'SCT:1:A', type = 'SCT:2:B' }}\n[dicom]\nseg = 'labelmap'\nholes = 'xor'\n",
        model("a", ""),
        save("a")
    );
    let pipeline = Pipeline::parse(&text).unwrap();
    let files: Vec<String> = pipeline.save[0].files().map(|(_, file)| file).collect();
    assert_eq!(files, ["a.nii.gz", "a.seg.dcm", "a.sr.dcm"]);
    assert_eq!(pipeline.dicom.codes.keys().collect::<Vec<_>>(), ["a", "b c"]);
    assert_eq!(pipeline.dicom.codes["a"].modifier.as_ref().unwrap().meaning, "C");
    assert_ne!(
        pipeline.dicom,
        DicomOutput {
            codes: pipeline.dicom.codes.clone(),
            ..DicomOutput::default()
        }
    );
    assert_eq!(pipeline.only(&["a".into()]).unwrap().dicom, pipeline.dicom);
}

#[test]
fn formats_and_codes_that_cannot_be_are_faults_of_their_lines() {
    let check = |more: &str, line: usize, expected: &str| {
        let text = format!(
            "{}[[save]]\nstep = 'a'\nfile = 'a.nii.gz'\n{more}\n",
            model("a", "")
        );
        let faults = Pipeline::parse(&text).unwrap_err();
        let [fault] = &faults[..] else {
            panic!("{faults:?}")
        };
        assert!(fault.to_string().contains(expected), "{fault}");
        assert_eq!(fault.line, line, "{fault}");
    };
    check(
        "formats = ['dicom-seg']",
        6,
        "a.nii.gz: nifti must be among the formats",
    );
    check("formats = ['nifti', 'sr']", 6, "sr needs dicom-seg");
    check("formats = ['nifti', 'nifti']", 6, "nifti is named twice");
    check(
        "formats = ['nifti', 'png']",
        9,
        "nifti, dicom-seg, rtstruct or sr",
    );
    let clash = "formats = ['nifti', 'dicom-seg']\n[[save]]\nstep = 'a'\nfile = 'a.mha'\nformats = ['nifti', 'dicom-seg']";
    check(clash, 10, "file a.seg.dcm is saved twice");
    check("[codes]\na = { category = 'SCT:1:A' }", 10, "codes.a.type");
    check(
        "[codes]\na = { category = 'SCT:1', type = 'SCT:1:A' }",
        10,
        "SCHEME:VALUE:MEANING",
    );
    check("[dicom]\nseg = 'fractional'", 10, "binary or labelmap");
}
