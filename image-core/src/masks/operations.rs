//! Which mask operations there are, and where each runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nephrite_kernel::grpc::{Placement, RemoteService, RemoteSettings};
use nephrite_kernel::memory::{largest_dense_bytes, request_bytes};
use nephrite_kernel::{
    CancelToken, Context, Inputs, MaskSize, OperationDescription, OperationError, Outcome, ParameterValue,
    Parameters, Registry,
};
use nephrite_proto::server_address;
use nephrite_root::Root;

use super::StepPlace;

/// Where mask operations run, as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationSettings {
    /// By the name that a step calls the operation. What is not here runs in this process, if it is one of ours.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Folder beneath the root, on the volume that the services share, for masks that are too large for a message.
    pub exchange: Option<PathBuf>,
    /// For one call of a service, repetitions included.
    pub timeout: Duration,
}

/// An operation of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Such as `http://cleanup:7444`.
    pub url: String,
    /// Its name there, if that is another one.
    pub operation: Option<String>,
}

/// The mask operations of a process: ours, and those of services. Which is which is configuration; a step says only the
/// name.
#[derive(Debug)]
pub struct Operations {
    in_process: Arc<Registry>,
    remote: BTreeMap<String, (Arc<RemoteService>, String)>,
}

/// One operation for a list of them.
#[derive(Debug)]
pub struct OperationListing {
    /// As a step calls it.
    pub name: String,
    /// Where it runs.
    pub place: StepPlace,
    /// What it takes and gives, or why the service could not say.
    pub description: Result<OperationDescription, OperationError>,
}

impl Default for OperationSettings {
    /// Everything in this process; five minutes.
    fn default() -> Self {
        OperationSettings {
            endpoints: BTreeMap::new(),
            exchange: None,
            timeout: Duration::from_secs(300),
        }
    }
}

impl Endpoint {
    /// From `http://host:port`, or `http://host:port/operation`.
    pub fn parse(text: &str) -> Option<Endpoint> {
        let uri = server_address(text).ok()?;
        let (authority, operation) = (uri.authority()?, uri.path().strip_prefix('/')?);
        if authority.port_u16().is_none() || uri.query().is_some() || operation.contains('/') {
            return None;
        }
        Some(Endpoint {
            url: format!("http://{authority}"),
            operation: (!operation.is_empty()).then(|| operation.to_owned()),
        })
    }
}

impl Operations {
    /// Connects to nothing yet. Steps at the same address share a connection.
    pub fn new(settings: &OperationSettings, root: &Arc<Root>) -> Operations {
        let mut services: BTreeMap<&str, Arc<RemoteService>> = BTreeMap::new();
        let mut remote = BTreeMap::new();
        for (name, endpoint) in &settings.endpoints {
            let service = services.entry(&endpoint.url).or_insert_with(|| {
                Arc::new(RemoteService::new(RemoteSettings {
                    name: name.clone(),
                    endpoint: endpoint.url.clone(),
                    timeout: settings.timeout,
                    root: root.clone(),
                    exchange_folder: settings.exchange.clone(),
                }))
            });
            let operation = endpoint.operation.clone().unwrap_or_else(|| name.clone());
            remote.insert(name.clone(), (service.clone(), operation));
        }
        Operations {
            in_process: Arc::new(nephrite_mask_services::operations()),
            remote,
        }
    }

    /// Names that steps may use, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.in_process.names().into_iter().map(str::to_owned).collect();
        names.extend(self.remote.keys().cloned());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Where an operation runs.
    pub fn place(&self, name: &str) -> StepPlace {
        match self.remote.get(name) {
            Some((service, _)) => StepPlace::Service {
                name: service.name().to_owned(),
                address: service.endpoint().to_owned(),
            },
            None => StepPlace::InProcess,
        }
    }

    /// The operations of this process that no service has.
    pub(crate) fn in_process(&self) -> Registry {
        let mut ours = Registry::new();
        for (name, operation) in self
            .in_process
            .iter()
            .filter(|(name, _)| !self.remote.contains_key(*name))
        {
            let registered = ours.register_as(name, operation.clone());
            debug_assert!(registered.is_ok(), "each name was registered once already");
        }
        ours
    }

    /// Operations that run somewhere else: name and place.
    pub(crate) fn elsewhere(&self) -> BTreeMap<String, String> {
        let remote = self.remote.keys();
        remote
            .map(|name| (name.clone(), self.place(name).to_string()))
            .collect()
    }

    /// What the service calls it, if that is another name; `None` too if it runs here.
    pub(crate) fn name_at_service(&self, name: &str) -> Option<String> {
        let (_, there) = self.remote.get(name)?;
        (there != name).then(|| there.clone())
    }

