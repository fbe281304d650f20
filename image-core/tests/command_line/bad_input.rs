//! Every refusal: exit code, a message that names file and cause, and no output left.

use std::time::{Duration, Instant};

use nephrite_cpu::Level;

use crate::nifti_file::{HEADER_BYTES, NiftiFile, gzip};
use crate::scene::{ONE_CHANNEL, Scene, TWO_CHANNELS, golden_model, has_bf16};

const INPUT: i32 = 3;
const MODEL: i32 = 4;
const LIMIT: i32 = 5;
const ENVIRONMENT: i32 = 6;

/// Segments `input` with the one-channel model, which must be refused.
#[track_caller]
fn refuse_input(scene: &Scene, input: &str, exit: i32, says: &[&str]) {
    let more = ["--input", input, "--output", "out/mask.nii.gz"];
    let started = Instant::now();
    let outcome = scene.segment(&golden_model(ONE_CHANNEL), &more);
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    outcome.refused(exit, says);
    assert!(scene.names("out").is_empty(), "{:?}", scene.names("out"));
}

/// The same with the bytes of a `.nii`.
#[track_caller]
fn refuse_bytes(bytes: &[u8], exit: i32, says: &[&str]) {
    let scene = Scene::new();
    scene.write("bad.nii", bytes);
    refuse_input(&scene, "bad.nii", exit, &[&["bad.nii"], says].concat());
}

/// The same with a changed scan.
#[track_caller]
fn refuse_scan(change: impl FnOnce(&mut NiftiFile), exit: i32, says: &[&str]) {
    let mut file = NiftiFile::scan([8, 8, 8], [1.0; 3]);
    change(&mut file);
    refuse_bytes(&file.bytes(), exit, says);
}

/// Segments the good scan with a copy of the one-channel model that `change` has broken.
#[track_caller]
fn refuse_model(change: impl FnOnce(&Scene), exit: i32, says: &[&str]) {
    let scene = Scene::new();
    scene.copy_model(ONE_CHANNEL);
    change(&scene);
    let more = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];
    scene.segment(&scene.path("model"), &more).refused(exit, says);
    assert!(scene.names("out").is_empty(), "{:?}", scene.names("out"));
}

/// Segments the good scan with a good model and other arguments.
#[track_caller]
fn refuse_arguments(more: &[&str], exit: i32, says: &[&str]) {
    let scene = Scene::new();
    scene
        .segment(&golden_model(ONE_CHANNEL), more)
        .refused(exit, says);
    assert!(scene.names("out").is_empty(), "{:?}", scene.names("out"));
}

#[test]
fn a_missing_file_a_folder_and_a_pipe() {
    let scene = Scene::new();
    refuse_input(
        &scene,
        "missing.nii.gz",
        INPUT,
        &["missing.nii.gz", "no such file"],
    );
    refuse_input(&scene, "out", INPUT, &["out", "no DICOM series", "0 files"]);
    assert!(
        std::process::Command::new("mkfifo")
            .arg(scene.path("pipe.nii"))
            .status()
            .unwrap()
            .success()
    );
    refuse_input(&scene, "pipe.nii", INPUT, &["pipe.nii", "not a regular file"]);
}

#[test]
fn files_that_are_not_nifti() {
    refuse_bytes(b"", INPUT, &["header"]);
    refuse_bytes(&[7; 4096], INPUT, &["neither NIfTI nor NRRD nor MetaImage"]);
    refuse_bytes(b"\x89PNG\r\n\x1a\n and then some", INPUT, &[]);
}

#[test]
fn truncated_files() {
    let whole = NiftiFile::scan([8, 8, 8], [1.0; 3]).bytes();
    refuse_bytes(&whole[..200], INPUT, &["header"]);
    refuse_bytes(&whole[..whole.len() - 1], INPUT, &[]);
    refuse_bytes(&whole[..HEADER_BYTES], INPUT, &[]);
    let stream = gzip(&whole);
    refuse_bytes(&stream[..stream.len() / 2], INPUT, &[]);
    refuse_bytes(&stream[..stream.len() - 4], INPUT, &[]);
    let mut flipped = stream.clone();
    let at = flipped.len() - 6; // in the checksum
    flipped[at] ^= 1;
    refuse_bytes(&flipped, INPUT, &[]);
}

