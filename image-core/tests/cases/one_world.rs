//! One file has one world: what a case makes of a scan does not hang on which of nnU-Net's readers its models have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use nephrite_engine::Provider;
use nephrite_image_core::WantedObjects;
use nephrite_image_core::case::{
    BareModel, CaseError, CaseEvent, CasePipeline, CaseReport, CaseRequest, CaseServices, Profile,
    ServiceSettings, run_case,
};
use nephrite_image_core::{
    Core, CoreError, CoreSettings, ModelBudget, ModelChoice, PostprocessingChoice, Root, RuntimeSettings,
    SegmentReport, SegmentRequest, SegmentationOptions, StepBudget, segment,
};
use nephrite_nnunet_folder::{CheckpointKind, FoldSelection};
use nephrite_types::{CancelToken, Coded, ErrorCode, Limits, NoProgress, Phase, Volume, WarningCode};
use nephrite_volume::{Reader, read_volume};
use serde_json::Value;
use tempfile::TempDir;

use crate::patient::{Around, RecordedEvents, operations_at, owner};

/// Fields of a NIfTI-1 header that place voxels.
#[derive(Debug, Clone)]
struct Forms {
    pixdim: [f32; 4],
    sform: (i16, [[f32; 4]; 3]),
    qform: (i16, [f32; 6]),
}

const SPACING: [f32; 3] = [1.5, 1.25, 2.0];
const SHAPE: [i16; 3] = [20, 18, 16];
/// One tile of the network: enough where thousands of headers are tried.
const SMALL: [i16; 3] = [12, 11, 9];

fn axes(x: [f32; 3], y: [f32; 3], z: [f32; 3], offset: [f32; 3]) -> [[f32; 4]; 3] {
    std::array::from_fn(|r| [SPACING[0] * x[r], SPACING[1] * y[r], SPACING[2] * z[r], offset[r]])
}

fn straight() -> [[f32; 4]; 3] {
    axes(
        [1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0],
        [-12.0, 7.0, 30.0],
    )
}

impl Forms {
    /// Both forms say the same.
    fn agreeing() -> Forms {
        Forms {
            pixdim: [1.0, SPACING[0], SPACING[1], SPACING[2]],
            sform: (1, straight()),
            qform: (1, [0.0, 0.0, 0.0, -12.0, 7.0, 30.0]),
        }
    }

    /// Smooth blobs of plausible HU; every voxel differs from zero, so that nothing is cut off.
    fn file(&self, shape: [i16; 3]) -> Vec<u8> {
        let mut bytes = vec![0u8; 352];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &348i32.to_le_bytes());
        let [nx, ny, nz] = shape;
        for (i, n) in [3, nx, ny, nz, 1, 1, 1, 1].into_iter().enumerate() {
            put(40 + 2 * i, &n.to_le_bytes());
        }
        put(70, &4i16.to_le_bytes());
        put(72, &16i16.to_le_bytes());
        for (i, mm) in self.pixdim.into_iter().enumerate() {
            put(76 + 4 * i, &mm.to_le_bytes());
        }
        put(108, &352f32.to_le_bytes());
        put(112, &1f32.to_le_bytes());
        put(123, &[2]);
        put(252, &self.qform.0.to_le_bytes());
        put(254, &self.sform.0.to_le_bytes());
        for (i, value) in self
            .qform
            .1
            .into_iter()
            .chain(self.sform.1.into_iter().flatten())
            .enumerate()
        {
            put(256 + 4 * i, &value.to_le_bytes());
        }
        put(344, b"n+1\0");
        for z in 0..nz {
            for y in 0..ny {
                for x in 0..nx {
                    let wave = |i: i16, period: f32| (f32::from(i) / period).sin();
                    let hu =
                        250.0 * wave(x, 3.0) * wave(y + 2, 4.0) + 120.0 * wave(z, 5.0) + 3.0 * f32::from(x);
                    bytes.extend((hu as i16 | 1).to_le_bytes());
                }
            }
        }
        bytes
    }
}

