//! What `segment` makes.

use std::io::{BufRead as _, Read as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nephrite_cpu::Level;
use serde_json::json;

use crate::nifti_file::NiftiFile;
use crate::scene::{ONE_CHANNEL, Outcome, Scene, golden_case, golden_model, has_bf16};

const FILES: [&str; 4] = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];

fn report(scene: &Scene, name: &str) -> serde_json::Value {
    serde_json::from_slice(&scene.read(name)).unwrap()
}

#[test]
fn a_mask_a_summary_and_a_report() {
    let scene = Scene::new();
    let model = golden_model(ONE_CHANNEL);
    let model = model.to_str().unwrap();
    let arguments = [
        "segment",
        "--model",
        model,
        "--folds",
        "0",
        "--no-mirroring",
        "--report",
        "out/report.json",
    ];
    let outcome = scene.run(&[&arguments[..], &FILES].concat()).succeeded();
    for text in ["kidney", "tumor", "mL", "out/mask.nii.gz"] {
        assert!(outcome.stdout.contains(text), "{outcome:?}");
    }
    assert!(outcome.stderr.contains("segmenting"), "{outcome:?}");
    assert_eq!(scene.names("out"), ["mask.nii.gz", "report.json"]);

    let report = report(&scene, "out/report.json");
    let stages = report["stages"].as_object().unwrap();
    assert_eq!(
        stages.keys().collect::<Vec<_>>(),
        ["load_model", "read", "preprocess", "inference", "export", "write"]
    );
    assert!(stages.values().all(|seconds| seconds.as_f64().unwrap() >= 0.0));
    assert_eq!(report["input_bytes_read"], scene.read("scan.nii.gz").len());
    assert!(report["weight_bytes_read"].as_u64().unwrap() > 10_000);
    assert!(report["peak_rss_bytes"].as_u64().unwrap() > 10 << 20);
    assert!(report["tiles"].as_u64().unwrap() >= 1);
    assert_eq!(
        (&report["provider"], &report["precision"]),
        (&"cpu".into(), &"f32".into())
    );
    assert_eq!(report["shape"], serde_json::json!([24, 20, 18]));
    let labels = report["labels"].as_array().unwrap();
    assert_eq!(labels[0]["name"], "kidney");
    assert_eq!(labels[1]["id"], 2);
    let voxel_ml = 1.5 * 1.5 * f64::from(1.8f32) / 1000.0;
    for label in labels {
        let expected = label["voxels"].as_u64().unwrap() as f64 * voxel_ml;
        assert!((label["volume_ml"].as_f64().unwrap() - expected).abs() < 1e-9);
    }
}

#[test]
fn quiet_prints_nothing() {
    let scene = Scene::new();
    let outcome = scene.segment(&golden_model(ONE_CHANNEL), &FILES).succeeded();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));
}

/// No ONNX Runtime is there: neither where `--onnxruntime` says, nor where the environment says.
#[test]
fn networks_that_nephrite_builds_need_no_library() {
    let scene = Scene::new();
    let model = golden_model(ONE_CHANNEL);
    let arguments = ["segment", "--folds", "0", "--no-mirroring", "--model"];
    let files = [
        "--report",
        "out/report.json",
        "--onnxruntime",
        "nowhere/libonnxruntime.so",
    ];
    let all = [&arguments[..], &[model.to_str().unwrap()], &FILES, &files].concat();
    for arguments in [&all[..], &all[..all.len() - 2]] {
        let mut command = scene.command(arguments);
        command.env("ORT_DYLIB_PATH", "nowhere/libonnxruntime.so");
        Outcome::of(command.output().unwrap()).succeeded();
        let report = report(&scene, "out/report.json");
        let versions = json!({"kernels": Level::best().name(), "nephrite": env!("CARGO_PKG_VERSION")});
        assert_eq!(report["versions"], versions);
        for file in ["mask.nii.gz", "report.json"] {
            std::fs::remove_file(scene.path("out").join(file)).unwrap();
        }
    }
}

#[test]
fn instructions_precision_and_pinning_are_taken_and_told() {
    let scene = Scene::new();
    let model = golden_model(ONE_CHANNEL);
    let run = |more: &[&str]| {
        let arguments = [
            "segment",
            "--folds",
            "0",
            "--no-mirroring",
            "--model",
            model.to_str().unwrap(),
        ];
        let report_file = ["--report", "out/report.json"];
        let outcome = scene
            .run(&[&arguments[..], &FILES, &report_file, more].concat())
            .succeeded();
        let told = (
            outcome.stdout,
            report(&scene, "out/report.json"),
            scene.read("out/mask.nii.gz"),
        );
        for file in ["mask.nii.gz", "report.json"] {
            std::fs::remove_file(scene.path("out").join(file)).unwrap();
        }
        told
    };
    let (summary, _, best) = run(&[]);
    assert!(summary.contains(" on cpu in "), "{summary}");
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        let (_, report, mask) = run(&["--instructions", level.name(), "--pin-threads"]);
        assert_eq!(report["versions"]["kernels"], level.name());
        if level == Level::best() {
            assert!(mask == best, "pinning changes no result");
        }
    }
    if has_bf16() {
        let (summary, report, _) = run(&["--precision", "bf16"]);
        assert!(summary.contains(" on cpu with bf16 in "), "{summary}");
        assert_eq!(report["precision"], "bf16");
    }
}

