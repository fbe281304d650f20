//! Writes masks as a structure set: closed contours along the edges of voxels.

use std::io::Write;

use dicom_dictionary_std::{tags, uids};

use super::keyhole::with_keyholes;
use super::trace::{Corner, outlines, turning_points};
use crate::color::rgb_of;
use crate::decimal::decimal_mm;
use crate::file::write_file;
use crate::item::{Item, code_item};
use crate::layers::Layers;
use crate::modules::{Identity, Kind, common, frame_of_reference, instances, reference};
use crate::request::{ObjectRequest, Segment, Segments, Written};
use crate::text::cut;
use crate::{ObjectError, ObjectWarning};

/// How holes are told; readers of structure sets differ in what they understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holes {
    /// Outline and hole are one contour, joined by a channel without width: CLOSED_PLANAR, which every reader fills rightly.
    Keyhole,
    /// A contour of its own, CLOSEDPLANAR_XOR: voxels in an odd number of contours count.
    Xor,
}

fn kind_of(holes: Holes) -> Kind {
    Kind {
        sop_class_uid: uids::RT_STRUCTURE_SET_STORAGE,
        modality: "RTSTRUCT",
        role: match holes {
            Holes::Keyhole => "rtstruct",
            Holes::Xor => "rtstruct-xor",
        },
    }
}

/// Detached Study Management, a retired class by which structure sets refer to a study.
const STUDY_CLASS: &str = "1.2.840.10008.3.1.2.3.1";

/// Writes the labels of a request as one RT Structure Set to `out`. The same request gives the same bytes.
///
/// Labels without a voxel are left out, and named in what is returned. The file has implicit types: a contour of more than a
/// thousand points does not fit the 16-bit length of an explicit decimal string.
///
/// *Cost*: runs, and all contours as text, in memory.
///
/// # Errors
/// [`ObjectError`]; nothing that was written may be kept then.
pub fn write_structure_set(
    request: &ObjectRequest<'_>,
    holes: Holes,
    out: &mut impl Write,
) -> Result<Written, ObjectError> {
    let kind = kind_of(holes);
    let segments = Segments::of(request)?;
    let layers = Layers::of(request)?;
    let mut warnings = segments.warnings.clone();
    let identity = Identity::of(kind, request, &mut warnings);
    let mut contours = Contours {
        layers: &layers,
        request,
        holes,
        n_contours: 0,
        n_points: 0,
    };
    let of_regions: Vec<Item> = segments
        .present
        .iter()
        .map(|segment| contours.region(segment))
        .collect::<Result<_, _>>()?;
    let item = common(kind, request, &identity, &segments.present, "")?;
    let item = frame_of_reference(item, request.source)
        .text(tags::OPERATORS_NAME, "")
        .text(tags::STRUCTURE_SET_LABEL, "NEPHRITE")
        .text(tags::STRUCTURE_SET_NAME, request.description)
        .text(tags::STRUCTURE_SET_DATE, identity.date.as_str())
        .text(tags::STRUCTURE_SET_TIME, identity.time.as_str())
        .text(tags::APPROVAL_STATUS, "UNAPPROVED")
        .sequence(
            tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE,
            [referenced_frame(request)],
        )
        .sequence(
            tags::STRUCTURE_SET_ROI_SEQUENCE,
            segments
                .present
                .iter()
                .map(|segment| region_item(request, segment, &mut warnings)),
        )
        .sequence(tags::ROI_CONTOUR_SEQUENCE, of_regions)
        .sequence(
            tags::RTROI_OBSERVATIONS_SEQUENCE,
            segments.present.iter().map(observation),
        );
    let uid = &identity.sop_instance_uid;
    write_file(
        out,
        &item.into_object(),
        kind.sop_class_uid,
        uid,
        uids::IMPLICIT_VR_LITTLE_ENDIAN,
    )?;
    Ok(Written {
        sop_class_uid: kind.sop_class_uid.to_owned(),
        sop_instance_uid: identity.sop_instance_uid,
        series_uid: identity.series_uid,
        numbers: segments.numbers(),
        absent: segments.absent,
        warnings,
    })
}

/// Which images the contours lie on. Source: PS3.3 C.8.8.5.
fn referenced_frame(request: &ObjectRequest<'_>) -> Item {
    let source = request.source;
    let study = source.study.get(tags::STUDY_INSTANCE_UID);
    let study = study
        .and_then(|element| element.to_str().ok())
        .unwrap_or_default();
    let series = Item::new()
        .text(tags::SERIES_INSTANCE_UID, source.series_uid.as_str())
        .sequence(
            tags::CONTOUR_IMAGE_SEQUENCE,
            instances(source).into_iter().map(reference),
        );
    let study = reference((STUDY_CLASS, study.trim_end_matches(['\0', ' '])));
    Item::new()
        .text(
            tags::FRAME_OF_REFERENCE_UID,
            source.frame_of_reference_uid.as_str(),
        )
        .sequence(
            tags::RT_REFERENCED_STUDY_SEQUENCE,
            [study.sequence(tags::RT_REFERENCED_SERIES_SEQUENCE, [series])],
        )
}

