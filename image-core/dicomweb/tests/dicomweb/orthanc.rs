//! The client against Orthanc: store, list, fetch, compressed instances, and a server that is killed in the middle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_dicomweb::{
    Credentials, DicomWeb, DicomWebError, MultipartFault, Outcome, PulledSeries, ServerSettings, Uid,
    is_dicom_file,
};
use nephrite_root::Root;
use nephrite_types::{CancelToken, NoProgress, Progress, Stage};

use super::files::{compressed, named};
use super::orthanc_server::{Orthanc, programs};
use super::pacs::uid;

const STUDY: &str = "1.2.826.0.1.3680043.8.498.1";
const PLAIN: &str = "1.2.826.0.1.3680043.8.498.1.1";
const PACKED: &str = "1.2.826.0.1.3680043.8.498.1.2";

fn client(server: &Orthanc, change: impl FnOnce(&mut ServerSettings)) -> DicomWeb {
    let mut settings = ServerSettings::new("orthanc", server.url().parse().unwrap());
    settings.credentials = Some(Credentials::BasicFile(server.basic_file()));
    settings.timeout = Duration::from_secs(20);
    change(&mut settings);
    DicomWeb::new(settings).unwrap()
}

/// Writes instances of a series, and stores them; name of the file that a pull makes → content.
fn store(client: &DicomWeb, series: &str, contents: &[Vec<u8>]) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    let mut stored = BTreeMap::new();
    for (n, content) in contents.iter().enumerate() {
        let path = folder.path().join(n.to_string());
        std::fs::write(&path, content).unwrap();
        stored.insert(format!("{series}/{series}.{}.dcm", n + 1), content.clone());
        paths.push(path);
    }
    let mut told = Vec::new();
    let root = Arc::new(Root::filesystem());
    client
        .push(
            &root,
            &paths,
            &mut |file| told.push(file),
            &NoProgress,
            &CancelToken::new(),
        )
        .unwrap();
    assert_eq!(told.len(), contents.len());
    assert!(
        told.iter().all(|file| file.outcome == Outcome::Stored),
        "{told:?}"
    );
    stored
}

fn plain(n: usize, n_bytes: usize) -> Vec<Vec<u8>> {
    let one = |n: usize| {
        let uid = format!("{PLAIN}.{n}");
        named(&uid, STUDY, PLAIN, &uid, n_bytes)
    };
    (1..=n).map(one).collect()
}

fn pull(
    client: &DicomWeb,
    series: Option<&str>,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Vec<PulledSeries>, DicomWebError> {
    let dir = Dir::open_ambient_dir(folder, ambient_authority()).unwrap();
    let series = series.map(uid);
    client.pull(
        &uid(STUDY),
        series.as_ref(),
        (&dir, "out"),
        progress,
        &CancelToken::new(),
    )
}

/// Files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for series in std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        for file in std::fs::read_dir(&series)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let name = file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.insert(name, std::fs::read(&file).unwrap());
        }
    }
    found
}

#[test]
fn what_was_stored_comes_back_byte_by_byte() {
    let Some(programs) = programs() else { return };
    let server = Orthanc::start(&programs);
    let client = client(&server, |settings| settings.limits.max_batch_bytes = 200_000);
    let mut stored = store(&client, PLAIN, &plain(20, 40_000));
    let packed: Vec<Vec<u8>> = (1..=23)
        .map(|n| {
            let uid = format!("{PACKED}.{n}");
            compressed(STUDY, PACKED, &uid)
        })
        .collect();
    stored.extend(store(&client, PACKED, &packed));

    let folder = tempfile::tempdir().unwrap();
    let pulled = pull(&client, None, folder.path(), &NoProgress).unwrap();
    let found: Vec<(&str, usize)> = pulled
        .iter()
        .map(|series| (series.uid.as_str(), series.instances))
        .collect();
    assert_eq!(found, [(PLAIN, 20), (PACKED, 23)]);
    assert!(files(&folder.path().join("out")) == stored, "the study");

    let folder = tempfile::tempdir().unwrap();
    pull(&client, Some(PACKED), folder.path(), &NoProgress).unwrap();
    let of_series = files(&folder.path().join("out"));
    assert_eq!(of_series.len(), 23);
    assert!(
        of_series.iter().all(|(name, content)| stored[name] == *content),
        "the series"
    );

    let entries = client.series(&uid(STUDY), &CancelToken::new()).unwrap();
    let counts: Vec<Option<u64>> = entries.iter().map(|entry| entry.n_instances).collect();
    assert_eq!(counts, [Some(20), Some(23)]);
}

