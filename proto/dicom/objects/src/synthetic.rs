//! A volume as a CT series, one file a slice: for a patient that was drawn and never scanned.

use std::io::Write;

use dicom_dictionary_std::{tags, uids};
use ndarray::{Array3, Axis};
use nephrite_types::{IntensityScale, Phase, Volume, Voxels};

use crate::ObjectError;
use crate::file::{pixel_data_header, write_file};
use crate::item::Item;
use crate::stack::Stack;
use crate::text::check_long_ascii;
use crate::uid::derived;
use crate::vector::turn;

/// The largest matrix of an image.
const MAX_SIDE: u64 = u16::MAX as u64;
/// When contrast medium began to flow, by the clock of the study: `HHMMSS`, and seconds of the day.
const CONTRAST_START: (&str, u32) = ("100000", 36_000);

/// The patient and the study that synthetic series belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntheticStudy {
    /// All identifiers follow from it; other voxels must have another key.
    pub key: [u8; 32],
    /// PatientName, `Family^Given`.
    pub patient_name: String,
    /// PatientID.
    pub patient_id: String,
    /// StudyDescription.
    pub description: String,
    /// StudyDate, `YYYYMMDD`.
    pub date: String,
    /// Manufacturer.
    pub manufacturer: String,
}

/// One series of a study, in one contrast phase.
#[derive(Debug, Clone, Copy)]
pub struct SyntheticSeries<'a> {
    /// What it belongs to; all series of a study have one frame of reference.
    pub study: &'a SyntheticStudy,
    /// `[z, y, x]`, 16-bit signed Hounsfield units without a scale. Slices lie along z; rows count along y, columns along x.
    pub volume: &'a Volume,
    /// Which phase its tags tell.
    pub phase: Phase,
    /// SeriesNumber.
    pub number: u32,
}

impl SyntheticStudy {
    /// StudyInstanceUID.
    pub fn uid(&self) -> String {
        derived(&self.key, &["synthetic study"])
    }

    fn frame_of_reference_uid(&self) -> String {
        derived(&self.key, &["synthetic frame of reference"])
    }
}

/// What tags say of a phase.
struct PhaseTags {
    /// ContrastBolusAgentPhase. Source: PS3.16 CID 11.
    term: &'static str,
    description: &'static str,
    /// From the start of contrast medium to the scan; before it for a scan without.
    seconds: i32,
}

fn phase_tags(phase: Phase) -> PhaseTags {
    let (term, description, seconds) = match phase {
        Phase::NonContrast => ("PRE_CONTRAST", "Abdomen, unenhanced (synthetic)", -120),
        Phase::Arterial => ("ARTERIAL", "Abdomen, arterial phase (synthetic)", 30),
        Phase::PortalVenous => ("PORTAL_VENOUS", "Abdomen, portal venous phase (synthetic)", 70),
        Phase::Delayed => ("DELAYED", "Abdomen, delayed phase (synthetic)", 600),
    };
    PhaseTags {
        term,
        description,
        seconds,
    }
}

