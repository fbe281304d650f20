//! The operation itself: pairs of labels first, then both masks run by run.

use std::collections::BTreeMap;

use nephrite_kernel::memory::run_bytes;
use nephrite_kernel::{
    Context, InputSpec, Inputs, LabelEntry, LabelForm, LabelStatus, LabelTable, Mask, MaskOperation,
    MaskSize, OperationDescription, OperationError, Outcome, OutputSpec, ParameterKind, ParameterSpec,
    ParameterValue, Parameters, RunMask,
};
use nephrite_runs::combine;

use crate::measure::{Compared, measurements};
use crate::pairs::{Pair, PairedBy, Pairs};

const ONLY_MASK: u16 = 1;
const ONLY_REFERENCE: u16 = 2;
const OTHER_LABEL: u16 = 3;
/// Names of these ids.
const DIFFERENCES: [&str; 3] = ["only_mask", "only_reference", "other_label"];

/// How far two masks agree.
#[derive(Debug)]
pub struct Compare {
    description: OperationDescription,
}

impl Default for Compare {
    fn default() -> Self {
        let mut description = OperationDescription::new(
            "compare",
            "1.0.0",
            "holds a mask against a reference: Dice, IoU and volumes per label, and where they differ",
        );
        description.inputs = vec![
            InputSpec::required("mask", "the mask that is judged"),
            InputSpec::required("reference", "what it is held against").on_first_grid(),
        ];
        description.parameters = vec![
            ParameterSpec::new(
                "match",
                ParameterKind::choice(&["name", "id"]),
                "what labels of the two masks are paired by",
            )
            .default(ParameterValue::Text("name".to_owned())),
            ParameterSpec::new(
                "labels",
                ParameterKind::labels(&["mask", "reference"], LabelForm::Name),
                "labels to compare; all that both masks know if left out",
            ),
        ];
        let difference = OutputSpec::like_input("difference", "mask", "voxels where the two masks differ");
        description.outputs = vec![difference.fixed_labels(&DIFFERENCES)];
        Compare { description }
    }
}

impl Compare {
    /// The operation.
    pub fn new() -> Compare {
        Compare::default()
    }
}

impl MaskOperation for Compare {
    fn description(&self) -> &OperationDescription {
        &self.description
    }

    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let (mask, reference) = (inputs.one("mask")?, inputs.one("reference")?);
        let paired_by = match parameters.text("match") {
            Some("id") => PairedBy::Id,
            _ => PairedBy::Name,
        };
        let only = parameters.texts("labels")?;
        let pairs = Pairs::of(mask.labels(), reference.labels(), paired_by, only)?;
        // From here on, labels are places in the list of pairs, from 1.
        let runs = numbered(mask, &pairs, |pair| pair.id);
        let reference_runs = numbered(reference, &pairs, |pair| pair.reference_id);
        context.cancel.check()?;
        let same = |a, b| if a == b { a } else { 0 };
        let common = combine(&runs, &reference_runs, context.limits, same).map_err(OperationError::other)?;
        context.cancel.check()?;
        let common: BTreeMap<u16, u64> = (common.summaries().into_iter())
            .map(|(number, summary)| (number, summary.voxels))
            .collect();
        let differing =
            combine(&runs, &reference_runs, context.limits, difference).map_err(OperationError::other)?;
        context.cancel.check()?;
        let differing = Mask::new(differing, LabelTable::new(differences())?)?;
        let measurements = measurements(&Compared {
            mask: &runs,
            reference: &reference_runs,
            pairs: &pairs,
            common: &common,
            differing: differing.summaries().values().map(|summary| summary.voxels).sum(),
        });
        let mut outcome = Outcome::mask("difference", differing);
        outcome.measurements = measurements;
        Ok(outcome)
    }

    /// Both masks once more, and what they have in common or the difference, which has at most the runs of both.
    fn working_bytes(&self, masks: &[MaskSize], _: &Parameters) -> u64 {
        run_bytes(masks).saturating_mul(3)
    }
}

/// The mask with places of pairs, from 1, as labels; without what is not compared.
fn numbered(mask: &Mask, pairs: &Pairs, id_of: impl Fn(&Pair) -> u16) -> RunMask {
    let largest = mask.labels().entries().last().map_or(0, |entry| entry.id);
    let mut number_of_id = vec![0u16; usize::from(largest) + 1];
    for (at, pair) in pairs.compared.iter().enumerate() {
        number_of_id[usize::from(id_of(pair))] = at as u16 + 1; // at most as many as ids
    }
    mask.runs().relabel(|_, run| number_of_id[usize::from(run.label)])
}

/// The label of the output where `mask` and reference have these numbers of pairs.
fn difference(number: u16, reference: u16) -> u16 {
    match (number, reference) {
        (a, b) if a == b => 0,
        (_, 0) => ONLY_MASK,
        (0, _) => ONLY_REFERENCE,
        _ => OTHER_LABEL,
    }
}

fn differences() -> Vec<LabelEntry> {
    let ids = [ONLY_MASK, ONLY_REFERENCE, OTHER_LABEL];
    let named = ids.into_iter().zip(DIFFERENCES);
    named
        .map(|(id, name)| LabelEntry {
            id,
            name: name.to_owned(),
            status: LabelStatus::Present, // which the voxels then decide
        })
        .collect()
}
