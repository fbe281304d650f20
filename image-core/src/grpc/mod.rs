//! One file per service: decode, call, encode; no algorithms.

mod case;
mod case_messages;
mod description;
mod events;
mod model;
mod model_choice;
mod resize_request;
mod segment_request;
mod segmentation;
mod step;
mod streaming;
mod volume;
pub(crate) mod wire_warning;

pub(crate) use case::Cases;
pub(crate) use model::Models;
pub(crate) use model_choice::wire_checkpoint;
pub(crate) use segmentation::Segmentation;
pub(crate) use step::Steps;
pub(crate) use volume::Volumes;
