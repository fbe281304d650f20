//! The DICOM objects of a run, beside the label map of its mask.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use nephrite_dicom::Series;
use nephrite_dicom_objects::check_label;
use nephrite_kernel::Mask;
use nephrite_nnunet::ModelDescription;
use nephrite_pipeline::DicomOutput;
use nephrite_root::{OutputFile, WorkFolder, remove_file_if_same};
use nephrite_types::{
    CancelToken, FileIdentity, Labels, OutputFormat, Progress as _, SegmentationOptions, Warning,
};
use nephrite_volume::{FileHash, hash_file, write_label_map};
use serde::Serialize;

use super::grid::{label_table, mask_error};
use super::model_run::{Admission, OpenRun};
use super::warnings::log;
use super::{PostprocessingChoice, SegmentRequest, StageClock};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::io_error;
use crate::model::{FileRecord, plain_name};
use crate::objects::{ObjectRun, ObjectSource, object_limits, write_objects};

/// The objects that a request wants.
pub(super) struct RunObjects {
    source: ObjectSource,
    output: DicomOutput,
    /// SHA-256 of the file of codes.
    codes: Option<String>,
    /// All that are written, the label map first.
    files: Vec<(OutputFormat, OutputFile)>,
}

/// What identifiers of objects follow from, so that the same request writes the same bytes.
#[derive(Serialize)]
struct Parts<'a> {
    nephrite: &'static str,
    role: &'a str,
    /// Files of each model, that of a previous stage first.
    models: Vec<Vec<FileRecord>>,
    folds: &'a [String],
    checkpoint: &'a str,
    options: SegmentationOptions,
    postprocessing: bool,
    /// SHA-256 of the file of codes.
    codes: Option<&'a str>,
    /// UIDs of the series and of its images.
    source: Vec<&'a str>,
    /// SHA-256 of the files of the label map.
    mask: Vec<String>,
}

impl RunObjects {
    /// Checks what can be checked before anything is loaded. `None` if the request wants none; `series` is that of its first input,
    /// `label_map` its output.
    ///
    /// # Errors
    /// [`CoreError::NoSeries`], [`CoreError::Formats`], [`CoreError::Codes`]; what the series has that no object can refer to.
    pub(super) fn open(
        core: &Core,
        request: &SegmentRequest,
        series: Option<&Arc<Series>>,
        label_map: &OutputFile,
    ) -> Result<Option<RunObjects>, CoreError> {
        let formats = request.objects.all_formats()?;
        let (output, codes) = request.objects.read(core)?;
        if request.objects.is_empty() {
            return Ok(None);
        }
        let path = &request.inputs[0]; // there is one: it was opened
        let Some(series) = series else {
            return Err(CoreError::NoSeries {
                formats,
                path: path.clone(),
            });
        };
        let source = ObjectSource::of(series, &formats, path, &object_limits(core.limits()))?;
        let file = |format: OutputFormat| -> Result<_, CoreError> {
            let name = format.file_beside(&label_map.file_name);
            Ok((
                format,
                core.root().open_output(&label_map.path.with_file_name(name))?,
            ))
        };
        let files = formats.into_iter().map(file).collect::<Result<_, _>>()?;
        Ok(Some(RunObjects {
            source,
            output,
            codes: codes.map(|file| file.sha256),
            files,
        }))
    }

    /// Every file that is written.
    pub(super) fn files(&self) -> impl Iterator<Item = &OutputFile> {
        self.files.iter().map(|(_, file)| file)
    }

    /// Refuses a model with a label whose name no object can hold.
    ///
    /// # Errors
    /// [`CoreError::Object`]
    pub(super) fn check_labels(&self, model: &ModelDescription) -> Result<(), CoreError> {
        let (_, label_map) = &self.files[0];
        for label in model.labels.iter().filter(|label| label.id != 0) {
            check_label(&label.name).map_err(|source| CoreError::Object {
                path: label_map.path.clone(),
                source: Box::new(source),
            })?;
        }
        Ok(())
    }

