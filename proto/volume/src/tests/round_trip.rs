//! What is written is read again, for every type, version, byte order and orientation.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ndarray::Array3;
use nephrite_types::{
    Affine, CancelToken, Geometry, IntensityScale, Labels, Limits, Shape3, Spacing, Volume, VoxelType, Voxels,
};
use proptest::prelude::*;

use super::{file, gzip, read, read_with};
use crate::format::OutputFormat;
use crate::grid::datatype_code;
use crate::header::{Header, Version, tests::plain};
use crate::orientation::tests::{affine, all};
use crate::write::{Target, encode_labels, encode_volume};
use crate::{
    Format, Reader, ScanHeader, SourceGeometry, VolumeError, inspect, read_volume, write_label_map,
    write_volume,
};

/// 4 × 3 × 2 voxels (x, y, z) of every type, with its extremes, and their bytes.
fn samples(big_endian: bool) -> Vec<(Voxels, Vec<u8>)> {
    macro_rules! sample {
        ($variant:ident, $t:ty) => {{
            let mut values: Vec<$t> = (0..24u8).map(|i| i as $t).collect();
            (values[0], values[23]) = (<$t>::MIN, <$t>::MAX);
            let swap = |v: &$t| {
                if big_endian {
                    v.to_be_bytes()
                } else {
                    v.to_le_bytes()
                }
            };
            let bytes = values.iter().flat_map(swap).collect();
            (
                Voxels::$variant(Array3::from_shape_vec((2, 3, 4), values).unwrap()),
                bytes,
            )
        }};
    }
    vec![
        sample!(U8, u8),
        sample!(I8, i8),
        sample!(U16, u16),
        sample!(I16, i16),
        sample!(U32, u32),
        sample!(I32, i32),
        sample!(U64, u64),
        sample!(I64, i64),
        sample!(F32, f32),
        sample!(F64, f64),
    ]
}

#[test]
fn every_type_version_and_byte_order_is_read_and_written() {
    for big_endian in [false, true] {
        for version in [Version::One, Version::Two] {
            for (voxels, payload) in samples(big_endian) {
                let header = Header {
                    datatype: datatype_code(voxels.voxel_type()),
                    ..plain(version, big_endian)
                };
                let plain = file(&header, &payload);
                for bytes in [plain.clone(), gzip(&plain)] {
                    for reader in Reader::ALL {
                        let scan = read_with(&bytes, reader).unwrap();
                        assert_eq!(scan.volume.voxels, voxels, "{version:?} {big_endian} {reader}");
                        assert_eq!(scan.bytes_read, bytes.len() as u64);
                        for compressed in [false, true] {
                            let mut written = Vec::new();
                            encode_volume(
                                &mut written,
                                &scan.volume,
                                &scan.source,
                                Target::one(OutputFormat::Nifti { compressed }),
                            )
                            .unwrap();
                            assert_eq!(read_with(&written, reader).unwrap().volume, scan.volume);
                        }
                    }
                }
            }
        }
    }
}

/// Longer than a chunk, so that two threads work, and not a multiple of it.
#[test]
fn large_files_are_read_as_small_ones() {
    let n = (300, 211, 17);
    let values: Vec<i16> = (0..n.0 * n.1 * n.2)
        .map(|i| ((i * 2654435761usize) >> 7) as i16)
        .collect();
    for big_endian in [false, true] {
        let mut header = plain(Version::One, big_endian);
        header.dim = [3, n.0 as i64, n.1 as i64, n.2 as i64, 1, 1, 1, 1];
        let swap = |v: &i16| {
            if big_endian {
                v.to_be_bytes()
            } else {
                v.to_le_bytes()
            }
        };
        let bytes = file(&header, &values.iter().flat_map(swap).collect::<Vec<_>>());
        let expected = Voxels::I16(Array3::from_shape_vec((n.2, n.1, n.0), values.clone()).unwrap());
        for bytes in [bytes.clone(), gzip(&bytes)] {
            let scan = read(&bytes).unwrap();
            assert!(scan.volume.voxels == expected);
            let mut written = Vec::new();
            encode_volume(
                &mut written,
                &scan.volume,
                &scan.source,
                Target::one(OutputFormat::Nifti { compressed: true }),
            )
            .unwrap();
            assert!(read(&written).unwrap().volume == scan.volume);
        }
    }
}

