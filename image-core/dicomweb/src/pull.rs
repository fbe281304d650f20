//! A series or a whole study of a server, as a folder that is there in full or not at all.

use std::io;

use cap_std::fs::Dir;
use nephrite_root::WorkFolder;
use nephrite_types::{CancelToken, Progress, Stage};

use crate::at::At;
use crate::client::DicomWeb;
use crate::compare::same_instances;
use crate::error::DicomWebError;
use crate::http::Http;
use crate::qido::{SeriesEntry, instances_of_series, series_of_study};
use crate::spool::{Spool, disk};
use crate::uid::Uid;
use crate::wado::{fetch_series, metadata_of_series};

/// What came of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledSeries {
    /// SeriesInstanceUID, and the name of its folder.
    pub uid: Uid,
    /// Modality; may be empty.
    pub modality: String,
    /// Files in its folder, each named by its SOPInstanceUID.
    pub instances: usize,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl DicomWeb {
    /// Fetches a study, or one series of it, into a new folder `name` in `parent`: `name/SERIES/INSTANCE.dcm`. The folder gets its
    /// name when all instances that the server lists are there, and no others; until then it has a hidden name, and on an error
    /// it goes away.
    ///
    /// Blocks; not to be called on the threads of an async runtime.
    ///
    /// # Errors
    /// [`DicomWebError`]
    pub fn pull(
        &self,
        study: &Uid,
        series: Option<&Uid>,
        (parent, name): (&Dir, &str),
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<Vec<PulledSeries>, DicomWebError> {
        let exists = || DicomWebError::Exists {
            name: name.to_owned(),
        };
        if parent.symlink_metadata(name).is_ok() {
            return Err(exists());
        }
        let work = WorkFolder::new(parent).map_err(|source| disk(name, source))?;
        let at = self.at().study(study);
        progress.stage(Stage::Read);
        let pulled = self.block(
            &at,
            cancel,
            fetch(self.http(), &at, study, series, work.folder(), progress),
        )?;
        cancel.check()?;
        work.publish(name).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => exists(),
            _ => disk(name, source),
        })?;
        Ok(pulled)
    }

    /// The series of a study, sorted by UID.
    ///
    /// # Errors
    /// [`DicomWebError`]
    pub fn series(&self, study: &Uid, cancel: &CancelToken) -> Result<Vec<SeriesEntry>, DicomWebError> {
        let at = self.at().study(study);
        self.block(&at, cancel, series_of_study(self.http(), &at, study))
    }
}

async fn fetch(
    http: &Http,
    at: &At,
    study: &Uid,
    only: Option<&Uid>,
    folder: &Dir,
    progress: &dyn Progress,
) -> Result<Vec<PulledSeries>, DicomWebError> {
    let mut entries = series_of_study(http, at, study).await?;
    if let Some(only) = only {
        entries.retain(|entry| entry.uid == *only);
        if entries.is_empty() {
            return Err(DicomWebError::NotFound {
                at: at.clone().series(only),
            });
        }
    }
    let total = entries.iter().map(|entry| entry.n_instances).sum::<Option<u64>>();
    let (mut pulled, mut done, mut left) = (Vec::new(), 0, http.settings.limits.max_bytes);
    for entry in entries {
        let at = at.clone().series(&entry.uid);
        let told = |n: usize| {
            let n = done + n as u64;
            progress.advance(n, total.unwrap_or(n).max(n));
        };
        let series = fetch_one(http, &at, study, entry, folder, left, told).await?;
        done += series.instances as u64;
        left -= series.bytes;
        pulled.push(series);
    }
    Ok(pulled)
}

async fn fetch_one(
    http: &Http,
    at: &At,
    study: &Uid,
    entry: SeriesEntry,
    folder: &Dir,
    left: u64,
    told: impl FnMut(usize),
) -> Result<PulledSeries, DicomWebError> {
    let name = entry.uid.as_str();
    let listed = instances_of_series(http, at, study, &entry.uid).await?;
    if let Some(expected) = entry
        .n_instances
        .filter(|expected| *expected != listed.len() as u64)
    {
        return Err(DicomWebError::Number {
            at: at.clone(),
            found: listed.len(),
            expected,
            source_of_list: "the list of the series",
        });
    }
    let made = folder.create_dir(name).and_then(|()| folder.open_dir(name));
    let own = made.map_err(|source| disk(name, source))?;
    let path = format!("studies/{study}/series/{name}");
    let mut spool = Spool::new(at, &own, &http.settings.limits, &listed, left);
    fetch_series(http, at, &path, &mut spool, told).await?;
    let (came, bytes) = spool.came();
    same_instances(at, &listed, came, "the answer")?;
    spool.sync()?;
    let instances = came.len();
    if http.settings.check_metadata {
        let described = metadata_of_series(http, at, &path, &own).await?;
        same_instances(at, &listed, &described, "the metadata")?;
    }
    Ok(PulledSeries {
        uid: entry.uid,
        modality: entry.modality,
        instances,
        bytes,
    })
}
