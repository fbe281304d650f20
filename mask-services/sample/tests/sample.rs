//! The operation, its files and its bad input.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ndarray::{Array3, s};
use nephrite_kernel::{
    Artefacts, CancelToken, Coded, Context, ErrorCode, Inputs, LabelEntry, LabelStatus, LabelTable, Limits,
    Mask, MaskOperation, OperationError, Outcome, ParameterValue, RunMask, run_checked,
};
use nephrite_sample::Sample;
use nephrite_types::{Affine, Geometry, Labels, Shape3, Spacing};

fn geometry(shape: [usize; 3], spacing: [f64; 3]) -> Geometry {
    let spacing = Spacing::new(spacing).unwrap();
    Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [-30.0, -20.0, 100.0]),
    }
}

fn mask(array: &Array3<u16>, geometry: Geometry, names: &[(u16, &str, LabelStatus)]) -> Mask {
    let runs = RunMask::from_labels(&Labels::U16(array.clone()), &geometry, &Limits::default()).unwrap();
    let entries = names.iter().map(|&(id, name, status)| LabelEntry {
        id,
        name: name.to_owned(),
        status,
    });
    Mask::new(runs, LabelTable::new(entries.collect()).unwrap()).unwrap()
}

/// A block of liver, one voxel of cyst, and a label that nobody looked for.
fn case() -> Mask {
    let mut array = Array3::zeros([20, 30, 40]);
    array.slice_mut(s![5..15, 10..20, 10..30]).fill(1);
    array[[2, 3, 4]] = 7;
    let names = [
        (1, "liver", LabelStatus::Present),
        (2, "spleen, left", LabelStatus::NotSearched),
        (7, "cyst", LabelStatus::Present),
    ];
    mask(&array, geometry([20, 30, 40], [2.0, 1.0, 1.0]), &names)
}

fn run(
    mask: &Mask,
    parameters: &[(&str, ParameterValue)],
    folder: Option<&Path>,
    limits: &Limits,
) -> Result<Outcome, OperationError> {
    let cancel = CancelToken::new();
    let artefacts = folder.map(|path| {
        let dir = cap_std::fs::Dir::open_ambient_dir(path, cap_std::ambient_authority()).unwrap();
        Artefacts::new(dir, path)
    });
    let context = Context {
        limits,
        cancel: &cancel,
        artefacts: artefacts.as_ref(),
    };
    let inputs = Inputs::new().with("mask", Arc::new(mask.clone()));
    let given: BTreeMap<String, ParameterValue> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    run_checked(&Sample::new(), &inputs, &given, &context)
}

fn sample(mask: &Mask, parameters: &[(&str, ParameterValue)], folder: Option<&Path>) -> Outcome {
    run(mask, parameters, folder, &Limits::default()).unwrap()
}

fn texts(list: &[&str]) -> ParameterValue {
    ParameterValue::Texts(list.iter().map(|text| (*text).to_owned()).collect())
}

fn text(value: &str) -> ParameterValue {
    ParameterValue::Text(value.to_owned())
}

fn measured(outcome: &Outcome, label: &str, name: &str) -> Option<f64> {
    let found = outcome
        .measurements
        .iter()
        .find(|m| m.label == label && m.name == name);
    found.map(|m| m.value)
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(path).unwrap(),
            )
        })
        .collect()
}

#[test]
fn the_description_has_no_faults() {
    assert_eq!(Sample::new().description().faults(), Vec::<String>::new());
}

#[test]
fn crops_to_labels_and_keeps_their_place() {
    let margin = ("margin_mm", ParameterValue::Number(2.5));
    let outcome = sample(&case(), &[("labels", texts(&["liver"])), margin], None);
    let small = outcome.get("mask").unwrap();
    assert_eq!(small.runs().shape(), [14, 16, 26]);
    assert_eq!(small.runs().label_at([2, 3, 3]), 1);
    assert_eq!(
        small.runs().geometry().affine.world_from_voxel([3.0, 3.0, 2.0]),
        case()
            .runs()
            .geometry()
            .affine
            .world_from_voxel([10.0, 10.0, 5.0])
    );
    let names: Vec<&str> = small.labels().entries().iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["liver"]);
    assert!(outcome.artefacts.is_empty());
}

