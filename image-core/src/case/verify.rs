//! Runs a case again from its record and compares.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nephrite_dicom::SeriesOptions;
use nephrite_root::{PathError, Root, WorkFolder, sweep};
use nephrite_types::{CancelToken, Limits};
use nephrite_volume::hash_file;
use serde::Deserialize;

use super::record::{FORMAT, OperationRecord, Record, StepRecord, StepWork};
use super::{CaseError, CaseEvents, CaseRequest, run_case};
use crate::core::Core;
use crate::masks::{Endpoint, StepPlace};
use crate::memory::read_small_file;
use crate::model::FileRecord;
use crate::place::{CaseServices, RemoteCoreSettings, ServiceSettings};

/// What a second run said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Files of the result folder that came out byte by byte as they lie there, the record aside.
    pub equal: Vec<String>,
    /// What is not as the record says; empty if all is well.
    pub differences: Vec<Difference>,
}

/// Something that is not as the record says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Something that went in has changed since.
    #[error("{what} {path} has changed since the case ran")]
    Input {
        /// `pipeline`, `codes`, `scan` or `model file`.
        what: &'static str,
        /// Where it lies.
        path: String,
    },
    /// A file of the result folder is not the one that was written.
    #[error("{path} was changed after the case ran")]
    Changed {
        /// Below the folder.
        path: String,
    },
    /// A file of the result folder is gone.
    #[error("{path} is missing from the result folder")]
    Missing {
        /// Below the folder.
        path: String,
    },
    /// The second run gave something else.
    #[error("{path} comes out differently")]
    Result {
        /// Below the folder.
        path: String,
    },
}

impl VerifyReport {
    /// True if everything is as the record says.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Where the second run of a case has its steps run.
#[derive(Debug, Clone, Copy)]
pub enum VerifyPlaces<'a> {
    /// As configured now.
    Configured(&'a CaseServices),
    /// Where the record says that they ran: its services and cores must be there. Masks that are too large for a message go
    /// through a folder beside the result folder, which the services must see.
    Recorded,
}

/// Runs the case of a `record.json` again, into a folder beside its own that is removed afterward, and compares every
/// file byte by byte: with what the record says, and with what lies in the result folder.
///
/// # Errors
/// [`CaseError::Record`] if that is no record; what [`run_case`] says.
pub fn verify_record(
    core: &Core,
    places: VerifyPlaces<'_>,
    path: &Path,
    events: &dyn CaseEvents,
    cancel: &CancelToken,
) -> Result<VerifyReport, CaseError> {
    let old = read_record(core.root(), core.limits(), path)?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut differences = Vec::new();
    let present = present_files(core.root(), &folder, &old, &mut differences, cancel)?;

    let again = Again::beside(core.root(), &folder)?;
    let mut request = CaseRequest::from(&old.request);
    request.output = again.path.join("result");
    let recorded;
    let services = match places {
        VerifyPlaces::Configured(services) => services,
        VerifyPlaces::Recorded => {
            recorded = CaseServices::new(
                &recorded_services(&old, again.exchange(core.root())?)?,
                core.root(),
            );
            &recorded
        }
    };
    let new = run_case(core, services, &request, events, cancel)?.record;
    inputs(&old, &new, &mut differences);
    let mut equal = Vec::new();
    let recorded: BTreeMap<&str, &FileRecord> = by_path(&old.files);
    for (path, file) in by_path(&new.files) {
        match (recorded.get(path), present.contains(&path.to_owned())) {
            (Some(was), present) if was.sha256 == file.sha256 && was.bytes == file.bytes => {
                if present {
                    equal.push(path.to_owned());
                }
            }
            _ => differences.push(Difference::Result {
                path: path.to_owned(),
            }),
        }
    }
    let made = by_path(&new.files);
    for path in recorded.keys().filter(|path| !made.contains_key(*path)) {
        differences.push(Difference::Result {
            path: (*path).to_owned(),
        });
    }
    Ok(VerifyReport { equal, differences })
}

/// How irregular the DICOM series of a recorded case might be; `None` if it had none.
///
/// # Errors
/// [`CaseError::Record`] if that is no record.
pub fn recorded_series_options(core: &Core, path: &Path) -> Result<Option<SeriesOptions>, CaseError> {
    let record = read_record(core.root(), core.limits(), path)?;
    let mut series = record.scans.into_iter().filter_map(|scan| scan.series);
    Ok(series.next().map(|series| series.options))
}

fn by_path(files: &[FileRecord]) -> BTreeMap<&str, &FileRecord> {
    files.iter().map(|file| (file.path.as_str(), file)).collect()
}

/// The services and cores of a record; every step is placed as it ran.
fn recorded_services(record: &Record, exchange: PathBuf) -> Result<ServiceSettings, CaseError> {
    let mut settings = ServiceSettings::default();
    settings.operations.exchange = Some(exchange);
    for step in &record.steps {
        match (&step.place, &step.work) {
            (Some(StepPlace::Service { address, .. }), StepWork::Mask { operation, .. }) => {
                let OperationRecord { name, at_service, .. } = operation;
                let endpoint = Endpoint {
                    url: address.clone(),
                    operation: at_service.clone(),
                };
                settings.operations.endpoints.insert(name.clone(), endpoint);
            }
            (Some(StepPlace::Core { name, address }), StepWork::Model { model, .. }) => {
                let folder = PathBuf::from(&model.folder);
                match settings.cores.iter_mut().find(|core| core.address == *address) {
                    Some(core) => core.models.push(folder),
                    None => settings.cores.push(RemoteCoreSettings {
                        name: name.clone(),
                        address: address.clone(),
                        models: vec![folder],
                    }),
                }
            }
            _ => {}
        }
    }
    Ok(settings)
}

/// # Errors
/// [`CaseError::Record`] if that is no record of this version's format.
pub(super) fn read_record(root: &Root, limits: &Limits, path: &Path) -> Result<Record, CaseError> {
    let bytes = read_small_file(root, path, limits.max_json_bytes)?;
    let fault = |reason: String| CaseError::Record {
        path: path.to_owned(),
        reason,
    };
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))?;
    if format != FORMAT {
        return Err(fault(format!("format {format}, expected {FORMAT}")));
    }
    serde_json::from_slice(&bytes).map_err(|error| fault(error.to_string()))
}

