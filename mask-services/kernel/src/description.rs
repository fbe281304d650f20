//! What an operation says of itself: inputs, outputs, grids and parameters.

use crate::ParameterSpec;

/// What a service is: itself and its operations.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceDescription {
    /// Name of the service, such as `mask-services`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Sorted by name.
    pub operations: Vec<OperationDescription>,
}

/// What an operation takes and gives.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationDescription {
    /// Lower case letters, digits, `_` and `-`; begins with a letter.
    pub name: String,
    /// Version of the algorithm; goes into records.
    pub version: String,
    /// One sentence.
    pub help: String,
    /// In the order in which they are shown.
    pub inputs: Vec<InputSpec>,
    /// In the order in which they are shown.
    pub parameters: Vec<ParameterSpec>,
    /// Masks that come out.
    pub outputs: Vec<OutputSpec>,
    /// True if it can write files into a folder.
    pub artefacts: bool,
}

/// One mask, or a list of masks, that an operation takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSpec {
    /// As in a request.
    pub name: String,
    /// One sentence.
    pub help: String,
    /// True if every request needs it.
    pub required: bool,
    /// True if it may be given several times.
    pub repeated: bool,
    /// On which grid it must lie.
    pub geometry: InputGeometry,
}

/// On which grid an input must lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputGeometry {
    /// Any.
    Any,
    /// That of the first input given.
    SameAsFirst,
}

/// One mask that an operation gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSpec {
    /// As in a reply.
    pub name: String,
    /// One sentence.
    pub help: String,
    /// On which grid it lies.
    pub geometry: OutputGeometry,
    /// Which labels its table names.
    pub labels: OutputLabels,
}

/// Which labels the table of an output names; checked on every reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OutputLabels {
    /// Only a run can tell.
    #[default]
    Unknown,
    /// Those of masks that go in, and those that steps of the request give ([`LabelForm::Step`](crate::LabelForm)).
    Of {
        /// Names of the inputs; all of them if empty.
        inputs: Vec<String>,
        /// A parameter of kind [`Labels`](crate::ParameterKind::Labels): only those that it names, if it names any.
        only: Option<String>,
    },
    /// Always these.
    Fixed(Vec<String>),
}

/// On which grid an output lies; checked on every reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputGeometry {
    /// One that the operation chooses.
    Own,
    /// That of the first mask of this input.
    SameAs(String),
}

impl OperationDescription {
    /// An operation that takes and gives nothing yet.
    pub fn new(name: &str, version: &str, help: &str) -> OperationDescription {
        OperationDescription {
            name: name.to_owned(),
            version: version.to_owned(),
            help: help.to_owned(),
            inputs: Vec::new(),
            parameters: Vec::new(),
            outputs: Vec::new(),
            artefacts: false,
        }
    }