    /// What parameters cannot mean together, before anything runs: for operations of ours, here or at a service that describes
    /// them as this process does. Others are asked when they run.
    ///
    /// # Errors
    /// [`OperationError`]
    pub(crate) fn check(
        &self,
        name: &str,
        description: &OperationDescription,
        parameters: &Parameters,
        artefacts: bool,
    ) -> Result<(), OperationError> {
        let ours = self.in_process.get(&description.name);
        let ours = ours.filter(|ours| !self.remote.contains_key(name) || ours.description() == description);
        ours.map_or(Ok(()), |ours| ours.check(parameters, artefacts))
    }

    /// What an operation takes and gives. Asks its service, if it has one.
    ///
    /// # Errors
    /// [`OperationError::UnknownOperation`], [`OperationError::Service`].
    pub fn describe(&self, name: &str, cancel: &CancelToken) -> Result<OperationDescription, OperationError> {
        let (placement, operation) = self.placement(name)?;
        placement.describe(&operation, cancel)
    }

    /// Runs an operation where it is placed. Blocks; not for threads of an async runtime.
    ///
    /// # Errors
    /// [`OperationError`]; [`OperationError::Service`] names the service.
    pub fn run(
        &self,
        name: &str,
        inputs: &Inputs,
        given: &BTreeMap<String, ParameterValue>,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let (placement, operation) = self.placement(name)?;
        placement.run(&operation, inputs, given, context)
    }

    /// What a request of this operation holds in this process at its peak, from the sizes of its masks: those that it reads,
    /// and what it works with if it runs here. `parameters` are checked.
    ///
    /// # Errors
    /// [`OperationError::UnknownOperation`]
    pub(crate) fn request_bytes(
        &self,
        name: &str,
        masks: &[MaskSize],
        parameters: &Parameters,
    ) -> Result<u64, OperationError> {
        let working = match self.placement(name)? {
            (Placement::InProcess(registry), operation) => registry
                .get(&operation)
                .map_or(0, |operation| operation.working_bytes(masks, parameters)),
            // A mask that is too large for a message goes to the service, and comes back, as a file.
            (Placement::Endpoint(_), _) => largest_dense_bytes(masks).saturating_mul(2),
        };
        Ok(request_bytes(masks, working))
    }

    /// All operations, with what their services say.
    pub fn list(&self, cancel: &CancelToken) -> Vec<OperationListing> {
        let names = self.names().into_iter();
        let listed = names.map(|name| OperationListing {
            place: self.place(&name),
            description: self.describe(&name, cancel),
            name,
        });
        listed.collect()
    }

    fn placement(&self, name: &str) -> Result<(Placement, String), OperationError> {
        if let Some((service, operation)) = self.remote.get(name) {
            return Ok((Placement::Endpoint(service.clone()), operation.clone()));
        }
        if self.in_process.get(name).is_none() {
            return Err(OperationError::UnknownOperation {
                name: name.chars().take(64).collect(),
                known: self.names(),
            });
        }
        Ok((Placement::InProcess(self.in_process.clone()), name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_a_host_a_port_and_perhaps_an_operation() {
        let of = |text: &str| Endpoint::parse(text).map(|endpoint| (endpoint.url, endpoint.operation));
        assert_eq!(of("http://a:1"), Some(("http://a:1".into(), None)));
        assert_eq!(of("http://a:1/"), Some(("http://a:1".into(), None)));
        assert_eq!(
            of("http://[::1]:1/b"),
            Some(("http://[::1]:1".into(), Some("b".into())))
        );
        for wrong in [
            "",
            "a:1",
            "https://a:1",
            "http://a",
            "http://:1",
            "http://a:99999",
            "http://a:1/b/c",
            "http://u@a:1",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ours_describe_themselves_and_a_configured_place_wins() {
        let settings = OperationSettings {
            endpoints: BTreeMap::from([
                (
                    "cleanup".to_owned(),
                    Endpoint::parse("http://127.0.0.1:1").unwrap(),
                ),
                (
                    "centre".to_owned(),
                    Endpoint::parse("http://127.0.0.1:1/line").unwrap(),
                ),
            ]),
            timeout: Duration::from_millis(100),
            ..OperationSettings::default()
        };
        let operations = Operations::new(&settings, &Arc::new(Root::filesystem()));
        assert_eq!(
            operations.names(),
            ["centre", "cleanup", "compare", "merge", "sample"]
        );
        assert_eq!(operations.place("merge"), StepPlace::InProcess);
        assert!(matches!(operations.place("cleanup"), StepPlace::Service { .. }));
        let cancel = CancelToken::new();
        assert_eq!(operations.describe("merge", &cancel).unwrap().name, "merge");
        let gone = operations.describe("cleanup", &cancel).unwrap_err();
        assert!(gone.to_string().contains("http://127.0.0.1:1"), "{gone}");
        let unknown = operations.describe("sharpen", &cancel).unwrap_err();
        assert!(
            matches!(unknown, OperationError::UnknownOperation { .. }),
            "{unknown}"
        );
    }
}
