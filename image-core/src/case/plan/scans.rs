//! The scans of a case: opened, and placed in one world.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nephrite_root::{PathError, Root};
use nephrite_types::{CancelToken, FileIdentity, Geometry, Limits, Phase, Shape3, Spacing, Warning};
use nephrite_volume::{Reader, ScanHeader, SourceGeometry, World, hash_file};

use super::frames::overlap;
use super::world::{ScanPlace, case_world, place_scan};
use crate::case::{CaseError, CaseRequest};
use crate::memory::{changed, identity};

/// A scan whose header has been read.
pub(in crate::case) struct PlannedScan {
    pub(in crate::case) path: PathBuf,
    /// Size of the file.
    pub(in crate::case) bytes: u64,
    /// The file when its header was read; `None` for a scan that is only assumed.
    pub(super) file: Option<FileIdentity>,
    /// Of its voxels in memory.
    pub(in crate::case) voxel_bytes: u64,
    /// What is odd about it.
    pub(in crate::case) warnings: Vec<Warning>,
    /// Whose rules place it among the scans of the case.
    pub(in crate::case) world: World,
    /// Its frame in this world: what every mask of this scan lies on, whatever reader its model has.
    pub(in crate::case) frame: Geometry,
    /// How masks on the frame are written.
    pub(in crate::case) source: SourceGeometry,
}

/// A scan before it is known which models run on it.
pub(super) struct OpenedScan {
    pub(super) path: PathBuf,
    /// `None`: assumed.
    pub(super) file: Option<FileIdentity>,
    pub(super) header: ScanHeader,
}

impl PlannedScan {
    /// It stands for a scan that nobody named.
    pub(in crate::case) fn is_assumed(&self) -> bool {
        self.file.is_none()
    }

    /// Headers are read when a case is planned, voxels later, and perhaps by another process: it must have been one file
    /// all the time. One that is gone by the end was none other; one that was only touched, or given other rights, holds
    /// what was read, `sha256`, and lies where it lay.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`]; what reading says.
    pub(in crate::case) fn check_unchanged(
        &self,
        root: &Root,
        limits: &Limits,
        sha256: &str,
        cancel: &CancelToken,
    ) -> Result<(), CaseError> {
        let file = match root.open_file(&self.path) {
            Ok(file) => file,
            Err(PathError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if Some(identity(&file, &self.path)?) == self.file {
            return Ok(());
        }
        let found = hash_file(file, &self.path.to_string_lossy(), cancel)?;
        let same = found.to_string() == sha256 && self.lies_where_it_lay(root, limits);
        if same {
            Ok(())
        } else {
            Err(changed(&self.path).into())
        }
    }

    fn lies_where_it_lay(&self, root: &Root, limits: &Limits) -> bool {
        let name = self.path.to_string_lossy();
        let file = root.open_file(&self.path).ok();
        let header = file.and_then(|file| ScanHeader::read(file, &name, limits).ok());
        header.is_some_and(|header| header.frame(self.world).is_ok_and(|frame| frame == self.frame))
    }

    /// Why two steps read different bytes, if it was not the place: somebody changed the file.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`]; what the system says.
    pub(in crate::case) fn check_untouched(&self, root: &Root) -> Result<(), CaseError> {
        let file = root.open_file(&self.path)?;
        if Some(identity(&file, &self.path)?) == self.file {
            return Ok(());
        }
        Err(changed(&self.path).into())
    }
}

/// Stands in where no scan is named: an abdomen in thin slices.
const ASSUMED_SHAPE: [usize; 3] = [400, 512, 512];
const ASSUMED_SPACING: [f64; 3] = [1.0, 0.8, 0.8];

/// The assumed scan for every phase.
pub(super) fn assumed_scans(limits: &Limits) -> BTreeMap<Phase, OpenedScan> {
    let shape = Shape3::new(ASSUMED_SHAPE).expect("not empty");
    let spacing = Spacing::new(ASSUMED_SPACING).expect("positive");
    let scan = |phase: Phase| {
        let scan = OpenedScan {
            path: PathBuf::from("the assumed scan"),
            file: None,
            header: ScanHeader::assumed(shape, spacing, limits, "the assumed scan"),
        };
        (phase, scan)
    };
    Phase::ALL.into_iter().map(scan).collect()
}

pub(super) fn open_scans(
    root: &Root,
    limits: &Limits,
    request: &CaseRequest,
) -> Result<BTreeMap<Phase, OpenedScan>, CaseError> {
    if request.scans.is_empty() {
        return Err(CaseError::NoScans);
    }
    let mut scans = BTreeMap::new();
    for (phase, path) in &request.scans {
        let file = root.open_file(path)?;
        let identity = identity(&file, path)?;
        let header = ScanHeader::read(file, &path.to_string_lossy(), limits)?;
        let scan = OpenedScan {
            path: path.clone(),
            file: Some(identity),
            header,
        };
        if scans.insert(*phase, scan).is_some() {
            return Err(CaseError::PhaseTwice { phase: *phase });
        }
    }
    Ok(scans)
}

/// Settles the world of the case, and where each scan lies in it; `readers` are those of its models, with the phases that they
/// run on, in order.
pub(super) fn place_scans(
    opened: BTreeMap<Phase, OpenedScan>,
    readers: &[(Phase, Reader)],
) -> Result<(BTreeMap<Phase, PlannedScan>, Vec<Warning>), CaseError> {
    let case = case_world(readers.iter().map(|(_, reader)| *reader));
    let mut scans = BTreeMap::new();
    let mut all = Vec::new();
    for (phase, OpenedScan { path, file, header }) in opened {
        let of_scan = readers.iter().filter(|(of, _)| *of == phase);
        let of_scan: Vec<Reader> = of_scan.map(|(_, reader)| *reader).collect();
        let ScanPlace {
            world,
            frame,
            source,
            warnings,
        } = place_scan(&header, &path.to_string_lossy(), case, &of_scan)?;
        all.extend(warnings.iter().cloned());
        let n_voxels = frame.shape.n_voxels() as u64;
        let scan = PlannedScan {
            path,
            bytes: file.map_or(0, |file| file.size),
            file,
            voxel_bytes: n_voxels.saturating_mul(header.voxel_type()?.n_bytes() as u64),
            world,
            frame,
            source,
            warnings,
        };
        scans.insert(phase, scan);
    }
    Ok((scans, all))
}

/// Scans of other phases must share a place with the reference.
pub(super) fn check_frames(scans: &BTreeMap<Phase, PlannedScan>, reference: Phase) -> Result<(), CaseError> {
    let first = &scans[&reference];
    for (phase, scan) in scans {
        if !overlap(&first.frame, &scan.frame) {
            return Err(CaseError::NoOverlap {
                phase: *phase,
                path: scan.path.clone(),
                reference,
                reference_path: first.path.clone(),
            });
        }
    }
    Ok(())
}
