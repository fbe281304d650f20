//! The operation itself: which labels, how large, and which files beside the mask.

use std::collections::BTreeMap;
use std::io::{Error, Write};

use nephrite_kernel::{
    Artefact, Artefacts, Context, InputSpec, Inputs, LabelForm, LabelTable, Mask, MaskOperation, MaskSize,
    Measurement, OperationDescription, OperationError, Outcome, OutputSpec, ParameterKind, ParameterSpec,
    ParameterValue, Parameters,
};

use nephrite_kernel::memory::run_bytes;

use crate::crop::{choose, crop, crop_box};
use crate::preview::preview;
use crate::reduce::{downsample, factors, select_slices};
use crate::spans::Spans;
use crate::statistics::{measurements, report};
use crate::{files, mesh, stl};

/// A small label map of what matters, a preview, statistics and meshes.
#[derive(Debug)]
pub struct Sample {
    description: OperationDescription,
}

const MAX_MARGIN_MM: f64 = 1e6;

impl Default for Sample {
    fn default() -> Self {
        let mut description = OperationDescription::new(
            "sample",
            "1.0.0",
            "crops to labels and writes a small label map, a preview, statistics and meshes",
        );
        description
            .inputs
            .push(InputSpec::required("mask", "the labels to take a sample of"));
        let flag = |name: &str, help: &str| ParameterSpec::new(name, ParameterKind::Flag, help);
        description.parameters = vec![
            ParameterSpec::new(
                "labels",
                ParameterKind::labels(&["mask"], LabelForm::Name),
                "names of the labels to take; all if left out",
            ),
            ParameterSpec::new(
                "margin_mm",
                ParameterKind::Number {
                    min: 0.0,
                    max: MAX_MARGIN_MM,
                },
                "space around the labels on every side, rounded up to whole voxels",
            )
            .unit("mm")
            .default(ParameterValue::Number(5.0)),
            ParameterSpec::new(
                "max_voxels",
                ParameterKind::Integer {
                    min: 1,
                    max: i64::MAX,
                },
                "the most voxels that the label map may have; no limit if left out",
            )
            .unit("voxel"),
            ParameterSpec::new(
                "reduce",
                ParameterKind::choice(&["downsample", "slices"]),
                "how to meet max_voxels: blocks of voxels into one, or every n-th slice along z",
            )
            .default(ParameterValue::Text("downsample".to_owned())),
            flag(
                "mask_file",
                "write sample.nii.gz; if left out, yes if there is a folder",
            ),
            flag(
                "preview",
                "write preview.png; if left out, yes if there is a folder",
            ),
            flag(
                "statistics",
                "write statistics.json and statistics.csv; if left out, yes if there is a folder",
            ),
            flag(
                "meshes",
                "write mesh_LABEL.stl for every label that is there; if left out, no",
            ),
        ];
        let mask = OutputSpec::on_own_grid("mask", "the small label map; world positions stay");
        description.outputs = vec![mask.labels_named_in(&["mask"], "labels")];
        description.artefacts = true;
        Sample { description }
    }
}

impl Sample {
    /// The operation.
    pub fn new() -> Sample {
        Sample::default()
    }
}

impl MaskOperation for Sample {
    fn description(&self) -> &OperationDescription {
        &self.description
    }

    fn check(&self, parameters: &Parameters, artefacts: bool) -> Result<(), OperationError> {
        Wanted::of(parameters, artefacts).map(|_| ())
    }

