//! The parameters, and what they ask for.

use nephrite_kernel::{
    InputSpec, LabelForm, Mask, OperationDescription, OperationError, OutputSpec, ParameterKind,
    ParameterSpec, ParameterValue, Parameters, label_ids,
};
use nephrite_runs::{Connectivity, Holes};

/// Far more than a patient is long.
const MAX_MM: f64 = 10_000.0;
/// More voxels than a mask can have.
const MAX_VOXELS: i64 = 1 << 53;

pub(crate) fn description() -> OperationDescription {
    let mut description = OperationDescription::new(
        "cleanup",
        "1.0.0",
        "smooths labels, fills their holes and drops parts that are small, not among the largest, or far from another label",
    );
    description
        .inputs
        .push(InputSpec::required("mask", "the labels to clean"));
    description
        .outputs
        .push(OutputSpec::like_input("mask", "mask", "the same labels, cleaned").labels_of(&["mask"]));
    let mm = |name, help| {
        ParameterSpec::new(
            name,
            ParameterKind::Number {
                min: 0.0,
                max: MAX_MM,
            },
            help,
        )
        .unit("mm")
    };
    let neighbours = ParameterKind::choice(&["6", "18", "26"]);
    description.parameters = vec![
        ParameterSpec::new(
            "labels",
            ParameterKind::labels(&["mask"], LabelForm::Name),
            "names of the labels to clean; all if not given",
        ),
        mm(
            "open_mm",
            "step 1: cuts off what no ball of this radius fits into",
        ),
        mm(
            "close_mm",
            "step 2: fills gaps that no ball of this radius fits into",
        ),
        mm(
            "erode_mm",
            "step 3: takes away what lies within this distance of the label's surface",
        ),
        mm("dilate_mm", "step 4: adds background within this distance"),
        ParameterSpec::new(
            "fill_holes",
            ParameterKind::choice(&["volume", "slices"]),
            "step 5: fills what the label encloses, in 3-D or in each z slice",
        ),
        ParameterSpec::new(
            "min_voxels",
            ParameterKind::Integer {
                min: 0,
                max: MAX_VOXELS,
            },
            "step 6: drops components of fewer voxels",
        )
        .unit("voxel"),
        ParameterSpec::new(
            "min_volume_mm3",
            ParameterKind::Number { min: 0.0, max: 1e12 },
            "step 6: drops components of a smaller volume",
        )
        .unit("mm3"),
        ParameterSpec::new(
            "keep_largest",
            ParameterKind::Integer {
                min: 1,
                max: MAX_VOXELS,
            },
            "step 7: keeps this many components of each label, the largest",
        ),
        ParameterSpec::new(
            "near_label",
            ParameterKind::label(&["mask"]),
            "step 8: the label that components must lie near to; needs near_mm",
        ),
        mm(
            "near_mm",
            "step 8: how near, between voxel centers; needs near_label",
        ),
        ParameterSpec::new("connectivity", neighbours, "neighbors of a voxel in steps 6 to 8")
            .default(ParameterValue::Text("26".to_owned())),
        ParameterSpec::new(
            "preset",
            ParameterKind::choice(&["nnunet"]),
            "nnU-Net's own postprocessing instead of the steps above",
        ),
        ParameterSpec::new(
            "regions",
            ParameterKind::labels(&["mask"], LabelForm::Joined),
            "of the preset: labels, or several joined by +, each reduced to its largest component in turn; all labels as one if not given",
        ),
        ParameterSpec::new(
            "background_label",
            ParameterKind::label(&["mask"]),
            "of the preset: the label that removed voxels get; background if not given",
        ),
    ];
    description
}

/// Steps that measure distances.
pub(crate) const LENGTHS: [&str; 5] = ["open_mm", "close_mm", "erode_mm", "dilate_mm", "near_mm"];

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    Rules(Rules),
    Nnunet(Preset),
}

/// In the order in which they act.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    /// Ids to clean, each once; the first named wins background that several claim.
    pub(crate) labels: Vec<u16>,
    pub(crate) open_mm: Option<f64>,
    pub(crate) close_mm: Option<f64>,
    pub(crate) erode_mm: Option<f64>,
    pub(crate) dilate_mm: Option<f64>,
    pub(crate) fill_holes: Option<Holes>,
    pub(crate) min_voxels: Option<u64>,
    pub(crate) min_volume_mm3: Option<f64>,
    pub(crate) keep_largest: Option<usize>,
    pub(crate) near: Option<Near>,
    pub(crate) connectivity: Connectivity,
}

/// Step 8.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Near {
    pub(crate) label: u16,
    pub(crate) mm: f64,
}

/// nnU-Net's postprocessing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Preset {
    /// Labels of every region.
    pub(crate) regions: Vec<Vec<u16>>,
    pub(crate) background: u16,
}

impl Plan {
    /// # Errors
    /// [`OperationError::UnknownLabel`], [`OperationError::ParameterCombination`].
    pub(crate) fn from_parameters(mask: &Mask, parameters: &Parameters) -> Result<Plan, OperationError> {
        check(parameters)?;
        if parameters.has("preset") {
            return Preset::from_parameters(mask, parameters).map(Plan::Nnunet);
        }
        Rules::from_parameters(mask, parameters).map(Plan::Rules)
    }
}

