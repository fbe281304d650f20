//! Which labels go into an operation and come out, before there are masks: so that a name that is wrong is refused before
//! anything expensive runs.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::label_form::NamedLabels;
use crate::{
    Inputs, LabelForm, OperationDescription, OperationError, OutputLabels, ParameterKind, ParameterValue,
    Parameters,
};

/// A label that a mask will name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedLabel {
    /// Its value as far as that can be known; it differs from those of the mask's other labels.
    pub id: u16,
    /// Its name.
    pub name: String,
}

/// The labels that a mask will name; `None` if only a run can tell.
pub type ExpectedLabels = Option<Vec<ExpectedLabel>>;

/// The labels of the masks that go in: the name of the input, and what its mask will name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputLabels(Vec<(String, ExpectedLabels)>);

impl InputLabels {
    /// One more mask.
    pub fn add(&mut self, input: &str, labels: ExpectedLabels) {
        self.0.push((input.to_owned(), labels));
    }

    /// Those of masks that are there.
    pub fn of(inputs: &Inputs) -> InputLabels {
        let mut labels = InputLabels::default();
        for (name, masks) in inputs.iter() {
            for mask in masks {
                let entries = mask.labels().entries().iter().map(|entry| ExpectedLabel {
                    id: entry.id,
                    name: entry.name.clone(),
                });
                labels.add(name, Some(entries.collect()));
            }
        }
        labels
    }

    /// What the masks of these inputs name, in the order of the description's inputs, each name once; `None` if that of one
    /// of them is not known. No inputs means all of them.
    fn named_in(&self, description: &OperationDescription, inputs: &[String]) -> ExpectedLabels {
        let mut found: Vec<ExpectedLabel> = Vec::new();
        let mut names = BTreeSet::new();
        for spec in &description.inputs {
            if !inputs.is_empty() && !inputs.contains(&spec.name) {
                continue;
            }
            for (_, labels) in self.0.iter().filter(|(name, _)| *name == spec.name) {
                let labels = labels.as_ref()?;
                found.extend(
                    labels
                        .iter()
                        .filter(|label| names.insert(label.name.clone()))
                        .cloned(),
                );
            }
        }
        Some(found)
    }
}

/// Checks the labels that parameters name, and says which labels the masks will name that come out, in the order of the
/// description's outputs. `parameters` are checked.
///
/// # Errors
/// [`OperationError::UnknownLabel`] for a label that no mask names, [`OperationError::LabelText`] for a text of another form.
pub fn expected_labels(
    description: &OperationDescription,
    parameters: &Parameters,
    inputs: &InputLabels,
) -> Result<Vec<ExpectedLabels>, OperationError> {
    let given = given_labels(description, parameters, inputs)?;
    let known = |of: &[String]| Known::new(inputs.named_in(description, of), &given);
    for spec in &description.parameters {
        if let Some(of) = spec.kind.label_inputs()
            && form(&spec.kind) != LabelForm::Step
        {
            named(&spec.name, form(&spec.kind), parameters, &known(of))?;
        }
    }
    let outputs = description.outputs.iter().map(|output| match &output.labels {
        OutputLabels::Unknown => Ok(None),
        OutputLabels::Fixed(names) => Ok(Some(with_ids(names.iter().map(|name| (0, name.as_str()))))),
        OutputLabels::Of { inputs: of, only } => {
            let known = known(of);
            let spec = only.as_ref().and_then(|only| {
                let mut specs = description.parameters.iter();
                specs.find(|spec| spec.name == *only)
            });
            if let Some(spec) = spec {
                let chosen = named(&spec.name, form(&spec.kind), parameters, &known)?;
                if !chosen.is_empty() {
                    return Ok(Some(choose(&known, &chosen)));
                }
            }
            let all = known.is_complete.then(|| known.labels.iter().map(wanted));
            Ok(all.map(with_ids))
        }
    });
    outputs.collect()
}

/// Labels that steps give; what a step names is checked.
fn given_labels(
    description: &OperationDescription,
    parameters: &Parameters,
    inputs: &InputLabels,
) -> Result<Vec<String>, OperationError> {
    let mut given = Vec::new();
    for spec in &description.parameters {
        let Some(of) = spec
            .kind
            .label_inputs()
            .filter(|_| form(&spec.kind) == LabelForm::Step)
        else {
            continue;
        };
        let mut known = Known::new(inputs.named_in(description, of), &given);
        for text in texts(parameters, &spec.name) {
            if let Some(target) = read(&spec.name, LabelForm::Step, text, &known)?.given {
                known.add(&target);
                given.push(target);
            }
        }
    }
    Ok(given)
}