    fn run(
        &self,
        inputs: &Inputs,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Outcome, OperationError> {
        let wanted = Wanted::of(parameters, context.artefacts.is_some())?;
        let chosen = choose(inputs.one("mask")?, parameters.texts("labels")?)?;
        context.cancel.check()?;

        let margin_mm = parameters.number("margin_mm").unwrap_or(0.0);
        let bounds = crop_box(chosen.runs(), margin_mm);
        let cropped = Mask::new(
            crop(chosen.runs(), &bounds, context.limits)?,
            chosen.labels().clone(),
        )?;
        context.cancel.check()?;

        let (mut runs, mut factor) = (cropped.runs().clone(), [1; 3]);
        if let Some(max_voxels) = parameters.integer("max_voxels") {
            let max_voxels = max_voxels.unsigned_abs(); // at least 1
            if parameters.text("reduce") == Some("slices") {
                let step;
                (runs, step) = select_slices(&runs, max_voxels, context.limits)?;
                factor[0] = step;
            } else {
                factor = factors(runs.geometry(), max_voxels);
                runs = downsample(&runs, factor, context.limits, context.cancel)?;
            }
        }
        let sample = Mask::new(runs, cropped.labels().clone())?;
        let reports = report(&chosen, context.cancel)?;

        let mut artefacts = Vec::new();
        if let Some(folder) = context.artefacts {
            if wanted.mask_file {
                artefacts.push(write_mask(folder, &sample, context)?);
            }
            if wanted.preview {
                let picture = preview(&cropped, context.cancel)?;
                let write = |out: &mut dyn Write| out.write_all(&picture);
                artefacts.push(folder.write("preview.png", "image/png", write)?);
            }
            if wanted.statistics {
                let geometry = chosen.runs().geometry();
                artefacts.push(folder.write("statistics.json", "application/json", |out| {
                    files::write_json(out, geometry, &reports)
                })?);
                let write = |out: &mut dyn Write| files::write_csv(out, &reports);
                artefacts.push(folder.write("statistics.csv", "text/csv", write)?);
            }
            if wanted.meshes {
                write_meshes(folder, &chosen, context, &mut artefacts)?;
            }
        }
        let mut outcome = Outcome::mask("mask", sample);
        outcome.measurements = reduction(&outcome, factor);
        outcome.measurements.extend(measurements(&reports));
        outcome.artefacts = artefacts;
        Ok(outcome)
    }

    /// The crop, the sample and the surface of each label, in run form; the file of the sample is made from a dense array.
    fn working_bytes(&self, masks: &[MaskSize], parameters: &Parameters) -> u64 {
        let no_file = parameters.has("mask_file") && !parameters.flag("mask_file");
        let margin_mm = parameters.number("margin_mm").unwrap_or(0.0);
        let file = match no_file {
            true => 0,
            false => masks
                .iter()
                .map(|mask| mask.dense_bytes_within(margin_mm))
                .max()
                .unwrap_or(0),
        };
        run_bytes(masks).saturating_mul(8).saturating_add(file)
    }
}

/// Which files to write.
struct Wanted {
    mask_file: bool,
    preview: bool,
    statistics: bool,
    meshes: bool,
}

impl Wanted {
    /// # Errors
    /// [`OperationError::Artefacts`] if a file is asked for and there is no folder.
    fn of(parameters: &Parameters, folder: bool) -> Result<Wanted, OperationError> {
        let wanted = |name: &str, reason: &'static str, default: bool| {
            if parameters.flag(name) && !folder {
                return Err(OperationError::Artefacts { reason });
            }
            Ok(if parameters.has(name) {
                parameters.flag(name)
            } else {
                folder && default
            })
        };
        Ok(Wanted {
            mask_file: wanted(
                "mask_file",
                "parameter mask_file needs a folder to write to",
                true,
            )?,
            preview: wanted("preview", "parameter preview needs a folder to write to", true)?,
            statistics: wanted(
                "statistics",
                "parameter statistics needs a folder to write to",
                true,
            )?,
            meshes: wanted("meshes", "parameter meshes needs a folder to write to", false)?,
        })
    }
}

/// About the sample as a whole: its voxels, and how many voxels of each axis became one.
fn reduction(outcome: &Outcome, factor: [usize; 3]) -> Vec<Measurement> {
    let voxels = outcome
        .get("mask")
        .map_or(0, |mask| mask.runs().geometry().shape.n_voxels());
    let [z, y, x] = factor;
    let values = [
        ("sample_voxels", "voxel", voxels),
        ("reduced_x", "", x),
        ("reduced_y", "", y),
        ("reduced_z", "", z),
    ];
    let measurement = |(name, unit, value): (&str, &str, usize)| Measurement {
        label: String::new(),
        name: name.to_owned(),
        unit: unit.to_owned(),
        value: value as f64,
    };
    values.map(measurement).into()
}

