//! Reads structure sets from outside as masks on the voxels of a series, or of another grid.

use std::collections::BTreeMap;

use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use nephrite_dicom::DicomObject;
use nephrite_mask_codec::Mask;
use nephrite_types::Geometry;

use super::fill::{Point, fill};
use super::slices::Slices;
use crate::attributes::{fault, items, number, text, text_opt};
use crate::layers_in::{PlacedRun, layered, unique_names};
use crate::reslice::reslice;
use crate::stack::Stack;
use crate::vector::{cross, dot, subtract};
use crate::{ObjectError, ObjectLimits, ObjectWarning};

/// How far from its slice a point may lie, in steps from slice to slice.
const MAX_OFF_STEPS: f64 = 0.1;

/// How far from the first voxel of its slice a point may lie, in voxels.
const MAX_COORDINATE: f64 = 1e6;

/// What contours mean that a reader cannot tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nested {
    /// CLOSED_PLANAR contours of one region that overlap in one slice are refused: some programs mean holes by them, others do not.
    #[default]
    Refuse,
    /// What lies in any of them counts.
    Union,
    /// What lies in an odd number of them counts.
    Xor,
}

/// How structure sets are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StructureSetOptions {
    /// Contours in contours.
    pub nested: Nested,
}

/// A region as its object describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionInfo {
    /// ROI number as in the file.
    pub roi_number: u64,
    /// Its id in its mask, by its place in the file from 1.
    pub id: u16,
    /// Its name there: the ROI name, made unique.
    pub name: String,
}

/// A structure set that was read.
#[derive(Debug, Clone)]
pub struct StructureSetIn {
    /// Its regions; those without a voxel, too.
    pub regions: Vec<RegionInfo>,
    /// Masks on the voxels of the slices, or of the grid that was asked for; more than one if regions overlap.
    pub masks: Vec<Mask>,
    /// What its user should know.
    pub warnings: Vec<ObjectWarning>,
}

/// Reads the closed contours of a structure set on the voxels of its slices, or, with `onto`, on a grid of the same voxels.
///
/// A voxel belongs to a region if its center lies within a contour, or on it. Without `onto`, masks lie on the slices in ascending
/// order along their normal.
///
/// # Errors
/// [`ObjectError`]: another frame of reference, contours that lie on no slice, and what else is wrong.
pub fn read_structure_set(
    file: &DicomObject,
    slices: Slices<'_>,
    onto: Option<&Geometry>,
    options: StructureSetOptions,
    limits: &ObjectLimits,
) -> Result<StructureSetIn, ObjectError> {
    let object = &file.header.object;
    let class = text(object, tags::SOP_CLASS_UID)?;
    if class != uids::RT_STRUCTURE_SET_STORAGE {
        return Err(fault(
            tags::SOP_CLASS_UID,
            format!("is {class}, which is no structure set"),
        ));
    }
    let regions = regions_of(object, slices.frame_of_reference_uid(), limits)?;
    let stack = slices.stack(object, limits)?;
    let mut reader = Reader {
        stack: &stack,
        options,
        limits,
        n_contours: 0,
        n_points: 0,
        runs: Vec::new(),
        warnings: Vec::new(),
    };
    let by_number: BTreeMap<u64, &RegionInfo> = regions.iter().map(|info| (info.roi_number, info)).collect();
    let mut seen = std::collections::BTreeSet::new();
    for item in items(object, tags::ROI_CONTOUR_SEQUENCE) {
        let roi = number(item, tags::REFERENCED_ROI_NUMBER)?;
        let region = by_number.get(&roi);
        let region = region.ok_or_else(|| {
            fault(
                tags::REFERENCED_ROI_NUMBER,
                format!("is {roi}, which is no region"),
            )
        })?;
        if !seen.insert(roi) {
            return Err(fault(
                tags::REFERENCED_ROI_NUMBER,
                format!("{roi} is there twice"),
            ));
        }
        reader.region(item, region)?;
    }
    let names = regions.iter().map(|info| (info.id, info.name.clone())).collect();
    let (runs, warnings) = (reader.runs, reader.warnings);
    let mut masks = layered(runs, &stack.geometry, &names, limits)?;
    if let Some(onto) = onto {
        for mask in &mut masks {
            let moved = reslice(mask.runs(), onto, &limits.mask)?;
            *mask = Mask::new(moved, mask.labels().clone())?;
        }
    }
    Ok(StructureSetIn {
        regions,
        masks,
        warnings,
    })
}

