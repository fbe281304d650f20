//! Which structures a patient has, and where.
//!
//! Positions are written for a patient of average size: x to the right, y to the front, z up, mm, the origin in the
//! spine's midline between the kidneys. [`Patient`] moves, tilts, scales and varies them by seed.

mod body;
mod kidneys;
mod organs;
mod patient;
mod skeleton;
mod structure;
mod vessels;

use patient::Patient;

pub(crate) use structure::Structure;

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
