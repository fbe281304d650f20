//! Which DICOM objects are wanted of a mask, where no pipeline file says it.

use std::path::PathBuf;

use nephrite_pipeline::DicomOutput;
use nephrite_types::{OutputFormat, OutputFormatsFault};

use crate::core::Core;
use crate::error::CoreError;
use crate::memory::{TextFile, read_small_file};

/// What lies beside the label map of a mask, and what its labels mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WantedObjects {
    /// What is written. The label map is always written, named or not.
    pub formats: Vec<OutputFormat>,
    /// TOML file with the tables `codes` and `dicom` of a pipeline.
    pub codes: Option<PathBuf>,
}

impl WantedObjects {
    /// Every format that is written, in the order of [`OutputFormat::ALL`].
    ///
    /// # Errors
    /// [`OutputFormatsFault`]
    pub fn all_formats(&self) -> Result<Vec<OutputFormat>, OutputFormatsFault> {
        let mut formats = self.formats.clone();
        if !formats.contains(&OutputFormat::Nifti) {
            formats.push(OutputFormat::Nifti);
        }
        OutputFormat::check(&formats)?;
        formats.sort_unstable();
        Ok(formats)
    }

    /// Whether there is anything but a label map.
    pub fn is_empty(&self) -> bool {
        !self.formats.iter().any(|format| format.is_object())
    }

    /// Reads how objects are written: the file of codes, or what goes without saying.
    ///
    /// # Errors
    /// [`CoreError::Codes`] with every fault, [`CoreError::Formats`]; what is wrong with the path.
    pub(crate) fn read(&self, core: &Core) -> Result<(DicomOutput, Option<TextFile>), CoreError> {
        let Some(path) = &self.codes else {
            return Ok((DicomOutput::default(), None));
        };
        if self.is_empty() {
            return Err(CoreError::Formats(OutputFormatsFault::CodesAlone));
        }
        let bytes = read_small_file(core.root(), path, core.limits().max_json_bytes)?;
        let output = DicomOutput::parse(&bytes).map_err(|faults| CoreError::Codes {
            path: path.clone(),
            faults,
        })?;
        Ok((output, TextFile::new(path, bytes))) // TOML is text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_map_is_always_written() {
        use OutputFormat::*;
        let all = |formats: &[OutputFormat]| {
            let formats = formats.to_vec();
            WantedObjects { formats, codes: None }.all_formats()
        };
        assert_eq!(all(&[]), Ok(vec![Nifti]));
        assert_eq!(all(&[Sr, DicomSeg]), Ok(vec![Nifti, DicomSeg, Sr]));
        assert_eq!(all(&[Nifti, Rtstruct]), Ok(vec![Nifti, Rtstruct]));
        assert_eq!(all(&[Sr]), Err(OutputFormatsFault::NoSegmentation));
        assert_eq!(
            all(&[Rtstruct, Rtstruct]),
            Err(OutputFormatsFault::Twice(Rtstruct))
        );
    }
}
