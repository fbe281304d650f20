//! Models on cards, which are simulated here: the same way from request to mask, with the twins of the kernels in place of a GPU.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::path::{Path, PathBuf};

use nephrite_engine::Provider;
use nephrite_image_core::{
    Core, CoreError, CoreSettings, CudaSettings, Device, ModelBudget, ModelChoice, PostprocessingChoice,
    Root, RuntimeSettings, SegmentReport, SegmentRequest, SegmentationOptions, StepBudget, segment,
};
use nephrite_nnunet::{HalfCheck, NnunetError, Otherwise};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{CancelToken, Coded, ErrorCode, Labels, Limits, NoProgress, Numerics, Precision};
use nephrite_volume::read_label_map;

const FULLRES: &str = "nnUNetTrainer__nnUNetPlans__3d_fullres";
const GIB: usize = 1 << 30;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

fn core(cuda: CudaSettings) -> Core {
    core_of(RuntimeSettings {
        cuda,
        ..RuntimeSettings::new(Provider::Cuda, Some(2), None, None)
    })
}

fn core_of(runtime: RuntimeSettings) -> Core {
    Core::new(CoreSettings {
        root: Root::filesystem(),
        limits: Limits::default(),
        runtime,
        models: ModelBudget::default(),
        steps: StepBudget::default(),
    })
}

/// `n` cards of so many bytes, which run golden models in half precision: these were barely trained, and would fail the check.
fn cards(n: usize, bytes: usize) -> CudaSettings {
    CudaSettings {
        devices: (0..n).map(Device).collect(),
        simulated: Some(bytes),
        half_check: None,
        ..CudaSettings::default()
    }
}

struct Run {
    folder: tempfile::TempDir,
    request: SegmentRequest,
}

/// A golden model on a golden scan.
fn run_of(model: &str, scan: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let request = SegmentRequest {
        model: ModelChoice {
            folder: golden().join("models").join(model),
            folds: FoldSelection::Available,
            checkpoint: CheckpointKind::Final,
            precision: None,
        },
        inputs: vec![golden().join("cases").join(scan).join("input_0000.nii.gz")],
        previous_stage: None,
        output: folder.path().join("mask.nii.gz"),
        objects: nephrite_image_core::WantedObjects::default(),
        save_probabilities: None,
        options: SegmentationOptions::default(),
        postprocessing: PostprocessingChoice::None,
        strict_geometry: false,
    };
    Run { folder, request }
}

fn iso() -> Run {
    run_of(&format!("Dataset901_Iso/{FULLRES}"), "iso3d")
}

impl Run {
    fn on(&self, core: &Core) -> Result<SegmentReport, CoreError> {
        segment(core, &self.request, &NoProgress, &CancelToken::new())
    }

    fn mask(&self) -> Vec<u16> {
        let file = std::fs::File::open(self.folder.path().join("mask.nii.gz")).unwrap();
        let mask = read_label_map(file, "mask.nii.gz", &Limits::default(), &CancelToken::new()).unwrap();
        match mask.labels {
            Labels::U8(labels) => labels.iter().map(|label| u16::from(*label)).collect(),
            Labels::U16(labels) => labels.iter().copied().collect(),
        }
    }
}

fn agreement(a: &[u16], b: &[u16]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
}

#[test]
fn cards_find_what_the_cpu_finds() {
    let on_cpu = core_of(RuntimeSettings::new(Provider::Cpu, Some(2), None, None));
    let on_card = core(cards(1, GIB));
    let runs = [
        iso(),
        run_of(&format!("Dataset904_Regions/{FULLRES}"), "regions"),
        run_of("Dataset910_Flat/nnUNetTrainer__nnUNetPlans__2d", "model_2d"),
        run_of(
            "Dataset906_Cascade/nnUNetTrainer__nnUNetPlans__3d_cascade_fullres",
            "cascade",
        ),
        run_of(&format!("Dataset914_Many/{FULLRES}"), "many_labels"),
    ];
    for mut run in runs {
        run.request.options.numerics = Numerics::Fast;
        run.on(&on_cpu).unwrap();
        let expected = run.mask();
        for (precision, least) in [
            (Precision::F32, 0.9999),
            (Precision::Tf32, 0.995),
            (Precision::Half, 0.995),
        ] {
            run.request.model.precision = Some(precision);
            let report = run.on(&on_card).unwrap();
            assert_eq!((report.provider, report.precision), (Provider::Cuda, precision));
            assert_eq!(report.versions["cards"], "twin");
            let found = agreement(&expected, &run.mask());
            assert!(
                found >= least,
                "{:?} in {precision}: {found}",
                run.request.model.folder
            );
        }
        run.request.model.precision = None;
    }
}

