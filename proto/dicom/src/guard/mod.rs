//! The only way in which a DICOM file is opened: caps first, then one walk without recursion, and only then an object.
//!
//! `dicom-object` reads sequences by recursion and believes lengths; so its reader is not used. The walk checks each length
//! against what surrounds it and what is there, counts elements, values and depth, and makes the same object.

mod element;
mod fragments;
mod meta;
mod stream;
mod syntax;
mod value;
mod walk;

use std::fs::File;
use std::io::{self, Read};

use dicom_object::InMemDicomObject;
use flate2::read::DeflateDecoder;
use nephrite_types::FileIdentity;

use crate::file_error::{FileError, FileFault};
use crate::limits::DicomLimits;
pub use fragments::Fragments;
use meta::{FileMeta, read_meta};
use stream::Stream;
pub(crate) use stream::StreamError;
pub use syntax::{Encoding, PixelCoding, TransferSyntax};
pub use walk::PixelElement;
use walk::{Stop, Walked, walk};

/// Of a file, at first: most headers are shorter.
const FIRST_BYTES: usize = 64 << 10;

/// All of a file that comes before its pixels.
#[derive(Debug, Clone)]
pub struct DicomHeader {
    /// The elements before the pixel data, private ones too. Text has become UTF-8 where its character set is known.
    pub object: InMemDicomObject,
    /// How the file is written.
    pub syntax: TransferSyntax,
    /// Where the pixels lie, if there are any. Elements behind them are not read.
    pub pixels: Option<PixelElement>,
    /// MediaStorageSOPClassUID of the file header, empty if absent.
    pub media_sop_class: String,
    /// MediaStorageSOPInstanceUID of the file header, empty if absent.
    pub media_sop_instance: String,
}

/// A file that is in memory as a whole.
#[derive(Debug, Clone)]
pub struct DicomObject {
    /// What comes before the pixels.
    pub header: DicomHeader,
    /// What the offsets of `header.pixels` count in: the file, or its inflated data set.
    pub bytes: Vec<u8>,
}

/// Reads a file up to its pixel data.
///
/// # Errors
/// See [`FileError`]; what is over `limits` is refused before it is read.
pub fn open_header(file: &File, name: &str, limits: &DicomLimits) -> Result<DicomHeader, FileError> {
    read_unchanged(file, name, limits, |file, _| header_of(file, limits))
}

/// MediaStorageSOPClassUID of a file, by its file header alone: what a file was meant to be whose data set is broken.
pub(crate) fn media_class(file: &File) -> Option<String> {
    let mut stream = Stream::new(file);
    stream.fill(FIRST_BYTES).ok()?;
    let meta = read_meta(&stream.bytes).ok()?;
    Some(meta.sop_class).filter(|class| !class.is_empty())
}

/// Reads a file as a whole. Its pixels stay as they are stored: [`DicomObject::native_pixels`], [`DicomObject::fragments`].
///
/// # Errors
/// As [`open_header`].
pub fn open_object(file: &File, name: &str, limits: &DicomLimits) -> Result<DicomObject, FileError> {
    read_unchanged(file, name, limits, |file, size| {
        let bytes = read_bytes(file, size)?;
        object_of(bytes, limits).map_err(StreamError::Fault)
    })
}

/// [`open_object`] for bytes that are in memory already.
///
/// # Errors
/// [`FileError::Content`]
pub fn open_bytes(bytes: Vec<u8>, name: &str, limits: &DicomLimits) -> Result<DicomObject, FileError> {
    object_of(bytes, limits).map_err(|fault| fault.of(name))
}

/// All bytes of a file of this size.
pub(crate) fn read_bytes(file: &File, size: u64) -> Result<Vec<u8>, StreamError> {
    let mut stream = Stream::new(file);
    let whole = usize::try_from(size).unwrap_or(usize::MAX);
    stream.fill(whole)?;
    Ok(stream.into_parts().0)
}

/// Runs `read` on a file that must be the same before and after. Its size is checked first.
pub(crate) fn read_unchanged<T>(
    file: &File,
    name: &str,
    limits: &DicomLimits,
    read: impl FnOnce(&File, u64) -> Result<T, StreamError>,
) -> Result<T, FileError> {
    let failed = |source| FileError::Read {
        name: name.to_owned(),
        source,
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile {
            name: name.to_owned(),
        });
    }
    let before = FileIdentity::from(&metadata);
    if before.size > limits.max_file_bytes {
        let (found, limit) = (before.size, limits.max_file_bytes);
        return Err(FileFault::TooLarge { found, limit }.of(name));
    }
    let result = read(file, before.size);
    if FileIdentity::of(file).map_err(failed)? != before {
        return Err(FileError::Changed {
            name: name.to_owned(),
        });
    }
    result.map_err(|error| match error {
        StreamError::Io(source) => failed(source),
        StreamError::Fault(fault) => fault.of(name),
    })
}

