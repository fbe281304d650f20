//! Which DICOM objects are wanted ⇄ messages.

use nephrite_proto::convert::{choice, optional_path};
use nephrite_proto::{ConvertError, v1};
use nephrite_types::OutputFormat;

use crate::objects::WantedObjects;

/// More than there are formats.
const MAX_FORMATS: usize = 16;

/// # Errors
/// A format that is none; what is wrong with the path.
pub(super) fn wanted_objects(formats: &[i32], codes: &str) -> Result<WantedObjects, ConvertError> {
    if formats.len() > MAX_FORMATS {
        return Err(ConvertError::TooMany {
            field: "output_type",
            limit: MAX_FORMATS,
            found: formats.len(),
        });
    }
    let formats = formats.iter().map(|format| output_format(*format));
    Ok(WantedObjects {
        formats: formats.collect::<Result<_, _>>()?,
        codes: optional_path("codes", codes)?,
    })
}

pub(super) fn format_list(formats: &[OutputFormat]) -> Vec<i32> {
    let format = |format: &OutputFormat| match format {
        OutputFormat::Nifti => v1::OutputType::Nifti,
        OutputFormat::DicomSeg => v1::OutputType::DicomSeg,
        OutputFormat::Rtstruct => v1::OutputType::Rtstruct,
        OutputFormat::Sr => v1::OutputType::Sr,
    };
    formats.iter().map(|found| format(found).into()).collect()
}

fn output_format(number: i32) -> Result<OutputFormat, ConvertError> {
    match choice("output_type", Some(number))? {
        Some(v1::OutputType::Nifti) => Ok(OutputFormat::Nifti),
        Some(v1::OutputType::DicomSeg) => Ok(OutputFormat::DicomSeg),
        Some(v1::OutputType::Rtstruct) => Ok(OutputFormat::Rtstruct),
        Some(v1::OutputType::Sr) => Ok(OutputFormat::Sr),
        Some(v1::OutputType::Unspecified) | None => Err(ConvertError::Missing { field: "output_type" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_comes_back_and_nothing_else_passes() {
        let numbers = format_list(&OutputFormat::ALL);
        let wanted = wanted_objects(&numbers, "codes.toml").unwrap();
        assert_eq!(wanted.formats, OutputFormat::ALL);
        assert_eq!(wanted.codes, Some("codes.toml".into()));
        assert_eq!(wanted_objects(&[], ""), Ok(WantedObjects::default()));
        for wrong in [vec![0], vec![99], vec![1; 17]] {
            assert!(wanted_objects(&wrong, "").is_err(), "{wrong:?}");
        }
        assert!(wanted_objects(&[2], "a\0").is_err());
    }
}
