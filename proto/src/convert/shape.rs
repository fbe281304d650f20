//! Voxels per axis between messages and checked types.

use nephrite_types::Shape3;

use crate::{ConvertError, v1};

impl TryFrom<v1::Shape> for Shape3 {
    type Error = ConvertError;

    fn try_from(shape: v1::Shape) -> Result<Self, ConvertError> {
        let v1::Shape { x, y, z } = shape;
        // What does not fit `usize` cannot be a shape either.
        let zyx = [z, y, x].map(|len| usize::try_from(len).unwrap_or(usize::MAX));
        Ok(Shape3::new(zyx)?)
    }
}

impl From<Shape3> for v1::Shape {
    fn from(shape: Shape3) -> Self {
        let [x, y, z] = shape.xyz().map(|len| len as u64);
        v1::Shape { x, y, z }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_survive_the_way_and_empty_ones_are_refused() {
        let shape = Shape3::new([2, 3, 4]).unwrap();
        let wire = v1::Shape::from(shape);
        assert_eq!((wire.x, wire.y, wire.z), (4, 3, 2));
        assert_eq!(Shape3::try_from(wire), Ok(shape));
        for (x, y, z) in [(0, 1, 1), (u64::MAX, 2, 1), (1 << 32, 1 << 32, 1)] {
            assert!(Shape3::try_from(v1::Shape { x, y, z }).is_err());
        }
    }
}
