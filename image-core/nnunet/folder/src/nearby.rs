//! What was meant by a folder that is no trained model.

use std::path::Path;

use cap_std::fs::Dir;

use crate::folds::CheckpointKind;
use crate::{FoldName, FolderError};

/// Entries of one folder that are looked at.
const MAX_ENTRIES: usize = 1000;
/// Model folders that a message names.
const MAX_NAMED: usize = 8;

/// The error that names the folder that was meant; `None` if none is near.
pub(crate) fn instead(dir: &Dir, name: &str) -> Option<FolderError> {
    let error = |found, instead| FolderError::NotAModelFolder {
        folder: name.to_owned(),
        found,
        instead,
    };
    let path = Path::new(name);
    let last = path
        .file_name()
        .and_then(|last| last.to_str())
        .unwrap_or_default();
    let holds = |file: &str| dir.metadata(file).is_ok_and(|metadata| metadata.is_file());
    let is_fold = FoldName::from_directory(last).is_some();
    if is_fold || CheckpointKind::ALL.iter().any(|kind| holds(kind.file_name())) {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.map_or_else(
            || "the folder above it".to_owned(),
            |parent| format!("the folder above it, {}", parent.display()),
        );
        return Some(error("one fold of a model", parent));
    }
    let mut models = models_in(dir, "");
    let mut found = "a dataset's folder of models";
    if models.is_empty() {
        found = "a folder of datasets";
        for folder in folders_in(dir) {
            if let Ok(below) = dir.open_dir(&folder) {
                models.extend(models_in(&below, &format!("{folder}/")));
            }
            if models.len() > MAX_NAMED {
                break;
            }
        }
    }
    let more = models.len().saturating_sub(MAX_NAMED);
    models.truncate(MAX_NAMED);
    let listed: Vec<String> = models
        .iter()
        .map(|model| path.join(model).display().to_string())
        .collect();
    let instead = match (listed.as_slice(), more) {
        ([], _) => return None,
        ([one], 0) => one.clone(),
        (_, 0) => format!("one of {}", listed.join(", ")),
        _ => format!("one of {} …", listed.join(", ")),
    };
    Some(error(found, instead))
}

/// Trained models right beneath a folder, in order.
fn models_in(dir: &Dir, prefix: &str) -> Vec<String> {
    let is_model = |folder: &String| {
        dir.metadata(format!("{folder}/plans.json"))
            .is_ok_and(|metadata| metadata.is_file())
    };
    let models = folders_in(dir).into_iter().filter(is_model);
    models.map(|folder| format!("{prefix}{folder}")).collect()
}

/// Folders right beneath a folder, in order; as many as fit into a first look.
fn folders_in(dir: &Dir) -> Vec<String> {
    let Ok(entries) = dir.entries() else {
        return Vec::new();
    };
    let names = entries
        .take(MAX_ENTRIES)
        .flatten()
        .filter(|entry| {
            entry
                .file_type()
                .is_ok_and(|kind| kind.is_dir() || kind.is_symlink())
        })
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}
