//! One mask operation on files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use nephrite_kernel::memory::{ON_MASKS, run_bytes, writing_bytes};
use nephrite_kernel::{
    Artefacts, Context, Inputs, LabelTable, LabelVolume, Mask, MaskSize, Measurement, OperationDescription,
    OperationError, ParameterValue, Parameters, check_artefacts, quoted, write_mask,
};
use nephrite_root::{OutputFile, Root, sweep};
use nephrite_types::{CancelToken, VOLUME_ENDINGS};
use nephrite_volume::VolumeIdentity;
use serde::Serialize;

use super::{Operations, StepPlace};
use crate::core::Core;
use crate::error::CoreError;
use crate::memory::{peak_rss_bytes, remove_volume};
use crate::objects::{MaskFile, ObjectGrid, SeenMask};
use crate::segment::WarningReport;

/// A mask that goes in.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskInput {
    /// Name of the operation's input; `None` is its first.
    pub name: Option<String>,
    /// Label map, DICOM segmentation, or DICOM structure set; labels of the latter two are named as their segments or regions are.
    pub path: PathBuf,
    /// What the ids mean; those without a name are called `label_<id>`.
    pub labels: LabelTable,
    /// Scan on whose voxels a DICOM object is read: a file, a folder with one DICOM series, or `folder#UID`. A structure set needs one;
    /// a segmentation has the grid of its frames without it. A label map has a grid of its own, whatever stands here.
    pub grid: Option<PathBuf>,
}

/// A mask that comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskOutput {
    /// Name of the operation's output; `None` is its first.
    pub name: Option<String>,
    /// Where it goes; the name ends as one of [`VOLUME_ENDINGS`].
    pub path: PathBuf,
}

/// One operation on files.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskRequest {
    /// Its name.
    pub operation: String,
    /// What goes in.
    pub inputs: Vec<MaskInput>,
    /// Parameters as text; the operation's description says how to read them.
    pub parameters: Vec<(String, String)>,
    /// What comes out and is kept.
    pub outputs: Vec<MaskOutput>,
    /// Folder for files; `None` if none are wanted.
    pub artefacts: Option<PathBuf>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaskReport {
    /// Name of the operation.
    pub operation: String,
    /// Its version.
    pub version: String,
    /// Where it ran.
    pub place: StepPlace,
    /// Values in force: those that were given, and defaults.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Masks that came out.
    pub masks: Vec<MaskOutputReport>,
    /// Files that were written.
    pub artefacts: Vec<ArtefactReport>,
    /// Numbers that were found.
    pub measurements: Vec<Measurement>,
    /// What was odd about the masks that went in, and what was done about it.
    pub warnings: Vec<WarningReport>,
    /// What the process was expected to hold at its peak, in bytes, from the masks' sizes.
    pub expected_memory_bytes: u64,
    /// Most memory that the process held resident up to the end of this operation, in bytes.
    pub peak_rss_bytes: u64,
    /// Wall time.
    pub seconds: MaskSeconds,
}

/// One mask that came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MaskOutputReport {
    /// Of the output.
    pub name: String,
    /// Where it went; `None` if it was not asked for.
    pub path: Option<String>,
    /// Sorted by id.
    pub labels: Vec<LabelVolume>,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtefactReport {
    /// Its file name.
    pub name: String,
    /// Where it lies.
    pub path: String,
    /// Such as `image/png`.
    pub media_type: String,
}

/// Wall time of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MaskSeconds {
    /// Reading files.
    pub read: f64,
    /// The operation, way to its service and back included.
    pub run: f64,
    /// Writing files.
    pub write: f64,
}

