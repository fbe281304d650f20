//! The client's side of `MaskService`: a reply is believed only after it was checked against the description.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nephrite_proto::v1;
use nephrite_root::Root;
use nephrite_types::{CancelToken, Coded, ErrorCode};

use super::exchange::{Outgoing, is_in_file, named, receive_mask};
use super::link::{Link, MAX_REPLY_BYTES};
use super::scratch::Scratch;
use super::wire;
use crate::{
    Artefact, Artefacts, Context, Inputs, MaskOperation, OperationDescription, OperationError, Outcome,
    ParameterValue, Parameters, ServiceDescription, ServiceFault, Traffic, check_outcome, run_checked,
};

/// How long a description is believed without asking again.
const FRESH: Duration = Duration::from_secs(60);
/// Longest media type that is passed on.
const MAX_MEDIA_TYPE_BYTES: usize = 256;

/// Which service to call, and how.
#[derive(Debug, Clone)]
pub struct RemoteSettings {
    /// What the configuration calls it; stands in errors.
    pub name: String,
    /// Such as `http://cleanup:7444`.
    pub endpoint: String,
    /// For one call, repetitions included; a nearer deadline of the request wins.
    pub timeout: Duration,
    /// Where paths lead on this side. The service must see the same files at the same absolute paths.
    pub root: Arc<Root>,
    /// Folder beneath the root for masks that are too large for a message; `None` if there is none.
    pub exchange_folder: Option<PathBuf>,
}

/// A service of mask operations somewhere else. The connection is made when it is first needed and made again when it
/// broke; what the service says of itself is kept, and asked again after a while or when it no longer fits.
///
/// Its methods block while they wait; call them from threads that may.
#[derive(Debug)]
pub struct RemoteService {
    settings: RemoteSettings,
    link: Link,
    described: Mutex<Option<Described>>,
}

#[derive(Debug, Clone)]
struct Described {
    at: Instant,
    description: Arc<ServiceDescription>,
}

impl RemoteService {
    /// Connects to nothing yet.
    pub fn new(settings: RemoteSettings) -> RemoteService {
        RemoteService {
            link: Link::new(&settings.endpoint),
            settings,
            described: Mutex::default(),
        }
    }

    /// What the configuration calls it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Its address.
    pub fn endpoint(&self) -> &str {
        &self.settings.endpoint
    }

    /// Name and address, as they stand in errors.
    pub fn label(&self) -> String {
        format!("{} ({})", self.settings.name, self.settings.endpoint)
    }

    /// What the service says of itself, valid in itself. Kept for a minute.
    ///
    /// # Errors
    /// [`OperationError::Service`], [`OperationError::Cancelled`].
    pub fn describe(&self, cancel: &CancelToken) -> Result<Arc<ServiceDescription>, OperationError> {
        match self.kept() {
            Some(Described { at, description }) if at.elapsed() < FRESH => Ok(description),
            _ => self.describe_again(cancel),
        }
    }

    /// The same, without believing what it said before.
    ///
    /// # Errors
    /// As [`RemoteService::describe`].
    pub fn describe_again(&self, cancel: &CancelToken) -> Result<Arc<ServiceDescription>, OperationError> {
        let asked = self.link.call(
            v1::DescribeRequest {},
            self.settings.timeout,
            cancel,
            |mut client, request| async move { client.describe(request).await },
        );
        let (reply, _) = asked.map_err(|error| error.of(&self.label()))?;
        let description = wire::service_description(reply).map_err(|error| {
            self.fault(ServiceFault::Description {
                reason: error.to_string(),
            })
        })?;
        if let Some(reason) = faults(&description) {
            return Err(self.fault(ServiceFault::Description { reason }));
        }
        let description = Arc::new(description);
        let described = Described {
            at: Instant::now(),
            description: description.clone(),
        };
        *self.described.lock().unwrap_or_else(PoisonError::into_inner) = Some(described);
        Ok(description)
    }

