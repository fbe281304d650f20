//! Volumes that come from elsewhere are what a file with them would be read as.

use nephrite_types::{Affine, CancelToken, Geometry, IntensityScale, Limits, Shape3, Spacing, Voxels};
use proptest::prelude::*;

use super::read_stream;
use crate::format::OutputFormat;
use crate::write::{Target, encode_volume};
use crate::{Reader, Scan, ScanHeader};

/// Axes of a rotation about `axis` by `angle`, one after the other.
fn axes(axis: [f64; 3], angle: f64) -> [[f64; 3]; 3] {
    let norm = axis.iter().map(|v| v * v).sum::<f64>().sqrt();
    let [x, y, z] = axis.map(|v| v / norm);
    let (s, c) = angle.sin_cos();
    let t = 1.0 - c;
    [
        [t * x * x + c, t * x * y + s * z, t * x * z - s * y],
        [t * x * y - s * z, t * y * y + c, t * y * z + s * x],
        [t * x * z + s * y, t * y * z - s * x, t * z * z + c],
    ]
}

fn geometry(axis: [f64; 3], angle: f64, spacing: [f64; 3], origin: [f64; 3]) -> Geometry {
    let axes = axes(axis, angle);
    let rows = std::array::from_fn(|r| {
        let step = |c: usize| axes[c][r] * spacing[2 - c];
        [step(0), step(1), step(2), origin[r]]
    });
    Geometry {
        shape: Shape3::new([2, 3, 4]).unwrap(),
        spacing: Spacing::new(spacing).unwrap(),
        affine: Affine::new(rows).unwrap(),
    }
}

proptest! {
    /// Written and read again, by any reader, it is the same scan; an oblique one moves in the last digit of 32 bits, as it
    /// does whenever ITK's numbers are written again.
    #[test]
    fn a_scan_of_a_grid_is_the_scan_of_its_file(
        axis in prop::array::uniform3(0.1f64..1.0),
        angle in -3.0f64..3.0,
        spacing in prop::array::uniform3(0.3f64..5.0),
        origin in prop::array::uniform3(-400.0f64..400.0),
        slope in prop::sample::select(vec![1.0, 0.5, 2.0]),
    ) {
        let geometry = geometry(axis, angle, spacing, origin);
        let scale = IntensityScale { slope, inter: -1024.0 };
        let voxels = || Voxels::I16(ndarray::Array3::from_shape_fn((2, 3, 4), |(z, y, x)| (z * 12 + y * 4 + x) as i16));
        let of_grid = |reader| Scan::of_grid(voxels(), &geometry, scale, reader, &Limits::default(), "s").unwrap();
        let first = of_grid(Reader::SimpleItk);
        let mut bytes = Vec::new();
        encode_volume(&mut bytes, &first.volume, &first.source, Target::one(OutputFormat::Nifti { compressed: false })).unwrap();
        for reader in Reader::ALL {
            let size = bytes.len() as u64;
            let limits = Limits::default();
            let read = read_stream(&bytes[..], size, "s", reader, &limits, &CancelToken::new()).unwrap();
            let scan = of_grid(reader);
            prop_assert_eq!(&scan.volume.voxels, &read.volume.voxels);
            prop_assert_eq!(scan.volume.scale, read.volume.scale);
            prop_assert_eq!(scan.volume.geometry.shape, read.volume.geometry.shape);
            let numbers = |scan: &Scan| scan.volume.geometry.affine.rows().concat();
            for (found, expected) in numbers(&scan).iter().zip(numbers(&read)) {
                prop_assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{found} {expected}");
            }
            let header = ScanHeader::of_grid(&geometry, scan.volume.voxels.voxel_type(), scale, &limits, "s").unwrap();
            prop_assert_eq!(header.geometry(reader).unwrap(), scan.volume.geometry);
            // And where it was asked to lie.
            let rows = header.frame(reader.world()).unwrap().affine.rows();
            for (found, asked) in rows.iter().flatten().zip(geometry.affine.rows().iter().flatten()) {
                prop_assert!((found - asked).abs() < 1e-4, "{found} {asked}");
            }
        }
    }
}

/// Numbers that 32 bits hold stay bit by bit.
#[test]
fn a_straight_scan_of_a_grid_is_the_scan_of_its_file_bit_by_bit() {
    let geometry = Geometry {
        affine: Affine::from_spacing(Spacing::new([2.5, 0.75, 0.75]).unwrap(), [-100.5, 20.0, 3.25]),
        spacing: Spacing::new([2.5, 0.75, 0.75]).unwrap(),
        shape: Shape3::new([2, 3, 4]).unwrap(),
    };
    let voxels = || Voxels::U16(ndarray::Array3::from_elem((2, 3, 4), 7));
    let (limits, scale) = (Limits::default(), IntensityScale::IDENTITY);
    let of_grid = |reader| Scan::of_grid(voxels(), &geometry, scale, reader, &limits, "s").unwrap();
    let first = of_grid(Reader::SimpleItk);
    let mut bytes = Vec::new();
    encode_volume(
        &mut bytes,
        &first.volume,
        &first.source,
        Target::one(OutputFormat::Nifti { compressed: true }),
    )
    .unwrap();
    for reader in Reader::ALL {
        let read = read_stream(
            &bytes[..],
            bytes.len() as u64,
            "s",
            reader,
            &limits,
            &CancelToken::new(),
        )
        .unwrap();
        assert_eq!(of_grid(reader).volume, read.volume);
        assert_eq!(of_grid(reader).source, read.source);
        assert_eq!(read.volume.geometry.affine.rows(), geometry.affine.rows());
    }
}