    /// Writes the label map and the objects of its mask into a hidden folder beside their names, then gives each its name, the label
    /// map last: where that is, everything is. An object of an earlier run that is not written this time goes. Gives the names of
    /// objects as the request would.
    ///
    /// # Errors
    /// [`CoreError::Object`]; what the system says. No file of this run is left then.
    pub(super) fn write(
        &self,
        (core, request): (&Core, &SegmentRequest),
        (run, admission): (&OpenRun<'_>, Admission<'_>),
        labels: Labels,
        clock: &StageClock<'_>,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, CoreError> {
        let (_, label_map) = &self.files[0];
        let failed = |source| io_error(&label_map.path, source);
        let work = WorkFolder::new(&label_map.folder).map_err(failed)?;
        write_label_map(work.folder(), &label_map.file_name, &labels, &run.source)?;
        let runs = run.part.whole_mask(labels, core.limits())?;
        let mask = Mask::new(runs, label_table(&run.model.description.labels)?).map_err(mask_error)?;
        drop(admission); // only runs are left, and objects ask for their own memory
        let role = plain_name(&request.model.folder);
        let objects = ObjectRun {
            source: &self.source,
            output: &self.output,
            case: self.hash(core, request, run, (&role, work.folder()), cancel)?,
            role: &role,
        };
        let files = self.files.iter();
        let files = files.map(|(format, file)| (*format, file.file_name.clone()));
        let mut warn = |warning: Warning| {
            log(&warning);
            clock.warning(&warning);
        };
        let written = write_objects(core, objects, &mask, work.folder(), files, &mut warn, cancel)?;
        cancel.check()?;
        publish(work.folder(), &self.files, &written)?;
        let is_written = |file: &&OutputFile| written.contains(&file.file_name);
        let paths = self.files().filter(is_written);
        Ok(paths.map(|file| file.path.display().to_string()).collect())
    }

    fn hash(
        &self,
        core: &Core,
        request: &SegmentRequest,
        run: &OpenRun<'_>,
        (role, folder): (&str, &Dir),
        cancel: &CancelToken,
    ) -> Result<[u8; 32], CoreError> {
        let (_, label_map) = &self.files[0];
        let hash = |name: String| -> Result<String, CoreError> {
            let file = folder
                .open(&name)
                .map_err(|source| io_error(&label_map.path, source))?;
            Ok(hash_file(file.into_std(), &name, cancel)?.to_string())
        };
        let models = run.models().map(|model| core.models().hashes(model, cancel));
        let parts = Parts {
            nephrite: env!("CARGO_PKG_VERSION"),
            role,
            models: models.collect::<Result<_, _>>()?,
            folds: &run.model.description.folds,
            checkpoint: request.model.checkpoint.file_name(),
            options: request.options,
            postprocessing: request.postprocessing != PostprocessingChoice::None,
            codes: self.codes.as_deref(),
            source: self.source.uids(),
            mask: label_map.names().map(hash).collect::<Result<_, _>>()?,
        };
        let text = serde_json::to_string(&parts).expect("keys are strings");
        Ok(FileHash::of(text.as_bytes()).sha256)
    }
}

/// Gives what lies in `work` its names, the label map last. A label map that has the name already goes before that: objects and voxels
/// of this run are not its own. On an error none of these files is left.
fn publish(work: &Dir, files: &[(OutputFormat, OutputFile)], written: &[String]) -> Result<(), CoreError> {
    let (_, label_map) = &files[0];
    remove_if_there(&label_map.file_name, label_map).map_err(|source| io_error(&label_map.path, source))?;
    let mut done: Vec<(&OutputFile, String, FileIdentity)> = Vec::new();
    for (format, file) in files.iter().rev() {
        let is_written = !format.is_object() || written.contains(&file.file_name);
        let names: Vec<String> = file.names().collect();
        for name in names.into_iter().rev() {
            // a header last: beside the file of its voxels
            let published = match is_written {
                true => give_name(work, &name, file).map(|identity| done.push((file, name, identity))),
                false => remove_if_there(&name, file),
            };
            if let Err(source) = published {
                for (file, name, identity) in &done {
                    // Not what somebody else has put there meanwhile. The error at hand says more than one of this.
                    let _ = remove_file_if_same(&file.folder, name, identity);
                }
                return Err(io_error(&file.path, source));
            }
        }
    }
    Ok(())
}

