//! `nephrite resize`: a scan or a label map on another grid.

use nephrite_image_core::{CoreError, ResizeKind, ResizeRequest, resize};
use nephrite_resample::{Interpolation, LabelInterpolation, ResizeTarget};
use nephrite_types::{Shape3, Spacing};

use super::args::{InterpolationArgument, ResizeArguments, TargetArguments};
use super::{Failure, progress, signals};

pub(crate) fn run(arguments: ResizeArguments) -> Result<(), Failure> {
    let request = ResizeRequest {
        target: target(&arguments.target)?,
        kind: kind(arguments.interpolation, arguments.label_map)?,
        input: arguments.input,
        output: arguments.output,
    };
    let cancel = signals::cancelled_by_signals();
    let core = super::idle_core(arguments.memory);
    let progress = progress::on_stderr(arguments.quiet);
    let report = resize(&core, &request, &*progress, &cancel)?;
    drop(progress); // takes the bar off the terminal
    if !arguments.quiet {
        let [from, to] = [report.from_shape, report.shape].map(|[x, y, z]| format!("{x}×{y}×{z}"));
        let [x, y, z] = report.spacing;
        super::print(&format!(
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
