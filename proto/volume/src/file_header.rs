//! What every format's header is read into.

use std::collections::BTreeMap;

use crate::header::{Header, Version};

/// What a volume is stored as; told by the content of a file, never by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// NIfTI, of either version.
    Nifti(Version),
    /// NRRD, of versions 1 to 5.
    Nrrd,
    /// MetaImage.
    MetaImage,
    /// A series of DICOM files, which other crates read.
    Dicom,
}

impl Format {
    /// `NIfTI-1`, `NIfTI-2`, `NRRD`, `MetaImage`, or `DICOM`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Nifti(Version::One) => "NIfTI-1",
            Format::Nifti(Version::Two) => "NIfTI-2",
            Format::Nrrd => "NRRD",
            Format::MetaImage => "MetaImage",
            Format::Dicom => "DICOM",
        }
    }

    /// Version of NIfTI; `None` for another format.
    pub fn nifti_version(self) -> Option<Version> {
        match self {
            Format::Nifti(version) => Some(version),
            Format::Nrrd | Format::MetaImage | Format::Dicom => None,
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The header of a file, whatever its format.
pub(crate) struct FileHeader {
    pub(crate) format: Format,
    /// What it says, in the terms of NIfTI.
    pub(crate) header: Header,
    /// Bytes of the file with the voxels that were read before them.
    pub(crate) n_bytes: u64,
    /// Of the file with the voxels, bytes.
    pub(crate) size: u64,
    /// Names of values, if it is a label map that says them.
    pub(crate) names: BTreeMap<u16, String>,
}
