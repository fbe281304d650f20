//! Whole model folders: made up here, and real ones where they lie beside the project.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers fail by it; skipped tests say so

use std::fs;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_nnunet_folder::{
    CheckpointKind, FoldName, FoldSelection, FolderError, Heads, ModelFolder, RemoveAllButLargest,
};
use nephrite_types::{CancelToken, Coded, ErrorCode, Limits};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn open(path: &Path) -> Result<ModelFolder, FolderError> {
    let dir = Dir::open_ambient_dir(path, ambient_authority()).unwrap();
    ModelFolder::open(dir, "model", &Limits::default())
}

/// A folder with plans and dataset, and these empty files and directories.
fn make(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let seeds = Path::new(HERE).join("fuzz/seeds/plans");
    fs::copy(seeds.join("modern.json"), folder.path().join("plans.json")).unwrap();
    fs::copy(
        seeds.join("dataset_regions.json"),
        folder.path().join("dataset.json"),
    )
    .unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match file.ends_with('/') {
            true => fs::create_dir_all(path).unwrap(),
            false if file.ends_with(".pth") => {
                fs::copy(Path::new(HERE).join("fixtures/plain.pth"), path).unwrap();
            }
            false => fs::write(path, b"").unwrap(),
        }
    }
    folder
}

#[test]
fn folds_are_found_and_selected() {
    let folder = make(&[
        "fold_0/checkpoint_final.pth",
        "fold_10/checkpoint_final.pth",
        "fold_2/checkpoint_final.pth",
        "fold_2/checkpoint_best.pth",
        "fold_2/network.onnx",
        "fold_3/",
        "fold_x/checkpoint_final.pth",
        "fold_all/checkpoint_final.pth",
        "crossval_results_folds_0/",
    ]);
    let model = open(folder.path()).unwrap();
    let names: Vec<String> = model
        .folds()
        .unwrap()
        .iter()
        .map(|fold| fold.name.to_string())
        .collect();
    assert_eq!(names, ["0", "10", "2", "3", "all"]);
    let two = &model.folds().unwrap()[2];
    assert_eq!(two.checkpoints, [CheckpointKind::Final, CheckpointKind::Best]);
    assert!(two.has_onnx && model.open_onnx(FoldName::Number(2)).unwrap().is_some());
    assert!(model.open_onnx(FoldName::Number(0)).unwrap().is_none());

    let number = FoldName::Number;
    let select = |wanted: &FoldSelection, kind| model.select_folds(wanted, kind);
    let available = select(&FoldSelection::Available, CheckpointKind::Final).unwrap();
    assert_eq!(
        available,
        [number(0), number(10), number(2)],
        "as text, without fold_all"
    );
    assert_eq!(
        select(&FoldSelection::Available, CheckpointKind::Best).unwrap(),
        [number(2)]
    );
    let list = FoldSelection::List(vec![FoldName::All, number(0)]);
    assert_eq!(
        select(&list, CheckpointKind::Final).unwrap(),
        [FoldName::All, number(0)]
    );

    let check = |wanted: FoldSelection, kind, expected: &str| {
        let error = select(&wanted, kind).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
        assert_eq!(error.to_string(), expected);
    };
    let one = |fold| FoldSelection::List(vec![number(0), fold]);
    let has = "model: has no fold_7; it has fold_0, fold_10, fold_2, fold_3, fold_all";
    check(one(number(7)), CheckpointKind::Final, has);
    let has = "model: fold_3 has no checkpoint_final.pth; it has none";
    check(one(number(3)), CheckpointKind::Final, has);
    let has = "model: no fold has checkpoint_latest.pth; folds are fold_0, fold_10, fold_2, fold_3, fold_all";
    check(FoldSelection::Available, CheckpointKind::Latest, has);
}

#[test]
fn fold_all_alone_is_enough() {
    let folder = make(&["fold_all/checkpoint_final.pth"]);
    let folds = open(folder.path())
        .unwrap()
        .select_folds(&FoldSelection::Available, CheckpointKind::Final);
    assert_eq!(folds.unwrap(), [FoldName::All]);
}

#[test]
fn missing_and_oversized_files_are_named() {
    let folder = make(&[]);
    fs::remove_file(folder.path().join("dataset.json")).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), "model/dataset.json: does not exist");
    fs::create_dir(folder.path().join("dataset.json")).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), "model/dataset.json: is not a regular file");
    let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
    let error = ModelFolder::open(
        dir,
        "model",
        &Limits {
            max_json_bytes: 10,
            ..Limits::default()
        },
    )
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::LimitExceeded);
    assert!(
        error.to_string().starts_with("model/plans.json: the file takes "),
        "{error}"
    );
}

#[test]
fn a_link_out_of_the_folder_is_refused() {
    let (folder, outside) = (make(&["fold_0/"]), make(&["fold_0/checkpoint_final.pth"]));
    let target = outside.path().join("fold_0");
    std::os::unix::fs::symlink(&target, folder.path().join("fold_1")).unwrap();
    let link = folder.path().join("fold_0/checkpoint_final.pth");
    std::os::unix::fs::symlink(target.join("checkpoint_final.pth"), link).unwrap();
    let model = open(folder.path()).unwrap();
    assert_eq!(model.folds().unwrap().len(), 1, "a linked fold is none");
    assert!(model.folds().unwrap()[0].checkpoints.is_empty());
    let error = model
        .open_checkpoint(FoldName::Number(0), CheckpointKind::Final, &CancelToken::new())
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::PermissionDenied, "{error}");
}

