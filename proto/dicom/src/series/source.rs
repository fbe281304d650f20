//! A file whose frames are wanted: small ones are read as a whole, large ones frame by frame.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use cap_std::fs::Dir;
use nephrite_types::{CancelToken, FileIdentity};
use nephrite_volume::{FileHash, VolumeError, hash_file};

use super::folder::open;
use super::model::SeriesFile;
use crate::decode::{Frames, native};
use crate::error::DicomError;
use crate::file_error::{FileError, FileFault};
use crate::guard::{
    DicomHeader, DicomObject, PixelCoding, StreamError, header_of, object_of, read_bytes, read_unchanged,
};
use crate::limits::DicomLimits;
use crate::pixel_format::PixelFormat;

/// Files up to this size are read at once.
const SMALL_BYTES: u64 = 4 << 20;

/// An open file of a series.
pub(super) enum Source {
    /// All of it, and its hash.
    Memory(Box<DicomObject>, FileHash),
    /// A file of native frames.
    File(Box<LargeFile>),
}

pub(super) struct LargeFile {
    file: File,
    name: String,
    identity: FileIdentity,
    format: PixelFormat,
    big_endian: bool,
    /// Of the first pixel.
    offset: u64,
}

impl Source {
    /// Opens a file, which must be the one that was listed.
    pub(super) fn open(dir: &Dir, file: &SeriesFile, limits: &DicomLimits) -> Result<Source, DicomError> {
        let mut handle = open(dir, &file.path)?;
        check_identity(&handle, &file.name, &file.identity)?;
        if file.identity.size > SMALL_BYTES {
            let header = read_unchanged(&handle, &file.name, limits, |handle, _| header_of(handle, limits))?;
            if let Some(large) = large(&handle, header, file).map_err(|fault| fault.of(&file.name))? {
                return Ok(Source::File(Box::new(large)));
            }
            // From its start again.
            handle = open(dir, &file.path)?;
            check_identity(&handle, &file.name, &file.identity)?;
        }
        Ok(read_unchanged(&handle, &file.name, limits, |handle, size| {
            let bytes = read_bytes(handle, size)?;
            let hash = FileHash::of(&bytes);
            let object = object_of(bytes, limits).map_err(StreamError::Fault)?;
            Ok(Source::Memory(Box::new(object), hash))
        })?)
    }

    /// Runs `work` with a function that decodes frames, counted from 1, and gives the hash of the file.
    pub(super) fn with_frames(
        &self,
        cancel: &CancelToken,
        work: impl FnOnce(&(dyn Fn(u32) -> Result<Vec<i32>, FileFault> + Sync)) -> Result<(), DicomError> + Send,
        name: &str,
    ) -> Result<FileHash, DicomError> {
        match self {
            Source::Memory(object, hash) => {
                let frames = Frames::of(object).map_err(|fault| fault.of(name))?;
                work(&|frame| frames.decode(frame))?;
                Ok(*hash)
            }
            Source::File(large) => {
                let (worked, hashed) =
                    rayon::join(|| work(&|frame| large.decode(frame)), || large.hash(cancel));
                worked?;
                let hash = hashed?;
                check_identity(&large.file, &large.name, &large.identity)?;
                Ok(hash)
            }
        }
    }
}

fn check_identity(file: &File, name: &str, expected: &FileIdentity) -> Result<(), FileError> {
    let found = FileIdentity::of(file).map_err(|source| FileError::Read {
        name: name.to_owned(),
        source,
    })?;
    if found == *expected {
        Ok(())
    } else {
        Err(FileError::Changed {
            name: name.to_owned(),
        })
    }
}

/// The file as frames to be read one by one, if they are native and lie in it as they are.
fn large(file: &File, header: DicomHeader, listed: &SeriesFile) -> Result<Option<LargeFile>, FileFault> {
    let pixels = header.pixels.ok_or(FileFault::NoPixels)?;
    let (PixelCoding::Native, false, Some(length)) =
        (header.syntax.coding, header.syntax.deflated, pixels.length)
    else {
        return Ok(None);
    };
    let format = PixelFormat::of(&header.object)?;
    format.check_size()?;
    let expected = format.all_bytes();
    let found = u64::from(length).min(listed.identity.size.saturating_sub(pixels.offset));
    if found < expected {
        return Err(FileFault::ShortPixels { found, expected });
    }
    let file = file.try_clone().map_err(|error| FileFault::Decode {
        frame: 1,
        what: error.to_string(),
    })?;
    Ok(Some(LargeFile {
        file,
        name: listed.name.clone(),
        identity: listed.identity,
        format,
        big_endian: header.syntax.encoding.big_endian,
        offset: pixels.offset,
    }))
}

impl LargeFile {
    fn decode(&self, frame: u32) -> Result<Vec<i32>, FileFault> {
        let fault = |what: String| FileFault::Decode { frame, what };
        let index = frame.checked_sub(1).filter(|_| frame <= self.format.frames);
        let index = index.ok_or_else(|| fault("there is no such frame".to_owned()))?;
        let n = self.format.frame_bytes();
        let mut bytes = vec![0; n];
        let at = self.offset + u64::from(index) * n as u64;
        self.file
            .read_exact_at(&mut bytes, at)
            .map_err(|error| fault(error.to_string()))?;
        Ok(native(&bytes, &self.format, self.big_endian))
    }

    fn hash(&self, cancel: &CancelToken) -> Result<FileHash, DicomError> {
        hash_listed(&self.file, &self.name, cancel)
    }
}

/// The hash of a file that is open.
pub(super) fn hash_listed(file: &File, name: &str, cancel: &CancelToken) -> Result<FileHash, DicomError> {
    let failed = |source| FileError::Read {
        name: name.to_owned(),
        source,
    };
    // The place that a handle reads at is shared with its copies; frames are read by offset.
    let mut copy = file.try_clone().map_err(failed)?;
    std::io::Seek::rewind(&mut copy).map_err(failed)?;
    Ok(hash_file(copy, name, cancel).map_err(|error| match error {
        VolumeError::Cancelled(cancelled) => FileError::Cancelled(cancelled),
        VolumeError::Changed { name } => FileError::Changed { name },
        VolumeError::NotAFile { name } => FileError::NotAFile { name },
        VolumeError::Read { name, source } => FileError::Read { name, source },
        other => failed(std::io::Error::other(other.to_string())),
    })?)
}
