//! Label maps: what is measured on them, and what is no label map.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_types::{CancelToken, Coded, ErrorCode, LabelMap, Labels, Limits};

use super::{file, read_with};
use crate::header::{Header, Version, tests::plain};
use crate::label_map::read_sources;
use crate::source::Sources;
use crate::{Reader, VolumeError, read_label_map, write_label_map};

/// 4 × 3 × 2 voxels of 2 × 3 × 4 units, label 1 in the first.
fn labelled(change: impl Fn(&mut Header)) -> Vec<u8> {
    let mut header = plain(Version::One, false);
    header.datatype = 2;
    header.xyzt_units = 0;
    change(&mut header);
    let mut voxels = [0; 24];
    voxels[0] = 1;
    file(&header, &voxels)
}

fn read(bytes: &[u8]) -> Result<LabelMap, VolumeError> {
    read_sources(
        Sources::one(bytes, bytes.len() as u64),
        "m.nii",
        &Limits::default(),
        &CancelToken::new(),
    )
    .map(|read| read.map)
}

/// Doubles as the file wrote them, to the 32 bits of its header.
#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() <= 1e-6 * expected.abs(),
        "{found} {expected}"
    );
}

#[test]
fn units_are_converted_and_unknown_is_mm() {
    // 8 and 16 are units of time.
    for (code, mm) in [
        (0, 1.0),
        (2, 1.0),
        (2 | 8, 1.0),
        (1, 1e3),
        (1 | 8, 1e3),
        (3, 1e-3),
        (3 | 16, 1e-3),
    ] {
        for forms in [(1, 0), (0, 1), (0, 0)] {
            let map = read(&labelled(|h| {
                h.xyzt_units = code;
                (h.sform_code, h.qform_code) = forms;
            }))
            .unwrap();
            let geometry = map.geometry;
            assert_close(geometry.voxel_mm3(), 24.0 * mm * mm * mm);
            let expected = [4.0, 3.0, 2.0].map(|length| length * mm);
            for (axis, expected) in expected.into_iter().enumerate() {
                assert_close(geometry.steps_mm()[axis], expected);
                assert_close(geometry.spacing.zyx()[axis], expected);
            }
            if forms.0 == 1 {
                let origin = geometry.affine.world_from_voxel([0.0; 3]);
                (0..3).for_each(|r| assert_close(origin[r], [5.0, 6.0, 7.0][r] * mm));
            }
        }
    }
}

#[test]
fn a_mask_of_a_scan_in_another_unit_lies_where_the_scan_lies() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    for (code, mm) in [(1, 1e3), (2, 1.0), (3, 1e-3)] {
        for reader in Reader::ALL {
            let scan = read_with(&labelled(|h| h.xyzt_units = code), reader).unwrap();
            let world = scan.volume.geometry;
            assert_close(world.voxel_mm3(), 24.0 * mm * mm * mm);
            // nnU-Net's spacing: ITK converts, nibabel does not.
            let unit = if reader.name().starts_with("Simple") {
                mm
            } else {
                1.0
            };
            assert_close(
                world.spacing.zyx().iter().product::<f64>(),
                24.0 * unit * unit * unit,
            );
            let labels = Labels::U8(ndarray::Array3::from_elem((2, 3, 4), 1));
            write_label_map(&folder, "m.nii.gz", &labels, &scan.source).unwrap();
            let open = std::fs::File::open(temp.path().join("m.nii.gz")).unwrap();
            let mask = read_label_map(open, "m", &Limits::default(), &CancelToken::new()).unwrap();
            assert_close(mask.geometry.voxel_mm3(), world.voxel_mm3());
            let corner = |of: &nephrite_types::Geometry| of.affine.world_from_voxel([3.0, 2.0, 1.0]);
            (0..3).for_each(|r| assert_close(corner(&mask.geometry)[r], corner(&world)[r]));
        }
    }
}

