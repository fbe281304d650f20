//! Brings a scan or a label map to another grid.

use std::path::PathBuf;

use nephrite_kernel::{LabelTable, OperationError, open_volume};
use nephrite_resample::{Interpolation, LabelInterpolation, ResizeTarget, resize_label_map, resize_volume};
use nephrite_root::OutputFile;
use nephrite_types::{CancelToken, Geometry, LabelMap, Limits, Progress, Stage, VOLUME_ENDINGS};
use nephrite_volume::{
    Reader, SourceGeometry, labels_from_volume, read_label_volume, write_label_map, write_volume,
};
use serde::Serialize;

use crate::core::Core;
use crate::error::CoreError;
use crate::memory::ScanSize;
use crate::objects::MaskFile;
use crate::series::fetch;

/// Of a label in memory, at most.
const LABEL_BYTES: usize = 2;

/// What a file holds, and how values between its voxels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResizeKind {
    /// Intensities.
    Volume(Interpolation),
    /// Label ids.
    LabelMap(LabelInterpolation),
}

/// A file to be resized.
#[derive(Debug, Clone, PartialEq)]
pub struct ResizeRequest {
    /// The scan or label map; of a label map also a DICOM segmentation.
    pub input: PathBuf,
    /// Where the result goes; the name ends as one of [`VOLUME_ENDINGS`].
    pub output: PathBuf,
    /// The grid wanted; the field of view stays.
    pub target: ResizeTarget,
    /// What the file holds.
    pub kind: ResizeKind,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResizeReport {
    /// The result, as the request named it.
    pub output: String,
    /// Voxels before, x, y, z.
    pub from_shape: [usize; 3],
    /// Voxels now, x, y, z.
    pub shape: [usize; 3],
    /// Millimeters between voxel centers now, x, y, z.
    pub spacing: [f64; 3],
}

/// What a resize holds at its peak, besides the process.
fn peak_bytes(header: &ScanSize, request: &ResizeRequest, limits: &Limits) -> Result<u64, CoreError> {
    let (scan, from) = (header.bytes, header.geometry.shape.zyx());
    let voxel_bytes = header.voxel_type.n_bytes();
    let to = request
        .target
        .geometry(&header.geometry, voxel_bytes, limits)?
        .shape;
    let n_target = to.n_voxels() as u64;
    let result = n_target.saturating_mul(voxel_bytes as u64);
    let between = match request.kind {
        ResizeKind::Volume(Interpolation::Nearest) => 0,
        // in f32 or f64, one array that shrinks or grows along z
        ResizeKind::Volume(_) => {
            let value = if header.voxel_type.computes_in_f32() { 4 } else { 8 };
            let [z, y, x] = to.zyx();
            (from[0].max(z) as u64).saturating_mul((y * x) as u64 * value)
        }
        // the map in its own type beside the volume that was read
        ResizeKind::LabelMap(_) => scan,
    };
    Ok(scan.saturating_add(result).saturating_add(between))
}

/// Reads, resizes and writes one file. Voxel type and intensity scale stay.
///
/// # Errors
/// [`CoreError`]; no output file is left then.
pub fn resize(
    core: &Core,
    request: &ResizeRequest,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<ResizeReport, CoreError> {
    let output = core.open_output("output", &request.output, &VOLUME_ENDINGS)?;
    let fetched = fetch(core, [&request.input], &request.output, cancel)?;
    let (path, limits) = (&fetched.paths[0], core.limits());
    let open = core.volumes().open_scan(path, cancel)?;
    if open.identity().is_replaced_by(core.root(), &output) {
        return Err(CoreError::OutputIsInput { path: output.path });
    }
    if let (ResizeKind::LabelMap(interpolation), None) = (request.kind, open.series()) {
        let file = MaskFile::open(core, path)?;
        if file.is_object() {
            return resize_object(core, file, request, interpolation, &output, progress, cancel);
        }
    }
    let rules = core.volumes().rules();
    let header = ScanSize::of(open.header(path, rules)?, Reader::SimpleItk)?;
    let needed = peak_bytes(&header, request, limits)?;
    let _memory = core.reserve("resizing", needed, &[], None, cancel)?;
    progress.stage(Stage::Read);
    let scan = match (request.kind, open.series()) {
        (ResizeKind::Volume(_), _) => open.read(path, Reader::SimpleItk, rules, cancel)?.0,
        (ResizeKind::LabelMap(_), None) => {
            let name = path.to_string_lossy();
            read_label_volume(
                open_volume::<CoreError>(core.root(), path)?,
                &name,
                Reader::SimpleItk,
                limits,
                cancel,
            )?
        }
        (ResizeKind::LabelMap(_), Some(_)) => {
            return Err(CoreError::Field {
                field: "input",
                expected: "a label map",
                found: "a series of images".into(),
            });
        }
    };
    let from = scan.volume.geometry;
    progress.stage(Stage::Preprocess);
    let geometry = match request.kind {
        ResizeKind::Volume(interpolation) => {
            let volume = resize_volume(&scan.volume, request.target, interpolation, limits, cancel)?;
            drop(scan.volume);
            progress.stage(Stage::Write);
            let source = SourceGeometry::from_geometry(&volume.geometry);
            write_volume(&output.folder, &output.file_name, &volume, &source)?;
            volume.geometry
        }
        ResizeKind::LabelMap(interpolation) => {
            let labels = labels_from_volume(&scan.volume).map_err(|source| CoreError::NotAMask {
                path: path.clone(),
                source,
            })?;
            let map = LabelMap {
                labels,
                geometry: from,
            };
            let map = resize_label_map(&map, request.target, interpolation, limits, cancel)?;
            progress.stage(Stage::Write);
            write_labels(&output, &map)?
        }
    };
    Ok(report(&output, &from, &geometry))
}

/// The same for a DICOM segmentation, which has the grid of its frames.
fn resize_object(
    core: &Core,
    file: MaskFile,
    request: &ResizeRequest,
    interpolation: LabelInterpolation,
    output: &OutputFile,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<ResizeReport, CoreError> {
    let (path, limits, names) = (&request.input, core.limits(), LabelTable::default());
    progress.stage(Stage::Read);
    let seen = file.look(core, path, &names, None, cancel);
    let seen = seen.map_err(|error| match error {
        CoreError::ContoursWithoutGrid { .. } => CoreError::Field {
            field: "input",
            expected: "a label map or a DICOM segmentation",
            found: "a structure set, which has contours and no voxels".into(),
        },
        error => error,
    })?;
    let size = seen.size();
    let mask = seen.read(core, path, &names, cancel, |_| Ok(()))?;
    let geometry = *mask.runs().geometry();
    let to = request.target.geometry(&geometry, LABEL_BYTES, limits)?.shape;
    let result = (to.n_voxels() * LABEL_BYTES) as u64; // compared with the limits
    let dense = size.dense_bytes().saturating_add(result);
    let needed = size.run_bytes().saturating_add(dense);
    let _memory = core.reserve("resizing", needed, &[], None, cancel)?;
    progress.stage(Stage::Preprocess);
    let labels = mask.runs().try_to_labels().map_err(OperationError::from)?;
    drop(mask);
    let map = LabelMap { labels, geometry };
    let map = resize_label_map(&map, request.target, interpolation, limits, cancel)?;
    progress.stage(Stage::Write);
    write_labels(output, &map)?;
    Ok(report(output, &geometry, &map.geometry))
}

/// Says where it lies.
fn write_labels(output: &OutputFile, map: &LabelMap) -> Result<Geometry, CoreError> {
    let source = SourceGeometry::from_geometry(&map.geometry);
    write_label_map(&output.folder, &output.file_name, &map.labels, &source)?;
    Ok(map.geometry)
}

fn report(output: &OutputFile, from: &Geometry, to: &Geometry) -> ResizeReport {
    ResizeReport {
        output: output.path.display().to_string(),
        from_shape: from.shape.xyz(),
        shape: to.shape.xyz(),
        spacing: to.spacing.xyz(),
    }
}
