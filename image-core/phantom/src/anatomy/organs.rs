//! The organs around the kidneys: what a network must learn not to mistake for them.

use super::patient::Patient;
use super::structure::Structure;
use crate::shape::{Shape, ellipsoid, tube};
use crate::tissue::Tissue;

pub(super) fn structures(patient: &mut Patient) -> Vec<Structure> {
    let mut all = lungs(patient);
    all.extend(upper_abdomen(patient));
    all.extend(bowel(patient));
    let bladder = lump(patient, [0.0, 22.0, -160.0], [34.0, 28.0, 26.0]);
    all.push(Structure::new("urinary_bladder", Tissue::Bladder, vec![bladder]));
    all
}

fn lump(patient: &mut Patient, center: [f64; 3], half: [f64; 3]) -> Shape {
    let center = patient.near(center, 4.0);
    ellipsoid(center, patient.vary_all(half, 0.1))
}

fn lungs(patient: &mut Patient) -> Vec<Structure> {
    [("lung_right", 62.0), ("lung_left", -62.0)]
        .into_iter()
        .map(|(name, x)| {
            let lung = lump(patient, [x, -6.0, 215.0], [52.0, 72.0, 98.0]);
            Structure::new(name, Tissue::Lung, vec![lung])
        })
        .collect()
}

fn upper_abdomen(patient: &mut Patient) -> Vec<Structure> {
    let liver = vec![
        lump(patient, [62.0, 6.0, 88.0], [60.0, 66.0, 58.0]),
        lump(patient, [8.0, 34.0, 98.0], [58.0, 32.0, 32.0]),
        lump(patient, [84.0, 4.0, 42.0], [30.0, 46.0, 52.0]),
    ];
    let spleen = vec![lump(patient, [-92.0, -34.0, 84.0], [21.0, 36.0, 42.0])];
    let stomach = vec![
        lump(patient, [-52.0, 24.0, 88.0], [34.0, 34.0, 36.0]),
        lump(patient, [-18.0, 40.0, 52.0], [36.0, 20.0, 20.0]),
    ];
    let content = vec![lump(patient, [-52.0, 22.0, 86.0], [28.0, 28.0, 30.0])];
    let gas = vec![lump(patient, [-50.0, 44.0, 92.0], [16.0, 8.0, 14.0])];
    let gallbladder = vec![lump(patient, [50.0, 50.0, 42.0], [14.0, 15.0, 24.0])];
    let pancreas = patient.all_near(
        &[
            [-66.0, -8.0, 62.0],
            [-34.0, 10.0, 52.0],
            [-2.0, 22.0, 42.0],
            [26.0, 16.0, 24.0],
        ],
        3.0,
    );
    let duodenum = patient.all_near(
        &[
            [24.0, 36.0, 44.0],
            [40.0, 20.0, 26.0],
            [40.0, 14.0, -8.0],
            [18.0, 14.0, -26.0],
            [-14.0, 16.0, -24.0],
        ],
        3.0,
    );
    let adrenals = [("adrenal_gland_right", 1.0), ("adrenal_gland_left", -1.0)].map(|(name, side)| {
        let top = patient.near([side * 34.0, -22.0, 72.0], 2.0);
        let mut shapes = Vec::new();
        for foot in [[side * 42.0, -24.0, 58.0], [side * 33.0, -34.0, 58.0]] {
            shapes.extend(tube(&[top, patient.at(foot)], [3.2, 2.4]));
        }
        Structure::new(name, Tissue::Adrenal, shapes)
    });
    let mut all = vec![
        Structure::new("spleen", Tissue::Spleen, spleen),
        Structure::new("liver", Tissue::Liver, liver),
        Structure::new("stomach", Tissue::BowelWall, stomach),
        Structure::new("stomach", Tissue::BowelContent, content),
        Structure::new("stomach", Tissue::Gas, gas),
        Structure::new("gallbladder", Tissue::Bile, gallbladder),
        Structure::new("pancreas", Tissue::Pancreas, tube(&pancreas, [9.0, 13.0])),
        Structure::new("duodenum", Tissue::BowelWall, tube(&duodenum, [11.0, 11.0])),
        Structure::new("duodenum", Tissue::BowelContent, tube(&duodenum, [7.0, 7.0])),
    ];
    all.extend(adrenals);
    all
}

fn bowel(patient: &mut Patient) -> Vec<Structure> {
    let mut all = Vec::new();
    let parts: [(&str, &[[f64; 3]]); 3] = [
        (
            "colon_ascending",
            &[
                [82.0, 0.0, -118.0],
                [90.0, -4.0, -60.0],
                [90.0, 6.0, -8.0],
                [82.0, 34.0, 10.0],
            ],
        ),
        (
            "colon_transverse",
            &[
                [78.0, 40.0, 8.0],
                [30.0, 62.0, -14.0],
                [-30.0, 62.0, -12.0],
                [-80.0, 38.0, 26.0],
            ],
        ),
        (
            "colon_descending",
            &[
                [-86.0, 26.0, 30.0],
                [-94.0, -8.0, -10.0],
                [-90.0, -6.0, -70.0],
                [-70.0, 4.0, -128.0],
            ],
        ),
    ];
    for (name, places) in parts {
        let path = patient.all_near(places, 5.0);
        all.push(Structure::new(name, Tissue::BowelWall, tube(&path, [17.0, 16.0])));
        all.push(Structure::new(
            name,
            Tissue::BowelContent,
            tube(&path, [14.0, 13.0]),
        ));
        let gas = path
            .iter()
            .map(|&p| ellipsoid([p[0], p[1] + 6.0, p[2]], patient.vary_all([9.0, 6.0, 12.0], 0.3)));
        all.push(Structure::new(name, Tissue::Gas, gas.collect()));
    }
    let (mut walls, mut contents) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let start = [
            patient.rng.jitter(48.0),
            patient.rng.between(26.0, 58.0),
            patient.rng.between(-130.0, -36.0),
        ];
        let mut loops = vec![start];
        for _ in 0..4 {
            let last = loops[loops.len() - 1];
            loops.push([
                (last[0] + patient.rng.jitter(34.0)).clamp(-62.0, 62.0),
                (last[1] + patient.rng.jitter(16.0)).clamp(22.0, 60.0),
                (last[2] + patient.rng.jitter(24.0)).clamp(-140.0, -34.0),
            ]);
        }
        let path: Vec<_> = loops.into_iter().map(|place| patient.at(place)).collect();
        walls.extend(tube(&path, [10.5, 10.5]));
        contents.extend(tube(&path, [7.5, 7.5]));
    }
    all.push(Structure::new("small_bowel", Tissue::BowelWall, walls));
    all.push(Structure::new("small_bowel", Tissue::BowelContent, contents));
    all
}
