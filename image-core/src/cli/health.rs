//! `nephrite health`: asks a server whether it serves; for containers.

use std::path::Path;
use std::time::Duration;

use nephrite_image_core::server::ServeConfig;
use nephrite_server::probe;

use super::failure::Failure;

/// How long a probe waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the server of this configuration whether it serves: the health check of a container that has no other tools.
pub(crate) fn run(config: &Path) -> Result<(), Failure> {
    let config = ServeConfig::read(config)?;
    probe(config.listen, PATIENCE)?;
    Ok(())
}
