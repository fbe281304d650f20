//! The server's side of `MaskService`: what arrives is checked, reserved for, run and answered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use nephrite_proto::convert::optional_path;
use nephrite_proto::v1::mask_service_server::MaskService;
use nephrite_proto::{ConvertError, v1};
use nephrite_root::Root;
use nephrite_server::memory::{MemoryError, Reservation};
use nephrite_server::{Deadline, Work};
use nephrite_types::{CancelToken, Coded, ErrorCode, Limits, Warning};
use tonic::{Request, Response, Status};

use super::exchange::{Incoming, NamedFile, Outgoing, Seen, named};
use super::{Service, wire};
use crate::memory::{ON_MASKS, request_bytes, run_bytes};
use crate::{
    Artefacts, Context, Inputs, Mask, MaskOperation, MaskSize, OperationError, Outcome, ParameterValue,
    Parameters, Registry, open_volume, run_checked,
};

/// Masks of one request.
const MAX_INPUTS: usize = 1024;

/// What a process lends to the operations that it offers.
pub trait MaskPlace: Send + Sync + 'static {
    /// Where paths of requests lead.
    fn root(&self) -> &Root;

    /// What one mask may cost.
    fn limits(&self) -> &Limits;

    /// Bytes of all masks of a request together, decoded.
    fn max_request_bytes(&self) -> u64;

    /// Waits until so many bytes fit beside what others reserved.
    ///
    /// # Errors
    /// [`MemoryError`], at once if they can never fit.
    fn reserve(
        &self,
        what: &'static str,
        bytes: u64,
        cancel: &CancelToken,
    ) -> Result<Reservation<'_>, MemoryError>;

    /// The mask of a file that is no label map, and what its user should know; `None` for a label map. A process that knows no scans
    /// reads no other files.
    ///
    /// # Errors
    /// [`OperationError`]: what is wrong with the file, or with the scan that it is to be read on.
    fn read_object(
        &self,
        file: &NamedFile,
        cancel: &CancelToken,
    ) -> Result<Option<(Mask, Vec<Warning>)>, OperationError> {
        let _ = (file, cancel);
        Ok(None)
    }
}

/// In which queue of a process its operations wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// With its long work: they are all that it does.
    Long,
    /// With its short work: runs of networks do not wait for them, nor they for networks.
    Short,
}

/// `MaskService` over any registry.
#[derive(Debug)]
pub struct MaskHost<P> {
    work: Arc<Work<P>>,
    lane: Lane,
    description: v1::DescribeResponse,
    offered: Arc<Offered>,
}

#[derive(Debug)]
struct Offered {
    registry: Registry,
    /// Operations that this process calls somewhere else: name and place.
    elsewhere: BTreeMap<String, String>,
}

impl Offered {
    fn operation(&self, name: &str) -> Result<&Arc<dyn MaskOperation>, OperationError> {
        if let Some(place) = self.elsewhere.get(name) {
            return Err(OperationError::Elsewhere {
                name: name.to_owned(),
                place: place.clone(),
            });
        }
        self.registry
            .get(name)
            .ok_or_else(|| OperationError::UnknownOperation {
                name: name.chars().take(64).collect(),
                known: self.registry.names().into_iter().map(str::to_owned).collect(),
            })
    }
}

impl<P: MaskPlace> MaskHost<P> {
    /// Offers the operations of `service`. Who asks for one of `elsewhere` (name and place) is told where it runs.
    pub fn new(
        work: Arc<Work<P>>,
        lane: Lane,
        service: Service,
        elsewhere: BTreeMap<String, String>,
    ) -> MaskHost<P> {
        MaskHost {
            work,
            lane,
            description: wire::describe_response(&service.description()),
            offered: Arc::new(Offered {
                registry: service.operations,
                elsewhere,
            }),
        }
    }
}

