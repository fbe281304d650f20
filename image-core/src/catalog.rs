//! What models there are, and what a model is.

use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use nephrite_nnunet::ModelDescription;
use serde::Serialize;

use crate::open_model::OpenModel;
use crate::{Core, CoreError, ModelChoice, PathError};

/// A folder that looks like a trained nnU-Net: it has `plans.json`, `dataset.json` and at least one fold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelListing {
    /// The folder, below the folder that was searched.
    pub folder: PathBuf,
    /// `DatasetXXX_Name`, the folder above; empty if that was not searched.
    pub dataset: String,
    /// First part of the folder's name; empty, as the next two, if the name has not three.
    pub trainer: String,
    /// Second part.
    pub plans: String,
    /// Third part. What holds is in the checkpoint: see [`inspect_model`].
    pub configuration: String,
    /// `fold_0` … and `fold_all`, in order.
    pub folds: Vec<String>,
}

/// How far below the searched folder a model may lie: `results/group/Dataset/Model` is three.
const MAX_DEPTH: usize = 4;

/// Folders looked into before the search ends with what it has: a wrong root must not walk a whole file system.
const MAX_FOLDERS: usize = 20_000;

/// What a model folder is: channels, labels, spacing, patch, network, parameters, folds, mirroring, memory. Builds no
/// network and reads no weights.
///
/// # Errors
/// [`CoreError`]
pub fn inspect_model(core: &Core, choice: &ModelChoice) -> Result<ModelDescription, CoreError> {
    Ok(OpenModel::open(core, choice)?.description)
}

/// Finds model folders beneath a folder (or the folder itself), at most four levels down, in order of their paths.
/// What cannot be read is passed over.
///
/// # Errors
/// [`CoreError::Path`] if `root` itself cannot be read.
pub fn list_models(core: &Core, root: &Path) -> Result<Vec<ModelListing>, CoreError> {
    let dir = core.root.open_folder(root)?;
    dir.entries().map_err(|source| PathError::Io {
        path: root.to_owned(),
        source,
    })?;
    let mut listings = Vec::new();
    let mut n_visited = 0;
    search(&dir, Path::new(""), 0, &mut n_visited, &mut listings);
    if n_visited >= MAX_FOLDERS {
        tracing::warn!(root = %root.display(), MAX_FOLDERS, "not all folders were searched");
    }
    listings.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(listings)
}

/// Depth is bounded by [`MAX_DEPTH`], so links that lead in a circle end too.
fn search(dir: &Dir, path: &Path, depth: usize, n_visited: &mut usize, listings: &mut Vec<ModelListing>) {
    *n_visited += 1;
    let Ok(entries) = dir.entries() else { return };
    let mut has_plans = false;
    let mut has_dataset = false;
    let mut folds = Vec::new();
    let mut folders = Vec::new();
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        match name.as_str() {
            "plans.json" => has_plans = true,
            "dataset.json" => has_dataset = true,
            name if name.starts_with("fold_") => folds.push(name.to_owned()),
            name if name.starts_with('.') => {}
            // Links may lead to folders; anything else fails to open as one.
            _ if entry
                .file_type()
                .is_ok_and(|kind| kind.is_dir() || kind.is_symlink()) =>
            {
                folders.push(name)
            }
            _ => {}
        }
    }
    if has_plans && has_dataset && !folds.is_empty() {
        folds.sort();
        listings.push(listing(path, folds));
        return;
    }
    if depth == MAX_DEPTH {
        return;
    }
    for name in folders {
        if *n_visited >= MAX_FOLDERS {
            return;
        }
        if let Ok(folder) = dir.open_dir(&name) {
            search(&folder, &path.join(&name), depth + 1, n_visited, listings);
        }
    }
}

fn listing(folder: &Path, folds: Vec<String>) -> ModelListing {
    let name_of = |path: Option<&Path>| {
        path.and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let name = name_of(Some(folder));
    let parts: Vec<&str> = name.split("__").collect();
    let [trainer, plans, configuration] = match parts[..] {
        [trainer, plans, configuration] => [trainer, plans, configuration].map(str::to_owned),
        _ => Default::default(),
    };
    let dataset = name_of(folder.parent());
    ModelListing {
        folder: folder.to_owned(),
        dataset,
        trainer,
        plans,
        configuration,
        folds,
    }
}