fn give_name(work: &Dir, name: &str, file: &OutputFile) -> io::Result<FileIdentity> {
    let identity = FileIdentity::of(&work.open(name)?.into_std())?;
    work.rename(name, &file.folder, name)?;
    Ok(identity)
}

fn remove_if_there(name: &str, file: &OutputFile) -> io::Result<()> {
    match file.folder.remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;
    use nephrite_root::Root;

    use super::*;

    fn outputs(root: &std::path::Path) -> Vec<(OutputFormat, OutputFile)> {
        outputs_of(root, "a.nii.gz")
    }

    fn outputs_of(root: &std::path::Path, label_map: &str) -> Vec<(OutputFormat, OutputFile)> {
        let root = Root::beneath(root).unwrap();
        let output = |format: OutputFormat| {
            let name = format.file_beside(label_map);
            (format, root.open_output(name.as_ref()).unwrap())
        };
        OutputFormat::ALL.map(output).into()
    }

    fn names(folder: &Dir) -> Vec<String> {
        let entries = folder.entries().unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// An object of an earlier run must not stay beside a mask that it is not of.
    #[test]
    fn what_is_not_written_this_time_goes() {
        let (root, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = |temp: &tempfile::TempDir| Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let (folder, work) = (dir(&root), dir(&work));
        for (format, _) in outputs(root.path()) {
            folder.write(format.file_beside("a.nii.gz"), "old").unwrap();
        }
        folder.write("b.seg.dcm", "another").unwrap();
        work.write("a.nii.gz", "new").unwrap();
        work.write("a.rtstruct.dcm", "new").unwrap();
        publish(&work, &outputs(root.path()), &["a.rtstruct.dcm".to_owned()]).unwrap();
        assert_eq!(names(&folder), ["a.nii.gz", "a.rtstruct.dcm", "b.seg.dcm"]);
        assert_eq!(folder.read("a.nii.gz").unwrap(), b"new");
        assert_eq!(names(&work), Vec::<String>::new());
    }

    #[test]
    fn a_header_comes_with_the_file_of_its_voxels() {
        let (root, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = |temp: &tempfile::TempDir| Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let (folder, work) = (dir(&root), dir(&work));
        let outputs = outputs_of(root.path(), "a.nhdr");
        let label_map: Vec<String> = outputs[0].1.names().collect();
        assert_eq!(label_map.len(), 2, "{label_map:?}");
        for name in label_map.iter().map(String::as_str).chain(["a.seg.dcm"]) {
            work.write(name, "new").unwrap();
        }
        publish(&work, &outputs, &["a.seg.dcm".to_owned()]).unwrap();
        let mut expected = [label_map, vec!["a.seg.dcm".to_owned()]].concat();
        expected.sort();
        assert_eq!(names(&folder), expected);
    }

    #[test]
    fn nothing_of_a_run_is_left_that_could_not_be_published() {
        let (root, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = |temp: &tempfile::TempDir| Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let (folder, work) = (dir(&root), dir(&work));
        for name in ["a.nii.gz", "a.seg.dcm", "a.rtstruct.dcm"] {
            work.write(name, "new").unwrap();
        }
        let outputs = outputs(root.path());
        folder.create_dir("a.seg.dcm").unwrap(); // no file can have this name
        folder.write("a.nii.gz", "of an earlier run").unwrap();
        let written = ["a.seg.dcm".to_owned(), "a.rtstruct.dcm".to_owned()];
        let error = publish(&work, &outputs, &written).unwrap_err();
        assert!(error.to_string().contains("a.seg.dcm"), "{error}");
        assert_eq!(names(&folder), ["a.seg.dcm"]);
    }
}
