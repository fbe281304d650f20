//! Files that are replaced under a running core: what is in memory is never taken for what lies on the disk now, and the
//! hash in a record is that of the bytes that were decoded.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nephrite_image_core::case::{CaseReport, CaseRequest};
use nephrite_image_core::{
    Core, ModelChoice, PostprocessingChoice, SegmentRequest, SegmentationOptions, segment,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{CancelToken, Coded, ErrorCode, NoProgress, Phase};
use nephrite_volume::FileHash;

use crate::patient::{AtStage, KIDNEYS, Patient};

/// One model with as few tiles as can be, on an uncompressed scan: two of them have the same size.
const ONE: &str = "[[models]]\nid = 'kidneys'\nmodel = \
    'models/Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres'\nphases = ['portal_venous']\n\
    no_mirroring = true\ntile_step_size = 1.0\n[[save]]\nstep = 'kidneys'\nfile = 'kidneys.nii.gz'\n";

/// A patient with `scans/now.nii`, and what else could lie there: the scan upside down.
struct Scene {
    patient: Patient,
    core: Core,
    other: Vec<u8>,
}

impl Scene {
    fn new() -> Scene {
        let patient = Patient::new();
        let scan = inflate(&patient.path("scans/portal_venous.nii.gz"));
        fs::write(patient.path("scans/now.nii"), &scan).unwrap();
        let header = 352;
        let mut other = scan;
        let voxels: Vec<[u8; 2]> = other[header..].chunks(2).rev().map(|v| [v[0], v[1]]).collect();
        other[header..].copy_from_slice(voxels.as_flattened());
        let core = patient.core();
        Scene { patient, core, other }
    }

    fn request(&self, output: &str) -> CaseRequest {
        let mut request = self.patient.request(output);
        request.pipeline = self.patient.pipeline("one.toml", ONE);
        request.scans = vec![(Phase::PortalVenous, "scans/now.nii".into())];
        request
    }

    fn run(&self, output: &str) -> CaseReport {
        self.patient.run_here(&self.core, &self.request(output)).unwrap()
    }

    fn mask(&self, output: &str) -> Vec<u8> {
        self.patient.files(output)["kidneys.nii.gz"].clone()
    }
}

fn inflate(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(File::open(path).unwrap());
    std::io::Read::read_to_end(&mut decoder, &mut bytes).unwrap();
    bytes
}

/// Overwrites a file as `cp -p` does: the same inode, size and time of modification.
fn replace_in_place(path: &Path, content: &[u8]) {
    let before = fs::metadata(path).unwrap();
    fs::write(path, content).unwrap();
    let times = FileTimes::new()
        .set_accessed(before.accessed().unwrap())
        .set_modified(before.modified().unwrap());
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_times(times)
        .unwrap();
    let after = fs::metadata(path).unwrap();
    assert_eq!(
        (before.ino(), before.len(), before.modified().unwrap()),
        (after.ino(), after.len(), after.modified().unwrap())
    );
}

fn hash_of(path: &Path) -> String {
    FileHash::of(&fs::read(path).unwrap()).to_string()
}

#[test]
fn a_scan_that_was_replaced_in_place_with_its_old_time_is_read_again() {
    let scene = Scene::new();
    let path = scene.patient.path("scans/now.nii");
    let before = scene.run("before");
    replace_in_place(&path, &scene.other);
    let after = scene.run("after");
    assert_eq!(
        after.record.scans[0].sha256.as_deref(),
        Some(hash_of(&path).as_str())
    );
    assert_ne!(before.record.scans[0].sha256, after.record.scans[0].sha256);
    assert_ne!(
        scene.mask("before"),
        scene.mask("after"),
        "another patient's mask"
    );
    let fresh = scene.patient.core();
    scene.patient.run_here(&fresh, &scene.request("fresh")).unwrap();
    assert_eq!(scene.mask("after"), scene.mask("fresh"));
}

#[test]
fn a_scan_that_was_replaced_by_another_file_with_its_old_time_is_read_again() {
    let scene = Scene::new();
    let path = scene.patient.path("scans/now.nii");
    scene.run("before");
    let moved = scene.patient.path("scans/new.nii");
    fs::write(&moved, &scene.other).unwrap();
    let times = FileTimes::new().set_modified(fs::metadata(&path).unwrap().modified().unwrap());
    File::options()
        .write(true)
        .open(&moved)
        .unwrap()
        .set_times(times)
        .unwrap();
    fs::rename(&moved, &path).unwrap();
    let after = scene.run("after");
    assert_eq!(
        after.record.scans[0].sha256.as_deref(),
        Some(hash_of(&path).as_str())
    );
    assert_ne!(scene.mask("before"), scene.mask("after"));
}

#[test]
fn a_model_of_which_a_file_was_replaced_in_place_with_its_old_time_is_loaded_again() {
    let scene = Scene::new();
    let plans = scene.patient.path(KIDNEYS).join("plans.json");
    let before = scene.run("before");
    // another normalization: digits only, so that the size stays
    let text = fs::read_to_string(&plans).unwrap();
    let at = text.find("\"mean\"").unwrap();
    let digit = at + text[at..].find(|c: char| c.is_ascii_digit() && c != '0').unwrap();
    let mut changed = text.into_bytes();
    changed[digit] = if changed[digit] == b'9' { b'1' } else { b'9' };
    replace_in_place(&plans, &changed);
    let after = scene.run("after");
    let hash = |report: &CaseReport| {
        let files = &report.record.steps[0].model().unwrap().files;
        files
            .iter()
            .find(|file| file.path == "plans.json")
            .unwrap()
            .sha256
            .clone()
    };
    assert_eq!(hash(&after), hash_of(&plans));
    assert_ne!(hash(&before), hash(&after));
    assert_eq!(after.record.counters.model_loads, 1);
    assert_ne!(scene.mask("before"), scene.mask("after"));
}

#[test]
fn weights_that_were_replaced_in_place_with_their_old_time_are_loaded_again() {
    let scene = Scene::new();
    let weights = scene.patient.path(KIDNEYS).join("fold_0/checkpoint_final.pth");
    scene.run("before");
    let content = fs::read(&weights).unwrap();
    replace_in_place(&weights, &content);
    let after = scene.run("after");
    assert_eq!(
        after.record.counters.model_loads, 1,
        "the same bytes, but who knows"
    );
    assert_eq!(scene.mask("before"), scene.mask("after"));
}

/// When a case ends, the file must still hold what was read.
#[test]
fn a_scan_that_is_replaced_while_its_case_runs_fails_the_case() {
    let scene = Scene::new();
    let path = scene.patient.path("scans/now.nii");
    let replace = AtStage::new(nephrite_types::Stage::Preprocess, || {
        replace_in_place(&path, &scene.other)
    });
    let services = nephrite_image_core::case::CaseServices::new(&Default::default(), scene.core.root());
    let error = nephrite_image_core::case::run_case(
        &scene.core,
        &services,
        &scene.request("gone"),
        &replace,
        &CancelToken::new(),
    )
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Environment, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("scans/now.nii") && text.contains("changed"),
        "{text}"
    );
    scene.patient.assert_nothing_left("gone");
    scene.run("next");
}

