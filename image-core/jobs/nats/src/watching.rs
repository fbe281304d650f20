//! What happened to a job, as watchers get it.

use std::time::{Duration, Instant};

use nephrite_jobs::{EventBody, Happened, Job, JobError, JobId, Watched};

use crate::call::Caller;
use crate::core::Core;

/// Events of one answer.
const MAX_EVENTS: usize = 256;
/// Events come so much later than the record that has their numbers, at most; those that do not come are lost.
const LATE: Duration = Duration::from_secs(1);
/// How soon it is looked again for events that are late.
const LOOK: Duration = Duration::from_millis(30);

/// # Errors
/// As `JobEngine::watch`.
pub(crate) fn watch(
    caller: &Caller,
    core: &Core,
    id: &JobId,
    after: u64,
    patience: Duration,
) -> Result<Watched, JobError> {
    let until = Instant::now() + patience;
    loop {
        let seen = core
            .picture()
            .get(id)
            .map(|(job, known)| (job.clone(), known.revision, known.since));
        let (job, revision, since) = match seen {
            Some(seen) => seen,
            None => {
                let (job, revision) = caller.block(&core.link, core.read(id))?;
                let mut picture = core.picture();
                picture.put(job.clone(), revision);
                (job, revision, Instant::now())
            }
        };
        let told = match may_be_told(&job, after) {
            true => caller.block(&core.link, core.events.after(id, after, MAX_EVENTS))?,
            false => Vec::new(),
        };
        let may_be_late = since.elapsed() < LATE;
        let (events, is_late) = merged(&job, after, told, may_be_late);
        let left = until.saturating_duration_since(Instant::now());
        let is_all = job.state.has_ended() && !is_late;
        if !events.is_empty() || left.is_zero() || is_all {
            return Ok(Watched { events, job });
        }
        let until = Instant::now() + if is_late { left.min(LOOK) } else { left };
        let mut picture = core.picture();
        while picture
            .get(id)
            .is_some_and(|(_, known)| known.revision == revision)
            && Instant::now() < until
        {
            picture = core.wait(picture, until.saturating_duration_since(Instant::now()));
        }
    }
}

/// Whether there are numbers that are not of changes of state.
fn may_be_told(job: &Job, after: u64) -> bool {
    let states = job.log.iter().filter(|entry| entry.sequence > after).count() as u64;
    job.last_sequence.saturating_sub(after) > states
}

/// Changes of state and what was told, the oldest first; and whether something before the next one is still to come.
fn merged(job: &Job, after: u64, told: Vec<Happened>, may_be_late: bool) -> (Vec<Happened>, bool) {
    let last_told = told.last().map_or(after, |event| event.sequence);
    let is_page = told.len() >= MAX_EVENTS;
    let mut events = told;
    let mut next = last_told.saturating_add(1);
    let mut is_late = false;
    for entry in job.log.iter().filter(|entry| entry.sequence > after) {
        if entry.sequence > last_told {
            // Those of a later page follow what is told of in this one.
            if is_page {
                break;
            }
            if entry.sequence != next && may_be_late {
                is_late = true;
                break;
            }
            next = entry.sequence + 1;
        }
        events.push(Happened {
            sequence: entry.sequence,
            unix_ms: entry.unix_ms,
            body: EventBody::State(entry.clone()),
        });
    }
    let is_behind = !is_page && may_be_late && next <= job.last_sequence;
    events.sort_by_key(|event| event.sequence);
    (events, is_late || is_behind)
}
