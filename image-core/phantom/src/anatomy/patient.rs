//! What varies from patient to patient: size, posture, and the source of chance.

use crate::random::SplitMix64;
use crate::shape::{Frame, Point, add, scale};

/// Where the centers of the vertebral bodies lie along y.
const BODY_Y: f64 = -38.0;

/// The patient's own frame and the source of all variation.
pub(super) struct Patient {
    pub(super) rng: SplitMix64,
    pub(super) size: f64,
    pub(super) frame: Frame,
    origin: Point,
    /// Sideways bend and lordosis of the spine, mm at 150 mm from the origin.
    bend: [f64; 2],
}

impl Patient {
    pub(super) fn new(seed: u64) -> Patient {
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
    pub(super) fn at(&self, place: Point) -> Point {
        self.frame.place(self.origin, scale(place, self.size))
    }

    /// The same, up to `reach` mm off along each axis.
    pub(super) fn near(&mut self, place: Point, reach: f64) -> Point {
        let off = [
            self.rng.jitter(reach),
            self.rng.jitter(reach),
            self.rng.jitter(reach),
        ];
        self.at(add(place, off))
    }

    pub(super) fn all_near(&mut self, places: &[Point], reach: f64) -> Vec<Point> {
        places.iter().map(|&place| self.near(place, reach)).collect()
    }

    /// `length` times the patient's size, up to `share` more or less.
    pub(super) fn vary(&mut self, length: f64, share: f64) -> f64 {
        length * self.size * (1.0 + self.rng.jitter(share))
    }

    pub(super) fn vary_all<const N: usize>(&mut self, lengths: [f64; N], share: f64) -> [f64; N] {
        lengths.map(|length| self.vary(length, share))
    }

    /// How far the spine lies from the midline at height `z`, `[x, y]`; average patient's mm.
    pub(super) fn spine_offset(&self, z: f64) -> [f64; 2] {
        let t = (z / 150.0).clamp(-1.4, 1.4);
        // forward in the loin, backward toward the chest and the pelvis
        let lower = z / 150.0 + 0.25;
        [
            self.bend[0] * t * t,
            self.bend[1] * (0.35 - lower * lower).max(-1.2),
        ]
    }

    /// World position of a place given relative to the center of the vertebral body at its height.
    pub(super) fn by_spine(&self, place: Point) -> Point {
        let [dx, dy] = self.spine_offset(place[2]);
        self.at([place[0] + dx, place[1] + dy + BODY_Y, place[2]])
    }
}
