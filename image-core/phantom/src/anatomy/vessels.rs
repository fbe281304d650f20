//! The great vessels and those to the bowel.

use super::patient::Patient;
use super::structure::Structure;
use crate::shape::{Point, tube};
use crate::tissue::Tissue;

/// Center of the aorta at height `z`, relative to the spine.
pub(super) fn aorta_place(z: f64) -> Point {
    [-8.0, 29.0, z]
}

/// Center of the inferior vena cava at height `z`, relative to the spine.
pub(super) fn vena_cava_place(z: f64) -> Point {
    [17.0, 29.0 + if z > 40.0 { 0.12 * (z - 40.0) } else { 0.0 }, z]
}

/// Where aorta and vena cava divide.
const BIFURCATION_Z: f64 = -78.0;
/// Where the renal veins join; from here up the blood of the vena cava is bright early.
pub(super) const RENAL_VEINS_Z: f64 = 2.0;

/// The aorta by itself: it is drawn over its branches.
pub(super) fn trunks(patient: &mut Patient) -> (Vec<Structure>, Structure) {
    let path_of = |place: fn(f64) -> Point, heights: &[f64]| -> Vec<Point> {
        heights.iter().map(|&z| patient.by_spine(place(z))).collect()
    };
    let aorta = path_of(
        aorta_place,
        &[240.0, 160.0, 110.0, 60.0, 10.0, -40.0, BIFURCATION_Z],
    );
    let upper_cava = path_of(vena_cava_place, &[RENAL_VEINS_Z, 50.0, 100.0, 150.0, 210.0]);
    let lower_cava = path_of(vena_cava_place, &[BIFURCATION_Z - 6.0, -40.0, RENAL_VEINS_Z]);
    let aorta_radius = patient.vary_all([9.0, 10.5], 0.1);
    let cava_radius = patient.vary(10.5, 0.1);

    let iliac = |patient: &mut Patient, side: f64, start: Point, radius: f64| {
        let [x, y, z] = start;
        let path = [
            start,
            [x + side * 14.0, y, z - 22.0],
            [x + side * 34.0, y + 6.0, z - 56.0],
            [x + side * 52.0, y + 24.0, z - 100.0],
        ]
        .map(|place| patient.by_spine(place));
        tube(&path, [radius, radius - 1.0])
    };
    let artery_start = aorta_place(BIFURCATION_Z + 3.0);
    let vein_start = vena_cava_place(BIFURCATION_Z - 4.0);
    let mut all = vec![
        Structure::new(
            "iliac_vein_right",
            Tissue::SystemicVein,
            iliac(patient, 0.8, vein_start, 7.0),
        ),
        Structure::new(
            "iliac_vein_left",
            Tissue::SystemicVein,
            iliac(patient, -1.2, vein_start, 7.0),
        ),
        Structure::new(
            "iliac_artery_right",
            Tissue::Artery,
            iliac(patient, 1.2, artery_start, 6.0),
        ),
        Structure::new(
            "iliac_artery_left",
            Tissue::Artery,
            iliac(patient, -0.8, artery_start, 6.0),
        ),
    ];

    let portal = patient.all_near(&[[12.0, 20.0, 40.0], [24.0, 18.0, 62.0], [44.0, 14.0, 84.0]], 2.0);
    let splenic_vein = patient.all_near(
        &[[-72.0, -18.0, 68.0], [-34.0, 2.0, 56.0], [12.0, 20.0, 40.0]],
        2.0,
    );
    let mesenteric_vein =
        patient.all_near(&[[12.0, 20.0, 40.0], [12.0, 28.0, 0.0], [16.0, 34.0, -60.0]], 2.0);
    let mut visceral_artery = |start_z: f64, places: [Point; 3]| {
        let mut path = vec![patient.by_spine(aorta_place(start_z))];
        path.extend(patient.all_near(&places, 2.0));
        path
    };
    let celiac = visceral_artery(54.0, [[-8.0, 12.0, 58.0], [8.0, 18.0, 60.0], [30.0, 20.0, 70.0]]);
    let mesenteric = visceral_artery(40.0, [[-4.0, 12.0, 30.0], [2.0, 24.0, -4.0], [6.0, 32.0, -66.0]]);
    all.extend([
        Structure::new("portal_vein", Tissue::PortalVein, tube(&portal, [7.0, 6.0])),
        Structure::new(
            "splenic_vein",
            Tissue::PortalVein,
            tube(&splenic_vein, [4.0, 4.6]),
        ),
        Structure::new(
            "superior_mesenteric_vein",
            Tissue::PortalVein,
            tube(&mesenteric_vein, [5.4, 4.6]),
        ),
        Structure::new("celiac_trunk", Tissue::Artery, tube(&celiac, [3.6, 2.6])),
        Structure::new(
            "superior_mesenteric_artery",
            Tissue::Artery,
            tube(&mesenteric, [4.0, 3.2]),
        ),
        Structure::new(
            "inferior_vena_cava",
            Tissue::SystemicVein,
            tube(&lower_cava, [cava_radius; 2]),
        )
        .demo("vein"),
        Structure::new(
            "inferior_vena_cava",
            Tissue::RenalVein,
            tube(&upper_cava, [cava_radius, cava_radius + 1.0]),
        )
        .demo("vein"),
    ]);
    let aorta = Structure::new(
        "aorta",
        Tissue::Artery,
        tube(&aorta, [aorta_radius[1], aorta_radius[0]]),
    );
    (all, aorta.demo("aorta"))
}