fn write_mask(folder: &Artefacts, sample: &Mask, context: &Context<'_>) -> Result<Artefact, OperationError> {
    let geometry = sample.runs().geometry();
    let bytes = (geometry.shape.n_voxels() as u64).saturating_mul(2);
    check_bytes("sample.nii.gz", bytes, context)?;
    folder.write_label_map("sample.nii.gz", &sample.runs().try_to_labels()?, geometry)
}

fn check_bytes(what: &'static str, bytes: u64, context: &Context<'_>) -> Result<(), OperationError> {
    let limit = context.limits.max_payload_bytes;
    if bytes > limit {
        return Err(OperationError::Limit {
            what,
            found: bytes,
            limit,
        });
    }
    Ok(())
}

/// One file per label that has voxels.
fn write_meshes(
    folder: &Artefacts,
    mask: &Mask,
    context: &Context<'_>,
    artefacts: &mut Vec<Artefact>,
) -> Result<(), OperationError> {
    let affine = mask.runs().geometry().affine;
    let all_names = mesh_names(mask.labels());
    let (mut names, mut meshes) = (Vec::new(), Vec::new());
    for (id, spans) in Spans::of_labels(mask.runs()) {
        let n = mesh::n_triangles(&spans, context.cancel)?;
        let bytes = n
            .saturating_mul(stl::TRIANGLE_BYTES)
            .saturating_add(stl::HEADER_BYTES);
        check_bytes("a mesh", bytes, context)?;
        let name = all_names.get(&id).ok_or_else(|| OperationError::Internal {
            what: format!("label {id} has no name"),
        })?;
        names.push(name.clone());
        meshes.push((spans, n));
    }
    let written = folder.write_all(&names, "model/stl", |index, out| {
        let (spans, n) = &meshes[index];
        stl::write(out, *n, |emit| {
            mesh::triangles(spans, affine, context.cancel, emit).map_err(Error::other)
        })
    });
    context.cancel.check()?; // says better why nothing was written
    artefacts.extend(written?);
    Ok(())
}

/// `mesh_NAME.stl`. A name with anything but ASCII letters, digits, `-` and `_` in it, or longer than 100 bytes, has
/// `_` in their place, is cut, and gets its id after a point, so that names differ if ids do.
fn mesh_names(labels: &LabelTable) -> BTreeMap<u16, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = |name: &str, id: u16| {
        let safe: String = name
            .chars()
            .map(|c| if plain(c) { c } else { '_' })
            .take(100)
            .collect();
        if safe == name {
            format!("mesh_{safe}.stl")
        } else {
            format!("mesh_{safe}.{id}.stl")
        }
    };
    let entries = labels.entries().iter();
    entries
        .map(|entry| (entry.id, name(&entry.name, entry.id)))
        .collect()
}

#[cfg(test)]
mod tests {
    use nephrite_kernel::{LabelEntry, LabelStatus};

    use super::*;

    #[test]
    fn files_of_labels_have_plain_and_different_names() {
        let texts = [
            "liver",
            "left kidney",
            "left_kidney",
            "left/kidney",
            "../x",
            "left_kidney.2",
            "ö",
        ];
        let entries = texts.iter().enumerate().map(|(k, name)| LabelEntry {
            id: k as u16 + 1,
            name: (*name).to_owned(),
            status: LabelStatus::Present,
        });
        let names = mesh_names(&LabelTable::new(entries.collect()).unwrap());
        let expected = [
            "mesh_liver.stl",
            "mesh_left_kidney.2.stl",
            "mesh_left_kidney.stl",
            "mesh_left_kidney.4.stl",
            "mesh____x.5.stl",
            "mesh_left_kidney_2.6.stl",
            "mesh__.7.stl",
        ];
        assert_eq!(names.into_values().collect::<Vec<_>>(), expected);
    }
}