#[test]
fn gzip_of_many_members_with_padding_is_read() {
    let header = plain(Version::One, false);
    let plain = file(&header, &[7; 48]);
    let mut bytes: Vec<u8> = plain.chunks(37).flat_map(gzip).collect();
    bytes.extend(gzip(b"")); // the end mark of blocked gzip
    bytes.extend([0; 100]); // tape padding
    assert_eq!(read(&bytes).unwrap().volume, read(&plain).unwrap().volume);
}

#[test]
fn extensions_before_and_padding_after_the_voxels_are_skipped() {
    let mut header = plain(Version::One, false);
    header.vox_offset = 10_000.0;
    let mut bytes = header.encode();
    bytes.resize(10_000, 0xee);
    bytes.extend((0..24i16).flat_map(i16::to_le_bytes));
    bytes.extend([0xdd; 100]);
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let Voxels::I16(found) = read(&bytes).unwrap().volume.voxels else {
            panic!("int16 was written")
        };
        assert_eq!(found.into_raw_vec_and_offset().0, (0..24).collect::<Vec<i16>>());
    }
}

#[test]
fn scale_factors_and_nan_follow_the_reader() {
    let float = |reader, slope: f64, inter: f64| {
        let header = Header {
            datatype: 16,
            scl_slope: slope,
            scl_inter: inter,
            ..plain(Version::One, false)
        };
        let mut values = [0.0f32; 24];
        (values[0], values[1], values[2], values[3]) = (f32::NAN, f32::INFINITY, 2.0, f32::NEG_INFINITY);
        let bytes = file(
            &header,
            &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>(),
        );
        read_with(&bytes, reader).map(|scan| {
            scan.volume
                .to_intensities()
                .iter()
                .take(4)
                .copied()
                .collect::<Vec<_>>()
        })
    };
    let check = |reader, slope, inter, expected: [f32; 4]| {
        let found = float(reader, slope, inter).unwrap();
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b)| *a == b || a.is_nan() && b.is_nan()),
            "{found:?} {expected:?}"
        );
    };
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    // Expected values are those of SimpleITK 2.5 and nibabel 5.4 for the same file.
    check(Reader::SimpleItk, 1.0, 0.0, [0.0, 0.0, 2.0, 0.0]);
    check(Reader::SimpleItk, 2.0, 3.0, [3.0, 3.0, 7.0, 3.0]);
    check(Reader::SimpleItk, 0.0, 5.0, [5.0, 5.0, 7.0, 5.0]);
    check(Reader::SimpleItk, f64::NAN, 5.0, [5.0, 5.0, 7.0, 5.0]);
    check(Reader::SimpleItk, f64::INFINITY, 1.0, [1.0, 1.0, 3.0, 1.0]);
    check(Reader::SimpleItk, 2.0, f64::NAN, [0.0, 0.0, 4.0, 0.0]);
    check(Reader::Nibabel, 1.0, 0.0, [nan, inf, 2.0, -inf]);
    check(Reader::Nibabel, 2.0, 3.0, [nan, inf, 7.0, -inf]);
    check(Reader::Nibabel, 0.0, 5.0, [nan, inf, 2.0, -inf]);
    check(Reader::Nibabel, f64::NAN, 5.0, [nan, inf, 2.0, -inf]);
    let refused = float(Reader::Nibabel, 2.0, f64::NAN);
    assert!(matches!(
        refused,
        Err(VolumeError::HeaderField {
            field: "scl_inter",
            ..
        })
    ));
}

