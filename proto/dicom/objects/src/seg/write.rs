//! Writes masks as a segmentation, binary or as a label map; pixel data go out frame by frame.

use std::io::Write;

use dicom_dictionary_std::{tags, uids};

use super::frames::{FrameOf, binary_frames, labelmap_frames};
use super::groups::{dimensions, per_frame, shared, source_image};
use super::kind::{LabelmapCompression, SegKind};
use super::pixels_out::{write_binary, write_labelmap};
use super::segments::{background_item, segment_item};
use crate::file::write_file;
use crate::item::Item;
use crate::layers::Layers;
use crate::modules::{Identity, Kind, common, frame_of_reference, instances, reference};
use crate::request::{ObjectRequest, Placement, Segment, Segments, Written};
use crate::uid::derived;
use crate::{ObjectError, ObjectWarning};

/// Writes the labels of a request as one DICOM segmentation to `out`. The same request gives the same bytes.
///
/// Voxels are placed by where they lie in the patient. Labels without a voxel are left out, and named in what is returned.
///
/// *Cost*: runs and functional groups in memory, and one frame of pixels.
///
/// # Errors
/// [`ObjectError`]; nothing that was written may be kept then.
pub fn write_seg(
    request: &ObjectRequest<'_>,
    kind: SegKind,
    out: &mut impl Write,
) -> Result<Written, ObjectError> {
    let segments = Segments::of(request)?;
    let layers = Layers::of(request)?;
    let frames = match kind {
        SegKind::Binary => binary_frames(&layers, &segments),
        SegKind::Labelmap(_) => {
            check_overlap(&layers, &segments)?;
            labelmap_frames(&layers)
        }
    };
    ObjectError::check(
        "frames of the segmentation",
        frames.len() as u64,
        request.limits.max_frames,
    )?;
    let bits = bits_per_voxel(kind, segments.present.len());
    let [_, rows, columns] = layers.stack.geometry.shape.zyx();
    let n_bytes = (frames.len() as u128 * (rows * columns) as u128 * u128::from(bits)).div_ceil(16) * 2;
    let max_bytes = request.limits.max_pixel_bytes.min(u64::from(u32::MAX - 1));
    ObjectError::check(
        "bytes of pixel data",
        u64::try_from(n_bytes).unwrap_or(u64::MAX),
        max_bytes,
    )?;

    let mut warnings = segments.warnings.clone();
    let is_binary = kind == SegKind::Binary;
    let of_kind = Kind {
        sop_class_uid: if is_binary {
            uids::SEGMENTATION_STORAGE
        } else {
            uids::LABEL_MAP_SEGMENTATION_STORAGE
        },
        modality: "SEG",
        role: match kind {
            SegKind::Binary => "seg",
            SegKind::Labelmap(LabelmapCompression::Native) => "labelmap",
            SegKind::Labelmap(LabelmapCompression::Rle) => "labelmap-rle",
        },
    };
    let identity = Identity::of(of_kind, request, &mut warnings);
    let item = common(of_kind, request, &identity, &segments.present, "")?;
    let item = describe(item, request, &identity, kind, bits, &layers, &frames);
    let item = with_segments(item, request, kind, &segments.present, &mut warnings);
    let groups = per_frame(&layers.stack, &frames, &segments.present);
    let item = item.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, groups);
    let syntax = match kind {
        SegKind::Labelmap(LabelmapCompression::Rle) => uids::RLE_LOSSLESS,
        _ => uids::EXPLICIT_VR_LITTLE_ENDIAN,
    };
    write_file(
        out,
        &item.into_object(),
        of_kind.sop_class_uid,
        &identity.sop_instance_uid,
        syntax,
    )?;
    match kind {
        SegKind::Binary => write_binary(&layers, &segments.present, &frames, n_bytes as u32, out)?,
        SegKind::Labelmap(compression) => {
            write_labelmap(
                &layers,
                &segments.present,
                &frames,
                compression,
                bits,
                n_bytes as u32,
                out,
            )?;
        }
    }
    Ok(Written {
        sop_class_uid: of_kind.sop_class_uid.to_owned(),
        sop_instance_uid: identity.sop_instance_uid,
        series_uid: identity.series_uid,
        numbers: segments.numbers(),
        absent: segments.absent,
        warnings,
    })
}

fn bits_per_voxel(kind: SegKind, n_segments: usize) -> u16 {
    match kind {
        SegKind::Binary => 1,
        SegKind::Labelmap(_) if n_segments <= usize::from(u8::MAX) => 8,
        SegKind::Labelmap(_) => 16,
    }
}

