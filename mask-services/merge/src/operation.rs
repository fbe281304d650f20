//! The operation itself: grids first, then steps, then priorities.

use std::borrow::Cow;

use nephrite_kernel::{
    Context, InputSpec, Inputs, LabelEntry, LabelForm, LabelStep, LabelTable, Mask, MaskOperation, MaskSize,
    Measurement, OperationDescription, OperationError, Outcome, OutputSpec, ParameterKind, ParameterSpec,
    ParameterValue, Parameters, RunMask, grid_difference,
};

use crate::error::MergeError;
use crate::naming::{Names, Ranking, check_lists};
use crate::overlay::{Conflicts, Layer, overlay};
use crate::resample::{Interpolation, outside, resample};
use crate::sets;

/// Any number of label maps into one.
#[derive(Debug)]
pub struct Merge {
    description: OperationDescription,
}

impl Default for Merge {
    fn default() -> Self {
        let mut description =
            OperationDescription::new("merge", "1.0.0", "puts any number of label maps into one");
        description
            .inputs
            .push(InputSpec::required("masks", "the label maps, on any grids").repeated());
        description.inputs.push(
            InputSpec::required(
                "reference",
                "its grid is that of the result; the first mask's if left out",
            )
            .optional(),
        );
        description.parameters = vec![
            ParameterSpec::new(
                "labels",
                ParameterKind::labels(&["masks"], LabelForm::NameId),
                "name=id of every label of the result; all names that occur if left out, with their ids where those do not clash",
            ),
            ParameterSpec::new(
                "priority",
                ParameterKind::labels(&["masks"], LabelForm::Name),
                "names of labels, the first wins where they overlap; then targets of steps, the last first; then the order of the masks",
            ),
            ParameterSpec::new(
                "interpolation",
                ParameterKind::choice(&["nearest", "linear"]),
                "for masks on another grid: the nearest voxel's label, or the label with most trilinear weight",
            )
            .default(ParameterValue::Text("nearest".to_owned())),
            ParameterSpec::new(
                "steps",
                ParameterKind::labels(&["masks"], LabelForm::Step),
                "target = label (union|intersect|subtract|inside) label [grown MM], in order, before overlaps are resolved",
            ),
        ];
        let mask = OutputSpec::on_own_grid("mask", "all labels, on the reference grid");
        description.outputs = vec![mask.labels_named_in(&["masks"], "labels")];
        Merge { description }
    }
}

impl Merge {
    /// The operation.
    pub fn new() -> Merge {
        Merge::default()
    }
}

impl MaskOperation for Merge {
    fn description(&self) -> &OperationDescription {
        &self.description
    }

    fn check(&self, parameters: &Parameters, _: bool) -> Result<(), OperationError> {
        check_lists(parameters.texts("labels")?, parameters.texts("priority")?)?;
        parameters
            .texts("steps")?
            .iter()
            .try_for_each(|text| read_step(text).map(|_| ()))
    }

    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let masks = inputs.all("masks");
        let reference = match inputs.optional("reference") {
            Some(reference) => reference,
            None => inputs.one("masks")?,
        };
        let geometry = reference.runs().geometry();
        let interpolation = match parameters.text("interpolation") {
            Some("linear") => Interpolation::Linear,
            _ => Interpolation::Nearest,
        };

        let mut names = Names::of(masks.iter().map(AsRef::as_ref));
        let mut steps = Vec::new();
        for text in parameters.texts("steps")? {
            let step = read_step(text)?;
            let numbers = names.add_step(&step)?;
            steps.push((step, numbers));
        }
        if names.len() > usize::from(u16::MAX) - 1 {
            return Err(MergeError::TooManyLabels { found: names.len() }.into());
        }
        let targets: Vec<usize> = steps.iter().map(|(_, numbers)| numbers[0]).collect();
        let ranking = names.rank(
            parameters.texts("labels")?,
            parameters.texts("priority")?,
            &targets,
        )?;

