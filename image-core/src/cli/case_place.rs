//! Where the steps of a command's case run, and where its paths lead.

use std::path::{Path, PathBuf};

use nephrite_dicomweb::Address;
use nephrite_image_core::case::{CaseServices, ServiceSettings};
use nephrite_image_core::server::ServeConfig;
use nephrite_image_core::{Core, Root};

use super::failure::Failure;
use super::shared_arguments::{CasePlaceArguments, RuntimeArguments};
use super::start;

/// A core and the processes around it.
pub(super) struct CasePlace {
    pub(super) core: Core,
    pub(super) services: CaseServices,
    /// True if the core opens only what lies beneath a folder, where relative paths start.
    beneath: bool,
}

impl CasePlace {
    pub(super) fn new(
        arguments: CasePlaceArguments,
        runtime: RuntimeArguments,
    ) -> Result<CasePlace, Failure> {
        let config = arguments.config.as_deref().map(ServeConfig::read).transpose()?;
        let root = arguments
            .root
            .or_else(|| config.as_ref().map(|config| config.root.clone()));
        let beneath = root.is_some();
        let root = match root {
            Some(folder) => Root::beneath(&folder)?,
            None => Root::filesystem(),
        };
        let strict = config.as_ref().is_some_and(|config| config.strict_geometry);
        let of_config = config.as_ref().map(|config| config.series.clone());
        let series = runtime.series.over(of_config.unwrap_or_default());
        let core = start::core_at(root, runtime)?
            .with_strict_geometry(strict)
            .with_series_options(series)
            .with_dicomweb(
                config
                    .as_ref()
                    .map(|config| config.dicomweb.clone())
                    .unwrap_or_default(),
            );
        let settings = config.map_or_else(ServiceSettings::default, |config| config.services());
        let services = CaseServices::new(&settings, core.root());
        Ok(CasePlace {
            core,
            services,
            beneath,
        })
    }

    /// The place that a path means in the shell, wherever the core's own paths start.
    pub(super) fn core_path(&self, path: &Path) -> Result<PathBuf, Failure> {
        let is_address = Address::is_meant(path);
        Ok(if self.beneath && !is_address {
            Root::filesystem().absolute(path)?
        } else {
            path.to_owned()
        })
    }
}
