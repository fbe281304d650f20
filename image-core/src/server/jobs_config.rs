//! The keys `[jobs]` and `[worker]` of a server's configuration.

use std::path::Path;

use nephrite_jobs::{JobSettings, Pace, Retention};
use nephrite_jobs_nats::NatsSettings;
use nephrite_server::settings::MAX_SECONDS;
use nephrite_settings::Section;
use nephrite_settings::kind::{Kind, choice, list, number, path, seconds, text, whole};

use crate::jobs::{EngineChoice, JobsConfig, WorkerConfig};

const DAY_MS: f64 = 24.0 * 3600.0 * 1000.0;
/// A hundred years.
const MAX_DAYS: f64 = 36_500.0;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Engine {
    Sqlite,
    Nats,
}

/// `[jobs]`; `None` if it is not there.
pub(super) fn read_jobs(top: &mut Section<'_>, folder: &Path) -> Option<JobsConfig> {
    let help =
        "cases that are handed in and forgotten: what keeps them, and how; without it there is no JobService";
    top.optional_table(
        "jobs",
        "{ state = \"/var/lib/nephrite\" }",
        "no jobs",
        help,
        |section| read_table(section, folder),
    )
    .flatten()
}

fn read_table(section: &mut Section<'_>, folder: &Path) -> JobsConfig {
    let default = JobSettings::default();
    let engine = section.get(
        "engine",
        choice(&[("sqlite", Engine::Sqlite), ("nats", Engine::Nats)]),
        Engine::Sqlite,
        "sqlite keeps jobs for this server alone, on its own disk; nats for many servers and workers",
    );
    let state = section.option(
        "state",
        path("a folder"),
        "the folder state beside the file",
        "of sqlite: folder for the jobs, on a local disk; made if it is not there; relative to the file",
    );
    let workers = section.get(
        "workers",
        whole(0..=64),
        1,
        "jobs that this process does at once; 0 leaves all of them to `nephrite worker`",
    );
    let lease = section.get(
        "lease_seconds",
        seconds(1.0..=3600.0),
        default.lease,
        "a worker that was not heard of for so long has lost its job",
    );
    let stall = section.get(
        "stall_timeout_seconds",
        seconds(1.0..=MAX_SECONDS),
        Pace::default().stall,
        "work that does not go on for so long hangs; longer than the slowest operation and the slowest first tile",
    );
    let nats = read_nats(section, folder);
    JobsConfig {
        engine: match engine {
            Engine::Sqlite => EngineChoice::Sqlite {
                state: folder.join(state.unwrap_or_else(|| "state".into())),
            },
            Engine::Nats => EngineChoice::Nats(nats),
        },
        workers,
        pace: Pace {
            least: Pace::default().least.min(stall),
            stall,
        },
        settings: JobSettings {
            lease,
            max_attempts: section.get(
                "max_attempts",
                whole(1..=100),
                default.max_attempts,
                "how often a job is tried, if it does not say",
            ),
            max_queued: section.get(
                "max_queued",
                whole(1..=1_000_000),
                default.max_queued,
                "jobs that may wait; one more is RESOURCE_EXHAUSTED",
            ),
            affinity: section.get(
                "affinity_seconds",
                seconds(0.0..=MAX_SECONDS),
                default.affinity,
                "how long a job is left to the process that holds its scan in memory",
            ),
            retention: read_retention(section, default.retention),
            tenants: section
                .option(
                    "tenants",
                    names("[\"urology\", \"surgery\"]"),
                    "anyone",
                    "whose jobs are taken",
                )
                .unwrap_or_default(),
            capabilities: section
                .option(
                    "capabilities",
                    names("[\"cuda\", \"large\"]"),
                    "none",
                    "what jobs may ask of a worker, besides this server's provider, and its precision if that was set to another one than the provider takes by itself",
                )
                .unwrap_or_default(),
            ..default
        },
    }
}

fn read_retention(section: &mut Section<'_>, default: Retention) -> Retention {
    let days = section.get(
        "keep_days",
        number(0.0..=MAX_DAYS),
        default.keep_ms as f64 / DAY_MS,
        "how long jobs that have ended are kept; their result folders stay",
    );
    Retention {
        keep_ms: (days * DAY_MS) as u64,
        max_ended: section.get(
            "max_ended",
            whole(0..=1_000_000),
            default.max_ended,
            "jobs that have ended and are kept at most; the oldest go first",
        ),
    }
}

fn read_nats(section: &mut Section<'_>, folder: &Path) -> NatsSettings {
    let help = "of nats: where it is, and how to get in";
    let example = "{ url = \"nats://nats:4222\" }";
    section
        .optional_table("nats", example, "nats://127.0.0.1:4222", help, |section| {
            read_nats_table(section, folder)
        })
        .flatten()
        .unwrap_or_default()
}

fn read_nats_table(section: &mut Section<'_>, folder: &Path) -> NatsSettings {
    let default = NatsSettings::default();
    let not_empty = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    NatsSettings {
        url: section
            .option(
                "url",
                text("nats://host:port, several with commas between them", not_empty),
                "nats://127.0.0.1:4222",
                "user and password, or a token, may stand before the host",
            )
            .unwrap_or(default.url),
        credentials: section
            .option(
                "credentials",
                path("a file"),
                "none",
                "file of credentials as nsc makes it; relative to the file",
            )
            .map(|file| folder.join(file)),
        name: section
            .option(
                "name",
                text("1 to 32 of a to z, 0 to 9, - and _", not_empty),
                "nephrite",
                "what names of streams begin with; servers with the same one share their jobs",
            )
            .unwrap_or(default.name),
        replicas: section.get(
            "replicas",
            whole(1..=3),
            default.replicas,
            "copies of everything, each on another NATS server: 1 or 3",
        ),
        ca_file: section
            .option(
                "ca_file",
                path("a file"),
                "those of the machine",
                "certificates that sign the server's; relative to the file",
            )
            .map(|file| folder.join(file)),
        connect_timeout: section.get(
            "connect_timeout_seconds",
            seconds(0.1..=MAX_SECONDS),
            default.connect_timeout,
            "how long a server that starts waits for NATS",
        ),
    }
}

