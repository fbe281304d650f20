//! What does not come whole is told by name, and nothing of it is kept.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nephrite_dicomweb::{DicomWebError, MultipartFault};
use nephrite_types::{CancelToken, Cancelled, Coded as _, ErrorCode};

use super::files::{instance, named};
use super::pacs::{
    Client, INSTANCES, MULTIPART, SERIES, STUDY, Service, but, client_but, files, good, instance_rows, json,
    open_parts, parts, series_rows,
};
use super::server::{Reply, Server};

const STREAM: &str =
    "HTTP/1.1 200 X\r\nContent-Type: multipart/related; type=\"application/dicom\"; boundary=b-1\r\n";

fn chunk(out: &mut dyn Write, data: &[u8]) -> bool {
    let head = format!("{:x}\r\n", data.len());
    let parts = [head.as_bytes(), data, b"\r\n"];
    parts.iter().try_for_each(|part| out.write_all(part)).is_ok()
}

fn refused_by_wado(kind: &'static str, body: Vec<u8>) -> DicomWebError {
    let (_server, client) = client_but(Service::Wado, move |_| Reply::of_type(kind, body.clone()));
    client.refused()
}

#[test]
fn statuses_are_errors_of_their_own() {
    use DicomWebError as E;
    type Is = fn(&DicomWebError) -> bool;
    let cases: [(u16, Is, ErrorCode); 9] = [
        (
            400,
            |e| matches!(e, E::Refused { status: 400, .. }),
            ErrorCode::Environment,
        ),
        (
            401,
            |e| matches!(e, E::Unauthorized { .. }),
            ErrorCode::Environment,
        ),
        (
            403,
            |e| matches!(e, E::Forbidden { .. }),
            ErrorCode::PermissionDenied,
        ),
        (404, |e| matches!(e, E::NotFound { .. }), ErrorCode::NotFound),
        (
            406,
            |e| matches!(e, E::Refused { status: 406, .. }),
            ErrorCode::Environment,
        ),
        (410, |e| matches!(e, E::NotFound { .. }), ErrorCode::NotFound),
        (
            500,
            |e| matches!(e, E::ServerFailed { status: 500, .. }),
            ErrorCode::Unavailable,
        ),
        (
            502,
            |e| matches!(e, E::ServerFailed { status: 502, .. }),
            ErrorCode::Unavailable,
        ),
        (
            206,
            |e| matches!(e, E::Refused { status: 206, .. }),
            ErrorCode::Environment,
        ),
    ];
    for (status, is_expected, code) in cases {
        for service in [
            Service::Series,
            Service::Instances,
            Service::Wado,
            Service::Metadata,
        ] {
            let (_server, client) = client_but(service, move |_| Reply::status(status));
            let error = client.refused();
            assert!(
                is_expected(&error) && error.code() == code,
                "{status} {service:?}: {error:?}"
            );
            let told = error.to_string();
            assert!(told.contains("pacs") && told.contains(STUDY), "{told}");
            assert_eq!(told.contains(SERIES), service != Service::Series, "{told}");
        }
    }
}

#[test]
fn redirects_are_not_followed() {
    let other = Server::start(good);
    let target = other.url.clone();
    let (_server, client) = client_but(Service::Wado, move |_| {
        Reply::Full(302, vec![("Location", format!("{target}/x"))], Vec::new())
    });
    let error = client.refused();
    assert!(
        matches!(&error, DicomWebError::Redirected { status: 302, host, .. } if host == "127.0.0.1"),
        "{error:?}"
    );
    assert!(other.requests().is_empty());
}

