//! Brings a mask with all its labels to another grid by world coordinates.

use nephrite_kernel::{CancelToken, Geometry, Limits, Mask, OperationError, grid_difference};

use crate::error::MergeError;
use crate::resample::{Interpolation, resample};

/// The mask on another grid, by world coordinates, with all its labels; as the operation brings masks to the reference.
///
/// On the same grid (as [`grid_difference`] tells it) the voxels are those of `mask`. A label whose voxels all lie outside
/// of `target` becomes one that was not found.
///
/// # Errors
/// [`OperationError::Other`] for grids that no voxel map joins; a grid above the limits; [`OperationError::Cancelled`].
pub fn resample_mask(
    mask: &Mask,
    target: &Geometry,
    interpolation: Interpolation,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Mask, OperationError> {
    let runs = if grid_difference(target, mask.runs().geometry()).is_none() {
        mask.runs().clone().with_geometry(*target)?
    } else {
        let moved = resample(mask.runs(), target, interpolation, limits, cancel)?;
        moved.ok_or(MergeError::Unmappable { mask: 0 })?
    };
    Ok(Mask::new(runs, mask.labels().clone())?)
}

#[cfg(test)]
mod tests {
    use nephrite_kernel::{
        Affine, LabelEntry, LabelStatus, LabelTable, Run, RunMaskBuilder, Shape3, Spacing,
    };

    use super::*;

    /// Voxels of 2 mm from `origin`; labels 1 (voxels 1 to 3 of x) and 2 (voxel 5) in the one row, and 3 without voxels.
    fn case(origin: [f64; 3]) -> Mask {
        let spacing = Spacing::new([2.0; 3]).unwrap();
        let geometry = Geometry {
            shape: Shape3::new([1, 1, 6]).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, origin),
        };
        let mut rows = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
        let run = |start, end, label| Run { start, end, label };
        rows.push_row([run(1, 4, 1), run(5, 6, 2)]).unwrap();
        let entry = |id, name: &str, status| LabelEntry {
            id,
            name: name.to_owned(),
            status,
        };
        let table = LabelTable::new(vec![
            entry(1, "kidney", LabelStatus::Present),
            entry(2, "cyst", LabelStatus::Present),
            entry(3, "stone", LabelStatus::NotSearched),
        ]);
        Mask::new(rows.finish().unwrap(), table.unwrap()).unwrap()
    }

    fn moved(mask: &Mask, target: &Geometry) -> Mask {
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        resample_mask(mask, target, Interpolation::Nearest, &limits, &cancel).unwrap()
    }

    #[test]
    fn on_its_own_grid_a_mask_stays_as_it_is() {
        let mask = case([10.0, 20.0, 30.0]);
        assert_eq!(moved(&mask, mask.runs().geometry()), mask);
        // What a header's 32-bit numbers may differ by changes no voxel, and the grid is then the target's.
        let close = *case([10.0, 20.0, 30.000_01]).runs().geometry();
        let result = moved(&mask, &close);
        assert_eq!(result.runs().runs(), mask.runs().runs());
        assert_eq!(*result.runs().geometry(), close);
    }

    #[test]
    fn elsewhere_voxels_follow_the_world_and_labels_stay() {
        let mask = case([0.0; 3]);
        // Two voxels further along x, and one voxel more than is labeled at the end is cut off.
        let target = *case([4.0, 0.0, 0.0]).runs().geometry();
        let result = moved(&mask, &target);
        let runs = [
            Run {
                start: 0,
                end: 2,
                label: 1,
            },
            Run {
                start: 3,
                end: 4,
                label: 2,
            },
        ];
        assert_eq!(result.runs().runs(), runs);
        assert_eq!(result.labels(), mask.labels());
        let far = *case([-8.0, 0.0, 0.0]).runs().geometry();
        let result = moved(&mask, &far);
        assert_eq!(result.summaries().keys().collect::<Vec<_>>(), [&1]);
        let status = |id| result.labels().by_id(id).unwrap().status;
        assert_eq!(
            (status(1), status(2), status(3)),
            (
                LabelStatus::Present,
                LabelStatus::NotFound,
                LabelStatus::NotSearched
            )
        );
    }
}
