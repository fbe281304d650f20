//! The tables, and how those of older versions become these.

use std::path::Path;

use nephrite_jobs::JobError;
use rusqlite::{Connection, TransactionBehavior};

use crate::failed::failed;

/// One after another; the number of the last one that ran stands in `user_version`. One that was published never changes.
const MIGRATIONS: &[&str] = &[
    // 1: jobs as JSON, with what is looked for beside it; events of their work.
    "CREATE TABLE jobs (
        id TEXT PRIMARY KEY NOT NULL,
        number INTEGER NOT NULL UNIQUE,
        state TEXT NOT NULL,
        tenant TEXT NOT NULL,
        output TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX writers ON jobs(output) WHERE state IN ('queued', 'running');
    CREATE TABLE events (
        job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
        sequence INTEGER NOT NULL,
        unix_ms INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (job, sequence)
    ) STRICT, WITHOUT ROWID;",
];

/// Brings the tables to what this version needs.
///
/// # Errors
/// [`JobError::NewerSchema`]; what SQLite says.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), JobError> {
    migrate_to(connection, path, MIGRATIONS)
}

fn migrate_to(connection: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), JobError> {
    let failed = |error| failed(path, error);
    let known: i64 = migrations.len().try_into().unwrap_or(i64::MAX);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed)?;
    let found: i64 = transaction
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    if found > known {
        return Err(JobError::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (number, migration) in (1_i64..).zip(migrations) {
        if number > found {
            tracing::info!(path = %path.display(), number, "the tables of jobs are brought to this version");
            transaction.execute_batch(migration).map_err(failed)?;
            transaction
                .pragma_update(None, "user_version", number)
                .map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_run_once_in_order_and_as_a_whole() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.sqlite");
        let mut connection = Connection::open(&path).unwrap();
        let version = |connection: &Connection| -> i64 {
            connection
                .pragma_query_value(None, "user_version", |row| row.get(0))
                .unwrap()
        };
        let steps = ["CREATE TABLE a (x INTEGER)", "INSERT INTO a VALUES (7)"];
        migrate_to(&mut connection, &path, &steps[..1]).unwrap();
        assert_eq!(version(&connection), 1);
        for _ in 0..2 {
            migrate_to(&mut connection, &path, &steps).unwrap();
            let rows: i64 = connection
                .query_row("SELECT count(*) FROM a", (), |row| row.get(0))
                .unwrap();
            assert_eq!((version(&connection), rows), (2, 1));
        }
        let broken = [
            steps[0],
            steps[1],
            "INSERT INTO a VALUES (8)",
            "INSERT INTO nowhere VALUES (1)",
        ];
        migrate_to(&mut connection, &path, &broken).unwrap_err();
        assert_eq!(version(&connection), 2, "nothing of it, not the third either");
        let newer = migrate_to(&mut connection, &path, &steps[..1]).unwrap_err();
        assert!(
            matches!(
                newer,
                JobError::NewerSchema {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{newer}"
        );
    }
}
