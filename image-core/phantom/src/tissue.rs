//! Hounsfield units of each tissue in each contrast phase.

use nephrite_types::Phase;

/// What a structure is made of; decides its Hounsfield units in every phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tissue {
    Air,
    Lung,
    Gas,
    Skin,
    Fat,
    Muscle,
    CorticalBone,
    SpongyBone,
    Disc,
    Cord,
    Liver,
    Spleen,
    Pancreas,
    Adrenal,
    BowelWall,
    BowelContent,
    Bile,
    RenalCortex,
    RenalMedulla,
    /// Renal pelvis, calyces and ureters.
    Urine,
    Bladder,
    Artery,
    /// Renal veins and the vena cava above them.
    RenalVein,
    /// The vena cava below the renal veins, and the iliac veins.
    SystemicVein,
    PortalVein,
}

/// Hounsfield units without contrast medium, and the enhancement on top: arterial, portal-venous, delayed.
///
/// Typical values for adults; the phases differ where a radiologist would expect it.
const fn attenuation(tissue: Tissue) -> (f32, [f32; 3]) {
    match tissue {
        Tissue::Air => (-1000.0, [0.0, 0.0, 0.0]),
        Tissue::Lung => (-820.0, [10.0, 15.0, 10.0]),
        Tissue::Gas => (-900.0, [0.0, 0.0, 0.0]),
        Tissue::Skin => (30.0, [5.0, 15.0, 15.0]),
        Tissue::Fat => (-103.0, [1.0, 3.0, 3.0]),
        Tissue::Muscle => (52.0, [5.0, 14.0, 12.0]),
        Tissue::CorticalBone => (520.0, [0.0, 0.0, 0.0]),
        Tissue::SpongyBone => (185.0, [5.0, 12.0, 10.0]),
        Tissue::Disc => (85.0, [0.0, 3.0, 3.0]),
        Tissue::Cord => (32.0, [2.0, 6.0, 6.0]),
        Tissue::Liver => (56.0, [14.0, 54.0, 36.0]),
        Tissue::Spleen => (48.0, [72.0, 76.0, 44.0]),
        Tissue::Pancreas => (42.0, [58.0, 50.0, 34.0]),
        Tissue::Adrenal => (22.0, [44.0, 46.0, 28.0]),
        Tissue::BowelWall => (36.0, [28.0, 52.0, 40.0]),
        Tissue::BowelContent => (22.0, [0.0, 0.0, 2.0]),
        Tissue::Bile => (8.0, [0.0, 1.0, 2.0]),
        Tissue::RenalCortex => (33.0, [132.0, 152.0, 92.0]),
        Tissue::RenalMedulla => (31.0, [42.0, 140.0, 98.0]),
        Tissue::Urine => (6.0, [0.0, 5.0, 620.0]),
        Tissue::Bladder => (5.0, [0.0, 2.0, 70.0]),
        Tissue::Artery => (42.0, [290.0, 92.0, 58.0]),
        Tissue::RenalVein => (41.0, [60.0, 156.0, 62.0]),
        Tissue::SystemicVein => (41.0, [10.0, 130.0, 60.0]),
        Tissue::PortalVein => (41.0, [38.0, 136.0, 60.0]),
    }
}

impl Tissue {
    /// Hounsfield units in `phase` for a patient who takes up `uptake` times the usual contrast medium.
    pub(crate) fn hounsfield(self, phase: Phase, uptake: f32) -> f32 {
        let (plain, enhancement) = attenuation(self);
        match phase {
            Phase::NonContrast => plain,
            Phase::Arterial => plain + uptake * enhancement[0],
            Phase::PortalVenous => plain + uptake * enhancement[1],
            Phase::Delayed => plain + uptake * enhancement[2],
        }
    }
}
