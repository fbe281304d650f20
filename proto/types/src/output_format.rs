//! What a mask is saved as.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::VOLUME_ENDINGS;

/// What a mask is saved as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OutputFormat {
    /// A label map: NIfTI, or NRRD or MetaImage if the name of the file ends so.
    Nifti,
    /// A DICOM segmentation.
    DicomSeg,
    /// A DICOM structure set: contours.
    Rtstruct,
    /// A DICOM measurement report: volumes, with references to the segmentation.
    Sr,
}

/// Why formats do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutputFormatsFault {
    /// Masks of a result are read back from the label map.
    #[error("nifti must be among the formats: masks of a result are read back from it")]
    NoNifti,
    /// A report is about segments.
    #[error("sr needs dicom-seg beside it: a report refers to the segments that it measures")]
    NoSegmentation,
    /// Nothing is written that codes would be in.
    #[error("codes are written into DICOM objects, and none is asked for")]
    CodesAlone,
    /// A format is there twice.
    #[error("{0} is named twice")]
    Twice(OutputFormat),
}

impl OutputFormat {
    /// All of them, in the order in which they are written.
    pub const ALL: [OutputFormat; 4] = [
        OutputFormat::Nifti,
        OutputFormat::DicomSeg,
        OutputFormat::Rtstruct,
        OutputFormat::Sr,
    ];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            OutputFormat::Nifti => "nifti",
            OutputFormat::DicomSeg => "dicom-seg",
            OutputFormat::Rtstruct => "rtstruct",
            OutputFormat::Sr => "sr",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<OutputFormat> {
        OutputFormat::ALL.into_iter().find(|format| format.name() == name)
    }

    /// True of those that refer to the images of a DICOM series.
    pub fn is_object(self) -> bool {
        self != OutputFormat::Nifti
    }

    /// Names of those that are DICOM objects, for a message.
    pub fn names_of_objects(formats: &[OutputFormat]) -> String {
        let objects = formats.iter().filter(|format| format.is_object());
        objects.map(|format| format.name()).collect::<Vec<_>>().join(", ")
    }

    /// The name of a file of this format beside a label map: `artery.nii.gz` has `artery.seg.dcm`.
    pub fn file_beside(self, label_map: &str) -> String {
        let ending = match self {
            OutputFormat::Nifti => return label_map.to_owned(),
            OutputFormat::DicomSeg => "seg.dcm",
            OutputFormat::Rtstruct => "rtstruct.dcm",
            OutputFormat::Sr => "sr.dcm",
        };
        let stem = VOLUME_ENDINGS
            .iter()
            .find_map(|ending| label_map.strip_suffix(ending));
        format!("{}.{ending}", stem.unwrap_or(label_map))
    }

    /// Refuses formats that do not go together.
    ///
    /// # Errors
    /// [`OutputFormatsFault`]
    pub fn check(formats: &[OutputFormat]) -> Result<(), OutputFormatsFault> {
        let twice = formats
            .iter()
            .enumerate()
            .find(|(idx, format)| formats[..*idx].contains(format));
        if let Some((_, format)) = twice {
            return Err(OutputFormatsFault::Twice(*format));
        }
        if !formats.contains(&OutputFormat::Nifti) {
            return Err(OutputFormatsFault::NoNifti);
        }
        if formats.contains(&OutputFormat::Sr) && !formats.contains(&OutputFormat::DicomSeg) {
            return Err(OutputFormatsFault::NoSegmentation);
        }
        Ok(())
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_files_lie_beside_each_other() {
        for format in OutputFormat::ALL {
            assert_eq!(OutputFormat::from_name(format.name()), Some(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
        assert_eq!(OutputFormat::from_name("NIFTI"), None);
        let beside = |label_map| OutputFormat::ALL.map(|format| format.file_beside(label_map));
        assert_eq!(
            beside("a.b.nii.gz"),
            ["a.b.nii.gz", "a.b.seg.dcm", "a.b.rtstruct.dcm", "a.b.sr.dcm"]
        );
        assert_eq!(OutputFormat::Sr.file_beside("a.mha"), "a.sr.dcm");
    }

    #[test]
    fn formats_that_do_not_go_together_are_refused() {
        use OutputFormat::*;
        assert_eq!(OutputFormat::check(&OutputFormat::ALL), Ok(()));
        assert_eq!(OutputFormat::check(&[DicomSeg]), Err(OutputFormatsFault::NoNifti));
        assert_eq!(OutputFormat::check(&[]), Err(OutputFormatsFault::NoNifti));
        assert_eq!(
            OutputFormat::check(&[Nifti, Sr]),
            Err(OutputFormatsFault::NoSegmentation)
        );
        assert_eq!(
            OutputFormat::check(&[Nifti, Nifti]),
            Err(OutputFormatsFault::Twice(Nifti))
        );
    }
}
