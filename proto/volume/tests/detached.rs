//! Volumes whose voxels are in another file than the header: opened, hashed, changed, confined.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::fs::File;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ndarray::Array3;
use nephrite_types::{Affine, CancelToken, Coded, ErrorCode, Geometry, Labels, Limits, Shape3, Spacing};
use nephrite_volume::{
    FileHash, Reader, Scan, ScanHeader, SourceGeometry, VolumeError, VolumeFiles, hash_volume, inspect,
    read_named_label_map, read_volume, read_volume_hashed, write_label_map,
};

const MHD: &str = "ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementType = MET_UCHAR\nElementSpacing = 1 2 3\n\
                   ElementDataFile = a.raw\n";

fn voxels() -> Vec<u8> {
    (0..24).collect()
}

/// A header `a.mhd` and its voxels.
fn pair(header: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.mhd"), header).unwrap();
    std::fs::write(folder.path().join("a.raw"), voxels()).unwrap();
    folder
}

fn open(folder: &Path) -> Result<VolumeFiles, VolumeError> {
    let header = File::open(folder.join("a.mhd")).unwrap();
    VolumeFiles::open(header, "a.mhd", |data| {
        File::open(folder.join(data)).map_err(|source| VolumeError::Read {
            name: data.display().to_string(),
            source,
        })
    })
}

fn read(files: VolumeFiles) -> Result<Scan, VolumeError> {
    read_volume(
        files,
        "a.mhd",
        Reader::SimpleItk,
        &Limits::default(),
        &CancelToken::new(),
    )
}

#[test]
fn every_way_of_reading_takes_both_files() {
    let folder = pair(MHD);
    let open = || open(folder.path()).unwrap();
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let scan = read(open()).unwrap();
    assert_eq!(scan.volume.voxels.shape(), [2, 3, 4]);
    assert_eq!(scan.volume.to_intensities()[[1, 2, 3]], 23.0);
    assert_eq!(scan.bytes_read, MHD.len() as u64 + 24);
    let info = inspect(open(), "a.mhd", &limits).unwrap();
    assert_eq!((info.dims, info.spacing_xyz), (vec![4, 3, 2], [1.0, 2.0, 3.0]));
    let header = ScanHeader::read(open(), "a.mhd", &limits).unwrap();
    assert_eq!(header.geometry(Reader::Nibabel).unwrap().shape.zyx(), [2, 3, 4]);
    let labels = read_named_label_map(open(), "a.mhd", &limits, &cancel).unwrap();
    assert_eq!(labels.map.labels.shape(), [2, 3, 4]);
    // and one file of the pair is no volume
    let alone = File::open(folder.path().join("a.mhd")).unwrap();
    let error = read(alone.into()).unwrap_err();
    assert!(matches!(error, VolumeError::Detached { .. }), "{error}");
}

#[test]
fn the_hash_is_that_of_both_files_in_their_order() {
    let folder = pair(MHD);
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let hash = || hash_volume(&open(folder.path()).unwrap(), "a.mhd", &cancel).unwrap();
    let [header, data] = [MHD.as_bytes(), &voxels()].map(FileHash::of);
    let right = FileHash::of_two(header, data);
    assert_eq!(
        right.sha256,
        FileHash::of(&[header.sha256, data.sha256].concat()).sha256
    );
    assert_eq!(right.bytes, MHD.len() as u64 + 24);
    assert_eq!(hash(), right);
    let files = open(folder.path()).unwrap();
    let (_, read) = read_volume_hashed(files, "a.mhd", Reader::Nibabel, &limits, &cancel).unwrap();
    assert_eq!(read, right);
    for (name, content) in [("a.mhd", format!("{MHD}\n").into_bytes()), ("a.raw", vec![1; 24])] {
        let folder_file = folder.path().join(name);
        let was = std::fs::read(&folder_file).unwrap();
        std::fs::write(&folder_file, content).unwrap();
        assert_ne!(hash(), right, "{name}");
        std::fs::write(&folder_file, was).unwrap();
    }
}

#[test]
fn a_change_of_either_file_shows() {
    for name in ["a.mhd", "a.raw"] {
        let folder = pair(MHD);
        let files = open(folder.path()).unwrap();
        let before = files.identity().unwrap();
        assert_eq!(before.files().count(), 2);
        std::fs::File::options()
            .append(true)
            .open(folder.path().join(name))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b" "))
            .unwrap();
        assert_ne!(files.identity().unwrap(), before, "{name}");
    }
    // a header that names another file by now
    let folder = pair(MHD);
    let files = open(folder.path()).unwrap();
    std::fs::write(folder.path().join("a.mhd"), MHD.replace("a.raw", "b.raw")).unwrap();
    let error = read(files).unwrap_err();
    assert!(matches!(error, VolumeError::Changed { .. }), "{error}");
    // or none
    let folder = pair(MHD);
    let files = open(folder.path()).unwrap();
    let mut attached = MHD.replace("a.raw", "LOCAL").into_bytes();
    attached.extend(voxels());
    std::fs::write(folder.path().join("a.mhd"), attached).unwrap();
    let error = read(files).unwrap_err();
    assert!(matches!(error, VolumeError::Changed { .. }), "{error}");
}