/// The command line gives the golden mask: more in `tests/golden.rs`.
#[test]
fn the_mask_is_that_of_nnunet() {
    let scene = Scene::new();
    let input = golden_case("iso3d/input_0000.nii.gz");
    let input = input.to_str().unwrap();
    let more = [
        "--input",
        input,
        "--numerics",
        "reference",
        "--output",
        "out/mask.nii.gz",
    ];
    scene.segment(&golden_model(ONE_CHANNEL), &more).succeeded();
    let gunzip = |bytes: &[u8]| {
        let mut voxels = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes)
            .read_to_end(&mut voxels)
            .unwrap();
        voxels.split_off(352)
    };
    let found = gunzip(&scene.read("out/mask.nii.gz"));
    let expected = gunzip(&std::fs::read(golden_case("iso3d/labels.nii.gz")).unwrap());
    assert_eq!(found.len(), expected.len());
    let differing = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
    assert!(
        differing * 10_000 <= expected.len(),
        "{differing} of {}",
        expected.len()
    );
}

#[test]
fn a_scan_of_zeros_is_segmented_whole() {
    let scene = Scene::new();
    let mut zeros = NiftiFile::scan([24, 20, 18], [1.5; 3]);
    zeros.voxels.fill(0);
    scene.write("zeros.nii", &zeros.bytes());
    let more = [
        "--input",
        "zeros.nii",
        "--output",
        "out/mask.nii",
        "--report",
        "out/report.json",
    ];
    scene.segment(&golden_model(ONE_CHANNEL), &more).succeeded();
    assert_eq!(scene.read("out/mask.nii").len(), 352 + 24 * 20 * 18);
}

#[test]
fn any_number_of_threads_gives_the_same_mask() {
    let scene = Scene::new();
    let mut masks = Vec::new();
    for threads in ["1", "2"] {
        scene
            .segment(
                &golden_model(ONE_CHANNEL),
                &[&FILES[..], &["--threads", threads]].concat(),
            )
            .succeeded();
        masks.push(scene.read("out/mask.nii.gz"));
    }
    assert_eq!(masks[0], masks[1]);
}

#[test]
fn probabilities_are_what_numpy_reads() {
    let scene = Scene::new();
    let more = [&FILES[..], &["--save-probabilities", "out/p.npz"]].concat();
    scene.segment(&golden_model(ONE_CHANNEL), &more).succeeded();
    assert_eq!(scene.names("out"), ["mask.nii.gz", "p.npz"]);
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(scene.read("out/p.npz"))).unwrap();
    let member = archive.by_name("probabilities.npy").unwrap();
    assert_eq!(member.compression(), zip::CompressionMethod::Deflated);
    let array: ndarray::Array4<f32> = ndarray_npy::ReadNpyExt::read_npy(member).unwrap();
    assert_eq!(array.dim(), (3, 18, 20, 24));
    for voxel in array.lanes(ndarray::Axis(0)) {
        assert!((voxel.sum() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn a_cascade_runs_its_previous_stage_or_takes_its_mask() {
    let scene = Scene::new();
    let lowres = golden_model("Dataset906_Cascade/nnUNetTrainer__nnUNetPlans__3d_lowres");
    let cascade = golden_model("Dataset906_Cascade/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres");
    let input = golden_case("cascade/input_0000.nii.gz");
    let input = ["--input", input.to_str().unwrap()];
    let run = |model, more: &[&str]| scene.segment(model, &[&input[..], more].concat()).succeeded();
    run(&lowres, &["--output", "out/first.nii.gz"]);
    run(
        &cascade,
        &[
            "--output",
            "out/given.nii.gz",
            "--previous-stage",
            "out/first.nii.gz",
        ],
    );
    run(
        &cascade,
        &["--output", "out/run.nii.gz", "--report", "out/report.json"],
    );
    assert_eq!(scene.read("out/given.nii.gz"), scene.read("out/run.nii.gz"));
    assert_eq!(
        report(&scene, "out/report.json")["previous_stage"]["configuration"],
        "3d_lowres"
    );
}

#[test]
fn postprocessing_from_the_model_or_a_file() {
    let scene = Scene::new();
    let keep = r#"{"postprocessing_fns": ["remove_all_but_largest_component_from_segmentation"],
                   "postprocessing_kwargs": [{"labels_or_regions": [1, 2]}]}"#;
    scene.write("keep.json", keep.as_bytes());
    let model = golden_model(ONE_CHANNEL);
    scene
        .segment(
            &model,
            &[&FILES[..], &["--postprocessing=keep.json", "--report", "r.json"]].concat(),
        )
        .succeeded();
    assert_eq!(report(&scene, "r.json")["options"]["postprocessing"], true);
    scene
        .segment(&model, &[&FILES[..], &["--postprocessing"]].concat())
        .succeeded();
    let missing = [&FILES[..], &["--postprocessing=none.json"]].concat();
    scene.segment(&model, &missing).refused(3, &["none.json"]);
    scene.write("bad.json", b"[]");
    let broken = [&FILES[..], &["--postprocessing=bad.json"]].concat();
    scene.segment(&model, &broken).refused(4, &["bad.json"]);
}

/// A large scan, mirroring and two folds: long enough to be interrupted.
#[test]
fn an_interrupt_stops_within_a_tile_and_leaves_nothing() {
    let scene = Scene::new();
    scene.write("large.nii", &NiftiFile::scan([120, 120, 120], [1.5; 3]).bytes());
    let model = golden_model(ONE_CHANNEL);
    let model = model.to_str().unwrap();
    for signal in ["INT", "TERM"] {
        let arguments = [
            "segment",
            "--model",
            model,
            "--input",
            "large.nii",
            "--output",
            "out/mask.nii.gz",
            "--folds",
            "0,1",
        ];
        let mut child = scene
            .command(&arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("segmenting")));
        let sent = Instant::now();
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{status:?}");
        assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
        assert!(lines.any(|line| line.unwrap().contains("cancelled")));
        assert!(scene.names("out").is_empty());
    }
}