    /// What contradicts itself or has no usable name; empty if nothing does.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !is_name(&self.name) {
            faults.push(format!(
                "operation name {:?} is not of the form [a-z][a-z0-9_-]*",
                self.name
            ));
        }
        if self.version.is_empty() {
            faults.push("the version is empty".to_owned());
        }
        let inputs = self.inputs.iter().map(|input| ("input", input.name.as_str()));
        let parameters = self
            .parameters
            .iter()
            .map(|spec| ("parameter", spec.name.as_str()));
        let outputs = self.outputs.iter().map(|output| ("output", output.name.as_str()));
        let names: Vec<(&str, &str)> = inputs.chain(parameters).chain(outputs).collect();
        for (idx, (kind, name)) in names.iter().enumerate() {
            if !is_name(name) {
                faults.push(format!(
                    "{kind} name {name:?} is not of the form [a-z][a-z0-9_-]*"
                ));
            }
            if names[..idx].contains(&(*kind, *name)) {
                faults.push(format!("{kind} {name} occurs twice"));
            }
        }
        if !self.inputs.iter().any(|input| input.required) {
            faults.push("no input is required".to_owned());
        }
        for output in &self.outputs {
            if let OutputGeometry::SameAs(input) = &output.geometry
                && !self
                    .inputs
                    .iter()
                    .any(|spec| spec.name == *input && spec.required)
            {
                faults.push(format!(
                    "output {} lies on the grid of {input}, which is not a required input",
                    output.name
                ));
            }
        }
        faults.extend(self.parameters.iter().filter_map(ParameterSpec::fault));
        faults.extend(self.label_faults());
        faults
    }

    /// What is said of labels and cannot be.
    fn label_faults(&self) -> Vec<String> {
        let is_input = |name: &String| self.inputs.iter().any(|spec| spec.name == *name);
        let mut faults = Vec::new();
        let mut unknown = |what: String, inputs: &[String]| {
            if let Some(input) = inputs.iter().find(|name| !is_input(name)) {
                faults.push(format!("{what} names labels of {input}, which is not an input"));
            }
        };
        for spec in &self.parameters {
            unknown(
                format!("parameter {}", spec.name),
                spec.kind.label_inputs().unwrap_or_default(),
            );
        }
        for output in &self.outputs {
            if let OutputLabels::Of { inputs, .. } = &output.labels {
                unknown(format!("output {}", output.name), inputs);
            }
        }
        for output in &self.outputs {
            let name = &output.name;
            match &output.labels {
                OutputLabels::Of { only: Some(only), .. } => {
                    let spec = self.parameters.iter().find(|spec| spec.name == *only);
                    let lists = spec.is_some_and(|spec| spec.kind.lists_labels());
                    if !lists {
                        faults.push(format!(
                            "output {name} has the labels that {only} names, which is no parameter that lists labels"
                        ));
                    }
                }
                OutputLabels::Fixed(names) => {
                    let twice = names
                        .iter()
                        .enumerate()
                        .any(|(at, name)| names[..at].contains(name));
                    if names.is_empty() || twice || names.iter().any(String::is_empty) {
                        faults.push(format!(
                            "output {name} has fixed labels without a name, or one twice"
                        ));
                    }
                }
                OutputLabels::Unknown | OutputLabels::Of { only: None, .. } => {}
            }
        }
        faults
    }
}

impl InputSpec {
    /// One mask that every request needs.
    pub fn required(name: &str, help: &str) -> InputSpec {
        InputSpec {
            name: name.to_owned(),
            help: help.to_owned(),
            required: true,
            repeated: false,
            geometry: InputGeometry::Any,
        }
    }

    /// The same, but it may be left out.
    pub fn optional(mut self) -> InputSpec {
        self.required = false;
        self
    }

    /// The same, but it may be given several times.
    pub fn repeated(mut self) -> InputSpec {
        self.repeated = true;
        self
    }

    /// The same, but on the grid of the first input given.
    pub fn on_first_grid(mut self) -> InputSpec {
        self.geometry = InputGeometry::SameAsFirst;
        self
    }
}

impl OutputSpec {
    /// On the grid of the first mask of an input.
    pub fn like_input(name: &str, input: &str, help: &str) -> OutputSpec {
        OutputSpec {
            name: name.to_owned(),
            help: help.to_owned(),
            geometry: OutputGeometry::SameAs(input.to_owned()),
            labels: OutputLabels::Unknown,
        }
    }

    /// On a grid that the operation chooses.
    pub fn on_own_grid(name: &str, help: &str) -> OutputSpec {
        OutputSpec {
            name: name.to_owned(),
            help: help.to_owned(),
            geometry: OutputGeometry::Own,
            labels: OutputLabels::Unknown,
        }
    }

    /// The same, with the labels of these inputs.
    pub fn labels_of(mut self, inputs: &[&str]) -> OutputSpec {
        let inputs = inputs.iter().map(|name| (*name).to_owned()).collect();
        self.labels = OutputLabels::Of { inputs, only: None };
        self
    }

    /// The same, with those labels of these inputs that a parameter names; with all of them if it names none.
    pub fn labels_named_in(mut self, inputs: &[&str], parameter: &str) -> OutputSpec {
        let inputs = inputs.iter().map(|name| (*name).to_owned()).collect();
        let only = Some(parameter.to_owned());
        self.labels = OutputLabels::Of { inputs, only };
        self
    }

    /// The same, with labels that are always these.
    pub fn fixed_labels(mut self, names: &[&str]) -> OutputSpec {
        self.labels = OutputLabels::Fixed(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }
}

/// True for names of operations, inputs, parameters and steps: lower case letters, digits, `_` and `-`, a letter first, at
/// most 64.
pub fn is_name(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(rest)
}
