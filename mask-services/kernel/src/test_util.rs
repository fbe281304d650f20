//! Operations for tests: one that gives its input back, and can be told to misbehave.

use std::time::Duration;

use crate::{
    Context, InputSpec, Inputs, MaskOperation, OperationDescription, OperationError, Outcome, OutputSpec,
    ParameterKind, ParameterSpec, Parameters,
};

/// Gives its input back; its parameters make it slow or make it panic.
#[derive(Debug)]
pub struct Identity {
    description: OperationDescription,
}

impl Default for Identity {
    fn default() -> Self {
        let mut description =
            OperationDescription::new("identity", "1.0.0", "gives the mask back as it came");
        description.inputs.push(InputSpec::required("mask", "any mask"));
        let wait = ParameterKind::Number {
            min: 0.0,
            max: 3600.0,
        };
        description
            .parameters
            .push(ParameterSpec::new("wait_seconds", wait, "works for this long").unit("s"));
        let panic = ParameterSpec::new("panic", ParameterKind::Flag, "panics");
        description.parameters.push(panic);
        description
            .outputs
            .push(OutputSpec::like_input("mask", "mask", "the mask"));
        Identity { description }
    }
}

impl MaskOperation for Identity {
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
        assert!(!parameters.flag("panic"), "told to panic");
        let mut left = Duration::from_secs_f64(parameters.number("wait_seconds").unwrap_or(0.0));
        const STEP: Duration = Duration::from_millis(2);
        while !left.is_zero() {
            context.cancel.check()?;
            std::thread::sleep(STEP.min(left));
            left = left.saturating_sub(STEP);
        }
        Ok(Outcome {
            masks: vec![("mask".to_owned(), mask.clone())],
            ..Outcome::default()
        })
    }
}
