//! The crop of a scan around labels, beside that of the mask: where the scan is in memory.

use std::path::PathBuf;
use std::sync::Arc;

use nephrite_kernel::{Artefact, Artefacts, Mask};
use nephrite_types::CancelToken;
use nephrite_volume::{Reader, World};

use super::cut::{FramedScan, image_sample};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::{Counters, ScanFile, peak_rss_bytes};

/// What a sample is taken of.
#[derive(Debug, Clone)]
pub(crate) struct SampleStep {
    pub(crate) scan: PathBuf,
    /// Size of the scan's file as the process that runs the case sees it.
    pub(crate) scan_bytes: Option<u64>,
    /// Reads the intensities.
    pub(crate) reader: Reader,
    /// Places the scan.
    pub(crate) world: World,
    /// On any grid.
    pub(crate) mask: Arc<Mask>,
    /// All if empty.
    pub(crate) labels: Vec<String>,
    pub(crate) margin_mm: f64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct SampleOutcome {
    pub(crate) files: Vec<Artefact>,
    /// Of the scan that it was taken of, in hexadecimal.
    pub(crate) scan_sha256: String,
    pub(crate) counters: Counters,
    pub(crate) peak_rss_bytes: u64,
}

/// Takes a sample in this process. The scan is read only if it is not in memory.
pub(crate) fn run_sample_step(
    core: &Core,
    sample: &SampleStep,
    folder: &Artefacts,
    cancel: &CancelToken,
) -> Result<SampleOutcome, CoreError> {
    let mut counters = Counters::default();
    let file = ScanFile {
        path: &sample.scan,
        reader: sample.reader,
        expected_bytes: sample.scan_bytes,
    };
    let (key, header) = core.volumes().header(file, cancel)?;
    // the scan, and at most all of it again
    let _memory = core.reserve("a sample of this scan", 2 * header.bytes, &[], Some(&key), cancel)?;
    let scan = core.volumes().scan(file, &mut counters, cancel)?;
    let read = &scan.get().scan;
    let framed = FramedScan {
        volume: &read.volume,
        frame: read.header.frame(sample.world)?,
        orientation: read.source.orientation(),
    };
    let (labels, limits) = (&sample.labels, core.limits());
    let files = image_sample(
        &framed,
        &sample.mask,
        labels,
        sample.margin_mm,
        folder,
        limits,
        cancel,
    )?;
    let scan_sha256 = scan.get().hash.to_string();
    drop(scan);
    core.volumes().trim();
    Ok(SampleOutcome {
        files,
        scan_sha256,
        counters,
        peak_rss_bytes: peak_rss_bytes(),
    })
}
