//! One file of a folder, for who was given it where a scan stands.

use std::fs::File;

use super::list::no_image;
use super::record::ImageFile;
use crate::guard::open_header;
use crate::limits::DicomLimits;

/// What one DICOM file is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SingleFile {
    /// Images of a series: the scan is all of it, and named by its folder.
    Images {
        /// SeriesInstanceUID, if it is one.
        series_uid: Option<String>,
    },
    /// No image.
    Other {
        /// What it is, such as `a segmentation`.
        what: String,
    },
}

impl SingleFile {
    /// By the header of the file; `None` if that is none of DICOM.
    pub fn of(file: &File, name: &str, limits: &DicomLimits) -> Option<SingleFile> {
        let header = open_header(file, name, limits).ok()?;
        if let Some(what) = no_image(&header) {
            return Some(SingleFile::Other { what });
        }
        let uid = ImageFile::of(&header).series_uid;
        let is_uid = uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        Some(SingleFile::Images {
            series_uid: (is_uid && !uid.is_empty() && uid.len() <= 64).then_some(uid),
        })
    }
}