/// Headers that the two libraries see differently, or that only one of them takes.
fn headers() -> Vec<(String, Forms)> {
    let r = 0.5f32.sqrt();
    let sforms = [
        ("straight", straight()),
        (
            "moved",
            axes(
                [1.0, 0.0, 0.0],
                [0.0, 1.0, 0.0],
                [0.0, 0.0, 1.0],
                [80.0, -50.0, 3.0],
            ),
        ),
        (
            "flipped",
            axes(
                [-1.0, 0.0, 0.0],
                [0.0, -1.0, 0.0],
                [0.0, 0.0, 1.0],
                [12.0, 7.0, 30.0],
            ),
        ),
        (
            "permuted",
            axes(
                [0.0, 0.0, -1.0],
                [1.0, 0.0, 0.0],
                [0.0, 1.0, 0.0],
                [5.0, 6.0, 7.0],
            ),
        ),
        (
            "oblique",
            axes(
                [0.8, 0.6, 0.0],
                [-0.6, 0.8, 0.0],
                [0.0, 0.0, -1.0],
                [5.0, 6.0, 7.0],
            ),
        ),
        (
            "scaled",
            straight().map(|row| [row[0] * 1.5, row[1], row[2] * 0.5, row[3]]),
        ),
        (
            "sheared",
            axes(
                [1.0, 0.0, 0.0],
                [0.287348, 0.957826, 0.0],
                [0.0, 0.0, 1.0],
                [5.0, 6.0, 7.0],
            ),
        ),
        ("zero", [[0.0; 4]; 3]),
        ("nan", [[f32::NAN; 4]; 3]),
    ];
    let qforms = [
        ("same", [0.0, 0.0, 0.0, -12.0, 7.0, 30.0]),
        ("turned", [0.0, 0.0, 1.0, -12.0, 7.0, 30.0]),
        ("quarter", [0.0, r, 0.0, 40.0, -90.0, 1.0]),
    ];
    let pixdims = [
        ("plain", [1.0, 1.0]),
        ("mirrored", [-1.0, 1.0]),
        ("negative", [1.0, -1.0]),
    ];
    let codes = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (2, 2)];
    let mut all = Vec::new();
    for (s, sform) in sforms {
        for (q, qform) in qforms {
            for (p, [qfac, sign]) in pixdims {
                for (sform_code, qform_code) in codes {
                    // of what no code names, one stands for all
                    if sform_code == 0 && s != "nan" || qform_code == 0 && q != "same" {
                        continue;
                    }
                    let forms = Forms {
                        pixdim: [qfac, SPACING[0] * sign, SPACING[1], SPACING[2]],
                        sform: (sform_code, sform),
                        qform: (qform_code, qform),
                    };
                    all.push((
                        format!("sform {s} {sform_code}, qform {q} {qform_code}, pixdim {p}"),
                        forms,
                    ));
                }
            }
        }
    }
    all
}

/// A root with one model under each reader, and room for scans and results.
struct Place {
    root: TempDir,
    core: Core,
    /// Of `segment` and `run_model`.
    profile: Profile,
}

