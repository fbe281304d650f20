//! What a caller asks of a phantom, and the scans and masks that it becomes.

use nephrite_types::{
    Affine, Geometry, IntensityScale, LabelMap, Labels, Phase, Shape3, Spacing, Volume, Voxels,
};

use crate::anatomy;
use crate::label_set::{LabelSet, PhantomLabel};
use crate::paint::{grid_axes, paint};
use crate::scan::scan;

/// What to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct PhantomSpec {
    /// Decides the anatomy, the uptake of contrast medium and the noise.
    pub seed: u64,
    /// Voxels per axis, `[z, y, x]`.
    pub shape: Shape3,
    /// `[z, y, x]`, mm.
    pub spacing: Spacing,
    /// The phases to draw, in this order.
    pub phases: Vec<Phase>,
    /// Standard deviation of the noise, HU.
    pub noise_hu: f32,
    /// Which structures the truth names.
    pub labels: LabelSet,
}

/// A patient's scans with what they show.
#[derive(Debug, Clone)]
pub struct Phantom {
    /// One scan per phase asked for, `i16` HU; all have the geometry of `truth`.
    pub phases: Vec<(Phase, Volume)>,
    /// The structure at every voxel's center.
    pub truth: LabelMap,
    /// The labels of `truth`, by ascending id.
    pub labels: Vec<PhantomLabel>,
}

impl PhantomSpec {
    /// The patient of the demo: 160×160×96 voxels of 2×2×3 mm, arterial, portal-venous and delayed.
    pub fn demo(seed: u64) -> PhantomSpec {
        PhantomSpec::new(seed, [96, 160, 160], [3.0, 2.0, 2.0])
    }

    /// A scan of clinical size: 488×404×336 voxels (66 million) of 0.75×0.75×1 mm.
    pub fn clinical(seed: u64) -> PhantomSpec {
        PhantomSpec::new(seed, [336, 404, 488], [1.0, 0.75, 0.75])
    }

    fn new(seed: u64, shape_zyx: [usize; 3], spacing_zyx: [f64; 3]) -> PhantomSpec {
        PhantomSpec {
            seed,
            shape: Shape3::new(shape_zyx).expect("written above, not empty"),
            spacing: Spacing::new(spacing_zyx).expect("written above, positive"),
            phases: vec![Phase::Arterial, Phase::PortalVenous, Phase::Delayed],
            noise_hu: 14.0,
            labels: LabelSet::Demo,
        }
    }

    /// Where the voxels lie: x runs to the patient's left, y to the back and z to the head, as scanners store it; the
    /// middle of the field of view is the world's origin.
    pub fn geometry(&self) -> Geometry {
        let [z, y, x] = grid_axes(self.shape, self.spacing);
        let affine = Affine::new([
            [x.step, 0.0, 0.0, x.first],
            [0.0, y.step, 0.0, y.first],
            [0.0, 0.0, z.step, z.first],
        ])
        .expect("a diagonal of finite, non-zero steps");
        Geometry {
            shape: self.shape,
            spacing: self.spacing,
            affine,
        }
    }

    /// Draws the patient. The result depends on the spec alone: not on the number of threads, not on the platform.
    ///
    /// Cost: one byte per voxel for the anatomy and two per voxel and phase; planes run on rayon's current pool.
    pub fn generate(&self) -> Phantom {
        let geometry = self.geometry();
        let structures = anatomy::structures(self.seed);
        let mut indices = paint(&structures, grid_axes(self.shape, self.spacing));
        let phases = self
            .phases
            .iter()
            .map(|&phase| {
                let hu = scan(&structures, &indices, self.seed, phase, self.noise_hu);
                let volume = Volume {
                    voxels: Voxels::I16(hu),
                    scale: IntensityScale::IDENTITY,
                    geometry,
                };
                (phase, volume)
            })
            .collect();
        let (labels, ids) = self.labels.assign(&structures);
        indices.par_mapv_inplace(|index| ids[usize::from(index)]);
        Phantom {
            phases,
            truth: LabelMap {
                labels: Labels::U8(indices),
                geometry,
            },
            labels,
        }
    }
}

impl Phantom {
    /// The scan of `phase`, if it was asked for.
    pub fn scan(&self, phase: Phase) -> Option<&Volume> {
        self.phases
            .iter()
            .find(|(drawn, _)| *drawn == phase)
            .map(|(_, volume)| volume)
    }

    /// The id in `truth` of the structure with this name.
    pub fn label_id(&self, name: &str) -> Option<u8> {
        self.labels
            .iter()
            .find(|label| label.name == name)
            .map(|label| label.id)
    }
}
