//! Arguments that say how irregular a DICOM series may be.

use clap::{Args, ValueEnum};
use nephrite_dicom::{Duplicates, SeriesOptions, Tilt};

#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct SeriesArguments {
    /// How far a slice of a DICOM series may lie from its even place, as a fraction of the step [default: 0.01]
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    pub(crate) dicom_spacing_tolerance: Option<f64>,
    /// What becomes of a DICOM series whose gantry was tilted [default: refuse]
    #[arg(long, value_enum)]
    pub(crate) dicom_tilt: Option<TiltArgument>,
    /// What becomes of two slices of a DICOM series at one place [default: refuse]
    #[arg(long, value_enum)]
    pub(crate) dicom_duplicates: Option<DuplicatesArgument>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TiltArgument {
    /// It is refused
    Refuse,
    /// Rows are shifted back, with linear interpolation
    Resample,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DuplicatesArgument {
    /// They are refused
    Refuse,
    /// One is taken if their pixels are equal
    Identical,
}

impl SeriesArguments {
    /// What was typed, over what a configuration says.
    pub(crate) fn over(self, base: SeriesOptions) -> SeriesOptions {
        let tilt = self.dicom_tilt.map(|tilt| match tilt {
            TiltArgument::Refuse => Tilt::Refuse,
            TiltArgument::Resample => Tilt::Resample,
        });
        let duplicates = self.dicom_duplicates.map(|duplicates| match duplicates {
            DuplicatesArgument::Refuse => Duplicates::Refuse,
            DuplicatesArgument::Identical => Duplicates::Identical,
        });
        SeriesOptions {
            spacing_tolerance: self.dicom_spacing_tolerance.unwrap_or(base.spacing_tolerance),
            tilt: tilt.unwrap_or(base.tilt),
            duplicates: duplicates.unwrap_or(base.duplicates),
            ..base
        }
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    let value = text
        .parse::<f64>()
        .ok()
        .filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "a number from 0 to 1 is expected".to_owned())
}
