//! Volumes become series along any axis, and series volumes again.

use dicom_core::{Tag, VR};
use nephrite_dicom::test_util::{Labels, Way, decimals, enhanced, single_frame, text};
use nephrite_dicom::{Layout, SeriesOptions, hash_series};
use nephrite_types::{CancelToken, Limits, VoxelType, Voxels};
use nephrite_volume::{Reader, World};

use crate::harness::{Folder, assert_same_world, volume};

const ACQUISITION_TYPE: Tag = Tag(0x0018, 0x0023);
const SLOPE: Tag = Tag(0x0028, 0x1053);

#[test]
fn single_frames_of_all_48_ways_come_back() {
    for way in Way::all() {
        let folder = Folder::new(&single_frame(&volume(), way, &Labels::default()));
        let read = folder.read_only(&SeriesOptions::default()).unwrap();
        assert_eq!(read.scan.volume.voxels.voxel_type(), VoxelType::I16);
        assert_same_world(&read.scan.volume, &volume());
    }
}

#[test]
fn enhanced_files_of_all_48_ways_come_back() {
    for way in Way::all() {
        let folder = Folder::new(&[enhanced(&volume(), way, &Labels::default())]);
        let read = folder.read_only(&SeriesOptions::default()).unwrap();
        assert_same_world(&read.scan.volume, &volume());
    }
}

#[test]
fn three_d_mr_of_all_48_ways_comes_back_with_axes_to_r_a_s() {
    let labels = Labels {
        modality: "MR",
        ..Labels::default()
    };
    for way in Way::all() {
        let mut files = single_frame(&volume(), way, &labels);
        for file in &mut files {
            file.object.put(text(ACQUISITION_TYPE, VR::CS, "3D"));
        }
        let folder = Folder::new(&files);
        let read = folder.read_only(&SeriesOptions::default()).unwrap();
        assert_same_world(&read.scan.volume, &volume());
        let rows = read.scan.volume.geometry.affine.rows();
        assert!((0..3).all(|axis| rows[axis][axis] > 0.0), "{rows:?}");
        let plain = SeriesOptions {
            layout: Layout::Slices,
            ..SeriesOptions::default()
        };
        assert_same_world(&folder.read_only(&plain).unwrap().scan.volume, &volume());
    }
}

/// Over 4 MiB: its frames are read one by one.
#[test]
fn a_large_enhanced_file_comes_back() {
    let mut large = volume();
    let shape = [40, 256, 300];
    let value = |(z, y, x): (usize, usize, usize)| (z * 771 + y * 13 + x * 5) as u16 as i16;
    large.voxels = Voxels::I16(ndarray::Array3::from_shape_fn(shape, value));
    large.geometry.shape = nephrite_types::Shape3::new(shape).unwrap();
    let file = enhanced(&large, Way::PLAIN, &Labels::default());
    assert!(file.bytes().len() > 4 << 20);
    let folder = Folder::new(&[file]);
    let read = folder.read_only(&SeriesOptions::default()).unwrap();
    assert_same_world(&read.scan.volume, &large);
    let listing = folder.list(&SeriesOptions::default());
    let hash = hash_series(&folder.dir, listing.select(None).unwrap(), &CancelToken::new()).unwrap();
    assert_eq!(read.hash, hash);
}

/// The layout of dcm2niix: columns as they are, rows from the last, slices along the normal.
#[test]
fn voxels_lie_as_dcm2niix_lays_them() {
    for reversed in [false, true] {
        let way = Way {
            reversed: [reversed, false, false],
            ..Way::PLAIN
        };
        let folder = Folder::new(&single_frame(&volume(), way, &Labels::default()));
        let Voxels::I16(found) = folder
            .read_only(&SeriesOptions::default())
            .unwrap()
            .scan
            .volume
            .voxels
        else {
            panic!()
        };
        let Voxels::I16(written) = volume().voxels else {
            panic!()
        };
        // The volume is right-handed in RAS with rows along +y and columns along +x, so its normal is -z.
        for ((z, y, x), &value) in found.indexed_iter() {
            assert_eq!(value, written[[z, 5 - y, x]]);
        }
    }
}

#[test]
fn every_voxel_leads_to_its_slice_row_and_column() {
    for way in Way::all() {
        for modality in ["CT", "MR"] {
            let labels = Labels {
                modality,
                ..Labels::default()
            };
            let mut files = single_frame(&volume(), way, &labels);
            for file in &mut files {
                file.object.put(text(ACQUISITION_TYPE, VR::CS, "3D"));
            }
            let listing = Folder::new(&files).list(&SeriesOptions::default());
            let series = listing.select(None).unwrap();
            let (axes, slices, grid) = (
                series.axes().unwrap(),
                series.slices().unwrap(),
                series.geometry().unwrap(),
            );
            let [nz, ny, nx] = grid.shape.zyx();
            for index in ndarray::indices((nz, ny, nx)) {
                let (z, y, x) = index;
                let [k, row, column] = axes.source_index([z, y, x]);
                assert_eq!(axes.array_index([k, row, column]), [z, y, x]);
                let slice = &slices[k];
                let lps: [f64; 3] = std::array::from_fn(|i| {
                    slice.position[i]
                        + slice.row_direction[i] * slice.spacing[1] * column as f64
                        + slice.column_direction[i] * slice.spacing[0] * row as f64
                });
                let world = grid.affine.world_from_voxel([x as f64, y as f64, z as f64]);
                let ras = [-lps[0], -lps[1], lps[2]];
                assert!(
                    (0..3).all(|i| (world[i] - ras[i]).abs() < 1e-6),
                    "{world:?} {ras:?}"
                );
            }
        }
    }
}

