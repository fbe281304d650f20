//! Where a scan comes from: a file, a header and the file of its voxels, or a series of a folder of DICOM files.

use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use cap_std::fs::Dir;
use nephrite_dicom::{DicomLimits, Series, SeriesOptions, SingleFile, hash_series, list, read};
use nephrite_dicomweb::Address;
use nephrite_kernel::open_volume;
use nephrite_root::{OutputFile, PathError, Root};
use nephrite_types::{CancelToken, FileIdentity, Limits};
use nephrite_volume::{
    FileHash, Format, Reader, Scan, ScanHeader, VolumeError, VolumeFiles, VolumeIdentity, VolumeInfo,
    hash_volume, inspect, read_volume_hashed,
};

use super::file_state::{changed, io_error};
use crate::error::CoreError;

/// How scans are opened, and what they may cost.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScanRules {
    pub(crate) limits: Limits,
    /// How irregular a DICOM series may be.
    pub(crate) series: SeriesOptions,
    pub(crate) dicom: DicomLimits,
}

/// A scan that is open; none of its voxels have been read.
#[derive(Debug)]
pub(crate) struct OpenScan {
    source: Source,
    identity: ScanIdentity,
}

#[derive(Debug)]
enum Source {
    Files(VolumeFiles),
    Series { folder: Dir, series: Arc<Series> },
}

/// What makes two scans the same: their files, in the state that these were in, and which of what these hold is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ScanIdentity {
    Files(VolumeIdentity),
    Series {
        /// What it is called: one file may hold several stacks.
        id: String,
        /// Sorted by path.
        files: Arc<[(PathBuf, FileIdentity)]>,
    },
}

impl ScanIdentity {
    fn files(&self) -> impl Iterator<Item = &FileIdentity> {
        let (one, many) = match self {
            ScanIdentity::Files(files) => (Some(files.files()), None),
            ScanIdentity::Series { files, .. } => (None, Some(files.iter().map(|(_, file)| file))),
        };
        one.into_iter().flatten().chain(many.into_iter().flatten())
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.files()
            .fold(0, |bytes: u64, file| bytes.saturating_add(file.size))
    }

    /// When a file of it was last modified, seconds since 1970.
    pub(crate) fn modified_seconds(&self) -> i64 {
        self.files().map(|file| file.modified.0).max().unwrap_or(0)
    }

    /// As [`FileIdentity::is_settled`], of all files.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        self.files().all(|file| file.is_settled(now))
    }

    /// True if an output would replace one of its files.
    pub(crate) fn is_replaced_by(&self, root: &Root, output: &OutputFile) -> bool {
        let there = |name| root.open_file(&output.path.with_file_name(name)).ok();
        let mut there = output
            .names()
            .filter_map(|name| FileIdentity::of(&there(name)?).ok());
        there.any(|there| self.files().any(|file| file.is_same_file(&there)))
    }
}

impl OpenScan {
    /// Opens what a request names: a file, a folder with one DICOM series, or `folder#UID`.
    ///
    /// # Errors
    /// [`CoreError::Path`]; [`CoreError::Dicom`] for a folder without the series, or with several; [`CoreError::NotFetched`].
    pub(crate) fn open(
        root: &Root,
        path: &Path,
        rules: &ScanRules,
        cancel: &CancelToken,
    ) -> Result<OpenScan, CoreError> {
        if Address::is_meant(path) {
            return Err(CoreError::NotFetched {
                path: path.to_owned(),
            });
        }
        match open_volume(root, path) {
            Ok(files) => {
                let identity = files.identity().map_err(|source| io_error(path, source))?;
                Ok(OpenScan {
                    identity: ScanIdentity::Files(identity),
                    source: Source::Files(files),
                })
            }
            Err(CoreError::Path(not_a_file @ PathError::NotAFile { .. })) => match root.open_folder(path) {
                Ok(folder) => OpenScan::of_folder(folder, path, None, rules, cancel),
                Err(_) => Err(not_a_file.into()),
            },
            Err(CoreError::Path(not_found @ PathError::NotFound { .. })) => match folder_and_series(path) {
                Some((folder, series)) => {
                    let opened = root.open_folder(&folder)?;
                    OpenScan::of_folder(opened, &folder, Some(&series), rules, cancel)
                }
                None => Err(not_found.into()),
            },
            Err(error) => Err(error),
        }
    }

    fn of_folder(
        folder: Dir,
        path: &Path,
        series: Option<&str>,
        rules: &ScanRules,
        cancel: &CancelToken,
    ) -> Result<OpenScan, CoreError> {
        let name = path.to_string_lossy();
        let listing = list(&folder, &name, &rules.dicom, &rules.series, cancel)?;
        let series = listing.select(series)?;
        series.check()?;
        let files: Vec<_> = series
            .files()
            .map(|(path, identity)| (path.to_owned(), identity))
            .collect();
        Ok(OpenScan {
            identity: ScanIdentity::Series {
                id: series.summary.id.clone(),
                files: files.into(),
            },
            source: Source::Series {
                folder,
                series: Arc::new(series.clone()),
            },
        })
    }

