//! NRRD and MetaImage as they are written, and read again.

use ndarray::Array3;
use nephrite_types::{Affine, Geometry, IntensityScale, Labels, Shape3, Spacing, Volume, VoxelType, Voxels};
use proptest::prelude::*;

use super::read_with;
use crate::format::OutputFormat;
use crate::orientation::tests::{affine, all};
use crate::write::{Rest, Target, encode_labels, encode_volume};
use crate::{Reader, SourceGeometry};

const FORMATS: [OutputFormat; 2] = [OutputFormat::Nrrd, OutputFormat::MetaImage];

/// The file, whole.
pub(super) fn written(volume: &Volume, source: &SourceGeometry, format: OutputFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Rest::Late(late) = encode_volume(&mut bytes, volume, source, Target::one(format)).unwrap() {
        bytes[late.offset as usize..][..late.bytes.len()].copy_from_slice(&late.bytes);
    }
    bytes
}

fn geometry(affine: Affine, [z, y, x]: [usize; 3]) -> Geometry {
    let [sx, sy, sz] = affine.column_norms_xyz();
    Geometry {
        shape: Shape3::new([z, y, x]).unwrap(),
        spacing: Spacing::new([sz, sy, sx]).unwrap(),
        affine,
    }
}

fn close(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    a.iter()
        .zip(b)
        .all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1.0))
}

#[test]
fn volumes_of_all_orientations_come_back_for_every_reader() {
    for orientation in all() {
        let geometry = geometry(affine(orientation, [0.1, 1.7, 2.5]), [3, 4, 5]);
        let voxels = Array3::from_shape_fn((3, 4, 5), |(z, y, x)| (100 * z + 10 * y + x) as i16 - 99);
        let volume = Volume {
            voxels: Voxels::I16(voxels),
            scale: IntensityScale::IDENTITY,
            geometry,
        };
        let source = SourceGeometry::from_geometry(&geometry);
        let nifti = written(&volume, &source, OutputFormat::Nifti { compressed: false });
        for format in FORMATS {
            let bytes = written(&volume, &source, format);
            for reader in Reader::ALL {
                let scan = read_with(&bytes, reader).unwrap();
                let same = read_with(&nifti, reader).unwrap();
                assert_eq!(
                    scan.volume.voxels, same.volume.voxels,
                    "{format:?} {reader} {orientation:?}"
                );
                let (found, right) = (scan.volume.geometry, same.volume.geometry);
                // NIfTI-1 has 32 bits
                assert!(close(
                    &found.affine.rows().concat(),
                    &right.affine.rows().concat(),
                    1e-6
                ));
                assert!(close(&found.spacing.xyz(), &right.spacing.xyz(), 1e-6));
                // and written once more, with the axes turned back
                let again = written(&scan.volume, &scan.source, format);
                let again = read_with(&again, reader).unwrap();
                assert_eq!(again.volume.voxels, scan.volume.voxels);
                let (found, right) = (again.volume.geometry, scan.volume.geometry);
                assert!(close(
                    &found.affine.rows().concat(),
                    &right.affine.rows().concat(),
                    1e-14
                ));
                assert!(close(&found.spacing.xyz(), &right.spacing.xyz(), 1e-14));
            }
        }
    }
}

