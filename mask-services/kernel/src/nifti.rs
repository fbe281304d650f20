//! Masks in files of volumes: what people have, and how a mask travels that is too large for a message.

use std::collections::BTreeMap;

use cap_std::fs::Dir;
use nephrite_mask_codec::{LabelEntry, LabelStatus, LabelTable, Mask, MaskError, RunMask};
use nephrite_types::{CancelToken, LabelMap, Limits};
use nephrite_volume::{
    NamedLabelMap, SourceGeometry, VolumeFiles, VolumeIdentity, read_named_label_map, write_label_map,
};

use crate::OperationError;

/// Reads a label map. `table` names its labels; ids that the file holds and the table does not are called as the file names them
/// (a segmentation of 3D Slicer does), else `label_<id>`.
/// `name` stands in messages only.
///
/// The affine is taken as the file has it, shear and all, as nibabel does, in mm: where a mask lies is not for a mask
/// operation to correct. A header that says two lengths for one axis is refused; [`nephrite_volume::read_label_map`] says more.
///
/// # Errors
/// [`OperationError::Volume`] if the file is no label map, [`OperationError::Mask`] if it is over the limits.
pub fn read_mask(
    files: impl Into<VolumeFiles>,
    name: &str,
    table: &LabelTable,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Mask, OperationError> {
    read_mask_in(
        files,
        name,
        table,
        limits,
        cancel,
        |_| Ok::<_, OperationError>(()),
    )
}

/// The same in a process with a bound on its memory: `room` hears how many runs there are before any is kept.
///
/// # Errors
/// As [`read_mask`], and what `room` says.
pub(crate) fn read_mask_in<E: From<OperationError>>(
    files: impl Into<VolumeFiles>,
    name: &str,
    table: &LabelTable,
    limits: &Limits,
    cancel: &CancelToken,
    room: impl FnOnce(u64) -> Result<(), E>,
) -> Result<Mask, E> {
    let read = read_named_label_map(files, name, limits, cancel).map_err(OperationError::from)?;
    let NamedLabelMap { map, names } = read;
    let LabelMap { labels, geometry } = map;
    let runs = RunMask::from_labels_in(&labels, &geometry, limits, |n_runs| {
        room(n_runs).map_err(Stop::Room)
    });
    let runs = runs.map_err(|stop| match stop {
        Stop::Mask(error) => OperationError::from(error).into(),
        Stop::Room(error) => error,
    })?;
    drop(labels);
    Ok(name_labels(runs, table, names)?)
}

/// Why reading ended.
enum Stop<E> {
    Mask(MaskError),
    Room(E),
}

impl<E> From<MaskError> for Stop<E> {
    fn from(error: MaskError) -> Self {
        Stop::Mask(error)
    }
}

fn name_labels(
    runs: RunMask,
    table: &LabelTable,
    mut names: BTreeMap<u16, String>,
) -> Result<Mask, OperationError> {
    let unnamed = runs
        .summaries()
        .into_keys()
        .filter(|id| table.by_id(*id).is_none());
    let unnamed = unnamed.map(|id| LabelEntry {
        id,
        name: names.remove(&id).unwrap_or_else(|| format!("label_{id}")),
        status: LabelStatus::Present,
    });
    let entries = table.entries().iter().cloned().chain(unnamed);
    Ok(Mask::new(runs, LabelTable::new(entries.collect())?)?)
}

/// Writes the label map, whole or not at all, in the format that its name ends in; [`read_mask`] with the same table gives the same
/// mask. Names and statuses of the labels are not in the file. Gives which
/// files they were, for whoever may have to remove them.
///
/// # Errors
/// [`OperationError::Limit`] if the dense array is over the limits, [`OperationError::Volume`] if it cannot be written.
pub fn write_mask(
    folder: &Dir,
    file_name: &str,
    mask: &Mask,
    limits: &Limits,
) -> Result<VolumeIdentity, OperationError> {
    let geometry = mask.runs().geometry();
    let found = geometry.shape.n_voxels() as u64 * 2;
    if found > limits.max_payload_bytes {
        return Err(OperationError::Limit {
            what: "a dense label map",
            found,
            limit: limits.max_payload_bytes,
        });
    }
    let labels = mask.runs().try_to_labels()?;
    let written = write_label_map(folder, file_name, &labels, &SourceGeometry::exact(geometry))?;
    Ok(written.files)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use cap_std::ambient_authority;
    use nephrite_mask_codec::{Run, RunMaskBuilder};
    use nephrite_types::{Affine, Coded, ErrorCode, Geometry, Shape3, Spacing};

    use super::*;

    #[test]
    fn a_mask_comes_back_from_its_file_bit_by_bit() {
        let rows = [
            [0.1, 0.01, 0.0, -3.3],
            [-0.1, 0.7, 0.2, 4.1],
            [0.03, -0.2, 2.7, 7.9],
        ];
        let geometry = Geometry {
            shape: Shape3::new([1, 2, 9]).unwrap(),
            spacing: Spacing::new([2.7, 0.7, 0.1]).unwrap(),
            affine: Affine::new(rows).unwrap(),
        };
        let limits = Limits::default();
        let mut builder = RunMaskBuilder::new(geometry, &limits).unwrap();
        let run = |start, end, label| Run { start, end, label };
        builder.push_row([run(1, 4, 300), run(5, 6, 2)]).unwrap();
        builder.push_row([run(0, 9, 255)]).unwrap();
        let entry = |id: u16, name: &str, status| LabelEntry {
            id,
            name: name.to_owned(),
            status,
        };
        let entries = vec![
            entry(2, "kidney", LabelStatus::Present),
            entry(9, "cyst", LabelStatus::Failed),
            entry(255, "label_255", LabelStatus::Present),
            entry(300, "label_300", LabelStatus::Present),
        ];
        let mask = Mask::new(
            builder.finish().unwrap(),
            LabelTable::new(entries.clone()).unwrap(),
        )
        .unwrap();

        let temp = tempfile::tempdir().unwrap();
        let folder = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        write_mask(&folder, "m.nii.gz", &mask, &limits).unwrap();
        let open = || File::open(temp.path().join("m.nii.gz")).unwrap();
        let table = LabelTable::new(entries[..2].to_vec()).unwrap();
        let read = |limits| read_mask(open(), "m.nii.gz", &table, limits, &CancelToken::new());
        assert_eq!(read(&limits).unwrap(), mask);

        let tight = Limits {
            max_payload_bytes: 35,
            ..limits.clone()
        };
        assert_eq!(read(&tight).unwrap_err().code(), ErrorCode::LimitExceeded);
        let refused = write_mask(&folder, "n.nii.gz", &mask, &tight).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::LimitExceeded);
        assert!(!temp.path().join("n.nii.gz").exists());
    }
}
