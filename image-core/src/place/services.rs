//! Where steps run. Configuration, never part of a request.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nephrite_root::{Root, sweep};

use super::remote_core::RemoteCore;
use super::run::Place;
use super::settings::ServiceSettings;
use crate::masks::Operations;

/// The places of steps.
#[derive(Debug)]
pub struct CaseServices {
    operations: Operations,
    /// Where masks go that are too large for a message.
    exchange: Option<PathBuf>,
    cores: Vec<(Arc<RemoteCore>, Vec<PathBuf>)>,
    /// Name and address of everything that is another process.
    endpoints: Vec<(String, String)>,
}

impl CaseServices {
    /// Connects to nothing yet.
    pub fn new(settings: &ServiceSettings, root: &Arc<Root>) -> CaseServices {
        let exchange = &settings.operations.exchange;
        let cores = settings.cores.iter().map(|core| {
            let remote = RemoteCore::new(core, root.clone(), exchange.clone(), settings.core_timeout);
            let folders = core.models.iter().map(|folder| normalized(root, folder));
            (Arc::new(remote), folders.collect())
        });
        let operations = settings.operations.endpoints.iter();
        let mut endpoints: Vec<(String, String)> = operations
            .map(|(name, endpoint)| (name.clone(), endpoint.url.clone()))
            .collect();
        endpoints.extend(
            settings
                .cores
                .iter()
                .map(|core| (core.name.clone(), core.address.clone())),
        );
        let mut addresses = std::collections::BTreeSet::new();
        endpoints.retain(|(_, address)| addresses.insert(address.clone()));
        CaseServices {
            exchange: exchange.clone(),
            operations: Operations::new(&settings.operations, root),
            cores: cores.collect(),
            endpoints,
        }
    }

    /// Removes what dead processes left in the exchange folder. One that cannot be opened is for the step that needs it.
    pub(crate) fn sweep_exchange(&self, root: &Root) {
        let folder = self.exchange.as_ref().map(|path| root.open_folder(path));
        if let Some(Ok(folder)) = folder {
            sweep(&folder);
        }
    }

    /// The mask operations, wherever they run.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Name and address of every other process, each address once.
    pub fn endpoints(&self) -> &[(String, String)] {
        &self.endpoints
    }

    /// Where a model runs: in the cores that own it, the preferred first, or here.
    pub(crate) fn of_model(&self, root: &Root, model: &Path) -> Place {
        let model = normalized(root, model);
        let owns = |folders: &[PathBuf]| folders.iter().any(|folder| model.starts_with(folder));
        let cores = self.cores.iter().filter(|(_, folders)| owns(folders));
        Place::of(cores.map(|(core, _)| core.clone()).collect())
    }
}

/// Absolute, without `.` and `..`. Only compares places in the configuration; what is opened goes through the root.
fn normalized(root: &Root, path: &Path) -> PathBuf {
    let absolute = root.absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::RemoteCoreSettings;

    #[test]
    fn a_model_runs_in_the_cores_that_list_a_folder_above_it() {
        let core = |name: &str, models: &[&str]| RemoteCoreSettings {
            name: name.to_owned(),
            address: format!("http://{name}:1"),
            models: models.iter().map(PathBuf::from).collect(),
        };
        let settings = ServiceSettings {
            cores: vec![
                core("kidney", &["models/Dataset902_Kidney"]),
                core("spare", &["models/", "/elsewhere"]),
            ],
            ..ServiceSettings::default()
        };
        let root = Arc::new(Root::filesystem());
        let services = CaseServices::new(&settings, &root);
        let check = |model: &str, expected: &[&str]| {
            let labels: Vec<String> = match services.of_model(&root, model.as_ref()) {
                Place::Here => Vec::new(),
                Place::Cores(cores) => cores.iter().map(|core| core.place().to_string()).collect(),
            };
            let expected: Vec<String> = expected.iter().map(|n| format!("{n} (http://{n}:1)")).collect();
            assert_eq!(labels, expected, "{model}");
        };
        check("models/Dataset902_Kidney/T__P__C", &["kidney", "spare"]);
        check("./models/x/../Dataset902_Kidney", &["kidney", "spare"]);
        check("models/Dataset902_Kidneys/T__P__C", &["spare"]);
        check("/elsewhere/m", &["spare"]);
        check("other/m", &[]);
    }
}