#[test]
fn a_flat_image_is_read_and_written_with_two_axes() {
    let mut header = plain(Version::One, false);
    (header.dim, header.datatype) = ([2, 4, 3, 1, 1, 1, 1, 1], 2);
    let bytes = file(&header, &(0..12).collect::<Vec<u8>>());
    let scan = read(&bytes).unwrap();
    assert_eq!(scan.volume.voxels.shape(), [1, 3, 4]);
    assert_eq!(scan.volume.geometry.spacing.zyx(), [999.0 * 3.0, 3.0, 2.0]);
    let mut written = Vec::new();
    encode_labels(
        &mut written,
        &Labels::U8(Array3::ones((1, 3, 4))),
        &scan.source,
        Target::one(OutputFormat::Nifti { compressed: false }),
    )
    .unwrap();
    assert_eq!(&written[40..48], &[2, 0, 4, 0, 3, 0, 1, 0]);
    let again = read(&written).unwrap();
    assert_eq!(again.volume.geometry, scan.volume.geometry);
    for reader in [
        Reader::SimpleItkReorient,
        Reader::Nibabel,
        Reader::NibabelReorient,
    ] {
        assert!(matches!(
            read_with(&bytes, reader),
            Err(VolumeError::Dimensions { .. })
        ));
    }
}

#[test]
fn an_oblique_flat_image_is_written_with_right_angles() {
    let mut header = plain(Version::One, false);
    (header.dim, header.datatype) = ([2, 4, 3, 1, 1, 1, 1, 1], 2);
    // An oblique plane, whose first two world axes alone are not at right angles.
    let (a, b) = (0.6, 0.8);
    header.srow = [
        [2.0 * a, -3.0 * a * b, 0.0, 1.0],
        [2.0 * b, 3.0 * a * a, 0.0, 2.0],
        [0.0, 3.0 * b, 0.0, 3.0],
    ];
    for row in 0..3 {
        header.srow[row][2] = [b * b, -a * b, a][row];
    }
    let scan = read(&file(&header, &(0..12).collect::<Vec<u8>>())).unwrap();
    let mut written = Vec::new();
    encode_labels(
        &mut written,
        &Labels::U8(Array3::ones((1, 3, 4))),
        &scan.source,
        Target::one(OutputFormat::Nifti { compressed: false }),
    )
    .unwrap();
    assert_eq!(
        read(&written).unwrap().volume.geometry.spacing,
        scan.volume.geometry.spacing
    );
}

#[test]
fn itk_rounds_wide_integers_before_it_scales_them() {
    let header = Header {
        datatype: 768,
        scl_slope: 0.37,
        scl_inter: 11.3,
        ..plain(Version::Two, false)
    };
    let bytes = file(&header, &4_294_965_888u32.to_le_bytes().repeat(24));
    let first = |reader| read_with(&bytes, reader).unwrap().volume.to_intensities()[[0, 0, 0]];
    assert_eq!(
        first(Reader::SimpleItk),
        (f64::from(4_294_965_888u32 as f32) * 0.37 + 11.3) as f32
    );
    assert_eq!(
        first(Reader::Nibabel),
        (f64::from(4_294_965_888u32) * 0.37 + 11.3) as f32
    );
    assert_ne!(first(Reader::SimpleItk), first(Reader::Nibabel));
}

/// Axis-aligned file in one of the 48 orientations, as NIfTI-1 or -2.
fn oriented_file(index: usize, version: Version) -> (Vec<u8>, Affine) {
    let affine = affine(all()[index], [0.5, 1.5, 2.5]);
    let mut header = plain(version, index % 2 == 1);
    header.datatype = 2;
    header.pixdim[1..4].copy_from_slice(&[0.5, 1.5, 2.5]);
    let [x, y, z, _] = affine.rows();
    header.srow = [x, y, z];
    (file(&header, &(0..24).collect::<Vec<u8>>()), affine)
}