const NIBABEL_MODEL: &str = "Dataset913_Readers/nnUNetTrainer__nnUNetNibabelPlans__3d_fullres";

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().unwrap();
        for folder in ["models", "scans", "results", "exchange"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        for reader in Reader::ALL {
            copy_model(
                NIBABEL_MODEL,
                &root.path().join("models").join(reader.name()),
                reader,
            );
        }
        let core = core(root.path());
        Place {
            root,
            core,
            profile: Profile::Full,
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn scan(&self, name: &str, forms: &Forms) -> PathBuf {
        self.scan_of(name, forms, SHAPE)
    }

    fn scan_of(&self, name: &str, forms: &Forms, shape: [i16; 3]) -> PathBuf {
        let path = Path::new("scans").join(name);
        fs::write(self.root.path().join(&path), forms.file(shape)).unwrap();
        path
    }

    fn segment(&self, reader: Reader, scan: &Path, output: &str) -> Result<SegmentReport, CoreError> {
        let request = SegmentRequest {
            model: choice(reader),
            inputs: vec![scan.to_owned()],
            previous_stage: None,
            output: Path::new("results").join(output),
            objects: nephrite_image_core::WantedObjects::default(),
            save_probabilities: None,
            options: options(self.profile),
            postprocessing: PostprocessingChoice::None,
            strict_geometry: false,
        };
        segment(&self.core, &request, &NoProgress, &CancelToken::new())
    }

    fn run(&self, request: &CaseRequest) -> Result<CaseReport, CaseError> {
        let services = CaseServices::new(&ServiceSettings::default(), self.core.root());
        run_case(
            &self.core,
            &services,
            request,
            &RecordedEvents::default(),
            &CancelToken::new(),
        )
    }

    /// One model on one scan; the mask is `results/<output>/<model>.nii.gz`.
    fn run_model(&self, reader: Reader, scan: &Path, output: &str) -> Result<CaseReport, CaseError> {
        let model = BareModel {
            model: choice(reader).folder,
            phase: None,
        };
        self.run(&CaseRequest {
            profile: self.profile,
            ..request(
                CasePipeline::Models {
                    models: vec![model],
                    objects: WantedObjects::default(),
                },
                &[(Phase::Arterial, scan)],
                output,
            )
        })
    }

    fn pipeline(&self, name: &str, text: &str) -> CasePipeline {
        fs::write(self.path(name), text).unwrap();
        CasePipeline::File(name.into())
    }

    /// Voxels in the order of the file.
    fn voxels(&self, path: &str) -> Volume {
        let file = File::open(self.path(path)).unwrap();
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        read_volume(file, path, Reader::Nibabel, &limits, &cancel)
            .unwrap()
            .volume
    }
}

fn core(root: &Path) -> Core {
    Core::new(CoreSettings {
        root: Root::beneath(root).unwrap(),
        limits: Limits::default(),
        runtime: RuntimeSettings::new(
            Provider::Cpu,
            Some(2),
            None,
            std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from),
        ),
        models: ModelBudget::default(),
        steps: StepBudget::default(),
    })
}

fn choice(reader: Reader) -> ModelChoice {
    ModelChoice {
        folder: Path::new("models").join(reader.name()),
        folds: FoldSelection::Available,
        checkpoint: CheckpointKind::Final,
        precision: None,
    }
}

/// What a profile makes of a step that says nothing of its own; of models with one fold.
fn options(profile: Profile) -> SegmentationOptions {
    match profile {
        Profile::Full => SegmentationOptions::default(),
        Profile::Quick => SegmentationOptions {
            mirroring: false,
            tile_step_size: Profile::QUICK_TILE_STEP,
            ..SegmentationOptions::default()
        },
    }
}

fn request(pipeline: CasePipeline, scans: &[(Phase, &Path)], output: &str) -> CaseRequest {
    CaseRequest {
        pipeline,
        scans: scans
            .iter()
            .map(|(phase, path)| (*phase, (*path).to_owned()))
            .collect(),
        steps: Vec::new(),
        profile: Profile::Full,
        phases: Vec::new(),
        output: Path::new("results").join(output),
        strict_geometry: false,
        check_phases: false,
    }
}

fn is_strict(error: &CaseError) -> bool {
    matches!(error, CaseError::Core(CoreError::StrictGeometry { .. }))
}

/// A golden model whose plans name another reader.
fn copy_model(name: &str, to: &Path, reader: Reader) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden/models")
        .join(name);
    fs::create_dir_all(to.join("fold_0")).unwrap();
    for file in ["dataset.json", "fold_0/checkpoint_final.pth"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let plans = fs::read(from.join("plans.json")).unwrap();
    let mut plans: Value = serde_json::from_slice(&plans).unwrap();
    plans["image_reader_writer"] = reader.name().into();
    fs::write(to.join("plans.json"), plans.to_string()).unwrap();
}

/// The bytes of a mask, header and all, but for the compression.
fn inflated(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = File::open(path).unwrap();
    flate2::read::MultiGzDecoder::new(file)
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

/// What a comparison through all readers was about.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Compared {
    /// Readers with which both gave a mask.
    masks: usize,
    /// Of these, those whose mask has more than 20 voxels of some label.
    shown: usize,
    /// Readers with which both refused for a limit; with the others they refused the input.
    over_limits: usize,
}

