//! Masks of a case as DICOM objects beside their label maps.

use std::fs;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_dicom::test_util::{Labels, Way, single_frame};
use nephrite_dicom::{DicomLimits, SeriesOptions, list, open_bytes};
use nephrite_dicom_objects::{
    ObjectLimits, Onto, ReadOptions, Slices, SourceSeries, StructureSetOptions, read_seg, read_structure_set,
};
use nephrite_image_core::case::{
    BareModel, CaseError, CasePipeline, CaseRequest, CaseServices, Difference, InputHashes, Profile, Record,
    ServiceSettings, VerifyPlaces, finished_mask, inputs_of_record, run_case, verify_record,
};
use nephrite_image_core::masks::{MaskInput, MaskOutput, MaskReport, MaskRequest, run_mask};
use nephrite_image_core::{CoreError, WantedObjects};
use nephrite_kernel::{LabelTable, Mask, RunMask};
use nephrite_phantom::PhantomSpec;
use nephrite_types::{CancelToken, Coded, ErrorCode, OutputFormat, Phase, Shape3, Spacing, WarningCode};

use crate::patient::{
    ARTERIES, Around, KIDNEYS, PIPELINE, Patient, RecordedEvents, URETERS, operations_at, owner,
};

const FRAME: &[u8] = b"1.2.826.0.1.3680043.10.8";
const KIDNEY: &str =
    r#"kidney = { category = "SCT:123037004:Anatomical Structure", type = "SCT:64033007:Kidney" }"#;

/// The pipeline of the other tests, with objects.
fn pipeline() -> String {
    let formats = r#"formats = ["nifti", "dicom-seg", "rtstruct", "sr"]"#;
    let abdomen = "file = \"abdomen.nii.gz\"";
    let with_formats = PIPELINE.replace(abdomen, &format!("{abdomen}\n{formats}"));
    assert_ne!(with_formats, PIPELINE);
    format!("{with_formats}\n[codes]\n{KIDNEY}\n")
}

/// A patient whose scans are DICOM series, too; `change` has the bytes of every file.
fn patient(change: impl Fn(Phase, Vec<u8>) -> Vec<u8>) -> Patient {
    let patient = Patient::new();
    let spec = PhantomSpec {
        shape: Shape3::new([48, 80, 80]).unwrap(),
        spacing: Spacing::new([6.0, 4.0, 4.0]).unwrap(),
        ..PhantomSpec::demo(7)
    };
    for (idx, (phase, volume)) in spec.generate().phases.into_iter().enumerate() {
        let folder = patient.path("series").join(phase.name());
        fs::create_dir_all(&folder).unwrap();
        let uid = format!("1.2.826.0.1.3680043.10.{}", 100 + idx);
        let labels = Labels {
            series_uid: &uid,
            ..Labels::default()
        };
        let files = single_frame(&volume, Way::PLAIN, &labels);
        for file in files {
            fs::write(folder.join(&file.name), change(phase, file.bytes())).unwrap();
        }
    }
    patient
}

