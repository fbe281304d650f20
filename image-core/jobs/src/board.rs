//! All jobs in memory: what an engine answers lists from, and chooses by.

use std::collections::{BTreeMap, HashMap};

use nephrite_job_state::{Choice, Job, JobId, JobState, ListFault, Page, Priority, Query, choose};

/// All jobs of an engine, in memory. The engine puts in what it has written, or what it was told.
#[derive(Debug, Default)]
pub struct Board {
    jobs: HashMap<JobId, Job>,
    by_number: BTreeMap<u64, JobId>,
    queued: BTreeMap<(Priority, u64), JobId>,
    /// Of jobs that have not ended.
    outputs: HashMap<String, JobId>,
    /// The process that had a scan last, and the job that says so.
    holders: HashMap<String, (u64, String)>,
}

impl Board {
    /// Takes a job as it is now.
    pub fn put(&mut self, job: Job) {
        let queue_key = (job.new.priority, job.number);
        match job.state {
            JobState::Queued => {
                self.queued.insert(queue_key, job.id.clone());
            }
            _ => {
                self.queued.remove(&queue_key);
            }
        }
        if job.state.has_ended() {
            self.free_output(&job);
        } else {
            self.outputs.insert(job.new.output.clone(), job.id.clone());
        }
        if let (Some(scan), Some(process)) = (&job.new.scan, &job.process)
            && matches!(job.state, JobState::Running | JobState::Succeeded)
        {
            let since = job.started_unix_ms.unwrap_or(0);
            let holder = self
                .holders
                .entry(scan.clone())
                .or_insert_with(|| (since, process.clone()));
            if since >= holder.0 {
                *holder = (since, process.clone());
            }
        }
        self.by_number.insert(job.number, job.id.clone());
        self.jobs.insert(job.id.clone(), job);
    }

    /// Forgets a job.
    pub fn remove(&mut self, id: &JobId) -> Option<Job> {
        let job = self.jobs.remove(id)?;
        self.by_number.remove(&job.number);
        self.queued.remove(&(job.new.priority, job.number));
        self.free_output(&job);
        if let Some(scan) = &job.new.scan
            && self.holders.get(scan).map(|holder| holder.0) == job.started_unix_ms
        {
            self.holders.remove(scan);
        }
        Some(job)
    }

    fn free_output(&mut self, job: &Job) {
        if self.outputs.get(&job.new.output) == Some(&job.id) {
            self.outputs.remove(&job.new.output);
        }
    }

    /// A job.
    pub fn get(&self, id: &JobId) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// All of them, in no order.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// How many wait.
    pub fn n_queued(&self) -> usize {
        self.queued.len()
    }

    /// Those of a priority that wait, the oldest first.
    pub fn queued(&self, priority: Priority) -> impl Iterator<Item = &Job> {
        let of = (priority, 0)..=(priority, u64::MAX);
        self.queued.range(of).filter_map(|(_, id)| self.jobs.get(id))
    }

    /// The job that has not ended and will write this result folder.
    pub fn writes(&self, output: &str) -> Option<&JobId> {
        self.outputs.get(output)
    }

    /// The process that had a scan last.
    pub fn holder(&self, scan: &str) -> Option<&str> {
        self.holders.get(scan).map(|(_, process)| process.as_str())
    }

    /// The job that a worker takes next.
    pub fn choose(&self, choice: Choice<'_>) -> Option<&Job> {
        choose(|priority| self.queued(priority), choice)
    }

    /// Places in the queue, 1 is the next; `None` of jobs that do not wait.
    pub fn places(&self, ids: &[JobId]) -> Vec<Option<u64>> {
        let mut places: HashMap<&JobId, u64> = HashMap::new();
        let waits = |id: &JobId| self.jobs.get(id).is_some_and(|job| job.state == JobState::Queued);
        if ids.iter().any(waits) {
            places.extend((1..).zip(self.queued.values()).map(|(place, id)| (id, place)));
        }
        ids.iter().map(|id| places.get(id).copied()).collect()
    }

    /// A page of a list.
    ///
    /// # Errors
    /// [`ListFault`]
    pub fn page(&self, query: &Query) -> Result<Page, ListFault> {
        let below = query.below()?.unwrap_or(u64::MAX);
        let youngest_first = self.by_number.range(..below).rev();
        Ok(query.page(youngest_first.filter_map(|(_, id)| self.jobs.get(id))))
    }

    /// A number that is larger than all others.
    pub fn next_number(&self, now_unix_us: u64) -> u64 {
        let last = self.by_number.last_key_value().map_or(0, |(number, _)| *number);
        now_unix_us.max(last + 1)
    }
}
