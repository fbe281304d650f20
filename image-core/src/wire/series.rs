//! A listing of DICOM series as a message.

use nephrite_dicom::{PhaseEvidence, SeriesSummary};
use nephrite_proto::v1;

use super::description::shape;
use crate::series::SeriesListing;

pub(crate) fn listing(listing: SeriesListing) -> v1::ListSeriesResponse {
    let others = listing.others.into_iter().map(|other| v1::OtherFile {
        file: other.file,
        what: other.what,
    });
    v1::ListSeriesResponse {
        series: listing.series.into_iter().map(series).collect(),
        others: others.collect(),
    }
}

fn series(summary: SeriesSummary) -> v1::DicomSeries {
    let (problem, problem_message) = summary
        .problem
        .map(|problem| (problem.kind.to_owned(), problem.message))
        .unwrap_or_default();
    v1::DicomSeries {
        id: summary.id,
        uid: summary.uid,
        modality: summary.modality,
        description: summary.description,
        images: summary.n_images as u64,
        files: summary.n_files as u64,
        shape: summary.shape.map(|[z, y, x]| shape([x, y, z])),
        spacing: summary.spacing.map(Vec::from).unwrap_or_default(),
        syntaxes: summary.syntaxes,
        problem,
        problem_message,
        notes: summary.notes,
        phase: Some(evidence(summary.phase)),
    }
}

fn evidence(phase: PhaseEvidence) -> v1::PhaseEvidence {
    v1::PhaseEvidence {
        agent_phase: phase.agent_phase.unwrap_or_default(),
        agent: phase.agent.unwrap_or_default(),
        seconds_after_start: phase.seconds_after_start,
        protocol: phase.protocol.unwrap_or_default(),
    }
}
