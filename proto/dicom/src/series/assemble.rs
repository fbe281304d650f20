//! One stack of images becomes a series.

use super::headed::Headed;
use super::model::{Problem, Series, SeriesFile, SeriesSummary};
use super::options::SeriesOptions;
use super::phase::PhaseEvidence;
use super::plan::Context;
use super::stack::Image;
use super::study::{Study, copied};
use crate::guard::DicomHeader;
use crate::series_fault::SeriesFault;

/// Sums up a stack, whose first image has this header.
pub(super) fn assemble(
    stack: &[Image<'_>],
    reads: &[Headed],
    header: &DicomHeader,
    options: &SeriesOptions,
    broken: Option<&SeriesFault>,
) -> Series {
    let mut indices: Vec<usize> = stack.iter().map(|image| image.file).collect();
    indices.sort_unstable();
    indices.dedup();
    let files: Vec<SeriesFile> = indices
        .iter()
        .map(|&index| SeriesFile {
            path: reads[index].path.clone(),
            name: reads[index].name.clone(),
            identity: reads[index].identity,
            sop_instance: reads[index].image.sop_instance.clone(),
        })
        .collect();
    let context = Context {
        stack,
        reads,
        indices: &indices,
        options,
    };
    let plan = context.plan(broken);
    let duplicates = plan.as_ref().ok().and_then(|plan| context.duplicates(plan));
    let fault = plan.as_ref().err().or(duplicates.as_ref());
    let first = stack[0];
    let mut syntaxes: Vec<String> = indices.iter().map(|&index| reads[index].syntax.clone()).collect();
    syntaxes.sort();
    syntaxes.dedup();
    let rounded = |v: f64| (v * 1e4).round() as i64;
    let summary = SeriesSummary {
        id: first.of.series_uid.clone(),
        uid: first.of.series_uid.clone(),
        modality: first.of.modality.clone(),
        description: first.of.description.clone(),
        n_images: stack.len(),
        n_files: files.len(),
        matrix: first.of.rows_columns,
        spacing: plan.as_ref().ok().map(|plan| plan.geometry.spacing.zyx()),
        shape: plan.as_ref().ok().map(|plan| plan.geometry.shape.zyx()),
        syntaxes,
        problem: fault.map(Problem::of),
        notes: context.notes(),
        phase: PhaseEvidence::of(&header.object),
    };
    Series {
        study: Study {
            elements: copied(&header.object),
            study_uid: first.of.study_uid.clone(),
            series_uid: first.of.series_uid.clone(),
            frame_of_reference_uid: first.of.frame_of_reference.clone(),
            modality: first.of.modality.clone(),
            is_lossy: stack.iter().any(|image| image.of.is_lossy),
        },
        summary,
        direction: first.frame.orientation.map(|values| values.map(rounded)),
        pixel_spacing: first.frame.spacing.map(|values| values.map(rounded)),
        plan,
        duplicates,
        files,
    }
}
