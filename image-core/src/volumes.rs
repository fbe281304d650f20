//! Scans and network inputs that stay in memory between steps and requests.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use cap_std::fs::{Metadata, MetadataExt as _};
use nephrite_nnunet::NetworkInput;
use nephrite_types::{BoundingBox, CancelToken};
use nephrite_volume::{FileHash, Reader, Scan, read_volume_hashed};

use crate::channels::check_finite;
use crate::resident::{FileStamp, ResidentStore};
use crate::{Core, CoreError, Counters, PathError};

/// What the store holds; one budget for both.
pub(crate) type VolumeStore = ResidentStore<VolumeKey, Held>;

/// What makes two requests ask for the same volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum VolumeKey {
    /// A scan as a reader sees it.
    Scan(ScanKey),
    /// What preprocessing made of a part of it.
    Input(InputKey),
}

/// A file in its present state, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ScanKey {
    device: u64,
    file: FileStamp,
    reader: Reader,
}

/// A network input: all that preprocessing depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct InputKey {
    pub(crate) scan: ScanKey,
    /// Start and end, `[z, y, x]` of the reader.
    pub(crate) crop: ([usize; 3], [usize; 3]),
    /// Axis order, normalisation, spacing, resampling and rounding, written out.
    pub(crate) recipe: String,
}

/// One of the two.
#[derive(Debug)]
pub(crate) enum Held {
    Scan(Box<HashedScan>),
    Input(Box<NetworkInput>),
}

/// A scan, and what its file held.
#[derive(Debug)]
pub(crate) struct HashedScan {
    pub(crate) scan: Scan,
    pub(crate) hash: FileHash,
}

/// A lease of a scan: as long as it lives, the scan stays.
#[derive(Debug, Clone)]
pub(crate) struct ScanLease {
    held: Arc<Held>,
    pub(crate) key: ScanKey,
}

/// A lease of a network input.
#[derive(Debug, Clone)]
pub(crate) struct InputLease(Arc<Held>);

impl ScanLease {
    pub(crate) fn get(&self) -> &HashedScan {
        match &*self.held {
            Held::Scan(scan) => scan,
            Held::Input(_) => unreachable!("a scan's key leads to a scan"),
        }
    }
}

impl InputLease {
    pub(crate) fn get(&self) -> &NetworkInput {
        match &*self.0 {
            Held::Input(input) => input,
            Held::Scan(_) => unreachable!("an input's key leads to an input"),
        }
    }
}

/// A scan that is in memory, or is read now.
pub(crate) fn scan(
    core: &Core,
    path: &Path,
    reader: Reader,
    expected_bytes: Option<u64>,
    counters: &mut Counters,
    cancel: &CancelToken,
) -> Result<ScanLease, CoreError> {
    let file = open(core, path, expected_bytes)?;
    let key = scan_key(&file, path, reader)?;
    let name = path.to_string_lossy();
    let (held, bytes) = core
        .volumes
        .get_or_load(VolumeKey::Scan(key.clone()), &name, cancel, || {
            let (scan, hash) = read_volume_hashed(file, &name, reader, &core.limits, cancel)?;
            check_finite(&scan.volume, path)?;
            let bytes = scan.volume.voxels.n_bytes() as u64;
            Ok((Held::Scan(Box::new(HashedScan { scan, hash })), bytes))
        })?;
    let lease = ScanLease { held, key };
    match bytes {
        Some(_) => {
            counters.scan_reads += 1;
            counters.scan_bytes_read += lease.get().hash.bytes;
        }
        None => counters.scan_cache_hits += 1,
    }
    Ok(lease)
}

/// A network input that is in memory, or is made now.
pub(crate) fn network_input(
    core: &Core,
    key: InputKey,
    name: &str,
    counters: &mut Counters,
    cancel: &CancelToken,
    make: impl FnOnce() -> Result<NetworkInput, CoreError>,
) -> Result<InputLease, CoreError> {
    let (held, bytes) = core
        .volumes
        .get_or_load(VolumeKey::Input(key), name, cancel, || {
            let input = make()?;
            let bytes = input.data.len() as u64 * 4;
            Ok((Held::Input(Box::new(input)), bytes))
        })?;
    match bytes {
        Some(_) => counters.preprocessings += 1,
        None => counters.preprocessing_cache_hits += 1,
    }
    Ok(InputLease(held))
}

/// A network input that nobody else wants.
pub(crate) fn private_input(input: NetworkInput, counters: &mut Counters) -> InputLease {
    counters.preprocessings += 1;
    InputLease(Arc::new(Held::Input(Box::new(input))))
}

impl InputKey {
    pub(crate) fn crop(bounds: &BoundingBox) -> ([usize; 3], [usize; 3]) {
        (bounds.start, bounds.end)
    }
}

fn open(core: &Core, path: &Path, expected_bytes: Option<u64>) -> Result<File, CoreError> {
    let file = core.root.open_file(path)?;
    let Some(expected) = expected_bytes else {
        return Ok(file);
    };
    let found = metadata(&file, path)?.len();
    if found != expected {
        return Err(CoreError::OtherFile {
            path: path.to_owned(),
            expected,
            found,
        });
    }
    Ok(file)
}

fn metadata(file: &File, path: &Path) -> Result<Metadata, PathError> {
    Metadata::from_file(file).map_err(|source| PathError::Io {
        path: path.to_owned(),
        source,
    })
}

fn scan_key(file: &File, path: &Path, reader: Reader) -> Result<ScanKey, CoreError> {
    let metadata = metadata(file, path)?;
    Ok(ScanKey {
        device: metadata.dev(),
        file: FileStamp {
            inode: metadata.ino(),
            size: metadata.size(),
            changed: (metadata.mtime(), metadata.mtime_nsec()),
        },
        reader,
    })
}
