//! How long jobs that have ended are kept.

use crate::id::JobId;
use crate::job::Job;

/// How long jobs that have ended are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Milliseconds after their end.
    pub keep_ms: u64,
    /// So many at most; the oldest go first.
    pub max_ended: usize,
}

/// Jobs that are kept no longer; those that have not ended always are.
pub fn outlived<'a>(
    jobs: impl Iterator<Item = &'a Job>,
    retention: Retention,
    now_unix_ms: u64,
) -> Vec<JobId> {
    let mut ended: Vec<(u64, &JobId)> = jobs
        .filter(|job| job.state.has_ended())
        .map(|job| (job.ended_unix_ms.unwrap_or(0), &job.id))
        .collect();
    ended.sort_unstable_by(|a, b| b.cmp(a)); // the youngest first
    let is_old = |ended: u64| now_unix_ms.saturating_sub(ended) > retention.keep_ms;
    ended
        .into_iter()
        .enumerate()
        .filter(|(i, (at, _))| *i >= retention.max_ended || is_old(*at))
        .map(|(_, (_, id))| id.clone())
        .collect()
}
