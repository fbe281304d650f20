//! Whether mask, segmentation, structure set, report and phantom say the same of every structure.

use std::fmt::Write as _;

use nephrite_kernel::{Mask, RunMask};
use nephrite_phantom::Phantom;
use nephrite_types::{LabelMap, Limits};

use super::results::{LABELS, Results};
use crate::DemoError;
use crate::table::{Overlap, overlap};

/// How much volumes of the same voxels may differ, relatively: decimal strings have sixteen characters.
const MAX_VOLUME_SHARE: f64 = 1e-9;
/// The least Dice with the phantom. The lowest of seeds 0 to 12 are 0.976, 0.959, 0.982, 0.834, 0.948, 0.878.
const MIN_DICE: [(&str, f64); 6] = [
    ("kidney", 0.965),
    ("vein", 0.945),
    ("aorta", 0.97),
    ("renal_artery", 0.8),
    ("renal_pelvis", 0.93),
    ("ureter", 0.85),
];

/// What the files of a case say of the demo's patient.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    rows: Vec<Row>,
    /// Voxels of the mask of the series that are others than in that of the NIfTI files; none if the masks have the same shape.
    other_voxels: Option<usize>,
    n_voxels: usize,
}

/// A structure.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    name: &'static str,
    overlap: Overlap,
    /// Cubic millimeters in the phantom.
    expected_mm3: f64,
    /// In mask, segmentation, structure set, report; none where it is missing.
    found_mm3: [Option<f64>; 4],
    /// Whether segmentation and structure set have the voxels of the mask.
    same_voxels: [bool; 2],
}

impl Agreement {
    pub(super) fn of(
        results: &Results,
        of_files: &LabelMap,
        phantom: &Phantom,
    ) -> Result<Agreement, DemoError> {
        let mask = &results.mask;
        let runs = RunMask::from_labels(&mask.labels, &mask.geometry, &Limits::default())?;
        let row = |(idx, &name): (usize, &&'static str)| {
            let id = idx as u16 + 1;
            let truth_id = phantom.label_id(name).unwrap_or_default();
            let overlap = overlap(mask, id, &phantom.truth, truth_id.into())?;
            let alone = only(&runs, id);
            let same = |masks: &[Mask]| find(masks, name).is_some_and(|found| is_same(&found, &alone));
            let reported = results.report.iter().find(|volume| volume.name == name);
            Ok(Row {
                name,
                overlap,
                expected_mm3: overlap.truth as f64 * phantom.truth.geometry.voxel_mm3(),
                found_mm3: [
                    volume_mm3(Some(&alone)),
                    volume_mm3(find(&results.segmentation.masks, name).as_ref()),
                    volume_mm3(find(&results.structure_set.masks, name).as_ref()),
                    reported.map(|volume| volume.volume_mm3),
                ],
                same_voxels: [
                    same(&results.segmentation_on_mask.masks),
                    same(&results.structure_set_on_mask.masks),
                ],
            })
        };
        let rows: Result<Vec<Row>, DemoError> = LABELS.iter().enumerate().map(row).collect();
        Ok(Agreement {
            rows: rows?,
            other_voxels: other_voxels(mask, of_files),
            n_voxels: mask.labels.shape().iter().product(),
        })
    }

    /// What is off, a line each; nothing if all agree.
    pub fn faults(&self) -> Vec<String> {
        let rows = self.rows.iter().filter_map(|row| {
            let what = row.fault()?;
            Some(format!("{}: {what}", row.name))
        });
        let between = match self.other_voxels {
            Some(0) => None,
            Some(n) => Some(format!(
                "{n} voxels of the masks of series and NIfTI files differ"
            )),
            None => Some("the masks of series and NIfTI files have different shapes".to_owned()),
        };
        rows.chain(between).collect()
    }

    /// The table of volumes in mL, and a line about the NIfTI files.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, cells: [&str; 6], verdict: &str| {
            let [phantom, dice, mask, seg, rtstruct, sr] = cells;
            writeln!(
                text,
                "{name:12}  {phantom:>10}  {dice:>6}  {mask:>9}  {seg:>9}  {rtstruct:>11}  {sr:>9}  {verdict}"
            )
            .expect("a string takes all text");
        };
        let head = ["phantom mL", "Dice", "NIfTI mL", "SEG mL", "RTSTRUCT mL", "SR mL"];
        line("structure", head, "agreement");
        for row in &self.rows {
            let ml = |mm3: Option<f64>| mm3.map_or("-".to_owned(), |mm3| format!("{:.3}", mm3 / 1000.0));
            let [mask, seg, rtstruct, sr] = row.found_mm3.map(ml);
            let dice = row
                .overlap
                .dice()
                .map_or("-".to_owned(), |dice| format!("{dice:.3}"));
            let phantom = ml(Some(row.expected_mm3));
            let cells = [&phantom, &dice, &mask, &seg, &rtstruct, &sr].map(String::as_str);
            line(row.name, cells, &row.fault().unwrap_or_else(|| "ok".to_owned()));
        }
        if let Some(n) = self.other_voxels {
            let total = self.n_voxels;
            writeln!(
                text,
                "masks of the series and of NIfTI files of the same layout: {} of {total} voxels are equal",
                total - n
            )
            .expect("a string takes all text");
        }
        text
    }
}

