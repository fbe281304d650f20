//! The layers of the trunk, from the skin inwards.
//!
//! The index of a layer is its depth; other structures name the depth below which they stay.

use super::patient::Patient;
use super::structure::Structure;
use crate::shape::{Column, Shape};
use crate::tissue::Tissue;

/// The surfaces that other structures follow.
pub(super) struct Body {
    /// Middle of the muscular wall, where the ribs run.
    pub(super) wall: Column,
}

pub(super) fn layers(patient: &mut Patient) -> (Vec<Structure>, Body) {
    let center = patient.at([0.0; 3]);
    let skin = Column {
        half_x: [
            patient.vary(146.0, 0.04),
            patient.rng.between(-7.0, 3.0),
            patient.rng.between(2.0, 8.0),
        ],
        half_y: [
            patient.vary(103.0, 0.05),
            patient.rng.between(-4.0, 4.0),
            patient.rng.between(-3.0, 5.0),
        ],
        center: [center[0], center[1] + 2.0],
    };
    let fat_mm = patient.rng.between(10.0, 17.0);
    let wall_mm = patient.rng.between(10.0, 14.0);
    let layer = |name, tissue, inset| Structure {
        name,
        demo_name: None,
        tissue,
        over: 0,
        shapes: vec![Shape::Column(skin.inset(inset))],
    };
    let layers = vec![
        Structure {
            name: None,
            demo_name: None,
            tissue: Tissue::Air,
            over: 0,
            shapes: Vec::new(),
        },
        layer(None, Tissue::Skin, 0.0),
        layer(None, Tissue::Fat, 2.5),
        layer(Some("abdominal_wall"), Tissue::Muscle, fat_mm),
        layer(None, Tissue::Fat, fat_mm + wall_mm),
    ];
    (
        layers,
        Body {
            wall: skin.inset(fat_mm + 0.5 * wall_mm),
        },
    )
}
