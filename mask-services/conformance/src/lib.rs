//! What every mask operation must keep, as cases: run against a [`MaskOperation`] in this process, or against a service.
//!
//! [`CASES`] lists them; the README has the list as a table. Both drivers run the same cases; those that need a message
//! (a corrupt mask, a path outside of the root) are skipped, by name, in this process. No case runs for ever: each has
//! its own time limit, and a service that is gone ends the check.
//!
//! ```
//! use std::sync::Arc;
//! use nephrite_conformance::{Options, check_operation};
//! # use nephrite_kernel::*;
//! # struct Copy(OperationDescription);
//! # impl MaskOperation for Copy {
//! #     fn description(&self) -> &OperationDescription { &self.0 }
//! #     fn run(&self, inputs: &Inputs, _: &Parameters, context: &Context<'_>) -> Result<Outcome, OperationError> {
//! #         context.cancel.check()?;
//! #         Ok(Outcome::mask("mask", (**inputs.one("mask")?).clone()))
//! #     }
//! # }
//! # let mut description = OperationDescription::new("copy", "1.0.0", "gives the mask back");
//! # description.inputs.push(InputSpec::required("mask", "any"));
//! # description.outputs.push(OutputSpec::like_input("mask", "mask", "the same"));
//! # let operation = Copy(description);
//! let report = check_operation(Arc::new(operation), &Options::default())?;
//! assert!(report.passed(), "{report}");
//! # Ok::<(), nephrite_conformance::KitError>(())
//! ```

mod case;
mod cases;
mod error;
mod kit;
mod masks;
mod options;
mod report;
mod run;
mod stop;
mod subject;
mod values;

pub use case::{Case, Scope};
pub use cases::CASES;
pub use error::KitError;
pub use options::Options;
pub use report::{Report, Row, Verdict};
pub use run::{check_operation, check_service};

#[cfg(doc)]
use nephrite_kernel::MaskOperation;