/// Files of the result folder that are as the record says.
fn present_files(
    root: &Root,
    folder: &Path,
    old: &Record,
    differences: &mut Vec<Difference>,
    cancel: &CancelToken,
) -> Result<Vec<String>, CaseError> {
    let mut present = Vec::new();
    for file in &old.files {
        let whole = folder.join(&file.path);
        let path = file.path.clone();
        match root.open_file(&whole) {
            Err(PathError::NotFound { .. }) => differences.push(Difference::Missing { path }),
            Err(error) => return Err(error.into()),
            Ok(open) => {
                let hash = hash_file(open, &whole.to_string_lossy(), cancel)?;
                if hash.to_string() == file.sha256 {
                    present.push(path);
                } else {
                    differences.push(Difference::Changed { path });
                }
            }
        }
    }
    Ok(present)
}

/// What went in then and now.
fn inputs(old: &Record, new: &Record, differences: &mut Vec<Difference>) {
    let files = [
        ("pipeline", &old.pipeline, &new.pipeline),
        ("codes", &old.codes, &new.codes),
    ];
    for (what, was, is) in files {
        if let (Some(was), Some(is)) = (was, is)
            && was.sha256 != is.sha256
        {
            differences.push(Difference::Input {
                what,
                path: was.path.clone(),
            });
        }
    }
    for (was, is) in old.scans.iter().zip(&new.scans) {
        if was.sha256 != is.sha256 || was.bytes != is.bytes {
            differences.push(Difference::Input {
                what: "scan",
                path: was.path.clone(),
            });
        }
    }
    let models = old.steps.iter().filter_map(|step| Some((step, step.model()?)));
    for (step, was) in models {
        let now = new.steps.iter().find(|other| other.id == step.id);
        let now = now.and_then(StepRecord::model);
        let now = now.map(|model| by_path(&model.files)).unwrap_or_default();
        for file in &was.files {
            if now
                .get(file.path.as_str())
                .is_none_or(|now| now.sha256 != file.sha256)
            {
                let path = format!("{}/{}", was.folder, file.path);
                let difference = Difference::Input {
                    what: "model file",
                    path,
                };
                if !differences.contains(&difference) {
                    differences.push(difference);
                }
            }
        }
    }
}

/// A folder for the second run, gone afterward.
struct Again {
    work: Option<WorkFolder>,
    path: PathBuf,
}

impl Again {
    fn beside(root: &Root, folder: &Path) -> Result<Again, CaseError> {
        let parent = root.open_writable_folder(folder)?;
        sweep(&parent);
        let work = WorkFolder::new(&parent).map_err(|source| CaseError::Output {
            path: folder.to_owned(),
            reason: source.to_string(),
        })?;
        Ok(Again {
            path: folder.join(work.name()),
            work: Some(work),
        })
    }

    /// A folder in it for masks on their way, as services are told it; they have the rights that they have around it.
    fn exchange(&self, root: &Root) -> Result<PathBuf, CaseError> {
        const NAME: &str = "exchange";
        let path = self.path.join(NAME);
        if let Some(work) = &self.work {
            let failed = |source: std::io::Error| CaseError::Output {
                path: path.clone(),
                reason: source.to_string(),
            };
            work.folder().create_dir(NAME).map_err(failed)?;
            if let Ok(metadata) = work.folder().dir_metadata() {
                let _ = work.folder().set_permissions(NAME, metadata.permissions()); // refused by some file systems
            }
        }
        Ok(root.absolute(&path)?)
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.work.take().map(WorkFolder::discard) {
            tracing::warn!(folder = %self.path.display(), %error, "the folder of a second run could not be removed");
        }
    }
}
