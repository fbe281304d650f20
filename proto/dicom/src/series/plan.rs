//! How the images of one stack become an array: checked in order, from what they are to where they lie.

use dicom_dictionary_std::uids;
use nephrite_types::{IntensityScale, VoxelType};

use super::axes::ArrayAxes;
use super::headed::Headed;
use super::model::{Plan, PlannedSlice, PlannedTilt, SourceSlice};
use super::options::{Duplicates, FrameOfReference, Layout, SeriesOptions};
use super::placed::{Placed, Plane, place};
use super::stack::Image;
use crate::file_error::FileFault;
use crate::series_fault::{DuplicatePixels, SeriesFault};

/// Nothing of a patient lies farther from its origin, mm.
const FARTHEST_MM: f64 = 1e6;

/// Lower than what is measured in a CT.
const AIR_HU: f32 = -1024.0;

/// Photographs and drawings.
const CAPTURES: &[&str] = &[
    uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_SINGLE_BIT_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
];

pub(super) struct Context<'a> {
    pub(super) stack: &'a [Image<'a>],
    pub(super) reads: &'a [Headed],
    /// Of the files of the stack, sorted.
    pub(super) indices: &'a [usize],
    pub(super) options: &'a SeriesOptions,
}

impl Context<'_> {
    fn name(&self, image: &Image<'_>) -> String {
        let name = &self.reads[image.file].name;
        if image.of.frames.len() > 1 {
            format!("{name} frame {}", image.frame.number)
        } else {
            name.clone()
        }
    }

    /// The files of images that are so.
    fn those(&self, is: impl Fn(&Image<'_>) -> bool) -> Vec<String> {
        self.stack
            .iter()
            .filter(|image| is(image))
            .map(|image| self.name(image))
            .collect()
    }

    /// The first that holds something; `fault` makes the fault of the files.
    fn none(
        &self,
        is: impl Fn(&Image<'_>) -> bool,
        fault: impl Fn(Vec<String>) -> SeriesFault,
    ) -> Result<(), SeriesFault> {
        let files = self.those(is);
        if files.is_empty() {
            Ok(())
        } else {
            Err(fault(files))
        }
    }

    pub(super) fn plan(&self, broken: Option<&SeriesFault>) -> Result<Plan, SeriesFault> {
        self.kind()?;
        if let Some(broken) = broken {
            return Err(broken.clone());
        }
        self.pixels()?;
        self.instances()?;
        let scale = self.scales()?;
        let placed = place(&self.planes()?, self.options)?;
        self.finish(&placed, scale)
    }

    /// Is it a scan at all?
    fn kind(&self) -> Result<(), SeriesFault> {
        let modalities = &self.options.modalities;
        let modality = &self.stack[0].of.modality;
        self.none(
            |image| image.of.is_localizer(),
            |files| SeriesFault::Localizer { files },
        )?;
        self.none(
            |image| CAPTURES.contains(&image.of.sop_class.as_str()),
            |files| SeriesFault::SecondaryCapture {
                what: "by their SOP class",
                files,
            },
        )?;
        if !modalities.contains(modality) {
            return Err(SeriesFault::WrongModality {
                modality: modality.clone(),
                expected: modalities.join(", "),
            });
        }
        self.none(
            |image| image.of.has_burned_in,
            |files| SeriesFault::SecondaryCapture {
                what: "annotations are burned in",
                files,
            },
        )?;
        if self.options.frame_of_reference == FrameOfReference::Require {
            self.none(
                |image| image.of.frame_of_reference.is_none(),
                |files| SeriesFault::NoFrameOfReference { files },
            )?;
        }
        Ok(())
    }

    /// Can pixels be decoded, and made intensities of?
    fn pixels(&self) -> Result<(), SeriesFault> {
        let fault = |image: &Image<'_>| -> Option<FileFault> {
            let read = &self.reads[image.file];
            let fault = read.unsupported.clone().or_else(|| image.of.format.clone().err());
            fault.or_else(|| image.frame.fault.clone())
        };
        if let Some((image, fault)) = self.stack.iter().find_map(|image| Some((image, fault(image)?))) {
            return Err(SeriesFault::File {
                file: self.name(image),
                fault,
            });
        }
        let differs = |a: &Image<'_>, b: &Image<'_>| match (&a.of.format, &b.of.format) {
            (Ok(a), Ok(b)) => (a.rows, a.columns) != (b.rows, b.columns),
            _ => true,
        };
        let first = &self.stack[0];
        self.none(
            |image| differs(image, first),
            |files| SeriesFault::MixedMatrix {
                what: "rows or columns",
                files,
            },
        )?;
        let frames = |image: &Image<'_>| {
            image
                .of
                .format
                .as_ref()
                .map_or(0, |format| format.frames as usize)
        };
        self.none(
            |image| frames(image) != image.of.frames.len(),
            |files| SeriesFault::Geometry {
                attribute: "PerFrameFunctionalGroupsSequence (5200,9230)",
                what: "does not have an item for each frame",
                files,
            },
        )?;
        self.none(
            |image| image.frame.has_lut,
            |files| SeriesFault::ModalityLut { files },
        )
    }

    /// One file for each instance.
    fn instances(&self) -> Result<(), SeriesFault> {
        let instance = |index: &usize| (&self.reads[*index].image.sop_instance, &self.reads[*index].name);
        let mut all: Vec<(&String, &String)> = self.indices.iter().map(instance).collect();
        all.sort();
        // Files that were made anonymous may have none.
        match all
            .windows(2)
            .find(|pair| pair[0].0 == pair[1].0 && !pair[0].0.is_empty())
        {
            Some(pair) if self.options.duplicates == Duplicates::Refuse => Err(SeriesFault::SameInstance {
                uid: pair[0].0.clone(),
                files: vec![pair[0].1.clone(), pair[1].1.clone()],
            }),
            _ => Ok(()),
        }
    }

    /// Slope and intercept of each image.
    fn scales(&self) -> Result<Vec<IntensityScale>, SeriesFault> {
        let bad = |what| move |files| SeriesFault::BadRescale { what, files };
        let is_ct = self.stack[0].of.modality == "CT";
        let has = |image: &Image<'_>| (image.frame.slope.is_some(), image.frame.intercept.is_some());
        // A CT without them is in no unit; of MR they are optional.
        self.none(
            |image| is_ct && has(image) != (true, true),
            bad("are missing in a CT"),
        )?;
        self.none(|image| has(image).0 != has(image).1, bad("are not there both"))?;
        self.none(|image| image.frame.slope == Some(0.0), bad("have slope 0"))?;
        Ok(self
            .stack
            .iter()
            .map(|image| IntensityScale {
                slope: image.frame.slope.unwrap_or(1.0),
                inter: image.frame.intercept.unwrap_or(0.0),
            })
            .collect())
    }

    fn planes(&self) -> Result<Vec<Plane>, SeriesFault> {
        let missing = |attribute| {
            move |files| SeriesFault::Geometry {
                attribute,
                what: "is missing",
                files,
            }
        };
        self.none(
            |i| i.frame.position.is_none(),
            missing("ImagePositionPatient (0020,0032)"),
        )?;
        self.none(
            |i| i.frame.orientation.is_none(),
            missing("ImageOrientationPatient (0020,0037)"),
        )?;
        self.none(|i| i.frame.spacing.is_none(), missing("PixelSpacing (0028,0030)"))?;
        self.none(
            |i| {
                i.frame
                    .spacing
                    .is_some_and(|spacing| spacing.iter().any(|&mm| mm <= 0.0))
            },
            |files| SeriesFault::Geometry {
                attribute: "PixelSpacing (0028,0030)",
                what: "is not positive",
                files,
            },
        )?;
        let is_far = |values: &[f64]| values.iter().any(|mm| mm.abs() > FARTHEST_MM);
        self.none(
            |i| {
                i.frame.position.is_some_and(|at| is_far(&at))
                    || i.frame.spacing.is_some_and(|mm| is_far(&mm))
            },
            |files| SeriesFault::Geometry {
                attribute: "ImagePositionPatient (0020,0032) or PixelSpacing (0028,0030)",
                what: "is more than a kilometer",
                files,
            },
        )?;
        let plane = |(index, image): (usize, &Image<'_>)| {
            Some(Plane {
                index,
                file: self.name(image),
                position: image.frame.position?,
                orientation: image.frame.orientation?,
                spacing: image.frame.spacing?,
            })
        };
        Ok(self.stack.iter().enumerate().filter_map(plane).collect())
    }

    /// Images that lie where others lie, if they are refused: pairs of files.
    pub(super) fn duplicates(&self, plan: &Plan) -> Option<SeriesFault> {
        if plan.twice.is_empty() || self.options.duplicates != Duplicates::Refuse {
            return None;
        }
        let name = |slice: &PlannedSlice| self.reads[self.indices[slice.file]].name.clone();
        let pairs = plan
            .twice
            .iter()
            .flat_map(|(image, rank)| [name(&plan.slices[*rank]), name(image)]);
        Some(SeriesFault::DuplicatePosition {
            n: plan.twice.len(),
            pixels: DuplicatePixels::Unread,
            files: pairs.collect(),
        })
    }

    fn finish(&self, placed: &Placed, scales: Vec<IntensityScale>) -> Result<Plan, SeriesFault> {
        let first = &self.stack[placed.order[0]];
        let format = first.of.format.clone().map_err(|fault| SeriesFault::File {
            file: self.name(first),
            fault,
        })?;
        let no_grid = |_| SeriesFault::Geometry {
            attribute: "ImagePositionPatient (0020,0032)",
            what: "makes no grid",
            files: vec![self.name(first)],
        };
        let [rows_before, rows] = placed.rows(format.rows);
        let shape = [placed.order.len(), rows as usize, format.columns as usize];
        let mut axes = ArrayAxes::slices(shape);
        let mut geometry = placed.grid(format.rows, format.columns).map_err(no_grid)?;
        let is_three_d = self
            .stack
            .iter()
            .all(|image| image.of.is_three_d && image.of.modality == "MR");
        if self.options.layout == Layout::Dcm2niix && is_three_d {
            (axes, geometry) = axes.to_ras(&geometry).map_err(no_grid)?;
        }
        let one_scale = scales.iter().all(|scale| *scale == scales[0]);
        let signs: Vec<bool> = self
            .stack
            .iter()
            .filter_map(|i| i.of.format.as_ref().ok().map(|f| f.signed))
            .collect();
        let one_sign = signs.iter().all(|&sign| sign == signs[0]);
        let is_stored = one_scale && one_sign && placed.tilt_rows.is_none();
        let (voxel_type, scale) = match (is_stored, signs[0]) {
            (false, _) => (VoxelType::F32, IntensityScale::IDENTITY),
            (true, true) => (VoxelType::I16, scales[0]),
            (true, false) => (VoxelType::U16, scales[0]),
        };
        let slice = |index: usize| {
            let image = &self.stack[index];
            PlannedSlice {
                file: self.indices.binary_search(&image.file).unwrap_or(0),
                frame: image.frame.number,
                scale: scales[index],
                source: SourceSlice {
                    sop_class: image.of.sop_class.clone(),
                    sop_instance: image.of.sop_instance.clone(),
                    frame: (image.of.frames.len() > 1).then_some(image.frame.number),
                    position: image.frame.position.unwrap_or_default(),
                    row_direction: placed.row,
                    column_direction: placed.column,
                    spacing: placed.spacing,
                    rows: format.rows,
                    columns: format.columns,
                },
            }
        };
        let mut ranks = vec![0; self.stack.len()];
        placed
            .order
            .iter()
            .enumerate()
            .for_each(|(rank, &index)| ranks[index] = rank);
        let tilt = placed.tilt_rows.map(|by| PlannedTilt {
            rows_before: f64::from(rows_before),
            by,
            fill: self.outside(first),
        });
        Ok(Plan {
            slices: placed.order.iter().map(|&index| slice(index)).collect(),
            twice: placed
                .twice
                .iter()
                .map(|&(index, other)| (slice(index), ranks[other]))
                .collect(),
            geometry,
            axes,
            voxel_type,
            scale,
            tilt,
        })
    }

    /// The intensity where nothing was measured.
    fn outside(&self, image: &Image<'_>) -> f32 {
        let scale = |padding: i64| {
            padding as f64 * image.frame.slope.unwrap_or(1.0) + image.frame.intercept.unwrap_or(0.0)
        };
        match (image.of.padding, image.of.modality.as_str()) {
            (Some(padding), _) => scale(padding) as f32,
            (None, "CT") => AIR_HU,
            (None, _) => 0.0,
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.stack.iter().any(|image| image.of.is_lossy) {
            notes.push("images were compressed with loss".to_owned());
        }
        if self.stack.iter().any(|image| image.of.has_philips_scale) {
            notes.push("the private scale of Philips (2005,100E) is not applied".to_owned());
        }
        if self.stack.iter().any(|image| image.of.padding.is_some()) {
            notes.push("voxels outside of the field of view keep PixelPaddingValue (0028,0120)".to_owned());
        }
        notes.extend(self.jumps());
        notes
    }

    /// Instance numbers that are not there: the first or last slices may be missing, which positions do not show.
    fn jumps(&self) -> Option<String> {
        let numbers: Option<Vec<i64>> = self
            .stack
            .iter()
            .map(|image| image.frame.instance_number)
            .collect();
        let mut numbers = numbers?;
        numbers.sort_unstable();
        numbers.dedup();
        let (first, last) = (*numbers.first()?, *numbers.last()?);
        let is_whole = last.checked_sub(first)?.checked_add(1)? == numbers.len() as i64;
        // Frames of one file share its number.
        let is_one_each = numbers.len() == self.stack.len();
        (is_one_each && !is_whole).then(|| {
            let n = numbers.len();
            format!(
                "instance numbers go from {first} to {last}, and there are {n} images: some may be missing"
            )
        })
    }
}
