//! DICOM series of a folder: listed, and written as a volume.

mod fetch;

use std::path::{Path, PathBuf};

use nephrite_dicom::{Listing, OtherFile, SeriesSummary, list};
use nephrite_types::{CancelToken, Progress, Stage, VOLUME_ENDINGS};
use nephrite_volume::{Reader, write_volume};
use serde::Serialize;

use crate::core::Core;
use crate::error::CoreError;
use crate::memory::ScanSize;

pub(crate) use fetch::fetch;

/// What a folder of DICOM files holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeriesListing {
    /// The folder, as the request named it.
    pub folder: String,
    /// Stacks of images, sorted by what they are called; those that cannot be read too.
    pub series: Vec<SeriesSummary>,
    /// Files that are no images, sorted.
    pub others: Vec<OtherFile>,
}

/// Lists the DICOM series of a folder from the headers of its files.
///
/// # Errors
/// [`CoreError::Path`], [`CoreError::Dicom`].
pub fn list_series(core: &Core, folder: &Path, cancel: &CancelToken) -> Result<SeriesListing, CoreError> {
    let name = folder.to_string_lossy();
    let rules = core.volumes().rules();
    let dir = core.root().open_folder(folder)?;
    let Listing { name, series, others } = list(&dir, &name, &rules.dicom, &rules.series, cancel)?;
    Ok(SeriesListing {
        folder: name,
        series: series.into_iter().map(|series| series.summary).collect(),
        others,
    })
}

/// A scan to be written as a file of another format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertRequest {
    /// A series of a folder of DICOM files, or a file.
    pub input: PathBuf,
    /// Where it goes; the name ends as one of [`VOLUME_ENDINGS`].
    pub output: PathBuf,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConvertReport {
    /// The result, as the request named it.
    pub output: String,
    /// Voxels, x, y, z.
    pub shape: [usize; 3],
    /// Millimeters, x, y, z.
    pub spacing: [f64; 3],
}

/// Writes a scan as the file that [`segment`](crate::segment) would take for the same scan: of a series, what dcm2niix writes.
///
/// # Errors
/// [`CoreError`]; no output file is left then.
pub fn convert(
    core: &Core,
    request: &ConvertRequest,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<ConvertReport, CoreError> {
    let output = core.open_output("output", &request.output, &VOLUME_ENDINGS)?;
    let fetched = fetch(core, [&request.input], &request.output, cancel)?;
    let path = &fetched.paths[0];
    let open = core.volumes().open_scan(path, cancel)?;
    if open.identity().is_replaced_by(core.root(), &output) {
        return Err(CoreError::OutputIsInput { path: output.path });
    }
    let rules = core.volumes().rules();
    let size = ScanSize::of(open.header(path, rules)?, Reader::SimpleItk)?;
    let _memory = core.reserve("converting", size.bytes, &[], None, cancel)?;
    progress.stage(Stage::Read);
    let (scan, _) = open.read(path, Reader::SimpleItk, rules, cancel)?;
    progress.stage(Stage::Write);
    write_volume(&output.folder, &output.file_name, &scan.volume, &scan.source)?;
    Ok(ConvertReport {
        output: output.path.display().to_string(),
        shape: size.geometry.shape.xyz(),
        spacing: size.geometry.spacing.xyz(),
    })
}
