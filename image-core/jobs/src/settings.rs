//! What all engines are told.

use std::time::Duration;

use nephrite_job_state::Retention;

use crate::clock::Clock;

/// What all engines are told.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSettings {
    /// A worker that was not heard of for so long has lost its job.
    pub lease: Duration,
    /// How often a job is tried.
    pub max_attempts: u32,
    /// Jobs that may wait; one more is refused.
    pub max_queued: usize,
    /// How long a job is left to the process that holds its scan.
    pub affinity: Duration,
    /// How long jobs that have ended are kept.
    pub retention: Retention,
    /// Events of one job that are kept; the oldest go first.
    pub max_events: usize,
    /// Whose jobs are taken; anyone's if empty.
    pub tenants: Vec<String>,
    /// What jobs may ask of a worker.
    pub capabilities: Vec<String>,
    /// For what people read.
    pub clock: Clock,
}

impl Default for JobSettings {
    fn default() -> Self {
        JobSettings {
            lease: Duration::from_secs(30),
            max_attempts: 3,
            max_queued: 10_000,
            affinity: Duration::from_secs(20),
            retention: Retention {
                keep_ms: 30 * 24 * 3600 * 1000,
                max_ended: 10_000,
            },
            max_events: 4096,
            tenants: Vec::new(),
            capabilities: Vec::new(),
            clock: Clock::default(),
        }
    }
}
