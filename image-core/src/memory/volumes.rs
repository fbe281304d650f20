//! Scans and network inputs that stay in memory between steps and requests.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use nephrite_nnunet::{NetworkInput, RecipeKey};
use nephrite_root::Root;
use nephrite_types::{BoundingBox, CancelToken, Geometry, Limits, VoxelType};
use nephrite_volume::{FileHash, Reader, Scan, ScanHeader, VolumeInfo};

use super::file_state::changed;
use super::finite::check_finite;
use super::scan_source::{OpenScan, ScanIdentity, ScanRules};
use super::{Counters, ResidentStore};
use crate::error::CoreError;

/// Scans and network inputs beneath a root; one budget for both.
#[derive(Debug)]
pub(crate) struct Volumes {
    root: Arc<Root>,
    rules: ScanRules,
    store: ResidentStore<VolumeKey, StoredVolume>,
}

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

/// A scan in its present state, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ScanKey {
    scan: ScanIdentity,
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
    pub(crate) recipe: RecipeKey,
}

/// One of the two.
#[derive(Debug)]
pub(crate) enum StoredVolume {
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
    held: Arc<StoredVolume>,
    pub(crate) key: ScanKey,
}

/// A lease of a network input.
#[derive(Debug, Clone)]
pub(crate) struct InputLease(Arc<StoredVolume>);

impl ScanLease {
    fn count(&self, counters: &mut Counters) {
        counters.scan_reads += 1;
        counters.scan_bytes_read += self.get().hash.bytes;
    }

    pub(crate) fn get(&self) -> &HashedScan {
        match &*self.held {
            StoredVolume::Scan(scan) => scan,
            StoredVolume::Input(_) => unreachable!("a scan's key leads to a scan"),
        }
    }
}

impl InputLease {
    pub(crate) fn get(&self) -> &NetworkInput {
        match &*self.0 {
            StoredVolume::Input(input) => input,
            StoredVolume::Scan(_) => unreachable!("an input's key leads to an input"),
        }
    }
}

/// Readings of a scan that others change all the time.
const MAX_READINGS: usize = 3;

/// A scan that a request names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScanFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) reader: Reader,
    /// Size of the file as the process that runs the case sees it.
    pub(crate) expected_bytes: Option<u64>,
}

impl Volumes {
    /// An empty store of so many bytes.
    pub(crate) fn new(root: Arc<Root>, limits: Limits, max_bytes: u64) -> Self {
        Volumes {
            root,
            rules: ScanRules {
                limits,
                ..ScanRules::default()
            },
            store: ResidentStore::new(usize::MAX, max_bytes),
        }
    }

    /// A scan that is in memory, or is read now and stays there for others.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`] if somebody changes it meanwhile; what reading says.
    pub(crate) fn scan(
        &self,
        scan: ScanFile<'_>,
        counters: &mut Counters,
        cancel: &CancelToken,
    ) -> Result<ScanLease, CoreError> {
        let name = scan.path.to_string_lossy();
        for _ in 0..MAX_READINGS {
            let (open, key) = self.open(scan, cancel)?;
            let load = || {
                let scan = read_scan(&open, &key, scan.path, &self.rules, cancel)?;
                let bytes = scan.scan.volume.voxels.n_bytes() as u64;
                Ok((StoredVolume::Scan(Box::new(scan)), bytes))
            };
            let wanted = VolumeKey::Scan(key.clone());
            let (held, bytes) = self.store.get_or_load(wanted, &name, cancel, load)?;
            let lease = ScanLease { held, key };
            if bytes.is_some() {
                lease.count(counters);
                return Ok(lease);
            }
            if still_holds(open, lease.get(), &lease.key, scan.path, cancel)? {
                counters.scan_cache_hits += 1;
                return Ok(lease);
            }
            self.store
                .forget(|key| matches!(key, VolumeKey::Scan(scan) if scan.scan == lease.key.scan));
        }
        Err(changed(scan.path))
    }

    /// A scan that is read for one request alone.
    ///
    /// # Errors
    /// As [`Volumes::scan`].
    pub(crate) fn private_scan(
        &self,
        scan: ScanFile<'_>,
        counters: &mut Counters,
        cancel: &CancelToken,
    ) -> Result<ScanLease, CoreError> {
        let (open, key) = self.open(scan, cancel)?;
        let read = read_scan(&open, &key, scan.path, &self.rules, cancel)?;
        let lease = ScanLease {
            held: Arc::new(StoredVolume::Scan(Box::new(read))),
            key,
        };
        lease.count(counters);
        Ok(lease)
    }

    /// Reads the header of a scan.
    pub(crate) fn header(
        &self,
        scan: ScanFile<'_>,
        cancel: &CancelToken,
    ) -> Result<(ScanKey, ScanSize), CoreError> {
        let (open, key) = self.open(scan, cancel)?;
        let header = open.header(scan.path, &self.rules)?;
        Ok((key, ScanSize::of(header, scan.reader)?))
    }

