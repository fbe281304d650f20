//! Cases: the scans of one patient, one per contrast phase, through a pipeline to final masks.
//!
//! * [`run_case`] runs one: [`CaseRequest`] in, a result folder and a [`CaseReport`] out, [`CaseEvent`]s in between.
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
mod plan;
mod record;
mod request;
mod results;
mod run;
mod verify;

pub use error::CaseError;
pub use estimate::{CaseEstimate, PipelineCheck, ScanEstimate, StepEstimate, check_pipeline, estimate_case};
pub use event::{CaseEvent, CaseEvents, CaseMask, NoCaseEvents};
pub use finished_mask::{FinishedMask, finished_mask};
pub use plan::{PipelineReport, PipelineStepFault, SaveReport, StepKind, StepReport};
pub use record::{
    BareModelRecord, BoxRecord, MaskFileRecord, ModelRecord, OperationRecord, OverrideRecord,
    PhaseChoiceRecord, PipelineRecord, ProcessRecord, Record, RequestRecord, ScanRecord, ScanRequestRecord,
    StepRecord, StepWork,
};
pub use request::{BareModel, CasePipeline, CaseRequest, PhaseChoice, Profile};
pub use run::{CaseReport, run_case};
pub use verify::{Difference, VerifyPlaces, VerifyReport, verify_record};

pub use crate::masks::StepPlace;
pub use crate::place::{CaseServices, RemoteCoreSettings, ServiceSettings};
