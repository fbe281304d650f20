//! Files stored at a server (STOW-RS, PS3.18, 10.5), in batches.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::stream;
use nephrite_root::Root;
use nephrite_types::{CancelToken, Progress, Stage};
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method};

use crate::at::At;
use crate::client::DicomWeb;
use crate::error::DicomWebError;
use crate::http::{Activity, Http};
use crate::qido::{DICOM_JSON, json_type};
use crate::stow_body::{Broken, StowBody, length};
use crate::stow_file::StowFile;
use crate::stow_reply::{Outcome, outcomes};
use crate::uid::Uid;

const REPLY: &str = "the answer about a batch";
/// Files of one request.
const MAX_FILES: usize = 1000;

/// A file, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedFile {
    /// The file, as it was named.
    pub path: PathBuf,
    /// SOPInstanceUID
    pub instance: Uid,
    /// SeriesInstanceUID
    pub series: Uid,
    /// StudyInstanceUID
    pub study: Uid,
    /// What the server says.
    pub outcome: Outcome,
}

impl DicomWeb {
    /// Stores files. All of them are looked at before anything is sent: each must be a DICOM file with an instance that no other
    /// one has. `told` hears of each file once the server has answered for its batch, also if a later batch ends with an error.
    /// Storing an instance again is harmless for servers that keep to the standard, so a busy one is asked again.
    ///
    /// Blocks; not to be called on the threads of an async runtime.
    ///
    /// # Errors
    /// [`DicomWebError`]; that a server refuses instances is none, but their [`Outcome`].
    pub fn push(
        &self,
        root: &Arc<Root>,
        files: &[PathBuf],
        told: &mut dyn FnMut(PushedFile),
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<(), DicomWebError> {
        let (at, limits) = (self.at(), &self.http().settings.limits);
        progress.stage(Stage::Read);
        let mut known = BTreeSet::new();
        let mut looked = Vec::with_capacity(files.len().min(limits.max_instances));
        for path in files {
            cancel.check()?;
            let file = StowFile::look(root, path, limits, &at)?;
            if !known.insert(file.uids.instance.clone()) {
                return Err(DicomWebError::Double {
                    at,
                    uid: file.uids.instance,
                    source_of_list: "the files",
                });
            }
            looked.push(file);
        }
        progress.stage(Stage::Write);
        let (mut done, total) = (0, looked.len() as u64);
        for batch in batches(looked, limits.max_batch_bytes) {
            done += batch.len() as u64;
            let pushed = self.block(&at, cancel, store(self.http(), &at, root, batch))?;
            pushed.into_iter().for_each(&mut *told);
            progress.advance(done, total);
        }
        Ok(())
    }
}

/// Files of at most so many bytes together; a larger one goes alone.
fn batches(files: Vec<StowFile>, max_bytes: u64) -> Vec<Vec<StowFile>> {
    let mut batches: Vec<Vec<StowFile>> = Vec::new();
    let mut bytes = 0_u64;
    for file in files {
        bytes = bytes.saturating_add(file.size());
        match batches.last_mut() {
            Some(batch) if bytes <= max_bytes && batch.len() < MAX_FILES => batch.push(file),
            _ => {
                bytes = file.size();
                batches.push(vec![file]);
            }
        }
    }
    batches
}

async fn store(
    http: &Http,
    at: &At,
    root: &Arc<Root>,
    files: Vec<StowFile>,
) -> Result<Vec<PushedFile>, DicomWebError> {
    // Random, so that no file can hold it on purpose.
    let boundary = format!(
        "nephrite-{:016x}{:016x}",
        RandomState::new().hash_one(0),
        RandomState::new().hash_one(1)
    );
    let broken = Broken::default();
    let sent = http.send(at, || {
        let activity = Activity::now();
        let body = StowBody::new(
            root.clone(),
            files.clone(),
            &boundary,
            activity.clone(),
            broken.clone(),
        );
        let kind = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
        let request = http.request(Method::POST, "studies", &[]);
        let request = request
            .header(CONTENT_TYPE, kind)
            .header(CONTENT_LENGTH, length(&files, &boundary))
            .header(ACCEPT, DICOM_JSON)
            .body(Body::wrap_stream(stream::iter(body)));
        Ok((request, activity))
    });
    let answer = sent.await.map_err(|error| match broken.take() {
        Some(file) => DicomWebError::FileChanged { file },
        None => error,
    })?;
    let status = answer.status().as_u16();
    if !matches!(status, 200 | 202 | 409) {
        return Err(answer.refusal());
    }
    let unconfirmed = |reason: String| DicomWebError::Unconfirmed {
        at: at.clone(),
        n: files.len(),
        reason,
    };
    let kind = json_type(answer.media_type(DICOM_JSON), || {
        answer.media_type("application/json")
    });
    kind.map_err(|error| unconfirmed(error.to_string()))?;
    let bytes = answer.all(http.settings.limits.max_json_bytes, REPLY).await;
    let bytes = bytes.map_err(|error| unconfirmed(error.to_string()))?;
    let (mut outcomes, unnamed) =
        outcomes(&bytes).map_err(|reason| unconfirmed(format!("{REPLY} {reason}")))?;
    let otherwise = match status == 409 || unnamed >= files.len() {
        true => Outcome::Failed(None),
        false => Outcome::NotMentioned,
    };
    let told = files.into_iter().map(|file| PushedFile {
        outcome: outcomes.remove(&file.uids.instance).unwrap_or(otherwise),
        path: file.path,
        instance: file.uids.instance,
        series: file.uids.series,
        study: file.uids.study,
    });
    Ok(told.collect())
}