proptest! {
    #[test]
    fn reorienting_readers_keep_every_voxel_in_its_place(index in 0usize..48, two in any::<bool>(), nib in any::<bool>()) {
        let reader = if nib { Reader::NibabelReorient } else { Reader::SimpleItkReorient };
        let (bytes, file_affine) = oriented_file(index, if two { Version::Two } else { Version::One });
        let scan = read_with(&bytes, reader).unwrap();
        let geometry = scan.volume.geometry;
        // Axes run to R, A, S.
        for (a, row) in geometry.affine.rows().iter().take(3).enumerate() {
            prop_assert!(row[a] > 0.0 && (0..3).all(|c| c == a || row[c] == 0.0));
            prop_assert_eq!(row[a], geometry.spacing.xyz()[a]);
        }
        // Value v was voxel (v % 4, v / 4 % 3, v / 12) of the file.
        let Voxels::U8(voxels) = &scan.volume.voxels else { panic!("uint8 was written") };
        for ((z, y, x), &v) in voxels.indexed_iter() {
            let file_xyz = [v % 4, v / 4 % 3, v / 12].map(f64::from);
            let here = geometry.affine.world_from_voxel([x as f64, y as f64, z as f64]);
            prop_assert_eq!(here, file_affine.world_from_voxel(file_xyz));
        }
        // Written again, the mask has the axes of the source; read again, it is the same.
        let mut written = Vec::new();
        encode_labels(&mut written, &Labels::U8(voxels.clone()), &scan.source, Target::one(OutputFormat::Nifti { compressed: true })).unwrap();
        let plain_reader = if nib { Reader::Nibabel } else { Reader::SimpleItk };
        let in_file = read_with(&written, plain_reader).unwrap().volume;
        prop_assert_eq!(in_file.geometry, read_with(&bytes, plain_reader).unwrap().volume.geometry);
        prop_assert_eq!(in_file.voxels, read_with(&bytes, plain_reader).unwrap().volume.voxels);
        prop_assert_eq!(read_with(&written, reader).unwrap().volume, scan.volume);
    }

    #[test]
    fn oblique_geometry_survives_writing(
        q in prop::array::uniform4(-1.0f64..1.0), offset in prop::array::uniform3(-300.0f32..300.0),
        spacing in prop::array::uniform3(0.1f32..6.0), mirrored in any::<bool>(), reader in 0usize..4,
    ) {
        let norm = q.iter().map(|v| v * v).sum::<f64>().sqrt();
        prop_assume!(norm > 0.1);
        let [a, b, c, d] = q.map(|v| v / norm);
        let m = if mirrored { -1.0 } else { 1.0 };
        let rotation = [
            [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), m * 2.0 * (b * d + a * c)],
            [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, m * 2.0 * (c * d - a * b)],
            [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), m * (a * a + d * d - c * c - b * b)],
        ];
        let mut header = plain(Version::One, false);
        header.datatype = 2;
        for c in 0..3 {
            header.pixdim[c + 1] = f64::from(spacing[c]);
            for (r, row) in rotation.iter().enumerate() {
                header.srow[r][c] = row[c] * f64::from(spacing[c]);
                header.srow[r][3] = f64::from(offset[r]);
            }
        }
        let reader = Reader::ALL[reader];
        let scan = read_with(&file(&header, &(0..24).collect::<Vec<u8>>()), reader).unwrap();
        let mut written = Vec::new();
        encode_volume(&mut written, &scan.volume, &scan.source, Target::one(OutputFormat::Nifti { compressed: false })).unwrap();
        let again = read_with(&written, reader).unwrap();
        prop_assert_eq!(again.volume.voxels, scan.volume.voxels);
        prop_assert_eq!(again.volume.geometry.shape, scan.volume.geometry.shape);
        let corner = |v: &Affine| v.world_from_voxel([4.0, 3.0, 2.0]);
        for (p, q) in corner(&again.volume.geometry.affine).iter().zip(corner(&scan.volume.geometry.affine)) {
            prop_assert!((p - q).abs() < 1e-4, "{} {}", p, q); // the header holds f32
        }
    }
}

