//! Result folders that no job tells of, and jobs without a result folder.

use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use nephrite_jobs::{Filter, Job, JobEngine, JobId, JobState, MAX_PAGE, Query};
use nephrite_types::{CancelToken, HiddenKind, HiddenName};

use super::error::SubmitError;
use crate::case::{CaseRequest, RequestRecord, finished_result};
use crate::core::Core;

/// What does not belong together.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    pub(crate) found: Vec<Orphan>,
    /// There was more than was looked at.
    pub(crate) incomplete: bool,
}

/// Something that does not belong to anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orphan {
    pub(crate) kind: OrphanKind,
    pub(crate) path: PathBuf,
    /// Empty if it is not known.
    pub(crate) job: String,
}

/// How something does not belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrphanKind {
    UnknownJob,
    JobNotSucceeded,
    ResultGone,
    Unfinished,
}

/// Entries that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// Levels of folders below the first.
const MAX_DEPTH: usize = 8;
const RECORD: &str = "record.json";

/// Looks beneath a folder, and at all jobs that succeeded. Changes nothing.
pub(crate) fn find_orphans(
    core: &Core,
    engine: &dyn JobEngine,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<Orphans, SubmitError> {
    let opened = core
        .root()
        .open_folder(folder)
        .map_err(crate::case::CaseError::from)?;
    let mut orphans = Orphans::default();
    let mut left = MAX_ENTRIES;
    let mut folders = vec![(opened, folder.to_owned(), 0)];
    while let Some((dir, path, depth)) = folders.pop() {
        cancel.check().map_err(crate::case::CaseError::from)?;
        if dir.symlink_metadata(RECORD).is_ok_and(|there| there.is_file()) {
            orphans.found.extend(of_result(core, engine, &path)?);
            continue; // nothing inside a result folder is one
        }
        for (name, inner) in folders_of(&dir, &mut left) {
            let path = path.join(&name);
            match HiddenName::parse(&name).map(|hidden| hidden.kind) {
                Some(HiddenKind::Folder) => orphans.found.extend(unfinished(&dir, &name, &path)),
                Some(_) => {}
                None if depth < MAX_DEPTH => folders.push((inner, path, depth + 1)),
                None => orphans.incomplete = true,
            }
        }
        orphans.incomplete |= left == 0;
    }
    orphans.found.extend(gone(core, engine, cancel)?);
    orphans.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(orphans)
}

/// Folders in a folder; links are not followed. What cannot be read is left out.
fn folders_of(dir: &Dir, left: &mut usize) -> Vec<(String, Dir)> {
    let mut folders = Vec::new();
    let Ok(entries) = dir.entries() else {
        return folders;
    };
    for entry in entries.flatten() {
        let Some(less) = left.checked_sub(1) else { break };
        *left = less;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if let (true, Ok(name)) = (is_folder, entry.file_name().into_string())
            && let Ok(inner) = entry.open_dir()
        {
            folders.push((name, inner));
        }
    }
    folders
}

/// A result folder whose record names a job, if that is not its job.
fn of_result(core: &Core, engine: &dyn JobEngine, path: &Path) -> Result<Option<Orphan>, SubmitError> {
    let Ok(report) = finished_result(core, path) else {
        return Ok(None); // no record of this version: nothing can be said
    };
    let Some(job) = report.record.job else {
        return Ok(None); // of a case that was no job
    };
    let orphan = |kind| {
        Some(Orphan {
            kind,
            path: path.to_owned(),
            job: job.id.clone(),
        })
    };
    let Ok(id) = JobId::parse(&job.id) else {
        return Ok(orphan(OrphanKind::UnknownJob));
    };
    Ok(match engine.get(&id) {
        Ok(known) if known.state == JobState::Succeeded => None,
        // its worker says so in a moment
        Ok(known) if !known.state.has_ended() => None,
        Ok(_) => orphan(OrphanKind::JobNotSucceeded),
        Err(nephrite_jobs::JobError::Unknown { .. }) => orphan(OrphanKind::UnknownJob),
        Err(error) => return Err(error.into()),
    })
}

/// A hidden folder that nobody holds.
fn unfinished(dir: &Dir, name: &str, path: &Path) -> Option<Orphan> {
    nephrite_root::is_abandoned(dir, name).then(|| Orphan {
        kind: OrphanKind::Unfinished,
        path: path.to_owned(),
        job: String::new(),
    })
}

/// Jobs that succeeded and whose result is gone or is another one.
fn gone(core: &Core, engine: &dyn JobEngine, cancel: &CancelToken) -> Result<Vec<Orphan>, SubmitError> {
    let mut query = Query {
        filter: Filter {
            states: [JobState::Succeeded].into(),
            ..Filter::default()
        },
        page_size: MAX_PAGE,
        token: None,
    };
    let mut found = Vec::new();
    loop {
        let page = engine.list(&query)?;
        for job in &page.jobs {
            cancel.check().map_err(crate::case::CaseError::from)?;
            if let Some(output) = output_of(job).filter(|output| !holds(core, output, job)) {
                found.push(Orphan {
                    kind: OrphanKind::ResultGone,
                    path: output,
                    job: job.id.to_string(),
                });
            }
        }
        query.token = page.next;
        if query.token.is_none() {
            return Ok(found);
        }
    }
}

/// Where the result of a job lies, as its request says.
pub(crate) fn output_of(job: &Job) -> Option<PathBuf> {
    let request: RequestRecord = serde_json::from_str(&job.new.request).ok()?;
    Some(CaseRequest::from(&request).output)
}

/// Whether a folder is the result of this job, as it left it.
pub(crate) fn holds(core: &Core, output: &Path, job: &Job) -> bool {
    let record = core.root().open_file(&output.join(RECORD));
    let hash = record.map(|file| nephrite_volume::hash_file(file, RECORD, &CancelToken::new()));
    let expected = job.result.as_ref().map(|result| result.record_sha256.clone());
    matches!(hash, Ok(Ok(hash)) if Some(hash.to_string()) == expected)
}