/// A label map has no room for two labels in one voxel.
fn check_overlap(layers: &Layers, segments: &Segments) -> Result<(), ObjectError> {
    let name = |layer: usize, id: u16| {
        let mut found = segments.present.iter();
        let found = found.find(|segment| segment.layer == layer && segment.id == id);
        found.map(|segment| segment.name.clone()).unwrap_or_default()
    };
    for second in 1..layers.masks.len() {
        for first in 0..second {
            for (a, b) in layers.masks[first].rows().zip(layers.masks[second].rows()) {
                let meets = |run: &&nephrite_mask_codec::Run| {
                    let next = b.partition_point(|other| other.end <= run.start);
                    b.get(next).is_some_and(|other| other.start < run.end)
                };
                if let Some(run) = a.iter().find(meets) {
                    let other = b.iter().find(|other| other.end > run.start);
                    return Err(ObjectError::Overlap {
                        first: name(first, run.label),
                        second: name(second, other.map_or(0, |other| other.label)),
                    });
                }
            }
        }
    }
    Ok(())
}

/// Modules of the image apart from its segments. Source: PS3.3 A.51, C.8.20.1, C.8.20.2.
fn describe(
    item: Item,
    request: &ObjectRequest<'_>,
    identity: &Identity,
    kind: SegKind,
    bits: u16,
    layers: &Layers,
    frames: &[FrameOf],
) -> Item {
    let source = request.source;
    let [_, rows, columns] = layers.stack.geometry.shape.zyx();
    let is_binary = kind == SegKind::Binary;
    let organization = derived(
        &request.case,
        &["dimensions", request.role, &identity.sop_instance_uid],
    );
    let series = Item::new()
        .text(tags::SERIES_INSTANCE_UID, source.series_uid.as_str())
        .sequence(
            tags::REFERENCED_INSTANCE_SEQUENCE,
            instances(source).into_iter().map(reference),
        );
    let lossy = source.lossy_details.as_ref().filter(|_| source.is_lossy);
    let item = dimensions(item, &organization, is_binary)
        .text(tags::IMAGE_TYPE, "DERIVED\\PRIMARY")
        .text(tags::CONTENT_DATE, identity.date.as_str())
        .text(tags::CONTENT_TIME, identity.time.as_str())
        .text(tags::CONTENT_LABEL, "SEGMENTATION")
        .text(tags::CONTENT_DESCRIPTION, request.description)
        .text(tags::CONTENT_CREATOR_NAME, "")
        .text(
            tags::SEGMENTATION_TYPE,
            if is_binary { "BINARY" } else { "LABELMAP" },
        )
        .text(
            tags::SEGMENTS_OVERLAP,
            if is_binary && layers.masks.len() > 1 {
                "UNDEFINED"
            } else {
                "NO"
            },
        )
        .text(
            tags::LOSSY_IMAGE_COMPRESSION,
            if source.is_lossy { "01" } else { "00" },
        )
        .when(lossy, |item, (ratio, method)| {
            item.text(tags::LOSSY_IMAGE_COMPRESSION_RATIO, ratio.as_str())
                .text(tags::LOSSY_IMAGE_COMPRESSION_METHOD, method.as_str())
        })
        .u16s(tags::SAMPLES_PER_PIXEL, [1])
        .text(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2")
        .text(tags::NUMBER_OF_FRAMES, frames.len().to_string())
        .u16s(tags::ROWS, [rows as u16]) // a stack has 65535 at most
        .u16s(tags::COLUMNS, [columns as u16])
        .u16s(tags::BITS_ALLOCATED, [bits])
        .u16s(tags::BITS_STORED, [bits])
        .u16s(tags::HIGH_BIT, [bits - 1])
        .u16s(tags::PIXEL_REPRESENTATION, [0])
        .sequence(tags::REFERENCED_SERIES_SEQUENCE, [series])
        .sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, [shared(&layers.stack)]);
    // Without images per frame, all are named once.
    let item = match request.placement {
        Placement::OnSource => item,
        Placement::OwnGrid => item.sequence(
            tags::SOURCE_IMAGE_SEQUENCE,
            instances(source).into_iter().map(source_image),
        ),
    };
    let item = if is_binary {
        item
    } else {
        item.u16s(tags::PIXEL_PADDING_VALUE, [0])
    };
    frame_of_reference(item, source)
}

fn with_segments(
    item: Item,
    request: &ObjectRequest<'_>,
    kind: SegKind,
    segments: &[Segment],
    warnings: &mut Vec<ObjectWarning>,
) -> Item {
    let background = (kind != SegKind::Binary).then(|| background_item(request.algorithm));
    let items: Vec<Item> = segments
        .iter()
        .map(|segment| segment_item(request, segment, warnings))
        .collect();
    item.sequence(tags::SEGMENT_SEQUENCE, background.into_iter().chain(items))
}
