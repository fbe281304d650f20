//! The trait that a researcher implements, and what each run of it is given.

use nephrite_types::{CancelToken, Limits};

use crate::memory::{largest_dense_bytes, run_bytes};
use crate::{Artefacts, Inputs, MaskSize, OperationDescription, OperationError, Outcome, Parameters};

/// One step on masks. The contract between nephrite and everybody who adds a step.
///
/// What an implementation supplies:
///
/// * [`description`](MaskOperation::description): the same value on every call. Callers read it to learn what they may send,
///   and refuse everything else before `run` is called.
/// * [`run`](MaskOperation::run): from inputs and parameters to masks, files and measurements.
///
/// What it may rely on: every required input is there, inputs that must share a grid do, every parameter that the
/// description names has a value of its type and within its range (the default if the caller gave none), every label that a
/// parameter of kind `Label` or `Labels` names is one that a mask names, and no other parameter is there.
///
/// What it must keep:
///
/// * **Same bytes**: equal inputs and parameters give equal outcomes, for any number of threads.
/// * **Threads**: `run` may be called from several threads at once; keep no state between calls.
/// * **Time**: call [`CancelToken::check`] on `context.cancel` at least every few milliseconds of work and return its error.
/// * **Memory**: allocate no dense array larger than the masks given, without comparing with `context.limits`.
/// * **Files** are written through `context.artefacts` only, under fixed names, and only if the caller gave a folder.
/// * **Ordinary cases**: an empty mask, a label that is named and has no voxels, and a structure of one voxel have results,
///   not errors.
/// * No panics on any input; one that happens ends the request, not the process.
pub trait MaskOperation: Send + Sync {
    /// What goes in and what comes out.
    fn description(&self) -> &OperationDescription;

    /// What parameters that each are right cannot mean together; asked before a pipeline runs, and before
    /// [`run`](MaskOperation::run). `artefacts` says whether the caller gives a folder for files.
    ///
    /// # Errors
    /// [`OperationError::ParameterCombination`], or what `run` would say.
    fn check(&self, parameters: &Parameters, artefacts: bool) -> Result<(), OperationError> {
        let _ = (parameters, artefacts);
        Ok(())
    }

    /// Computes.
    ///
    /// # Errors
    /// [`OperationError`], whose [`code`](crate::Coded::code) tells the caller what to do.
    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError>;

    /// Bytes that [`run`](MaskOperation::run) holds at its peak beside its inputs, its outcome included: what a process makes
    /// room for before a request starts. `masks` are the sizes of all inputs; `parameters` are checked.
    ///
    /// As it stands: four copies of all masks in run form, and one dense array of 16 bits of the largest grid.
    fn working_bytes(&self, masks: &[MaskSize], parameters: &Parameters) -> u64 {
        let _ = parameters;
        let runs = run_bytes(masks).saturating_mul(4);
        runs.saturating_add(largest_dense_bytes(masks))
    }
}

/// What an operation may use besides its inputs.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What may be allocated.
    pub limits: &'a Limits,
    /// When to stop.
    pub cancel: &'a CancelToken,
    /// Where files go; `None` if the caller wants none.
    pub artefacts: Option<&'a Artefacts>,
}