#[test]
fn statistics_of_blocks_single_voxels_and_absent_labels() {
    let outcome = sample(&case(), &[], None);
    let check = |label: &str, name: &str, expected: Option<f64>| {
        assert_eq!(measured(&outcome, label, name), expected, "{label} {name}");
    };
    check("liver", "voxels", Some(2000.0));
    check("liver", "volume", Some(4.0));
    check("liver", "components", Some(1.0));
    check("liver", "centroid_x", Some(-30.0 + 19.5));
    check("liver", "centroid_y", Some(-20.0 + 14.5));
    check("liver", "centroid_z", Some(100.0 + 2.0 * 9.5));
    check("liver", "box_min_x", Some(-30.0 + 9.5));
    check("liver", "box_max_z", Some(100.0 + 29.0));
    // the block is 20 × 10 × 20 mm; from face center to face center of its corner voxels
    let longest: f64 = (19.0f64.powi(2) + 9.0f64.powi(2) + 20.0f64.powi(2)).sqrt();
    let found = measured(&outcome, "liver", "longest_diameter").unwrap();
    assert!((found - longest).abs() < 1e-6, "{found} {longest}");
    let surface = measured(&outcome, "liver", "surface_area").unwrap();
    assert!((surface / 1600.0 - 1.0).abs() < 0.15, "{surface}"); // flat sides and sharp edges are the worst case

    check("cyst", "voxels", Some(1.0));
    check("cyst", "volume", Some(0.002));
    check("cyst", "components", Some(1.0));
    check("cyst", "longest_diameter", Some(2.0));
    check("cyst", "box_min_y", Some(-20.0 + 2.5));
    assert!(measured(&outcome, "cyst", "surface_area").unwrap() > 0.0);

    check("spleen, left", "voxels", Some(0.0));
    check("spleen, left", "volume", Some(0.0));
    check("spleen, left", "components", Some(0.0));
    check("spleen, left", "surface_area", Some(0.0));
    check("spleen, left", "longest_diameter", None);
    check("spleen, left", "centroid_x", None);
}

#[test]
fn files_are_written_if_there_is_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = sample(
        &case(),
        &[("meshes", ParameterValue::Flag(true))],
        Some(folder.path()),
    );
    let written: Vec<(&str, &str)> = outcome
        .artefacts
        .iter()
        .map(|artefact| (artefact.name.as_str(), artefact.media_type.as_str()))
        .collect();
    let expected = [
        ("sample.nii.gz", "application/x-nifti"),
        ("preview.png", "image/png"),
        ("statistics.json", "application/json"),
        ("statistics.csv", "text/csv"),
        ("mesh_liver.stl", "model/stl"),
        ("mesh_cyst.stl", "model/stl"),
    ];
    assert_eq!(written, expected);
    let files = files(folder.path());
    assert_eq!(files.len(), expected.len());

    let json: serde_json::Value = serde_json::from_slice(&files["statistics.json"]).unwrap();
    assert_eq!(json["format"], "nephrite.sample.statistics/1");
    assert_eq!(json["grid"]["shape_xyz"], serde_json::json!([40, 30, 20]));
    assert_eq!(json["labels"][0]["volume_ml"], 4.0);
    assert_eq!(json["labels"][1]["status"], "not_searched");
    assert_eq!(json["labels"][1]["box_mm"], serde_json::Value::Null);
    assert_eq!(
        json["labels"][2]["box_mm"]["min"],
        serde_json::json!([-26.5, -17.5, 103.0])
    );

    let csv = String::from_utf8(files["statistics.csv"].clone()).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("id,name,status,voxels,volume_ml,components,surface_mm2,diameter_mm,"));
    assert!(lines[1].starts_with("1,liver,present,2000,4,1,"), "{}", lines[1]);
    assert_eq!(lines[2], "2,\"spleen, left\",not_searched,0,0,0,0,,,,,,,,,,");
    let fields = lines[0].split(',').count();
    assert_eq!(lines[1].split(',').count(), fields);
    assert_eq!(lines[2].split(',').count(), fields + 1, "one comma is in quotes");

    let stl = &files["mesh_liver.stl"];
    let n = u32::from_le_bytes(stl[80..84].try_into().unwrap());
    assert_eq!(stl.len(), 84 + 50 * n as usize);
    assert_eq!(files["mesh_cyst.stl"].len(), 84 + 50 * 8, "an octahedron");
}

#[test]
fn what_is_switched_off_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let off = ParameterValue::Flag(false);
    let parameters = [
        ("mask_file", off.clone()),
        ("preview", off.clone()),
        ("statistics", off),
    ];
    let outcome = sample(&case(), &parameters, Some(folder.path()));
    assert!(outcome.artefacts.is_empty() && files(folder.path()).is_empty());
    sample(&case(), &parameters, None);
}