#[test]
fn a_gzip_bomb_is_refused_at_once() {
    let mut bytes = NiftiFile::scan([8, 8, 8], [1.0; 3]).bytes();
    bytes.resize(256 << 20, 0);
    let bomb = gzip(&bytes);
    drop(bytes);
    assert!(bomb.len() < 512 << 10);
    let started = Instant::now();
    refuse_bytes(&bomb, INPUT, &[]);
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn impossible_sizes() {
    refuse_scan(|file| file.dim[1] = 0, INPUT, &["dim[1]"]);
    refuse_scan(|file| file.dim[2] = -3, INPUT, &["dim[2]"]);
    refuse_scan(|file| file.dim[0] = 0, INPUT, &["dim"]);
    refuse_scan(|file| file.dim[0] = 9, INPUT, &[]);
    refuse_scan(
        |file| file.dim = [3, 32767, 32767, 32767, 1, 1, 1, 1],
        LIMIT,
        &["limit"],
    );
    refuse_scan(
        |file| file.dim = [7, 32767, 32767, 32767, 32767, 32767, 32767, 32767],
        INPUT,
        &[],
    );
    refuse_scan(|file| file.dim = [3, 1000, 1000, 1000, 1, 1, 1, 1], INPUT, &[]);
}

#[test]
fn impossible_geometries() {
    refuse_scan(|file| file.srow[0][0] = f32::NAN, INPUT, &["finite"]);
    refuse_scan(|file| file.srow[2][3] = f32::INFINITY, INPUT, &["finite"]);
    refuse_scan(|file| file.srow[1] = file.srow[0], INPUT, &[]);
    refuse_scan(|file| file.spacing[1] = f32::NAN, INPUT, &[]);
}

#[test]
fn a_4d_scan() {
    refuse_scan(
        |file| {
            file.dim = [4, 8, 8, 4, 2, 1, 1, 1];
        },
        INPUT,
        &["4 dimensions"],
    );
}

#[test]
fn wrong_channels() {
    let scene = Scene::new();
    scene.write(
        "wide.nii",
        &NiftiFile::scan([25, 20, 18], [1.5, 1.5, 1.8]).bytes(),
    );
    scene.write(
        "coarse.nii",
        &NiftiFile::scan([24, 20, 18], [1.5, 1.5, 1.9]).bytes(),
    );
    let check = |model: &str, inputs: &[&str], says: &[&str]| {
        let inputs = inputs.iter().flat_map(|input| ["--input", input]);
        let more: Vec<_> = inputs.chain(["--output", "out/mask.nii.gz"]).collect();
        scene.segment(&golden_model(model), &more).refused(INPUT, says);
        assert!(scene.names("out").is_empty());
    };
    check(
        ONE_CHANNEL,
        &["scan.nii.gz", "scan.nii.gz"],
        &["takes 1 channel", "2 input"],
    );
    check(TWO_CHANNELS, &["scan.nii.gz"], &["takes 2 channel", "1 input"]);
    check(
        TWO_CHANNELS,
        &["scan.nii.gz", "wide.nii"],
        &["wide.nii", "25×20×18", "24×20×18"],
    );
    check(
        TWO_CHANNELS,
        &["scan.nii.gz", "coarse.nii"],
        &["coarse.nii", "spacing", "1.899"],
    );
}

#[test]
fn broken_plans() {
    let plans = "model/plans.json";
    refuse_model(
        |scene| scene.write(plans, b"{\"a\": "),
        MODEL,
        &["plans.json", "JSON"],
    );
    refuse_model(
        |scene| std::fs::remove_file(scene.path(plans)).unwrap(),
        MODEL,
        &["plans.json"],
    );
    let edit = |key: &'static str, value: serde_json::Value| {
        move |scene: &Scene| {
            scene.edit_json(plans, |json| json["configurations"]["3d_fullres"][key] = value);
        }
    };
    let unknown = serde_json::json!(["Unheard"]);
    refuse_model(
        edit("normalization_schemes", unknown),
        MODEL,
        &["plans.json", "Unheard"],
    );
    let spacing = serde_json::json!([1.0, 0.0, 1.0]);
    refuse_model(edit("spacing", spacing), MODEL, &["plans.json", "spacing"]);
    let patch = serde_json::json!([16, 1_u64 << 40, 16]);
    refuse_model(edit("patch_size", patch), MODEL, &["patch_size"]);
    refuse_model(
        |scene| {
            scene.edit_json(plans, |json| {
                json["configurations"]["3d_fullres"]["architecture"]["network_class_name"] =
                    "a.b.SwinUNETR".into();
            });
        },
        MODEL,
        &["SwinUNETR", "network.onnx"],
    );
    refuse_model(
        |scene| scene.edit_json(plans, |json| json["image_reader_writer"] = "Tiff3DIO".into()),
        MODEL,
        &["model/plans.json", "Tiff3DIO"],
    );
}