#[test]
fn a_pipe_does_not_block() {
    let folder = make(&[]);
    fs::remove_file(folder.path().join("plans.json")).unwrap();
    let status = std::process::Command::new("mkfifo")
        .arg(folder.path().join("plans.json"))
        .status();
    if !status.is_ok_and(|status| status.success()) {
        println!("skipped: no mkfifo here");
        return;
    }
    assert!(matches!(open(folder.path()), Err(FolderError::NotAFile { .. })));
}

#[test]
fn channels_of_plans_and_dataset_must_agree() {
    let folder = make(&[]);
    let model = open(folder.path()).unwrap();
    let cascade = model.configuration("3d_cascade_fullres").unwrap();
    assert_eq!(
        model.n_network_channels(&cascade),
        4,
        "two of the image, two of the previous stage"
    );
    let dataset =
        r#"{"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}, "file_ending": ".nii"}"#;
    fs::write(folder.path().join("dataset.json"), dataset).unwrap();
    let error = open(folder.path())
        .unwrap()
        .configuration("3d_fullres")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("normalization_schemes must be a list of 1, as many as dataset.json has"),
        "{error}"
    );
}

#[test]
fn the_legacy_key_of_channels_wins() {
    let folder = make(&[]);
    let dataset = r#"{"channel_names": {"0": "a"}, "modality": {"0": "CT", "1": 5}, "labels": {"background": 0, "a": 1}}"#;
    fs::write(folder.path().join("dataset.json"), dataset).unwrap();
    assert_eq!(open(folder.path()).unwrap().dataset().channel_names, ["CT", "5"]);
    let check = |channels: &str, expected: &[&str]| {
        let dataset = format!(r#"{{"channel_names": {channels}, "labels": {{"background": 0, "a": 1}}}}"#);
        fs::write(folder.path().join("dataset.json"), dataset).unwrap();
        assert_eq!(open(folder.path()).unwrap().dataset().channel_names, expected);
    };
    check(r#"{"1": "PET", "0": "CT"}"#, &["CT", "PET"]);
    check(r#"{"10": "c", "9": "b", "08": "a"}"#, &["a", "b", "c"]);
    check(r#"{"b": "PET", "0": "CT"}"#, &["PET", "CT"]);
    check(r#"["CT", "PET"]"#, &["CT", "PET"]);
}

#[test]
fn postprocessing_of_the_selected_folds_is_found() {
    let folder = make(&["fold_0/checkpoint_final.pth"]);
    let find = |folds: &[u32]| {
        let folds: Vec<FoldName> = folds.iter().map(|&fold| FoldName::Number(fold)).collect();
        open(folder.path()).unwrap().postprocessing(&folds)
    };
    assert!(matches!(find(&[0]), Err(FolderError::NoPostprocessing { .. })));
    let put = |dir: &str, label: u16| {
        let function = "remove_all_but_largest_component_from_segmentation";
        let json = format!(
            r#"{{"postprocessing_fns": ["{function}"], "postprocessing_kwargs": [{{"labels_or_regions": {label}}}]}}"#
        );
        fs::create_dir_all(folder.path().join(dir)).unwrap();
        fs::write(folder.path().join(dir).join("postprocessing.json"), json).unwrap();
    };
    let found = |folds: &[u32]| find(folds).unwrap().steps[0].labels[0];
    put(".", 1);
    assert_eq!(found(&[0]), 1, "of the folder itself");
    put("crossval_results_folds_0_1", 2);
    assert_eq!(found(&[0]), 2, "of the only cross-validation");
    put("crossval_results_folds_0", 3);
    assert_eq!((found(&[0]), found(&[0, 1])), (3, 2), "of the same folds");
    let error = find(&[1]).unwrap_err().to_string();
    assert!(
        error.ends_with("between crossval_results_folds_0, crossval_results_folds_0_1; name one"),
        "{error}"
    );
    let pickled = folder.path().join("crossval_results_folds_0");
    fs::remove_file(pickled.join("postprocessing.json")).unwrap();
    fs::copy(
        Path::new(HERE).join("fixtures/postprocessing.pkl"),
        pickled.join("postprocessing.pkl"),
    )
    .unwrap();
    assert_eq!(
        find(&[0]).unwrap().steps[1],
        RemoveAllButLargest {
            labels: vec![3],
            background: 0
        }
    );
}

#[test]
fn a_folder_describes_itself() {
    let folder = make(&["fold_0/checkpoint_best.pth", "fold_0/network.onnx"]);
    let description = serde_json::to_value(open(folder.path()).unwrap().describe().unwrap()).unwrap();
    let expected = serde_json::json!({
        "path": "model",
        "dataset": "Dataset001_Test",
        "plans": "nnUNetPlans",
        "trainer": "nnUNetTrainer",
        "configuration": "3d_fullres",
        "configurations": ["3d_fullres", "3d_cascade_fullres", "a"],
        "image_reader_writer": "SimpleITKIO",
        "channels": ["CT", "PET"],
        "labels": [{ "value": 1, "name": "whole" }, { "value": 2, "name": "core" }],
        "has_regions": true,
        "ignore_label": 3,
        "transpose_forward": [2, 0, 1],
        "spacing": [3.0, 0.75, 1.0],
        "patch_size": [32, 64, 64],
        "normalization": ["CTNormalization", "ZScoreNormalization"],
        "network": "PlainConvUNet",
        "batch_norm": false,
        "n_stored_parameters": 23,
        "mirroring_axes": [0, 1, 2],
        "previous_stage": null,
        "folds": [{ "name": "0", "checkpoints": ["best"], "has_onnx": true }],
    });
    assert_eq!(description, expected);
    let empty = make(&["fold_0/"]);
    assert!(matches!(
        open(empty.path()).unwrap().describe(),
        Err(FolderError::NoFolds { .. })
    ));
}

/// Trained models beside the project, `None` where there are none.
fn real_models() -> Option<PathBuf> {
    let root = Path::new(HERE).join("../../../../shared/data/models");
    if !root.is_dir() {
        println!("skipped: no trained models at {}", root.display());
        return None;
    }
    Some(root)
}

#[test]
fn real_models_are_read_whole() {
    let Some(root) = real_models() else { return };
    for (path, network, folds, n_tensors) in [
        (
            "Dataset701_Kidney/nnUNetTrainer__nnUNetPlans__3d_fullres",
            "PlainConvUNet",
            vec![0, 1],
            68,
        ),
        (
            "Dataset702_Vessel/nnUNetTrainer__nnUNetPlans__3d_fullres",
            "PlainConvUNet",
            vec![0],
            68,
        ),
        (
            "Dataset702_Vessel/nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres",
            "ResidualEncoderUNet",
            vec![0],
            133,
        ),
    ] {
        let model = open(&root.join(path)).unwrap();
        let selected = model
            .select_folds(&FoldSelection::Available, CheckpointKind::Final)
            .unwrap();
        assert_eq!(
            selected,
            folds.into_iter().map(FoldName::Number).collect::<Vec<_>>(),
            "{path}"
        );
        assert_eq!(model.dataset().labels.heads, Heads::Labels(vec![0, 1, 2]));
        for fold in selected {
            let mut checkpoint = model
                .open_checkpoint(fold, CheckpointKind::Final, &CancelToken::new())
                .unwrap();
            let configuration = model.configuration(checkpoint.configuration()).unwrap();
            assert_eq!(configuration.architecture.class_name, network);
            assert_eq!(configuration.patch_size, [64; 3]);
            let names: Vec<String> = checkpoint.tensor_names().map(str::to_owned).collect();
            assert_eq!(names.len(), n_tensors, "{path}");
            for name in names {
                let info = checkpoint.tensor_info(&name).unwrap();
                let (shape, values) = checkpoint.read_tensor_f32(&name).unwrap();
                assert_eq!(shape, info.shape);
                assert_eq!(values.len(), info.n_params);
                assert!(values.iter().all(|value| value.is_finite()), "{path} {name}");
            }
        }
    }
}

#[test]
fn a_folder_near_a_model_says_what_to_give_instead() {
    let model = make(&["fold_0/checkpoint_final.pth"]);
    let results = tempfile::tempdir().unwrap();
    let dataset = results.path().join("Dataset001_X");
    for name in ["T__P__3d_fullres", "T__P__2d"] {
        fs::create_dir_all(dataset.join(name).join("fold_0")).unwrap();
        for file in ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"] {
            fs::copy(model.path().join(file), dataset.join(name).join(file)).unwrap();
        }
    }
    let message = |path: &Path, name: &str| {
        let dir = Dir::open_ambient_dir(path, ambient_authority()).unwrap();
        let error = ModelFolder::open(dir, name, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidModel);
        error.to_string()
    };
    assert_eq!(
        message(&dataset, "r/Dataset001_X"),
        "r/Dataset001_X: is a dataset's folder of models, not a trained model; give one of \
         r/Dataset001_X/T__P__2d, r/Dataset001_X/T__P__3d_fullres"
    );
    assert_eq!(
        message(results.path(), "r"),
        "r: is a folder of datasets, not a trained model; give one of r/Dataset001_X/T__P__2d, r/Dataset001_X/T__P__3d_fullres"
    );
    let fold = dataset.join("T__P__2d/fold_0");
    assert_eq!(
        message(&fold, "r/T__P__2d/fold_0"),
        "r/T__P__2d/fold_0: is one fold of a model, not a trained model; give the folder above it, r/T__P__2d"
    );
    assert!(message(&fold, "fold_0").ends_with("give the folder above it"));
    assert!(
        message(&fold, "renamed").contains("one fold of a model"),
        "a checkpoint tells"
    );
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(message(empty.path(), "e"), "e/plans.json: does not exist");
}
