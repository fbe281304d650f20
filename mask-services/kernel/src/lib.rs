//! What a mask operation is: all that the author of a plugin in Rust imports.
//!
//! Implement [`MaskOperation`]: describe what goes in, which parameters there are and what comes out, and compute.
//! The same implementation then runs inside the image core, in the `mask-services` binary, and as a service of its own
//! (`serve`, feature `grpc`). Whoever calls has checked inputs and parameters against the description before.
//!
//! | what | type | rule |
//! |---|---|---|
//! | inputs | [`InputSpec`] → [`Inputs`] | required or optional, one or many, on any grid or on that of the first |
//! | parameters | [`ParameterSpec`] → [`Parameters`] | typed, with unit, range, default; unknown ones are refused |
//! | outputs | [`OutputSpec`] → [`Outcome`] | masks, files ([`Artefacts`]), measurements |
//! | limits | [`Context`] | what may be allocated, when to stop |
//! | memory | [`MaskSize`] → [`MaskOperation::working_bytes`] | what a run will hold, told before it starts |
//!
//! Operations are pure and synchronous: no network, no clock, no environment, and the same inputs give the same bytes
//! for any number of threads.
//!
//! ```
//! use std::collections::BTreeSet;
//!
//! use nephrite_kernel::*;
//!
//! /// Gives back only the labels that are named.
//! struct Select(OperationDescription);
//!
//! impl Select {
//!     fn new() -> Select {
//!         let mut description = OperationDescription::new("select", "1.0.0", "keeps the labels that are named");
//!         description.inputs.push(InputSpec::required("mask", "the labels to choose from"));
//!         description.parameters.push(
//!             ParameterSpec::new("labels", ParameterKind::labels(&["mask"], LabelForm::Name), "the labels to keep").required(),
//!         );
//!         let kept = OutputSpec::like_input("mask", "mask", "the labels that were named");
//!         description.outputs.push(kept.labels_of(&["mask"]));
//!         Select(description)
//!     }
//! }
//!
//! impl MaskOperation for Select {
//!     fn description(&self) -> &OperationDescription {
//!         &self.0
//!     }
//!
//!     fn run(&self, inputs: &Inputs, parameters: &Parameters, context: &Context<'_>) -> Result<Outcome, OperationError> {
//!         let mask = inputs.one("mask")?;
//!         let ids: BTreeSet<u16> = label_ids(mask, "labels", parameters.texts("labels")?)?.into_iter().collect();
//!         context.cancel.check()?;
//!         let runs = mask.runs().relabel(|_, run| if ids.contains(&run.label) { run.label } else { 0 });
//!         Ok(Outcome::mask("mask", Mask::new(runs, mask.labels().clone())?))
//!     }
//! }
//! ```

mod artefacts;
mod check;
mod description;
mod error;
#[cfg(feature = "grpc")]
pub mod grpc;
mod inputs;
mod label_flow;
mod label_form;
mod label_step;
pub mod memory;
mod nifti;
mod operation;
mod outcome;
mod parameter;
mod quoted;
mod registry;
mod service_fault;
#[cfg(feature = "test-util")]
pub mod test_util;
mod traffic;
mod volume_files;

pub use artefacts::{Artefact, Artefacts, check_artefact_name};
pub use check::{
    check_artefacts, check_inputs, check_outcome, check_output_labels, grid_difference, run_checked,
};
pub use description::{
    InputGeometry, InputSpec, OperationDescription, OutputGeometry, OutputLabels, OutputSpec,
    ServiceDescription, is_name,
};
pub use error::OperationError;
pub use inputs::{Inputs, label_ids};
pub use label_flow::{ExpectedLabel, ExpectedLabels, InputLabels, expected_labels};
pub use label_form::LabelForm;
pub use label_step::{LabelStep, StepFault, StepOperator};
pub use memory::{MaskSize, UnreadMask};
pub use nephrite_mask_codec::{
    LabelEntry, LabelStatus, LabelTable, LabelVolume, Mask, MaskError, Run, RunMask, RunMaskBuilder,
};
pub use nephrite_types::{
    Affine, BoundingBox, CancelToken, Coded, ErrorCode, Geometry, Limits, Shape3, Spacing, length,
};
pub use nifti::{read_mask, write_mask};
pub use operation::{Context, MaskOperation};
pub use outcome::{Measurement, Outcome};
pub use parameter::{ParameterKind, ParameterSpec, ParameterValue, Parameters};
pub use quoted::quoted;
pub use registry::{Registry, RegistryError};
pub use service_fault::ServiceFault;
pub use traffic::Traffic;
pub use volume_files::open_volume;
