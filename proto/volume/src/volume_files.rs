//! The files of a volume as open handles: one, or a header (`.nhdr`, `.mhd`) and the file that holds its voxels.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;

use nephrite_types::{CancelToken, FileIdentity};

use crate::VolumeError;
use crate::data_file_name::data_file_name;
use crate::hash::{FileHash, Hashing};
use crate::source::{DataSource, Source, Sources};
use crate::unchanged::read_unchanged;

/// The open files of a volume. Most are one file; `File` becomes that. A header that names another file for its voxels is opened
/// with [`VolumeFiles::open`].
#[derive(Debug)]
pub struct VolumeFiles {
    header: File,
    data: Option<DataFile>,
}

#[derive(Debug)]
struct DataFile {
    /// As in the header.
    name: String,
    file: File,
}

/// Which files a volume consists of, in the state that they were in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VolumeIdentity {
    /// The file that was named; all of a volume, for most.
    pub header: FileIdentity,
    /// The file that the header names.
    pub data: Option<FileIdentity>,
}

impl VolumeIdentity {
    /// One or two.
    pub fn files(&self) -> impl Iterator<Item = &FileIdentity> {
        std::iter::once(&self.header).chain(&self.data)
    }
}

impl From<File> for VolumeFiles {
    fn from(header: File) -> Self {
        VolumeFiles { header, data: None }
    }
}

impl VolumeFiles {
    /// Looks whether `file` is a header whose voxels are in another file, which `beside` then opens: its path is relative to the
    /// folder of the header and leads nowhere above it, unless links do, which are for `beside` to judge. `name` stands in messages.
    ///
    /// # Errors
    /// [`VolumeError::DataFile`] for a list or a pattern of files, an absolute path, one that leads upward, and the header itself;
    /// what a broken header is refused for; what `beside` says.
    pub fn open<E: From<VolumeError>>(
        file: File,
        name: &str,
        beside: impl FnOnce(&Path) -> Result<File, E>,
    ) -> Result<VolumeFiles, E> {
        let Some(named) = read_unchanged(&file, name, |file, size| data_file_name(file, size, name))? else {
            return Ok(VolumeFiles::from(file));
        };
        let data = beside(Path::new(&named))?;
        let failed = |source| read_error(name, source);
        let [header, opened] = [&file, &data].map(|file| FileIdentity::of(file).map_err(failed));
        if header?.is_same_file(&opened?) {
            return Err(VolumeError::DataFile {
                name: name.to_owned(),
                data_file: named,
                reason: "is the header itself",
            }
            .into());
        }
        let data = DataFile {
            name: named,
            file: data,
        };
        Ok(VolumeFiles {
            header: file,
            data: Some(data),
        })
    }

    /// One or two, the one that was named first.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        std::iter::once(&self.header).chain(self.data.as_ref().map(|data| &data.file))
    }

    /// What tells it from others, and from itself in another state.
    ///
    /// # Errors
    /// What the system says.
    pub fn identity(&self) -> io::Result<VolumeIdentity> {
        Ok(VolumeIdentity {
            header: FileIdentity::of(&self.header)?,
            data: self
                .data
                .as_ref()
                .map(|data| FileIdentity::of(&data.file))
                .transpose()?,
        })
    }

    /// The same files.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_clone(&self) -> io::Result<VolumeFiles> {
        let data = match &self.data {
            Some(data) => Some(DataFile {
                name: data.name.clone(),
                file: data.file.try_clone()?,
            }),
            None => None,
        };
        Ok(VolumeFiles {
            header: self.header.try_clone()?,
            data,
        })
    }

    /// Reads from the start of the files with `read`, all of which must be the same before and after.
    ///
    /// # Errors
    /// As [`read_unchanged`].
    pub(crate) fn read_unchanged<T>(
        &self,
        name: &str,
        read: impl FnOnce(Sources<'_, &File>) -> Result<T, VolumeError>,
    ) -> Result<T, VolumeError> {
        read_unchanged(&self.header, name, |header, size| match &self.data {
            None => read(Sources::one(from_start(header, name)?, size)),
            Some(data) => read_unchanged(&data.file, name, |file, data_size| {
                read(Sources {
                    header: from_start(header, name)?,
                    size,
                    data: Some(DataSource {
                        name: &data.name,
                        source: from_start(file, name)?,
                        size: data_size,
                    }),
                })
            }),
        })
    }
}

fn from_start<'a>(mut file: &'a File, name: &str) -> Result<&'a File, VolumeError> {
    file.rewind().map_err(|source| read_error(name, source))?;
    Ok(file)
}

fn read_error(name: &str, source: io::Error) -> VolumeError {
    VolumeError::Read {
        name: name.to_owned(),
        source,
    }
}

/// Reads with `read`, and hashes all that the files hold, on the way.
pub(crate) fn hash_sources<'a, S: Source, T>(
    sources: Sources<'a, S>,
    name: &str,
    cancel: &CancelToken,
    read: impl FnOnce(Sources<'_, &mut Hashing<S>>) -> Result<T, VolumeError>,
) -> Result<(T, FileHash), VolumeError> {
    let mut header = Hashing::new(sources.header);
    let (size, data) = (sources.size, sources.data);
    let Some(data) = data else {
        let read = read(Sources::one(&mut header, size))?;
        return Ok((read, header.finish(size, name, cancel)?));
    };
    let mut voxels = Hashing::new(data.source);
    let read = read(Sources {
        header: &mut header,
        size,
        data: Some(DataSource {
            name: data.name,
            source: &mut voxels,
            size: data.size,
        }),
    })?;
    let hash = FileHash::of_two(
        header.finish(size, name, cancel)?,
        voxels.finish(data.size, name, cancel)?,
    );
    Ok((read, hash))
}

/// Hashes all that the files of a volume hold: of one file as [`crate::hash_file`], of two as [`FileHash::of_two`], the header first.
///
/// # Errors
/// As [`crate::hash_file`].
pub fn hash_volume(files: &VolumeFiles, name: &str, cancel: &CancelToken) -> Result<FileHash, VolumeError> {
    files.read_unchanged(name, |sources| {
        let ((), hash) = hash_sources(sources, name, cancel, |_| Ok(()))?;
        Ok(hash)
    })
}