fn region_item(request: &ObjectRequest<'_>, segment: &Segment, warnings: &mut Vec<ObjectWarning>) -> Item {
    Item::new()
        .text(tags::ROI_NUMBER, segment.number.to_string())
        .text(
            tags::REFERENCED_FRAME_OF_REFERENCE_UID,
            request.source.frame_of_reference_uid.as_str(),
        )
        .text(tags::ROI_NAME, cut(&segment.name, "ROIName", false, warnings))
        .text(tags::ROI_GENERATION_ALGORITHM, "AUTOMATIC")
}

/// Source: PS3.3 C.8.8.8.
fn observation(segment: &Segment) -> Item {
    Item::new()
        .text(tags::OBSERVATION_NUMBER, segment.number.to_string())
        .text(tags::REFERENCED_ROI_NUMBER, segment.number.to_string())
        .sequence(
            tags::RTROI_IDENTIFICATION_CODE_SEQUENCE,
            [code_item(&segment.codes.property_type)],
        )
        .text(tags::RTROI_INTERPRETED_TYPE, "")
        .text(tags::ROI_INTERPRETER, "")
}

/// Makes contours, and counts them.
struct Contours<'a> {
    layers: &'a Layers,
    request: &'a ObjectRequest<'a>,
    holes: Holes,
    n_contours: u64,
    n_points: u64,
}

impl Contours<'_> {
    /// All contours of a label, frame by frame. Source: PS3.3 C.8.8.6.
    fn region(&mut self, segment: &Segment) -> Result<Item, ObjectError> {
        let frames = self.layers.frames_of(segment.layer, segment.id);
        let mut lines = Vec::new();
        let mut has_xor = false;
        for frame in frames {
            let of_label = |row: usize, run: &nephrite_mask_codec::Run| {
                (run.label == segment.id).then_some((row as u32, run.start, run.end)) // 65535 rows at most
            };
            let rows = self.layers.rows(segment.layer, frame);
            let runs: Vec<_> = rows
                .flat_map(|(row, runs)| runs.iter().filter_map(move |run| of_label(row, run)))
                .collect();
            let found = outlines(&runs);
            let of_frame = match self.holes {
                Holes::Keyhole => with_keyholes(&found),
                Holes::Xor => {
                    has_xor |= found.iter().any(|outline| outline.is_hole);
                    found.into_iter().map(|outline| outline.corners).collect()
                }
            };
            let turning = of_frame.iter().map(|line| turning_points(line));
            lines.extend(turning.filter(|line| line.len() >= 3).map(|line| (frame, line)));
        }
        let kind = if has_xor {
            "CLOSEDPLANAR_XOR"
        } else {
            "CLOSED_PLANAR"
        };
        let limits = self.request.limits;
        self.n_contours += lines.len() as u64;
        ObjectError::check("contours", self.n_contours, limits.max_contours)?;
        self.n_points += lines.iter().map(|(_, line)| line.len() as u64).sum::<u64>();
        ObjectError::check("points of contours", self.n_points, limits.max_points)?;
        let contours = lines.iter().zip(1u32..).map(|((frame, line), number)| {
            let image = self.layers.stack.frames[*frame].image.as_ref();
            let image = image.map(|(class, instance, number)| {
                reference((class, instance)).when(*number, |item, number| {
                    item.text(tags::REFERENCED_FRAME_NUMBER, number.to_string())
                })
            });
            Item::new()
                .text(tags::CONTOUR_NUMBER, number.to_string())
                .when(image, |item, image| {
                    item.sequence(tags::CONTOUR_IMAGE_SEQUENCE, [image])
                })
                .text(tags::CONTOUR_GEOMETRIC_TYPE, kind)
                .text(tags::NUMBER_OF_CONTOUR_POINTS, line.len().to_string())
                .text(tags::CONTOUR_DATA, self.data(*frame, line))
        });
        Ok(Item::new()
            .text(tags::REFERENCED_ROI_NUMBER, segment.number.to_string())
            .texts(
                tags::ROI_DISPLAY_COLOR,
                rgb_of(segment.number).map(|channel| channel.to_string()),
            )
            .sequence(tags::CONTOUR_SEQUENCE, contours))
    }

    /// `x\y\z` of every point, mm, LPS.
    fn data(&self, frame: usize, line: &[Corner]) -> String {
        let mut data = String::with_capacity(line.len() * 28);
        for &(row, column) in line {
            let place = self
                .layers
                .stack
                .place(frame, f64::from(row) - 0.5, f64::from(column) - 0.5);
            for mm in place {
                if !data.is_empty() {
                    data.push('\\');
                }
                data.push_str(&decimal_mm(mm));
            }
        }
        data
    }
}
