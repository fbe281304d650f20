//! One file per service: decode, call, encode; no algorithms.

mod description;
mod events;
mod model;
mod model_choice;
mod resize_request;
mod segment_request;
mod segmentation;
mod volume;

pub(crate) use model::Models;
pub(crate) use segmentation::Segmentation;
pub(crate) use volume::Volumes;
