//! Which structures a patient has, and where.
//!
//! Positions are written for a patient of average size: x to the right, y to the front, z up, mm, the origin in the
//! spine's midline between the kidneys. [`Patient`] moves, tilts, scales and varies them by seed.

mod body;
mod kidneys;
mod organs;
mod skeleton;
mod vessels;

use crate::random::SplitMix64;
use crate::shape::{Frame, Point, Shape, add, scale};
use crate::tissue::Tissue;

/// A named part of the body. Later structures are drawn over earlier ones.
#[derive(Debug, Clone)]
pub(crate) struct Structure {
    /// Name in the detailed label set; parts of one structure share it. None: background.
    pub(crate) name: Option<&'static str>,
    /// Name in the demo's label set.
    pub(crate) demo_name: Option<&'static str>,
    pub(crate) tissue: Tissue,
    /// Drawn only over structures with at least this index (see [`body`]).
    pub(crate) over: u8,
    pub(crate) shapes: Vec<Shape>,
}

impl Structure {
    /// A structure of the abdominal cavity.
    fn new(name: &'static str, tissue: Tissue, shapes: Vec<Shape>) -> Structure {
        Structure {
            name: Some(name),
            demo_name: None,
            tissue,
            over: body::CAVITY,
            shapes,
        }
    }

    /// As drawn also over everything inside the skin and its fat.
    fn within_wall(self) -> Structure {
        Structure {
            over: body::FAT,
            ..self
        }
    }

    fn demo(self, demo_name: &'static str) -> Structure {
        Structure {
            demo_name: Some(demo_name),
            ..self
        }
    }

    fn unlabelled(self) -> Structure {
        Structure { name: None, ..self }
    }
}

/// The patient's own frame and the source of all variation.
pub(crate) struct Patient {
    rng: SplitMix64,
    size: f64,
    frame: Frame,
    origin: Point,
    /// Sideways bend and lordosis of the spine, mm at 150 mm from the origin.
    bend: [f64; 2],
}

impl Patient {
    fn new(seed: u64) -> Patient {
        let mut rng = SplitMix64::new(seed, 0);
        let side = [1.0, rng.jitter(0.05), 0.0];
        let up = [rng.jitter(0.04), rng.jitter(0.04), 1.0];
        Patient {
            size: rng.between(0.94, 1.05),
            frame: Frame::new(side, up),
            origin: [rng.jitter(6.0), rng.jitter(5.0), rng.jitter(12.0)],
            bend: [rng.jitter(9.0), rng.between(8.0, 22.0)],
            rng,
        }
    }

    /// World position of a place in the average patient.
    fn at(&self, place: Point) -> Point {
        self.frame.place(self.origin, scale(place, self.size))
    }

    /// The same, up to `reach` mm off along each axis.
    fn near(&mut self, place: Point, reach: f64) -> Point {
        let off = [
            self.rng.jitter(reach),
            self.rng.jitter(reach),
            self.rng.jitter(reach),
        ];
        self.at(add(place, off))
    }

    fn all_near(&mut self, places: &[Point], reach: f64) -> Vec<Point> {
        places.iter().map(|&place| self.near(place, reach)).collect()
    }

    /// `length` times the patient's size, up to `share` more or less.
    fn vary(&mut self, length: f64, share: f64) -> f64 {
        length * self.size * (1.0 + self.rng.jitter(share))
    }

    fn vary_all<const N: usize>(&mut self, lengths: [f64; N], share: f64) -> [f64; N] {
        lengths.map(|length| self.vary(length, share))
    }

    /// How far the spine lies from the midline at height `z`, `[x, y]`; average patient's mm.
    fn spine_offset(&self, z: f64) -> [f64; 2] {
        let t = (z / 150.0).clamp(-1.4, 1.4);
        // forwards in the loin, backwards towards the chest and the pelvis
        let lower = z / 150.0 + 0.25;
        [
            self.bend[0] * t * t,
            self.bend[1] * (0.35 - lower * lower).max(-1.2),
        ]
    }

    /// World position of a place given relative to the center of the vertebral body at its height.
    fn by_spine(&self, place: Point) -> Point {
        let [dx, dy] = self.spine_offset(place[2]);
        self.at([place[0] + dx, place[1] + dy + skeleton::BODY_Y, place[2]])
    }
}

/// All structures of the patient with this seed, in the order in which they are drawn; the first is the air outside.
///
/// At most 255, so that a byte holds an index.
pub(crate) fn structures(seed: u64) -> Vec<Structure> {
    let mut patient = Patient::new(seed);
    let (mut all, body) = body::layers(&mut patient);
    all.extend(organs::structures(&mut patient));
    all.extend(skeleton::structures(&mut patient, &body));
    let kidneys = kidneys::Kidney::pair(&mut patient);
    for kidney in &kidneys {
        all.extend(kidney.structures(&mut patient));
    }
    let (trunks, aorta) = vessels::trunks(&mut patient);
    all.extend(trunks);
    all.extend(kidneys.iter().map(|kidney| kidney.vein(&mut patient)));
    all.extend(kidneys.iter().map(|kidney| kidney.artery(&mut patient)));
    // over the roots of its branches, which begin at its axis
    all.push(aorta);
    all.extend(kidneys.iter().map(|kidney| kidney.ureter(&mut patient)));
    assert!(all.len() <= 255, "a byte holds the index of a structure");
    all
}
