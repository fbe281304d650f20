//! Several scans as channels of one network: whether they lie on one grid.

use std::path::Path;

use nephrite_types::{Geometry, Warning, WarningCode};
use nephrite_volume::displacement;

use crate::error::CoreError;

/// A request without a scan.
pub(super) fn no_input() -> CoreError {
    CoreError::Field {
        field: "input",
        expected: "at least one file",
        found: "none".into(),
    }
}

/// Shapes equal, spacings within `|a − b| ≤ 1e-8 + 1e-5·|b|`.
///
/// Source: nnunetv2 2.8.1, `imageio/base_reader_writer.py` and its readers (`np.allclose`).
pub(super) fn check_same_grid(first: &Geometry, other: &Geometry, path: &Path) -> Result<(), CoreError> {
    if first.shape != other.shape {
        return Err(CoreError::ChannelShape {
            expected: first.shape,
            found: other.shape,
            path: path.to_owned(),
        });
    }
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-8 + 1e-5 * b.abs();
    let pairs = other.spacing.zyx().into_iter().zip(first.spacing.zyx());
    if pairs.into_iter().all(|(a, b)| close(a, b)) {
        Ok(())
    } else {
        Err(CoreError::ChannelSpacing {
            expected: first.spacing,
            found: other.spacing,
            path: path.to_owned(),
        })
    }
}

/// A warning for a channel whose voxels do not lie where those of the first channel lie: nnU-Net takes them by index.
pub(super) fn lies_elsewhere(
    first: &Geometry,
    other: &Geometry,
    number: usize,
    path: &Path,
) -> Option<Warning> {
    let apart = displacement(first, other);
    apart.is_visible().then(|| Warning {
        code: WarningCode::ChannelGeometry,
        file: path.display().to_string(),
        message: format!(
            "channel {number} does not lie where the first one lies: voxels are up to {:.3} mm ({:.3} voxels) apart, and are \
             taken by index all the same",
            apart.millimetres, apart.voxels
        ),
    })
}

#[cfg(test)]
mod tests {
    use nephrite_types::{Affine, Shape3, Spacing};

    use super::*;

    fn geometry(shape: [usize; 3], spacing: [f64; 3]) -> Geometry {
        let spacing = Spacing::new(spacing).unwrap();
        Geometry {
            shape: Shape3::new(shape).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        }
    }

    #[test]
    fn shapes_must_be_equal_and_spacings_close() {
        let first = geometry([2, 3, 4], [3.0, 1.0, 1.0]);
        let check = |other| check_same_grid(&first, &other, Path::new("b.nii.gz"));
        assert!(check(geometry([2, 3, 4], [3.0, 1.0, 1.000_005])).is_ok());
        assert!(matches!(
            check(geometry([2, 3, 4], [3.0, 1.0, 1.000_02])),
            Err(CoreError::ChannelSpacing { .. })
        ));
        assert!(matches!(
            check(geometry([2, 3, 5], [3.0, 1.0, 1.0])),
            Err(CoreError::ChannelShape { .. })
        ));
    }
}