        let mut cut = vec![0u64; names.len()];
        let mut layers: Vec<Layer<'_>> = Vec::with_capacity(masks.len());
        for (idx, mask) in masks.iter().enumerate() {
            context.cancel.check()?;
            let mut meaning = vec![
                0;
                mask.labels()
                    .entries()
                    .last()
                    .map_or(0, |last| usize::from(last.id) + 1)
            ];
            for entry in mask.labels().entries() {
                meaning[usize::from(entry.id)] = names.number("masks", &entry.name)? as u16 + 1; // len was checked
            }
            let unmappable = || MergeError::Unmappable { mask: idx };
            let runs = if grid_difference(geometry, mask.runs().geometry()).is_none() {
                Cow::Borrowed(mask.runs())
            } else {
                for (id, voxels) in outside(mask.runs(), geometry).ok_or_else(unmappable)? {
                    let number = usize::from(meaning[usize::from(id)]).checked_sub(1);
                    if let Some(voxels_cut) = number.and_then(|number| cut.get_mut(number)) {
                        *voxels_cut += voxels;
                    }
                }
                let moved = resample(
                    mask.runs(),
                    geometry,
                    interpolation,
                    context.limits,
                    context.cancel,
                )?;
                Cow::Owned(moved.ok_or_else(unmappable)?)
            };
            layers.push(Layer { runs, meaning });
        }
        if !steps.is_empty() {
            let empty = RunMask::empty(*geometry, context.limits)?;
            sets::apply(&mut layers, &steps, &empty, context)?;
        }
        for known in layers.iter_mut().flat_map(|layer| layer.meaning.iter_mut()) {
            let number = usize::from(*known).checked_sub(1);
            *known = number.map_or(0, |number| ranking.rank_of_name[number]);
        }
        let (runs, conflicts) = overlay(
            &layers,
            &ranking.id_of_rank,
            geometry,
            context.limits,
            context.cancel,
        )?;
        let mut outcome = Outcome::mask("mask", Mask::new(runs, table(&names, &ranking)?)?);
        outcome.measurements = measurements(&names, &ranking, &conflicts, &cut);
        Ok(outcome)
    }

    /// Every mask on the reference grid, in run form, and a few copies of it. Runs cross a row of the finer grid as often as
    /// there are more rows.
    fn working_bytes(&self, masks: &[MaskSize], _: &Parameters) -> u64 {
        let most_rows = masks.iter().map(|mask| mask.n_rows()).max().unwrap_or(0);
        let moved = masks.iter().map(|mask| {
            let finer = most_rows.div_ceil(mask.n_rows().max(1)).max(1);
            mask.run_bytes().saturating_mul(finer)
        });
        moved.fold(0, u64::saturating_add).saturating_mul(6)
    }
}

fn read_step(text: &str) -> Result<LabelStep, OperationError> {
    let step = LabelStep::parse(text).map_err(|reason| MergeError::Step {
        step: text.chars().take(200).collect(),
        reason,
    });
    Ok(step?)
}

fn table(names: &Names, ranking: &Ranking) -> Result<LabelTable, OperationError> {
    let ranked = ranking.name_of_rank.iter().zip(&ranking.id_of_rank).skip(1);
    let entries = ranked.map(|(&number, &id)| LabelEntry {
        id,
        name: names.name(number).to_owned(),
        status: names.status(number),
    });
    Ok(LabelTable::new(entries.collect())?)
}

/// Conflicts by rank of winner, then loser; then what was cut, in the order of the names.
fn measurements(names: &Names, ranking: &Ranking, conflicts: &Conflicts, cut: &[u64]) -> Vec<Measurement> {
    let voxels = |label: &str, name: String, n: u64| Measurement {
        label: label.to_owned(),
        name,
        unit: "voxel".to_owned(),
        value: n as f64,
    };
    let name_of = |rank: u16| names.name(ranking.name_of_rank[usize::from(rank)]);
    let mut found = vec![voxels("", "conflict".to_owned(), conflicts.voxels)];
    for (&(winner, loser), &n) in &conflicts.pairs {
        let name = format!("conflict_with:{}", name_of(loser));
        found.push(voxels(name_of(winner), name, n));
    }
    for (number, &n) in cut.iter().enumerate().filter(|(_, n)| **n > 0) {
        found.push(voxels(names.name(number), "outside_reference".to_owned(), n));
    }
    found
}
