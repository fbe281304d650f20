//! Requests to resize.

use nephrite_proto::convert::{choice, path};
use nephrite_proto::v1::resize_request::Target;
use nephrite_proto::{ConvertError, v1};
use nephrite_resample::{Interpolation, LabelInterpolation, ResizeTarget};

use crate::resize::{ResizeKind, ResizeRequest};

impl TryFrom<v1::ResizeRequest> for ResizeRequest {
    type Error = ConvertError;

    fn try_from(request: v1::ResizeRequest) -> Result<Self, ConvertError> {
        let target = match request.target {
            None => return Err(ConvertError::Missing { field: "target" }),
            Some(Target::Spacing(spacing)) => ResizeTarget::Spacing(spacing.try_into()?),
            Some(Target::Shape(shape)) => ResizeTarget::Shape(shape.try_into()?),
        };
        Ok(ResizeRequest {
            input: path("input", &request.input)?,
            output: path("output", &request.output)?,
            target,
            kind: kind(choice("interpolation", request.interpolation)?, request.label_map)?,
        })
    }
}

fn kind(interpolation: Option<v1::Interpolation>, label_map: bool) -> Result<ResizeKind, ConvertError> {
    use v1::Interpolation::{Cubic, Linear, Nearest, Unspecified};
    Ok(match (interpolation, label_map) {
        (None | Some(Cubic | Unspecified), false) => ResizeKind::Volume(Interpolation::Cubic),
        (Some(Linear), false) => ResizeKind::Volume(Interpolation::Linear),
        (Some(Nearest), false) => ResizeKind::Volume(Interpolation::Nearest),
        (None | Some(Nearest | Unspecified), true) => ResizeKind::LabelMap(LabelInterpolation::Nearest),
        (Some(Linear), true) => ResizeKind::LabelMap(LabelInterpolation::PerLabelLinear),
        (Some(Cubic), true) => {
            return Err(ConvertError::Value {
                field: "interpolation",
                expected: "linear or nearest with label_map",
                found: "cubic".to_owned(),
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: Option<Target>, interpolation: Option<i32>, label_map: bool) -> v1::ResizeRequest {
        v1::ResizeRequest {
            input: "a.nii".into(),
            output: "b.nii".into(),
            target,
            interpolation,
            label_map,
        }
    }

    #[test]
    fn a_target_is_needed_and_cubic_labels_are_refused() {
        let shape = |x| Some(Target::Shape(v1::Shape { x, y: 2, z: 3 }));
        let cubic = Some(v1::Interpolation::Cubic as i32);
        let of = |target, interpolation, label_map| {
            ResizeRequest::try_from(request(target, interpolation, label_map)).map(|request| request.kind)
        };
        assert_eq!(
            of(shape(1), None, false),
            Ok(ResizeKind::Volume(Interpolation::Cubic))
        );
        assert_eq!(
            of(shape(1), None, true),
            Ok(ResizeKind::LabelMap(LabelInterpolation::Nearest))
        );
        assert!(of(shape(1), cubic, true).is_err());
        assert!(of(shape(1), Some(0), false).is_err());
        assert!(of(shape(0), None, false).is_err());
        assert!(of(None, None, false).is_err());
    }
}
