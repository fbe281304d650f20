//! Scans and network inputs that stay in memory between steps and requests.

use std::fs::File;
use std::io::Seek as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use nephrite_nnunet::NetworkInput;
use nephrite_types::{BoundingBox, CancelToken, FileIdentity, Geometry, Limits, VoxelType};
use nephrite_volume::{FileHash, Reader, Scan, ScanHeader, hash_file, read_volume_hashed};

use crate::channels::check_finite;
use crate::resident::ResidentStore;
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

impl VolumeKey {
    /// The scan that it is, or was made of.
    pub(crate) fn scan(&self) -> &ScanKey {
        match self {
            VolumeKey::Scan(scan) => scan,
            VolumeKey::Input(input) => &input.scan,
        }
    }
}

/// A file in its present state, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ScanKey {
    file: FileIdentity,
    reader: Reader,
}

/// A network input: all that preprocessing depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct InputKey {
    pub(crate) scan: ScanKey,
    /// Of the file that the scan was decoded from: two contents of one identity make two inputs.
    pub(crate) content: FileHash,
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
    /// A later change of the file would show in its identity. Until then the file is hashed again before the scan is taken
    /// from memory.
    settled: AtomicBool,
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

/// Readings of a scan that others change all the time.
const MAX_READINGS: usize = 3;

/// A scan that is in memory, or is read now.
///
/// # Errors
/// [`CoreError::FileChanged`] if somebody changes it meanwhile; what reading says.
pub(crate) fn scan(
    core: &Core,
    path: &Path,
    reader: Reader,
    expected_bytes: Option<u64>,
    counters: &mut Counters,
    cancel: &CancelToken,
) -> Result<ScanLease, CoreError> {
    for _ in 0..MAX_READINGS {
        let file = open(core, path, expected_bytes)?;
        let key = scan_key(&file, path, reader)?;
        let name = path.to_string_lossy();
        let load = || {
            let settled = key.file.is_settled(SystemTime::now());
            let same_file = file.try_clone().map_err(|source| io_error(path, source))?;
            let (scan, hash) = read_volume_hashed(same_file, &name, reader, &core.limits, cancel)?;
            if identity(&file, path)? != key.file {
                return Err(changed(path));
            }
            check_finite(&scan.volume, path)?;
            let bytes = scan.volume.voxels.n_bytes() as u64;
            let settled = AtomicBool::new(settled);
            Ok((Held::Scan(Box::new(HashedScan { scan, hash, settled })), bytes))
        };
        let (held, bytes) = core
            .volumes
            .get_or_load(VolumeKey::Scan(key.clone()), &name, cancel, load)?;
        let lease = ScanLease { held, key };
        if bytes.is_some() {
            counters.scan_reads += 1;
            counters.scan_bytes_read += lease.get().hash.bytes;
            return Ok(lease);
        }
        if still_holds(file, lease.get(), &lease.key, path, cancel)? {
            counters.scan_cache_hits += 1;
            return Ok(lease);
        }
        core.volumes
            .forget(|key| matches!(key, VolumeKey::Scan(scan) if scan.file == lease.key.file));
    }
    Err(changed(path))
}

/// Whether a scan in memory is what its file holds now. A file that was changed within the grain of its file system's clock
/// before it was read may have been changed once more without its identity showing it; so it is hashed, until it is old
/// enough.
fn still_holds(
    file: File,
    scan: &HashedScan,
    key: &ScanKey,
    path: &Path,
    cancel: &CancelToken,
) -> Result<bool, CoreError> {
    if scan.settled.load(Ordering::Acquire) {
        return Ok(true);
    }
    let settled = key.file.is_settled(SystemTime::now());
    let hash = hash_file(file, &path.to_string_lossy(), cancel)?;
    if hash != scan.hash {
        return Ok(false);
    }
    if settled {
        scan.settled.store(true, Ordering::Release);
    }
    Ok(true)
}

/// What the header of a scan says of its size.
pub(crate) struct ScanSize {
    /// As the reader sees it.
    pub(crate) geometry: Geometry,
    /// As they are stored.
    pub(crate) voxel_type: VoxelType,
    /// Of the voxels in memory.
    pub(crate) bytes: u64,
    pub(crate) header: ScanHeader,
}

/// Reads the header of a scan.
pub(crate) fn header(core: &Core, path: &Path, reader: Reader) -> Result<(ScanKey, ScanSize), CoreError> {
    let mut file = core.root.open_file(path)?;
    let key = scan_key(&file, path, reader)?;
    let header = header_of(&mut file, path, reader, &core.limits)?;
    Ok((key, header))
}

/// Reads the header of an open file, which is then at its beginning again.
pub(crate) fn header_of(
    file: &mut File,
    path: &Path,
    reader: Reader,
    limits: &Limits,
) -> Result<ScanSize, CoreError> {
    let failed = |source| PathError::Io {
        path: path.to_owned(),
        source,
    };
    let same_file = file.try_clone().map_err(failed)?;
    let header = ScanHeader::read(same_file, &path.to_string_lossy(), limits)?;
    (&*file).rewind().map_err(failed)?;
    let (geometry, voxel_type) = (header.geometry(reader)?, header.voxel_type()?);
    Ok(ScanSize {
        geometry,
        voxel_type,
        bytes: (geometry.shape.n_voxels() as u64).saturating_mul(voxel_type.n_bytes() as u64),
        header,
    })
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
    let found = identity(&file, path)?.size;
    if found != expected {
        return Err(CoreError::OtherFile {
            path: path.to_owned(),
            expected,
            found,
        });
    }
    Ok(file)
}

