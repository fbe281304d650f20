//! `nephrite resize`: a scan or a label map on another grid.

use nephrite_dicom::SeriesOptions;
use nephrite_image_core::{CoreError, ResizeKind, ResizeRequest, resize};
use nephrite_resample::{Interpolation, LabelInterpolation, ResizeTarget};
use nephrite_types::{Shape3, Spacing};

use super::failure::Failure;
use super::series_arguments::SeriesArguments;
use super::shared_arguments::{MemoryArguments, Triple};
use super::{output, start};
use super::{progress, signals};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ResizeArguments {
    /// Scan or label map; of a scan also a folder with one DICOM series, or DIR#UID, of a label map a DICOM segmentation
    #[arg(long, value_name = "FILE|DIR[#UID]")]
    pub(crate) input: PathBuf,
    /// Where the result goes, .nii.gz, .nii, .nrrd, .mha, .nhdr or .mhd
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// How values between voxels are made [default: cubic; nearest with --label-map]
    #[arg(long, value_enum)]
    pub(crate) interpolation: Option<InterpolationArgument>,
    /// The input holds label ids; `linear` then interpolates every label by itself
    #[arg(long)]
    pub(crate) label_map: bool,
    #[command(flatten)]
    pub(crate) series: SeriesArguments,
    #[command(flatten)]
    pub(crate) memory: MemoryArguments,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetArguments {
    /// Distance of voxel centers in mm, such as 1,1,2.5
    #[arg(long, value_name = "X,Y,Z")]
    pub(crate) spacing: Option<Triple<f64>>,
    /// Number of voxels, such as 256,256,120
    #[arg(long, value_name = "X,Y,Z")]
    pub(crate) shape: Option<Triple<usize>>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum InterpolationArgument {
    /// Cubic B-spline
    Cubic,
    Linear,
    Nearest,
}

pub(crate) fn run(arguments: ResizeArguments) -> Result<(), Failure> {
    let request = ResizeRequest {
        target: target(&arguments.target)?,
        kind: kind(arguments.interpolation, arguments.label_map)?,
        input: arguments.input,
        output: arguments.output,
    };
    let cancel = signals::cancelled_by_signals();
    let core = start::idle_core(arguments.memory)
        .with_series_options(arguments.series.over(SeriesOptions::default()));
    let progress = progress::on_stderr(arguments.quiet);
    let report = resize(&core, &request, &*progress, &cancel)?;
    drop(progress); // takes the bar off the terminal
    if !arguments.quiet {
        let [from, to] = [report.from_shape, report.shape].map(|[x, y, z]| format!("{x}×{y}×{z}"));
        let [x, y, z] = report.spacing;
        output::print(&format!(
            "{}: {from} to {to} voxels at {x:.4}, {y:.4}, {z:.4} mm\n",
            report.output
        ));
    }
    Ok(())
}

fn target(arguments: &TargetArguments) -> Result<ResizeTarget, CoreError> {
    let wrong = |field, expected, found| CoreError::Field {
        field,
        expected,
        found,
    };
    match (arguments.spacing, arguments.shape) {
        (Some(spacing), _) => {
            let [x, y, z] = spacing.0;
            let expected = "three numbers of mm above 0";
            let spacing =
                Spacing::new([z, y, x]).map_err(|_| wrong("spacing", expected, format!("{x},{y},{z}")))?;
            Ok(ResizeTarget::Spacing(spacing))
        }
        (None, Some(shape)) => {
            let [x, y, z] = shape.0;
            let expected = "three numbers of voxels above 0";
            let shape =
                Shape3::new([z, y, x]).map_err(|_| wrong("shape", expected, format!("{x},{y},{z}")))?;
            Ok(ResizeTarget::Shape(shape))
        }
        (None, None) => Err(wrong("spacing", "this or --shape", "not given".to_owned())),
    }
}

fn kind(interpolation: Option<InterpolationArgument>, label_map: bool) -> Result<ResizeKind, CoreError> {
    use InterpolationArgument::{Cubic, Linear, Nearest};
    Ok(match (interpolation, label_map) {
        (None | Some(Cubic), false) => ResizeKind::Volume(Interpolation::Cubic),
        (Some(Linear), false) => ResizeKind::Volume(Interpolation::Linear),
        (Some(Nearest), false) => ResizeKind::Volume(Interpolation::Nearest),
        (None | Some(Nearest), true) => ResizeKind::LabelMap(LabelInterpolation::Nearest),
        (Some(Linear), true) => ResizeKind::LabelMap(LabelInterpolation::PerLabelLinear),
        (Some(Cubic), true) => {
            return Err(CoreError::Field {
                field: "interpolation",
                expected: "linear or nearest with --label-map",
                found: "cubic".to_owned(),
            });
        }
    })
}
