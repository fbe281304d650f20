//! The part of a scan that a model looks at, in the order of the file and in that of the model's reader.

use std::path::Path;

use nephrite_kernel::{Run, RunMask, RunMaskBuilder};
use nephrite_types::{BoundingBox, Geometry, GeometryError, Labels, Limits};
use nephrite_volume::{Orientation, Reader, World};

use super::WorldBox;
use super::grid::mask_error;
use crate::error::CoreError;
use crate::memory::ScanSize;

/// The part of a scan that a model looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// What masks of the scan lie on: the voxels in the order of the file, in the world of the run.
    pub(crate) frame: Geometry,
    /// The part, `[z, y, x]` of the file.
    pub(super) in_file: BoundingBox,
    /// The same, `[z, y, x]` of the reader.
    pub(super) bounds: BoundingBox,
    /// From the file's axes to the reader's.
    pub(super) orientation: Orientation,
    /// The whole scan as the reader sees it.
    scan: Geometry,
}

impl Part {
    /// # Errors
    /// [`CoreError::CropOutside`]; what the header says.
    pub(super) fn new(
        scan: &ScanSize,
        reader: Reader,
        world: World,
        crop: Option<&WorldBox>,
        path: &Path,
    ) -> Result<Part, CoreError> {
        let frame = scan.header.frame(world)?;
        let orientation = scan.header.orientation(reader)?;
        let in_file = match crop {
            None => BoundingBox::full(frame.shape.zyx()),
            Some(crop) => crop.on(&frame).ok_or_else(|| CoreError::CropOutside {
                path: path.to_owned(),
            })?,
        };
        Ok(Part {
            frame,
            in_file,
            bounds: orientation.box_to_ras(&in_file, frame.shape.zyx()),
            orientation,
            scan: scan.geometry,
        })
    }

    pub(super) fn is_whole(&self) -> bool {
        self.bounds == BoundingBox::full(self.scan.shape.zyx())
    }

    /// As the reader sees it; its spacing is what the network takes for the scan's.
    pub(super) fn grid(&self) -> Result<Geometry, CoreError> {
        self.scan.crop(&self.bounds).map_err(outside)
    }

    /// A prediction for this part as a mask on the whole frame.
    pub(super) fn whole_mask(&self, labels: Labels, limits: &Limits) -> Result<RunMask, CoreError> {
        let geometry = self.frame;
        let labels = self.orientation.labels_to_file(labels);
        if self.is_whole() {
            return RunMask::from_labels(&labels, &geometry, limits).map_err(mask_error);
        }
        let part_geometry = geometry.crop(&self.in_file).map_err(outside)?;
        let part = RunMask::from_labels(&labels, &part_geometry, limits).map_err(mask_error)?;
        let mut builder = RunMaskBuilder::new(geometry, limits).map_err(mask_error)?;
        let ny = geometry.shape.zyx()[1];
        let [_, part_ny, _] = part.shape();
        let [z0, y0, x0] = self.in_file.start;
        for (row, runs) in part.rows().enumerate() {
            if runs.is_empty() {
                continue;
            }
            let (z, y) = (row / part_ny + z0, row % part_ny + y0);
            let moved = runs.iter().map(|run| Run {
                start: run.start + x0 as u32, // a mask's rows fit
                end: run.end + x0 as u32,
                label: run.label,
            });
            builder.skip_to_row(z * ny + y).map_err(mask_error)?;
            builder.push_row(moved).map_err(mask_error)?;
        }
        builder.skip_to_row(part_rows(&geometry)).map_err(mask_error)?;
        builder.finish().map_err(mask_error)
    }
}

fn part_rows(geometry: &Geometry) -> usize {
    let [nz, ny, _] = geometry.shape.zyx();
    nz * ny
}

pub(super) fn outside(_: GeometryError) -> CoreError {
    CoreError::CropOutside {
        path: std::path::PathBuf::new(), // bounds are within the scan and not empty
    }
}