#[test]
fn broken_checkpoints() {
    let weights = "model/fold_0/checkpoint_final.pth";
    let name = "checkpoint_final.pth";
    refuse_model(
        |scene| {
            let bytes = scene.read(weights);
            scene.write(weights, &bytes[..bytes.len() / 2]);
        },
        MODEL,
        &[name],
    );
    refuse_model(|scene| scene.write(weights, b"not a zip"), MODEL, &[name]);
    refuse_model(
        |scene| std::fs::remove_dir_all(scene.path("model/fold_0")).unwrap(),
        INPUT,
        &["fold_0"],
    );
    refuse_model(
        |scene| std::fs::remove_file(scene.path(weights)).unwrap(),
        INPUT,
        &["fold_0", name],
    );
}

/// A checkpoint whose pickle would run a command when loaded the usual way.
#[test]
fn a_checkpoint_that_would_run_code() {
    let scene = Scene::new();
    scene.copy_model(ONE_CHANNEL);
    let proof = scene.path("proof");
    let call = format!("touch {}", proof.display());
    let mut pickle = b"\x80\x02cposix\nsystem\nX".to_vec();
    pickle.extend(u32::try_from(call.len()).unwrap().to_le_bytes());
    pickle.extend(call.as_bytes());
    pickle.extend(b"\x85R.");
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("archive/data.pkl", stored).unwrap();
    std::io::Write::write_all(&mut archive, &pickle).unwrap();
    scene.write(
        "model/fold_0/checkpoint_final.pth",
        archive.finish().unwrap().get_ref(),
    );
    let more = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];
    scene
        .segment(&scene.path("model"), &more)
        .refused(MODEL, &["checkpoint_final.pth", "posix"]);
    assert!(!proof.exists());
    assert!(scene.names("out").is_empty());
}

#[test]
fn models_that_are_not_there() {
    let scene = Scene::new();
    let more = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];
    scene
        .segment(&scene.path("nowhere"), &more)
        .refused(INPUT, &["nowhere", "no such file or folder"]);
    scene
        .segment(&scene.path("scan.nii.gz"), &more)
        .refused(INPUT, &["scan.nii.gz", "not a folder"]);
    scene
        .segment(&scene.path("out"), &more)
        .refused(MODEL, &["plans.json"]);
    let fold = ["--folds", "7"];
    let model = golden_model(ONE_CHANNEL);
    let arguments = ["segment", "--model", model.to_str().unwrap()];
    scene
        .run(&[&arguments[..], &fold, &more].concat())
        .refused(INPUT, &["fold_7", "fold_0"]);
    assert!(scene.names("out").is_empty());
}