fn regions_of(
    object: &InMemDicomObject,
    frame_of_reference_uid: Option<&str>,
    limits: &ObjectLimits,
) -> Result<Vec<RegionInfo>, ObjectError> {
    let found = items(object, tags::STRUCTURE_SET_ROI_SEQUENCE);
    ObjectError::check(
        "regions",
        found.len() as u64,
        limits.max_segments.min(usize::from(u16::MAX)) as u64,
    )?;
    let mut regions = Vec::new();
    let mut first_frame: Option<String> = None;
    let mut seen = std::collections::BTreeSet::new();
    for (item, id) in found.iter().zip(1u16..) {
        let roi_number = number(item, tags::ROI_NUMBER)?;
        if !seen.insert(roi_number) {
            return Err(fault(tags::ROI_NUMBER, format!("{roi_number} is there twice")));
        }
        let frame = text(item, tags::REFERENCED_FRAME_OF_REFERENCE_UID)?;
        let expected = match frame_of_reference_uid {
            Some(of_series) => (of_series, "that of the series"),
            None => (
                first_frame.get_or_insert_with(|| frame.clone()).as_str(),
                "that of another region",
            ),
        };
        if frame != expected.0 {
            let reason = format!("of region {roi_number} is {frame}, {} {}", expected.1, expected.0);
            return Err(fault(tags::REFERENCED_FRAME_OF_REFERENCE_UID, reason));
        }
        let name = text_opt(item, tags::ROI_NAME)?.unwrap_or_default();
        regions.push(RegionInfo { roi_number, id, name });
    }
    let mut names = unique_names(regions.iter().map(|info| (info.id, info.name.clone())));
    for info in &mut regions {
        info.name = names.remove(&info.id).unwrap_or_default();
    }
    Ok(regions)
}

struct Reader<'a> {
    stack: &'a Stack,
    options: StructureSetOptions,
    limits: &'a ObjectLimits,
    n_contours: u64,
    n_points: u64,
    runs: Vec<PlacedRun>,
    warnings: Vec<ObjectWarning>,
}