    /// What the header of a scan says, for people: of a DICOM series what that of the NIfTI file of it would say.
    ///
    /// # Errors
    /// What is no scan, and a series that cannot be read as one.
    pub(crate) fn info(&self, path: &Path, cancel: &CancelToken) -> Result<VolumeInfo, CoreError> {
        self.open_scan(path, cancel)?.info(path, &self.rules)
    }

    /// How scans are opened, and what they may cost.
    pub(crate) fn rules(&self) -> &ScanRules {
        &self.rules
    }

    pub(crate) fn set_rules(&mut self, rules: ScanRules) {
        self.rules = rules;
    }

    /// What a request names as a scan.
    ///
    /// # Errors
    /// As [`OpenScan::open`].
    pub(crate) fn open_scan(&self, path: &Path, cancel: &CancelToken) -> Result<OpenScan, CoreError> {
        OpenScan::open(&self.root, path, &self.rules, cancel)
    }

    /// A network input that is in memory, or is made now.
    pub(crate) fn network_input(
        &self,
        key: InputKey,
        name: &str,
        counters: &mut Counters,
        cancel: &CancelToken,
        make: impl FnOnce() -> Result<NetworkInput, CoreError>,
    ) -> Result<InputLease, CoreError> {
        let (held, bytes) = self.store.get_or_load(VolumeKey::Input(key), name, cancel, || {
            let input = make()?;
            let bytes = input.data.len() as u64 * 4;
            Ok((StoredVolume::Input(Box::new(input)), bytes))
        })?;
        match bytes {
            Some(_) => counters.preprocessings += 1,
            None => counters.preprocessing_cache_hits += 1,
        }
        Ok(InputLease(held))
    }

    /// Drops what is over the budget; called when a request has ended.
    pub(crate) fn trim(&self) {
        self.store.trim();
    }

    /// Bytes of what nobody uses, besides a scan that is about to be used and what was made of it.
    pub(crate) fn idle_bytes(&self, wanted: Option<&ScanKey>) -> u64 {
        self.store.idle_bytes(|key| Some(key.scan()) == wanted)
    }

    /// Drops what is idle, until so many bytes are gone; says how many were.
    pub(crate) fn drop_idle(&self, bytes: u64, wanted: Option<&ScanKey>) -> u64 {
        self.store.drop_idle(bytes, |key| Some(key.scan()) == wanted)
    }

    /// Gives back what cards hold of network inputs.
    pub(crate) fn leave_cards(&self) {
        self.store.sum(|_, volume| {
            if let StoredVolume::Input(input) = volume {
                input.leave_cards();
            }
            0
        });
    }

    /// A scan, and what makes it that scan.
    fn open(&self, scan: ScanFile<'_>, cancel: &CancelToken) -> Result<(OpenScan, ScanKey), CoreError> {
        let ScanFile { path, reader, .. } = scan;
        let open = self.open_scan(path, cancel)?;
        let key = ScanKey {
            scan: open.identity().clone(),
            reader,
        };
        let found = key.scan.size();
        match scan.expected_bytes {
            Some(expected) if expected != found => Err(CoreError::OtherFile {
                path: path.to_owned(),
                expected,
                found,
            }),
            _ => Ok((open, key)),
        }
    }
}

/// Reads and decodes an open scan, which must be the same before and after.
fn read_scan(
    open: &OpenScan,
    key: &ScanKey,
    path: &Path,
    rules: &ScanRules,
    cancel: &CancelToken,
) -> Result<HashedScan, CoreError> {
    let settled = key.scan.is_settled(SystemTime::now());
    let (scan, hash) = open.read(path, key.reader, rules, cancel)?;
    check_finite(&scan.volume, path)?;
    let settled = AtomicBool::new(settled);
    Ok(HashedScan { scan, hash, settled })
}

