//! A part of the body: its shapes, its tissue, its labels, and what it is drawn over.

use crate::shape::Shape;
use crate::tissue::Tissue;

/// Index of the fat under the skin.
pub(super) const FAT: u8 = 2;
/// Index of the fat of the abdominal cavity, the innermost layer.
pub(super) const CAVITY: u8 = 4;

/// A named part of the body. Later structures are drawn over earlier ones.
#[derive(Debug, Clone)]
pub(crate) struct Structure {
    /// Name in the detailed label set; parts of one structure share it. None: background.
    pub(crate) name: Option<&'static str>,
    /// Name in the demo's label set.
    pub(crate) demo_name: Option<&'static str>,
    pub(crate) tissue: Tissue,
    /// Drawn only over structures with at least this index (see [`CAVITY`]).
    pub(crate) over: u8,
    pub(crate) shapes: Vec<Shape>,
}

impl Structure {
    /// A structure of the abdominal cavity.
    pub(super) fn new(name: &'static str, tissue: Tissue, shapes: Vec<Shape>) -> Structure {
        Structure {
            name: Some(name),
            demo_name: None,
            tissue,
            over: CAVITY,
            shapes,
        }
    }

    /// As drawn also over everything inside the skin and its fat.
    pub(super) fn within_wall(self) -> Structure {
        Structure { over: FAT, ..self }
    }

    pub(super) fn demo(self, demo_name: &'static str) -> Structure {
        Structure {
            demo_name: Some(demo_name),
            ..self
        }
    }

    pub(super) fn unlabelled(self) -> Structure {
        Structure { name: None, ..self }
    }
}
