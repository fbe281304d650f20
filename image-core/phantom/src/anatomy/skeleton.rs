//! Spine, ribs, and the muscles along the spine.

use super::body::Body;
use super::patient::Patient;
use super::structure::Structure;
use crate::shape::{Form, Frame, Shape, Solid, tube};
use crate::tissue::Tissue;

/// From the head down: name, height of the body's center.
const VERTEBRAE: [(&str, f64); 11] = [
    ("vertebra_T7", 196.0),
    ("vertebra_T8", 170.0),
    ("vertebra_T9", 144.0),
    ("vertebra_T10", 117.0),
    ("vertebra_T11", 89.0),
    ("vertebra_T12", 60.0),
    ("vertebra_L1", 29.0),
    ("vertebra_L2", -4.0),
    ("vertebra_L3", -38.0),
    ("vertebra_L4", -73.0),
    ("vertebra_L5", -108.0),
];

/// Right name, left name, height at the spine, how far round the body they reach (0 to 4).
const RIBS: [(&str, &str, f64, usize); 6] = [
    ("rib_right_7", "rib_left_7", 206.0, 4),
    ("rib_right_8", "rib_left_8", 180.0, 4),
    ("rib_right_9", "rib_left_9", 154.0, 4),
    ("rib_right_10", "rib_left_10", 127.0, 3),
    ("rib_right_11", "rib_left_11", 98.0, 2),
    ("rib_right_12", "rib_left_12", 68.0, 1),
];

pub(super) fn structures(patient: &mut Patient, body: &Body) -> Vec<Structure> {
    let mut all = muscles(patient);
    all.extend(ribs(patient, body));
    all.extend(spine(patient));
    all
}

fn muscles(patient: &mut Patient) -> Vec<Structure> {
    let mut all = Vec::new();
    for (side, psoas, erector) in [
        (1.0, "psoas_right", "erector_spinae_right"),
        (-1.0, "psoas_left", "erector_spinae_left"),
    ] {
        let path: Vec<_> = [
            [26.0, -2.0, 34.0],
            [33.0, 0.0, -20.0],
            [40.0, 6.0, -80.0],
            [48.0, 26.0, -150.0],
        ]
        .map(|[x, y, z]| patient.by_spine([side * x, y, z]))
        .to_vec();
        let radius = patient.vary_all([8.0, 22.0], 0.12);
        all.push(Structure::new(psoas, Tissue::Muscle, tube(&path, radius)));
        let path: Vec<_> = [240.0, 100.0, 0.0, -100.0, -240.0]
            .map(|z| patient.by_spine([side * 27.0, -38.0, z]))
            .to_vec();
        let radius = patient.vary(19.0, 0.1);
        all.push(Structure::new(erector, Tissue::Muscle, tube(&path, [radius; 2])).within_wall());
    }
    all
}

fn ribs(patient: &mut Patient, body: &Body) -> Vec<Structure> {
    let mut all = Vec::new();
    for (right, left, height, reach) in RIBS {
        for (name, side) in [(right, 1.0), (left, -1.0)] {
            let mut path = vec![patient.by_spine([side * 16.0, -16.0, height])];
            let round = [
                ([0.55, -0.83], -4.0),
                ([0.95, -0.3], -22.0),
                ([1.0, 0.1], -40.0),
                ([0.72, 0.7], -56.0),
            ];
            for (direction, drop) in &round[..=reach.min(round.len() - 1)] {
                let z = patient.at([0.0, 0.0, height + drop])[2];
                path.push(body.wall.surface([side * direction[0], direction[1]], z));
            }
            all.push(Structure::new(name, Tissue::CorticalBone, tube(&path, [5.0, 4.6])).within_wall());
            all.push(Structure::new(name, Tissue::SpongyBone, tube(&path, [2.6, 2.4])).within_wall());
        }
    }
    all
}

fn spine(patient: &mut Patient) -> Vec<Structure> {
    let mut all = Vec::new();
    let size = patient.size;
    let block = |form, center, half: [f64; 3]| {
        Shape::Solid(Solid {
            form,
            center,
            frame: patient.frame,
            half: half.map(|mm| mm * size),
        })
    };
    let discs = VERTEBRAE.windows(2).map(|pair| {
        let z = 0.5 * (pair[0].1 + pair[1].1);
        block(Form::Cylinder, patient.by_spine([0.0, 0.0, z]), [22.0, 16.0, 8.0])
    });
    all.push(Structure::new("intervertebral_discs", Tissue::Disc, discs.collect()).within_wall());
    for (i, (name, z)) in VERTEBRAE.into_iter().enumerate() {
        let grown = 0.86 + 0.02 * i as f64;
        let at = |place: [f64; 3]| patient.by_spine([place[0], place[1], place[2] + z]);
        let height = 11.5 + 0.35 * i as f64;
        let mut bone = vec![
            block(Form::Cylinder, at([0.0; 3]), [24.0 * grown, 17.0 * grown, height]),
            block(Form::Box, at([0.0, -46.0, -8.0]), [3.0, 11.0, 8.0]),
        ];
        for side in [1.0, -1.0] {
            bone.extend(tube(
                &[at([side * 13.0, -10.0, 4.0]), at([side * 14.0, -26.0, 2.0])],
                [5.0, 5.5],
            ));
            bone.extend(tube(
                &[at([side * 14.0, -26.0, 0.0]), at([0.0, -38.0, -5.0])],
                [4.5, 4.0],
            ));
            bone.extend(tube(
                &[at([side * 14.0, -24.0, 1.0]), at([side * 36.0, -30.0, 1.0])],
                [4.2, 3.4],
            ));
        }
        all.push(Structure::new(name, Tissue::CorticalBone, bone).within_wall());
        let core = block(
            Form::Cylinder,
            at([0.0; 3]),
            [24.0 * grown - 2.5, 17.0 * grown - 2.5, height - 1.5],
        );
        all.push(Structure::new(name, Tissue::SpongyBone, vec![core]).within_wall());
    }
    let frame = Frame::new([1.0, 0.0, 0.0], [0.0, -0.5, 1.0]);
    let sacrum = |grow: f64| {
        let half = [50.0 + grow, 16.0 + grow, 38.0 + grow].map(|mm| mm * size);
        vec![Shape::Solid(Solid {
            form: Form::Ellipsoid,
            center: patient.by_spine([0.0, -12.0, -152.0]),
            frame,
            half,
        })]
    };
    all.push(Structure::new("sacrum", Tissue::CorticalBone, sacrum(0.0)).within_wall());
    all.push(Structure::new("sacrum", Tissue::SpongyBone, sacrum(-2.5)).within_wall());
    let canal: Vec<_> = [230.0, 150.0, 80.0, 10.0, -60.0, -135.0]
        .map(|z| patient.by_spine([0.0, -24.0, z]))
        .to_vec();
    all.push(Structure::new("spinal_cord", Tissue::Cord, tube(&canal, [7.0, 7.5])).within_wall());
    all
}
