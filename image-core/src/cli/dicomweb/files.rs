//! The files that a command names: themselves, or all of their folders.

use std::path::PathBuf;

use nephrite_dicomweb::is_dicom_file;
use nephrite_image_core::{PathError, Root};
use nephrite_types::{CancelToken, ErrorCode};

use crate::cli::failure::Failure;

/// Files and folders in all folders together, and folders within a folder.
const MAX_ENTRIES: usize = 200_000;
const MAX_DEPTH: usize = 16;

/// Files that are named, as they are; of folders, the DICOM files below, sorted, and how many other files there are. Links in
/// folders are not followed.
pub(super) fn dicom_files(
    root: &Root,
    named: &[PathBuf],
    cancel: &CancelToken,
) -> Result<(Vec<PathBuf>, usize), Failure> {
    let (mut files, mut left_out, mut n_entries) = (Vec::new(), 0, 0);
    for path in named {
        let mut folders = match root.open_folder(path) {
            Ok(_) => vec![(path.clone(), 0)],
            Err(PathError::NotAFolder { .. }) => {
                files.push(path.clone());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        while let Some((folder, depth)) = folders.pop() {
            let failed = |source| {
                Failure::from(PathError::Io {
                    path: folder.clone(),
                    source,
                })
            };
            for entry in root.open_folder(&folder)?.entries().map_err(failed)? {
                cancel.check()?;
                let entry = entry.map_err(failed)?;
                let (path, kind) = (folder.join(entry.file_name()), entry.file_type().map_err(failed)?);
                n_entries += 1;
                if n_entries > MAX_ENTRIES || depth >= MAX_DEPTH {
                    return Err(Failure {
                        code: ErrorCode::LimitExceeded,
                        message: format!(
                            "{}: more than {MAX_ENTRIES} files, or {MAX_DEPTH} folders within one another",
                            folder.display()
                        ),
                    });
                }
                if kind.is_dir() {
                    folders.push((path, depth + 1));
                } else if kind.is_file() && is_dicom_file(root, &path)? {
                    found.push(path);
                } else {
                    left_out += 1;
                }
            }
        }
        if found.is_empty() {
            return Err(Failure {
                code: ErrorCode::InvalidInput,
                message: format!("{}: no DICOM files are in there", path.display()),
            });
        }
        found.sort_unstable();
        files.append(&mut found);
    }
    Ok((files, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_their_dicom_files_and_links_lead_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let dicom = [&[0; 128][..], b"DICM", b"rest"].concat();
        std::fs::create_dir_all(at("a/b")).unwrap();
        for name in ["a/2", "a/b/1", "a/1", "alone"] {
            std::fs::write(at(name), &dicom).unwrap();
        }
        std::fs::write(at("a/DICOMDIR"), &dicom).unwrap();
        std::fs::write(at("a/text"), "text").unwrap();
        std::os::unix::fs::symlink(folder.path(), at("a/loop")).unwrap();
        let root = Root::filesystem();
        let of = |names: &[&str]| {
            let named: Vec<PathBuf> = names.iter().map(|name| at(name)).collect();
            dicom_files(&root, &named, &CancelToken::new())
        };
        let (files, left_out) = of(&["alone", "a"]).unwrap();
        assert_eq!(files, ["alone", "a/1", "a/2", "a/b/1"].map(at));
        assert_eq!(left_out, 3);
        std::fs::create_dir(at("empty")).unwrap();
        assert_eq!(of(&["empty"]).unwrap_err().code, ErrorCode::InvalidInput);
        assert_eq!(of(&["gone"]).unwrap_err().code, ErrorCode::NotFound);
        std::fs::create_dir_all(at(&vec!["deep"; 20].join("/"))).unwrap();
        assert_eq!(of(&["deep"]).unwrap_err().code, ErrorCode::LimitExceeded);
    }
}