    pub(crate) fn identity(&self) -> &ScanIdentity {
        &self.identity
    }

    /// The series, if it is one.
    pub(crate) fn series(&self) -> Option<&Arc<Series>> {
        match &self.source {
            Source::Files(_) => None,
            Source::Series { series, .. } => Some(series),
        }
    }

    /// What is known before voxels are read.
    ///
    /// # Errors
    /// What reading says.
    pub(crate) fn header(&self, path: &Path, rules: &ScanRules) -> Result<ScanHeader, CoreError> {
        match &self.source {
            Source::Files(files) => {
                let same_files = files.try_clone().map_err(|source| io_error(path, source))?;
                let header = ScanHeader::read(same_files, &path.to_string_lossy(), &rules.limits);
                header.map_err(|error| no_volume(error, files, path, rules))
            }
            Source::Series { series, .. } => Ok(series.header(&rules.limits)?),
        }
    }

    /// The same for people: of a series what the header of the NIfTI file of it would say.
    ///
    /// # Errors
    /// As [`OpenScan::header`].
    pub(crate) fn info(&self, path: &Path, rules: &ScanRules) -> Result<VolumeInfo, CoreError> {
        match &self.source {
            Source::Files(files) => {
                let same_files = files.try_clone().map_err(|source| io_error(path, source))?;
                let info = inspect(same_files, &path.to_string_lossy(), &rules.limits);
                info.map_err(|error| no_volume(error, files, path, rules))
            }
            Source::Series { series, .. } => Ok(VolumeInfo {
                compressed: series.is_compressed(),
                big_endian: series.is_big_endian(),
                ..series.header(&rules.limits)?.info(Format::Dicom)?
            }),
        }
    }

    /// The voxels, and what the files held, which must be the same before and after.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`]; what reading says.
    pub(crate) fn read(
        &self,
        path: &Path,
        reader: Reader,
        rules: &ScanRules,
        cancel: &CancelToken,
    ) -> Result<(Scan, FileHash), CoreError> {
        match (&self.source, &self.identity) {
            (Source::Series { folder, series }, _) => {
                let found = read(folder, series, reader, &rules.limits, &rules.dicom, cancel)?;
                Ok((found.scan, found.hash))
            }
            (Source::Files(files), before) => {
                let failed = |source| io_error(path, source);
                let same_files = files.try_clone().map_err(failed)?;
                let name = path.to_string_lossy();
                let found = read_volume_hashed(same_files, &name, reader, &rules.limits, cancel)
                    .map_err(|error| no_volume(error, files, path, rules))?;
                if ScanIdentity::Files(files.identity().map_err(failed)?) != *before {
                    return Err(changed(path));
                }
                Ok(found)
            }
        }
    }

    /// What its files hold.
    ///
    /// # Errors
    /// What reading says.
    pub(crate) fn hash(self, path: &Path, cancel: &CancelToken) -> Result<FileHash, CoreError> {
        match self.source {
            Source::Files(files) => Ok(hash_volume(&files, &path.to_string_lossy(), cancel)?),
            Source::Series { folder, series } => Ok(hash_series(&folder, &series, cancel)?),
        }
    }
}

/// Why a file is no volume, in words for a DICOM file if it is one.
fn no_volume(error: VolumeError, files: &VolumeFiles, path: &Path, rules: &ScanRules) -> CoreError {
    let VolumeError::UnknownFormat { .. } = error else {
        return error.into();
    };
    let single = files.files().next().and_then(|file| file.try_clone().ok());
    let single = single.and_then(|mut file| {
        file.rewind().ok()?; // it was read from
        SingleFile::of(&file, &path.to_string_lossy(), &rules.dicom)
    });
    let path = path.to_owned();
    match single {
        None => error.into(),
        Some(SingleFile::Images { series_uid }) => CoreError::DicomFile { path, series_uid },
        Some(SingleFile::Other { what }) => CoreError::NoScan { path, what },
    }
}

/// `folder#UID`, where the part behind the last `#` can be the name of a series.
fn folder_and_series(path: &Path) -> Option<(PathBuf, String)> {
    let (folder, series) = path.to_str()?.rsplit_once('#')?;
    let is_name = !series.is_empty()
        && series
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".:".contains(&byte));
    (is_name && !folder.is_empty()).then(|| (PathBuf::from(folder), series.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_named_behind_the_last_number_sign() {
        let parts = |path: &str| folder_and_series(Path::new(path));
        assert_eq!(parts("a/b#1.2.3"), Some(("a/b".into(), "1.2.3".to_owned())));
        assert_eq!(parts("a#1/b#1.2:2"), Some(("a#1/b".into(), "1.2:2".to_owned())));
        for path in ["a/b", "a/b#", "#1.2", "a#one"] {
            assert_eq!(parts(path), None, "{path}");
        }
    }
}
