//! Writes a mask as DICOM objects, each read back and compared before it has its name.

use std::collections::BTreeMap;

use cap_std::fs::Dir;
use nephrite_dicom_objects::{
    Algorithm, Equipment, ObjectAmount, ObjectError, ObjectLimits, ObjectRequest, ReportRequest, Written,
    verify_report, verify_seg, verify_structure_set, write_report, write_seg, write_structure_set,
};
use nephrite_kernel::Mask;
use nephrite_pipeline::DicomOutput;
use nephrite_types::{CancelToken, Limits, OutputFormat, Warning, WarningCode};
use nephrite_volume::write_atomically;

use super::source::ObjectSource;
use crate::core::Core;
use crate::error::CoreError;

/// What objects of a mask are made from, besides the mask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ObjectRun<'a> {
    pub(crate) source: &'a ObjectSource,
    pub(crate) output: &'a DicomOutput,
    /// Identifiers follow from it: of all that the mask was made with and of, and of the mask.
    pub(crate) case: [u8; 32],
    /// What the mask is called among those of its case.
    pub(crate) role: &'a str,
}

/// SeriesNumber of the segmentation; those of the others follow. Scanners do not count so far.
const FIRST_SERIES_NUMBER: u32 = 9001;
/// Characters of a long string, LO.
const MAX_LONG: usize = 64;

/// Writes a mask in these formats but as a label map, under these names. Labels without a voxel are left out, and an object of
/// which no label has one is not written; both are warned of. Gives the names of files that were written.
///
/// # Errors
/// [`CoreError::Object`], naming the file; nothing has its name that was not read back.
pub(crate) fn write_objects(
    core: &Core,
    run: ObjectRun<'_>,
    mask: &Mask,
    folder: &Dir,
    files: impl Iterator<Item = (OutputFormat, String)>,
    warn: &mut dyn FnMut(Warning),
    cancel: &CancelToken,
) -> Result<Vec<String>, CoreError> {
    let (limits, algorithm, equipment) = (
        object_limits(core.limits()),
        algorithm(run.role),
        Equipment::nephrite(),
    );
    let description: String = format!("nephrite {}", run.role).chars().take(MAX_LONG).collect();
    let mut segmentation: Option<Written> = None;
    let mut amount: Option<ObjectAmount> = None; // the same for every format
    let mut names = Vec::new();
    for (format, file) in files.filter(|(format, _)| format.is_object()) {
        cancel.check()?;
        let request = ObjectRequest {
            source: &run.source.series,
            masks: std::slice::from_ref(mask),
            codes: &run.output.codes,
            placement: run.source.placement,
            case: run.case,
            role: run.role,
            series_number: FIRST_SERIES_NUMBER + names.len() as u32,
            description: &description,
            algorithm: &algorithm,
            equipment: &equipment,
            limits: &limits,
        };
        let failed = |source| CoreError::Object {
            path: file.clone().into(),
            source: Box::new(source),
        };
        let amount = match amount {
            Some(amount) => amount,
            None => *amount.insert(ObjectAmount::of(&request).map_err(failed)?),
        };
        let needed = amount.peak_bytes(format, run.output.seg);
        let _memory = core.reserve("writing a DICOM object", needed, &[], None, cancel)?;
        let mut say = |message: String| {
            warn(Warning {
                code: WarningCode::DicomObject,
                file: file.clone(),
                message,
            });
        };
        match bytes_of(format, run.output, &request, segmentation.as_ref()) {
            Ok((bytes, written)) => {
                write_atomically(folder, &file, |out| out.write_all(&bytes))?;
                for warning in &written.warnings {
                    say(warning.to_string());
                }
                for (label, status) in &written.absent {
                    say(format!(
                        "label {label:?} has no voxel ({}); it is not in the object",
                        status.name()
                    ));
                }
                if format == OutputFormat::DicomSeg {
                    segmentation = Some(written);
                }
                names.push(file);
            }
            Err(ObjectError::NothingToWrite { labels }) => {
                say(format!(
                    "not written: no label has a voxel ({})",
                    labels.join(", ")
                ));
            }
            Err(source) => return Err(failed(source)),
        }
    }
    Ok(names)
}

/// The bytes of an object, which were read back and compared with the mask.
fn bytes_of(
    format: OutputFormat,
    output: &DicomOutput,
    request: &ObjectRequest<'_>,
    segmentation: Option<&Written>,
) -> Result<(Vec<u8>, Written), ObjectError> {
    let mut bytes = Vec::new();
    let nothing = || ObjectError::NothingToWrite {
        labels: request
            .masks
            .iter()
            .flat_map(|mask| mask.labels().entries())
            .map(|entry| entry.name.clone())
            .collect(),
    };
    let written = match format {
        OutputFormat::Nifti => return Err(nothing()), // a label map is no object
        OutputFormat::DicomSeg => {
            let written = write_seg(request, output.seg, &mut bytes)?;
            verify_seg(bytes.clone(), request, &written)?;
            written
        }
        OutputFormat::Rtstruct => {
            let written = write_structure_set(request, output.holes, &mut bytes)?;
            verify_structure_set(bytes.clone(), request, &written)?;
            written
        }
        OutputFormat::Sr => {
            let segmentation = segmentation.ok_or_else(nothing)?;
            let report = ReportRequest {
                segmentation,
                mean_attenuation_hu: &BTreeMap::new(),
            };
            let written = write_report(request, &report, &mut bytes)?;
            verify_report(bytes.clone(), request, &written, segmentation)?;
            written
        }
    };
    Ok((bytes, written))
}

/// The limits of a process, for objects.
pub(crate) fn object_limits(limits: &Limits) -> ObjectLimits {
    ObjectLimits {
        mask: limits.clone(),
        ..ObjectLimits::default()
    }
}

fn algorithm(role: &str) -> Algorithm {
    Algorithm {
        name: role.chars().take(MAX_LONG).collect(),
        version: format!("nephrite {}", env!("CARGO_PKG_VERSION")),
    }
}