impl Compared {
    fn add(&mut self, other: Compared) {
        self.masks += other.masks;
        self.shown += other.shown;
        self.over_limits += other.over_limits;
    }
}

/// `run` with one model is `segment`: header and voxels, or the same refusal.
fn check_run_is_segment(place: &Place, name: &str, scan: &Path) -> Compared {
    let mut compared = Compared::default();
    for reader in Reader::ALL {
        let segmented = place.segment(reader, scan, "a.nii.gz");
        let ran = place.run_model(reader, scan, "a");
        match (segmented, ran) {
            (Ok(report), Ok(case)) => {
                let mask = format!("results/a/{}", case.record.masks[0].file);
                assert!(
                    inflated(&place.path("results/a.nii.gz")) == inflated(&place.path(&mask)),
                    "{name}, {reader}: run and segment differ"
                );
                let mut of_segment = report.labels.clone();
                of_segment.sort_by_key(|label| label.id);
                let of_run = &case.record.masks[0].labels;
                assert_eq!(of_run.len(), of_segment.len());
                for (a, b) in of_run.iter().zip(&of_segment) {
                    assert_eq!((a.id, a.voxels), (b.id, b.voxels), "{name}, {reader}");
                    assert!(
                        (a.volume_ml - b.volume_ml).abs() <= 1e-12 * b.volume_ml,
                        "{name}, {reader}"
                    );
                }
                compared.masks += 1;
                compared.shown += usize::from(of_run.iter().any(|label| label.voxels > 20));
                assert_eq!(case.record.warnings, report.warnings, "{name}, {reader}");
                fs::remove_dir_all(place.path("results/a")).unwrap();
                fs::remove_file(place.path("results/a.nii.gz")).unwrap();
            }
            (Err(segmented), Err(ran)) => {
                assert_eq!(ran.code(), segmented.code(), "{name}, {reader}: {ran}");
                match segmented.code() {
                    ErrorCode::InvalidInput => {}
                    ErrorCode::LimitExceeded => compared.over_limits += 1,
                    code => panic!("{name}, {reader}: {code:?}: {segmented}"),
                }
                assert!(
                    ran.to_string().ends_with(&segmented.to_string()),
                    "{segmented}\n{ran}"
                );
            }
            (segmented, ran) => panic!(
                "{name}, {reader}: segment {:?}, run {:?}",
                segmented.map(|_| ()),
                ran.map(|_| ())
            ),
        }
    }
    compared
}

/// Every mask of a header shows something, and none is refused.
fn check_headers(place: &Place, headers: Vec<(String, Forms)>) -> Compared {
    let mut compared = Compared::default();
    for (name, forms) in headers {
        let scan = place.scan_of("scan.nii", &forms, SMALL);
        let of_scan = check_run_is_segment(place, &name, &scan);
        assert_eq!((of_scan.shown, of_scan.over_limits), (of_scan.masks, 0), "{name}");
        compared.add(of_scan);
    }
    compared
}

#[test]
fn run_is_segment_for_all_forms_codes_signs_and_shears_through_all_readers() {
    let place = Place::new();
    let all = headers();
    assert!(all.len() > 150, "{}", all.len());
    let compared = check_headers(&place, all);
    println!("{compared:?}");
    assert!(compared.masks > 500, "{compared:?}");
}

/// Headers by the hundred, so with the options of a quick look; the other two tests have those of a full run.
#[test]
fn run_is_segment_for_every_outcome_of_the_golden_headers() {
    let mut place = Place::new();
    place.profile = Profile::Quick;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/volume/golden/forms.json");
    let headers = headers_of_all_outcomes(&golden);
    assert!(headers.len() > 300, "{}", headers.len());
    let compared = check_headers(&place, headers);
    println!("{compared:?}");
    assert!(compared.masks > 500, "{compared:?}");
}