pub(crate) fn header_of(file: &File, limits: &DicomLimits) -> Result<DicomHeader, StreamError> {
    let mut stream = Stream::new(file);
    stream.fill(FIRST_BYTES)?;
    let meta = read_meta(&stream.bytes).map_err(StreamError::Fault)?;
    if !meta.syntax.deflated {
        let walked = walk_stream(&mut stream, meta.end, &meta, limits)?;
        return Ok(DicomHeader::new(meta, walked));
    }
    let (bytes, file) = stream.into_parts();
    let deflated = io::Cursor::new(&bytes[meta.end..]).chain(file);
    let mut inflated = Stream::new(DeflateDecoder::new(deflated));
    let walked = walk_stream(&mut inflated, 0, &meta, limits).map_err(broken_deflate)?;
    Ok(DicomHeader::new(meta, walked))
}

/// Takes more of a stream until the walk reaches the pixels.
fn walk_stream<R: Read>(
    stream: &mut Stream<R>,
    start: usize,
    meta: &FileMeta,
    limits: &DicomLimits,
) -> Result<Walked, StreamError> {
    let limit = usize::try_from(limits.max_header_bytes).unwrap_or(usize::MAX);
    stream.fill(FIRST_BYTES)?;
    loop {
        match walk(
            &stream.bytes,
            start,
            stream.is_whole,
            meta.syntax.encoding,
            limits,
        ) {
            Ok(walked) => return Ok(walked),
            Err(Stop::Fault(fault)) => return Err(StreamError::Fault(fault)),
            Err(Stop::Needs(n)) if n <= limit && stream.bytes.len() < limit => {
                stream.fill(n.max(4 * stream.bytes.len()).min(limit))?;
            }
            Err(Stop::Needs(_)) => {
                let limit = limits.max_header_bytes;
                return Err(StreamError::Fault(FileFault::HeaderTooLong { limit }));
            }
        }
    }
}

/// What the inflater does not like it says as an error of reading.
fn broken_deflate(error: StreamError) -> StreamError {
    match error {
        StreamError::Io(error) if error.raw_os_error().is_none() => {
            StreamError::Fault(FileFault::BrokenDeflate)
        }
        other => other,
    }
}

pub(crate) fn object_of(bytes: Vec<u8>, limits: &DicomLimits) -> Result<DicomObject, FileFault> {
    let found = bytes.len() as u64;
    if found > limits.max_file_bytes {
        let limit = limits.max_file_bytes;
        return Err(FileFault::TooLarge { found, limit });
    }
    let meta = read_meta(&bytes)?;
    let (bytes, start) = if meta.syntax.deflated {
        (inflate(&bytes[meta.end..], limits)?, 0)
    } else {
        (bytes, meta.end)
    };
    match walk(&bytes, start, true, meta.syntax.encoding, limits) {
        Ok(walked) => Ok(DicomObject {
            header: DicomHeader::new(meta, walked),
            bytes,
        }),
        Err(Stop::Fault(fault)) => Err(fault),
        Err(Stop::Needs(offset)) => Err(FileFault::Truncated {
            tag: "next".to_owned(),
            offset: offset as u64,
        }),
    }
}

fn inflate(deflated: &[u8], limits: &DicomLimits) -> Result<Vec<u8>, FileFault> {
    let limit = limits.max_inflated_bytes;
    let mut stream = Stream::new(DeflateDecoder::new(deflated));
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    match stream.fill(most.saturating_add(1)) {
        Ok(()) if stream.bytes.len() <= most => Ok(stream.into_parts().0),
        Ok(()) => Err(FileFault::InflatesTooMuch { limit }),
        Err(StreamError::Fault(fault)) => Err(fault),
        Err(StreamError::Io(_)) => Err(FileFault::BrokenDeflate),
    }
}

impl DicomHeader {
    fn new(meta: FileMeta, walked: Walked) -> DicomHeader {
        DicomHeader {
            object: walked.object,
            syntax: meta.syntax,
            pixels: walked.pixels,
            media_sop_class: meta.sop_class,
            media_sop_instance: meta.sop_instance,
        }
    }

    fn pixel_form(&self) -> FileFault {
        FileFault::PixelForm {
            syntax: self.syntax.name,
        }
    }
}

impl DicomObject {
    /// The bytes of native pixels, as many as the file has: fewer or more than rows × columns × frames may need.
    ///
    /// # Errors
    /// [`FileFault::NoPixels`], [`FileFault::PixelForm`]
    pub fn native_pixels(&self) -> Result<&[u8], FileFault> {
        let pixels = self.header.pixels.ok_or(FileFault::NoPixels)?;
        let length = pixels.length.ok_or_else(|| self.header.pixel_form())?;
        let start = usize::try_from(pixels.offset)
            .unwrap_or(usize::MAX)
            .min(self.bytes.len());
        let end = start.saturating_add(length as usize).min(self.bytes.len());
        Ok(&self.bytes[start..end])
    }

    /// The fragments of encapsulated pixels, the offset table aside, which comes first.
    ///
    /// # Errors
    /// [`FileFault::NoPixels`], [`FileFault::PixelForm`], [`FileFault::Truncated`], [`FileFault::Malformed`]
    pub fn fragments(&self) -> Result<Fragments<'_>, FileFault> {
        let pixels = self.header.pixels.ok_or(FileFault::NoPixels)?;
        if pixels.length.is_some() {
            return Err(self.header.pixel_form());
        }
        fragments::split(&self.bytes, usize::try_from(pixels.offset).unwrap_or(usize::MAX))
    }
}
