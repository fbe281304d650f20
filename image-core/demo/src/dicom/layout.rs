//! A phantom as the files that dcm2niix makes of its series: rows from the last to the first.

use ndarray::{Array3, Axis};
use nephrite_phantom::Phantom;
use nephrite_types::{Affine, Geometry, LabelMap, Labels, Volume, Voxels, with_voxels};

/// The axis of `[z, y, x]` that rows of a series count along.
const ROWS: Axis = Axis(1);

/// The same patient with y running the other way; every voxel stays where it is in the patient.
pub(super) fn with_rows_reversed(phantom: &Phantom) -> Phantom {
    let geometry = reversed_geometry(&phantom.truth.geometry);
    let scan = |volume: &Volume| Volume {
        voxels: reversed_voxels(&volume.voxels),
        scale: volume.scale,
        geometry,
    };
    Phantom {
        phases: phantom
            .phases
            .iter()
            .map(|(phase, volume)| (*phase, scan(volume)))
            .collect(),
        truth: LabelMap {
            labels: match &phantom.truth.labels {
                Labels::U8(array) => Labels::U8(reversed(array)),
                Labels::U16(array) => Labels::U16(reversed(array)),
            },
            geometry,
        },
        labels: phantom.labels.clone(),
    }
}

fn reversed<T: Clone>(array: &Array3<T>) -> Array3<T> {
    let mut view = array.view();
    view.invert_axis(ROWS);
    view.as_standard_layout().into_owned()
}

fn reversed_voxels(voxels: &Voxels) -> Voxels {
    let mut voxels = voxels.clone();
    with_voxels!(&mut voxels, array => *array = reversed(array));
    voxels
}

fn reversed_geometry(geometry: &Geometry) -> Geometry {
    let last_row = (geometry.shape.zyx()[ROWS.index()] - 1) as f64;
    let row = |[x, y, z, origin]: [f64; 4]| [x, -y, z, origin + last_row * y];
    let [a, b, c, _] = geometry.affine.rows().map(row);
    Geometry {
        affine: Affine::new([a, b, c]).expect("the axes of a grid, one of them the other way"),
        ..*geometry
    }
}

#[cfg(test)]
mod tests {
    use nephrite_phantom::PhantomSpec;
    use nephrite_types::{Phase, Shape3, Spacing};

    use super::*;

    #[test]
    fn every_voxel_stays_where_it_is_in_the_patient() {
        let spec = PhantomSpec {
            shape: Shape3::new([6, 10, 8]).unwrap(),
            spacing: Spacing::new([48.0, 32.0, 40.0]).unwrap(),
            ..PhantomSpec::demo(7)
        };
        let phantom = spec.generate();
        let found = with_rows_reversed(&phantom);
        let (Labels::U8(before), Labels::U8(after)) = (&phantom.truth.labels, &found.truth.labels) else {
            panic!("few labels");
        };
        let voxels = |phantom: &Phantom| match &phantom.scan(Phase::Arterial).unwrap().voxels {
            Voxels::I16(array) => array.clone(),
            other => panic!("{:?}", other.voxel_type()),
        };
        let (scan_before, scan_after) = (voxels(&phantom), voxels(&found));
        for ((z, y, x), label) in before.indexed_iter() {
            let there = [z, 9 - y, x];
            assert_eq!(
                (after[there], scan_after[there]),
                (*label, scan_before[[z, y, x]])
            );
            let place = |phantom: &Phantom, [z, y, x]: [usize; 3]| {
                let affine = phantom.truth.geometry.affine;
                affine.world_from_voxel([x as f64, y as f64, z as f64])
            };
            assert_eq!(place(&phantom, [z, y, x]), place(&found, there));
        }
        assert!(after.is_standard_layout() && scan_after.is_standard_layout());
    }
}
