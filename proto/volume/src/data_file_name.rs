//! The name of the file that holds the voxels of a header, and what may be one.

use std::path::{Component, Path};

use crate::VolumeError;
use crate::header_lines::shown;
use crate::input::Input;
use crate::meta_image::{looks_like_meta_image, meta_image_data_file};
use crate::nrrd::{NRRD_MAGIC, nrrd_data_file};
use crate::source::{Source, Sources};

/// Bytes of the longest path that Linux takes.
const MAX_NAME_BYTES: usize = 4095;

/// The file that a header names for its voxels, relative to the folder of the header; `None` for a file that holds them itself, or
/// that is no header.
///
/// # Errors
/// [`VolumeError::DataFile`]; what the format says of a header that cannot be taken apart.
pub(crate) fn data_file_name<S: Source>(
    file: S,
    size: u64,
    name: &str,
) -> Result<Option<String>, VolumeError> {
    let mut input = Input::new(Sources::one(file, size), name)?;
    if input.is_compressed() {
        return Ok(None);
    }
    let mut first = [0; NRRD_MAGIC.len()];
    if input.read_up_to(&mut first)? < first.len() {
        return Ok(None);
    }
    let named = match first {
        NRRD_MAGIC => nrrd_data_file(&mut input, first, name)?,
        first if looks_like_meta_image(first) => meta_image_data_file(&mut input, first, name)?,
        _ => None,
    };
    named.map(|named| checked(named, name)).transpose()
}

fn checked(named: String, name: &str) -> Result<String, VolumeError> {
    match fault(&named) {
        None => Ok(named),
        Some(reason) => Err(VolumeError::DataFile {
            name: name.to_owned(),
            data_file: shown(&named),
            reason,
        }),
    }
}

/// Why a name is that of no data file, if it is not.
fn fault(named: &str) -> Option<&'static str> {
    if named.trim().is_empty() || named.len() > MAX_NAME_BYTES {
        return Some("is no name");
    }
    if named.chars().any(char::is_control) {
        return Some("has invisible characters");
    }
    if named.starts_with("LIST") {
        return Some("stands for a list of files; voxels in one file are read");
    }
    if named.contains('%') {
        return Some("is a pattern of file names; voxels in one file are read");
    }
    let mut parts = Path::new(named).components();
    if Path::new(named).is_absolute() {
        return Some("is an absolute path; only a file in or below the folder of the header is read");
    }
    if !parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Some("leads upward; only a file in or below the folder of the header is read");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_file_lies_in_or_below_the_folder_of_the_header() {
        for good in [
            "a.raw",
            "./a.raw",
            "b/c/a.raw",
            "a b.raw",
            "..raw",
            "a..b",
            "é.raw",
            "lIST",
        ] {
            assert_eq!(fault(good), None, "{good}");
        }
        let long = "x".repeat(4096);
        for (bad, reason) in [
            ("", "no name"),
            (" ", "no name"),
            (long.as_str(), "no name"),
            ("a\0.raw", "invisible"),
            ("a\u{1b}[2J", "invisible"),
            ("LIST", "list"),
            ("LIST 2", "list"),
            ("a%03d.raw 1 9 1", "pattern"),
            ("/etc/passwd", "absolute"),
            ("//a", "absolute"),
            ("../a.raw", "upward"),
            ("b/../a.raw", "upward"),
            ("..", "upward"),
            ("./../a", "upward"),
        ] {
            let found = fault(bad).unwrap_or_else(|| panic!("{bad} is taken"));
            assert!(found.contains(reason), "{bad}: {found}");
        }
    }
}