    /// One of its operations.
    ///
    /// # Errors
    /// [`OperationError::UnknownOperation`] if it has no such operation; as [`RemoteService::describe`].
    pub fn operation(
        self: &Arc<Self>,
        name: &str,
        cancel: &CancelToken,
    ) -> Result<RemoteOperation, OperationError> {
        let service = self.describe(cancel)?;
        let found = service.operations.iter().find(|operation| operation.name == name);
        let description = found.cloned().ok_or_else(|| OperationError::UnknownOperation {
            name: name.chars().take(64).collect(),
            known: service
                .operations
                .iter()
                .map(|operation| operation.name.clone())
                .collect(),
        })?;
        Ok(RemoteOperation {
            service: self.clone(),
            description,
        })
    }

    /// Checks inputs and parameters against what the operation says of itself, calls it, and checks what comes back. A
    /// refusal that a description which has changed meanwhile would explain is tried once more with the new one.
    ///
    /// # Errors
    /// [`OperationError`]
    pub fn run(
        self: &Arc<Self>,
        name: &str,
        inputs: &Inputs,
        given: &BTreeMap<String, ParameterValue>,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let before = self.kept().map(|described| described.description);
        let run = || run_checked(&self.operation(name, context.cancel)?, inputs, given, context);
        let refused = match run() {
            Err(error) if before.is_some() && error.code() == ErrorCode::InvalidArgument => error,
            outcome => return outcome,
        };
        match self.describe_again(context.cancel) {
            Ok(now) if Some(&now) != before.as_ref() => run(),
            _ => Err(refused),
        }
    }