fn request(patient: &Patient, output: &str) -> CaseRequest {
    let phases = [Phase::Arterial, Phase::PortalVenous, Phase::Delayed];
    CaseRequest {
        pipeline: patient.pipeline("objects.toml", &pipeline()),
        scans: phases
            .map(|phase| (phase, format!("series/{phase}").into()))
            .into(),
        ..patient.request(output)
    }
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes
        .windows(from.len())
        .position(|window| window == from)
        .unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

/// Where the label of this name is.
fn alone(masks: &[Mask], name: &str) -> RunMask {
    let mut found = masks
        .iter()
        .filter_map(|mask| Some((mask, mask.labels().by_name(name)?.id)));
    let (mask, id) = found
        .find(|(mask, id)| mask.summaries().contains_key(id))
        .unwrap();
    mask.runs().relabel(|_, run| u16::from(run.label == id))
}

/// In every placement the objects are the same bytes, and they hold the mask of the label map.
#[test]
fn objects_are_the_same_bytes_everywhere_and_hold_the_mask() {
    let patient = patient(|_, bytes| bytes);
    let mut around = Around::new();
    let root = patient.root.path();
    let operations = operations_at(around.mask_services(root));
    let owners = [("kidney", KIDNEYS), ("vessel", ARTERIES), ("ureter", URETERS)];
    let cores = owners.map(|(name, model)| owner(name, around.core(root, |_| {}), model));
    let microservices = ServiceSettings {
        operations,
        cores: cores.to_vec(),
        ..ServiceSettings::default()
    };
    let core = patient.core();
    let run = |name: &str, settings: &ServiceSettings| -> Record {
        let services = CaseServices::new(settings, core.root());
        let (events, cancel) = (RecordedEvents::default(), CancelToken::new());
        run_case(&core, &services, &request(&patient, name), &events, &cancel)
            .unwrap()
            .record
    };
    let record = run("here", &ServiceSettings::default());
    run("again", &ServiceSettings::default());
    run("there", &microservices);
    let files = patient.files("here");
    let objects = ["abdomen.rtstruct.dcm", "abdomen.seg.dcm", "abdomen.sr.dcm"];
    let written: Vec<&str> = files
        .keys()
        .map(String::as_str)
        .filter(|name| name.ends_with(".dcm"))
        .collect();
    assert_eq!(written, objects);
    for other in ["again", "there"] {
        let others = patient.files(other);
        for (file, bytes) in &files {
            assert!(*bytes == others[file], "{other}: {file} differs");
        }
    }
    for file in objects {
        let noted = record.files.iter().find(|noted| noted.path == file).unwrap();
        assert_eq!(noted.bytes, files[file].len() as u64);
        let step = record.steps.iter().find(|step| step.id == "clean").unwrap();
        assert!(
            step.files.iter().any(|of_step| of_step == file),
            "{:?}",
            step.files
        );
    }
    let warnings: Vec<_> = record
        .warnings
        .iter()
        .filter(|warning| warning.code == WarningCode::DicomObject)
        .collect();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.message.contains("has no code")),
        "{warnings:?}"
    );
    assert!(
        !warnings
            .iter()
            .any(|warning| warning.message.contains("\"kidney\"")),
        "{warnings:?}"
    );

    let kept = finished_mask(&core, Path::new("results/here"), "clean", &CancelToken::new())
        .unwrap()
        .mask;
    let limits = ObjectLimits::default();
    let open = |file: &str| open_bytes(files[file].clone(), file, &DicomLimits::DEFAULT).unwrap();
    let onto = Onto {
        geometry: kept.runs().geometry(),
        frame_of_reference_uid: std::str::from_utf8(FRAME).ok(),
    };
    let seg = read_seg(
        &open("abdomen.seg.dcm"),
        Some(onto),
        ReadOptions::default(),
        &limits,
    )
    .unwrap();
    let folder = Dir::open_ambient_dir(patient.path("series/portal_venous"), ambient_authority()).unwrap();
    let listing = list(
        &folder,
        "portal_venous",
        &DicomLimits::DEFAULT,
        &SeriesOptions::default(),
        &CancelToken::new(),
    );
    let source = SourceSeries::of(listing.unwrap().select(None).unwrap()).unwrap();
    let set = open("abdomen.rtstruct.dcm");
    let geometry = Some(kept.runs().geometry());
    let set = read_structure_set(
        &set,
        Slices::Series(&source),
        geometry,
        StructureSetOptions::default(),
        &limits,
    )
    .unwrap();
    let mut n_labels = 0;
    for entry in kept
        .labels()
        .entries()
        .iter()
        .filter(|entry| kept.summaries().contains_key(&entry.id))
    {
        let expected = alone(std::slice::from_ref(&kept), &entry.name);
        assert!(
            alone(&seg.masks, &entry.name).runs() == expected.runs(),
            "{} of the segmentation",
            entry.name
        );
        assert!(
            alone(&set.masks, &entry.name).runs() == expected.runs(),
            "{} of the structure set",
            entry.name
        );
        n_labels += 1;
    }
    assert!(n_labels >= 2, "{:?}", kept.labels());
    assert_eq!((seg.segments.len(), set.regions.len()), (n_labels, n_labels));
    let kidney = seg
        .segments
        .iter()
        .find(|segment| segment.name == "kidney")
        .unwrap();
    assert_eq!(kidney.codes.as_ref().unwrap().property_type.value, "64033007");
}

/// A segmentation and its label map are the same mask for an operation, and so is a structure set on the grid of its scan.
#[test]
fn a_segmentation_stands_where_a_label_map_may() {
    let patient = patient(|_, bytes| bytes);
    let core = patient.core();
    let request = CaseRequest {
        steps: vec!["clean".into()],
        ..request(&patient, "out")
    };
    patient.run_here(&core, &request).unwrap();
    let services = CaseServices::new(&ServiceSettings::default(), core.root());
    let cleaned = |file: &str, grid: Option<&str>, output: &str| {
        let input = MaskInput {
            name: None,
            path: format!("results/out/{file}").into(),
            labels: LabelTable::numbered([]),
            grid: grid.map(Into::into),
        };
        let output = MaskOutput {
            name: None,
            path: output.into(),
        };
        let request = MaskRequest {
            operation: "cleanup".into(),
            inputs: vec![input],
            parameters: vec![("keep_largest".into(), "1".into())],
            outputs: vec![output],
            artefacts: None,
        };
        run_mask(&core, services.operations(), &request, &CancelToken::new())
    };
    let of_map = cleaned("abdomen.nii.gz", None, "results/map.nii.gz").unwrap();
    let of_seg = cleaned("abdomen.seg.dcm", None, "results/seg.nii.gz").unwrap();
    let voxels = |report: &MaskReport| -> Vec<u64> {
        report.masks[0]
            .labels
            .iter()
            .map(|label| label.voxels)
            .filter(|n| *n > 0)
            .collect()
    };
    assert_eq!(voxels(&of_map), voxels(&of_seg));
    assert!(
        of_seg.masks[0].labels.iter().any(|label| label.name == "kidney"),
        "{:?}",
        of_seg.masks
    );
    let of_set = cleaned(
        "abdomen.rtstruct.dcm",
        Some("series/portal_venous"),
        "results/contours.nii.gz",
    );
    assert_eq!(voxels(&of_map), voxels(&of_set.unwrap()));
    let error = cleaned("abdomen.rtstruct.dcm", None, "results/set.nii.gz").unwrap_err();
    assert!(matches!(error, CoreError::ContoursWithoutGrid { .. }), "{error}");
    let error = cleaned("abdomen.sr.dcm", None, "results/sr.nii.gz").unwrap_err();
    assert!(matches!(error, CoreError::Object { .. }), "{error}");
}