/// One header for each of the ways in which the readers' answers differ.
fn headers_of_all_outcomes(golden: &Path) -> Vec<(String, Forms)> {
    let golden: Value = serde_json::from_slice(&fs::read(golden).unwrap()).unwrap();
    let numbers = |value: &Value| -> Vec<f32> {
        let of = |v: &Value| match v.as_str() {
            Some(name) => name.parse::<f32>().unwrap(),
            None => v.as_f64().unwrap() as f32,
        };
        value.as_array().unwrap().iter().map(of).collect()
    };
    let named = |key: &str| -> Vec<(String, Value)> {
        let members = golden[key].as_object().unwrap().iter();
        members
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    };
    let codes = |key: &str| -> Vec<i16> {
        numbers(&golden[key])
            .into_iter()
            .map(|code| code as i16)
            .collect()
    };
    let mut outcomes = golden["cases"].as_array().unwrap().iter();
    let mut seen = BTreeSet::new();
    let mut headers = Vec::new();
    for (s, sform) in named("sforms") {
        for sform_code in codes("sform_codes") {
            for (q, qform) in named("qforms") {
                for qform_code in codes("qform_codes") {
                    for (p, pixdim) in named("pixdims") {
                        if !seen.insert(outcomes.next().unwrap().to_string()) {
                            continue;
                        }
                        let rows: Vec<Vec<f32>> = sform.as_array().unwrap().iter().map(numbers).collect();
                        let rows: [[f32; 4]; 3] =
                            std::array::from_fn(|r| rows[r].clone().try_into().unwrap());
                        let forms = Forms {
                            pixdim: numbers(&pixdim).try_into().unwrap(),
                            sform: (sform_code, rows),
                            qform: (qform_code, numbers(&qform).try_into().unwrap()),
                        };
                        let name = format!("sform {s} {sform_code}, qform {q} {qform_code}, pixdim {p}");
                        headers.push((name, forms));
                    }
                }
            }
        }
    }
    assert!(outcomes.next().is_none());
    headers
}

#[test]
fn run_is_segment_for_the_scans_of_the_golden_cases_and_the_odd_ones() {
    let place = Place::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = files_of(&root.join("tests/golden/cases"));
    files.retain(|file| file.file_name().unwrap().to_string_lossy().starts_with("input"));
    assert_eq!(files.len(), 21);
    let faults = root.join("../shared/data/faults");
    if faults.is_dir() {
        files.extend(files_of(&faults));
    } else {
        println!("skipped: {} is not there", faults.display());
    }
    for file in &files {
        fs::copy(file, place.path("scans/scan.nii.gz")).unwrap();
        let name = file.display().to_string();
        let compared = check_run_is_segment(&place, &name, Path::new("scans/scan.nii.gz"));
        println!("{compared:?} {name}");
        let file = file.file_name().unwrap().to_string_lossy();
        // micrometers taken for millimeters, as nibabel's readers do, are a scan of meters
        assert_eq!(compared.over_limits > 0, file == "m_um.nii.gz", "{name}");
        // the other files of the odd set are masks, in which a model need not find anything
        let is_scan = file.starts_with("input") || SCANS_OF_FAULTS.contains(&&*file);
        assert!(
            !is_scan || compared.masks > 0 && compared.shown == compared.masks,
            "{name}: {compared:?}"
        );
    }
}

const SCANS_OF_FAULTS: [&str; 4] = [
    "base.nii.gz",
    "nocodes.nii.gz",
    "pix_vs_sform.nii.gz",
    "sq_shift.nii.gz",
];

/// All NIfTI files in a folder and in its folders.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else if path.extension().is_some_and(|extension| extension == "gz")
            && path.file_name().unwrap() != "labels.nii.gz"
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Models of all readers on one file, one looking only around what another one found, and a sample of it.
const MIXED: &str = r#"
[[models]]
id = "itk"
model = "models/SimpleITKIO"
phases = ["arterial"]

[[models]]
id = "turned"
model = "models/SimpleITKIOWithReorient"
phases = ["arterial"]