/// Labels that a parameter may name.
struct Known {
    labels: Vec<ExpectedLabel>,
    names: HashSet<String>,
    /// False if a mask may have others: then any name may be one.
    is_complete: bool,
}

impl Known {
    fn new(labels: ExpectedLabels, given: &[String]) -> Known {
        let is_complete = labels.is_some();
        let labels = labels.unwrap_or_default();
        let names = labels.iter().map(|label| label.name.clone()).collect();
        let mut known = Known {
            labels,
            names,
            is_complete,
        };
        given.iter().for_each(|name| known.add(name));
        known
    }

    /// One more, without a value of its own yet.
    fn add(&mut self, name: &str) {
        if self.names.insert(name.to_owned()) {
            self.labels.push(ExpectedLabel {
                id: 0,
                name: name.to_owned(),
            });
        }
    }
}

fn form(kind: &ParameterKind) -> LabelForm {
    match kind {
        ParameterKind::Labels { form, .. } => *form,
        _ => LabelForm::Name,
    }
}

/// What a parameter names, each of them known; nothing if it is off.
fn named(
    parameter: &str,
    form: LabelForm,
    parameters: &Parameters,
    known: &Known,
) -> Result<Vec<NamedLabels>, OperationError> {
    let texts = texts(parameters, parameter).iter();
    texts.map(|text| read(parameter, form, text, known)).collect()
}

fn texts<'p>(parameters: &'p Parameters, name: &str) -> &'p [String] {
    match parameters.values().get(name) {
        Some(ParameterValue::Text(text)) => std::slice::from_ref(text),
        Some(ParameterValue::Texts(texts)) => texts,
        _ => &[],
    }
}

fn read(parameter: &str, form: LabelForm, text: &str, known: &Known) -> Result<NamedLabels, OperationError> {
    let read = form.read(text, |name| known.names.contains(name));
    let read = read.map_err(|reason| OperationError::LabelText {
        parameter: parameter.to_owned(),
        text: text.to_owned(),
        reason,
    })?;
    let unknown = read.used.iter().find(|name| !known.names.contains(*name));
    match unknown.filter(|_| known.is_complete) {
        None => Ok(read),
        Some(label) => Err(OperationError::UnknownLabel {
            parameter: parameter.to_owned(),
            label: label.clone(),
            known: known.labels.iter().map(|label| label.name.clone()).collect(),
        }),
    }
}

/// The labels that a parameter names, with the values that it gives them, or those that they have.
fn choose(known: &Known, chosen: &[NamedLabels]) -> Vec<ExpectedLabel> {
    let ids: HashMap<&str, u16> = known
        .labels
        .iter()
        .map(|label| (label.name.as_str(), label.id))
        .collect();
    let named = chosen.iter().flat_map(|named| {
        let id = |name: &str| named.id.unwrap_or_else(|| ids.get(name).copied().unwrap_or(0));
        named.used.iter().map(move |name| (id(name), name.as_str()))
    });
    with_ids(named)
}

fn wanted(label: &ExpectedLabel) -> (u16, &str) {
    (label.id, &label.name)
}

