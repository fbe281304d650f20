//! The committed models are whole, small, and say the same as the code about their labels.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_phantom::models::demo_models;
use nephrite_phantom::{PhantomError, PhantomSpec};
use nephrite_types::{Coded, ErrorCode};

#[test]
fn labels_agree_with_the_files_and_with_the_phantom() {
    let phantom_labels = PhantomSpec {
        phases: Vec::new(),
        ..PhantomSpec::demo(0)
    }
    .generate()
    .labels;
    let mut named = 0;
    for model in demo_models() {
        let json = model
            .files
            .iter()
            .find(|(path, _)| *path == "dataset.json")
            .unwrap()
            .1;
        let dataset: serde_json::Value = serde_json::from_slice(json).unwrap();
        let labels = dataset["labels"].as_object().unwrap();
        assert_eq!(labels.len(), model.labels.len() + 1, "{}", model.dataset_name);
        for (id, name) in model.labels {
            assert_eq!(labels[*name], *id, "{}", model.dataset_name);
            assert!(phantom_labels.iter().any(|label| label.name == *name), "{name}");
            named += 1;
        }
    }
    assert_eq!(named, phantom_labels.len(), "every structure has a model");
}

#[test]
fn each_folder_is_small_and_written_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
    for model in demo_models() {
        model.write_to(&dir).unwrap();
        model.write_to(&dir).expect("a second time replaces the files");
        let mut n_bytes = 0;
        for (path, bytes) in model.files {
            assert_eq!(
                &std::fs::read(folder.path().join(model.folder).join(path)).unwrap(),
                bytes
            );
            n_bytes += bytes.len();
        }
        assert!(n_bytes < 1_500_000, "{}: {n_bytes}", model.dataset_name);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = &demo_models()[0];
    std::fs::write(folder.path().join(model.dataset_name), b"a file in the way").unwrap();
    let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
    let error = model.write_to(&dir).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Environment);
    let PhantomError::Write { file, .. } = &error else {
        panic!("{error}")
    };
    assert!(file.starts_with(model.folder), "{file}");
    assert!(error.to_string().contains(model.dataset_name), "{error}");
}