/// Headers name the file beside them, and are otherwise those of one file.
#[test]
fn headers_of_pairs_are_those_of_itk() {
    let geometry = geometry(affine(all()[0], [0.5, 1.5, 3.0]), [1, 2, 3]);
    let volume = Volume {
        voxels: Voxels::I16(Array3::zeros((1, 2, 3))),
        scale: IntensityScale::IDENTITY,
        geometry,
    };
    let source = SourceGeometry::from_geometry(&geometry);
    let pair = |format, data_file| {
        let mut voxels = Vec::new();
        let target = Target {
            format,
            data_file: Some(data_file),
        };
        match encode_volume(&mut voxels, &volume, &source, target).unwrap() {
            Rest::Header(header) => (header, voxels),
            rest => panic!("{rest:?}"),
        }
    };
    let (header, voxels) = pair(OutputFormat::NrrdPair, "a b.raw.gz");
    let alone = written(&volume, &source, OutputFormat::Nrrd);
    let (text, of_alone) = alone.split_at(alone.len() - voxels.len());
    assert_eq!(of_alone, voxels);
    let text = String::from_utf8_lossy(text);
    let expected = text.strip_suffix("\n").unwrap().to_owned() + "data file: a b.raw.gz\n\n";
    assert_eq!(header, expected);
    let (header, voxels) = pair(OutputFormat::MetaImagePair, "a b.zraw");
    let alone = written(&volume, &source, OutputFormat::MetaImage);
    let (text, of_alone) = alone.split_at(alone.len() - voxels.len());
    assert_eq!(of_alone, voxels);
    let text = String::from_utf8_lossy(text);
    assert_eq!(header, text.replace("= LOCAL", "= a b.zraw"));
}

/// Of the header below.
const META_HEADER_BYTES: usize = 323;

#[test]
fn headers_are_those_of_itk() {
    let geometry = geometry(
        Affine::new([
            [0.0, -1.5, 0.0, 3.25],
            [-0.1, 0.0, 0.0, 0.0],
            [0.0, 0.0, -3.0, 1e-7],
        ])
        .unwrap(),
        [1, 2, 3],
    );
    let volume = Volume {
        voxels: Voxels::U16(Array3::zeros((1, 2, 3))),
        scale: IntensityScale::IDENTITY,
        geometry,
    };
    let source = SourceGeometry::from_geometry(&geometry);
    let nrrd = written(&volume, &source, OutputFormat::Nrrd);
    let header = "NRRD0004\ntype: uint16\ndimension: 3\nspace: left-posterior-superior\nsizes: 3 2 1\n\
                  space directions: (0,0.1,0) (1.5,0,0) (0,0,-3)\nkinds: domain domain domain\nendian: little\n\
                  encoding: gzip\nspace origin: (-3.25,0,0.0000001)\n\n\u{1f}";
    assert_eq!(String::from_utf8_lossy(&nrrd[..header.len()]), header);
    let meta = written(&volume, &source, OutputFormat::MetaImage);
    let header = format!(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n\
                  CompressedData = True\nCompressedDataSize = {:020}\nTransformMatrix = 0 1 0 1 0 0 0 0 -1\n\
                  Offset = -3.25 0 0.0000001\nCenterOfRotation = 0 0 0\nElementSpacing = 0.1 1.5 3\nDimSize = 3 2 1\n\
                  ElementType = MET_USHORT\nElementDataFile = LOCAL\n",
        meta.len() - META_HEADER_BYTES
    );
    assert_eq!(String::from_utf8_lossy(&meta[..META_HEADER_BYTES]), header);
}

#[test]
fn scale_factors_become_intensities() {
    let geometry = geometry(affine(all()[0], [1.0, 1.0, 1.0]), [1, 1, 3]);
    let scale = IntensityScale {
        slope: 0.5,
        inter: -1024.0,
    };
    let source = SourceGeometry::from_geometry(&geometry);
    let stored = [
        (
            Voxels::I16(Array3::from_shape_vec((1, 1, 3), vec![0, 1, -3]).unwrap()),
            VoxelType::F32,
        ),
        (
            Voxels::F64(Array3::from_shape_vec((1, 1, 3), vec![0.0, 1.0, -3.0]).unwrap()),
            VoxelType::F64,
        ),
    ];
    for (voxels, voxel_type) in stored {
        let volume = Volume {
            voxels,
            scale,
            geometry,
        };
        for format in FORMATS {
            let scan = read_with(&written(&volume, &source, format), Reader::SimpleItk).unwrap();
            assert_eq!(
                (scan.volume.scale, scan.volume.voxels.voxel_type()),
                (IntensityScale::IDENTITY, voxel_type)
            );
            let values = scan.volume.to_intensities();
            assert_eq!(values.as_slice().unwrap(), [-1024.0, -1023.5, -1025.5]);
        }
    }
}

