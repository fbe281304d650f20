//! The keys `[dicomweb.NAME]` of a server's configuration.

use std::ops::Bound;
use std::path::Path;

use nephrite_dicomweb::{BaseUrl, Credentials, ServerName, ServerSettings, TransferLimits};
use nephrite_server::settings::{MAX_SECONDS, limit};
use nephrite_settings::Section;
use nephrite_settings::kind::{Kind, flag, path, seconds, text, whole};

/// Servers of a configuration.
const MAX_SERVERS: usize = 64;

/// `[dicomweb.NAME]`, as many as there are.
pub(super) fn read_dicomweb(top: &mut Section<'_>, folder: &Path) -> Vec<ServerSettings> {
    let is_name = |name: &str| name.parse::<ServerName>().is_ok();
    let servers = top.named_tables(
        "dicomweb",
        MAX_SERVERS,
        ("1 to 64 letters, digits, - and _", is_name),
        "DICOMweb servers, by the name that --dicomweb NAME uses",
        |name, section| read_server(name, section, folder),
    );
    servers.into_iter().flatten().collect()
}

/// `None` if the URL is missing; the fault is noted.
fn read_server(name: &str, section: &mut Section<'_>, folder: &Path) -> Option<ServerSettings> {
    let url = section.require(
        "url",
        text("an address such as \"https://pacs.example/dicom-web\"", |text| {
            text.parse::<BaseUrl>().ok()
        }),
        "where the services of the server begin",
    );
    // What all defaults are of; the fault of a URL that is missing is noted.
    let any = "https://localhost"
        .parse()
        .expect("it has the form of such a URL");
    let default = ServerSettings::new(name, url.clone().unwrap_or(any));
    let token_file = section.option(
        "token_file",
        path("a file"),
        "none",
        "holds a bearer token; read for each request; relative to this file",
    );
    let basic_kind = match token_file {
        None => path("a file"),
        Some(_) => text("none beside token_file", |_| None),
    };
    let basic_file = section.option(
        "basic_file",
        basic_kind,
        "none",
        "holds user:password; read for each request; relative to this file",
    );
    let token = token_file.map(|file| Credentials::TokenFile(folder.join(file)));
    let settings = ServerSettings {
        credentials: token.or_else(|| basic_file.map(|file| Credentials::BasicFile(folder.join(file)))),
        ca_file: section
            .option(
                "ca_file",
                path("a file"),
                "those of the machine",
                "certificates in PEM that the server's may be signed with, too; relative to this file",
            )
            .map(|file| folder.join(file)),
        timeout: section.get(
            "timeout_seconds",
            time(),
            default.timeout,
            "how long nothing may come: a connection, an answer, the next piece of it",
        ),
        transfer_timeout: section.get(
            "transfer_timeout_seconds",
            time(),
            default.transfer_timeout,
            "how long fetching a study or a series, or storing a batch, may take in all",
        ),
        max_tries: section.get(
            "max_tries",
            whole(1..=20),
            default.max_tries,
            "how often a request is sent to a server that is busy (429, 503)",
        ),
        max_retry_wait: section.get(
            "max_retry_wait_seconds",
            seconds(0.0..=MAX_SECONDS),
            default.max_retry_wait,
            "a busy server that asks to wait longer (Retry-After) is an error",
        ),
        check_metadata: section.get(
            "check_metadata",
            flag(),
            default.check_metadata,
            "compare what came with the server's metadata of a series, too; false for servers that have none",
        ),
        limits: read_limits(section, &default.limits),
        ..default
    };
    url.map(|_| settings)
}

fn time() -> Kind<std::time::Duration> {
    seconds((Bound::Excluded(0.0), Bound::Included(MAX_SECONDS)))
}

