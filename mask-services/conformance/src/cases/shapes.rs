//! Masks of all kinds: each has a result.

use crate::kit::Kit;
use crate::masks;
use crate::stop::Stop;

pub(crate) fn empty(kit: &Kit) -> Result<(), Stop> {
    kit.result_of(&masks::empty()).map(drop)
}

pub(crate) fn full(kit: &Kit) -> Result<(), Stop> {
    kit.result_of(&masks::full()).map(drop)
}

pub(crate) fn one_voxel(kit: &Kit) -> Result<(), Stop> {
    kit.result_of(&masks::one_voxel()).map(drop)
}

pub(crate) fn huge(kit: &Kit) -> Result<(), Stop> {
    kit.result_of(kit.huge()).map(drop)
}

pub(crate) fn anisotropic(kit: &Kit) -> Result<(), Stop> {
    kit.result_of(&masks::anisotropic()).map(drop)
}

pub(crate) fn oblique(kit: &Kit) -> Result<(), Stop> {
    kit.result_of(&masks::oblique()).map(drop)
}

pub(crate) fn labels_255(kit: &Kit) -> Result<(), Stop> {
    kit.result_of(&masks::many_labels(255)).map(drop)
}

pub(crate) fn labels_300(kit: &Kit) -> Result<(), Stop> {
    kit.result_of(&masks::many_labels(300)).map(drop)
}