/// Of an open file; `path` stands in messages only.
pub(crate) fn identity(file: &File, path: &Path) -> Result<FileIdentity, CoreError> {
    FileIdentity::of(file).map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: std::io::Error) -> CoreError {
    let path = path.to_owned();
    PathError::Io { path, source }.into()
}

pub(crate) fn changed(path: &Path) -> CoreError {
    CoreError::FileChanged {
        path: path.to_owned(),
    }
}

/// What makes a file the same scan.
pub(crate) fn scan_key(file: &File, path: &Path, reader: Reader) -> Result<ScanKey, CoreError> {
    let file = identity(file, path)?;
    Ok(ScanKey { file, reader })
}

#[cfg(test)]
mod tests {
    use nephrite_engine::Provider;
    use nephrite_types::{Affine, Geometry, Labels, Limits, Shape3, Spacing};
    use nephrite_volume::{SourceGeometry, write_label_map};

    use super::*;
    use crate::{CoreSettings, ModelBudget, Root, RuntimeSettings, StepBudget};

    fn core(root: &Path) -> Core {
        Core::new(CoreSettings {
            root: Root::beneath(root).unwrap(),
            limits: Limits::default(),
            runtime: RuntimeSettings::new(Provider::Cpu, None, None, None),
            models: ModelBudget::default(),
            steps: StepBudget::default(),
        })
    }

    fn write(root: &Path, value: u8) {
        let spacing = Spacing::new([1.0; 3]).unwrap();
        let geometry = Geometry {
            shape: Shape3::new([2, 3, 4]).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        };
        let labels = Labels::U8(ndarray::Array3::from_elem([2, 3, 4], value));
        let dir = cap_std::fs::Dir::open_ambient_dir(root, cap_std::ambient_authority()).unwrap();
        write_label_map(
            &dir,
            "scan.nii",
            &labels,
            &SourceGeometry::from_geometry(&geometry),
        )
        .unwrap();
    }

    fn read(core: &Core) -> (ScanLease, Counters) {
        let mut counters = Counters::default();
        let path = Path::new("scan.nii");
        let lease = scan(
            core,
            path,
            Reader::Nibabel,
            None,
            &mut counters,
            &CancelToken::new(),
        )
        .unwrap();
        (lease, counters)
    }

    fn values(lease: &ScanLease) -> f32 {
        lease.get().scan.volume.to_intensities()[[0, 0, 0]]
    }

    /// What a change within the grain of the clock leaves: another content under the same identity in memory.
    fn put_racily_clean(core: &Core, root: &Path, settled: bool) {
        let file = File::open(root.join("scan.nii")).unwrap();
        let key = scan_key(&file, Path::new("scan.nii"), Reader::Nibabel).unwrap();
        let (was, _) = read(core);
        core.volumes.forget(|_| true);
        let held = HashedScan {
            scan: was.get().scan.clone(),
            hash: FileHash::of(b"what the file held before"),
            settled: AtomicBool::new(settled),
        };
        let load = || Ok((Held::Scan(Box::new(held)), 24));
        core.volumes
            .get_or_load(VolumeKey::Scan(key), "scan.nii", &CancelToken::new(), load)
            .unwrap();
    }

    #[test]
    fn a_scan_that_may_have_changed_within_the_grain_of_the_clock_is_hashed_again() {
        let temp = tempfile::tempdir().unwrap();
        let core = core(temp.path());
        write(temp.path(), 1);
        put_racily_clean(&core, temp.path(), false);
        let (lease, counters) = read(&core);
        assert_eq!((counters.scan_reads, counters.scan_cache_hits), (1, 0));
        let content = std::fs::read(temp.path().join("scan.nii")).unwrap();
        assert_eq!(lease.get().hash, FileHash::of(&content));
        // and what did not change is served
        let (again, counters) = read(&core);
        assert_eq!((counters.scan_reads, counters.scan_cache_hits), (0, 1));
        assert_eq!(values(&again), 1.0);
        assert!(
            !again.get().settled.load(Ordering::Relaxed),
            "it is younger than the grain"
        );
    }

    #[test]
    fn a_scan_is_hashed_until_it_is_settled_and_no_longer() {
        let temp = tempfile::tempdir().unwrap();
        let core = core(temp.path());
        write(temp.path(), 1);
        let (lease, _) = read(&core);
        assert!(!lease.get().settled.load(Ordering::Relaxed));
        std::thread::sleep(FileIdentity::GRAIN + std::time::Duration::from_millis(50));
        let (lease, counters) = read(&core);
        assert_eq!(counters.scan_cache_hits, 1);
        assert!(lease.get().settled.load(Ordering::Relaxed));
        // a settled one is believed: nothing can have changed it
        put_racily_clean(&core, temp.path(), true);
        let (_, counters) = read(&core);
        assert_eq!((counters.scan_reads, counters.scan_cache_hits), (0, 1));
    }
}
