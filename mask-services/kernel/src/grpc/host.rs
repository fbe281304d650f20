//! The server's side of `MaskService`: what arrives is checked, reserved for, run and answered.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use nephrite_proto::convert::optional_path;
use nephrite_proto::v1::mask_service_server::MaskService;
use nephrite_proto::{ConvertError, v1};
use nephrite_root::Root;
use nephrite_server::memory::{MemoryBudget, MemoryError, NothingIdle};
use nephrite_server::{Deadline, Work};
use nephrite_types::{CancelToken, Coded, ErrorCode, Limits};
use tonic::{Request, Response, Status};

use super::exchange::{Incoming, Outgoing, Seen, named};
use super::wire;
use crate::memory::{ON_MASKS, request_bytes, run_bytes};
use crate::{
    Artefacts, Context, Inputs, MaskSize, OperationError, Outcome, ParameterValue, Parameters, Registry,
    ServiceDescription, run_checked,
};

/// Masks of one request.
const MAX_INPUTS: usize = 1024;

/// What the requests of a service share.
pub(super) struct Host {
    pub(super) registry: Registry,
    pub(super) root: Root,
    pub(super) limits: Limits,
    pub(super) max_request_bytes: u64,
    /// Bytes of everything.
    pub(super) memory: MemoryBudget,
}

/// `MaskService` over any registry.
pub(super) struct MaskHost {
    work: Arc<Work<Host>>,
    description: v1::DescribeResponse,
}

impl MaskHost {
    pub(super) fn new(work: Arc<Work<Host>>, description: &ServiceDescription) -> Self {
        MaskHost {
            work,
            description: wire::describe_response(description),
        }
    }
}

#[tonic::async_trait]
impl MaskService for MaskHost {
    async fn describe(
        &self,
        _: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        Ok(Response::new(self.description.clone()))
    }

    async fn process(
        &self,
        request: Request<v1::ProcessRequest>,
    ) -> Result<Response<v1::ProcessResponse>, Status> {
        let deadline = Deadline::of(&request);
        let request = request.into_inner();
        let request_id = self.work.request_id();
        let operation: String = request.operation.chars().take(64).collect();
        let received = Instant::now();
        let job_id = request_id.clone();
        let done = self.work.heavy(deadline, move |host: &Host, cancel| {
            let job = Job::try_from(request)?;
            job.run(host, &job_id, cancel)
        });
        match done.await {
            Ok(response) => {
                let (seconds, total_seconds) = (response.seconds, received.elapsed().as_secs_f64());
                tracing::info!(request_id, operation, seconds, total_seconds, "request done");
                Ok(Response::new(response))
            }
            Err(refusal) => {
                tracing::info!(
                    request_id,
                    operation,
                    code = refusal.code().name(),
                    "request ended"
                );
                tracing::debug!(request_id, reason = %refusal, "request ended"); // names files
                Err(refusal.into())
            }
        }
    }
}

