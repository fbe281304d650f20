//! What streams, subjects and keys are called.

use nephrite_jobs::{Job, JobId, NewJob, Priority};
use sha2::{Digest as _, Sha256};

/// Jobs of equal needs and priority are dealt into so many consumers, by their scan; those that nobody uses do not exist. A consumer
/// gives its jobs in their order, so two scans in one get into each other's way: the process that holds one is given the other.
const PARTITIONS: u32 = 256;

/// What streams, subjects and keys are called.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    name: String,
}

/// The consumer that hands out jobs of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    priority: Priority,
    class: String,
    partition: u32,
}

impl Names {
    pub(crate) fn new(name: &str) -> Names {
        Names {
            name: name.to_owned(),
        }
    }

    /// The work queue.
    pub(crate) fn queue(&self) -> String {
        format!("{}_JOBS", self.name.to_uppercase())
    }

    /// What workers told.
    pub(crate) fn events(&self) -> String {
        format!("{}_EVENTS", self.name.to_uppercase())
    }

    /// Jobs that were tried too often.
    pub(crate) fn dead(&self) -> String {
        format!("{}_DEAD", self.name.to_uppercase())
    }

    /// The stream of the bucket of records.
    pub(crate) fn records(&self) -> String {
        format!("KV_{}_jobs", self.name)
    }

    /// The stream of the bucket of workers.
    pub(crate) fn workers(&self) -> String {
        format!("KV_{}_workers", self.name)
    }

    pub(crate) fn all_messages(&self) -> String {
        format!("{}.q.>", self.name)
    }

    pub(crate) fn all_events(&self) -> String {
        format!("{}.e.*", self.name)
    }

    pub(crate) fn all_dead(&self) -> String {
        format!("{}.dead.*", self.name)
    }

    pub(crate) fn all_records(&self) -> String {
        format!("$KV.{}_jobs.>", self.name)
    }

    pub(crate) fn all_workers(&self) -> String {
        format!("$KV.{}_workers.>", self.name)
    }

    /// Records of jobs, and no other keys of that bucket.
    pub(crate) fn all_job_records(&self) -> String {
        format!("$KV.{}_jobs.job.*", self.name)
    }

    pub(crate) fn message(&self, job: &Job) -> String {
        let Lane {
            priority,
            class,
            partition,
        } = Lane::of(&job.new);
        format!("{}.q.{priority}.{class}.{partition}.{}", self.name, job.id)
    }

    /// All messages of a lane.
    pub(crate) fn lane(&self, lane: &Lane) -> String {
        let Lane {
            priority,
            class,
            partition,
        } = lane;
        format!("{}.q.{priority}.{class}.{partition}.*", self.name)
    }

    pub(crate) fn events_of(&self, id: &JobId) -> String {
        format!("{}.e.{id}", self.name)
    }

    pub(crate) fn dead_of(&self, id: &JobId) -> String {
        format!("{}.dead.{id}", self.name)
    }

    pub(crate) fn record(&self, id: &JobId) -> String {
        format!("$KV.{}_jobs.job.{id}", self.name)
    }

    /// The key of a result folder.
    pub(crate) fn claim(&self, output: &str) -> String {
        format!("$KV.{}_jobs.out.{}", self.name, hex(output))
    }

    /// How many processes there have been.
    pub(crate) fn count(&self) -> String {
        format!("$KV.{}_jobs.processes", self.name)
    }

    pub(crate) fn worker(&self, name: &str) -> String {
        format!("$KV.{}_workers.worker.{}", self.name, hex(name))
    }
}

impl Lane {
    pub(crate) fn of(new: &NewJob) -> Lane {
        let partition = new.scan.as_ref().map_or(0, |scan| {
            let digest = Sha256::digest(scan);
            u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) % PARTITIONS
        });
        Lane {
            priority: new.priority,
            class: new.needs.class(),
            partition,
        }
    }

    /// What the consumer is called.
    pub(crate) fn consumer(&self) -> String {
        format!("{}_{}_{}", self.priority, self.class, self.partition)
    }
}

/// The job that a subject ends with.
pub(crate) fn job_of(subject: &str) -> Option<JobId> {
    let (_, last) = subject.rsplit_once('.')?;
    JobId::parse(last).ok()
}

fn hex(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use nephrite_jobs::conformance::new_job;

    use super::*;

    #[test]
    fn subjects_lead_to_their_lane_and_back_to_their_job() {
        let names = Names::new("n");
        let new = NewJob {
            priority: Priority::High,
            output: "results/a b".into(),
            scan: Some("scan".into()),
            ..new_job("a b.c *>")
        };
        let job = Job::queued(new, 1, 0);
        let subject = names.message(&job);
        let lane = names.lane(&Lane::of(&job.new));
        assert!(
            subject.starts_with(lane.trim_end_matches('*')),
            "{subject} {lane}"
        );
        assert_eq!(job_of(&subject), Some(job.id.clone()));
        assert_eq!(job_of(&names.record(&job.id)), Some(job.id.clone()));
        assert_eq!(job_of("n.q.x"), None);
        assert!(
            names
                .claim(&job.new.output)
                .bytes()
                .all(|byte| byte.is_ascii_graphic())
        );
    }
}