[[models]]
id = "nibabel"
model = "models/NibabelIO"
phases = ["arterial"]
crop = { step = "itk", labels = ["tumor"], margin_mm = 2 }

[[models]]
id = "nibabel-turned"
model = "models/NibabelIOWithReorient"
phases = ["arterial"]
crop = { step = "turned", labels = ["tumor"], margin_mm = 2 }

[[masks]]
id = "all"
operation = "merge"
inputs = { masks = ["itk", "nibabel"] }

[[samples]]
id = "look"
step = "nibabel"
labels = ["tumor"]

[[save]]
step = "itk"
file = "itk.nii.gz"

[[save]]
step = "turned"
file = "turned.nii.gz"

[[save]]
step = "nibabel"
file = "nibabel.nii.gz"

[[save]]
step = "nibabel-turned"
file = "nibabel-turned.nii.gz"

[[save]]
step = "all"
file = "all.nii.gz"
"#;

const MIXED_FILES: [&str; 7] = [
    "all.nii.gz",
    "itk.nii.gz",
    "look/image.nii.gz",
    "look/mask.nii.gz",
    "nibabel-turned.nii.gz",
    "nibabel.nii.gz",
    "turned.nii.gz",
];

/// Axes run to R, A, S in both worlds, so that the reorienting readers turn nothing; but the file lies elsewhere for ITK than
/// for nibabel.
fn two_places() -> Forms {
    Forms {
        sform: (
            2,
            axes(
                [1.0, 0.0, 0.0],
                [0.0, 1.0, 0.0],
                [0.0, 0.0, 1.0],
                [83.3, -51.1, 3.7],
            ),
        ),
        ..Forms::agreeing()
    }
}

#[test]
fn masks_of_one_file_are_related_by_voxel_whatever_the_readers_say_of_its_place() {
    let place = Place::new();
    let pipeline = place.pipeline("mixed.toml", MIXED);
    let run = |name: &str, forms: &Forms| {
        let scan = place.scan(&format!("{name}.nii"), forms);
        let report = place
            .run(&request(pipeline.clone(), &[(Phase::Arterial, &scan)], name))
            .unwrap();
        let files: BTreeMap<_, _> = MIXED_FILES
            .iter()
            .map(|file| (*file, place.voxels(&format!("results/{name}/{file}"))))
            .collect();
        (report.record, files)
    };
    let (record, expected) = run("agreeing", &Forms::agreeing());
    assert!(record.warnings.is_empty(), "{:?}", record.warnings);
    let (two, found) = run("two", &two_places());
    for file in MIXED_FILES {
        assert!(
            found[file].voxels == expected[file].voxels,
            "{file}: the voxels depend on the forms"
        );
    }
    let crops = |record: &nephrite_image_core::case::Record| {
        let models = record.steps.iter().filter_map(|step| step.model());
        models.map(|model| model.crop).collect::<Vec<_>>()
    };
    assert_eq!(crops(&two), crops(&record));
    assert_eq!(two.counters.mask_resamples, 0);
    for (a, b) in record.masks.iter().zip(&two.masks) {
        assert_eq!(a.labels, b.labels, "{}", a.file);
    }
    // In ITK's world, which two of the models ask for: that of the qform.
    let origin = |volume: &Volume| volume.geometry.affine.world_from_voxel([0.0; 3]);
    assert_eq!(origin(&found["itk.nii.gz"]), [-12.0, 7.0, 30.0]);
    assert_eq!(found["nibabel.nii.gz"].geometry, found["itk.nii.gz"].geometry);
    assert_eq!(
        found["look/image.nii.gz"].geometry,
        found["look/mask.nii.gz"].geometry
    );
}