#[test]
fn a_busy_server_is_asked_a_few_times() {
    let server = Server::start(|_| Reply::Full(503, vec![("Retry-After", "0".to_owned())], Vec::new()));
    let client = Client::of(&server.url, |settings| settings.max_tries = 3);
    let error = client.refused();
    assert!(
        matches!(
            error,
            DicomWebError::Busy {
                status: 503,
                tries: 3,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(server.requests().len(), 3);
    let server = Server::start(|_| Reply::Full(429, vec![("Retry-After", "3600".to_owned())], Vec::new()));
    let client = Client::of(&server.url, |_| {});
    let error = client.refused();
    let hour = Duration::from_secs(3600);
    assert!(
        matches!(error, DicomWebError::ComeBackLater { status: 429, wait, .. } if wait == hour),
        "{error:?}"
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn other_content_is_no_series() {
    let body = parts(&files(&INSTANCES));
    let kinds = [
        ("application/dicom", "application/dicom"),
        ("text/html; charset=utf-8", "text/html"),
        (
            "multipart/related; type=\"application/octet-stream\"; boundary=b-1",
            "octet-stream",
        ),
        ("", "no type"),
    ];
    for (kind, found) in kinds {
        let error = refused_by_wado(kind, body.clone());
        assert!(matches!(error, DicomWebError::ContentType { .. }), "{error:?}");
        assert!(error.to_string().contains(found), "{error}");
    }
    let error = refused_by_wado("multipart/related; type=\"application/dicom\"", body.clone());
    assert!(
        matches!(
            error,
            DicomWebError::Multipart {
                fault: MultipartFault::Boundary,
                ..
            }
        ),
        "{error:?}"
    );
    let (_server, client) = client_but(Service::Wado, move |_| {
        let headers = vec![
            ("Content-Type", MULTIPART.to_owned()),
            ("Content-Encoding", "gzip".to_owned()),
        ];
        Reply::Full(200, headers, body.clone())
    });
    assert!(client.refused().to_string().contains("compressed"));
    let html = b"--b-1\r\nContent-Type: text/html\r\n\r\n<SECRET>\r\n--b-1--".to_vec();
    let error = refused_by_wado(MULTIPART, html);
    assert!(error.to_string().contains("a part of text/html"), "{error}");
    let error = refused_by_wado(MULTIPART, parts(&[b"SECRET".to_vec()]));
    assert!(matches!(error, DicomWebError::NotTheInstance { .. }), "{error:?}");
}

#[test]
fn an_answer_that_ends_early_is_told() {
    // as Orthanc does with JPEG 2000: status 200, some parts, no closing boundary
    let error = refused_by_wado(MULTIPART, open_parts(&files(&INSTANCES[..2])));
    let truncated = MultipartFault::Truncated;
    assert!(
        matches!(error, DicomWebError::Multipart { fault, parts: 1, .. } if fault == truncated),
        "{error:?}"
    );
    let error = refused_by_wado(MULTIPART, Vec::new());
    assert!(
        matches!(error, DicomWebError::Multipart { fault, parts: 0, .. } if fault == truncated),
        "{error:?}"
    );
    let (_server, client) = client_but(Service::Wado, |_| Reply::status(204));
    assert!(matches!(client.refused(), DicomWebError::NotFound { .. }));
}

#[test]
fn a_connection_that_is_cut_is_told() {
    let body = parts(&files(&INSTANCES));
    for with_length in [true, false] {
        for end in [0, 10, 300, body.len() - 1] {
            let sent = body[..end].to_vec();
            let total = body.len();
            let (_server, client) = client_but(Service::Wado, move |_| {
                let sent = sent.clone();
                Reply::script(move |out| {
                    let _ = if with_length {
                        let head = format!("{STREAM}Content-Length: {total}\r\n\r\n");
                        out.write_all(head.as_bytes()).and_then(|()| out.write_all(&sent))
                    } else {
                        let head = format!("{STREAM}Transfer-Encoding: chunked\r\n\r\n");
                        let head = out.write_all(head.as_bytes());
                        chunk(out, &sent);
                        head
                    };
                })
            });
            let error = client.refused();
            // A chunk of no bytes is the end of an answer.
            let is_end = !with_length && end == 0;
            let is_expected = match is_end {
                true => matches!(
                    error,
                    DicomWebError::Multipart {
                        fault: MultipartFault::Truncated,
                        ..
                    } | DicomWebError::Cut { .. }
                ),
                false => matches!(error, DicomWebError::Cut { .. }),
            };
            assert!(is_expected, "{with_length} {end}: {error:?}");
        }
    }
}

#[test]
fn what_is_missing_double_or_of_another_series_is_told() {
    use DicomWebError as E;
    let pull = |uids: &[&str]| refused_by_wado(MULTIPART, parts(&files(uids)));
    let missing = pull(&INSTANCES[1..]);
    assert!(
        matches!(&missing, E::Missing { n: 1, expected: 3, example, .. } if example.as_str() == INSTANCES[0]),
        "{missing:?}"
    );
    let extra = pull(&[INSTANCES[0], "1.9"]);
    assert!(
        matches!(&extra, E::Extra { uid, .. } if uid.as_str() == "1.9"),
        "{extra:?}"
    );
    let double = pull(&[INSTANCES[0], INSTANCES[0], INSTANCES[1], INSTANCES[2]]);
    assert!(
        matches!(&double, E::Double { uid, .. } if uid.as_str() == INSTANCES[0]),
        "{double:?}"
    );
    let not_the_instance = |file: Vec<u8>, reason: &str| {
        let error = refused_by_wado(MULTIPART, parts(&[file]));
        let is_expected = matches!(error, E::NotTheInstance { .. }) && error.to_string().contains(reason);
        assert!(is_expected, "{error:?}");
    };
    let uid = INSTANCES[0];
    not_the_instance(
        named("../../x", STUDY, SERIES, "../../x", 4),
        "no usable SOPInstanceUID",
    );
    not_the_instance(named(uid, STUDY, "1.2.3.5", uid, 4), "another series");
    not_the_instance(named(uid, "1.2.4", SERIES, uid, 4), "another series");
    not_the_instance(instance(STUDY, SERIES, uid)[132..].to_vec(), "DICM");
}

#[test]
fn lists_that_contradict_each_other_are_told() {
    use DicomWebError as E;
    let (_server, client) = client_but(Service::Series, |_| json(series_rows(4)));
    let error = client.refused();
    assert!(
        matches!(
            error,
            E::Number {
                found: 3,
                expected: 4,
                ..
            }
        ),
        "{error:?}"
    );
    let (_server, client) = client_but(Service::Metadata, |_| json(instance_rows(&INSTANCES[..2])));
    let error = client.refused();
    assert!(
        matches!(
            error,
            E::Missing {
                source_of_list: "the metadata",
                ..
            }
        ),
        "{error:?}"
    );
    let more = [&INSTANCES[..], &["1.9"]].concat();
    let (_server, client) = client_but(Service::Metadata, move |_| json(instance_rows(&more)));
    let error = client.refused();
    assert!(
        matches!(
            error,
            E::Extra {
                source_of_list: "the metadata",
                ..
            }
        ),
        "{error:?}"
    );
    let twice = [INSTANCES[0], INSTANCES[0]];
    for service in [Service::Instances, Service::Metadata] {
        let (_server, client) = client_but(service, move |_| json(instance_rows(&twice)));
        let error = client.refused();
        assert!(matches!(error, E::Double { .. }), "{service:?}: {error:?}");
    }
    let other = instance_rows(&INSTANCES).replace(SERIES, "1.2.3.5");
    let (_server, client) = client_but(Service::Instances, move |_| json(other.clone()));
    assert!(client.refused().to_string().contains("another study or series"));
    let (_server, client) = client_but(Service::Series, |_| json("[]"));
    assert!(matches!(client.refused(), E::NotFound { .. }));
}

#[test]
fn json_that_is_none_is_told_without_its_content() {
    let deep = format!("[{{\"x\":{}", "[".repeat(100_000));
    let bodies = [
        "<SECRET/>",
        "{\"SECRET\": 1}",
        "[{\"00080018\": \"SECRET\"}]",
        "[{}]",
        "[{\"x\"",
        &deep,
    ];
    for body in bodies {
        for service in [Service::Series, Service::Instances, Service::Metadata] {
            let answer = body.to_owned();
            let (_server, client) = client_but(service, move |_| json(answer.clone()));
            let error = client.refused();
            assert!(
                matches!(error, DicomWebError::Json { .. }),
                "{service:?} {}: {error:?}",
                &body[..6]
            );
        }
    }
    let (_server, client) = client_but(Service::Instances, |_| Reply::of_type("text/html", "<SECRET>"));
    assert!(matches!(client.refused(), DicomWebError::ContentType { .. }));
}

#[test]
fn limits_hold_for_lists_instances_and_all_together() {
    let server = Server::start(good);
    let size = instance(STUDY, SERIES, INSTANCES[0]).len() as u64;
    type Change = fn(&mut nephrite_dicomweb::TransferLimits, u64);
    let cases: [(&str, Change); 5] = [
        ("max_instance_bytes", |limits, size| {
            limits.max_instance_bytes = size - 1
        }),
        ("max_bytes", |limits, size| limits.max_bytes = 2 * size),
        ("max_instances", |limits, _| limits.max_instances = 2),
        ("max_json_bytes", |limits, _| limits.max_json_bytes = 300),
        ("max_metadata_bytes", |limits, _| limits.max_metadata_bytes = 300),
    ];
    for (key, change) in cases {
        let client = Client::of(&server.url, |settings| change(&mut settings.limits, size));
        let error = client.refused();
        assert!(
            matches!(&error, DicomWebError::TooLarge { key: found, .. } if *found == key),
            "{key}: {error:?}"
        );
        assert_eq!(error.code(), ErrorCode::LimitExceeded);
    }
}

#[test]
fn a_part_of_ten_gigabytes_is_refused_when_it_is_declared() {
    const TEN: u64 = 10 << 30;
    for of_part in [true, false] {
        let written = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&written);
        let (_server, client) = client_but(Service::Wado, move |_| {
            let counter = Arc::clone(&counter);
            Reply::script(move |out| {
                let (of_answer, of_part) = match of_part {
                    true => (
                        "Transfer-Encoding: chunked\r\n".to_owned(),
                        format!("Content-Length: {TEN}\r\n"),
                    ),
                    false => (format!("Content-Length: {}\r\n", TEN * 3), String::new()),
                };
                let _ = out.write_all(format!("{STREAM}{of_answer}\r\n").as_bytes());
                let head = format!("--b-1\r\nContent-Type: application/dicom\r\n{of_part}\r\n");
                let data = vec![0; 64 << 10];
                if !of_part.is_empty() {
                    chunk(out, head.as_bytes());
                }
                while chunk(out, &data) {
                    counter.fetch_add(data.len() as u64, Ordering::Relaxed);
                }
            })
        });
        let error = client.refused();
        assert!(matches!(error, DicomWebError::TooLarge { .. }), "{error:?}");
        std::thread::sleep(Duration::from_millis(200));
        let written = written.load(Ordering::Relaxed);
        assert!(
            written < 32 << 20,
            "{written} bytes, most of them in buffers of the system"
        );
    }
}

/// Peak of memory since the last reset, in bytes.
fn peak(reset: bool) -> u64 {
    if reset {
        let _ = std::fs::write("/proc/self/clear_refs", "5"); // not everywhere allowed; then the peak is that of before
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_part_of_ten_gigabytes_takes_no_memory_when_it_is_not_declared() {
    const LIMIT: u64 = 512 << 20;
    let written = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&written);
    let server = but(Service::Wado, move |_| {
        let counter = Arc::clone(&counter);
        Reply::script(move |out| {
            let _ = out.write_all(format!("{STREAM}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
            chunk(out, b"--b-1\r\nContent-Type: application/dicom\r\n\r\n");
            let data = vec![0; 64 << 10];
            while counter.load(Ordering::Relaxed) < 10 << 30 && chunk(out, &data) {
                counter.fetch_add(data.len() as u64, Ordering::Relaxed);
            }
        })
    });
    let client = Client::of(&server.url, |settings| settings.limits.max_instance_bytes = LIMIT);
    let before = peak(true);
    let error = client.refused();
    let grown = peak(false).saturating_sub(before);
    assert!(
        matches!(
            error,
            DicomWebError::TooLarge {
                key: "max_instance_bytes",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(grown < 64 << 20, "{grown} bytes");
    std::thread::sleep(Duration::from_millis(200));
    assert!(written.load(Ordering::Relaxed) < LIMIT + (32 << 20));
    println!(
        "memory grew by {} KiB while {} MiB came in",
        grown >> 10,
        LIMIT >> 20
    );
}

#[test]
fn headers_of_parts_and_of_answers_are_bounded() {
    let mut long = b"--b-1\r\nX: ".to_vec();
    long.extend(vec![b'x'; 1 << 20]);
    let error = refused_by_wado(MULTIPART, long);
    assert!(
        matches!(
            error,
            DicomWebError::Multipart {
                fault: MultipartFault::LongHeader,
                ..
            }
        ),
        "{error:?}"
    );
    let (_server, client) = client_but(Service::Wado, |_| {
        Reply::script(|out| {
            let _ = out.write_all(b"HTTP/1.1 200 X\r\nX: ");
            while out.write_all(&[b'x'; 4096]).is_ok() {}
        })
    });
    let began = Instant::now();
    assert!(matches!(client.refused(), DicomWebError::Cut { .. }));
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_server_that_says_nothing_or_too_little_is_left() {
    let (_server, client) = client_but(Service::Wado, |_| {
        Reply::script(|out| {
            let _ = out.write_all(format!("{STREAM}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
            chunk(out, b"--b-1\r\n");
            let _ = out.flush();
            std::thread::sleep(Duration::from_secs(20));
        })
    });
    let quick =
        |settings: &mut nephrite_dicomweb::ServerSettings| settings.timeout = Duration::from_millis(300);
    let url = _server.url.clone();
    drop(client);
    let client = Client::of(&url, quick);
    let error = client.refused();
    assert!(
        matches!(
            error,
            DicomWebError::TimedOut {
                what: "the answer did not go on",
                ..
            }
        ),
        "{error:?}"
    );

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::of(&format!("http://{}", silent.local_addr().unwrap()), quick);
    let error = client.refused();
    assert!(
        matches!(
            error,
            DicomWebError::TimedOut {
                what: "no answer came",
                ..
            }
        ),
        "{error:?}"
    );

    // a byte now and then is no silence, but a call has an end
    let dripping = but(Service::Wado, |_| {
        Reply::script(|out| {
            let _ = out.write_all(format!("{STREAM}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
            while chunk(out, b"x") && out.flush().is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    });
    let client = Client::of(&dripping.url, |settings| {
        settings.transfer_timeout = Duration::from_millis(700)
    });
    let began = Instant::now();
    let error = client.refused();
    assert!(
        matches!(
            error,
            DicomWebError::TimedOut {
                what: "the call went on",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn nobody_there_is_told() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let client = Client::of(&format!("http://127.0.0.1:{port}"), |_| {});
    let error = client.refused();
    assert!(matches!(error, DicomWebError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.code(), ErrorCode::Unavailable);
}

#[test]
fn a_caller_that_cancels_does_not_wait() {
    let server = but(Service::Wado, |_| {
        Reply::script(|out| {
            let _ = out.write_all(format!("{STREAM}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
            std::thread::sleep(Duration::from_secs(20));
        })
    });
    let client = Client::of(&server.url, |_| {});
    let cancel = CancelToken::new();
    let token = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        token.cancel();
    });
    let began = Instant::now();
    let error = client.refused_with(&cancel);
    assert!(
        matches!(error, DicomWebError::Cancelled(Cancelled::ByCaller)),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(2));
    let late = CancelToken::new().with_deadline(Instant::now() + Duration::from_millis(200));
    let error = client.refused_with(&late);
    assert!(
        matches!(error, DicomWebError::Cancelled(Cancelled::DeadlineExceeded)),
        "{error:?}"
    );
}