#[test]
fn headers_say_before_what_reading_gives_for_every_reader() {
    let folder = Folder::new(&single_frame(&volume(), Way::all()[21], &Labels::default()));
    let listing = folder.list(&SeriesOptions::default());
    let series = listing.select(None).unwrap();
    let header = series.header(&Limits::default()).unwrap();
    for reader in Reader::ALL {
        let (limits, dicom) = (Limits::default(), nephrite_dicom::DicomLimits::default());
        let read =
            nephrite_dicom::read(&folder.dir, series, reader, &limits, &dicom, &CancelToken::new()).unwrap();
        assert_eq!(read.scan.volume.geometry, header.geometry(reader).unwrap());
        assert_eq!(read.scan.volume.voxels.voxel_type(), header.voxel_type().unwrap());
        assert_eq!(
            read.scan.header.frame(World::Itk).unwrap(),
            header.frame(World::Itk).unwrap()
        );
        assert_same_world(&read.scan.volume, &volume());
        assert_eq!(
            read.hash,
            hash_series(&folder.dir, series, &CancelToken::new()).unwrap()
        );
    }
}

/// What is read of a series is what is read of the NIfTI file that it is written to, bit by bit if it is straight.
#[test]
fn a_series_reads_as_the_nifti_file_that_is_written_of_it() {
    let spacing = nephrite_types::Spacing::new([3.0, 1.5, 2.5]).unwrap();
    let mut straight = volume();
    straight.geometry.affine = nephrite_types::Affine::from_spacing(spacing, [-20.5, 31.25, 404.0]);
    let folder = Folder::new(&single_frame(&straight, Way::all()[13], &Labels::default()));
    let listing = folder.list(&SeriesOptions::default());
    let series = listing.select(None).unwrap();
    let scan = folder.read(series).unwrap().scan;
    nephrite_volume::write_volume(&folder.dir, "scan.nii.gz", &scan.volume, &scan.source).unwrap();
    let open = || std::fs::File::open(folder.temporary.path().join("scan.nii.gz")).unwrap();
    for reader in Reader::ALL {
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        let nifti = nephrite_volume::read_volume(open(), "scan", reader, &limits, &cancel).unwrap();
        let dicom = nephrite_dicom::DicomLimits::default();
        let read = nephrite_dicom::read(&folder.dir, series, reader, &limits, &dicom, &cancel).unwrap();
        assert_eq!(read.scan.volume, nifti.volume, "{reader}");
        assert_eq!(read.scan.source, nifti.source, "{reader}");
    }
}

#[test]
fn slices_with_scales_of_their_own_become_intensities() {
    let mut files = single_frame(&volume(), Way::PLAIN, &Labels::default());
    files[2].object.put(decimals(SLOPE, &[2.5]));
    let read = Folder::new(&files).read_only(&SeriesOptions::default()).unwrap();
    let Voxels::F32(found) = &read.scan.volume.voxels else {
        panic!()
    };
    let Voxels::I16(written) = volume().voxels else {
        panic!()
    };
    for ((z, y, x), &value) in found.indexed_iter() {
        let stored = f32::from(written[[z, 5 - y, x]]);
        assert_eq!(
            value,
            if z == 2 {
                stored * 2.5 - 24.0
            } else {
                stored - 24.0
            }
        );
    }
}

#[test]
fn identity_follows_content_and_not_names() {
    let files = single_frame(&volume(), Way::PLAIN, &Labels::default());
    let mut renamed = files.clone();
    renamed.reverse();
    for (index, file) in renamed.iter_mut().enumerate() {
        file.name = format!("z{index}");
    }
    let mut other = files.clone();
    other[0]
        .object
        .put(text(Tag(0x0010, 0x4000), VR::LT, "a comment"));
    let hash = |files: &[_]| {
        Folder::new(files)
            .read_only(&SeriesOptions::default())
            .unwrap()
            .hash
    };
    assert_eq!(hash(&files), hash(&renamed));
    assert_ne!(hash(&files), hash(&other));
}

#[test]
fn what_patients_are_called_is_copied_with_its_character_set() {
    let files = single_frame(&volume(), Way::PLAIN, &Labels::default());
    let listing = Folder::new(&files).list(&SeriesOptions::default());
    let study = &listing.select(None).unwrap().study;
    for tag in [Tag(0x0008, 0x0005), Tag(0x0010, 0x0010), Tag(0x0020, 0x000d)] {
        let found = study
            .elements
            .iter()
            .find(|element| dicom_core::header::Header::tag(*element) == tag)
            .unwrap();
        assert_eq!(found.value(), files[0].object.get(tag).unwrap().value());
    }
}
