//! Options of a run.

use nephrite_nnunet::Numerics;
use nephrite_proto::convert::choice;
use nephrite_proto::{ConvertError, v1};

use crate::segment::SegmentOptions;

/// From the fields of a message. The range of the step is checked where the command line's is.
pub(crate) fn options(
    no_mirroring: bool,
    tile_step_size: Option<f64>,
    no_gaussian: bool,
    numerics: Option<i32>,
) -> Result<SegmentOptions, ConvertError> {
    let defaults = SegmentOptions::default();
    Ok(SegmentOptions {
        mirroring: !no_mirroring,
        tile_step_size: tile_step_size.unwrap_or(defaults.tile_step_size),
        gaussian: !no_gaussian,
        numerics: match choice("numerics", numerics)? {
            Some(v1::Numerics::Fast) => Numerics::Fast,
            Some(v1::Numerics::Reference) => Numerics::Reference,
            Some(v1::Numerics::Unspecified) | None => defaults.numerics,
        },
    })
}

pub(crate) fn wire_numerics(numerics: Numerics) -> v1::Numerics {
    match numerics {
        Numerics::Fast => v1::Numerics::Fast,
        Numerics::Reference => v1::Numerics::Reference,
    }
}
