//! Which models there are beneath a folder.

use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use nephrite_root::{PathError, Root};
use nephrite_types::CancelToken;
use serde::Serialize;

use crate::error::CoreError;

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
    /// Third part. What holds is in the checkpoint.
    pub configuration: String,
    /// `fold_0` … and `fold_all`, in order.
    pub folds: Vec<String>,
}

/// How far below the searched folder a model may lie: `results/group/Dataset/Model` is three.
const MAX_DEPTH: usize = 4;

/// Folders looked into before the search ends with what it has: a wrong root must not walk a whole file system.
const MAX_FOLDERS: usize = 20_000;

/// Entries of all folders together that are looked at.
const MAX_ENTRIES: usize = 1_000_000;

/// Folders within one folder that are looked into, and folds of one model that are listed.
const MAX_NAMES: usize = 10_000;

/// Finds model folders beneath a folder (or the folder itself), at most four levels down, in order of their paths.
/// What cannot be read is passed over; a search that is too long ends with what it has, and says so in the log. No file is read.
///
/// # Errors
/// [`CoreError::Path`] if `folder` itself cannot be read, [`CoreError::Cancelled`].
pub(super) fn list_models(
    root: &Root,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<Vec<ModelListing>, CoreError> {
    let dir = root.open_folder(folder)?;
    dir.entries().map_err(|source| PathError::Io {
        path: folder.to_owned(),
        source,
    })?;
    let mut search = Search {
        cancel,
        n_folders: 0,
        n_entries: 0,
        is_cut_off: false,
        listings: Vec::new(),
    };
    search.folder(&dir, Path::new(""), 0)?;
    if search.is_cut_off {
        tracing::warn!(folder = %folder.display(), "there is too much beneath this folder, not all of it was searched");
    }
    let mut listings = search.listings;
    listings.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(listings)
}

/// What a search has seen and found.
struct Search<'a> {
    cancel: &'a CancelToken,
    n_folders: usize,
    n_entries: usize,
    is_cut_off: bool,
    listings: Vec<ModelListing>,
}

impl Search<'_> {
    /// Depth is bounded by [`MAX_DEPTH`], so links that lead in a circle end too.
    fn folder(&mut self, dir: &Dir, path: &Path, depth: usize) -> Result<(), CoreError> {
        self.cancel.check()?;
        if self.n_folders == MAX_FOLDERS {
            self.is_cut_off = true;
            return Ok(());
        }
        self.n_folders += 1;
        let Some(Seen {
            is_model,
            mut folds,
            folders,
        }) = self.look(dir)?
        else {
            return Ok(());
        };
        if is_model && !folds.is_empty() {
            folds.sort();
            self.listings.push(listing(path, folds));
            return Ok(());
        }
        if depth == MAX_DEPTH {
            return Ok(());
        }
        for name in folders {
            if let Ok(folder) = dir.open_dir(&name) {
                self.folder(&folder, &path.join(&name), depth + 1)?;
            }
        }
        Ok(())
    }

    /// What lies in a folder; `None` if it cannot be read.
    fn look(&mut self, dir: &Dir) -> Result<Option<Seen>, CoreError> {
        let Ok(entries) = dir.entries() else {
            return Ok(None);
        };
        let (mut has_plans, mut has_dataset) = (false, false);
        let (mut folds, mut folders) = (Vec::new(), Vec::new());
        for entry in entries.flatten() {
            self.n_entries += 1;
            if self.n_entries > MAX_ENTRIES {
                self.is_cut_off = true;
                break;
            }
            if self.n_entries.is_multiple_of(1024) {
                self.cancel.check()?;
            }
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let names = match name.as_str() {
                "plans.json" => {
                    has_plans = true;
                    continue;
                }
                "dataset.json" => {
                    has_dataset = true;
                    continue;
                }
                name if name.starts_with("fold_") => &mut folds,
                name if name.starts_with('.') => continue,
                // Links may lead to folders; anything else fails to open as one.
                _ if entry
                    .file_type()
                    .is_ok_and(|kind| kind.is_dir() || kind.is_symlink()) =>
                {
                    &mut folders
                }
                _ => continue,
            };
            if names.len() == MAX_NAMES {
                self.is_cut_off = true;
            } else {
                names.push(name);
            }
        }
        let is_model = has_plans && has_dataset;
        Ok(Some(Seen {
            is_model,
            folds,
            folders,
        }))
    }
}

/// What a look into one folder shows.
struct Seen {
    /// It has plans and dataset.
    is_model: bool,
    folds: Vec<String>,
    folders: Vec<String>,
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
