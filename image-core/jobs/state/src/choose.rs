//! Which job a worker takes next.

use crate::job::Job;
use crate::needs::WorkerCard;
use crate::priority::Priority;

/// Of so many jobs that a worker takes, one is of a lower priority that waits, low and normal in turn: nobody waits for ever.
pub const TURNS: u64 = 8;

/// What a worker that looks for a job knows.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// Who looks.
    pub worker: &'a WorkerCard,
    /// How many jobs it has taken so far.
    pub turn: u64,
    /// The process that lives and holds these scans in memory.
    pub holder: &'a dyn Fn(&str) -> Option<&'a str>,
    /// Whether a job has waited so long that anyone takes it, whoever holds its scan.
    pub has_waited: &'a dyn Fn(&Job) -> bool,
    /// Whether there is room for it now.
    pub fits: &'a dyn Fn(&Job) -> bool,
}

/// The job that the worker takes; `queued` gives those of a priority, the oldest first.
///
/// The highest priority first, and of that the oldest; every [`TURNS`]th time a lower one, low and normal in turn. A job whose
/// scan another process holds is left to that one, until it has waited too long.
pub fn choose<'a, I>(queued: impl Fn(Priority) -> I, choice: Choice<'_>) -> Option<&'a Job>
where
    I: Iterator<Item = &'a Job>,
{
    let is_for_us = |job: &&Job| {
        let held_elsewhere = || {
            let scan = job.new.scan.as_deref();
            let holder = scan.and_then(|scan| (choice.holder)(scan));
            holder.is_some_and(|holder| holder != choice.worker.process)
        };
        choice.worker.misfit(&job.new.needs).is_none()
            && (!held_elsewhere() || (choice.has_waited)(job))
            && (choice.fits)(job)
    };
    let order = match (choice.turn % TURNS == TURNS - 1, choice.turn / TURNS % 2) {
        (false, _) => Priority::ALL,
        (true, 0) => [Priority::Low, Priority::Normal, Priority::High],
        (true, _) => [Priority::Normal, Priority::Low, Priority::High],
    };
    order
        .into_iter()
        .find_map(|priority| queued(priority).find(is_for_us))
}
