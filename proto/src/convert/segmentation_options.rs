//! How a mask is made, from a message and back.

use nephrite_types::{Numerics, SegmentationOptions};

use super::choice;
use crate::{ConvertError, v1};

impl TryFrom<v1::SegmentationOptions> for SegmentationOptions {
    type Error = ConvertError;

    fn try_from(wire: v1::SegmentationOptions) -> Result<Self, ConvertError> {
        let default = SegmentationOptions::default();
        let options = SegmentationOptions {
            mirroring: wire.mirroring.unwrap_or(default.mirroring),
            tile_step_size: wire.tile_step_size.unwrap_or(default.tile_step_size),
            gaussian: wire.gaussian.unwrap_or(default.gaussian),
            numerics: match choice("options.numerics", wire.numerics)? {
                Some(v1::Numerics::Fast) => Numerics::Fast,
                Some(v1::Numerics::Reference) => Numerics::Reference,
                Some(v1::Numerics::Unspecified) | None => default.numerics,
            },
        };
        options.check().map_err(|wrong| ConvertError::Value {
            field: wrong.name,
            expected: wrong.expected,
            found: wrong.found.to_string(),
        })?;
        Ok(options)
    }
}

impl From<SegmentationOptions> for v1::SegmentationOptions {
    fn from(options: SegmentationOptions) -> Self {
        let numerics = match options.numerics {
            Numerics::Fast => v1::Numerics::Fast,
            Numerics::Reference => v1::Numerics::Reference,
        };
        v1::SegmentationOptions {
            mirroring: Some(options.mirroring),
            tile_step_size: Some(options.tile_step_size),
            gaussian: Some(options.gaussian),
            numerics: Some(numerics.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_the_way_and_what_is_left_out_is_the_default() {
        let every = SegmentationOptions {
            mirroring: false,
            tile_step_size: 0.25,
            gaussian: false,
            numerics: Numerics::Reference,
        };
        for options in [every, SegmentationOptions::default()] {
            let wire = v1::SegmentationOptions::from(options);
            assert_eq!(SegmentationOptions::try_from(wire), Ok(options));
        }
        let nothing = v1::SegmentationOptions::default();
        assert_eq!(
            SegmentationOptions::try_from(nothing),
            Ok(SegmentationOptions::default())
        );
    }

    #[test]
    fn a_number_out_of_range_and_an_unknown_choice_are_refused_by_name() {
        let refused =
            |wire: v1::SegmentationOptions| SegmentationOptions::try_from(wire).unwrap_err().to_string();
        let step = refused(v1::SegmentationOptions {
            tile_step_size: Some(1.5),
            ..Default::default()
        });
        assert!(step.contains("tile_step_size") && step.contains("1.5"), "{step}");
        let numerics = refused(v1::SegmentationOptions {
            numerics: Some(7),
            ..Default::default()
        });
        assert!(
            numerics.contains("numerics") && numerics.contains('7'),
            "{numerics}"
        );
    }
}
