//! The kidneys with their pelves, arteries and veins, and the ureters.

use super::patient::Patient;
use super::structure::Structure;
use super::vessels::{RENAL_VEINS_Z, aorta_place, vena_cava_place};
use crate::shape::{Frame, Point, Shape, ellipsoid, tilted_ellipsoid, tube};
use crate::tissue::Tissue;

/// One kidney's frame: local coordinates are `[lateral, anterior, up]` in mm from its center.
pub(super) struct Kidney {
    /// +1 right, −1 left.
    side: f64,
    center: Point,
    frame: Frame,
    half: [f64; 3],
}

struct Names {
    cortex: &'static str,
    medulla: &'static str,
    pelvis: &'static str,
    ureter: &'static str,
    artery: &'static str,
    vein: &'static str,
}

const RIGHT: Names = Names {
    cortex: "kidney_cortex_right",
    medulla: "kidney_medulla_right",
    pelvis: "renal_pelvis_right",
    ureter: "ureter_right",
    artery: "renal_artery_right",
    vein: "renal_vein_right",
};

const LEFT: Names = Names {
    cortex: "kidney_cortex_left",
    medulla: "kidney_medulla_left",
    pelvis: "renal_pelvis_left",
    ureter: "ureter_left",
    artery: "renal_artery_left",
    vein: "renal_vein_left",
};

impl Kidney {
    fn new(patient: &mut Patient, side: f64) -> Kidney {
        let height = if side > 0.0 { -2.0 } else { 10.0 };
        let center = patient.near([side * 61.0, -33.0, height], 5.0);
        let lateral = [side, patient.rng.between(-0.55, -0.2), 0.0];
        // the upper pole leans to the spine and backward
        let up = [
            -side * patient.rng.between(0.12, 0.32),
            patient.rng.between(-0.22, -0.02),
            1.0,
        ];
        let half = patient.vary_all([27.0, 23.5, 53.0], 0.09);
        Kidney {
            side,
            center,
            frame: Frame::new(lateral, up),
            half,
        }
    }

    /// Both, right first.
    pub(super) fn pair(patient: &mut Patient) -> [Kidney; 2] {
        [1.0, -1.0].map(|side| Kidney::new(patient, side))
    }

