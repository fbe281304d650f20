//! What the header of one file says of each image in it.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::attributes::{exactly, items, numbers, text, texts, whole};
use crate::file_error::FileFault;
use crate::guard::DicomHeader;
use crate::pixel_format::PixelFormat;

const PHILIPS_SCALE: Tag = Tag(0x2005, 0x100e);

/// Of an image file.
#[derive(Debug, Clone)]
pub(crate) struct ImageFile {
    pub(crate) sop_class: String,
    pub(crate) sop_instance: String,
    pub(crate) series_uid: String,
    pub(crate) study_uid: String,
    pub(crate) frame_of_reference: Option<String>,
    pub(crate) modality: String,
    pub(crate) description: String,
    pub(crate) image_type: Vec<String>,
    pub(crate) is_three_d: bool,
    pub(crate) is_lossy: bool,
    pub(crate) has_burned_in: bool,
    pub(crate) has_philips_scale: bool,
    /// Or what is wrong with it.
    pub(crate) format: Result<PixelFormat, FileFault>,
    pub(crate) rows_columns: [i64; 2],
    pub(crate) padding: Option<i64>,
    pub(crate) frames: Vec<Frame>,
}

/// Of one image.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Counted from 1.
    pub(crate) number: u32,
    /// ImagePositionPatient: center of the first pixel, mm, LPS.
    pub(crate) position: Option<[f64; 3]>,
    /// ImageOrientationPatient: along a row, then along a column.
    pub(crate) orientation: Option<[f64; 6]>,
    /// PixelSpacing: mm between rows, then between columns.
    pub(crate) spacing: Option<[f64; 2]>,
    /// RescaleSlope and RescaleIntercept.
    pub(crate) slope: Option<f64>,
    pub(crate) intercept: Option<f64>,
    pub(crate) has_lut: bool,
    pub(crate) stack: Option<String>,
    /// What tells images at one place apart, strongest first.
    pub(crate) splits: [Option<String>; N_SPLITS],
    pub(crate) instance_number: Option<i64>,
    /// The first fault of its numbers.
    pub(crate) fault: Option<FileFault>,
}

pub(crate) const N_SPLITS: usize = 6;

