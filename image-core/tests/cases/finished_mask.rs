//! The bytes of a finished mask, for clients that do not see the shared volume.

use std::fs;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_image_core::case::{CaseRequest, Record};
use nephrite_kernel::{LabelTable, Mask, RunMask, write_mask};
use nephrite_mask_codec::EncodedMask;
use nephrite_proto::{Client, RemoteError, v1};
use nephrite_types::{Affine, ErrorCode, Geometry, Labels, Limits, Shape3, Spacing};
use nephrite_volume::FileHash;
use serde_json::Value;

use crate::patient::{Around, PIPELINE, Patient};

struct Place {
    patient: Patient,
    around: Around,
    client: Client,
}

impl Place {
    fn new() -> Place {
        let patient = Patient::new();
        let mut around = Around::new();
        let address = around.core(patient.root.path(), |_| {});
        let client = around
            .runtime
            .block_on(Client::connect(&format!("http://{address}")));
        Place {
            client: client.unwrap(),
            patient,
            around,
        }
    }

    fn get(&self, output: &str, step: &str) -> Result<v1::GetMaskResponse, RemoteError> {
        let request = v1::GetMaskRequest {
            output: output.to_owned(),
            step: step.to_owned(),
        };
        self.around.runtime.block_on(self.client.get_mask(request))
    }

    #[track_caller]
    fn refused(&self, output: &str, step: &str, code: ErrorCode, says: &str) {
        let given = self.get(output, step).map(|answer| answer.file);
        let error = given.unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.contains(says), "{error}");
    }
}

#[test]
fn a_finished_mask_comes_as_it_was_kept() {
    let place = Place::new();
    let record = place
        .patient
        .run_here(&place.patient.core(), &place.patient.request("case"))
        .unwrap()
        .record;
    for kept in &record.masks {
        let answer = place.get("results/case", &kept.step).unwrap();
        assert_eq!(answer.file, kept.file);
        let encoded = EncodedMask::try_from(answer.mask.unwrap()).unwrap();
        let mask = encoded.decode(&Limits::default()).unwrap();
        assert_eq!(mask.label_volumes(), kept.labels, "{}", kept.step);
        assert!(kept.labels.iter().any(|label| label.voxels > 0));
        let file = fs::File::open(place.patient.path("results/case").join(&kept.file)).unwrap();
        let there = nephrite_volume::read_label_map(
            file,
            &kept.file,
            &Limits::default(),
            &nephrite_types::CancelToken::new(),
        );
        assert_eq!(mask.runs().to_labels(), there.unwrap().labels, "{}", kept.step);
    }
    let absolute = place.patient.path("results/case");
    assert!(place.get(&absolute.to_string_lossy(), "clean").is_ok());

    place.refused("results/case", "arteries", ErrorCode::NotFound, "clean, kidneys");
    place.refused(
        "results/other",
        "clean",
        ErrorCode::NotFound,
        "results/other/record.json",
    );
    place.refused("../outside", "clean", ErrorCode::PermissionDenied, "../outside");
    place.refused("", "clean", ErrorCode::InvalidArgument, "output is missing");
    place.refused("results/case", "", ErrorCode::InvalidArgument, "step is missing");
    let file = place.patient.path("results/case/abdomen.nii.gz");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    place.refused(
        "results/case",
        "clean",
        ErrorCode::InvalidInput,
        "abdomen.nii.gz: the file has changed",
    );
}

/// Noise: larger than a message that every client takes.
#[test]
fn a_mask_that_is_too_large_for_a_message_is_refused_with_its_file() {
    let place = Place::new();
    let patient = &place.patient;
    patient
        .run_here(&patient.core(), &patient.request("case"))
        .unwrap();
    let shape = [200, 320, 320];
    let spacing = Spacing::new([1.0; 3]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let mut state = 1_u32;
    let noise = ndarray::Array3::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 30) as u8
    });
    let runs = RunMask::from_labels(&Labels::U8(noise), &geometry, &Limits::default()).unwrap();
    let mask = Mask::new(runs, LabelTable::numbered([1, 2, 3])).unwrap();
    let folder = Dir::open_ambient_dir(patient.path("results/case"), ambient_authority()).unwrap();
    write_mask(&folder, "abdomen.nii.gz", &mask, &Limits::default()).unwrap();
    let bytes = fs::read(patient.path("results/case/abdomen.nii.gz")).unwrap();
    let path = patient.path("results/case/record.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for file in record["files"].as_array_mut().unwrap() {
        if file["path"] == "abdomen.nii.gz" {
            file["sha256"] = FileHash::of(&bytes).to_string().into();
        }
    }
    for kept in record["masks"].as_array_mut().unwrap() {
        if kept["file"] == "abdomen.nii.gz" {
            kept["labels"] = Value::Array(Vec::new()); // ids have names of their own then
        }
    }
    fs::write(&path, record.to_string()).unwrap();
    place.refused(
        "results/case",
        "clean",
        ErrorCode::LimitExceeded,
        "results/case/abdomen.nii.gz",
    );
    assert!(place.get("results/case", "kidneys").is_ok(), "the server goes on");
}

/// A mask that is kept as a header and a file of its voxels: both are in the record, and neither may change.
#[test]
fn a_mask_in_two_files_comes_as_it_was_kept() {
    let place = Place::new();
    let patient = &place.patient;
    let text = PIPELINE.replace("abdomen.nii.gz", "abdomen.mhd");
    assert_ne!(text, PIPELINE);
    let whole = patient
        .run_here(&patient.core(), &patient.request("whole"))
        .unwrap();
    let request = CaseRequest {
        pipeline: patient.pipeline("pair.toml", &text),
        ..patient.request("pair")
    };
    let record = patient.run_here(&patient.core(), &request).unwrap().record;
    for name in ["abdomen.mhd", "abdomen.zraw"] {
        let noted = record.files.iter().find(|file| file.path == name).unwrap();
        let bytes = fs::read(patient.path("results/pair").join(name)).unwrap();
        assert_eq!(noted.sha256, FileHash::of(&bytes).to_string(), "{name}");
        let step = record.steps.iter().find(|step| step.id == "clean").unwrap();
        assert!(step.files.iter().any(|file| file == name), "{:?}", step.files);
    }
    let kept = |record: &Record| {
        let mask = record.masks.iter().find(|mask| mask.step == "clean").unwrap();
        (mask.file.clone(), mask.labels.clone())
    };
    assert_eq!(kept(&record).0, "abdomen.mhd");
    assert_eq!(kept(&record).1, kept(&whole.record).1);
    let answer = place.get("results/pair", "clean").unwrap();
    let mask = EncodedMask::try_from(answer.mask.unwrap()).unwrap();
    let mask = mask.decode(&Limits::default()).unwrap();
    assert_eq!(mask.label_volumes(), kept(&record).1);
    for name in ["abdomen.zraw", "abdomen.mhd"] {
        let file = patient.path("results/pair").join(name);
        let was = fs::read(&file).unwrap();
        let mut bytes = was.clone();
        *bytes.last_mut().unwrap() ^= 1; // of the header: the end of its last line
        fs::write(&file, bytes).unwrap();
        let refused = place.get("results/pair", "clean").map(|answer| answer.file);
        assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidInput, "{name}");
        fs::write(&file, was).unwrap();
    }
    assert!(place.get("results/pair", "clean").is_ok());
}
