//! Cases: the scans of one patient, one per contrast phase, through a pipeline to final masks.
//!
//! * [`run_case`] runs one, [`run_case_for`] does for an owner who may lose the right to the result,
//!   [`reuse_case`] takes the files of an equal one that was done before: [`CaseRequest`] in, a result folder and a [`CaseReport`] out, [`CaseEvent`]s in between.
//! * [`estimate_case`] says what a request would run; it reads headers only.
//! * [`finished_mask`] reads a mask of a case that is done.
//! * [`verify_record`] runs a case again from its `record.json` and compares every file byte by byte.
//! * [`CaseServices`] says where steps run. It is configuration: the same request gives the same bytes everywhere.
//!
//! All are synchronous; they block while steps run, here or in other processes.
//!
//! ```text
//! request ── plan ── executor ── model steps ── here (crate::segment) or in another core (crate::place)
//!                        │    ── mask steps  ── here or at a service (crate::masks)
//!                        │    ── samples     ── where the scan is in memory
//!                        └── results: masks as they are ready, record.json last
//! ```

mod error;
mod estimate;
mod event;
mod executor;
mod finished_mask;
mod finished_result;
mod inputs;
mod kept;
mod needs;
mod object_hash;
mod owner;
mod plan;
mod record;
mod report;
mod request;
mod request_record;
mod results;
mod reuse;
mod run;
mod verify;

pub use error::CaseError;
pub use estimate::{CaseEstimate, PipelineCheck, ScanEstimate, StepEstimate, check_pipeline, estimate_case};
pub use event::{CaseEvent, CaseEvents, CaseMask, NoCaseEvents};
pub use finished_mask::{FinishedMask, finished_mask};
pub use finished_result::{answer_to_job, finished_result, remove_result, result_of_job};
pub use inputs::{InputHashes, inputs_of_record};
pub use needs::{CaseNeeds, case_needs};
pub use owner::{Caller, CaseOwner};
pub use plan::{PipelineReport, PipelineStepFault, SaveReport, StepKind, StepReport};
pub use record::{
    BareModelRecord, BoxRecord, JobRecord, MaskFileRecord, ModelRecord, OperationRecord, OverrideRecord,
    PhaseChoiceRecord, PipelineRecord, ProcessRecord, Record, RequestRecord, ReusedRecord, ScanRecord,
    ScanRequestRecord, StepRecord, StepWork,
};
pub use report::CaseReport;
pub use request::{BareModel, CasePipeline, CaseRequest, PhaseChoice, Profile};
pub use reuse::reuse_case;
pub use run::{run_case, run_case_for};
pub use verify::{Difference, VerifyPlaces, VerifyReport, recorded_series_options, verify_record};

pub use crate::masks::StepPlace;
pub use crate::place::{CaseServices, RemoteCoreSettings, ServiceSettings};