#[tonic::async_trait]
impl<P: MaskPlace> MaskService for MaskHost<P> {
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
        let offered = self.offered.clone();
        let job = move |place: &P, cancel: &CancelToken| -> Result<_, JobError> {
            let job = Job::try_from(request)?;
            let operation = offered.operation(&job.operation)?;
            job.run(place, operation.as_ref(), &job_id, cancel)
        };
        let done = match self.lane {
            Lane::Long => self.work.heavy(deadline, job).await,
            Lane::Short => self.work.light_until(deadline, job).await,
        };
        match done {
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
    parameters: BTreeMap<String, ParameterValue>,
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
        place: &impl MaskPlace,
        operation: &dyn MaskOperation,
        request_id: &str,
        cancel: &CancelToken,
    ) -> Result<v1::ProcessResponse, JobError> {
        let began = Instant::now();
        // Again in `run_checked`; here, before masks are inflated.
        let parameters = Parameters::check(&operation.description().parameters, &self.parameters)?;
        let (root, limits) = (place.root(), place.limits());
        let open_folder = |path: &PathBuf| root.open_writable_folder(path).map_err(OperationError::from);
        let artefacts = match &self.artefacts_folder {
            Some(path) => Some(Artefacts::new(open_folder(path)?, path)),
            None => None,
        };
        let exchange = self.exchange_folder.as_ref();
        let exchange = exchange.map(|path| Ok::<_, OperationError>((open_folder(path)?, path)));
        let exchange = exchange.transpose()?;
        let needed = |sizes: &[MaskSize]| request_bytes(sizes, operation.working_bytes(sizes, &parameters));
        let (seen, warnings) = self.look(place, cancel)?;
        let mut sizes: Vec<MaskSize> = seen.iter().map(|(_, mask)| mask.size()).collect();
        let mut memory = place.reserve(ON_MASKS, needed(&sizes), cancel)?;
        let mut budget = place.max_request_bytes().min(limits.max_payload_bytes);
        let mut inputs = Inputs::new();
        for (idx, (name, mask)) in seen.into_iter().enumerate() {
            let open = |path: &Path| open_volume(root, path);
            let counted = |size| -> Result<(), JobError> {
                sizes[idx] = size;
                Ok(memory.grow(ON_MASKS, needed(&sizes))?)
            };
            let mask = mask.read(open, limits, &mut budget, cancel, counted)?;
            inputs.add(name, Arc::new(mask));
        }
        let context = Context {
            limits,
            cancel,
            artefacts: artefacts.as_ref(),
        };
        let unfinished = Unfinished(artefacts.as_ref());
        let outcome = run_checked(operation, &inputs, &self.parameters, &context)?;
        drop(inputs);
        let exchange = exchange.as_ref().map(|(folder, path)| (folder, path.as_path()));
        let mut outgoing = Outgoing::new(exchange, format!("{request_id}-"), limits);
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
            warnings: warnings.iter().map(Into::into).collect(),
        })
    }

    /// Looks at all masks, at label maps in files by their headers.
    fn look(
        &self,
        place: &impl MaskPlace,
        cancel: &CancelToken,
    ) -> Result<(Vec<NamedSeen<'_>>, Vec<Warning>), OperationError> {
        let open = |path: &Path| open_volume(place.root(), path);
        let (mut seen, mut warnings) = (Vec::new(), Vec::new());
        for (name, mask) in &self.inputs {
            let object = match mask {
                Incoming::File(file) => place.read_object(file, cancel)?,
                Incoming::Inline(_) => None,
            };
            let mask = match object {
                Some((mask, odd)) => {
                    warnings.extend(odd);
                    Seen::Read(Box::new(mask))
                }
                None => mask.look(open, place.limits())?,
            };
            seen.push((name.as_str(), mask));
        }
        Ok((seen, warnings))
    }
}

/// A mask that was looked at, and what the request calls it.
type NamedSeen<'a> = (&'a str, Seen<'a>);

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
