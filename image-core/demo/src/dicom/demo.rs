//! What the demo of DICOM series writes, and which cases are run on that.

use std::path::{Path, PathBuf};

use nephrite_phantom::models::demo_models;
use nephrite_phantom::{Phantom, PhantomSpec};
use nephrite_types::{CancelToken, Phase};
use nephrite_volume::{SourceGeometry, write_label_map, write_volume};
use serde_json::json;

use super::agreement::Agreement;
use super::layout::with_rows_reversed;
use super::results::{LABELS, MERGED, Results};
use super::series::{WrittenSeries, write_series};
use crate::DemoError;
use crate::folder::Folder;

/// Files that the demo's containers use, too: the same steps, with and without DICOM objects.
pub(super) const PIPELINES: [(&str, &str); 2] = [
    (
        "demo-dicom.toml",
        include_str!("../../../../compose/pipelines/demo-dicom.toml"),
    ),
    (
        "demo.toml",
        include_str!("../../../../compose/pipelines/demo.toml"),
    ),
];
/// The phase whose series the objects refer to: `reference` of the pipelines.
const REFERENCE: Phase = Phase::PortalVenous;
/// Folders of the demo.
const SERIES: &str = "patient";
const SCANS: &str = "scans";
const OF_SERIES: &str = "results";
const OF_FILES: &str = "results-nifti";

/// The demo's patient as three DICOM series and, for comparison, as the NIfTI files that dcm2niix makes of such series.
#[derive(Debug)]
pub struct DicomDemo {
    folder: PathBuf,
    phantom: Phantom,
    series: Vec<WrittenSeries>,
}

/// A case to run; paths are relative to the folder of the demo, as those of models in the pipeline are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseTask {
    /// Pipeline file.
    pub pipeline: PathBuf,
    /// `FOLDER#UID`, or a NIfTI file.
    pub scans: Vec<(Phase, PathBuf)>,
    /// Result folder to be made.
    pub output: PathBuf,
}

impl DicomDemo {
    /// Draws patient `seed` and makes `folder` with `models/`, `pipelines/`, the series in `patient/`, the NIfTI files in
    /// `scans/`, and `objects.json`, which says to other programs where the objects will be.
    ///
    /// # Errors
    /// [`DemoError::Exists`], [`DemoError::Path`], [`DemoError::Volume`], [`DemoError::Phantom`], [`DemoError::Object`].
    pub fn write(folder: &Path, seed: u64) -> Result<DicomDemo, DemoError> {
        if folder.symlink_metadata().is_ok() {
            return Err(DemoError::Exists {
                path: folder.to_owned(),
            });
        }
        let drawn = PhantomSpec::demo(seed).generate();
        let series = write_series(&folder.join(SERIES), &drawn, seed)?;
        let phantom = with_rows_reversed(&drawn);
        let scans = Folder::create(&folder.join(SCANS))?;
        let source = SourceGeometry::from_geometry(&phantom.truth.geometry);
        write_label_map(&scans.dir, "truth.nii.gz", &phantom.truth.labels, &source)?;
        for (phase, scan) in &phantom.phases {
            write_volume(&scans.dir, &format!("{phase}.nii.gz"), scan, &source)?;
        }
        let models = Folder::create(&folder.join("models"))?;
        for model in demo_models() {
            model.write_to(&models.dir)?;
        }
        let pipelines = Folder::create(&folder.join("pipelines"))?;
        for (name, text) in PIPELINES {
            pipelines.write(name, text.as_bytes())?;
        }
        Folder::create(folder)?.write("objects.json", objects(&series).as_bytes())?;
        Ok(DicomDemo {
            folder: folder.to_owned(),
            phantom,
            series,
        })
    }

    /// The case of the series, and the same steps on the NIfTI files.
    pub fn tasks(&self) -> [CaseTask; 2] {
        let task =
            |(pipeline, _): (&str, &str), output: &str, scan: &dyn Fn(&WrittenSeries) -> String| CaseTask {
                pipeline: Path::new("pipelines").join(pipeline),
                scans: self
                    .series
                    .iter()
                    .map(|series| (series.phase, scan(series).into()))
                    .collect(),
                output: output.into(),
            };
        let [of_series, of_files] = PIPELINES;
        [
            task(of_series, OF_SERIES, &|series| format!("{SERIES}#{}", series.uid)),
            task(of_files, OF_FILES, &|series| {
                format!("{SCANS}/{}.nii.gz", series.phase)
            }),
        ]
    }

    /// Reads what both cases wrote and compares it: mask, segmentation, structure set, report, and phantom.
    ///
    /// # Errors
    /// [`DemoError`] if a file cannot be read; what disagrees is told by [`Agreement::faults`].
    pub fn compare(&self, cancel: &CancelToken) -> Result<Agreement, DemoError> {
        let results = |output: &str| self.folder.join(output);
        let reference = self.series.iter().find(|series| series.phase == REFERENCE);
        let of_series = Results::read(
            &results(OF_SERIES),
            &self.folder.join(SERIES),
            reference.map(|series| series.uid.as_str()),
            cancel,
        )?;
        let of_files = crate::mask_file::read_mask(&results(OF_FILES).join(MERGED.mask), cancel)?;
        Agreement::of(&of_series, &of_files, &self.phantom)
    }
}

/// Where the series and the objects are, and what labels mean, for `validate.py` of `proto/dicom/objects`.
fn objects(series: &[WrittenSeries]) -> String {
    let folders: Vec<String> = series
        .iter()
        .map(|series| format!("{SERIES}/{}", series.phase))
        .collect();
    let of_results = |file: &str| format!("{OF_SERIES}/{file}");
    let text = json!({
        "source": format!("{SERIES}/{REFERENCE}"),
        "series": folders,
        "mask": of_results(MERGED.mask),
        "labels": LABELS,
        "segmentations": [of_results(MERGED.segmentation)],
        "structure_sets": [of_results(MERGED.structure_set)],
        "reports": [of_results(MERGED.report)],
    });
    format!("{text:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that say something.
    fn lines(text: &str) -> Vec<&str> {
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }

    #[test]
    fn both_pipelines_have_the_same_steps() {
        let [(_, with_objects), (_, plain)] = PIPELINES;
        let (steps, codes) = with_objects.split_once("[codes]").unwrap();
        let formats = lines(steps)
            .into_iter()
            .filter(|line| line.starts_with("formats = "));
        assert_eq!(formats.count(), 1);
        let rest: Vec<_> = lines(steps)
            .into_iter()
            .filter(|line| !line.starts_with("formats = "))
            .collect();
        assert_eq!(rest, lines(plain));
        assert!(plain.contains(&format!("reference = \"{REFERENCE}\"")));
        for (idx, name) in LABELS.iter().enumerate() {
            assert!(plain.contains(&format!("\"{name}={}\"", idx + 1)), "{name}");
            assert!(codes.contains(&format!("\n{name} = {{")), "{name}");
        }
    }
}
