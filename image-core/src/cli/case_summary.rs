//! What a person wants to know of a case that is done.

use std::fmt::Write as _;
use std::path::Path;

use nephrite_image_core::case::CaseReport;
use nephrite_kernel::{LabelStatus, LabelVolume};
use nephrite_types::count;

/// What a person wants to know of a case that is done.
pub(super) struct CaseSummary {
    pub(super) output: String,
    /// Path and labels.
    pub(super) masks: Vec<(String, Vec<LabelVolume>)>,
    pub(super) n_files: usize,
    pub(super) scan_reads: u64,
    pub(super) total_seconds: f64,
    pub(super) peak_rss_bytes: u64,
}

impl CaseSummary {
    pub(super) fn new(output: &Path, report: CaseReport) -> CaseSummary {
        let path = |file: &str| output.join(file).display().to_string();
        let masks = report.record.masks.into_iter();
        CaseSummary {
            masks: masks.map(|mask| (path(&mask.file), mask.labels)).collect(),
            n_files: report.files.len(),
            scan_reads: report.record.counters.scan_reads,
            total_seconds: report.record.total_seconds,
            peak_rss_bytes: report
                .record
                .processes
                .first()
                .map_or(0, |own| own.peak_rss_bytes),
            output: output.display().to_string(),
        }
    }

    /// Masks with the volumes of their labels, then what it cost.
    pub(super) fn to_text(&self) -> String {
        let labels = self.masks.iter().flat_map(|(_, labels)| labels);
        let width = labels
            .map(|label| label.name.chars().count())
            .max()
            .unwrap_or(0)
            .max(9);
        let mut text = String::new(); // writing to a string cannot fail
        for (path, labels) in &self.masks {
            let _ = writeln!(
                text,
                "{path}\n{:width$}  {:>12}  {:>10}",
                "structure", "voxels", "mL"
            );
            for label in labels {
                let LabelVolume {
                    name,
                    status,
                    voxels,
                    volume_ml,
                    ..
                } = label;
                let _ = if *status == LabelStatus::Present {
                    writeln!(text, "{name:width$}  {voxels:>12}  {volume_ml:>10.2}")
                } else {
                    writeln!(text, "{name:width$}  {:>12}", status.name().replace('_', " "))
                };
            }
        }
        let _ = writeln!(
            text,
            "{}: {} from {} in {:.1} s, peak memory {:.2} GB",
            self.output,
            count(self.n_files, "file"),
            count(self.scan_reads, "scan"),
            self.total_seconds,
            self.peak_rss_bytes as f64 / 1e9
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_not_there_say_why() {
        let label = |name: &str, status, voxels| LabelVolume {
            id: 1,
            name: name.to_owned(),
            status,
            voxels,
            volume_ml: voxels as f64 / 100.0,
        };
        let labels = vec![
            label("kidney", LabelStatus::Present, 1234),
            label("cyst", LabelStatus::NotFound, 0),
        ];
        let summary = CaseSummary {
            output: "out".to_owned(),
            masks: vec![("out/a.nii.gz".to_owned(), labels)],
            n_files: 2,
            scan_reads: 3,
            total_seconds: 1.25,
            peak_rss_bytes: 2_000_000_000,
        };
        let expected = "out/a.nii.gz\n\
                        structure        voxels          mL\n\
                        kidney             1234       12.34\n\
                        cyst          not found\n\
                        out: 2 files from 3 scans in 1.2 s, peak memory 2.00 GB\n";
        assert_eq!(summary.to_text(), expected);
    }
}
