//! What steps leave in the result folder: masks that are kept, DICOM objects of them, files of samples and operations.

use std::collections::BTreeMap;

use nephrite_kernel::{LabelVolume, Mask};
use nephrite_pipeline::Save;
use nephrite_server::memory::Reservation;
use nephrite_types::{CancelToken, Progress as _, Warning, data_file_of};

use super::executor::Executor;
use super::object_hash::{ObjectParts, WorkPart};
use super::{CaseError, CaseEvent, CaseMask, MaskFileRecord, StepWork};
use crate::objects::{ObjectRun, ObjectSource, write_objects};

impl Executor<'_> {
    /// Writes a mask under the names that the pipeline keeps it by, and tells that it is there. Gives the names.
    pub(super) fn keep(
        &self,
        (id, work): (&str, &StepWork),
        mask: &Mask,
        labels: &[LabelVolume],
        cancel: &CancelToken,
    ) -> Result<Vec<String>, CaseError> {
        let reference = &self.plan.scans[&self.plan.reference];
        let mut files = Vec::new();
        for save in self.plan.pipeline.save.iter().filter(|save| save.step == id) {
            cancel.check()?;
            let memory = self.reserve_grid("writing a mask", cancel)?;
            let grid = (&reference.frame, &reference.source);
            self.results
                .write_mask(&save.file, mask, grid, self.core.limits(), cancel)?;
            drop(memory);
            files.push(save.file.clone());
            files.extend(data_file_of(&save.file));
            files.extend(self.objects((id, work), save, mask, cancel)?);
            self.state().kept.push(MaskFileRecord {
                file: save.file.clone(),
                step: id.to_owned(),
                labels: labels.to_vec(),
            });
        }
        self.events.event(CaseEvent::Mask(CaseMask {
            step: id.to_owned(),
            files: files.clone(),
            labels: labels.to_vec(),
        }));
        Ok(files)
    }

    /// Writes a mask as the DICOM objects that are wanted beside its file. Gives their names.
    fn objects(
        &self,
        (id, work): (&str, &StepWork),
        save: &Save,
        mask: &Mask,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, CaseError> {
        let Some(source) = self.plan.objects.as_ref().filter(|_| save.has_objects()) else {
            return Ok(Vec::new());
        };
        let run = ObjectRun {
            source,
            output: &self.plan.pipeline.dicom,
            case: self.object_hash((id, work), source, &save.file),
            role: id,
        };
        let progress = self.progress(id);
        let mut warn = |warning: Warning| progress.warning(&warning);
        let folder = self.results.dir();
        let files = write_objects(self.core, run, mask, folder, save.files(), &mut warn, cancel)?;
        for file in &files {
            self.results.note(file, cancel)?;
        }
        Ok(files)
    }

    fn object_hash(&self, (id, work): (&str, &StepWork), source: &ObjectSource, file: &str) -> [u8; 32] {
        let state = self.state();
        let mut works = BTreeMap::from([(id, WorkPart::of(work))]);
        let mut open = self.plan.needs(id);
        while let Some(other) = open.pop() {
            if let Some(record) = state.records.get(other)
                && !works.contains_key(other)
            {
                works.insert(other, WorkPart::of(&record.work));
                open.extend(self.plan.needs(other));
            }
        }
        let phases = works.values().filter_map(|work| match work {
            WorkPart::Model { phase, .. } => Some(*phase),
            _ => None,
        });
        let scans = phases.filter_map(|phase| Some((phase, state.scans.get(&phase)?.as_str())));
        let written = self.results.files();
        let of_mask = std::iter::once(file.to_owned()).chain(data_file_of(file));
        let mask: Vec<&str> = of_mask
            .filter_map(|name| written.iter().find(|written| written.path == name))
            .map(|written| written.sha256.as_str())
            .collect();
        let parts = ObjectParts {
            nephrite: env!("CARGO_PKG_VERSION"),
            pipeline: self.plan.file.as_ref().map(|file| file.sha256.as_str()),
            codes: self.plan.codes.as_ref().map(|file| file.sha256.as_str()),
            step: id,
            scans: scans.collect(),
            works,
            source: source.uids(),
            mask: mask.concat(),
        };
        parts.hash()
    }

    /// Room for a dense array of 2 bytes per voxel of the reference grid.
    fn reserve_grid(&self, what: &'static str, cancel: &CancelToken) -> Result<Reservation<'_>, CaseError> {
        let n_voxels = self.plan.scans[&self.plan.reference].frame.shape.n_voxels();
        Ok(self.core.reserve(what, 2 * n_voxels as u64, &[], None, cancel)?)
    }

    /// Files that a step wrote into its folder, by their paths in the result folder; only plain names are believed.
    pub(super) fn note_files<'n>(
        &self,
        id: &str,
        names: impl Iterator<Item = &'n str>,
        cancel: &CancelToken,
    ) -> Result<Vec<String>, CaseError> {
        let mut files = Vec::new();
        for name in names {
            nephrite_kernel::check_artefact_name(name)?;
            let file = format!("{id}/{name}");
            self.results.note(&file, cancel)?;
            files.push(file);
        }
        Ok(files)
    }
}