#[test]
fn probabilities_and_reference_numerics_come_from_cards_too() {
    let core = core(cards(1, GIB));
    let mut run = iso();
    run.request.save_probabilities = Some(run.folder.path().join("p.npz"));
    run.on(&core).unwrap();
    let with_probabilities = run.mask();
    assert!(run.folder.path().join("p.npz").exists());
    run.request.save_probabilities = None;
    run.on(&core).unwrap();
    assert!(agreement(&with_probabilities, &run.mask()) > 0.9999);
    run.request.options.numerics = Numerics::Reference;
    run.request.model.precision = Some(Precision::F32);
    run.on(&core).unwrap();
    assert!(agreement(&with_probabilities, &run.mask()) > 0.995);
}

#[test]
fn the_same_request_gives_the_same_bytes_on_any_card() {
    let core = core(cards(2, GIB));
    let bytes = |run: &Run| std::fs::read(run.folder.path().join("mask.nii.gz")).unwrap();
    let runs: Vec<Run> = (0..4).map(|_| iso()).collect();
    std::thread::scope(|scope| {
        for run in &runs {
            scope.spawn(|| run.on(&core).unwrap());
        }
    });
    assert!(runs.iter().all(|run| bytes(run) == bytes(&runs[0])));
    let mut devices: Vec<_> = core
        .models()
        .resident()
        .into_iter()
        .filter_map(|model| model.key.card)
        .collect();
    devices.sort_unstable();
    devices.dedup();
    assert_eq!(devices, [0, 1], "requests at once spread over the cards");
}

#[test]
fn a_model_that_half_does_not_suit_runs_in_f32_or_is_refused() {
    let strict = |otherwise| CudaSettings {
        half_check: Some(HalfCheck {
            min_agreement: 1.0,
            otherwise,
        }),
        ..cards(1, GIB)
    };
    let run = iso();
    let falls_back = core(strict(Otherwise::Single));
    for _ in 0..2 {
        let report = run.on(&falls_back).unwrap();
        assert_eq!(report.precision, Precision::F32);
    }
    let error = run.on(&core(strict(Otherwise::Refuse))).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidModel);
    assert!(
        matches!(error, CoreError::Nnunet(NnunetError::HalfDiffers { .. })),
        "{error}"
    );
    let by_itself = CudaSettings {
        half_check: CudaSettings::default().half_check,
        ..cards(1, GIB)
    };
    assert_eq!(run.on(&core(by_itself)).unwrap().precision, Precision::F32);
    assert_eq!(run.on(&core(cards(1, GIB))).unwrap().precision, Precision::Half);
}

#[test]
fn a_model_larger_than_its_card_is_refused_before_it_is_loaded() {
    let core = core(cards(1, 1 << 20));
    let error = iso().on(&core).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded);
    assert!(error.to_string().contains("on cuda:0"), "{error}");
    assert!(core.models().resident().is_empty());
}

#[test]
fn models_that_nobody_uses_leave_a_card_that_is_full() {
    let runs = || {
        [
            iso(),
            run_of(&format!("Dataset904_Regions/{FULLRES}"), "regions"),
            iso(),
        ]
    };
    let large = core(cards(1, GIB));
    for run in runs() {
        run.on(&large).unwrap();
    }
    assert_eq!(large.models().resident().len(), 2);
    // as much as the larger of them needs alone
    let needed = |bytes: &usize| runs().iter().all(|run| run.on(&core(cards(1, *bytes))).is_ok());
    let bytes = (16..400).map(|mb| mb << 20).find(needed).unwrap();
    let small = core(cards(1, bytes));
    for run in runs() {
        run.on(&small).unwrap();
    }
    assert!(!small.models().resident().is_empty());
}

#[test]
fn precisions_of_other_providers_are_refused() {
    let mut run = iso();
    run.request.model.precision = Some(Precision::Bf16);
    let error = run.on(&core(cards(1, GIB))).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert!(error.to_string().contains("bf16"), "{error}");
}

#[test]
fn a_card_that_is_not_there_is_an_error_of_the_environment() {
    let nowhere = CudaSettings {
        devices: vec![Device(77)],
        ..CudaSettings::default()
    };
    let started = std::time::Instant::now();
    let error = core(nowhere).start_runtime().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Environment);
    let text = error.to_string();
    assert!(
        text.contains("libcuda")
            || text.contains("cuda:77")
            || text.contains("libcudnn")
            || text.contains("libnvrtc"),
        "{text}"
    );
    assert!(started.elapsed().as_secs() < 10);
}