/// What parameters cannot mean together.
///
/// # Errors
/// [`OperationError::ParameterCombination`]
pub(crate) fn check(parameters: &Parameters) -> Result<(), OperationError> {
    if parameters.has("preset") {
        return check_preset(parameters);
    }
    for name in ["regions", "background_label"] {
        if parameters.has(name) {
            return Err(combination(name, "it belongs to the preset, which is not given"));
        }
    }
    let cleaned = parameters.texts("labels")?;
    match (parameters.text("near_label"), parameters.has("near_mm")) {
        (Some(name), true) if cleaned.iter().any(|label| label == name) => Err(combination(
            "labels, near_label",
            "every component of a label is near to that label",
        )),
        (Some(_), false) => Err(combination("near_label", "it needs near_mm")),
        (None, true) => Err(combination("near_mm", "it needs near_label")),
        (Some(_), true) | (None, false) => Ok(()),
    }
}

fn check_preset(parameters: &Parameters) -> Result<(), OperationError> {
    let of_preset = ["preset", "regions", "background_label", "connectivity"];
    let mut others = parameters
        .values()
        .keys()
        .filter(|name| !of_preset.contains(&name.as_str()));
    if let Some(other) = others.next() {
        return Err(combination(
            &format!("preset, {other}"),
            "the preset is nnU-Net's postprocessing and nothing else",
        ));
    }
    if parameters.text("connectivity").is_some_and(|n| n != "26") {
        return Err(combination(
            "preset, connectivity",
            "nnU-Net connects 26 neighbors",
        ));
    }
    Ok(())
}

impl Rules {
    fn from_parameters(mask: &Mask, parameters: &Parameters) -> Result<Rules, OperationError> {
        let named = parameters.texts("labels")?;
        let mut labels = label_ids(mask, "labels", named)?;
        let mut seen = std::collections::HashSet::new();
        labels.retain(|label| seen.insert(*label));
        let near = match (parameters.text("near_label"), parameters.number("near_mm")) {
            (Some(name), Some(mm)) => Some(Near {
                label: label_id(mask, "near_label", name)?,
                mm,
            }),
            _ => None,
        };
        Ok(Rules {
            labels,
            open_mm: parameters.number("open_mm"),
            close_mm: parameters.number("close_mm"),
            erode_mm: parameters.number("erode_mm"),
            dilate_mm: parameters.number("dilate_mm"),
            fill_holes: match parameters.text("fill_holes") {
                Some("slices") => Some(Holes::Slices),
                Some(_) => Some(Holes::Volume),
                None => None,
            },
            // Not negative, by their ranges.
            min_voxels: parameters.integer("min_voxels").map(i64::unsigned_abs),
            min_volume_mm3: parameters.number("min_volume_mm3"),
            keep_largest: parameters
                .integer("keep_largest")
                .map(|k| usize::try_from(k).unwrap_or(usize::MAX)),
            near,
            connectivity: match parameters.text("connectivity") {
                Some("6") => Connectivity::Faces6,
                Some("18") => Connectivity::Edges18,
                _ => Connectivity::Corners26,
            },
        })
    }

    /// True if a step is given that turns background into a label.
    pub(crate) fn adds(&self) -> bool {
        self.close_mm.is_some() || self.dilate_mm.is_some() || self.fill_holes.is_some()
    }

    /// True if a step from 6 to 8 is given.
    pub(crate) fn drops_parts(&self) -> bool {
        self.min_voxels.is_some()
            || self.min_volume_mm3.is_some()
            || self.keep_largest.is_some()
            || self.near.is_some()
    }
}

impl Preset {
    fn from_parameters(mask: &Mask, parameters: &Parameters) -> Result<Preset, OperationError> {
        let regions = parameters.texts("regions")?;
        let background = parameters.text("background_label");
        Ok(Preset {
            regions: if regions.is_empty() {
                vec![label_ids(mask, "labels", &[])?]
            } else {
                let regions = regions.iter().map(|region| region_ids(mask, region));
                regions.collect::<Result<_, _>>()?
            },
            background: match background {
                Some(name) => label_id(mask, "background_label", name)?,
                None => 0,
            },
        })
    }
}

/// A label, or several joined by `+`; a name that holds one is a name first.
fn region_ids(mask: &Mask, region: &str) -> Result<Vec<u16>, OperationError> {
    if let Some(entry) = mask.labels().by_name(region) {
        return Ok(vec![entry.id]);
    }
    let names: Vec<String> = region.split('+').map(|name| name.trim().to_owned()).collect();
    label_ids(mask, "regions", &names)
}

fn label_id(mask: &Mask, parameter: &str, name: &str) -> Result<u16, OperationError> {
    let ids = label_ids(mask, parameter, &[name.to_owned()])?;
    ids.first().copied().ok_or_else(|| OperationError::Internal {
        what: format!("parameter {parameter} names no label"),
    })
}

fn combination(names: &str, reason: &str) -> OperationError {
    OperationError::ParameterCombination {
        names: names.to_owned(),
        reason: reason.to_owned(),
    }
}
