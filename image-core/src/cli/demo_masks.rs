//! The demo's masks, as a pipeline would treat them: merged, cleaned, sampled. All in this process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use nephrite_image_core::masks::{OperationSettings, Operations};
use nephrite_image_core::{Core, CoreError};
use nephrite_kernel::{
    Artefacts, Context, Inputs, LabelEntry, LabelStatus, LabelTable, Mask, Outcome, ParameterValue, RunMask,
    write_mask,
};
use nephrite_phantom::models::DemoModel;
use nephrite_types::{CancelToken, LabelMap};

use super::Failure;

/// Merges the masks of all models, cleans the result, and takes a sample of it into `sample/`. The cleaned mask goes to
/// `mask.nii.gz`. Gives what to tell about it.
pub(super) fn merge_clean_sample(
    core: &Core,
    folder: &Path,
    masks: &[(&DemoModel, LabelMap)],
    cancel: &CancelToken,
) -> Result<String, Failure> {
    let operations = Operations::new(&OperationSettings::default(), core.root());
    let sample = folder.join("sample");
    std::fs::create_dir_all(&sample).map_err(|source| CoreError::from(not_writable(&sample, source)))?;
    let artefacts = Artefacts::new(core.root().open_writable_folder(&sample)?, &sample);
    let run = |operation: &str, inputs: &Inputs, given: &[(&str, ParameterValue)], artefacts| {
        let given: BTreeMap<String, ParameterValue> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let context = Context {
            limits: core.limits(),
            cancel,
            artefacts,
        };
        operations.run(operation, inputs, &given, &context)
    };

    let mut inputs = Inputs::new();
    for (model, mask) in masks {
        inputs.add("masks", Arc::new(named(core, model, mask)?));
    }
    // Ureter and pelvis lie within what the kidney model calls kidney; vessels end at the organ's surface.
    let priority = [
        "ureter",
        "renal_pelvis",
        "renal_artery",
        "aorta",
        "kidney",
        "vein",
    ];
    let priority = ParameterValue::Texts(priority.map(str::to_owned).to_vec());
    let names: Vec<String> = masks
        .iter()
        .flat_map(|(model, _)| model.labels.iter().map(|(_, name)| *name))
        .enumerate()
        .map(|(idx, name)| format!("{name}={}", idx + 1))
        .collect();
    let labels = ParameterValue::Texts(names);
    let merged = run(
        "merge",
        &inputs,
        &[("labels", labels), ("priority", priority)],
        None,
    )?;
    let conflicts: f64 = merged
        .measurements
        .iter()
        .filter(|measurement| measurement.name.starts_with("conflict"))
        .map(|measurement| measurement.value)
        .sum();

    let cleaning = [
        ("min_volume_mm3", ParameterValue::Number(100.0)),
        ("fill_holes", ParameterValue::Text("volume".to_owned())),
    ];
    let cleaned = run("cleanup", &first("mask", &merged), &cleaning, None)?;
    let mask = cleaned.masks[0].1.clone(); // the description promises one
    let output = core.root().open_output(&folder.join("mask.nii.gz"))?;
    write_mask(&output.folder, &output.file_name, &mask, core.limits())?;

    let wanted = [
        ("margin_mm", ParameterValue::Number(10.0)),
        ("meshes", ParameterValue::Flag(true)),
    ];
    let sampled = run("sample", &first("mask", &cleaned), &wanted, Some(&artefacts))?;
    let voxels = |mask: &Mask| {
        mask.summaries()
            .values()
            .map(|summary| summary.voxels)
            .sum::<u64>()
    };
    Ok(format!(
        "merged {} masks ({conflicts} voxels claimed twice), cleaned ({} of {} voxels kept): {}\n{} files of the sample in {}: {}\n",
        masks.len(),
        voxels(&mask),
        voxels(&merged.masks[0].1),
        output.path.display(),
        sampled.artefacts.len(),
        sample.display(),
        sampled
            .artefacts
            .iter()
            .map(|file| file.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
    ))
}

fn first(input: &str, outcome: &Outcome) -> Inputs {
    Inputs::new().with(input, outcome.masks[0].1.clone()) // the descriptions promise one
}

fn not_writable(path: &Path, source: std::io::Error) -> nephrite_image_core::PathError {
    nephrite_image_core::PathError::NotWritable {
        path: path.to_owned(),
        source,
    }
}

fn named(core: &Core, model: &DemoModel, map: &LabelMap) -> Result<Mask, CoreError> {
    let entries = model.labels.iter().map(|&(id, name)| LabelEntry {
        id: id.into(),
        name: name.to_owned(),
        status: LabelStatus::Present,
    });
    let mask = || {
        let runs = RunMask::from_labels(&map.labels, &map.geometry, core.limits())?;
        Mask::new(runs, LabelTable::new(entries.collect())?)
    };
    Ok(mask().map_err(nephrite_kernel::OperationError::from)?)
}