#[test]
fn two_axes_stay_two() {
    for file in [
        &b"NRRD0004\ntype: uchar\ndimension: 2\nsizes: 3 2\nspacings: 2 3\nencoding: raw\n\n\x01\x02\x03\x04\x05\x06"[..],
        b"NDims = 2\nDimSize = 3 2\nElementSpacing = 2 3\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n\x01\x02\x03\x04\x05\x06",
    ] {
        let scan = read_with(file, Reader::SimpleItk).unwrap();
        assert_eq!(scan.volume.geometry.spacing.xyz(), [2.0, 3.0, 2997.0]);
        for format in FORMATS {
            let again = written(&scan.volume, &scan.source, format);
            let text = String::from_utf8_lossy(&again);
            assert!(text.contains("sizes: 3 2\n") || text.contains("DimSize = 3 2\n"), "{text}");
            let again = read_with(&again, Reader::SimpleItk).unwrap();
            assert_eq!(again.volume, scan.volume);
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let geometry = geometry(affine(all()[17], [1.0, 2.0, 3.0]), [40, 150, 200]);
    let labels = Labels::U16(Array3::from_shape_fn((40, 150, 200), |(z, y, x)| {
        ((z * y + x / 7) % 300) as u16
    }));
    let source = SourceGeometry::from_geometry(&geometry);
    for format in FORMATS {
        let with = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            let mut bytes = Vec::new();
            let rest = pool
                .install(|| encode_labels(&mut bytes, &labels, &source, Target::one(format)))
                .unwrap();
            (bytes, format!("{rest:?}"))
        };
        assert!(with(1) == with(2) && with(1) == with(5), "{format:?}");
    }
}

proptest! {
    /// Any rotation, any lengths: the place comes back to the last digits.
    #[test]
    fn oblique_volumes_come_back(
        angles in prop::array::uniform3(-3.1f64..3.1), lengths in prop::array::uniform3(0.01f64..9.0),
        origin in prop::array::uniform3(-900.0f64..900.0), mirrored in any::<bool>(), values in prop::array::uniform6(any::<f32>()),
    ) {
        let [(sa, ca), (sb, cb), (sc, cc)] = angles.map(f64::sin_cos);
        let m = if mirrored { -1.0 } else { 1.0 };
        let r = [
            [cb * cc, sa * sb * cc - ca * sc, m * (ca * sb * cc + sa * sc)],
            [cb * sc, sa * sb * sc + ca * cc, m * (ca * sb * sc - sa * cc)],
            [-sb, sa * cb, m * ca * cb],
        ];
        let rows = std::array::from_fn(|i| std::array::from_fn(|c| if c < 3 { r[i][c] * lengths[c] } else { origin[i] }));
        let geometry = geometry(Affine::new(rows).unwrap(), [1, 2, 3]);
        let finite = values.map(|v| if v.is_finite() { v } else { 0.0 });
        let volume = Volume {
            voxels: Voxels::F32(Array3::from_shape_vec((1, 2, 3), finite.to_vec()).unwrap()),
            scale: IntensityScale::IDENTITY,
            geometry,
        };
        for format in FORMATS {
            let bytes = written(&volume, &SourceGeometry::from_geometry(&geometry), format);
            let scan = read_with(&bytes, Reader::SimpleItk).unwrap();
            prop_assert_eq!(&scan.volume.voxels, &volume.voxels);
            let found = scan.volume.geometry;
            prop_assert!(close(&found.affine.rows().concat(), &geometry.affine.rows().concat(), 1e-13));
            prop_assert!(close(&found.spacing.xyz(), &geometry.spacing.xyz(), 1e-13));
        }
    }
}
