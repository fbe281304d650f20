//! Memory from outside: what the program is told to take, and what the system lets it take.

use std::process::Command;
use std::time::{Duration, Instant};

use nephrite_cpu::Level;
use nephrite_kernel::test_util::write_hollow_label_map;

use crate::nifti_file::NiftiFile;
use crate::scene::{ONE_CHANNEL, Outcome, Scene, golden_model};

const LIMIT: i32 = 5;

const RESIZE: [&str; 7] = [
    "resize",
    "--input",
    "scan.nii.gz",
    "--output",
    "out/large.nii.gz",
    "--shape",
    "1000,1000,1000",
];

/// The same program with this much address space.
fn within(scene: &Scene, kib: u64, arguments: &[&str]) -> Outcome {
    let program = env!("CARGO_BIN_EXE_nephrite");
    let mut command = Command::new("sh");
    command
        .current_dir(scene.path(""))
        .args(["-c", &format!("ulimit -v {kib}; exec \"$@\""), "sh", program])
        .args(arguments);
    Outcome::of(command.output().unwrap())
}

#[test]
fn a_resize_that_does_not_fit_is_refused_before_it_takes_anything() {
    let scene = Scene::new();
    let began = Instant::now();
    scene
        .run(&[&RESIZE[..], &["--max-memory-bytes", "1073741824"]].concat())
        .refused(LIMIT, &["bytes of memory", "configured"]);
    // 1 GiB of address space, where an allocation that fails would end the process
    within(&scene, 1 << 20, &RESIZE).refused(LIMIT, &["bytes of memory", "resource limit"]);
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(scene.names("out").is_empty());
}

#[test]
fn a_mask_operation_that_does_not_fit_is_refused_before_it_reads() {
    let scene = Scene::new();
    write_hollow_label_map(&scene.path("huge.nii"), 900).unwrap();
    let began = Instant::now();
    for operation in ["cleanup", "compare", "merge", "sample"] {
        let arguments = [
            "mask",
            operation,
            "--input",
            "huge.nii",
            "--output",
            "out/mask.nii.gz",
        ];
        // where an allocation that fails would end the process
        within(&scene, 2 << 20, &arguments).refused(LIMIT, &["bytes of memory", "resource limit"]);
        scene
            .run(&[&arguments[..], &["--max-memory-bytes", "1073741824"]].concat())
            .refused(LIMIT, &["bytes of memory", "configured"]);
    }
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(scene.names("out").is_empty());
    // one that fits, under the same bound
    write_hollow_label_map(&scene.path("small.nii"), 100).unwrap();
    let arguments = [
        "mask",
        "cleanup",
        "--input",
        "small.nii",
        "--output",
        "out/mask.nii.gz",
    ];
    within(&scene, 2 << 20, &arguments).succeeded();
}

#[test]
fn a_scan_that_a_network_sees_as_huge_is_refused_from_its_header() {
    let scene = Scene::new();
    scene.write("coarse.nii.gz", &NiftiFile::scan([20, 20, 8], [60.0; 3]).gzip());
    let arguments = ["--input", "coarse.nii.gz", "--output", "out/mask.nii.gz"];
    scene
        .segment(
            &golden_model(ONE_CHANNEL),
            &[&arguments[..], &["--max-memory-bytes", "300000000"]].concat(),
        )
        .refused(LIMIT, &["bytes of memory"]);
    assert!(scene.names("out").is_empty());
}

/// A run with so much memory.
fn run_within(scene: &Scene, settings: &[&str], bytes: u64) -> Outcome {
    let bytes = bytes.to_string();
    let arguments = ["--input", "scan.nii.gz", "--output", "out/mask.nii.gz"];
    scene.segment(
        &golden_model(ONE_CHANNEL),
        &[&arguments[..], settings, &["--max-memory-bytes", &bytes]].concat(),
    )
}

/// What a run says that it needs, in bytes, when it is refused for its memory.
fn needed(scene: &Scene, settings: &[&str]) -> u64 {
    let refused = run_within(scene, settings, 16_000_001);
    assert_eq!(refused.exit, Some(LIMIT), "{refused:?}");
    let said = refused.stderr.split("needs about ").nth(1).unwrap();
    said.split(' ').next().unwrap().parse().unwrap()
}

/// What is refused for its memory says how much it needs; with that much it runs. What it needs follows from how it would run.
#[test]
fn what_a_run_is_said_to_need_is_enough_for_it() {
    let scene = Scene::new();
    // of the spacing of the model, and large enough that the peak is while the network runs
    scene.write(
        "scan.nii.gz",
        &NiftiFile::scan([160, 144, 120], [1.4, 1.6, 1.7]).gzip(),
    );
    // the message counts what the request needs; the process itself comes on top
    let process = 16_000_000;
    let mut of_all = Vec::new();
    for settings in [
        &["--threads", "1"][..],
        &["--threads", "1", "--instructions", "portable"],
        &[],
    ] {
        let needed = needed(&scene, settings);
        assert_eq!(
            run_within(&scene, settings, needed + process - 1).exit,
            Some(LIMIT)
        );
        run_within(&scene, settings, needed + process).succeeded();
        of_all.push(needed);
    }
    let [best, portable, _] = of_all[..] else {
        panic!("{of_all:?}")
    };
    assert_eq!(best == portable, Level::best() == Level::Portable, "{of_all:?}");
}

#[test]
fn a_tile_step_under_a_voxel_is_refused_by_every_command() {
    let scene = Scene::new();
    let model = golden_model(ONE_CHANNEL);
    for step in ["1e-12", "1e-9", "0.049"] {
        let more = [
            "--input",
            "scan.nii.gz",
            "--output",
            "out/mask.nii.gz",
            "--tile-step-size",
            step,
        ];
        let began = Instant::now();
        scene.segment(&model, &more).refused(2, &["less than one voxel"]);
        let text = format!(
            "[[models]]\nid = 'kidneys'\nmodel = '{}'\nphases = ['portal_venous']\ntile_step_size = {step}\n\
             [[save]]\nstep = 'kidneys'\nfile = 'kidneys.nii.gz'\n",
            model.display()
        );
        scene.write("p.toml", text.as_bytes());
        scene
            .run(&["pipeline", "check", "p.toml"])
            .refused(2, &["kidneys", "less than one voxel"]);
        scene
            .run(&[
                "run",
                "--pipeline",
                "p.toml",
                "--scan",
                "portal_venous=scan.nii.gz",
                "--output",
                "out/case",
            ])
            .refused(2, &["kidneys", "less than one voxel"]);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert!(scene.names("out").is_empty());
}