/// Each name once; the first that wants a value gets it, the others the least that are free. Sorted by value.
fn with_ids<'n>(wanted: impl Iterator<Item = (u16, &'n str)>) -> Vec<ExpectedLabel> {
    let mut names = BTreeSet::new();
    let wanted: Vec<(u16, &str)> = wanted.filter(|(_, name)| names.insert(*name)).collect();
    let mut taken = BTreeSet::from([0]);
    let own: Vec<Option<u16>> = wanted
        .iter()
        .map(|(id, _)| taken.insert(*id).then_some(*id))
        .collect();
    let mut free = (1..=u16::MAX).filter(|id| !taken.contains(id));
    let labels = wanted.iter().zip(own).filter_map(|((_, name), own)| {
        let id = own.or_else(|| free.next())?; // more names than values: a run refuses that
        Some(ExpectedLabel {
            id,
            name: (*name).to_owned(),
        })
    });
    let mut labels: Vec<ExpectedLabel> = labels.collect();
    labels.sort_by_key(|label| label.id);
    labels
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{InputSpec, OutputSpec, ParameterSpec};

    fn labels(names: &[(u16, &str)]) -> ExpectedLabels {
        let labels = names.iter().map(|(id, name)| ExpectedLabel {
            id: *id,
            name: (*name).to_owned(),
        });
        Some(labels.collect())
    }

    fn description(kind: ParameterKind, output: OutputSpec) -> OperationDescription {
        let mut description = OperationDescription::new("o", "1", "");
        description.inputs = vec![
            InputSpec::required("mask", "").repeated(),
            InputSpec::required("other", "").optional(),
        ];
        description.parameters = vec![
            ParameterSpec::new("p", kind, ""),
            ParameterSpec::new("steps", ParameterKind::labels(&["mask"], LabelForm::Step), ""),
        ];
        description.outputs = vec![output];
        assert_eq!(description.faults(), Vec::<String>::new());
        description
    }

    fn run(
        description: &OperationDescription,
        given: &[(&str, &[&str])],
        inputs: &InputLabels,
    ) -> Result<ExpectedLabels, OperationError> {
        let values = given.iter().map(|(name, texts)| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            ((*name).to_owned(), ParameterValue::Texts(texts))
        });
        let parameters = Parameters::check(&description.parameters, &values.collect::<BTreeMap<_, _>>())?;
        Ok(expected_labels(description, &parameters, inputs)?.remove(0))
    }

    fn two_masks() -> InputLabels {
        let mut inputs = InputLabels::default();
        inputs.add("mask", labels(&[(1, "kidney"), (2, "vein")]));
        inputs.add("mask", labels(&[(1, "aorta"), (5, "kidney")]));
        inputs.add("other", labels(&[(9, "bone")]));
        inputs
    }

    #[test]
    fn a_name_that_no_mask_has_is_refused_and_steps_give_names() {
        let output = OutputSpec::on_own_grid("out", "").labels_of(&["mask"]);
        let description = description(ParameterKind::labels(&["mask"], LabelForm::Name), output);
        let inputs = two_masks();
        let all = labels(&[(1, "kidney"), (2, "vein"), (3, "aorta")]);
        assert_eq!(run(&description, &[("p", &["vein"])], &inputs).unwrap(), all);
        let refused = run(&description, &[("p", &["left"])], &inputs).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "parameter p names label \"left\", known are kidney, vein, aorta"
        );
        assert!(
            run(&description, &[("p", &["bone"])], &inputs).is_err(),
            "of another input"
        );
        let steps: &[&str] = &["all = kidney union vein", "more = all union aorta"];
        let with_steps = run(&description, &[("p", &["more"]), ("steps", steps)], &inputs);
        let five = labels(&[(1, "kidney"), (2, "vein"), (3, "aorta"), (4, "all"), (5, "more")]);
        assert_eq!(with_steps.unwrap(), five);
        let early: &[&str] = &["more = all union aorta", "all = kidney union vein"];
        assert!(
            run(&description, &[("steps", early)], &inputs).is_err(),
            "not there yet"
        );
        assert!(run(&description, &[("steps", &["a = b"])], &inputs).is_err());
    }

    #[test]
    fn what_is_not_known_is_not_refused() {
        let output = OutputSpec::on_own_grid("out", "").labels_named_in(&["mask"], "p");
        let description = description(ParameterKind::labels(&["mask"], LabelForm::NameId), output);
        let mut inputs = two_masks();
        inputs.add("mask", None);
        assert_eq!(run(&description, &[], &inputs).unwrap(), None);
        let chosen = run(&description, &[("p", &["x=3", "kidney=2"])], &inputs);
        assert_eq!(chosen.unwrap(), labels(&[(2, "kidney"), (3, "x")]));
        assert!(
            run(&description, &[("p", &["x=0"])], &inputs).is_err(),
            "another form"
        );
    }

    #[test]
    fn outputs_have_what_their_description_says() {
        let inputs = two_masks();
        let kind = || ParameterKind::labels(&[], LabelForm::Name);
        let of = |output: OutputSpec, given: &[(&str, &[&str])]| {
            run(&description(kind(), output), given, &inputs).unwrap()
        };
        let spec = || OutputSpec::on_own_grid("out", "");
        assert_eq!(of(spec(), &[]), None);
        assert_eq!(
            of(spec().fixed_labels(&["line", "end"]), &[]),
            labels(&[(1, "line"), (2, "end")])
        );
        assert_eq!(of(spec().labels_of(&["other"]), &[]), labels(&[(9, "bone")]));
        let chosen: &[(&str, &[&str])] = &[("p", &["bone", "vein"])];
        assert_eq!(
            of(spec().labels_named_in(&[], "p"), chosen),
            labels(&[(2, "vein"), (9, "bone")])
        );
    }
}
