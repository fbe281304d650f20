//! From stored values to intensities, as the library of each reader takes the header's two factors.

use nephrite_types::IntensityScale;

use crate::VolumeError;
use crate::header::Header;
use crate::reader::Reader;

/// `scl_slope` and `scl_inter` as the reader's library takes them. ITK: a slope of 0 or none is 1, and the offset counts
/// still; what is not finite is 0. nibabel: without a usable slope neither counts.
pub(crate) fn intensity_scale(
    header: &Header,
    reader: Reader,
    name: &str,
) -> Result<IntensityScale, VolumeError> {
    let (slope, inter) = (header.scl_slope, header.scl_inter);
    if reader.is_itk() {
        let finite = |v: f64| if v.is_finite() { v } else { 0.0 };
        let slope = finite(slope);
        let slope = if slope.abs() < f64::EPSILON { 1.0 } else { slope };
        return Ok(IntensityScale {
            slope,
            inter: finite(inter),
        });
    }
    if slope == 0.0 || !slope.is_finite() {
        return Ok(IntensityScale::IDENTITY);
    }
    if !inter.is_finite() {
        return Err(VolumeError::HeaderField {
            name: name.to_owned(),
            field: "scl_inter",
            found: inter.to_string(),
            expected: "a finite number beside a valid scl_slope",
        });
    }
    Ok(IntensityScale { slope, inter })
}