#[test]
fn outputs_that_cannot_be_written() {
    let input = ["--input", "scan.nii.gz"];
    let check = |output: &str, exit, says: &[&str]| {
        refuse_arguments(&[&input[..], &["--output", output]].concat(), exit, says);
    };
    check(
        "missing/mask.nii.gz",
        INPUT,
        &["missing", "no such file or folder"],
    );
    check("scan.nii.gz/mask.nii.gz", INPUT, &["scan.nii.gz", "not a folder"]);
    check("scan.nii.gz", 2, &["scan.nii.gz", "replace an input"]);
    check("out/mask.png", 2, &["mask.png", ".nii.gz"]);
    check("out/..", 2, &["not a usable file name"]);
    check("/sys/kernel/mask.nii.gz", ENVIRONMENT, &["mask.nii.gz"]);
    refuse_arguments(
        &[
            "--input",
            "scan.nii.gz",
            "--output",
            "out/mask.nii.gz",
            "--save-probabilities",
            "out/p.zip",
        ],
        2,
        &["p.zip", ".npz"],
    );
    refuse_arguments(
        &[
            "--input",
            "scan.nii.gz",
            "--output",
            "out/mask.nii.gz",
            "--report",
            "nowhere/report.json",
        ],
        INPUT,
        &["nowhere"],
    );
}

/// The system refuses to write more than a kilobyte, as on a full disk.
#[test]
fn a_full_disk_leaves_nothing() {
    let scene = Scene::new();
    let model = golden_model(ONE_CHANNEL);
    let script = format!(
        "trap '' XFSZ; ulimit -f 1; exec {} segment --quiet --no-mirroring --folds 0 --model {} \
         --input scan.nii.gz --output out/mask.nii --save-probabilities out/p.npz",
        env!("CARGO_BIN_EXE_nephrite"),
        model.display()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(scene.path("."))
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(ENVIRONMENT), "{message}");
    assert!(message.contains("p.npz"), "{message}");
    assert!(scene.names("out").is_empty(), "{:?}", scene.names("out"));
}

#[test]
fn providers_and_libraries_that_are_not_there() {
    let files = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];
    let check = |more: &[&str], exit, says: &[&str]| {
        refuse_arguments(&[&files[..], more].concat(), exit, says);
    };
    check(&["--provider", "cuda"], ENVIRONMENT, &["cuda"]);
    check(&["--provider", "abacus"], 2, &["abacus", "openvino"]);
    let library = ["--provider", "openvino", "--onnxruntime"];
    check(
        &[&library[..], &["nowhere.so"]].concat(),
        ENVIRONMENT,
        &["nowhere.so", "make onnxruntime"],
    );
    check(
        &[&library[..], &["scan.nii.gz"]].concat(),
        ENVIRONMENT,
        &["scan.nii.gz"],
    );
}

#[test]
fn an_exported_network_needs_the_library() {
    let scene = Scene::new();
    scene.copy_model(ONE_CHANNEL);
    scene.edit_json("model/plans.json", |json| {
        json["configurations"]["3d_fullres"]["architecture"]["network_class_name"] = "a.b.SwinUNETR".into();
    });
    scene.write("model/fold_0/network.onnx", b"exported");
    let files = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];
    let without = [&files[..], &["--onnxruntime", "nowhere.so"]].concat();
    scene
        .segment(&scene.path("model"), &without)
        .refused(ENVIRONMENT, &["nowhere.so", "make onnxruntime"]);
    // With the library, it is the network that is wrong; with another precision, neither is looked at.
    scene
        .segment(&scene.path("model"), &files)
        .refused(MODEL, &["network.onnx"]);
    if has_bf16() {
        scene
            .segment(
                &scene.path("model"),
                &[&without[..], &["--precision", "bf16"]].concat(),
            )
            .refused(ENVIRONMENT, &["precision bf16", "SwinUNETR", "network.onnx"]);
    }
    assert!(scene.names("out").is_empty(), "{:?}", scene.names("out"));
}

