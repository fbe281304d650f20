//! The formats that volumes come in: the one place where a file's first bytes choose how its header is read, and an output's name
//! how it is written.

use std::collections::BTreeMap;

use nephrite_types::VOLUME_ENDINGS;

use crate::VolumeError;
use crate::file_header::{FileHeader, Format};
use crate::header::{SNIFF_BYTES, Version, read_nifti_header};
use crate::input::Input;
use crate::meta_image::{looks_like_meta_image, read_meta_image_header};
use crate::nrrd::{NRRD_MAGIC, read_nrrd_header};
use crate::source::Source;

/// Reads the header of a file of `size` bytes; what is read next lies behind it, or in the file that it names, decompressed where the
/// format compresses its voxels.
///
/// # Errors
/// [`VolumeError::UnknownFormat`]; what the format says of a broken header; [`VolumeError::Changed`] if it named another file for the
/// voxels when that was opened.
pub(crate) fn read_header<R: Source>(
    input: &mut Input<'_, R>,
    size: u64,
    name: &str,
) -> Result<FileHeader, VolumeError> {
    let header = read_first_header(input, size, name)?;
    if input.take_data().is_some() {
        return Err(VolumeError::Changed {
            name: name.to_owned(),
        });
    }
    Ok(header)
}

fn read_first_header<R: Source>(
    input: &mut Input<'_, R>,
    size: u64,
    name: &str,
) -> Result<FileHeader, VolumeError> {
    let mut first = [0; SNIFF_BYTES];
    let n = input.read_up_to(&mut first)?;
    if n < SNIFF_BYTES {
        return Err(VolumeError::TruncatedHeader {
            name: name.to_owned(),
            expected: Version::One.n_header_bytes() as u64,
            found: n as u64,
        });
    }
    if let Some((version, big_endian)) = Version::sniff(first) {
        let (header, n_bytes) = read_nifti_header(input, first, version, big_endian, name)?;
        return Ok(FileHeader {
            format: Format::Nifti(version),
            header,
            n_bytes,
            size,
            names: BTreeMap::new(),
        });
    }
    let (format, read): (Format, fn(&mut Input<'_, R>, _, _, &str) -> _) = match first {
        NRRD_MAGIC => (Format::Nrrd, read_nrrd_header),
        first if looks_like_meta_image(first) => (Format::MetaImage, read_meta_image_header),
        _ => {
            return Err(VolumeError::UnknownFormat {
                name: name.to_owned(),
            });
        }
    };
    if input.is_compressed() {
        return Err(VolumeError::CompressedAsAWhole {
            name: name.to_owned(),
            format: format.name(),
        });
    }
    read(input, first, size, name)
}

/// What a file is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputFormat {
    Nifti {
        compressed: bool,
    },
    Nrrd,
    MetaImage,
    /// A header of NRRD and a file of its voxels.
    NrrdPair,
    /// A header of MetaImage and a file of its voxels.
    MetaImagePair,
}

/// What the endings of [`VOLUME_ENDINGS`] stand for.
const OUTPUTS: [OutputFormat; VOLUME_ENDINGS.len()] = [
    OutputFormat::Nifti { compressed: true },
    OutputFormat::Nifti { compressed: false },
    OutputFormat::Nrrd,
    OutputFormat::MetaImage,
    OutputFormat::NrrdPair,
    OutputFormat::MetaImagePair,
];

impl OutputFormat {
    /// By the ending of a name.
    ///
    /// # Errors
    /// [`VolumeError::OutputName`]
    pub(crate) fn of_name(file_name: &str) -> Result<OutputFormat, VolumeError> {
        let mut known = VOLUME_ENDINGS.iter().zip(OUTPUTS);
        known
            .find_map(|(ending, format)| file_name.ends_with(ending).then_some(format))
            .ok_or_else(|| VolumeError::OutputName {
                name: file_name.to_owned(),
                reason: "must end in .nii.gz, .nii, .nrrd, .mha, .nhdr, or .mhd",
            })
    }
}
