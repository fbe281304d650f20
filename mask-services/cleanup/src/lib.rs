//! The operation `cleanup`, described by its README.

#![doc = include_str!("../README.md")]

mod label_sets;
mod measure;
mod nnunet;
mod parts;
mod rules;
mod shape;

use nephrite_kernel::memory::run_bytes;
use nephrite_kernel::{
    Context, Inputs, Mask, MaskOperation, MaskSize, OperationDescription, OperationError, Outcome, Parameters,
};

use crate::rules::Plan;

/// The operation `cleanup`.
#[derive(Debug)]
pub struct Cleanup {
    description: OperationDescription,
}

impl Cleanup {
    /// Ready to be registered.
    pub fn new() -> Cleanup {
        Cleanup {
            description: rules::description(),
        }
    }
}

impl Default for Cleanup {
    fn default() -> Self {
        Cleanup::new()
    }
}

impl MaskOperation for Cleanup {
    fn description(&self) -> &OperationDescription {
        &self.description
    }

    fn check(&self, parameters: &Parameters, _: bool) -> Result<(), OperationError> {
        rules::check(parameters)
    }

    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let mask = inputs.one("mask")?;
        let (runs, measurements) = match Plan::from_parameters(mask, parameters)? {
            Plan::Rules(rules) => {
                let (shaped, filled) = shape::apply(mask.runs(), &rules, context)?;
                let (cleaned, removed) = parts::apply(&shaped, &rules, context)?;
                let measurements = measure::of_rules(mask, &cleaned, &rules, &filled, &removed, context)?;
                (cleaned, measurements)
            }
            Plan::Nnunet(preset) => {
                let (cleaned, n_removed) = nnunet::apply(mask.runs(), &preset, context)?;
                let measurements = measure::of_preset(mask, &cleaned, n_removed, context)?;
                (cleaned, measurements)
            }
        };
        let mut outcome = Outcome::mask("mask", Mask::new(runs, mask.labels().clone())?);
        outcome.measurements = measurements;
        Ok(outcome)
    }

    /// Components take a few copies of the runs. Steps in mm take the box of a label as a dense array, of 16 bits, and runs
    /// of its neighbors as claims.
    fn working_bytes(&self, masks: &[MaskSize], parameters: &Parameters) -> u64 {
        let runs = run_bytes(masks);
        let lengths = rules::LENGTHS.iter().filter_map(|name| parameters.number(name));
        // Each step finds the label as the steps before it left it.
        match lengths.reduce(|reach, mm| reach + mm) {
            Some(reach) => {
                let boxes = masks.iter().map(|mask| mask.dense_bytes_within(reach));
                runs.saturating_mul(16).saturating_add(boxes.max().unwrap_or(0))
            }
            None => runs.saturating_mul(10),
        }
    }
}
