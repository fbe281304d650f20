//! Arguments that say which DICOM objects are wanted.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nephrite_image_core::WantedObjects;
use nephrite_types::OutputFormat;

#[derive(Debug, Clone, Args)]
pub(crate) struct ObjectArguments {
    /// DICOM objects of a mask, beside its label map, which is always written: kidney.nii.gz has kidney.seg.dcm, kidney.rtstruct.dcm,
    /// kidney.sr.dcm. The scan must be a DICOM series; sr needs dicom-seg
    #[arg(long, value_name = "FORMAT,…", value_enum, value_delimiter = ',')]
    pub(crate) output_type: Vec<FormatArgument>,
    /// TOML file with the tables `codes` and `dicom` of a pipeline: what labels mean, and how objects are written
    #[arg(long, value_name = "FILE", requires = "output_type")]
    pub(crate) codes: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FormatArgument {
    Nifti,
    DicomSeg,
    Rtstruct,
    Sr,
}

impl From<&ObjectArguments> for WantedObjects {
    fn from(arguments: &ObjectArguments) -> Self {
        WantedObjects {
            formats: arguments
                .output_type
                .iter()
                .map(|format| (*format).into())
                .collect(),
            codes: arguments.codes.clone(),
        }
    }
}

impl From<FormatArgument> for OutputFormat {
    fn from(format: FormatArgument) -> Self {
        match format {
            FormatArgument::Nifti => OutputFormat::Nifti,
            FormatArgument::DicomSeg => OutputFormat::DicomSeg,
            FormatArgument::Rtstruct => OutputFormat::Rtstruct,
            FormatArgument::Sr => OutputFormat::Sr,
        }
    }
}