#[test]
fn placements_give_the_same_bytes_where_readers_disagree() {
    let place = Place::new();
    let mut around = Around::new();
    let root = place.root.path();
    let operations = operations_at(around.mask_services(root));
    let cores = Reader::ALL.map(|reader| {
        let model = format!("models/{}", reader.name());
        owner(reader.name(), around.core(root, |_| {}), &model)
    });
    let monolith = ServiceSettings::default();
    let hybrid = ServiceSettings {
        operations,
        ..monolith.clone()
    };
    let microservices = ServiceSettings {
        cores: cores.to_vec(),
        ..hybrid.clone()
    };
    let pipeline = place.pipeline("mixed.toml", MIXED);
    let flipped = Forms {
        sform: (
            2,
            axes(
                [-1.0, 0.0, 0.0],
                [0.0, 0.0, 1.0],
                [0.0, 1.0, 0.0],
                [83.3, -51.1, 3.7],
            ),
        ),
        ..Forms::agreeing()
    };
    let scan = place.scan("two.nii", &flipped);
    let mut all = Vec::new();
    for (name, settings) in [
        ("monolith", monolith),
        ("hybrid", hybrid),
        ("microservices", microservices),
    ] {
        let core = core(root);
        let services = CaseServices::new(&settings, core.root());
        let request = request(pipeline.clone(), &[(Phase::Arterial, &scan)], name);
        let report = run_case(
            &core,
            &services,
            &request,
            &RecordedEvents::default(),
            &CancelToken::new(),
        )
        .unwrap();
        let bytes = |file: &&str| fs::read(place.path(&format!("results/{name}/{file}"))).unwrap();
        all.push((
            MIXED_FILES.iter().map(bytes).collect::<Vec<_>>(),
            report.record.masks,
        ));
    }
    for (name, other) in [("hybrid", &all[1]), ("microservices", &all[2])] {
        for (i, file) in MIXED_FILES.iter().enumerate() {
            assert!(all[0].0[i] == other.0[i], "{name}: {file} differs");
        }
        assert_eq!(all[0].1, other.1, "{name}");
    }
}

#[test]
fn a_sheared_scan_is_refused_only_where_a_model_reads_as_itk_does() {
    let place = Place::new();
    let sheared = Forms {
        sform: (
            1,
            axes(
                [1.0, 0.0, 0.0],
                [0.287348, 0.957826, 0.0],
                [0.0, 0.0, 1.0],
                [-12.0, 7.0, 30.0],
            ),
        ),
        qform: (0, [0.0; 6]),
        ..Forms::agreeing()
    };
    let (sheared, plain) = (
        place.scan("sheared.nii", &sheared),
        place.scan("plain.nii", &Forms::agreeing()),
    );
    let of = |reader: Reader, phase: &str| {
        format!(
            "[[models]]\nid = \"{phase}\"\nmodel = \"models/{}\"\nphases = [\"{phase}\"]\n",
            reader.name()
        )
    };
    let run = |models: &str, output: &str, strict: bool| {
        let save = "[[save]]\nstep = \"arterial\"\nfile = \"a.nii.gz\"\n";
        let pipeline = place.pipeline("p.toml", &format!("{models}{save}"));
        let scans = [
            (Phase::Arterial, sheared.as_path()),
            (Phase::Delayed, plain.as_path()),
        ];
        let request = CaseRequest {
            strict_geometry: strict,
            check_phases: false,
            ..request(pipeline, &scans, output)
        };
        place.run(&request)
    };
    let nibabel = of(Reader::Nibabel, "arterial");
    let alone = run(&nibabel, "alone", true).unwrap();
    assert!(alone.record.warnings.is_empty());
    // ITK's world, since another scan has a model of it; this file cannot be placed there.
    let mixed = of(Reader::Nibabel, "arterial") + &of(Reader::SimpleItk, "delayed");
    let beside = run(&mixed, "beside", false).unwrap();
    let [warning] = beside.record.warnings.as_slice() else {
        panic!("{:?}", beside.record.warnings)
    };
    assert_eq!(warning.code, WarningCode::OtherWorld);
    assert!(
        warning.message.contains("placed as nibabel") && warning.file.contains("sheared.nii"),
        "{warning:?}"
    );
    assert_eq!(
        place.voxels("results/alone/a.nii.gz"),
        place.voxels("results/beside/a.nii.gz")
    );
    let error = run(&mixed, "strict", true).unwrap_err();
    assert!(is_strict(&error), "{error}");
    assert_eq!(error.code(), ErrorCode::InvalidInput);
    assert!(!place.path("results/strict").exists());
    let error = run(&of(Reader::SimpleItk, "arterial"), "itk", false).unwrap_err();
    assert!(
        error.to_string().contains("right angles") && error.code() == ErrorCode::InvalidInput,
        "{error}"
    );
}

