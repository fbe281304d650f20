//! The scans of a case: opened, and placed in one world.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nephrite_dicom::{Series, check_phase};
use nephrite_dicomweb::Address;
use nephrite_root::PathError;
use nephrite_types::{CancelToken, Geometry, Limits, Phase, Shape3, Spacing, Warning};
use nephrite_volume::{Reader, ScanHeader, SourceGeometry, World};

use super::frames::overlap;
use super::world::{ScanPlace, case_world, place_scan};
use crate::case::{CaseError, CaseRequest};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::{OpenScan, ScanIdentity, changed};

/// A scan whose header has been read.
pub(in crate::case) struct PlannedScan {
    pub(in crate::case) path: PathBuf,
    /// Size of its files.
    pub(in crate::case) bytes: u64,
    /// Its files when their headers were read; `None` for a scan that is only assumed.
    pub(super) identity: Option<ScanIdentity>,
    /// Of DICOM files.
    pub(in crate::case) series: Option<Arc<Series>>,
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
    pub(super) identity: Option<ScanIdentity>,
    pub(super) series: Option<Arc<Series>>,
    pub(super) header: ScanHeader,
}

impl PlannedScan {
    /// It stands for a scan that nobody named.
    pub(in crate::case) fn is_assumed(&self) -> bool {
        self.identity.is_none()
    }

    /// Headers are read when a case is planned, voxels later, and perhaps by another process: it must have been one file
    /// all the time. One that is gone by the end was none other; one that was only touched, or given other rights, holds
    /// what was read, `sha256`, and lies where it lay.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`]; what reading says.
    pub(in crate::case) fn check_unchanged(
        &self,
        core: &Core,
        sha256: &str,
        cancel: &CancelToken,
    ) -> Result<(), CaseError> {
        let open = match core.volumes().open_scan(&self.path, cancel) {
            Ok(open) => open,
            Err(CoreError::Path(PathError::NotFound { .. })) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if Some(open.identity()) == self.identity.as_ref() {
            return Ok(());
        }
        let lies_where_it_lay = self.is_frame_of(core, &open);
        let found = open.hash(&self.path, cancel)?;
        if found.to_string() == sha256 && lies_where_it_lay {
            Ok(())
        } else {
            Err(changed(&self.path).into())
        }
    }

    fn is_frame_of(&self, core: &Core, open: &OpenScan) -> bool {
        let header = open.header(&self.path, core.volumes().rules());
        header.is_ok_and(|header| header.frame(self.world).is_ok_and(|frame| frame == self.frame))
    }

    /// Why two steps read different bytes, if it was not the place: somebody changed the file.
    ///
    /// # Errors
    /// [`CoreError::FileChanged`]; what the system says.
    pub(in crate::case) fn check_untouched(
        &self,
        core: &Core,
        cancel: &CancelToken,
    ) -> Result<(), CaseError> {
        let open = core.volumes().open_scan(&self.path, cancel)?;
        if Some(open.identity()) == self.identity.as_ref() {
            return Ok(());
        }
        Err(changed(&self.path).into())
    }
}

impl OpenedScan {
    fn open(core: &Core, path: &Path, cancel: &CancelToken) -> Result<OpenedScan, CaseError> {
        let open = core.volumes().open_scan(path, cancel)?;
        Ok(OpenedScan {
            path: path.to_owned(),
            header: open.header(path, core.volumes().rules())?,
            identity: Some(open.identity().clone()),
            series: open.series().cloned(),
        })
    }

    fn assumed(path: PathBuf, limits: &Limits) -> OpenedScan {
        let shape = Shape3::new(ASSUMED_SHAPE).expect("not empty");
        let spacing = Spacing::new(ASSUMED_SPACING).expect("positive");
        OpenedScan {
            header: ScanHeader::assumed(shape, spacing, limits, &path.to_string_lossy()),
            path,
            identity: None,
            series: None,
        }
    }
}

/// Stands in where no scan is named: an abdomen in thin slices.
const ASSUMED_SHAPE: [usize; 3] = [400, 512, 512];
const ASSUMED_SPACING: [f64; 3] = [1.0, 0.8, 0.8];

/// The assumed scan for every phase.
pub(super) fn assumed_scans(limits: &Limits) -> BTreeMap<Phase, OpenedScan> {
    let scan = |phase| (phase, OpenedScan::assumed("the assumed scan".into(), limits));
    Phase::ALL.into_iter().map(scan).collect()
}

/// Opens the scans of a request. One that is fetched when the case runs is refused, or assumed if the case runs later.
pub(super) fn open_scans(
    core: &Core,
    request: &CaseRequest,
    runs_later: bool,
    cancel: &CancelToken,
) -> Result<BTreeMap<Phase, OpenedScan>, CaseError> {
    if request.scans.is_empty() {
        return Err(CaseError::NoScans);
    }
    let mut scans = BTreeMap::new();
    for (phase, path) in &request.scans {
        let scan = match runs_later && Address::is_meant(path) {
            true => OpenedScan::assumed(path.clone(), core.limits()),
            false => OpenedScan::open(core, path, cancel)?,
        };
        if let (true, Some(series)) = (request.check_phases, &scan.series) {
            check_phase(*phase, &series.summary.phase).map_err(|source| CaseError::PhaseContradicted {
                path: path.clone(),
                source,
            })?;
        }
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
    for (phase, opened) in opened {
        let OpenedScan {
            path,
            identity,
            series,
            header,
        } = opened;
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
            bytes: identity.as_ref().map_or(0, ScanIdentity::size),
            identity,
            series,
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
        let is_known = !first.is_assumed() && !scan.is_assumed();
        if is_known && !overlap(&first.frame, &scan.frame) {
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
