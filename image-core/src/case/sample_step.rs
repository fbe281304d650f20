//! The crop of a scan around labels, beside that of the mask: where the scan is in memory.

use std::path::Path;
use std::sync::Arc;

use nephrite_kernel::{Artefact, Artefacts, Mask};
use nephrite_types::CancelToken;
use nephrite_volume::{FileHash, Reader, World};

use crate::image_sample::{FramedScan, image_sample};
use crate::{Core, CoreError, Counters, volumes};

/// What a sample is taken of.
pub(crate) struct SampleStepRequest<'a> {
    pub(crate) scan: &'a Path,
    /// Size of the scan's file as the process that runs the case sees it.
    pub(crate) scan_bytes: Option<u64>,
    /// Reads the intensities.
    pub(crate) reader: Reader,
    /// Places the scan.
    pub(crate) world: World,
    /// On any grid.
    pub(crate) mask: &'a Arc<Mask>,
    /// All if empty.
    pub(crate) labels: &'a [String],
    pub(crate) margin_mm: f64,
}

/// Takes a sample in this process. The scan is read only if it is not in memory.
pub(crate) fn run_sample_step(
    core: &Core,
    request: &SampleStepRequest<'_>,
    folder: &Artefacts,
    cancel: &CancelToken,
) -> Result<(Vec<Artefact>, FileHash, Counters), CoreError> {
    let mut counters = Counters::default();
    let (key, header) = volumes::header(core, request.scan, request.reader)?;
    // the scan, and at most all of it again
    let _memory = core.reserve("a sample of this scan", 2 * header.bytes, &[], Some(&key), cancel)?;
    let scan = volumes::scan(
        core,
        request.scan,
        request.reader,
        request.scan_bytes,
        &mut counters,
        cancel,
    )?;
    let read = &scan.get().scan;
    let framed = FramedScan {
        volume: &read.volume,
        frame: read.header.frame(request.world)?,
        orientation: read.source.orientation(),
    };
    let files = image_sample(
        &framed,
        request.mask,
        request.labels,
        request.margin_mm,
        folder,
        &core.limits,
        cancel,
    )?;
    let hash = scan.get().hash;
    drop(scan);
    core.volumes.trim();
    Ok((files, hash, counters))
}