/// Reads the masks, runs the operation where it is placed, and writes what was asked for. Names and parameters are checked
/// before anything is read.
///
/// # Errors
/// [`CoreError`]; no output is left then.
pub fn run_mask(
    core: &Core,
    operations: &Operations,
    request: &MaskRequest,
    cancel: &CancelToken,
) -> Result<MaskReport, CoreError> {
    let description = operations.describe(&request.operation, cancel)?;
    let given = parameters(&description, &request.parameters)?;
    let checked = Parameters::check(&description.parameters, &given)?;
    check_artefacts(&description, request.artefacts.is_some())?;
    operations.check(
        &request.operation,
        &description,
        &checked,
        request.artefacts.is_some(),
    )?;
    let outputs = open_outputs(core, &description, &request.outputs)?;
    let mut made = MadeFolder::default();
    let artefacts = match &request.artefacts {
        Some(folder) => {
            let (open, is_new) = core.root().open_or_make_folder(folder)?;
            made.0 = is_new.then(|| (core.root().clone(), folder.clone()));
            sweep(&open);
            Some(Artefacts::new(open, folder))
        }
        None => None,
    };

    let started = Instant::now();
    let files = open_inputs(core, &description, &request.inputs, &outputs, cancel)?;
    let needed = |sizes: &[MaskSize]| operations.request_bytes(&request.operation, sizes, &checked);
    let odd = files.iter().flat_map(|file| file.mask.warnings());
    let warnings: Vec<WarningReport> = odd.map(WarningReport::from).collect();
    let mut sizes: Vec<MaskSize> = files.iter().map(|file| file.mask.size()).collect();
    let mut memory = core.reserve(ON_MASKS, needed(&sizes)?, &[], None, cancel)?;
    let mut inputs = Inputs::new();
    for (idx, file) in files.into_iter().enumerate() {
        let counted = |size| -> Result<(), CoreError> {
            sizes[idx] = size;
            Ok(memory.grow(ON_MASKS, needed(&sizes)?)?)
        };
        let name = file.name.clone();
        inputs.add(&name, Arc::new(file.read(core, cancel, counted)?));
    }
    let read = started.elapsed();
    let context = Context {
        limits: core.limits(),
        cancel,
        artefacts: artefacts.as_ref(),
    };
    let outcome = operations.run(&request.operation, &inputs, &given, &context)?;
    let ran = started.elapsed();
    drop(inputs);
    let sizes: Vec<MaskSize> = outcome.masks.iter().map(|(_, mask)| MaskSize::of(mask)).collect();
    let mut write = |file: &OutputFile, mask: &Mask| -> Result<VolumeIdentity, CoreError> {
        let needed = run_bytes(&sizes).saturating_add(writing_bytes(&MaskSize::of(mask)));
        memory.grow(ON_MASKS, needed)?;
        Ok(write_mask(&file.folder, &file.file_name, mask, core.limits())?)
    };
    let mut masks = Vec::new();
    let mut kept: Vec<(&OutputFile, VolumeIdentity)> = Vec::new();
    for (name, mask) in &outcome.masks {
        let output = outputs
            .iter()
            .find(|(output, _)| output == name)
            .map(|(_, file)| file);
        if let Some(file) = output {
            match write(file, mask) {
                Ok(written) => kept.push((file, written)),
                Err(error) => {
                    // An operation that fails leaves nothing, and neither does a result that cannot be kept.
                    artefacts.iter().for_each(Artefacts::discard);
                    for (file, written) in kept {
                        remove_volume(file, &written);
                    }
                    return Err(error);
                }
            }
        }
        masks.push(MaskOutputReport {
            name: name.clone(),
            path: output.map(|file| file.path.display().to_string()),
            labels: mask.label_volumes(),
        });
    }
    let written = started.elapsed();
    made.keep();
    Ok(MaskReport {
        operation: request.operation.clone(),
        version: description.version.clone(),
        place: operations.place(&request.operation),
        parameters: checked.values().clone(),
        masks,
        artefacts: outcome.artefacts.into_iter().map(artefact).collect(),
        measurements: outcome.measurements,
        warnings,
        expected_memory_bytes: core.process_bytes() + memory.bytes(),
        peak_rss_bytes: peak_rss_bytes(),
        seconds: MaskSeconds {
            read: read.as_secs_f64(),
            run: (ran - read).as_secs_f64(),
            write: (written - ran).as_secs_f64(),
        },
    })
}

/// A folder that was made for the files of an operation; goes away with it if the operation fails, unless somebody put something
/// there meanwhile.
#[derive(Default)]
struct MadeFolder(Option<(Arc<Root>, PathBuf)>);

