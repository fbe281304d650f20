//! The table: how well each structure was found.

use std::fmt::Write;

use nephrite_types::{LabelMap, Labels};

use crate::DemoError;

/// How a structure in a mask and in the truth cover each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overlap {
    /// Voxels of the structure in the mask.
    pub(crate) predicted: u64,
    /// Voxels of the structure in the truth.
    pub(crate) truth: u64,
    /// Voxels of the structure in both.
    pub(crate) both: u64,
}

impl Overlap {
    /// Twice the overlap over the sum of both, 0 to 1; None when the structure is in neither.
    ///
    /// Source: Dice, "Measures of the amount of ecologic association between species", 1945.
    pub(crate) fn dice(self) -> Option<f64> {
        let sum = self.predicted + self.truth;
        (sum > 0).then(|| 2.0 * self.both as f64 / sum as f64)
    }
}

/// Counts the voxels with id `predicted_id` in `prediction` against those with `truth_id` in `truth`; the two may number the
/// same structure differently.
///
/// # Errors
/// [`DemoError::Shape`].
pub(crate) fn overlap(
    prediction: &LabelMap,
    predicted_id: u16,
    truth: &LabelMap,
    truth_id: u16,
) -> Result<Overlap, DemoError> {
    let (expected, found) = (truth.labels.shape(), prediction.labels.shape());
    if expected != found {
        return Err(DemoError::Shape { expected, found });
    }
    let counted = match (&prediction.labels, &truth.labels) {
        (Labels::U8(p), Labels::U8(t)) => count(p, predicted_id, t, truth_id),
        (Labels::U8(p), Labels::U16(t)) => count(p, predicted_id, t, truth_id),
        (Labels::U16(p), Labels::U8(t)) => count(p, predicted_id, t, truth_id),
        (Labels::U16(p), Labels::U16(t)) => count(p, predicted_id, t, truth_id),
    };
    Ok(counted)
}

fn count<P: Copy + Into<u16>, T: Copy + Into<u16>>(
    prediction: &ndarray::Array3<P>,
    predicted_id: u16,
    truth: &ndarray::Array3<T>,
    truth_id: u16,
) -> Overlap {
    let mut overlap = Overlap {
        predicted: 0,
        truth: 0,
        both: 0,
    };
    for (&p, &t) in prediction.iter().zip(truth) {
        let (in_prediction, in_truth) = (p.into() == predicted_id, t.into() == truth_id);
        overlap.predicted += u64::from(in_prediction);
        overlap.truth += u64::from(in_truth);
        overlap.both += u64::from(in_prediction && in_truth);
    }
    overlap
}

/// One line of the demo's table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StructureRow {
    /// Name of the structure.
    pub(crate) name: String,
    /// Its voxels.
    pub(crate) overlap: Overlap,
    /// Cubic millimetres of a voxel.
    pub(crate) voxel_mm3: f64,
    /// Wall time of the model that found it; None where an earlier line of the same model says it.
    pub(crate) secs: Option<f64>,
}

/// The rows as text with aligned columns: structure, Dice, volume in the truth and in the mask in mL, seconds.
pub(crate) fn table(rows: &[StructureRow]) -> String {
    let mut text = String::new();
    let name_width = rows
        .iter()
        .map(|row| row.name.chars().count())
        .max()
        .unwrap_or(0)
        .max("structure".len());
    let header = ["Dice", "truth mL", "found mL", "seconds"];
    let mut line = |name: &str, cells: [String; 4]| {
        let [dice, truth, found, secs] = cells;
        writeln!(
            text,
            "{name:name_width$}  {dice:>6}  {truth:>8}  {found:>8}  {secs:>7}"
        )
        .expect("a string takes all text");
    };
    line("structure", header.map(str::to_owned));
    for row in rows {
        let ml = |voxels: u64| format!("{:.1}", voxels as f64 * row.voxel_mm3 / 1000.0);
        let cells = [
            row.overlap
                .dice()
                .map_or("-".to_owned(), |dice| format!("{dice:.3}")),
            ml(row.overlap.truth),
            ml(row.overlap.predicted),
            row.secs.map_or(String::new(), |secs| format!("{secs:.1}")),
        ];
        line(&row.name, cells);
    }
    text
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use nephrite_types::{Affine, Geometry, Shape3, Spacing};

    use super::*;

    fn labels(values: Vec<u8>) -> LabelMap {
        let shape = [1, 1, values.len()];
        let spacing = Spacing::new([1.0; 3]).unwrap();
        LabelMap {
            labels: Labels::U8(Array3::from_shape_vec(shape, values).unwrap()),
            geometry: Geometry {
                shape: Shape3::new(shape).unwrap(),
                spacing,
                affine: Affine::from_spacing(spacing, [0.0; 3]),
            },
        }
    }

    #[test]
    fn dice_of_hand_counted_masks() {
        let check = |prediction: &[u8], truth: &[u8], expected: Option<f64>| {
            let overlap = overlap(&labels(prediction.to_vec()), 1, &labels(truth.to_vec()), 4).unwrap();
            assert_eq!(overlap.dice(), expected, "{prediction:?} {truth:?}");
        };
        check(&[1, 1, 0, 2], &[4, 4, 0, 0], Some(1.0));
        check(&[1, 1, 0, 0], &[0, 4, 4, 0], Some(0.5));
        check(&[1, 0, 0, 0], &[0, 0, 0, 4], Some(0.0));
        check(&[4, 4, 4, 4], &[1, 1, 1, 1], None);
    }

    #[test]
    fn wide_labels_are_counted_too() {
        let narrow = labels(vec![1, 1, 0]);
        let wide = LabelMap {
            labels: Labels::U16(Array3::from_shape_vec([1, 1, 3], vec![300, 0, 300]).unwrap()),
            ..narrow.clone()
        };
        let expected = Overlap {
            predicted: 2,
            truth: 2,
            both: 1,
        };
        assert_eq!(overlap(&narrow, 1, &wide, 300).unwrap(), expected);
        assert_eq!(overlap(&wide, 300, &narrow, 1).unwrap(), expected);
        assert_eq!(overlap(&wide, 300, &wide, 300).unwrap().both, 2);
    }

    #[test]
    fn masks_of_other_shape_are_refused() {
        let error = overlap(&labels(vec![1, 2]), 1, &labels(vec![1, 2, 3]), 1).unwrap_err();
        assert!(
            matches!(
                error,
                DemoError::Shape {
                    expected: [1, 1, 3],
                    found: [1, 1, 2]
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn columns_are_aligned_and_volumes_in_millilitres() {
        let row = |name: &str, secs| StructureRow {
            name: name.to_owned(),
            overlap: Overlap {
                predicted: 1000,
                truth: 2000,
                both: 900,
            },
            voxel_mm3: 12.0,
            secs,
        };
        let expected = "\
structure       Dice  truth mL  found mL  seconds
kidney         0.600      24.0      12.0      3.2
renal_pelvis   0.600      24.0      12.0         
";
        assert_eq!(
            table(&[row("kidney", Some(3.21)), row("renal_pelvis", None)]),
            expected
        );
    }
}