#[test]
fn a_scan_that_is_only_touched_or_deleted_after_it_was_read_fails_no_case() {
    let scene = Scene::new();
    let path = scene.patient.path("scans/now.nii");
    let content = fs::read(&path).unwrap();
    let services = nephrite_image_core::case::CaseServices::new(&Default::default(), scene.core.root());
    let run = |output: &str, stage, act: &(dyn Fn() + Sync)| {
        let act = AtStage::new(stage, act);
        let request = scene.request(output);
        nephrite_image_core::case::run_case(&scene.core, &services, &request, &act, &CancelToken::new())
            .unwrap()
    };
    let touch = || fs::write(&path, &content).unwrap();
    // between header and voxels, and after both
    run("touched-early", nephrite_types::Stage::LoadModel, &touch);
    let touched = run("touched", nephrite_types::Stage::Preprocess, &touch);
    assert_eq!(
        touched.record.scans[0].sha256.as_deref(),
        Some(hash_of(&path).as_str())
    );
    run("deleted", nephrite_types::Stage::Preprocess, &|| {
        fs::remove_file(&path).unwrap()
    });
    assert_eq!(scene.mask("touched"), scene.mask("deleted"));
}

/// `segment` keeps no scan, but its model is resident.
#[test]
fn segment_sees_the_model_that_lies_there_now() {
    let scene = Scene::new();
    let request = |output: &str| SegmentRequest {
        model: ModelChoice {
            folder: KIDNEYS.into(),
            folds: FoldSelection::Available,
            checkpoint: CheckpointKind::Final,
            precision: None,
        },
        inputs: vec!["scans/now.nii".into()],
        previous_stage: None,
        output: format!("results/{output}").into(),
        objects: nephrite_image_core::WantedObjects::default(),
        save_probabilities: None,
        options: SegmentationOptions {
            mirroring: false,
            tile_step_size: 1.0,
            ..SegmentationOptions::default()
        },
        postprocessing: PostprocessingChoice::None,
        strict_geometry: false,
    };
    let run =
        |output: &str| segment(&scene.core, &request(output), &NoProgress, &CancelToken::new()).unwrap();
    assert!(run("a.nii.gz").weight_bytes_read > 0);
    assert_eq!(run("b.nii.gz").weight_bytes_read, 0, "resident");
    let weights = scene.patient.path(KIDNEYS).join("fold_0/checkpoint_final.pth");
    let content = fs::read(&weights).unwrap();
    replace_in_place(&weights, &content);
    assert!(run("c.nii.gz").weight_bytes_read > 0, "replaced");
}
