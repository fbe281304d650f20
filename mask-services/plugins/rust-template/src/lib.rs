//! A plugin to copy: one operation, and a `main` of one line. Everything that it uses is in [`nephrite_kernel`].

use std::collections::{BTreeMap, BTreeSet};

use nephrite_kernel::*;

/// How thick tubular structures are along z: per label the diameter of the circle with the area of the structure in each
/// slice, its mean and greatest, and the slices in which it is thicker than a bound.
///
/// Slices must cross the tube for this to be its diameter, as axial slices cross ureters and the aorta. What lies in one
/// slice counts as one circle, whether or not it hangs together.
#[derive(Debug)]
pub struct Calibre {
    description: OperationDescription,
}

impl Default for Calibre {
    fn default() -> Self {
        Calibre::new()
    }
}

impl Calibre {
    /// The operation.
    pub fn new() -> Calibre {
        let help = "diameter of tubular structures, slice by slice along z";
        let mut description = OperationDescription::new("calibre", "1.0.0", help);
        description
            .inputs
            .push(InputSpec::required("mask", "ureters, vessels"));
        description.parameters = vec![
            ParameterSpec::new(
                "labels",
                ParameterKind::labels(&["mask"], LabelForm::Name),
                "names of the labels to measure; all if none",
            ),
            ParameterSpec::new(
                "max_diameter_mm",
                ParameterKind::Number {
                    min: 0.0,
                    max: 1000.0,
                },
                "what is thicker in a slice is wide",
            )
            .unit("mm")
            .default(ParameterValue::Number(7.0)),
        ];
        let wide = OutputSpec::like_input("wide", "mask", "the slices of structures that are wide");
        description.outputs.push(wide.labels_of(&["mask"]));
        Calibre { description }
    }
}

impl MaskOperation for Calibre {
    fn description(&self) -> &OperationDescription {
        &self.description
    }

    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let mask = inputs.one("mask")?;
        let wanted: BTreeSet<u16> = label_ids(mask, "labels", parameters.texts("labels")?)?
            .into_iter()
            .collect();
        let bound = parameters.number("max_diameter_mm").unwrap_or(f64::INFINITY);
        let diameters = diameters_mm(mask.runs(), context.cancel)?;
        // Spacings are rounded in headers: lengths are compared with what users say through `length`.
        let exceeds = |mm: f64| !length::at_most(mm, bound);

        let mut planes_of_runs = planes_of_runs(mask.runs());
        let wide = mask.runs().relabel(|_, run| {
            let z = planes_of_runs.next().expect("one plane per run");
            let is_wide = wanted.contains(&run.label) && exceeds(diameters[z][&run.label]);
            if is_wide { run.label } else { 0 }
        });
        let mut outcome = Outcome::mask("wide", Mask::new(wide, mask.labels().clone())?);
        for entry in mask
            .labels()
            .entries()
            .iter()
            .filter(|entry| wanted.contains(&entry.id))
        {
            let found = diameters.iter().filter_map(|plane| plane.get(&entry.id).copied());
            let n_slices = found.clone().count();
            let mean = found.clone().sum::<f64>() / n_slices.max(1) as f64;
            let greatest = found.clone().fold(0.0, f64::max);
            let n_wide = found.filter(|mm| exceeds(*mm)).count();
            for (name, unit, value) in [
                ("mean_diameter", "mm", mean),
                ("max_diameter", "mm", greatest),
                ("slices", "", n_slices as f64),
                ("wide_slices", "", n_wide as f64),
            ] {
                outcome.measurements.push(Measurement {
                    label: entry.name.clone(),
                    name: name.to_owned(),
                    unit: unit.to_owned(),
                    value,
                });
            }
        }
        Ok(outcome)
    }
}

/// Per plane, for every label in it: the diameter of the circle with the area of the label's voxels, mm.
fn diameters_mm(runs: &RunMask, cancel: &CancelToken) -> Result<Vec<BTreeMap<u16, f64>>, OperationError> {
    let [_, ny, _] = runs.shape();
    let [_, y_mm, x_mm] = runs.geometry().steps_mm();
    let rows: Vec<&[Run]> = runs.rows().collect();
    let planes = rows.chunks(ny).map(|plane| {
        cancel.check()?;
        let mut n_voxels: BTreeMap<u16, u64> = BTreeMap::new();
        for run in plane.iter().copied().flatten() {
            *n_voxels.entry(run.label).or_default() += u64::from(run.len());
        }
        let diameter = |n: u64| 2.0 * (n as f64 * y_mm * x_mm / std::f64::consts::PI).sqrt();
        Ok(n_voxels
            .into_iter()
            .map(|(label, n)| (label, diameter(n)))
            .collect())
    });
    planes.collect()
}

/// The plane of each run, in their order.
fn planes_of_runs(runs: &RunMask) -> impl Iterator<Item = usize> {
    let [_, ny, _] = runs.shape();
    let rows = runs.rows().enumerate();
    rows.flat_map(move |(row, runs)| std::iter::repeat_n(row / ny, runs.len()))
}
