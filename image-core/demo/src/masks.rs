//! The demo's masks, as a pipeline would treat them: merged, cleaned, sampled.

use std::collections::BTreeMap;
use std::sync::Arc;

use nephrite_cleanup::Cleanup;
use nephrite_kernel::{
    Artefacts, Context, Inputs, LabelEntry, LabelStatus, LabelTable, Mask, MaskOperation, OperationError,
    Outcome, ParameterValue, RunMask, run_checked, write_mask,
};
use nephrite_merge::Merge;
use nephrite_phantom::models::DemoModel;
use nephrite_sample::Sample;
use nephrite_types::{CancelToken, LabelMap, Limits};

use crate::DemoError;
use crate::folder::Folder;

/// Merges the masks of all models, cleans the result, and takes a sample of it into `sample/`. The cleaned mask goes to
/// `mask.nii.gz`. Gives what to tell about it.
pub(crate) fn merge_clean_sample(
    folder: &Folder,
    masks: &[(&DemoModel, LabelMap)],
    cancel: &CancelToken,
) -> Result<String, DemoError> {
    let limits = &Limits::default();
    let sample = Folder::create(&folder.path.join("sample"))?;
    let artefacts = Artefacts::new(sample.dir, &sample.path);
    let run =
        |operation: &dyn MaskOperation, inputs: &Inputs, given: &[(&str, ParameterValue)], artefacts| {
            let given: BTreeMap<String, ParameterValue> = given
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect();
            let context = Context {
                limits,
                cancel,
                artefacts,
            };
            run_checked(operation, inputs, &given, &context)
        };

    let mut inputs = Inputs::new();
    for (model, mask) in masks {
        inputs.add("masks", Arc::new(named(model, mask, limits)?));
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
        &Merge::new(),
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
    let cleaned = run(&Cleanup::new(), &first("mask", &merged), &cleaning, None)?;
    let mask = &cleaned.masks[0].1; // the description promises one
    write_mask(&folder.dir, "mask.nii.gz", mask, limits)?;

    let wanted = [
        ("margin_mm", ParameterValue::Number(10.0)),
        ("meshes", ParameterValue::Flag(true)),
    ];
    let sampled = run(
        &Sample::new(),
        &first("mask", &cleaned),
        &wanted,
        Some(&artefacts),
    )?;
    let voxels = |mask: &Mask| {
        mask.summaries()
            .values()
            .map(|summary| summary.voxels)
            .sum::<u64>()
    };
    Ok(format!(
        "merged {} masks ({conflicts} voxels claimed twice), cleaned ({} of {} voxels kept): {}\n{} files of the sample in {}: {}\n",
        masks.len(),
        voxels(mask),
        voxels(&merged.masks[0].1),
        folder.path.join("mask.nii.gz").display(),
        sampled.artefacts.len(),
        sample.path.display(),
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

fn named(model: &DemoModel, map: &LabelMap, limits: &Limits) -> Result<Mask, OperationError> {
    let entries = model.labels.iter().map(|&(id, name)| LabelEntry {
        id: id.into(),
        name: name.to_owned(),
        status: LabelStatus::Present,
    });
    let runs = RunMask::from_labels(&map.labels, &map.geometry, limits)?;
    Ok(Mask::new(runs, LabelTable::new(entries.collect())?)?)
}
