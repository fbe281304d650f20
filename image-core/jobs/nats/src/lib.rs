//! Jobs of many machines, kept by NATS JetStream.
//!
//! * The **truth** about a job is its record in a key-value bucket. It changes by compare-and-set alone: who writes names the
//!   revision that it has read, and of two that write at once one is refused and reads again.
//! * A **message** in a work queue is what hands a job out: the server gives it to one worker, and to another one when the
//!   first has said nothing for a lease. A message says only which job it is for. One that is lost is published again, and
//!   one that nobody needs is acknowledged away, so nothing depends on it but how soon a job starts.
//! * What workers tell is a stream of its own, and so are the last records of jobs that died too often.
//!
//! Every process keeps a picture of all records in memory, which follows them as they are written, and answers lists and
//! chooses jobs from it. What a process has written itself is in its picture before it answers.
//!
//! A job that has ended keeps the claim on its result folder in the bucket; whoever wants the folder next takes it over.

mod call;
mod change;
mod claim;
mod connect;
mod core;
mod delivery;
mod engine;
mod events;
mod house;
mod leasing;
mod mirror;
mod names;
mod numbers;
mod picture;
mod queue;
mod records;
mod settings;
mod streams;
mod submit;
mod watching;

pub use engine::NatsEngine;
pub use settings::NatsSettings;
