//! The segments of a segmentation of 3D Slicer (`.seg.nrrd`): pairs of the header that name the values of its voxels.
//!
//! Source: 3D Slicer 5, `vtkMRMLSegmentationStorageNode.cxx`.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Fields;
use crate::VolumeError;
use crate::header_lines::{FieldText, shown};

/// Names that a message lists.
const MAX_LISTED: usize = 8;

/// One segment.
struct Segment {
    name: String,
    /// Value of its voxels.
    label: u16,
    /// Which of the label maps of the file it is in.
    layer: u16,
}

/// What the file names.
pub(super) struct Segments(Vec<Segment>);

impl Segments {
    /// # Errors
    /// [`VolumeError::HeaderField`] for a value that is no label, or that two segments of one layer have.
    pub(super) fn of(fields: &Fields<'_>) -> Result<Segments, VolumeError> {
        let mut pairs: BTreeMap<u32, BTreeMap<&str, &str>> = BTreeMap::new();
        for (key, value) in fields.pairs() {
            if let Some((number, rest)) = key.strip_prefix("Segment").and_then(|key| key.split_once('_'))
                && let Ok(number) = number.parse()
            {
                pairs.entry(number).or_default().insert(rest, value.trim());
            }
        }
        let mut seen = BTreeSet::new();
        let segments = pairs.into_values().map(|pairs| {
            let field = |field: &'static str, key: &str, otherwise| FieldText {
                name: fields.name(),
                field,
                text: pairs.get(key).copied().unwrap_or(otherwise),
            };
            let number = |field: FieldText<'_>, expected| {
                let number = u16::try_from(field.integer(expected)?);
                number.map_err(|_| field.refused(expected))
            };
            let label = field("Segment_LabelValue", "LabelValue", "1");
            let layer = field("Segment_Layer", "Layer", "0");
            let segment = Segment {
                name: field(
                    "Segment_Name",
                    "Name",
                    pairs.get("ID").copied().unwrap_or_default(),
                )
                .text
                .to_owned(),
                label: number(label, "1 to 65535")?,
                layer: number(layer, "0 to 65535")?,
            };
            if segment.label == 0 || !seen.insert((segment.layer, segment.label)) {
                return Err(label.refused("a value above 0 that no other segment of the layer has"));
            }
            Ok(segment)
        });
        Ok(Segments(segments.collect::<Result<_, _>>()?))
    }

    /// Names of the values, where there are some.
    pub(super) fn names(self) -> BTreeMap<u16, String> {
        let named = self.0.into_iter().filter(|segment| !segment.name.is_empty());
        named.map(|segment| (segment.label, segment.name)).collect()
    }

    /// Why a file of so many layers is refused; `None` if it is no segmentation.
    pub(super) fn layers(&self, n: i64, name: &str) -> Option<VolumeError> {
        let listed = self.0.iter().take(MAX_LISTED).map(|segment| shown(&segment.name));
        let mut segments = listed.collect::<Vec<_>>().join(", ");
        if self.0.len() > MAX_LISTED {
            segments.push_str(", …");
        }
        (!self.0.is_empty()).then(|| VolumeError::SegmentLayers {
            name: name.to_owned(),
            n,
            segments,
        })
    }
}
