//! Model folders that were looked into not long ago.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use nephrite_root::Root;

use super::{ModelChoice, OpenModel};

/// Model folders that were looked into not long ago: a case opens each of its models several times, and a server gets many
/// cases of the same models. One is taken again only if nothing of it has changed.
#[derive(Debug, Default)]
pub(super) struct OpenedModels {
    /// The one that was used last at the end.
    models: Mutex<Vec<Arc<OpenModel>>>,
}

/// Folders that are kept open.
const MAX_KEPT: usize = 64;

impl OpenedModels {
    /// One that is as it was.
    pub(super) fn get(&self, root: &Root, choice: &ModelChoice) -> Option<Arc<OpenModel>> {
        let model = {
            let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
            models.iter().find(|model| model.choice == *choice)?.clone()
        };
        model.is_still(root, SystemTime::now()).then_some(model)
    }

    pub(super) fn keep(&self, model: Arc<OpenModel>) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.retain(|other| other.choice != model.choice);
        if models.len() >= MAX_KEPT {
            models.remove(0);
        }
        models.push(model);
    }
}