#[test]
fn trailing_axes_of_one_and_two_axes_are_taken() {
    let shape = |bytes: &[u8]| read(bytes).unwrap().geometry.shape.zyx();
    assert_eq!(shape(&labelled(|h| (h.dim[0], h.dim[4]) = (4, 1))), [2, 3, 4]);
    assert_eq!(shape(&labelled(|h| h.dim = [7, 4, 3, 2, 1, 1, 1, 1])), [2, 3, 4]);
    assert_eq!(shape(&labelled(|h| h.dim = [5, 4, 3, 1, 1, 1, 1, 1])), [1, 3, 4]);
    for reader in Reader::ALL {
        let read = |dim| {
            let bytes = labelled(|h| h.dim = dim);
            crate::read::read_content(
                Sources::one(&bytes[..], bytes.len() as u64),
                "m.nii",
                reader,
                crate::read::Content::Labels,
                &Limits::default(),
                &CancelToken::new(),
            )
        };
        assert_eq!(
            read([4, 4, 3, 2, 1, 1, 1, 1]).unwrap().volume.voxels.shape(),
            [2, 3, 4]
        );
        assert!(read([4, 4, 3, 1, 2, 1, 1, 1]).is_err(), "{reader}");
    }
    let refused = |dim: [i64; 8]| read(&labelled(|h| h.dim = dim)).unwrap_err();
    for dim in [
        [4, 4, 3, 1, 2, 1, 1, 1],
        [5, 4, 3, 1, 1, 2, 1, 1],
        [1, 4, 1, 1, 1, 1, 1, 1],
    ] {
        let error = refused(dim);
        assert!(matches!(error, VolumeError::Dimensions { .. }), "{error}");
        assert!(error.to_string().starts_with("m.nii has "), "{error}");
    }
    let two = |change: &dyn Fn(&mut Header)| {
        let map = read(&labelled(|h| {
            h.dim[0] = 2;
            change(h);
        }));
        map.unwrap().geometry
    };
    type Change<'a> = &'a dyn Fn(&mut Header);
    let changes: [(Change<'_>, f64); 7] = [
        (&|_| (), 4.0),
        (&|h| h.pixdim[3] = 0.0, 4.0), // the sform says it
        (&|h| (h.pixdim[3], h.srow[2]) = (0.0, [0.0; 4]), 1.0),
        (&|h| (h.pixdim[3], h.srow[2]) = (f64::NAN, [0.0; 4]), 1.0),
        (&|h| (h.pixdim[3], h.srow[2]) = (5.0, [0.0; 4]), 5.0),
        (&|h| (h.sform_code, h.qform_code, h.pixdim[3]) = (0, 1, 0.0), 1.0),
        (&|h| (h.sform_code, h.pixdim[3]) = (0, 0.0), 1.0),
    ];
    for (change, thickness) in changes {
        let geometry = two(change);
        assert_eq!(geometry.shape.zyx(), [1, 3, 4]);
        assert_close(geometry.voxel_mm3(), 6.0 * thickness);
        assert_close(geometry.spacing.zyx()[0], thickness);
    }
    assert_close(
        two(&|h| (h.xyzt_units, h.pixdim[3], h.srow[2]) = (3, 0.0, [0.0; 4])).voxel_mm3(),
        6e-6,
    );
}

#[test]
fn the_mask_of_a_2d_scan_can_be_measured() {
    let scan = read_with(&labelled(|h| h.dim[0] = 2), Reader::SimpleItk).unwrap();
    let temp = tempfile::tempdir().unwrap();
    let folder = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    let labels = Labels::U8(ndarray::Array3::from_elem((1, 3, 4), 1));
    write_label_map(&folder, "m.nii.gz", &labels, &scan.source).unwrap();
    let open = std::fs::File::open(temp.path().join("m.nii.gz")).unwrap();
    let mask = read_label_map(open, "m", &Limits::default(), &CancelToken::new()).unwrap();
    assert_eq!(mask.labels, labels);
    assert_close(mask.geometry.voxel_mm3(), 6.0);
    // The spacing that the network takes is not a length.
    assert_eq!(scan.volume.geometry.spacing.zyx()[0], 999.0 * 3.0);
    assert_close(scan.volume.geometry.voxel_mm3(), 6.0);
}

#[test]
fn a_header_that_says_two_lengths_is_refused() {
    for (axis, name) in [(1, "x"), (2, "y"), (3, "z")] {
        for factor in [0.5, 0.998, 1.002, 2.0, 1000.0] {
            let error = read(&labelled(|h| h.pixdim[axis] *= factor)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidInput);
            assert!(
                matches!(&error, VolumeError::Lengths { name: file, axis, .. } if file == "m.nii" && *axis == name),
                "{error}"
            );
        }
        for factor in [1.0005, 0.9995, -1.0] {
            let map = read(&labelled(|h| h.pixdim[axis] *= factor)).unwrap();
            assert_eq!(
                map.geometry.voxel_mm3(),
                24.0,
                "the affine's, whatever pixdim says"
            );
            let spacing = map.geometry.spacing.zyx();
            assert_close(spacing.iter().product(), 24.0);
        }
    }
    // 0 says nothing, and with a qform or none, pixdim is all there is.
    assert_eq!(
        read(&labelled(|h| h.pixdim[2] = 0.0))
            .unwrap()
            .geometry
            .voxel_mm3(),
        24.0
    );
    let map = read(&labelled(|h| {
        (h.sform_code, h.qform_code, h.pixdim[3]) = (0, 1, 8.0)
    }))
    .unwrap();
    assert_eq!(map.geometry.voxel_mm3(), 48.0);
    // One slice has a thickness all the same.
    let slice = |factor: f64| {
        read(&labelled(|h| {
            h.dim[3] = 1;
            h.pixdim[3] *= factor;
        }))
    };
    assert!(slice(1.0).is_ok());
    assert!(matches!(slice(2.0), Err(VolumeError::Lengths { axis: "z", .. })));
}

#[test]
fn sheared_axes_count_in_volumes() {
    // The third axis leans by 3-4-5: 5 mm long, slices 4 mm apart.
    let map = read(&labelled(|h| {
        h.srow[0][2] = 3.0;
        h.pixdim[3] = 5.0;
    }));
    assert_close(map.unwrap().geometry.voxel_mm3(), 24.0);
}

#[test]
fn a_value_that_is_no_label_is_named_with_its_file() {
    let with = |value: f32, slope: f64| {
        let mut header = plain(Version::One, false);
        (header.datatype, header.scl_slope) = (16, slope);
        let mut voxels = [0f32; 24];
        voxels[5] = value;
        let payload: Vec<u8> = voxels.iter().flat_map(|v| v.to_le_bytes()).collect();
        let map = read(&file(&header, &payload))?;
        Ok::<u16, VolumeError>(map.labels.max())
    };
    let third = f64::from((1.0f64 / 255.0) as f32);
    for (value, slope, label) in [
        (1.0, 1.0, 1),
        (0.999_999_94, 1.0, 1),
        (2.0009, 1.0, 2),
        (254.9991, 1.0, 255),
        (255.0009, 1.0, 255),
        (65535.0, 1.0, 65535),
        (255.0, third, 1),
        (65025.0, third, 255),
        (-0.0009, 1.0, 0),
    ] {
        assert_eq!(with(value, slope).unwrap(), label, "{value} {slope}");
    }
    for (value, shown) in [
        (0.5, "0.5"),
        (1.002, "1.00"),
        (-1.0, "-1"),
        (-0.25, "-0.25"),
        (65535.5, "65535.5"),
        (65536.0, "65536"),
        (1e30, "1"),
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
    ] {
        let error = with(value, 1.0).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidInput);
        let text = error.to_string();
        assert!(text.starts_with(&format!("m.nii: value {shown}")), "{text}");
        assert!(text.contains("[0, 1, 1]"), "{text}");
    }
}