impl Reader<'_> {
    fn region(&mut self, item: &InMemDicomObject, region: &RegionInfo) -> Result<(), ObjectError> {
        let contours = items(item, tags::CONTOUR_SEQUENCE);
        self.n_contours += contours.len() as u64;
        ObjectError::check("contours", self.n_contours, self.limits.max_contours)?;
        let mut by_frame: BTreeMap<usize, Vec<Vec<Point>>> = BTreeMap::new();
        let (mut n_xor, mut n_planar, mut n_short, mut n_open) = (0, 0, 0, 0);
        for contour in contours {
            match text(contour, tags::CONTOUR_GEOMETRIC_TYPE)?.as_str() {
                "CLOSED_PLANAR" => n_planar += 1,
                "CLOSEDPLANAR_XOR" => n_xor += 1,
                "POINT" | "OPEN_PLANAR" | "OPEN_NONPLANAR" => {
                    n_open += 1;
                    continue;
                }
                other => {
                    return Err(fault(
                        tags::CONTOUR_GEOMETRIC_TYPE,
                        format!("of {:?} is {other:?}", region.name),
                    ));
                }
            }
            match self.contour(contour, &region.name)? {
                Some((frame, line)) => by_frame.entry(frame).or_default().push(line),
                None => n_short += 1,
            }
        }
        if n_xor > 0 && n_planar > 0 {
            let reason = format!(
                "of {:?} is CLOSED_PLANAR and CLOSEDPLANAR_XOR, which do not mix",
                region.name
            );
            return Err(fault(tags::CONTOUR_GEOMETRIC_TYPE, reason));
        }
        let roi = || region.name.clone();
        if n_short > 0 {
            self.warnings.push(ObjectWarning::ShortContours {
                roi: roi(),
                n: n_short,
            });
        }
        if n_open > 0 {
            self.warnings.push(ObjectWarning::OpenContours {
                roi: roi(),
                n: n_open,
            });
        }
        if let (Some((first, _)), Some((last, _))) = (by_frame.first_key_value(), by_frame.last_key_value()) {
            let n = last - first + 1 - by_frame.len();
            if n > 0 {
                self.warnings.push(ObjectWarning::SlicesBetween { roi: roi(), n });
            }
        }
        let nested = if n_xor > 0 {
            Nested::Xor
        } else {
            self.options.nested
        };
        for (frame, lines) in by_frame {
            self.fill_frame(frame, &lines, nested, region)?;
        }
        Ok(())
    }

    /// Frame and points of a contour; `None` if it has fewer than three.
    fn contour(
        &mut self,
        item: &InMemDicomObject,
        roi: &str,
    ) -> Result<Option<(usize, Vec<Point>)>, ObjectError> {
        let n_points = number(item, tags::NUMBER_OF_CONTOUR_POINTS)?;
        self.n_points = self.n_points.saturating_add(n_points);
        ObjectError::check("points of contours", self.n_points, self.limits.max_points)?;
        let of = |reason: &str| fault(tags::CONTOUR_DATA, format!("of {roi:?} {reason}"));
        let element = item.get(tags::CONTOUR_DATA).ok_or_else(|| of("is missing"))?;
        let values = element
            .to_multi_float64()
            .map_err(|_| of("is no list of numbers"))?;
        if values.len() as u64 != n_points.saturating_mul(3) || !values.iter().all(|value| value.is_finite())
        {
            return Err(of("has not three finite numbers for each point"));
        }
        if n_points < 3 {
            return Ok(None);
        }
        let stack = self.stack;
        let normal = cross(stack.row_direction, stack.column_direction);
        let (points, _) = values.as_chunks::<3>();
        let along = dot(normal, subtract(points[0], stack.frames[0].position)) / stack.spacing[2];
        let frame = along.round().clamp(0.0, (stack.frames.len() - 1) as f64) as usize;
        let origin = stack.frames[frame].position;
        let mut line = Vec::with_capacity(points.len());
        for point in points {
            let offset = subtract(*point, origin);
            if dot(normal, offset).abs() > MAX_OFF_STEPS * stack.spacing[2] {
                return Err(of("lies on no slice of the scan"));
            }
            let row = dot(offset, stack.column_direction) / stack.spacing[0];
            let column = dot(offset, stack.row_direction) / stack.spacing[1];
            // Also what is no number any more.
            if !(row.abs() <= MAX_COORDINATE && column.abs() <= MAX_COORDINATE) {
                return Err(of("lies far outside its slice"));
            }
            line.push((row, column));
        }
        Ok(Some((frame, line)))
    }

    fn fill_frame(
        &mut self,
        frame: usize,
        lines: &[Vec<Point>],
        nested: Nested,
        region: &RegionInfo,
    ) -> Result<(), ObjectError> {
        let [_, rows, columns] = self.stack.geometry.shape.zyx();
        let runs = match nested {
            Nested::Xor => fill(lines, [rows, columns])?,
            Nested::Union | Nested::Refuse => {
                let mut all = Vec::new();
                for line in lines {
                    all.extend(fill(std::slice::from_ref(line), [rows, columns])?);
                }
                all.sort_unstable();
                let overlaps = |pair: &[(u32, u32, u32)]| pair[0].0 == pair[1].0 && pair[0].2 > pair[1].1;
                if nested == Nested::Refuse && all.windows(2).any(overlaps) {
                    let reason = format!(
                        "of {:?} overlap in one slice, which some programs mean as holes and others do not: say which",
                        region.name
                    );
                    return Err(ObjectError::object("CLOSED_PLANAR contours", reason));
                }
                all
            }
        };
        let n = (self.runs.len() + runs.len()) as u64;
        ObjectError::check("runs of the structure set", n, self.limits.mask.max_mask_runs)?;
        let placed = runs.into_iter().map(|(row, start, end)| PlacedRun {
            row: (frame * rows) as u32 + row, // the rows of the grid are below a limit
            start,
            end,
            label: region.id,
        });
        self.runs.extend(placed);
        Ok(())
    }
}