    fn kept(&self) -> Option<Described> {
        self.described
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn fault(&self, fault: ServiceFault) -> OperationError {
        OperationError::Service {
            service: self.label(),
            fault,
        }
    }

    fn process(
        &self,
        operation: &str,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let scratch = |folder: &Path| Scratch::new(&self.settings.root, folder);
        let exchange = self
            .settings
            .exchange_folder
            .as_deref()
            .map(scratch)
            .transpose()?;
        let files = context
            .artefacts
            .map(|artefacts| scratch(artefacts.path()))
            .transpose()?;
        let text = |scratch: &Option<Scratch>| {
            scratch.as_ref().map_or(String::new(), |scratch| {
                scratch.path().to_string_lossy().into_owned()
            })
        };
        let folder = exchange
            .as_ref()
            .map(|scratch| (scratch.folder(), scratch.path()));
        let mut outgoing = Outgoing::new(folder, "input-".to_owned(), context.limits);
        let masks = inputs
            .iter()
            .flat_map(|(name, masks)| masks.iter().map(move |mask| (name, mask)));
        let masks = masks.map(|(name, mask)| Ok::<_, OperationError>(named(name, outgoing.mask(mask)?)));
        let values = parameters.values().iter();
        let request = v1::ProcessRequest {
            operation: operation.to_owned(),
            inputs: masks.collect::<Result<_, _>>()?,
            parameters: values
                .map(|(name, value)| (name.clone(), wire::parameter_value(value)))
                .collect(),
            artefacts_folder: text(&files),
            exchange_folder: text(&exchange),
        };
        let reply = self.link.call(
            request,
            self.settings.timeout,
            context.cancel,
            |mut client, request| async move { client.process(request).await },
        );
        let (reply, mut traffic) = reply.map_err(|error| error.of(&self.label()))?;
        let received = reply.masks.iter().filter_map(|named| named.mask.as_ref());
        let n_received = received.filter(|mask| is_in_file(mask)).count();
        traffic += Traffic::of_files(outgoing.n_files() + n_received);
        let masks = reply
            .masks
            .into_iter()
            .map(|named| self.receive(named, exchange.as_ref(), context));
        let masks = masks.collect::<Result<_, _>>()?;
        let measurements = reply
            .measurements
            .into_iter()
            .map(wire::measurement)
            .collect::<Result<_, _>>();
        let measurements = measurements.map_err(|error| self.malformed(&error))?;
        let artefacts = match (context.artefacts, &files) {
            (Some(artefacts), Some(files)) => self.take_files(reply.artefacts, files, artefacts)?,
            _ if reply.artefacts.is_empty() => Vec::new(),
            _ => return Err(self.contract("it names files, and was given no folder".to_owned())),
        };
        Ok(Outcome {
            masks,
            artefacts,
            measurements,
            traffic,
        })
    }

    /// A mask of the reply: as hostile as any.
    fn receive(
        &self,
        named: v1::NamedMask,
        exchange: Option<&Scratch>,
        context: &Context<'_>,
    ) -> Result<(String, Arc<crate::Mask>), OperationError> {
        let name = wire::text("masks.name", named.name).map_err(|error| self.malformed(&error))?;
        let wire = named.mask.unwrap_or_default();
        let outside = |path: &Path| {
            self.contract(format!(
                "mask {name} lies at {}, outside of the exchange folder",
                path.display()
            ))
        };
        let open = |path: &Path| {
            let exchange = exchange.filter(|exchange| exchange.file_name(path).is_some());
            Ok(exchange.ok_or_else(|| outside(path))?.open_file(path)?.into())
        };
        let mask = receive_mask(wire, open, context.limits, context.cancel);
        let mask = mask.map_err(|error| match error {
            OperationError::Service { .. } | OperationError::Cancelled(_) => error,
            broken => self.malformed(&format!("mask {name}: {broken}")),
        })?;
        Ok((name, Arc::new(mask)))
    }

    /// Moves the files of a reply to where the caller wants them.
    fn take_files(
        &self,
        wire: Vec<v1::Artefact>,
        files: &Scratch,
        artefacts: &Artefacts,
    ) -> Result<Vec<Artefact>, OperationError> {
        let taken = wire.into_iter().map(|artefact| {
            let path = Path::new(&artefact.path);
            if files.file_name(path) != Some(artefact.name.as_str()) {
                let (name, path) = (&artefact.name, path.display());
                return Err(self.contract(format!("file {name:.64?} lies at {path}, outside of its folder")));
            }
            if artefact.media_type.len() > MAX_MEDIA_TYPE_BYTES {
                return Err(self.contract(format!("the media type of {:.64?} is too long", artefact.name)));
            }
            let taken = artefacts.take(files.folder(), &artefact.name, &artefact.media_type);
            taken.map_err(|error| self.contract(error.to_string()))
        });
        taken.collect()
    }

    fn malformed(&self, reason: &dyn std::fmt::Display) -> OperationError {
        self.fault(ServiceFault::MalformedReply {
            reason: reason.to_string(),
        })
    }

    fn contract(&self, reason: String) -> OperationError {
        self.fault(ServiceFault::Contract { reason })
    }
}

/// What contradicts itself.
fn faults(service: &ServiceDescription) -> Option<String> {
    if service.operations.is_empty() {
        return Some("it has no operations".to_owned());
    }
    let twice = service
        .operations
        .windows(2)
        .find(|pair| pair[0].name == pair[1].name); // sorted
    if let Some([first, _]) = twice {
        return Some(format!("operation {} occurs twice", first.name));
    }
    let faults = service.operations.iter().flat_map(|operation| {
        let faults = operation.faults().into_iter();
        faults.map(|fault| format!("operation {}: {fault}", operation.name))
    });
    let faults: Vec<String> = faults.take(8).collect();
    (!faults.is_empty()).then(|| faults.join("; "))
}

/// An operation of a [`RemoteService`], as it described itself when it was asked for.
#[derive(Debug)]
pub struct RemoteOperation {
    service: Arc<RemoteService>,
    description: OperationDescription,
}

impl MaskOperation for RemoteOperation {
    fn description(&self) -> &OperationDescription {
        &self.description
    }

    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let service = &self.service;
        let outcome = service.process(&self.description.name, inputs, parameters, context)?;
        // Whoever runs an operation checks its outcome; here the error says which service it was.
        check_outcome(&self.description, inputs, &outcome).map_err(|error| match error {
            OperationError::Contract { what, .. } => service.contract(what),
            error => error,
        })?;
        Ok(outcome)
    }
}

const _: () = assert!(
    MAX_REPLY_BYTES > 4 * super::MAX_INLINE_BYTES,
    "a reply may hold several masks"
);
