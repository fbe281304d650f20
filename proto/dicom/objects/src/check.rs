//! What can be refused before there is a mask.

use crate::stack::Stack;
use crate::text::check_text;
use crate::{ObjectError, ObjectLimits, Placement, SourceSeries};

/// Whether objects can be made of a series: it has all identifiers, and its slices are a stack where masks lie on them.
///
/// # Errors
/// [`ObjectError`], as writing an object says it.
pub fn check_source(
    source: &SourceSeries,
    placement: Placement,
    limits: &ObjectLimits,
) -> Result<(), ObjectError> {
    match (Stack::of_series(source, limits), placement) {
        // Sheared or uneven slices are what a grid of its own is for.
        (Err(ObjectError::Slices { .. }), Placement::OwnGrid) => Ok(()),
        (checked, _) => checked.map(drop),
    }
}

/// Whether a label can be named in an object.
///
/// # Errors
/// [`ObjectError::Text`]
pub fn check_label(name: &str) -> Result<(), ObjectError> {
    check_text("SegmentLabel", name)
}