#[test]
fn what_is_not_there_and_who_may_not_is_told() {
    let Some(programs) = programs() else { return };
    let server = Orthanc::start(&programs);
    let folder = tempfile::tempdir().unwrap();
    let with = client(&server, |_| {});
    let error = pull(&with, None, folder.path(), &NoProgress).unwrap_err();
    assert!(matches!(error, DicomWebError::NotFound { .. }), "{error:?}");
    store(&with, PLAIN, &plain(1, 10));
    let error = pull(&with, Some(PACKED), folder.path(), &NoProgress).unwrap_err();
    assert!(matches!(error, DicomWebError::NotFound { .. }), "{error:?}");
    let without = client(&server, |settings| settings.credentials = None);
    let error = pull(&without, None, folder.path(), &NoProgress).unwrap_err();
    assert!(matches!(error, DicomWebError::Unauthorized { .. }), "{error:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Kills a server when some instances are there.
struct Killer(Mutex<Option<Orthanc>>);

impl Progress for Killer {
    fn stage(&self, _: Stage) {}

    fn advance(&self, done: u64, total: u64) {
        assert_eq!(total, 30);
        if done == 3 {
            self.0.lock().unwrap().as_mut().unwrap().kill();
        }
    }
}

#[test]
fn a_server_that_is_killed_in_the_middle_leaves_nothing_behind() {
    let Some(programs) = programs() else { return };
    let server = Orthanc::start(&programs);
    let client = client(&server, |_| {});
    let stored = store(&client, PLAIN, &plain(30, 4 << 20));
    let folder = tempfile::tempdir().unwrap();
    let killer = Killer(Mutex::new(Some(server)));
    let error = pull(&client, None, folder.path(), &killer).unwrap_err();
    // Orthanc gives no length: an answer ends when the connection does, and only the closing boundary tells that it was whole.
    let is_expected = matches!(
        error,
        DicomWebError::Cut { .. }
            | DicomWebError::Multipart {
                fault: MultipartFault::Truncated,
                ..
            }
    );
    assert!(is_expected, "{error:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let error = pull(&client, None, folder.path(), &NoProgress).unwrap_err();
    assert!(matches!(error, DicomWebError::Unreachable { .. }), "{error:?}");
    let mut server = killer.0.into_inner().unwrap().unwrap();
    server.restart();
    pull(&client, None, folder.path(), &NoProgress).unwrap();
    assert!(files(&folder.path().join("out")) == stored);
}

/// Times a series of a usual size; `cargo test -p nephrite-dicomweb --release --test dicomweb -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_long_a_series_takes() {
    let Some(programs) = programs() else { return };
    let server = Orthanc::start(&programs);
    for check_metadata in [true, false] {
        let client = client(&server, |settings| settings.check_metadata = check_metadata);
        let began = Instant::now();
        store(&client, PLAIN, &plain(600, 512 * 512 * 2));
        let pushed = began.elapsed();
        let folder = tempfile::tempdir_in(server.folder()).unwrap();
        let began = Instant::now();
        let pulled = pull(&client, None, folder.path(), &NoProgress).unwrap();
        let seconds = began.elapsed().as_secs_f64();
        let mib = pulled[0].bytes >> 20;
        println!(
            "metadata {check_metadata}: 600 instances, {mib} MiB: push {:.1} s, pull {seconds:.1} s",
            pushed.as_secs_f64()
        );
    }
}

/// Real files, if they are there: those of pydicom among the samples.
#[test]
fn real_files_come_back_byte_by_byte() {
    let Some(folder) = std::env::var_os("NEPHRITE_DICOM_SAMPLES").map(PathBuf::from) else {
        println!("left out: NEPHRITE_DICOM_SAMPLES names no samples");
        return;
    };
    let Some(programs) = programs() else { return };
    let server = Orthanc::start(&programs);
    let client = client(&server, |_| {});
    let root = Arc::new(Root::filesystem());
    let mut stored: BTreeMap<Uid, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder.join("pydicom")).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() || !is_dicom_file(&root, &path).unwrap() {
            continue;
        }
        let (mut told, files) = (Vec::new(), [path.clone()]);
        let pushed = client.push(
            &root,
            &files,
            &mut |file| told.push(file),
            &NoProgress,
            &CancelToken::new(),
        );
        match (pushed, told.pop()) {
            (Ok(()), Some(file)) if file.outcome.is_stored() => {
                let name = format!("{}/{}.dcm", file.series, file.instance);
                // Of two files of one instance, Orthanc keeps the first.
                let of_study = stored.entry(file.study).or_default();
                of_study
                    .entry(name)
                    .or_insert_with(|| std::fs::read(&path).unwrap());
            }
            (Ok(()), file) => println!("{}: {}", path.display(), file.unwrap().outcome),
            (Err(error), _) => println!("{error}"),
        }
    }
    let mut n_instances = 0;
    for (study, expected) in stored {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        client
            .pull(&study, None, (&dir, "out"), &NoProgress, &CancelToken::new())
            .unwrap();
        assert!(files(&folder.path().join("out")) == expected, "{study}");
        n_instances += expected.len();
    }
    println!("{n_instances} instances came back");
    assert!(n_instances > 0);
}