#[test]
fn a_header_that_contradicts_itself_is_told_in_the_record_and_the_events() {
    let place = Place::new();
    let forms = Forms {
        pixdim: [1.0, 3.0, SPACING[1], SPACING[2]],
        ..Forms::agreeing()
    };
    let scan = place.scan("lengths.nii", &forms);
    let models = |strict: &str| {
        let model = "[[models]]\nid = \"a\"\nmodel = \"models/NibabelIO\"\nphases = [\"arterial\"]\n";
        format!("{strict}\n{model}[[save]]\nstep = \"a\"\nfile = \"a.nii.gz\"\n")
    };
    let recorded = RecordedEvents::default();
    let services = CaseServices::new(&ServiceSettings::default(), place.core.root());
    let request_of = |pipeline, output| request(pipeline, &[(Phase::Arterial, &scan)], output);
    let plain = request_of(place.pipeline("plain.toml", &models("")), "plain");
    let report = run_case(&place.core, &services, &plain, &recorded, &CancelToken::new()).unwrap();
    assert_eq!(report.record.warnings.len(), 1);
    let warning = &report.record.warnings[0];
    assert_eq!(warning.code, WarningCode::HeaderLengths);
    assert!(
        warning.message.contains("3 × 1.25 × 2") && warning.message.contains("1.5 × 1.25 × 2"),
        "{warning:?}"
    );
    let events = recorded.0.into_inner().unwrap();
    let events: Vec<_> = events
        .iter()
        .filter(|event| matches!(event, CaseEvent::Warning { .. }))
        .collect();
    assert_eq!(events.len(), 1, "{events:?}");
    // The volume follows the affine, as it stands in the mask's own header.
    let label = &report.record.masks[0].labels[0];
    let expected = label.voxels as f64 * 1.5 * 1.25 * 2.0 / 1000.0;
    assert!((label.volume_ml - expected).abs() < 1e-9, "{label:?}");
    let strict = request_of(
        place.pipeline("strict.toml", &models("strict_geometry = true")),
        "strict",
    );
    let error = place.run(&strict).unwrap_err();
    assert!(is_strict(&error), "{error}");
    assert!(error.to_string().contains("lengths.nii"), "{error}");
    let by_server = core(place.root.path()).with_strict_geometry(true);
    let refused = run_case(
        &by_server,
        &services,
        &plain,
        &RecordedEvents::default(),
        &CancelToken::new(),
    );
    assert!(is_strict(&refused.unwrap_err()));
}

#[test]
fn a_singular_sform_gives_way_to_the_qform_and_says_so() {
    let place = Place::new();
    let forms = Forms {
        sform: (1, [[0.0; 4]; 3]),
        ..Forms::agreeing()
    };
    let scan = place.scan("zero.nii", &forms);
    let plain = place.scan("plain.nii", &Forms::agreeing());
    for reader in [Reader::SimpleItk, Reader::SimpleItkReorient, Reader::Nibabel] {
        let report = place.segment(reader, &scan, "zero.nii.gz").unwrap();
        place.segment(reader, &plain, "plain.nii.gz").unwrap();
        let (zero, plain) = (
            place.voxels("results/zero.nii.gz"),
            place.voxels("results/plain.nii.gz"),
        );
        assert_eq!(zero, plain, "{reader}");
        let codes: Vec<_> = report
            .warnings
            .iter()
            .map(|warning| warning.code.name())
            .collect();
        let expected: &[&str] = if reader == Reader::Nibabel {
            &["singular_form"]
        } else {
            &[]
        };
        assert_eq!(codes, expected, "{reader}");
    }
    let error = place
        .segment(Reader::NibabelReorient, &scan, "zero.nii.gz")
        .unwrap_err();
    assert!(error.to_string().contains("sform: affine is singular"), "{error}");
}
