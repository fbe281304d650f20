//! What can be wrong before the first job.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::rig::{directly, drain, lease, nats, open, open_with, submit};
use crate::server::Server;
use async_nats::jetstream::stream::{Config, RetentionPolicy, StorageType};
use nephrite_jobs::conformance::{new_job, settings, worker};
use nephrite_jobs::{JobEngine as _, JobError};
use nephrite_jobs_nats::{NatsEngine, NatsSettings};

#[test]
fn a_server_that_is_not_there_is_said_so_in_time() {
    let began = Instant::now();
    let url = format!("nats://me:secret@127.0.0.1:{}", crate::server::free_port());
    let nats = NatsSettings {
        connect_timeout: Duration::from_secs(2),
        ..nats(&url)
    };
    let error = NatsEngine::open(settings(), nats).unwrap_err();
    assert!(matches!(error, JobError::Unavailable { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_server_that_comes_later_is_waited_for() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let mut server = Server::start(&program, "");
    server.kill();
    let url = server.url();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| open(&url));
        std::thread::sleep(Duration::from_secs(1));
        server.restart();
        opening.join().unwrap().check().unwrap();
    });
}

#[test]
fn wrong_credentials_are_not_let_in() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "authorization { user: me, password: \"p@ss:word\" }");
    let at = |user: &str| nats(&format!("nats://{user}127.0.0.1:{}", server.port));
    for user in ["", "me:wrong@", "you:p%40ss%3Aword@", "token@"] {
        let began = Instant::now();
        let error = NatsEngine::open(settings(), at(user)).unwrap_err();
        assert!(matches!(error, JobError::NotAllowed { .. }), "{user}: {error}");
        assert!(!error.to_string().contains("ss:word"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    let engine = NatsEngine::open(settings(), at("me:p%40ss%3Aword@")).unwrap();
    engine.check().unwrap();

    let server = Server::start(&program, "authorization { token: t0k }");
    let engine =
        NatsEngine::open(settings(), nats(&format!("nats://t0k@127.0.0.1:{}", server.port))).unwrap();
    engine.check().unwrap();

    let missing = NatsSettings {
        credentials: Some("/nowhere/file.creds".into()),
        ..nats(&server.url())
    };
    let error = NatsEngine::open(settings(), missing).unwrap_err();
    assert!(error.to_string().contains("/nowhere/file.creds"), "{error}");
}

/// Certificates of an authority of our own, by openssl; `None` where that is not there.
fn certificates(folder: &Path) -> Option<()> {
    let openssl = |arguments: &str| {
        let ran = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .output();
        ran.is_ok_and(|ran| ran.status.success()).then_some(())
    };
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").ok()?;
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"
    ))?;
    openssl(&format!(
        "req {key} -keyout key.pem -out server.csr -subj /CN=server"
    ))?;
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -out cert.pem -days 2 -CAcreateserial -extfile names",
    )
}

#[test]
fn tls_needs_a_certificate_that_is_known() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    if certificates(folder.path()).is_none() {
        println!("left out: no openssl");
        return;
    }
    let file = |name: &str| folder.path().join(name);
    let more = format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}",
        file("cert.pem"),
        file("key.pem")
    );
    let server = Server::start(&program, &more);
    let at = |scheme: &str, ca_file| NatsSettings {
        ca_file,
        connect_timeout: Duration::from_secs(2),
        ..nats(&format!("{scheme}://127.0.0.1:{}", server.port))
    };
    for scheme in ["tls", "nats"] {
        let engine = NatsEngine::open(settings(), at(scheme, Some(file("ca.pem")))).unwrap();
        submit(&engine, scheme);
        let error = NatsEngine::open(settings(), at(scheme, None)).unwrap_err();
        assert!(
            error.to_string().to_lowercase().contains("certificate"),
            "{error}"
        );
    }
    let error = NatsEngine::open(settings(), at("tls", Some(file("nowhere.pem")))).unwrap_err();
    assert!(error.to_string().contains("nowhere.pem"), "{error}");
    let plain = Server::start(&program, "");
    let at_plain = NatsSettings {
        connect_timeout: Duration::from_secs(2),
        ..nats(&format!("tls://127.0.0.1:{}", plain.port))
    };
    let error = NatsEngine::open(settings(), at_plain).unwrap_err();
    assert!(matches!(error, JobError::Unavailable { .. }), "{error}");
}