/// `[worker]`
pub(super) fn read_worker(top: &mut Section<'_>) -> WorkerConfig {
    top.table("worker", "what the workers of this process have", |section| {
        WorkerConfig {
            name: section.option(
                "name",
                text("1 to 64 characters", |name: &str| {
                    (1..=64).contains(&name.len()).then(|| name.to_owned())
                }),
                "that of the machine",
                "what workers are called, in front of a number; unique on all machines",
            ),
            capabilities: section
                .option(
                    "capabilities",
                    names("[\"large\"]"),
                    "none",
                    "what jobs may ask for, besides the provider, and the precision if that was set to another one than the provider takes by itself",
                )
                .unwrap_or_default(),
            models: section
                .option(
                    "models",
                    list(path(""), 0, "a list of folders beneath the root"),
                    "all",
                    "jobs with models elsewhere are left to others",
                )
                .unwrap_or_default(),
        }
    })
}

/// Short names.
fn names(example: &str) -> Kind<Vec<String>> {
    let name = text("a name", |name: &str| {
        (!name.is_empty() && name.len() <= 64).then(|| name.to_owned())
    });
    list(name, 0, format!("a list of names such as {example}"))
}

#[cfg(test)]
mod tests {
    use nephrite_settings::parse;
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<(Option<JobsConfig>, WorkerConfig), Vec<nephrite_settings::Fault>> {
        parse(text.as_bytes(), |top| {
            (read_jobs(top, Path::new("/etc/nephrite")), read_worker(top))
        })
    }

    #[test]
    fn without_the_table_there_are_no_jobs_and_an_empty_one_is_enough() {
        assert_eq!(read("").unwrap(), (None, WorkerConfig::default()));
        let (jobs, _) = read("[jobs]").unwrap();
        assert_eq!(jobs, Some(JobsConfig::sqlite("/etc/nephrite/state".into())));
    }

    #[test]
    fn every_key_is_taken() {
        let (jobs, worker) = read(
            "[jobs]\nengine = 'nats'\nworkers = 2\nlease_seconds = 5\nstall_timeout_seconds = 30\nmax_attempts = 7\n\
             max_queued = 8\naffinity_seconds = 9\nkeep_days = 1.5\nmax_ended = 10\ntenants = ['a']\n\
             capabilities = ['large']\n[jobs.nats]\nurl = 'tls://u:p@nats:4222'\ncredentials = 'x.creds'\nname = 'n'\n\
             replicas = 3\nca_file = '/ca.pem'\nconnect_timeout_seconds = 2\n\
             [worker]\nname = 'w'\ncapabilities = ['large']\nmodels = ['models/kidney']",
        )
        .unwrap();
        let jobs = jobs.unwrap();
        let EngineChoice::Nats(nats) = &jobs.engine else {
            panic!("{jobs:?}")
        };
        let expected = NatsSettings {
            url: "tls://u:p@nats:4222".into(),
            credentials: Some("/etc/nephrite/x.creds".into()),
            name: "n".into(),
            replicas: 3,
            ca_file: Some("/ca.pem".into()),
            connect_timeout: Duration::from_secs(2),
        };
        assert_eq!(*nats, expected);
        assert_eq!((jobs.workers, jobs.settings.lease), (2, Duration::from_secs(5)));
        assert_eq!(jobs.pace.stall, Duration::from_secs(30));
        assert_eq!(
            jobs.pace.least,
            Duration::from_secs(30),
            "never longer than the stall"
        );
        assert_eq!((jobs.settings.max_attempts, jobs.settings.max_queued), (7, 8));
        assert_eq!(jobs.settings.affinity, Duration::from_secs(9));
        let retention = Retention {
            keep_ms: 36 * 3600 * 1000,
            max_ended: 10,
        };
        assert_eq!(jobs.settings.retention, retention);
        assert_eq!(jobs.settings.tenants, ["a"]);
        assert_eq!(jobs.settings.capabilities, ["large"]);
        let expected = WorkerConfig {
            name: Some("w".into()),
            capabilities: vec!["large".into()],
            models: vec!["models/kidney".into()],
        };
        assert_eq!(worker, expected);
    }

    #[test]
    fn faults_name_their_keys() {
        let faults = read(
            "[jobs]\nengine = 'redis'\nlease_seconds = 0\nworkers = 65\nmax_attempts = 0\nstatus = 'x'\n\
             [jobs.nats]\nreplicas = 5\nurl = ''\n[worker]\nname = ''",
        )
        .unwrap_err();
        let mut keys: Vec<&str> = faults.iter().map(|fault| fault.kind.key()).collect();
        keys.sort_unstable();
        let expected = [
            "jobs.engine",
            "jobs.lease_seconds",
            "jobs.max_attempts",
            "jobs.nats.replicas",
            "jobs.nats.url",
            "jobs.status",
            "jobs.workers",
            "worker.name",
        ];
        assert_eq!(keys, expected);
    }
}
