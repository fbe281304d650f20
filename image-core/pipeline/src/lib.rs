//! Pipeline files: which model for which phase, which operation on which masks, what to cut out and to save.
//!
//! A pipeline is TOML. [`Pipeline::parse`] is strict: unknown keys, unknown steps, cycles and impossible values are faults,
//! each with its line, and all of them are told at once; [`Pipeline::reference`] lists the keys. What it gives can run as it stands, as far as the file alone can
//! say: steps are in an order in which each comes after what it needs.
//!
//! ```
//! use nephrite_pipeline::Pipeline;
//!
//! let pipeline = Pipeline::parse(
//!     r#"
//!     reference = "portal_venous"
//!
//!     [[models]]
//!     id = "kidneys"
//!     model = "models/Dataset902_DemoKidney/nnUNetTrainer__nnUNetPlans__3d_fullres"
//!     phases = ["portal_venous"]
//!
//!     [[masks]]
//!     id = "clean"
//!     operation = "cleanup"
//!     inputs = { mask = "kidneys" }
//!     parameters = { keep_largest = 2, min_volume_mm3 = 500 }
//!
//!     [[save]]
//!     step = "clean"
//!     file = "kidneys.nii.gz"
//!     "#,
//! )
//! .map_err(|faults| format!("{faults:?}"))?;
//! assert_eq!(pipeline.steps().map(|step| step.id()).collect::<Vec<_>>(), ["kidneys", "clean"]);
//! # Ok::<(), String>(())
//! ```

mod dicom_output;
mod fault;
mod keys;
pub mod model_keys;
mod order;
mod pipeline;
mod read;
mod read_mask;
mod read_model;
mod step;

pub use dicom_output::DicomOutput;
pub use fault::{Fault, PipelineFault, lines};
pub use nephrite_kernel::ParameterValue;
pub use pipeline::Pipeline;
pub use step::{Crop, MaskChannel, MaskInput, MaskStep, ModelStep, SampleStep, Save, Step};