impl SyntheticSeries<'_> {
    /// SeriesInstanceUID.
    pub fn uid(&self) -> String {
        derived(&self.study.key, &["synthetic series", self.phase.name()])
    }

    /// How many images it has: slices of the volume along z.
    pub fn n_images(&self) -> usize {
        self.volume.geometry.shape.zyx()[0]
    }

    /// Writes the image of slice `z` to `out`, as a CT Image in explicit little endian. The same series gives the same bytes.
    ///
    /// # Errors
    /// [`ObjectError::NoHounsfieldUnits`], [`ObjectError::Sheared`] for axes that are not at right angles,
    /// [`ObjectError::TooLarge`] for slices that there are not and for sides of more than 65,535 voxels, [`ObjectError::Text`].
    pub fn write_image(&self, z: usize, out: &mut impl Write) -> Result<(), ObjectError> {
        let voxels = hounsfield_units(self.volume)?;
        let geometry = &self.volume.geometry;
        let stack = Stack::of_mask(geometry)?;
        let [nz, ny, nx] = geometry.shape.zyx();
        ObjectError::check("slice of a synthetic series", z as u64, nz as u64 - 1)?;
        let side = |what, n: usize| {
            ObjectError::check(what, n as u64, MAX_SIDE)?;
            Ok::<u16, ObjectError>(n as u16)
        };
        let (rows, columns) = (side("rows", ny)?, side("columns", nx)?);
        let instance = derived(
            &self.study.key,
            &["synthetic image", self.phase.name(), &z.to_string()],
        );
        let item = self
            .described(z)?
            .text(tags::SOP_INSTANCE_UID, instance.as_str())
            .decimals(
                tags::IMAGE_POSITION_PATIENT,
                turn(geometry.affine.world_from_voxel([0.0, 0.0, z as f64])),
            )
            .decimals(
                tags::IMAGE_ORIENTATION_PATIENT,
                stack.row_direction.into_iter().chain(stack.column_direction),
            )
            .decimals(tags::PIXEL_SPACING, [stack.spacing[0], stack.spacing[1]])
            .decimals(tags::SLICE_THICKNESS, [stack.spacing[2]])
            .u16s(tags::SAMPLES_PER_PIXEL, [1])
            .text(tags::PHOTOMETRIC_INTERPRETATION, "MONOCHROME2")
            .u16s(tags::ROWS, [rows])
            .u16s(tags::COLUMNS, [columns])
            .u16s(tags::BITS_ALLOCATED, [16])
            .u16s(tags::BITS_STORED, [16])
            .u16s(tags::HIGH_BIT, [15])
            .u16s(tags::PIXEL_REPRESENTATION, [1])
            .decimals(tags::RESCALE_INTERCEPT, [0.0])
            .decimals(tags::RESCALE_SLOPE, [1.0])
            .text(tags::RESCALE_TYPE, "HU");
        write_file(
            out,
            &item.into_object(),
            uids::CT_IMAGE_STORAGE,
            &instance,
            uids::EXPLICIT_VR_LITTLE_ENDIAN,
        )?;
        let pixels: Vec<u8> = voxels
            .index_axis(Axis(0), z)
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let length = 2 * u64::from(rows) * u64::from(columns);
        ObjectError::check("bytes of an image", length, u64::from(u32::MAX) - 1)?;
        out.write_all(&pixel_data_header(b"OW", length as u32))?;
        Ok(out.write_all(&pixels)?)
    }

    /// Patient, study, series, equipment, contrast and acquisition. Source: PS3.3 A.3.3, the modules of a CT image.
    fn described(&self, z: usize) -> Result<Item, ObjectError> {
        let study = self.study;
        for (attribute, text) in [
            ("PatientName", &study.patient_name),
            ("PatientID", &study.patient_id),
            ("StudyDescription", &study.description),
            ("Manufacturer", &study.manufacturer),
        ] {
            check_long_ascii(attribute, text)?;
        }
        let of_phase = phase_tags(self.phase);
        let time = time_of_day(CONTRAST_START.1.saturating_add_signed(of_phase.seconds));
        let number = self.number.to_string();
        let item = Item::new()
            .text(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 100")
            .text(tags::IMAGE_TYPE, "ORIGINAL\\PRIMARY\\AXIAL")
            .text(tags::SYNTHETIC_DATA, "YES")
            .text(tags::SOP_CLASS_UID, uids::CT_IMAGE_STORAGE)
            .text(tags::STUDY_DATE, study.date.as_str())
            .text(tags::SERIES_DATE, study.date.as_str())
            .text(tags::ACQUISITION_DATE, study.date.as_str())
            .text(tags::CONTENT_DATE, study.date.as_str())
            .text(tags::STUDY_TIME, CONTRAST_START.0)
            .text(tags::SERIES_TIME, time.as_str())
            .text(tags::ACQUISITION_TIME, time.as_str())
            .text(tags::CONTENT_TIME, time.as_str())
            .text(tags::MODALITY, "CT")
            .text(tags::MANUFACTURER, study.manufacturer.as_str())
            .text(tags::STUDY_DESCRIPTION, study.description.as_str())
            .text(tags::SERIES_DESCRIPTION, of_phase.description)
            .text(tags::PATIENT_NAME, study.patient_name.as_str())
            .text(tags::PATIENT_ID, study.patient_id.as_str())
            .text(tags::STUDY_ID, "1")
            .with_empty(&[
                tags::ACCESSION_NUMBER,
                tags::REFERRING_PHYSICIAN_NAME,
                tags::PATIENT_BIRTH_DATE,
                tags::PATIENT_SEX,
                tags::KVP,
                tags::POSITION_REFERENCE_INDICATOR,
            ])
            .text(tags::STUDY_INSTANCE_UID, study.uid())
            .text(tags::SERIES_INSTANCE_UID, self.uid())
            .text(tags::FRAME_OF_REFERENCE_UID, study.frame_of_reference_uid())
            .text(tags::SERIES_NUMBER, number.as_str())
            .text(tags::ACQUISITION_NUMBER, number.as_str())
            .text(tags::INSTANCE_NUMBER, (z + 1).to_string())
            .text(tags::BODY_PART_EXAMINED, "ABDOMEN")
            .text(tags::PATIENT_POSITION, "HFS")
            .text(tags::CONTRAST_BOLUS_AGENT_PHASE, of_phase.term);
        Ok(match self.phase {
            Phase::NonContrast => item,
            _ => item
                .text(tags::CONTRAST_BOLUS_AGENT, "simulated iodinated contrast medium")
                .text(tags::CONTRAST_BOLUS_START_TIME, CONTRAST_START.0),
        })
    }
}

/// `HHMMSS` of a second of the day.
fn time_of_day(seconds: u32) -> String {
    format!("{:02}{:02}{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn hounsfield_units(volume: &Volume) -> Result<&Array3<i16>, ObjectError> {
    match &volume.voxels {
        Voxels::I16(array) if volume.scale == IntensityScale::IDENTITY => Ok(array),
        other => Err(ObjectError::NoHounsfieldUnits {
            found: other.voxel_type().name(),
        }),
    }
}