impl MadeFolder {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for MadeFolder {
    fn drop(&mut self) {
        if let Some((root, path)) = self.0.take()
            && let Ok((parent, name)) = root.open_parent(&path)
        {
            let _ = parent.remove_dir(name); // one that is not empty stays
        }
    }
}

/// Texts become what the description says; unknown names are kept, for the check that names them.
fn parameters(
    description: &OperationDescription,
    given: &[(String, String)],
) -> Result<BTreeMap<String, ParameterValue>, OperationError> {
    let values = given.iter().map(|(name, text)| {
        let spec = description.parameters.iter().find(|spec| spec.name == *name);
        let value = match spec {
            None => ParameterValue::Text(text.clone()),
            Some(spec) => spec
                .kind
                .parse(text)
                .map_err(|expected| OperationError::ParameterValue {
                    name: name.clone(),
                    found: format!("the text {}", quoted(text)),
                    expected,
                })?,
        };
        Ok((name.clone(), value))
    });
    values.collect()
}

fn open_outputs(
    core: &Core,
    description: &OperationDescription,
    wanted: &[MaskOutput],
) -> Result<Vec<(String, OutputFile)>, CoreError> {
    let known = || description.outputs.iter().map(|spec| spec.name.clone());
    let opened = wanted.iter().map(|output| {
        let name = output.name.clone().or_else(|| known().next());
        let name = name.filter(|name| known().any(|known| known == *name));
        let name = name.ok_or_else(|| CoreError::MaskOutput {
            operation: description.name.clone(),
            output: output.name.clone().unwrap_or_default(),
            known: known().collect(),
        })?;
        Ok((name, core.open_output("output", &output.path, &VOLUME_ENDINGS)?))
    });
    opened.collect()
}

/// An input whose size is known.
struct OpenInput<'a> {
    name: String,
    given: &'a MaskInput,
    mask: SeenMask,
}

fn open_inputs<'a>(
    core: &Core,
    description: &OperationDescription,
    given: &'a [MaskInput],
    outputs: &[(String, OutputFile)],
    cancel: &CancelToken,
) -> Result<Vec<OpenInput<'a>>, CoreError> {
    let opened = given.iter().map(|given| {
        let first = || description.inputs.first().map(|spec| spec.name.clone());
        let file = MaskFile::open(core, &given.path)?;
        let is_read = |output: &OutputFile| file.files().any(|file| output.is_same_file(file));
        if let Some((_, output)) = outputs.iter().find(|(_, output)| is_read(output)) {
            return Err(CoreError::OutputIsInput {
                path: output.path.clone(),
            });
        }
        let grid = match &given.grid {
            Some(grid) if file.is_object() => Some(open_grid(core, grid, outputs, cancel)?),
            _ => None,
        };
        Ok(OpenInput {
            name: given.name.clone().or_else(first).unwrap_or_default(),
            given,
            mask: file.look(core, &given.path, &given.labels, grid.as_ref(), cancel)?,
        })
    });
    let opened: Vec<OpenInput<'a>> = opened.collect::<Result<_, _>>()?;
    let grid = given.iter().find_map(|given| given.grid.as_ref());
    match grid {
        Some(grid) if !opened.iter().any(|input| input.mask.is_object()) => Err(CoreError::Field {
            field: "grid",
            expected: "a DICOM object among the inputs, since label maps have a grid of their own",
            found: grid.display().to_string(),
        }),
        _ => Ok(opened),
    }
}

/// The scan that an object is read on, which no output may replace.
fn open_grid(
    core: &Core,
    path: &Path,
    outputs: &[(String, OutputFile)],
    cancel: &CancelToken,
) -> Result<ObjectGrid, CoreError> {
    let scan = core.volumes().open_scan(path, cancel)?;
    let is_replaced = |output: &&OutputFile| scan.identity().is_replaced_by(core.root(), output);
    match outputs.iter().map(|(_, output)| output).find(is_replaced) {
        Some(output) => Err(CoreError::OutputIsInput {
            path: output.path.clone(),
        }),
        None => ObjectGrid::of_open(core, &scan, path),
    }
}

impl OpenInput<'_> {
    fn read(
        self,
        core: &Core,
        cancel: &CancelToken,
        counted: impl FnOnce(MaskSize) -> Result<(), CoreError>,
    ) -> Result<Mask, CoreError> {
        let MaskInput { path, labels, .. } = self.given;
        self.mask.read(core, path, labels, cancel, counted)
    }
}

fn artefact(artefact: nephrite_kernel::Artefact) -> ArtefactReport {
    ArtefactReport {
        name: artefact.name,
        path: artefact.path.display().to_string(),
        media_type: artefact.media_type,
    }
}
