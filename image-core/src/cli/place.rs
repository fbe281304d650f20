//! Where a command's mask operation runs.

use std::collections::BTreeMap;
use std::time::Duration;

use nephrite_image_core::Core;
use nephrite_image_core::masks::{Endpoint, OperationSettings, Operations};
use nephrite_image_core::server::ServeConfig;

use super::failure::Failure;
use super::shared_arguments::PlaceArguments;

/// The operations where `--endpoint`, `--config`, `--exchange` and `--timeout` place them. `operation` is the one that
/// `--endpoint` is about.
pub(super) fn operations(
    arguments: &PlaceArguments,
    operation: Option<&str>,
    core: &Core,
) -> Result<Operations, Failure> {
    Ok(Operations::new(
        &operation_settings(arguments, operation)?,
        core.root(),
    ))
}

/// What these arguments say.
pub(super) fn operation_settings(
    arguments: &PlaceArguments,
    operation: Option<&str>,
) -> Result<OperationSettings, Failure> {
    let mut settings = match &arguments.config {
        Some(path) => {
            let config = ServeConfig::read(path)?;
            // A server's paths lie beneath its root; a command's are those of the shell.
            OperationSettings {
                exchange: config.operations.exchange.map(|folder| config.root.join(folder)),
                ..config.operations
            }
        }
        None => OperationSettings::default(),
    };
    if let Some(url) = &arguments.endpoint {
        let endpoint = endpoint(url)?;
        let names = operation
            .map(str::to_owned)
            .or_else(|| endpoint.operation.clone());
        settings.endpoints = names
            .map(|name| (name, endpoint))
            .into_iter()
            .collect::<BTreeMap<_, _>>();
    }
    if let Some(folder) = &arguments.exchange {
        settings.exchange = Some(folder.clone());
    }
    if let Some(seconds) = arguments.timeout {
        settings.timeout = timeout(seconds)?;
    }
    Ok(settings)
}

/// True if nothing says that there are services.
pub(super) fn services_are_unnamed(arguments: &PlaceArguments) -> bool {
    arguments.config.is_none() && arguments.endpoint.is_none()
}

/// An error of a command; if it is about an operation that may be that of a service, it says how services are found.
pub(super) fn failure(error: impl Into<Failure>, may_be_of_service: bool) -> Failure {
    let mut failure = error.into();
    if may_be_of_service {
        failure
            .message
            .push_str("; operations of services are found by --config, with a server's configuration");
    }
    failure
}

pub(super) fn endpoint(url: &str) -> Result<Endpoint, Failure> {
    Endpoint::parse(url).ok_or_else(|| {
        Failure::wrong(
            "address",
            &format!("{url:?}"),
            "http://host:port or http://host:port/operation",
        )
    })
}

pub(super) fn timeout(seconds: f64) -> Result<Duration, Failure> {
    if seconds > 0.0 && seconds <= 86400.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(Failure::wrong(
            "--timeout",
            &seconds.to_string(),
            "a number of seconds above 0 and up to 86400",
        ))
    }
}
