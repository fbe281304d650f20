//! Operations as services, and services as operations: both ends of `nephrite.v1.MaskService`.
//!
//! * [`serve`] is the whole `main` of a plugin with one operation; [`serve_program`] that of one with several. Both read
//!   a [`ServiceConfig`], and answer health, reflection, Describe and Process until SIGTERM.
//! * [`MaskHost`] is the service of a process that does other things too.
//! * [`RemoteService`] calls such a service, ours or a plugin in any language; a [`RemoteOperation`] is one of its
//!   operations, a [`MaskOperation`](crate::MaskOperation) like any other.
//! * Other services that send masks do it the same way, by [`Outgoing`], [`Scratch`] and [`receive_mask`], or
//!   [`receive_mask_in`] where memory is bounded.
//! * [`Placement`] says which of the two a step uses, so that where it runs is configuration.
//!
//! What the other side sends is hostile until checked, on both ends.

mod config;
mod error;
mod exchange;
mod host;
mod link;
mod placement;
mod program;
mod recent;
mod remote;
mod scratch;
mod serve;
mod service;
mod wire;

pub use config::ServiceConfig;
pub use error::ServiceError;
pub use exchange::{MAX_INLINE_BYTES, NamedFile, Outgoing, is_in_file, receive_mask, receive_mask_in};
pub use host::{Lane, MaskHost, MaskPlace};
pub use placement::Placement;
pub use program::{serve, serve_program};
pub use remote::{RemoteOperation, RemoteService, RemoteSettings};
pub use scratch::Scratch;
pub use serve::serve_all;
pub use service::Service;