/// Before anything is loaded, by file and step.
#[test]
fn what_cannot_be_written_is_refused_when_the_case_is_planned() {
    let refused = |patient: &Patient, request: &CaseRequest| -> CaseError {
        let error = patient.run_here(&patient.core(), request).map(drop).unwrap_err();
        patient.assert_nothing_left("out");
        error
    };
    let plain = patient(|_, bytes| bytes);
    let mut no_series = request(&plain, "out");
    no_series.scans[0].1 = "scans/arterial.nii.gz".into();
    let error = refused(&plain, &no_series);
    let expected = "step clean: abdomen.nii.gz is saved as dicom-seg, rtstruct, sr, which needs scans that are DICOM series; \
                    that of arterial is none: scans/arterial.nii.gz";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.code(), ErrorCode::InvalidArgument);

    let elsewhere = patient(|phase, bytes| match phase {
        Phase::Arterial => replaced(&bytes, FRAME, b"1.2.826.0.1.3680043.10.7"),
        _ => bytes,
    });
    let error = refused(&elsewhere, &request(&elsewhere, "out"));
    assert!(
        matches!(
            error,
            CaseError::OtherFrame {
                phase: Phase::Arterial,
                ..
            }
        ),
        "{error}"
    );

    let nameless = patient(|phase, bytes| match phase {
        Phase::PortalVenous => replaced(&bytes, b"1.2.826.0.1.3680043.10.9", b"                        "),
        _ => bytes,
    });
    let error = refused(&nameless, &request(&nameless, "out"));
    assert!(error.to_string().contains("StudyInstanceUID"), "{error}");
    assert_eq!(error.code(), ErrorCode::InvalidInput);
}

/// The record of models without a pipeline file has their file of codes, from which a second run gives the same.
#[test]
fn models_without_a_pipeline_have_objects_too() {
    let patient = patient(|_, bytes| bytes);
    let core = patient.core();
    fs::write(
        patient.path("codes.toml"),
        format!("[codes]\n{KIDNEY}\n[dicom]\nseg = 'labelmap'\n"),
    )
    .unwrap();
    let mut request = CaseRequest {
        pipeline: CasePipeline::Models {
            models: vec![BareModel {
                model: KIDNEYS.into(),
                phase: Some(Phase::PortalVenous),
            }],
            objects: WantedObjects {
                formats: vec![OutputFormat::DicomSeg, OutputFormat::Rtstruct],
                codes: Some("codes.toml".into()),
            },
        },
        scans: vec![(Phase::PortalVenous, "series/portal_venous".into())],
        profile: Profile::Quick,
        ..request(&patient, "bare")
    };
    let hashes = InputHashes::default();
    let inputs = |request: &CaseRequest| hashes.of_case(&core, request, &CancelToken::new()).unwrap();
    let record = patient.run_here(&core, &request).unwrap().record;
    assert_eq!(inputs_of_record(&record), Some(inputs(&request)));
    let names: Vec<String> = patient.files("bare").into_keys().collect();
    let step = &record.steps[0].id;
    assert_eq!(
        names,
        ["nii.gz", "rtstruct.dcm", "seg.dcm"].map(|ending| format!("{step}.{ending}"))
    );
    let seg = open_bytes(
        patient.files("bare")[&format!("{step}.seg.dcm")].clone(),
        "seg",
        &DicomLimits::DEFAULT,
    );
    let seg = read_seg(
        &seg.unwrap(),
        None,
        ReadOptions::default(),
        &ObjectLimits::default(),
    )
    .unwrap();
    let kidney = seg
        .segments
        .iter()
        .find(|segment| segment.name == "kidney")
        .unwrap();
    assert_eq!(kidney.codes.as_ref().unwrap().property_type.value, "64033007");

    let verify = || {
        let path = Path::new("results/bare/record.json");
        let events = RecordedEvents::default();
        verify_record(&core, VerifyPlaces::Recorded, path, &events, &CancelToken::new()).unwrap()
    };
    assert!(verify().is_equal(), "{:?}", verify().differences);
    let before = inputs(&request);
    fs::write(patient.path("codes.toml"), format!("[codes]\n{KIDNEY}\n")).unwrap();
    assert_ne!(inputs(&request), before);
    let changed = verify().differences;
    assert!(
        changed
            .iter()
            .any(|difference| matches!(difference, Difference::Input { what: "codes", .. })),
        "{changed:?}"
    );
    let CasePipeline::Models { objects, .. } = &mut request.pipeline else {
        unreachable!()
    };
    objects.formats.clear();
    request.output = "results/none".into();
    let error = patient.run_here(&core, &request).map(drop).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
}