#[test]
fn files_without_a_folder_are_refused() {
    for name in ["mask_file", "preview", "statistics", "meshes"] {
        let error = run(
            &case(),
            &[(name, ParameterValue::Flag(true))],
            None,
            &Limits::default(),
        )
        .unwrap_err();
        assert!(matches!(error, OperationError::Artefacts { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    }
}

#[test]
fn wrong_requests_are_refused() {
    let check = |name: &str, value: ParameterValue| {
        let error = run(&case(), &[(name, value)], None, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
    };
    check("labels", texts(&["kidney"]));
    check("margin_mm", ParameterValue::Number(-1.0));
    check("margin_mm", ParameterValue::Number(f64::NAN));
    check("max_voxels", ParameterValue::Integer(0));
    check("reduce", text("crush"));
    check("preview", ParameterValue::Integer(1));
    let few = [
        ("max_voxels", ParameterValue::Integer(10)),
        ("reduce", text("slices")),
    ];
    let error = run(&case(), &few, None, &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("max_voxels is 10"), "{error}");
}

#[test]
fn the_sample_is_as_small_as_asked() {
    for (reduce, max_voxels) in [
        ("downsample", 1),
        ("downsample", 100),
        ("downsample", 5000),
        ("slices", 2000),
    ] {
        let parameters = [
            ("max_voxels", ParameterValue::Integer(max_voxels)),
            ("reduce", text(reduce)),
        ];
        let outcome = sample(&case(), &parameters, None);
        let n = outcome.get("mask").unwrap().runs().geometry().shape.n_voxels();
        assert!(n as i64 <= max_voxels, "{reduce} {max_voxels}: {n}");
        assert_eq!(measured(&outcome, "", "sample_voxels"), Some(n as f64));
        // statistics are those of all voxels, however small the sample
        assert_eq!(measured(&outcome, "liver", "voxels"), Some(2000.0));
    }
    let huge = [
        ("max_voxels", ParameterValue::Integer(i64::MAX)),
        ("margin_mm", ParameterValue::Number(1e6)),
    ];
    assert_eq!(
        sample(&case(), &huge, None).get("mask").unwrap().runs().shape(),
        [20, 30, 40]
    );
}

#[test]
fn an_empty_mask_gives_an_empty_sample_and_all_files() {
    let names = [(1, "liver", LabelStatus::Present)];
    let empty = mask(&Array3::zeros([4, 5, 6]), geometry([4, 5, 6], [1.0; 3]), &names);
    let nameless = mask(&Array3::zeros([4, 5, 6]), geometry([4, 5, 6], [1.0; 3]), &[]);
    for mask in [empty, nameless] {
        let folder = tempfile::tempdir().unwrap();
        let outcome = sample(
            &mask,
            &[("meshes", ParameterValue::Flag(true))],
            Some(folder.path()),
        );
        assert_eq!(outcome.get("mask").unwrap().runs().shape(), [4, 5, 6]);
        let files = files(folder.path());
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            [
                "preview.png",
                "sample.nii.gz",
                "statistics.csv",
                "statistics.json"
            ]
        );
        assert_eq!(outcome.artefacts.len(), 4);
    }
}

#[test]
fn limits_are_kept_and_leave_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        max_payload_bytes: 60_000,
        ..Limits::default()
    };
    let meshes = [("meshes", ParameterValue::Flag(true))];
    let error = run(&case(), &meshes, Some(folder.path()), &limits).unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded, "{error}");
    assert!(
        files(folder.path()).is_empty(),
        "{:?}",
        files(folder.path()).keys()
    );
}

#[test]
fn cancelled_work_stops_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = cap_std::fs::Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
    let artefacts = Artefacts::new(dir, folder.path());
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    cancel.cancel();
    let context = Context {
        limits: &limits,
        cancel: &cancel,
        artefacts: Some(&artefacts),
    };
    let operation = Sample::new();
    let parameters =
        nephrite_kernel::Parameters::check(&operation.description().parameters, &BTreeMap::new()).unwrap();
    let inputs = Inputs::new().with("mask", Arc::new(case()));
    let error = operation.run(&inputs, &parameters, &context).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled, "{error}");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn a_row_of_two_thousand_million_voxels_is_no_trouble() {
    let n = 2_000_000_000;
    let geometry = geometry([1, 1, n], [1.0; 3]);
    let run_of = |start, end, label| nephrite_kernel::Run { start, end, label };
    let mut builder = nephrite_kernel::RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
    builder
        .push_row([run_of(5, 7, 1), run_of(900_000_000, 1_900_000_000, 2)])
        .unwrap();
    let mask = Mask::new(builder.finish().unwrap(), LabelTable::numbered([1, 2])).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let parameters = [
        ("mask_file", ParameterValue::Flag(false)),
        ("max_voxels", ParameterValue::Integer(1000)),
    ];
    let outcome = sample(&mask, &parameters, Some(folder.path()));
    assert_eq!(measured(&outcome, "label_2", "voxels"), Some(1e9));
    assert_eq!(outcome.artefacts.len(), 3);
    let error = run(
        &mask,
        &[("meshes", ParameterValue::Flag(true))],
        Some(folder.path()),
        &Limits {
            max_payload_bytes: 1 << 20,
            ..Limits::default()
        },
    )
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let array = Array3::from_shape_fn([9, 11, 13], |(z, y, x)| ((z * 5 + y * 3 + x * x) % 6) as u16);
    let names: Vec<_> = ["a", "b", "c", "d", "e"]
        .into_iter()
        .zip(1u16..)
        .map(|(name, id)| (id, name, LabelStatus::Present))
        .collect();
    let mask = mask(&array, geometry([9, 11, 13], [2.0, 1.0, 1.0]), &names);
    let results = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let parameters = [
            ("meshes", ParameterValue::Flag(true)),
            ("max_voxels", ParameterValue::Integer(500)),
        ];
        let outcome = pool.install(|| sample(&mask, &parameters, Some(folder.path())));
        (outcome.masks, outcome.measurements, files(folder.path()))
    });
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0].2.len(), 4 + 5);
}
