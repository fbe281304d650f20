//! One file per service: decode, call, encode; no algorithms.

mod attached;
mod case;
mod events;
mod job;
mod masks;
mod model;
mod segmentation;
mod step;
mod streaming;
mod volume;

use crate::core::Core;

pub(super) use case::Cases;
pub(super) use job::Jobs;
pub(super) use masks::masks;
pub(super) use model::Models;
pub(super) use segmentation::Segmentation;
pub(super) use step::Steps;
pub(super) use volume::Volumes;

/// The core, and who may use it.
pub(super) type Work = nephrite_server::Work<Core>;
