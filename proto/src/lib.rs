//! The wire contract of nephrite: messages and services of package `nephrite.v1`, and what keeps both sides honest.
//!
//! * [`v1`] is generated from `nephrite/v1/*.proto`; a test regenerates it and fails on a difference. The .proto files
//!   are the reference: every rpc and field says its unit, axis order and default.
//! * [`convert`] turns wire values into checked ones; nothing else looks at raw enums, shapes or paths.
//! * [`status`] maps [`ErrorCode`](nephrite_types::ErrorCode) to gRPC status codes and back, without loss.
//! * [`Client`] is a typed client for Rust programs.
//!
//! No voxel of an image crosses: requests carry paths and small parameters.

mod address;
mod client;
pub mod convert;
pub mod status;

/// Messages, clients and servers of package `nephrite.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all)] // generated; the .proto files carry the comments
pub mod v1 {
    include!("generated/nephrite.v1.rs");
}

pub use address::{AddressFault, server_address};
pub use client::{
    CaseEvent, CaseEvents, Client, Event, EventMessage, Events, JobEvents, RemoteError, RunEvents, StepEvent,
    StepEvents,
};
pub use convert::ConvertError;

/// The encoded `FileDescriptorSet` of package `nephrite.v1`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/nephrite.v1.bin");