/// Whether a scan in memory is what its file holds now. A file that was changed within the grain of its file system's clock
/// before it was read may have been changed once more without its identity showing it; so it is hashed, until it is old
/// enough.
fn still_holds(
    open: OpenScan,
    scan: &HashedScan,
    key: &ScanKey,
    path: &Path,
    cancel: &CancelToken,
) -> Result<bool, CoreError> {
    if scan.settled.load(Ordering::Acquire) {
        return Ok(true);
    }
    let settled = key.scan.is_settled(SystemTime::now());
    let hash = open.hash(path, cancel)?;
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

impl ScanSize {
    /// What a reader makes of a header.
    ///
    /// # Errors
    /// What the reader says.
    pub(crate) fn of(header: ScanHeader, reader: Reader) -> Result<ScanSize, CoreError> {
        let (geometry, voxel_type) = (header.geometry(reader)?, header.voxel_type()?);
        Ok(ScanSize {
            geometry,
            voxel_type,
            bytes: (geometry.shape.n_voxels() as u64).saturating_mul(voxel_type.n_bytes() as u64),
            header,
        })
    }
}

/// A network input that nobody else wants.
pub(crate) fn private_input(input: NetworkInput, counters: &mut Counters) -> InputLease {
    counters.preprocessings += 1;
    InputLease(Arc::new(StoredVolume::Input(Box::new(input))))
}

impl InputKey {
    pub(crate) fn crop(bounds: &BoundingBox) -> ([usize; 3], [usize; 3]) {
        (bounds.start, bounds.end)
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::{
        Affine, FileIdentity, Geometry, IntensityScale, Labels, Limits, Shape3, Spacing, Volume, Voxels,
    };
    use nephrite_volume::{SourceGeometry, write_label_map};

    use super::*;

    fn volumes(root: &Path) -> Volumes {
        Volumes::new(Arc::new(Root::beneath(root).unwrap()), Limits::default(), 1 << 30)
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

    fn scan_file() -> ScanFile<'static> {
        ScanFile {
            path: Path::new("scan.nii"),
            reader: Reader::Nibabel,
            expected_bytes: None,
        }
    }

    fn read(volumes: &Volumes) -> (ScanLease, Counters) {
        let mut counters = Counters::default();
        let lease = volumes.scan(scan_file(), &mut counters, &CancelToken::new());
        (lease.unwrap(), counters)
    }

    fn values(lease: &ScanLease) -> f32 {
        lease.get().scan.volume.to_intensities()[[0, 0, 0]]
    }

    /// What a change within the grain of the clock leaves: another content under the same identity in memory.
    fn put_racily_clean(volumes: &Volumes, settled: bool) {
        let (_, key) = volumes.open(scan_file(), &CancelToken::new()).unwrap();
        let (was, _) = read(volumes);
        volumes.store.forget(|_| true);
        let held = HashedScan {
            scan: was.get().scan.clone(),
            hash: FileHash::of(b"what the file held before"),
            settled: AtomicBool::new(settled),
        };
        let load = || Ok((StoredVolume::Scan(Box::new(held)), 24));
        volumes
            .store
            .get_or_load(VolumeKey::Scan(key), "scan.nii", &CancelToken::new(), load)
            .unwrap();
    }

    #[test]
    fn a_scan_that_may_have_changed_within_the_grain_of_the_clock_is_hashed_again() {
        let temp = tempfile::tempdir().unwrap();
        let volumes = volumes(temp.path());
        write(temp.path(), 1);
        put_racily_clean(&volumes, false);
        let (lease, counters) = read(&volumes);
        assert_eq!((counters.scan_reads, counters.scan_cache_hits), (1, 0));
        let content = std::fs::read(temp.path().join("scan.nii")).unwrap();
        assert_eq!(lease.get().hash, FileHash::of(&content));
        // and what did not change is served
        let (again, counters) = read(&volumes);
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
        let volumes = volumes(temp.path());
        write(temp.path(), 1);
        let (lease, _) = read(&volumes);
        assert!(!lease.get().settled.load(Ordering::Relaxed));
        std::thread::sleep(FileIdentity::GRAIN + std::time::Duration::from_millis(50));
        let (lease, counters) = read(&volumes);
        assert_eq!(counters.scan_cache_hits, 1);
        assert!(lease.get().settled.load(Ordering::Relaxed));
        // a settled one is believed: nothing can have changed it
        put_racily_clean(&volumes, true);
        let (_, counters) = read(&volumes);
        assert_eq!((counters.scan_reads, counters.scan_cache_hits), (0, 1));
    }

    /// Two stacks of one file are two scans.
    #[test]
    fn stacks_of_one_file_are_told_apart() {
        use nephrite_dicom::test_util::{Labels as Called, Way, enhanced, joined, second_stack, write};

        let temp = tempfile::tempdir().unwrap();
        let spacing = Spacing::new([2.0, 1.0, 1.0]).unwrap();
        let filled = |value| Volume {
            voxels: Voxels::I16(ndarray::Array3::from_elem([4, 5, 6], value)),
            scale: IntensityScale::IDENTITY,
            geometry: Geometry {
                shape: Shape3::new([4, 5, 6]).unwrap(),
                spacing,
                affine: Affine::from_spacing(spacing, [0.0; 3]),
            },
        };
        let file = |value| enhanced(&filled(value), Way::PLAIN, &Called::default());
        let dir = cap_std::fs::Dir::open_ambient_dir(temp.path(), cap_std::ambient_authority()).unwrap();
        write(&dir, &[joined(file(7), &file(9), second_stack)]);
        let volumes = volumes(temp.path());
        let uid = Called::default().series_uid;
        for (stack, value) in [(1, 7.0), (2, 9.0), (1, 7.0)] {
            let path = format!(".#{uid}:{stack}");
            let scan = ScanFile {
                path: Path::new(&path),
                reader: Reader::Nibabel,
                expected_bytes: None,
            };
            let mut counters = Counters::default();
            let lease = volumes.scan(scan, &mut counters, &CancelToken::new()).unwrap();
            assert_eq!(values(&lease), value, "{path}");
        }
    }
}