#[test]
fn what_is_no_data_file_is_not_opened() {
    for name in [
        "/etc/passwd",
        "../a.raw",
        "b/../../a.raw",
        "LIST",
        "a%03d.raw 1 2 1",
        "a\u{7}.raw",
        "",
    ] {
        let folder = pair(&MHD.replace("a.raw", name));
        let header = File::open(folder.path().join("a.mhd")).unwrap();
        let opened = VolumeFiles::open(header, "a.mhd", |path| -> Result<File, VolumeError> {
            panic!("{} is opened", path.display())
        });
        let error = opened.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidInput, "{name}: {error}");
        assert!(matches!(&error, VolumeError::DataFile { .. }), "{name}: {error}");
    }
}

#[test]
fn a_data_file_has_the_size_that_the_header_says() {
    for (size, is_right) in [(0, false), (23, false), (24, true), (25, false)] {
        let folder = pair(MHD);
        std::fs::write(folder.path().join("a.raw"), vec![1; size]).unwrap();
        let read = read(open(folder.path()).unwrap());
        match read {
            Ok(_) => assert!(is_right, "{size}"),
            Err(VolumeError::TruncatedPayload {
                expected: 24, found, ..
            }) => {
                assert_eq!(found, size as u64);
                assert!(size < 24);
            }
            Err(VolumeError::DataFileTooLong {
                expected: 24, found, ..
            }) => {
                assert_eq!(found, size as u64);
                assert!(size > 24);
            }
            Err(error) => panic!("{size}: {error}"),
        }
    }
    // memory is not taken for what the file does not have
    let huge = MHD.replace("DimSize = 4 3 2", "DimSize = 30000 30000 1");
    let folder = pair(&huge);
    let error = read(open(folder.path()).unwrap()).unwrap_err();
    assert!(
        matches!(
            error,
            VolumeError::TruncatedPayload { found: 24, .. } | VolumeError::TooManyVoxels { .. }
        ),
        "{error}"
    );
}

/// A volume written as a pair, opened again as any pair is.
#[test]
fn what_is_written_as_a_pair_is_read_by_every_reader() {
    let spacing = Spacing::new([3.0, 2.0, 0.5]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([2, 3, 4]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [10.0, -20.0, 30.0]),
    };
    let source = SourceGeometry::from_geometry(&geometry);
    let labels = Labels::U16(Array3::from_shape_fn((2, 3, 4), |(z, y, x)| {
        (400 * z + 10 * y + x) as u16
    }));
    for (header, data, alone) in [("m.nhdr", "m.raw.gz", "m.nrrd"), ("m.mhd", "m.zraw", "m.mha")] {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let written = write_label_map(&dir, header, &labels, &source).unwrap();
        write_label_map(&dir, alone, &labels, &source).unwrap();
        let size = |name: &str| std::fs::metadata(temp.path().join(name)).unwrap().len();
        assert_eq!(written.bytes, size(header) + size(data));
        let files = || {
            let file = File::open(temp.path().join(header)).unwrap();
            VolumeFiles::open(file, header, |beside| -> Result<File, VolumeError> {
                assert_eq!(beside, Path::new(data));
                Ok(File::open(temp.path().join(beside)).unwrap())
            })
            .unwrap()
        };
        assert_eq!(files().identity().unwrap(), written.files);
        let (limits, cancel) = (Limits::default(), CancelToken::new());
        for reader in Reader::ALL {
            let pair = read_volume(files(), header, reader, &limits, &cancel).unwrap();
            let file = File::open(temp.path().join(alone)).unwrap();
            let one = read_volume(file, alone, reader, &limits, &cancel).unwrap();
            assert_eq!(pair.volume, one.volume, "{header} {reader}");
        }
        let map = read_named_label_map(files(), header, &limits, &cancel)
            .unwrap()
            .map;
        assert_eq!(map.labels, labels);
        // Another one under the same name takes the place of both.
        let fewer = Labels::U8(Array3::zeros((2, 3, 4)));
        write_label_map(&dir, header, &fewer, &source).unwrap();
        let map = read_named_label_map(files(), header, &limits, &cancel)
            .unwrap()
            .map;
        assert_eq!(map.labels, fewer);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 3);
    }
}
