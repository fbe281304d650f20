use std::fs::File;
use std::path::{Path, PathBuf};

use nephrite_types::{CancelToken, Geometry, Limits, Volume};
use nephrite_volume::{Reader, SourceGeometry, read_volume};

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

/// Reads one file per channel; their shapes must be equal and their spacings close.
pub(crate) fn read_channels(
    scans: Vec<OpenScan>,
    reader: Reader,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Channels, CoreError> {
    let mut channels: Option<Channels> = None;
    for OpenScan { file, path } in scans {
        let scan = read_volume(file, &path.to_string_lossy(), reader, limits, cancel)?;
        match &mut channels {
            None => {
                channels = Some(Channels {
                    volumes: vec![scan.volume],
                    source: scan.source,
                    bytes_read: scan.bytes_read,
                });
            }
            Some(channels) => {
                check_same_grid(channels.geometry(), &scan.volume.geometry, &path)?;
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
pub(crate) fn check_same_grid(first: &Geometry, other: &Geometry, path: &Path) -> Result<(), CoreError> {
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