impl ImageFile {
    pub(crate) fn of(header: &DicomHeader) -> ImageFile {
        let object = &header.object;
        let first = |tag| text(object, tag).unwrap_or_default();
        let or = |value: String, other: &str| if value.is_empty() { other.to_owned() } else { value };
        let format = PixelFormat::of(object);
        let shared = items(object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE).first();
        let per_frame = items(object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        let n_frames = format.as_ref().map_or(1, |format| format.frames);
        let frames = if per_frame.is_empty() && shared.is_none() {
            // Frames that no group places, as of a secondary capture, lie nowhere but the first.
            (1..=n_frames.min(2))
                .map(|number| Frame::of(number, &[object], object))
                .collect()
        } else {
            let groups = |index: usize| {
                [per_frame.get(index), shared, Some(object)]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
            };
            let n = (n_frames as usize).min(per_frame.len().max(1));
            (0..n)
                .map(|index| Frame::of(index as u32 + 1, &groups(index), object))
                .collect()
        };
        ImageFile {
            sop_class: or(first(tags::SOP_CLASS_UID), &header.media_sop_class),
            sop_instance: or(first(tags::SOP_INSTANCE_UID), &header.media_sop_instance),
            series_uid: first(tags::SERIES_INSTANCE_UID),
            study_uid: first(tags::STUDY_INSTANCE_UID),
            frame_of_reference: text(object, tags::FRAME_OF_REFERENCE_UID).filter(|uid| !uid.is_empty()),
            modality: first(tags::MODALITY),
            description: first(tags::SERIES_DESCRIPTION),
            image_type: texts(object, tags::IMAGE_TYPE),
            is_three_d: text(object, tags::MR_ACQUISITION_TYPE).as_deref() == Some("3D"),
            is_lossy: header.syntax.lossy
                || text(object, tags::LOSSY_IMAGE_COMPRESSION).as_deref() == Some("01"),
            has_burned_in: text(object, tags::BURNED_IN_ANNOTATION).as_deref() == Some("YES"),
            has_philips_scale: object.get(PHILIPS_SCALE).is_some(),
            format,
            rows_columns: [
                whole(object, tags::ROWS).unwrap_or(0),
                whole(object, tags::COLUMNS).unwrap_or(0),
            ],
            padding: whole(object, tags::PIXEL_PADDING_VALUE),
            frames,
        }
    }

    /// True if the file says that it shows where other images lie.
    pub(crate) fn is_localizer(&self) -> bool {
        self.image_type.iter().any(|value| value == "LOCALIZER")
    }
}

/// The functional group of an image that holds attributes, or the image itself where there are no groups.
struct Groups<'a>(&'a [&'a InMemDicomObject]);

impl Groups<'_> {
    /// Per frame before shared before none. `sequence` is the group's.
    fn find<T>(
        &self,
        sequence: Tag,
        get: impl Fn(&InMemDicomObject) -> Result<Option<T>, FileFault>,
    ) -> Result<Option<T>, FileFault> {
        for object in self.0 {
            let within = items(object, sequence).first();
            if let Some(found) = within.map(&get).transpose()?.flatten() {
                return Ok(Some(found));
            }
        }
        match self.0.last() {
            Some(object) => get(object),
            None => Ok(None),
        }
    }

    fn text(&self, sequence: Tag, tag: Tag) -> Option<String> {
        self.find(sequence, |object| Ok(text(object, tag))).ok().flatten()
    }
}

impl Frame {
    /// `groups`: of this frame, shared, and the object, as far as they are there.
    fn of(number: u32, groups: &[&InMemDicomObject], object: &InMemDicomObject) -> Frame {
        let groups = Groups(groups);
        let mut frame = Frame {
            number,
            ..Frame::default()
        };
        frame.fault = frame.numbers(&groups).err();
        frame.stack = groups.text(tags::FRAME_CONTENT_SEQUENCE, tags::STACK_ID);
        frame.has_lut = !items(object, tags::MODALITY_LUT_SEQUENCE).is_empty();
        frame.instance_number = whole(object, tags::INSTANCE_NUMBER);
        frame.splits = [
            groups.text(tags::FRAME_CONTENT_SEQUENCE, tags::TEMPORAL_POSITION_INDEX),
            text(object, tags::TEMPORAL_POSITION_IDENTIFIER),
            groups
                .text(tags::MR_ECHO_SEQUENCE, tags::EFFECTIVE_ECHO_TIME)
                .or_else(|| text(object, tags::ECHO_NUMBERS)),
            text(object, tags::ACQUISITION_NUMBER),
            groups.text(tags::CT_IMAGE_FRAME_TYPE_SEQUENCE, tags::FRAME_TYPE),
            Some(texts(object, tags::IMAGE_TYPE).join("\\")),
        ];
        frame
    }

    fn numbers(&mut self, groups: &Groups<'_>) -> Result<(), FileFault> {
        self.position = groups.find(tags::PLANE_POSITION_SEQUENCE, |object| {
            exactly(
                object,
                tags::IMAGE_POSITION_PATIENT,
                "ImagePositionPatient (0020,0032)",
            )
        })?;
        self.orientation = groups.find(tags::PLANE_ORIENTATION_SEQUENCE, |object| {
            exactly(
                object,
                tags::IMAGE_ORIENTATION_PATIENT,
                "ImageOrientationPatient (0020,0037)",
            )
        })?;
        self.spacing = groups.find(tags::PIXEL_MEASURES_SEQUENCE, |object| {
            exactly(object, tags::PIXEL_SPACING, "PixelSpacing (0028,0030)")
        })?;
        let first =
            |object: &InMemDicomObject, tag, name| Ok(numbers(object, tag, name)?.map(|values| values[0]));
        self.slope = groups.find(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, |object| {
            first(object, tags::RESCALE_SLOPE, "RescaleSlope (0028,1053)")
        })?;
        self.intercept = groups.find(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, |object| {
            first(object, tags::RESCALE_INTERCEPT, "RescaleIntercept (0028,1052)")
        })?;
        Ok(())
    }
}