#[test]
fn streams_of_others_are_left_alone() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let others: [(&str, Config); 4] = [
        (
            "NEPHRITE_JOBS",
            Config {
                subjects: vec!["nephrite.q.>".into()],
                retention: RetentionPolicy::Limits,
                ..Config::default()
            },
        ),
        (
            "NEPHRITE_EVENTS",
            Config {
                subjects: vec!["somebody.else".into()],
                ..Config::default()
            },
        ),
        (
            "KV_nephrite_jobs",
            Config {
                subjects: vec!["$KV.nephrite_jobs.>".into()],
                storage: StorageType::Memory,
                max_messages_per_subject: 1,
                ..Config::default()
            },
        ),
        (
            "ANOTHER",
            Config {
                subjects: vec!["nephrite.q.>".into()],
                ..Config::default()
            },
        ),
    ];
    for (name, config) in others {
        let server = Server::start(&program, "");
        let config = Config {
            name: name.to_owned(),
            num_replicas: 1,
            ..config
        };
        let before = directly(&server.url(), async |context| {
            context
                .create_stream(config)
                .await
                .unwrap()
                .cached_info()
                .config
                .clone()
        });
        let error = NatsEngine::open(settings(), nats(&server.url())).unwrap_err();
        assert!(
            matches!(error, JobError::OtherConfiguration { .. }),
            "{name}: {error}"
        );
        let expected = if name == "ANOTHER" { "NEPHRITE_JOBS" } else { name };
        assert!(error.to_string().contains(expected), "{error}");
        let after = directly(&server.url(), async |context| {
            context
                .get_stream(name)
                .await
                .unwrap()
                .cached_info()
                .config
                .clone()
        });
        assert_eq!(before, after);
    }
    let server = Server::start(&program, "");
    let three = NatsSettings {
        replicas: 3,
        ..nats(&server.url())
    };
    let error = NatsEngine::open(settings(), three).unwrap_err();
    assert!(matches!(error, JobError::OtherConfiguration { .. }), "{error}");
}

#[test]
fn limits_follow_the_settings_and_names_keep_servers_apart() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let engine = open(&server.url());
    submit(&engine, "a");
    submit(&engine, "b");
    assert_eq!(drain(&engine, &worker("w"), 1), ["a"]);
    drop(engine);
    let engine = open_with(&server.url(), |settings| {
        settings.max_queued = 7;
        settings.max_events = 9;
        settings.retention.keep_ms = 1;
        settings.lease = Duration::from_secs(2);
    });
    let other = NatsSettings {
        name: "other".into(),
        ..nats(&server.url())
    };
    let other = NatsEngine::open(settings(), other).unwrap();
    other.submit(new_job("of the other")).unwrap();
    let held = lease(&engine, &worker("w"));
    let silent = Instant::now();
    let second = lease(&engine, &worker("v"));
    assert_eq!((held.job.new.key, &*second.job.new.key), ("b".to_owned(), "b"));
    assert!(
        silent.elapsed() > Duration::from_millis(1600),
        "the lease is longer now: {:?}",
        silent.elapsed()
    );
    assert_eq!(drain(&other, &worker("w"), 1), ["of the other"]);
}

#[test]
fn a_queue_that_the_server_calls_full_refuses() {
    let Some(program) = crate::server::program() else {
        return;
    };
    let server = Server::start(&program, "");
    let engine = open(&server.url());
    directly(&server.url(), async |context| {
        let stream = context.get_stream("NEPHRITE_JOBS").await.unwrap();
        let config = Config {
            max_messages: 2,
            ..stream.cached_info().config.clone()
        };
        context.update_stream(config).await.unwrap();
    });
    submit(&engine, "a");
    submit(&engine, "b");
    let error = engine.submit(new_job("c")).unwrap_err();
    assert!(matches!(error, JobError::Full { .. }), "{error}");
    assert!(!engine.submit(new_job("a")).unwrap().is_new);
    let id = nephrite_jobs::JobId::of("", "c");
    assert!(matches!(engine.get(&id).unwrap_err(), JobError::Unknown { .. }));
    assert_eq!(drain(&engine, &worker("w"), 2), ["a", "b"]);
    assert!(engine.submit(new_job("c")).unwrap().is_new);
}