#[test]
fn masks_are_stored_in_the_smallest_type_of_nnunet() {
    let (bytes, _) = oriented_file(0, Version::One);
    let check = |reader, max: u16, expected| {
        let scan = read_with(&bytes, reader).unwrap();
        let [z, y, x] = scan.source.array_shape();
        for labels in [
            (max < 256).then(|| Labels::U8(Array3::from_elem((z, y, x), max as u8))),
            Some(Labels::U16(Array3::from_elem((z, y, x), max))),
        ] {
            let Some(labels) = labels else { continue };
            let mut written = Vec::new();
            encode_labels(
                &mut written,
                &labels,
                &scan.source,
                Target::one(OutputFormat::Nifti { compressed: true }),
            )
            .unwrap();
            let again = read_with(&written, reader).unwrap().volume;
            assert_eq!(again.voxels.voxel_type(), expected, "{reader} {max}");
            assert_eq!(crate::labels_from_volume(&again).unwrap().max(), max);
        }
    };
    for reader in [Reader::SimpleItk, Reader::Nibabel, Reader::NibabelReorient] {
        check(reader, 0, VoxelType::U8);
        check(reader, 254, VoxelType::U8);
        check(reader, 255, VoxelType::U16);
        check(reader, 300, VoxelType::U16);
    }
    check(Reader::SimpleItkReorient, 255, VoxelType::U8);
    check(Reader::SimpleItkReorient, 256, VoxelType::U16);
}

#[test]
fn files_are_written_whole_and_inspected() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([2, 3, 40_000]).unwrap(),
        spacing: Spacing::new([2.5, 0.75, 0.75]).unwrap(),
        affine: Affine::new([
            [-0.75, 0.0, 0.0, 9.0],
            [0.0, 0.75, 0.0, -8.0],
            [0.0, 0.0, 2.5, 7.0],
        ])
        .unwrap(),
    };
    let voxels = Array3::from_shape_fn((2, 3, 40_000), |(z, y, x)| (1000 * z + 100 * y + x % 100) as i16);
    let scale = IntensityScale {
        slope: 0.1,
        inter: -3.0,
    };
    let volume = Volume {
        voxels: Voxels::I16(voxels),
        scale,
        geometry,
    };
    let source = SourceGeometry::from_geometry(&geometry);
    for name in ["a.nii", "a.nii.gz"] {
        let summary = write_volume(&dir, name, &volume, &source).unwrap();
        let path = temp.path().join(name);
        assert_eq!(summary.bytes, std::fs::metadata(&path).unwrap().len());
        let open = || std::fs::File::open(&path).unwrap();
        let scan = read_volume(
            open(),
            name,
            Reader::SimpleItk,
            &Limits::default(),
            &CancelToken::new(),
        )
        .unwrap();
        assert_eq!(scan.volume, volume);
        let info = inspect(open(), name, &Limits::default()).unwrap();
        // The axis is too long, and 0.1 too precise, for version 1.
        assert_eq!(
            (info.format, info.compressed, info.big_endian),
            (Format::Nifti(Version::Two), name.ends_with("gz"), false)
        );
        assert_eq!(
            (info.dims.as_slice(), info.spacing_xyz),
            (&[40_000, 3, 2][..], [0.75, 0.75, 2.5])
        );
        assert_eq!((info.orientation.as_str(), info.unit.name()), ("LAS", "mm"));
        assert_eq!(
            (info.affine, info.scale, info.voxel_type),
            (geometry.affine, scale, VoxelType::I16)
        );
    }
    let labels = Labels::U8(Array3::zeros((2, 3, 5)));
    let error = write_label_map(&dir, "m.nii.gz", &labels, &source).unwrap_err();
    assert!(matches!(
        error,
        VolumeError::ShapeMismatch { found: [2, 3, 5], .. }
    ));
    let labels = Labels::U8(Array3::zeros((2, 3, 40_000)));
    for name in [
        "m.hdr",
        "m.img",
        "m.zraw",
        "m.nii.gz.tmp",
        "m",
        "../m.nii",
        "../m.mhd",
    ] {
        assert!(matches!(
            write_label_map(&dir, name, &labels, &source),
            Err(VolumeError::OutputName { .. })
        ));
    }
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 2);
}

