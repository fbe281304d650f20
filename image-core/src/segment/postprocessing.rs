//! The steps that follow a mask, read before the work begins.

use nephrite_nnunet_folder::{Postprocessing, RemoveAllButLargest};

use super::PostprocessingChoice;
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::read_small_file;
use crate::model::OpenModel;

/// The steps that were asked for; none if none were.
pub(crate) fn read_postprocessing(
    core: &Core,
    model: &OpenModel,
    choice: &PostprocessingChoice,
) -> Result<Vec<RemoveAllButLargest>, CoreError> {
    let postprocessing = match choice {
        PostprocessingChoice::None => return Ok(Vec::new()),
        PostprocessingChoice::FromModel => {
            let folds = model
                .folder
                .select_folds(&model.choice.folds, model.choice.checkpoint)?;
            model.folder.postprocessing(&folds)?
        }
        PostprocessingChoice::File(path) => {
            let name = path.to_string_lossy();
            let is_pickle = path.extension().is_some_and(|extension| extension == "pkl");
            let limit = if is_pickle {
                core.limits().max_pickle_bytes
            } else {
                core.limits().max_json_bytes
            };
            let bytes = read_small_file(core.root(), path, limit)?;
            if is_pickle {
                Postprocessing::from_pickle(&name, bytes)?
            } else {
                Postprocessing::from_json(&name, &bytes)?
            }
        }
    };
    Ok(postprocessing.steps)
}