fn read_limits(section: &mut Section<'_>, default: &TransferLimits) -> TransferLimits {
    TransferLimits {
        max_instance_bytes: limit(
            section,
            "max_instance_bytes",
            default.max_instance_bytes,
            "bytes of one instance",
        ),
        max_bytes: limit(
            section,
            "max_bytes",
            default.max_bytes,
            "bytes of a study or series that is fetched",
        ),
        max_instances: limit(
            section,
            "max_instances",
            default.max_instances,
            "instances of a series",
        ),
        max_series: limit(section, "max_series", default.max_series, "series of a study"),
        max_json_bytes: limit(
            section,
            "max_json_bytes",
            default.max_json_bytes,
            "bytes of an answer in JSON that is held in memory",
        ),
        max_metadata_bytes: limit(
            section,
            "max_metadata_bytes",
            default.max_metadata_bytes,
            "bytes of the metadata of a series, which go through a file",
        ),
        max_batch_bytes: limit(
            section,
            "max_batch_bytes",
            default.max_batch_bytes,
            "bytes of instances that are stored by one request, unless one alone has more",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nephrite_settings::{Fault, parse};

    use super::*;

    fn read(text: &str) -> Result<Vec<ServerSettings>, Vec<Fault>> {
        parse(text.as_bytes(), |top| {
            read_dicomweb(top, Path::new("/etc/nephrite"))
        })
    }

    #[test]
    fn a_url_is_enough() {
        assert_eq!(read("").unwrap(), []);
        let expected = ServerSettings::new("pacs", "https://pacs/dicom-web".parse().unwrap());
        assert_eq!(
            read("[dicomweb.pacs]\nurl = 'https://pacs/dicom-web'").unwrap(),
            [expected]
        );
    }

    #[test]
    fn every_key_is_taken() {
        let servers = read(
            "[dicomweb.pacs]\nurl = 'http://pacs'\ntoken_file = 'token'\nca_file = '/ca.pem'\ntimeout_seconds = 1.5\n\
             transfer_timeout_seconds = 2\nmax_tries = 3\nmax_retry_wait_seconds = 0\ncheck_metadata = false\n\
             max_instance_bytes = 5\nmax_bytes = 6\nmax_instances = 7\nmax_series = 8\nmax_json_bytes = 9\n\
             max_metadata_bytes = 10\nmax_batch_bytes = 11\n\
             [dicomweb.other-1]\nurl = 'http://other'\nbasic_file = '/basic'",
        )
        .unwrap();
        let expected = ServerSettings {
            name: "pacs".to_owned(),
            url: "http://pacs".parse().unwrap(),
            credentials: Some(Credentials::TokenFile("/etc/nephrite/token".into())),
            ca_file: Some("/ca.pem".into()),
            timeout: Duration::from_millis(1500),
            transfer_timeout: Duration::from_secs(2),
            max_retry_wait: Duration::ZERO,
            max_tries: 3,
            check_metadata: false,
            limits: TransferLimits {
                max_instance_bytes: 5,
                max_bytes: 6,
                max_instances: 7,
                max_series: 8,
                max_json_bytes: 9,
                max_metadata_bytes: 10,
                max_batch_bytes: 11,
            },
        };
        let of = |name: &str| servers.iter().find(|server| server.name == name).unwrap();
        assert_eq!(*of("pacs"), expected);
        let basic = Some(Credentials::BasicFile("/basic".into()));
        assert_eq!((servers.len(), &of("other-1").credentials), (2, &basic));
    }

    #[test]
    fn faults_name_their_keys() {
        let faults = read(
            "[dicomweb.a]\n[dicomweb.b]\nurl = 'pacs'\n[dicomweb.c]\nurl = 'http://me:secret@c'\n[dicomweb.d]\nurl = 'http://d'\n\
             token_file = 'x'\nbasic_file = 'y'\nmax_tries = 0\n[dicomweb.'http://e']\nurl = 'http://e'",
        )
        .unwrap_err();
        let mut keys: Vec<&str> = faults.iter().map(|fault| fault.kind.key()).collect();
        keys.sort_unstable();
        let expected = [
            "dicomweb.\"http://e\"",
            "dicomweb.a.url",
            "dicomweb.b.url",
            "dicomweb.c.url",
            "dicomweb.d.basic_file",
            "dicomweb.d.max_tries",
        ];
        assert_eq!(keys, expected);
    }
}