    fn names(&self) -> &'static Names {
        if self.side > 0.0 { &RIGHT } else { &LEFT }
    }

    /// World position of a place given in shares of the half axes.
    fn at(&self, share: Point) -> Point {
        // the frame of a left kidney is not a mirrored one: its second axis points backward
        self.frame.place(
            self.center,
            [
                share[0] * self.half[0],
                share[1] * self.side * self.half[1],
                share[2] * self.half[2],
            ],
        )
    }

    fn part(&self, share: Point, half: [f64; 3]) -> Shape {
        tilted_ellipsoid(
            self.at(share),
            self.frame,
            std::array::from_fn(|k| half[k] * self.half[k]),
        )
    }

    /// Parenchyma, sinus fat, pelvis and calyces.
    pub(super) fn structures(&self, patient: &mut Patient) -> Vec<Structure> {
        let names = self.names();
        let pyramids = [
            [0.12, 0.0, 0.72],
            [0.12, 0.0, -0.72],
            [0.55, 0.12, 0.42],
            [0.66, -0.1, 0.02],
            [0.55, 0.1, -0.4],
            [0.1, 0.62, 0.3],
            [0.15, 0.64, -0.22],
            [0.1, -0.62, 0.28],
            [0.12, -0.64, -0.28],
        ]
        .map(|share| ellipsoid(self.at(share), patient.vary_all([7.5, 7.5, 8.5], 0.15)));
        let sinus = vec![
            self.part([-0.3, 0.0, 0.0], [0.62, 0.46, 0.5]),
            self.part([-0.95, 0.1, 0.0], [0.5, 0.42, 0.27]),
        ];
        let pelvis_radius = patient.vary(7.0, 0.15);
        let mut pelvis = tube(
            &[self.at([-0.3, -0.05, 0.0]), self.pelvis_exit()],
            [pelvis_radius, 4.2],
        );
        for (cup, via) in [
            ([0.02, 0.0, 0.5], [-0.2, 0.0, 0.24]),
            ([0.3, -0.05, 0.04], [0.0, -0.05, 0.02]),
            ([0.0, 0.0, -0.48], [-0.2, 0.0, -0.22]),
        ] {
            pelvis.extend(tube(
                &[self.at([-0.3, -0.05, 0.0]), self.at(via), self.at(cup)],
                [4.0, 3.4],
            ));
            pelvis.push(ellipsoid(self.at(cup), patient.vary_all([6.0, 6.0, 6.0], 0.12)));
        }
        vec![
            Structure::new(
                names.cortex,
                Tissue::RenalCortex,
                vec![self.part([0.0; 3], [1.0; 3])],
            )
            .demo("kidney"),
            Structure::new(names.medulla, Tissue::RenalMedulla, pyramids.to_vec()).demo("kidney"),
            Structure::new(names.pelvis, Tissue::Fat, sinus).unlabelled(),
            Structure::new(names.pelvis, Tissue::Urine, pelvis).demo("renal_pelvis"),
        ]
    }

    fn pelvis_exit(&self) -> Point {
        self.at([-1.0, -0.12, -0.2])
    }

    pub(super) fn vein(&self, patient: &mut Patient) -> Structure {
        let mut path = vec![patient.by_spine(vena_cava_place(RENAL_VEINS_Z))];
        if self.side < 0.0 {
            // in front of the aorta
            let [x, y, z] = aorta_place(RENAL_VEINS_Z);
            path.push(patient.by_spine([x + 6.0, y + 16.5, z + 1.0]));
            path.push(patient.by_spine([x - 14.0, y + 9.0, z + 3.0]));
        }
        path.push(self.at([-1.15, 0.3, 0.06]));
        path.push(self.at([-0.6, 0.2, 0.06]));
        let radius = patient.vary_all([4.9, 4.2], 0.1);
        Structure::new(self.names().vein, Tissue::RenalVein, tube(&path, radius)).demo("vein")
    }

    pub(super) fn artery(&self, patient: &mut Patient) -> Structure {
        let start_z = patient.rng.between(8.0, 16.0);
        let mut path = vec![patient.by_spine(aorta_place(start_z))];
        // the right one passes behind the vena cava
        let behind = if self.side > 0.0 {
            [18.0, 14.5, start_z - 2.0]
        } else {
            [-24.0, 17.0, start_z - 1.0]
        };
        path.push(patient.by_spine(behind));
        let hilum = self.at([-1.05, 0.1, 0.16]);
        path.push(hilum);
        let radius = patient.vary(3.5, 0.08);
        let mut shapes = tube(&path, [radius, radius]);
        for end in [[-0.42, 0.3, 0.38], [-0.42, 0.3, -0.24]] {
            shapes.extend(tube(&[hilum, self.at(end)], [2.9, 2.6]));
        }
        Structure::new(self.names().artery, Tissue::Artery, shapes).demo("renal_artery")
    }

    pub(super) fn ureter(&self, patient: &mut Patient) -> Structure {
        let side = self.side;
        let mut path = vec![self.pelvis_exit()];
        for (x, y, z) in [
            (36.0, 20.0, -48.0),
            (33.0, 30.0, -88.0),
            (32.0, 36.0, -122.0),
            (22.0, 44.0, -150.0),
        ] {
            let off = [patient.rng.jitter(3.0), patient.rng.jitter(2.0), 0.0];
            path.push(patient.by_spine([side * x + off[0], y + off[1], z]));
        }
        let radius = patient.vary(3.3, 0.08);
        Structure::new(self.names().ureter, Tissue::Urine, tube(&path, [radius, radius])).demo("ureter")
    }
}
