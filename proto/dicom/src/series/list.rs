//! The series of a folder, by the headers of its files.

use std::path::PathBuf;

use cap_std::fs::Dir;
use dicom_dictionary_std::uids;
use nephrite_types::{CancelToken, FileIdentity};
use rayon::prelude::*;

use super::assemble::assemble;
use super::folder::{Files, files, open};
use super::headed::Headed;
use super::model::{Listing, OtherFile, Series};
use super::options::{BrokenFiles, SeriesOptions};
use super::read::duplicate_pixels;
use super::record::ImageFile;
use super::stack::{Image, stacks};
use crate::error::DicomError;
use crate::file_error::{FileError, FileFault};
use crate::guard::{DicomHeader, media_class, open_header};
use crate::limits::DicomLimits;
use crate::series_fault::SeriesFault;

/// What became of one file.
enum Found {
    Image(Box<Headed>),
    Other(OtherFile),
}

/// Lists the series of a folder. `name` is what the caller calls the folder.
///
/// Only headers are read, up to the pixels. Links are not followed. Files that are no images are named beside the series;
/// a file that begins as a DICOM file and cannot be read makes every series unreadable unless
/// [`SeriesOptions::broken_files`] says otherwise, since a slice may be missing.
///
/// # Errors
/// [`DicomError::Folder`], [`DicomError::FolderTooLarge`], [`DicomError::Cancelled`]; [`DicomError::File`] for a file that
/// the system does not give. What is wrong with a series is told by the series.
pub fn list(
    dir: &Dir,
    name: &str,
    limits: &DicomLimits,
    options: &SeriesOptions,
    cancel: &CancelToken,
) -> Result<Listing, DicomError> {
    let Files { paths, skipped } = files(dir, name, limits, cancel)?;
    let found: Vec<Found> = paths
        .into_par_iter()
        .map(|path| {
            cancel.check()?;
            look(dir, path, limits)
        })
        .collect::<Result<_, DicomError>>()?;
    let mut others: Vec<OtherFile> = skipped
        .iter()
        .map(|path| OtherFile {
            file: path.to_string_lossy().into_owned(),
            what: "a link, or no regular file".to_owned(),
            is_broken: false,
        })
        .collect();
    let mut images = Vec::new();
    for file in found {
        match file {
            Found::Image(read) => images.push(*read),
            Found::Other(other) => others.push(other),
        }
    }
    others.sort_by(|a, b| a.file.cmp(&b.file));
    let broken: Vec<String> = others
        .iter()
        .filter(|file| file.is_broken)
        .map(|file| format!("{}: {}", file.file, file.what))
        .collect();
    let broken = match options.broken_files {
        BrokenFiles::Refuse if !broken.is_empty() => Some(SeriesFault::BrokenFiles { files: broken }),
        _ => None,
    };
    let series = all_series(dir, &images, limits, options, broken.as_ref(), cancel)?;
    Ok(Listing {
        name: name.to_owned(),
        series,
        others,
    })
}

fn all_series(
    dir: &Dir,
    reads: &[Headed],
    limits: &DicomLimits,
    options: &SeriesOptions,
    broken: Option<&SeriesFault>,
    cancel: &CancelToken,
) -> Result<Vec<Series>, DicomError> {
    let images: Vec<Image<'_>> = reads
        .iter()
        .enumerate()
        .flat_map(|(file, read)| {
            let image = move |frame| Image {
                file,
                of: &read.image,
                frame,
            };
            read.image.frames.iter().map(image)
        })
        .collect();
    let mut series = Vec::new();
    for stack in stacks(&images) {
        let first = &reads[stack[0].file];
        let header = open_header(&open(dir, &first.path)?, &first.name, limits)?;
        let mut one = assemble(&stack, reads, &header, options, broken);
        if one.duplicates.is_some() {
            let pixels = duplicate_pixels(dir, &one, limits, cancel)?;
            one.tell_duplicates(pixels);
        }
        series.push(one);
    }
    name_stacks(&mut series);
    Ok(series)
}

/// A series of several stacks gives each a number.
fn name_stacks(series: &mut [Series]) {
    for stacks in series.chunk_by_mut(|a, b| a.summary.uid == b.summary.uid) {
        let several = stacks.len() > 1;
        for (index, stack) in stacks.iter_mut().enumerate() {
            let uid = match stack.summary.uid.as_str() {
                "" => "unnamed",
                uid => uid,
            };
            stack.summary.id = if several {
                format!("{uid}:{}", index + 1)
            } else {
                uid.to_owned()
            };
        }
    }
}

fn look(dir: &Dir, path: PathBuf, limits: &DicomLimits) -> Result<Found, DicomError> {
    let name = path.to_string_lossy().into_owned();
    let other = |what: String, is_broken| {
        Found::Other(OtherFile {
            file: name.clone(),
            what,
            is_broken,
        })
    };
    let file = open(dir, &path)?;
    let header = match open_header(&file, &name, limits) {
        Ok(header) => header,
        Err(FileError::Content {
            fault: FileFault::NotDicom,
            ..
        }) => {
            return Ok(other("no DICOM file".to_owned(), false));
        }
        Err(FileError::Content { fault, .. }) => {
            let class = media_class(&open(dir, &path)?).unwrap_or_default();
            return Ok(match no_image_class(&class) {
                Some(what) => other(format!("{what}, broken: {fault}"), false),
                None => other(fault.to_string(), true),
            });
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(what) = no_image(&header) {
        // An image that lost its pixels is a slice that is missing.
        let was_image =
            header.object.get(dicom_dictionary_std::tags::ROWS).is_some() && header.pixels.is_none();
        return Ok(other(what, was_image));
    }
    let identity = FileIdentity::of(&file).map_err(|source| FileError::Read {
        name: name.clone(),
        source,
    })?;
    let image = ImageFile::of(&header);
    if image.frames.is_empty() {
        return Ok(other("an image without frames".to_owned(), true));
    }
    let syntax = &header.syntax;
    let unsupported =
        (syntax.coding == crate::guard::PixelCoding::Unsupported).then(|| FileFault::UnsupportedSyntax {
            uid: syntax.uid.clone(),
            name: syntax.name,
        });
    Ok(Found::Image(Box::new(Headed {
        syntax: format!("{} ({})", syntax.uid, syntax.name),
        unsupported,
        path,
        identity,
        image,
        name: name.clone(),
    })))
}

/// What a file is that holds no image to be shown.
pub(super) fn no_image(header: &DicomHeader) -> Option<String> {
    let class = crate::attributes::text(&header.object, dicom_dictionary_std::tags::SOP_CLASS_UID);
    let class = class
        .filter(|class| !class.is_empty())
        .unwrap_or_else(|| header.media_sop_class.clone());
    match no_image_class(&class) {
        Some(what) => Some(what.to_owned()),
        None if header.pixels.is_none() => Some("an object without pixels".to_owned()),
        None => None,
    }
}

/// What a SOP class is that is no image to be shown.
fn no_image_class(class: &str) -> Option<&'static str> {
    match class {
        uids::MEDIA_STORAGE_DIRECTORY_STORAGE => Some("a DICOMDIR"),
        uids::SEGMENTATION_STORAGE | uids::LABEL_MAP_SEGMENTATION_STORAGE => Some("a segmentation"),
        uids::RT_STRUCTURE_SET_STORAGE => Some("a structure set"),
        uids::RT_DOSE_STORAGE => Some("a dose"),
        uids::PARAMETRIC_MAP_STORAGE => Some("a parametric map"),
        _ => None,
    }
}
