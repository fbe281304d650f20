use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::Array3;
use nephrite_types::{CancelToken, Geometry, Limits, Stored, Volume, Warning, WarningCode, with_voxels};
use nephrite_volume::{Reader, ScanHeader, SourceGeometry, displacement, read_volume};
use rayon::prelude::*;

use crate::{CoreError, Root};

/// An input that has been opened but not read.
#[derive(Debug)]
pub(crate) struct OpenScan {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl OpenScan {
    pub(crate) fn open(root: &Root, path: &Path) -> Result<Self, CoreError> {
        Ok(OpenScan {
            file: root.open_file(path)?,
            path: path.to_owned(),
        })
    }
}

/// The channels of one case, all on one grid.
#[derive(Debug)]
pub(crate) struct Channels {
    /// In the order of the request.
    pub(crate) volumes: Vec<Volume>,
    /// What the mask gets back: the geometry of the first input.
    pub(crate) source: SourceGeometry,
    /// Header of the first input.
    pub(crate) header: ScanHeader,
    /// Channels that lie elsewhere than the first; nnU-Net warns of them and goes on.
    pub(crate) warnings: Vec<Warning>,
    /// Compressed bytes read.
    pub(crate) bytes_read: u64,
}

impl Channels {
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.volumes[0].geometry
    }
}

/// A request without a scan.
pub(crate) fn no_input() -> CoreError {
    CoreError::Option {
        option: "--input",
        expected: "at least one file",
        found: "none".into(),
    }
}

/// Reads one file per channel; their shapes must be equal, their spacings close, and their voxels finite.
pub(crate) fn read_channels(
    scans: Vec<OpenScan>,
    reader: Reader,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Channels, CoreError> {
    let mut channels: Option<Channels> = None;
    for OpenScan { file, path } in scans {
        let scan = read_volume(file, &path.to_string_lossy(), reader, limits, cancel)?;
        check_finite(&scan.volume, &path)?;
        match &mut channels {
            None => {
                channels = Some(Channels {
                    volumes: vec![scan.volume],
                    source: scan.source,
                    warnings: scan.header.warnings(reader.world())?,
                    header: scan.header,
                    bytes_read: scan.bytes_read,
                });
            }
            Some(channels) => {
                check_same_grid(channels.geometry(), &scan.volume.geometry, &path)?;
                channels.warnings.extend(scan.header.warnings(reader.world())?);
                let number = channels.volumes.len() + 1;
                let elsewhere = lies_elsewhere(channels.geometry(), &scan.volume.geometry, number, &path);
                channels.warnings.extend(elsewhere);
                channels.volumes.push(scan.volume);
                channels.bytes_read += scan.bytes_read;
            }
        }
    }
    channels.ok_or_else(no_input)
}

/// Shapes equal, spacings within `|a − b| ≤ 1e-8 + 1e-5·|b|`.
///
/// Source: nnunetv2 2.8.1, `imageio/base_reader_writer.py` and its readers (`np.allclose`).
fn check_same_grid(first: &Geometry, other: &Geometry, path: &Path) -> Result<(), CoreError> {
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
fn lies_elsewhere(first: &Geometry, other: &Geometry, number: usize, path: &Path) -> Option<Warning> {
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

/// Refuses a scan with NaN or infinite intensities, which would spread through the whole network.
pub(crate) fn check_finite(volume: &Volume, path: &Path) -> Result<(), CoreError> {
    /// Voxels that one task looks at.
    const VOXELS_PER_TASK: usize = 1 << 18;
    fn first<T: Stored>(array: &Array3<T>, volume: &Volume) -> Option<(usize, f32)> {
        let voxels = array.as_slice()?;
        let tasks = voxels.par_chunks(VOXELS_PER_TASK).enumerate();
        tasks.find_map_first(|(task, chunk)| {
            let intensities = chunk.iter().map(|stored| volume.scale.apply(*stored));
            let mut found = intensities.enumerate().filter(|(_, value)| !value.is_finite());
            found.next().map(|(i, value)| (task * VOXELS_PER_TASK + i, value))
        })
    }
    if !may_be_infinite(volume) {
        return Ok(());
    }
    let Some((at, value)) = with_voxels!(&volume.voxels, array => first(array, volume)) else {
        return Ok(());
    };
    let [_, ny, nx] = volume.voxels.shape();
    Err(CoreError::NotFinite {
        index: [at / (ny * nx), at / nx % ny, at % nx],
        value,
        path: path.to_owned(),
    })
}

/// False for integers whose scale factors cannot carry them out of the range of 32-bit floats.
fn may_be_infinite(volume: &Volume) -> bool {
    use nephrite_types::VoxelType;
    match volume.voxels.voxel_type() {
        VoxelType::F32 | VoxelType::F64 => true,
        _ => volume.scale.slope.abs() > 1e18 || volume.scale.inter.abs() > 1e37,
    }
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