/// Why a request ended without a result.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error(transparent)]
    Convert(#[from] ConvertError),
    #[error(transparent)]
    Operation(#[from] OperationError),
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl Coded for JobError {
    fn code(&self) -> ErrorCode {
        match self {
            JobError::Convert(error) => error.code(),
            JobError::Operation(error) => error.code(),
            JobError::Memory(error) => error.code(),
        }
    }
}

/// A request, its values checked as far as the message alone allows.
struct Job {
    operation: String,
    inputs: Vec<(String, Incoming)>,
    parameters: std::collections::BTreeMap<String, ParameterValue>,
    artefacts_folder: Option<PathBuf>,
    exchange_folder: Option<PathBuf>,
}

impl TryFrom<v1::ProcessRequest> for Job {
    type Error = ConvertError;

    fn try_from(wire: v1::ProcessRequest) -> Result<Self, ConvertError> {
        if wire.inputs.len() > MAX_INPUTS {
            return Err(ConvertError::TooMany {
                field: "inputs",
                limit: MAX_INPUTS,
                found: wire.inputs.len(),
            });
        }
        let inputs = wire.inputs.into_iter().map(|named| {
            let mask = named.mask.ok_or(ConvertError::Missing { field: "inputs.mask" })?;
            Ok((wire::text("inputs.name", named.name)?, mask.try_into()?))
        });
        Ok(Job {
            operation: wire::text("operation", wire.operation)?,
            inputs: inputs.collect::<Result<_, ConvertError>>()?,
            parameters: wire::parameter_values(wire.parameters)?,
            artefacts_folder: optional_path("artefacts_folder", &wire.artefacts_folder)?,
            exchange_folder: optional_path("exchange_folder", &wire.exchange_folder)?,
        })
    }
}

impl Job {
    fn run(
        self,
        host: &Host,
        request_id: &str,
        cancel: &CancelToken,
    ) -> Result<v1::ProcessResponse, JobError> {
        let began = Instant::now();
        let operation = host.registry.get(&self.operation);
        let operation = operation.ok_or_else(|| OperationError::UnknownOperation {
            name: self.operation.chars().take(64).collect(),
            known: host.registry.names().into_iter().map(str::to_owned).collect(),
        })?;
        // Again in `run_checked`; here, before masks are inflated.
        let parameters = Parameters::check(&operation.description().parameters, &self.parameters)?;
        let open_folder = |path: &PathBuf| host.root.open_writable_folder(path).map_err(OperationError::from);
        let artefacts = match &self.artefacts_folder {
            Some(path) => Some(Artefacts::new(open_folder(path)?, path)),
            None => None,
        };
        let exchange = self.exchange_folder.as_ref();
        let exchange = exchange.map(|path| Ok::<_, OperationError>((open_folder(path)?, path)));
        let exchange = exchange.transpose()?;
        let needed = |sizes: &[MaskSize]| request_bytes(sizes, operation.working_bytes(sizes, &parameters));
        let seen = self.look(host)?;
        let mut sizes: Vec<MaskSize> = seen.iter().map(|(_, mask)| mask.size()).collect();
        let mut memory = host
            .memory
            .reserve(ON_MASKS, needed(&sizes), &NothingIdle, cancel)?;
        let mut budget = host.max_request_bytes.min(host.limits.max_payload_bytes);
        let mut inputs = Inputs::new();
        for (idx, (name, mask)) in seen.iter().enumerate() {
            let open = |path: &Path| Ok(host.root.open_file(path)?);
            let counted = |size| -> Result<(), JobError> {
                sizes[idx] = size;
                Ok(memory.grow(ON_MASKS, needed(&sizes))?)
            };
            let mask = mask.read(open, &host.limits, &mut budget, cancel, counted)?;
            inputs.add(name, Arc::new(mask));
        }
        let context = Context {
            limits: &host.limits,
            cancel,
            artefacts: artefacts.as_ref(),
        };
        let unfinished = Unfinished(artefacts.as_ref());
        let outcome = run_checked(operation.as_ref(), &inputs, &self.parameters, &context)?;
        drop(inputs);
        let exchange = exchange.as_ref().map(|(folder, path)| (folder, path.as_path()));
        let mut outgoing = Outgoing::new(exchange, format!("{request_id}-"), &host.limits);
        let Outcome {
            masks,
            artefacts: written,
            measurements,
            traffic: _, // of calls of its own: not this caller's
        } = outcome;
        let sizes: Vec<MaskSize> = masks.iter().map(|(_, mask)| MaskSize::of(mask)).collect();
        let held = run_bytes(&sizes);
        memory.grow(ON_MASKS, held)?;
        let mut wire_masks = Vec::with_capacity(masks.len());
        for (name, mask) in &masks {
            let room = |bytes: u64| {
                memory
                    .grow(ON_MASKS, held.saturating_add(bytes))
                    .map_err(JobError::from)
            };
            wire_masks.push(named(name, outgoing.mask_in(mask, room)?));
        }
        cancel.check().map_err(OperationError::from)?; // nobody would clean up after a caller that is gone
        outgoing.sent();
        unfinished.finished();
        let written = written.into_iter().map(|artefact| v1::Artefact {
            name: artefact.name,
            path: artefact.path.to_string_lossy().into_owned(),
            media_type: artefact.media_type,
        });
        Ok(v1::ProcessResponse {
            masks: wire_masks,
            artefacts: written.collect(),
            measurements: measurements.into_iter().map(wire::wire_measurement).collect(),
            version: operation.description().version.clone(),
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// Looks at all masks, at those in files by their headers.
    fn look(&self, host: &Host) -> Result<Vec<(&str, Seen<'_>)>, OperationError> {
        let open = |path: &Path| Ok(host.root.open_file(path)?);
        let seen = self.inputs.iter().map(|(name, mask)| {
            let seen = mask.look(open, &host.limits)?;
            Ok((name.as_str(), seen))
        });
        seen.collect()
    }
}

/// Removes the files of a request that ends by an error or a panic.
struct Unfinished<'a>(Option<&'a Artefacts>);

impl Unfinished<'_> {
    fn finished(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(artefacts) = self.0 {
            artefacts.discard();
        }
    }
}
