//! Spacings between messages and checked types.

use nephrite_types::Spacing;

use crate::{ConvertError, v1};

impl TryFrom<v1::Spacing> for Spacing {
    type Error = ConvertError;

    fn try_from(spacing: v1::Spacing) -> Result<Self, ConvertError> {
        let v1::Spacing { x, y, z } = spacing;
        Ok(Spacing::new([z, y, x])?)
    }
}

impl From<Spacing> for v1::Spacing {
    fn from(spacing: Spacing) -> Self {
        let [x, y, z] = spacing.xyz();
        v1::Spacing { x, y, z }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacings_survive_the_way_and_impossible_ones_are_refused() {
        let spacing = Spacing::new([3.0, 2.0, 1.0]).unwrap();
        let wire = v1::Spacing::from(spacing);
        assert_eq!((wire.x, wire.y, wire.z), (1.0, 2.0, 3.0));
        assert_eq!(Spacing::try_from(wire), Ok(spacing));
        for x in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let wire = v1::Spacing { x, y: 1.0, z: 1.0 };
            assert!(Spacing::try_from(wire).is_err(), "{x}");
        }
    }
}