impl Row {
    /// The first thing that is off.
    fn fault(&self) -> Option<String> {
        let [Some(mask), seg, rtstruct, sr] = self.found_mm3 else {
            return Some("not found".to_owned());
        };
        for (file, found) in [("SEG", seg), ("RTSTRUCT", rtstruct), ("SR", sr)] {
            match found {
                None => return Some(format!("missing in {file}")),
                Some(found) if (found - mask).abs() > MAX_VOLUME_SHARE * mask => {
                    return Some(format!("{file} has another volume"));
                }
                Some(_) => {}
            }
        }
        for (file, same) in ["SEG", "RTSTRUCT"].into_iter().zip(self.same_voxels) {
            if !same {
                return Some(format!("{file} has other voxels"));
            }
        }
        let least = MIN_DICE.iter().find(|(name, _)| *name == self.name);
        let least = least.map_or(1.0, |(_, least)| *least);
        match self.overlap.dice() {
            Some(dice) if dice >= least => None,
            _ => Some(format!("Dice with the phantom is below {least}")),
        }
    }
}

/// The label of this name alone, as 1.
fn find(masks: &[Mask], name: &str) -> Option<RunMask> {
    masks.iter().find_map(|mask| {
        let id = mask.labels().by_name(name)?.id;
        Some(only(mask.runs(), id)).filter(|alone| !alone.runs().is_empty())
    })
}

fn only(runs: &RunMask, id: u16) -> RunMask {
    runs.relabel(|_, run| u16::from(run.label == id))
}

fn is_same(a: &RunMask, b: &RunMask) -> bool {
    a.shape() == b.shape() && a.row_starts() == b.row_starts() && a.runs() == b.runs()
}

/// None of a mask without a voxel.
fn volume_mm3(alone: Option<&RunMask>) -> Option<f64> {
    let alone = alone.filter(|alone| !alone.runs().is_empty())?;
    let voxels: u64 = alone.runs().iter().map(|run| u64::from(run.len())).sum();
    Some(voxels as f64 * alone.geometry().voxel_mm3())
}

fn other_voxels(a: &LabelMap, b: &LabelMap) -> Option<usize> {
    let ids = |map: &LabelMap| -> Vec<u16> {
        match &map.labels {
            nephrite_types::Labels::U8(array) => array.iter().map(|&id| id.into()).collect(),
            nephrite_types::Labels::U16(array) => array.iter().copied().collect(),
        }
    };
    let is_same_grid = a.labels.shape() == b.labels.shape();
    is_same_grid.then(|| ids(a).iter().zip(ids(b)).filter(|(a, b)| **a != *b).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            name: "kidney",
            overlap: Overlap {
                predicted: 1000,
                truth: 1000,
                both: 995,
            },
            expected_mm3: 12_000.0,
            found_mm3: [Some(12_000.0); 4],
            same_voxels: [true; 2],
        }
    }

    #[test]
    fn anything_that_is_off_is_told() {
        assert_eq!(row().fault(), None);
        let fault = |change: &dyn Fn(&mut Row)| {
            let mut row = row();
            change(&mut row);
            row.fault().unwrap_or_default()
        };
        assert_eq!(fault(&|row| row.found_mm3[0] = None), "not found");
        for (idx, file) in [(1, "SEG"), (2, "RTSTRUCT"), (3, "SR")] {
            assert_eq!(
                fault(&|row| row.found_mm3[idx] = None),
                format!("missing in {file}")
            );
            // less than a voxel
            let other = fault(&|row| row.found_mm3[idx] = Some(12_000.1));
            assert_eq!(other, format!("{file} has another volume"));
        }
        assert_eq!(fault(&|row| row.same_voxels[0] = false), "SEG has other voxels");
        assert_eq!(
            fault(&|row| row.same_voxels[1] = false),
            "RTSTRUCT has other voxels"
        );
        assert!(fault(&|row| row.overlap.both = 900).starts_with("Dice with the phantom is below 0.9"));
        assert!(fault(&|row| row.name = "spleen").starts_with("Dice with the phantom is below 1"));
    }

    #[test]
    fn every_fault_is_listed_with_its_structure() {
        let mut off = row();
        off.same_voxels[0] = false;
        let agreement = |other_voxels| Agreement {
            rows: vec![row(), off.clone()],
            other_voxels,
            n_voxels: 2_000_000,
        };
        assert_eq!(agreement(Some(0)).faults(), ["kidney: SEG has other voxels"]);
        assert_eq!(agreement(Some(3)).faults().len(), 2);
        let text = agreement(Some(3)).to_text();
        assert!(text.contains("1999997 of 2000000 voxels are equal"), "{text}");
        assert!(agreement(None).faults()[1].contains("different shapes"));
    }
}