/// At the start: neither the model nor the scan is there.
#[test]
fn what_processor_or_provider_cannot_do_is_refused_before_anything_is_read() {
    let check = |more: &[&str], exit, says: &[&str]| {
        let scene = Scene::new();
        let files = ["--input", "none.nii.gz", "--output", "none/mask.nii.gz"];
        let outcome = scene.segment("none".as_ref(), &[&files[..], more].concat());
        outcome.refused(exit, says);
    };
    let expected = "with any provider but cpu";
    for name in ["openvino", "cuda"] {
        let provider = ["--provider", name];
        let of = |more: &[&'static str]| [&provider[..], more].concat();
        check(
            &of(&["--precision", "bf16"]),
            2,
            &["--precision is bf16", &format!("with provider {name}")],
        );
        check(
            &of(&["--instructions", "avx2"]),
            2,
            &["--instructions is avx2", expected],
        );
        check(&of(&["--pin-threads"]), 2, &["--pin-threads is true", expected]);
        check(&of(&["--precision", "f32"]), INPUT, &["none"]);
    }
    check(
        &["--precision", "f16"],
        2,
        &["--precision", "f32, bf16, tf32, half"],
    );
    check(
        &["--precision", "half"],
        2,
        &["--precision is half", "with provider cpu"],
    );
    check(
        &["--devices", "cuda:1"],
        2,
        &["--devices is cuda:1", "with any provider but cuda"],
    );
    check(&["--devices", "gpu"], 2, &["--devices", "cuda:0"]);
    let share = ["--provider", "cuda", "--half-agreement", "1.5"];
    check(&share, 2, &["--half-agreement is 1.5", "0 to 1"]);
    check(&["--instructions", "sse2"], 2, &["--instructions", "avx2, neon"]);
    for level in Level::ALL.into_iter().filter(|level| !level.is_available()) {
        check(
            &["--instructions", level.name()],
            ENVIRONMENT,
            &[level.name(), "processor"],
        );
    }
    let portable = ["--precision", "bf16", "--instructions", "portable"];
    check(&portable, ENVIRONMENT, &["bf16", "AVX-512 BF16"]);
    if !has_bf16() {
        check(&["--precision", "bf16"], ENVIRONMENT, &["bf16", "AVX-512 BF16"]);
    }
}

#[test]
fn options_that_cannot_be() {
    let files = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];
    let check = |more: &[&str], says: &[&str]| {
        refuse_arguments(&[&files[..], more].concat(), 2, says);
    };
    check(&["--tile-step-size", "0"], &["--tile-step-size", "above 0"]);
    check(&["--tile-step-size", "1.5"], &["--tile-step-size"]);
    check(&["--tile-step-size", "NaN"], &["--tile-step-size"]);
    check(&["--threads", "0"], &["--threads"]);
    check(&["--checkpoint", "worst"], &["worst"]);
    check(&["--unheard-of"], &["--unheard-of"]);
    let scene = Scene::new();
    scene.run(&["segment"]).refused(2, &["--model"]);
    scene.run(&[]).refused(2, &["Usage"]);
}

#[test]
fn masks_of_a_previous_stage_that_do_not_fit() {
    let cascade = "Dataset906_Cascade/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres";
    let scene = Scene::new();
    let files = [
        "--input",
        "scan.nii.gz",
        "--output",
        "out/mask.nii.gz",
        "--previous-stage",
    ];
    let check = |model: &str, mask: &str, exit, says: &[&str]| {
        scene
            .segment(&golden_model(model), &[&files[..], &[mask]].concat())
            .refused(exit, says);
        assert!(scene.names("out").is_empty());
    };
    scene.write(
        "small.nii",
        &NiftiFile::scan([24, 20, 17], [1.5, 1.5, 1.8]).bytes(),
    );
    check(ONE_CHANNEL, "scan.nii.gz", INPUT, &["no previous stage"]);
    check(cascade, "nowhere.nii", INPUT, &["nowhere.nii"]);
    check(cascade, "small.nii", INPUT, &["small.nii", "24×20×17"]);
    check(cascade, "scan.nii.gz", INPUT, &["scan.nii.gz", "not a label"]);
    scene.copy_model(cascade);
    let alone = [&files[..4]].concat();
    scene
        .segment(&scene.path("model"), &alone)
        .refused(INPUT, &["3d_lowres", "--previous-stage"]);
}