#[test]
fn a_4d_or_sheared_file_is_described() {
    let mut header = plain(Version::One, false);
    (header.dim[0], header.dim[4], header.srow[0][1]) = (4, 2, 1.0);
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a.nii");
    std::fs::write(&path, file(&header, &[])).unwrap();
    let info = inspect(std::fs::File::open(&path).unwrap(), "a.nii", &Limits::default()).unwrap();
    assert_eq!(info.dims, [4, 3, 2, 2]);
    assert_eq!(info.affine.rows()[0], [2.0, 1.0, 0.0, 5.0]);
}

#[test]
fn an_exact_geometry_comes_back_bit_by_bit() {
    // Sheared, and no number fits 32 bits.
    let rows = [
        [0.1, 0.01, 0.0, -3.3],
        [-0.1, 0.7, 0.2, 4.1],
        [0.03, -0.2, 2.7, 7.9],
    ];
    let spacing = Spacing::new([2.7, 0.7, 0.1]).unwrap();
    let geometry = |affine| Geometry {
        shape: Shape3::new([2, 3, 4]).unwrap(),
        spacing,
        affine,
    };
    let dir = tempfile::tempdir().unwrap();
    let folder = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
    let labels = Labels::U8(Array3::from_elem((2, 3, 4), 7));
    for geometry in [
        geometry(Affine::new(rows).unwrap()).measured(),
        geometry(Affine::from_spacing(spacing, [0.1, 0.2, 0.3])),
    ] {
        write_label_map(&folder, "m.nii.gz", &labels, &SourceGeometry::exact(&geometry)).unwrap();
        let open = || std::fs::File::open(dir.path().join("m.nii.gz")).unwrap();
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        let scan = read_volume(open(), "m", Reader::Nibabel, &limits, &cancel).unwrap();
        assert_eq!(scan.volume.geometry, geometry);
        assert_eq!(
            inspect(open(), "m", &limits).unwrap().format,
            Format::Nifti(Version::Two)
        );
    }
    // What is written has one set of lengths, those of the affine.
    let contradicts = geometry(Affine::new(rows).unwrap());
    write_label_map(&folder, "m.nii.gz", &labels, &SourceGeometry::exact(&contradicts)).unwrap();
    let open = std::fs::File::open(dir.path().join("m.nii.gz")).unwrap();
    let found = ScanHeader::read(open, "m", &Limits::default()).unwrap();
    assert_eq!(found.geometry(Reader::Nibabel).unwrap(), contradicts.measured());
    let spacing = Spacing::new([2.5, 0.5, 0.75]).unwrap();
    let short = Geometry {
        shape: Shape3::new([2, 3, 4]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [1.0; 3]),
    };
    write_label_map(&folder, "m.nii.gz", &labels, &SourceGeometry::exact(&short)).unwrap();
    let info = inspect(
        std::fs::File::open(dir.path().join("m.nii.gz")).unwrap(),
        "m",
        &Limits::default(),
    );
    assert_eq!(info.unwrap().format, Format::Nifti(Version::One), "where it does");
}

#[test]
fn the_header_alone_gives_the_geometry_of_the_whole_file() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("scan.nii");
    let open = || std::fs::File::open(&path).unwrap();
    let limits = Limits::default();
    for index in 0..48 {
        let version = if index % 2 == 0 {
            Version::One
        } else {
            Version::Two
        };
        std::fs::write(&path, oriented_file(index, version).0).unwrap();
        for reader in Reader::ALL {
            let scan = read_volume(open(), "scan.nii", reader, &limits, &CancelToken::new()).unwrap();
            let header = ScanHeader::read(open(), "scan.nii", &limits).unwrap();
            assert_eq!(
                header.geometry(reader).unwrap(),
                scan.volume.geometry,
                "{index} {reader}"
            );
        }
    }
}
