//! Rows of the two tables.

use std::path::{Path, PathBuf};

use nephrite_jobs::{Job, JobError, JobId};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use crate::failed::failed;
use crate::schema;

/// What the folder holds.
pub(crate) const FILE: &str = "jobs.sqlite";

/// The file. What has been answered is on disk.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Connection,
    path: PathBuf,
}

/// An event as it is kept: its number, when, and what.
pub(crate) type EventRow = (u64, u64, Vec<u8>);

impl Store {
    pub(crate) fn open(folder: &Path) -> Result<Store, JobError> {
        let path = folder.join(FILE);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection =
            Connection::open_with_flags(&path, flags).map_err(|error| failed(&path, error))?;
        let settings = [
            ("journal_mode", "WAL"),
            ("synchronous", "FULL"),
            ("foreign_keys", "ON"),
            ("trusted_schema", "OFF"),
        ];
        for (key, value) in settings {
            connection
                .pragma_update(None, key, value)
                .map_err(|error| failed(&path, error))?;
        }
        schema::migrate(&mut connection, &path)?;
        Ok(Store { connection, path })
    }

    /// All jobs.
    pub(crate) fn jobs(&self) -> Result<Vec<Job>, JobError> {
        let failed = |error| failed(&self.path, error);
        let mut statement = self
            .connection
            .prepare("SELECT id, body FROM jobs")
            .map_err(failed)?;
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)));
        let rows: Vec<(String, String)> = rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
        let parse = |(id, body): (String, String)| {
            let corrupt = |reason: String| JobError::Corrupt {
                what: format!("{}: job {id}", self.path.display()),
                reason,
            };
            let job: Job = serde_json::from_str(&body).map_err(|error| corrupt(error.to_string()))?;
            if job.id.as_str() == id {
                Ok(job)
            } else {
                Err(corrupt(format!("it says that it is job {}", job.id)))
            }
        };
        rows.into_iter().map(parse).collect()
    }

    /// Writes jobs and the events of the first one, all or nothing. Of that job's events the last `max_events` stay.
    pub(crate) fn write(
        &mut self,
        jobs: &[&Job],
        events: &[EventRow],
        max_events: usize,
    ) -> Result<(), JobError> {
        let path = &self.path;
        let failed = |error| failed(path, error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        {
            let mut put = transaction
                .prepare_cached(
                    "INSERT INTO jobs (id, number, state, tenant, output, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (id) DO UPDATE SET state = ?3, body = ?6",
                )
                .map_err(failed)?;
            for job in jobs {
                let body = serde_json::to_string(job).expect("a job has string keys only");
                let values = params![
                    job.id.as_str(),
                    number(job.number),
                    job.state.name(),
                    job.new.tenant,
                    job.new.output,
                    body
                ];
                put.execute(values).map_err(failed)?;
            }
            if let (Some(job), Some((last, ..))) = (jobs.first(), events.last()) {
                let mut put = transaction
                    .prepare_cached(
                        "INSERT INTO events (job, sequence, unix_ms, body) VALUES (?1, ?2, ?3, ?4)",
                    )
                    .map_err(failed)?;
                for (sequence, unix_ms, body) in events {
                    let values = params![job.id.as_str(), number(*sequence), number(*unix_ms), body];
                    put.execute(values).map_err(failed)?;
                }
                let oldest = last.saturating_sub(max_events as u64);
                transaction
                    .prepare_cached("DELETE FROM events WHERE job = ?1 AND sequence <= ?2")
                    .and_then(|mut drop| drop.execute(params![job.id.as_str(), number(oldest)]))
                    .map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)
    }

    /// Forgets jobs and their events, all or nothing.
    pub(crate) fn forget(&mut self, ids: &[JobId]) -> Result<(), JobError> {
        let path = &self.path;
        let failed = |error| failed(path, error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        for id in ids {
            transaction
                .prepare_cached("DELETE FROM jobs WHERE id = ?1")
                .and_then(|mut drop| drop.execute([id.as_str()]))
                .map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    /// Events of a job after a number, the oldest first, so many at most.
    pub(crate) fn events(&self, id: &JobId, after: u64, limit: usize) -> Result<Vec<EventRow>, JobError> {
        let failed = |error| failed(&self.path, error);
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT sequence, unix_ms, body FROM events WHERE job = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3",
            )
            .map_err(failed)?;
        let rows = statement.query_map(params![id.as_str(), number(after), limit as i64], |row| {
            let (sequence, unix_ms): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok((sequence.unsigned_abs(), unix_ms.unsigned_abs(), row.get(2)?))
        });
        rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
    }

    /// Whether it can be read.
    pub(crate) fn check(&self) -> Result<(), JobError> {
        let version: Result<i64, _> = self
            .connection
            .pragma_query_value(None, "user_version", |row| row.get(0));
        version.map(drop).map_err(|error| failed(&self.path, error))
    }
}

/// SQLite's integers have a sign; what is larger than they can be comes after all others.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
