//! Folders of test files, listed and read.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ndarray::Array3;
use nephrite_dicom::test_util::{TestFile, write};
use nephrite_dicom::{
    DicomError, DicomLimits, DicomScan, Listing, Series, SeriesFault, SeriesOptions, list, read,
};
use nephrite_types::{
    Affine, CancelToken, Geometry, IntensityScale, Limits, Shape3, Spacing, Volume, Voxels,
};
use nephrite_volume::Reader;

/// A folder that goes with the test.
pub(crate) struct Folder {
    pub(crate) temporary: tempfile::TempDir,
    pub(crate) dir: Dir,
}

impl Folder {
    pub(crate) fn new(files: &[TestFile]) -> Folder {
        let temporary = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
        write(&dir, files);
        Folder { temporary, dir }
    }

    pub(crate) fn list(&self, options: &SeriesOptions) -> Listing {
        list(
            &self.dir,
            "folder",
            &DicomLimits::default(),
            options,
            &CancelToken::new(),
        )
        .unwrap()
    }

    pub(crate) fn read(&self, series: &Series) -> Result<DicomScan, DicomError> {
        let (limits, dicom) = (Limits::default(), DicomLimits::default());
        read(
            &self.dir,
            series,
            Reader::SimpleItk,
            &limits,
            &dicom,
            &CancelToken::new(),
        )
    }

    /// The one series, read.
    pub(crate) fn read_only(&self, options: &SeriesOptions) -> Result<DicomScan, DicomError> {
        let listing = self.list(options);
        let series = listing.select(None)?;
        self.read(series)
    }
}

/// What is wrong with the series of these files.
pub(crate) fn fault(files: &[TestFile], options: &SeriesOptions) -> SeriesFault {
    match Folder::new(files).read_only(options) {
        Err(DicomError::Series { fault, .. }) => fault,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("was read"),
    }
}

/// 5 slices of 6 rows and 4 columns, all voxels different, negative ones too; oblique.
pub(crate) fn volume() -> Volume {
    let (shape, spacing) = ([5, 6, 4], [3.0, 1.5, 2.5]);
    // A rotation about an axis that is no axis of the body.
    let (a, b) = (0.3f64, 0.2f64);
    let axes = [
        [a.cos(), a.sin(), 0.0],
        [-a.sin() * b.cos(), a.cos() * b.cos(), b.sin()],
        [a.sin() * b.sin(), -a.cos() * b.sin(), b.cos()],
    ];
    let rows = std::array::from_fn(|r| {
        let [x, y, z] = [0, 1, 2].map(|axis: usize| axes[axis][r] * spacing[2 - axis]);
        [x, y, z, [-20.5, 31.25, 404.0][r]]
    });
    Volume {
        voxels: Voxels::I16(Array3::from_shape_fn(shape, |(z, y, x)| {
            (100 * z + 10 * y + x) as i16 - 250
        })),
        scale: IntensityScale {
            slope: 1.0,
            inter: -24.0,
        },
        geometry: Geometry {
            shape: Shape3::new(shape).unwrap(),
            spacing: Spacing::new(spacing).unwrap(),
            affine: Affine::new(rows).unwrap(),
        },
    }
}

/// Asserts that two volumes have the same intensity at each place of the world.
#[track_caller]
pub(crate) fn assert_same_world(found: &Volume, expected: &Volume) {
    let inverse = |world: [f64; 3]| {
        let rows = expected.geometry.affine.rows();
        let d: [f64; 3] = std::array::from_fn(|r| world[r] - rows[r][3]);
        // Columns are at right angles.
        std::array::from_fn::<f64, 3, _>(|c| {
            let column: [f64; 3] = std::array::from_fn(|r| rows[r][c]);
            let square: f64 = column.iter().map(|v| v * v).sum();
            column.iter().zip(d).map(|(v, d)| v * d).sum::<f64>() / square
        })
    };
    let (intensities, wanted) = (found.to_intensities(), expected.to_intensities());
    assert_eq!(intensities.len(), wanted.len());
    for ((z, y, x), value) in intensities.indexed_iter() {
        let at = inverse(
            found
                .geometry
                .affine
                .world_from_voxel([x as f64, y as f64, z as f64]),
        );
        for index in at {
            assert!((index - index.round()).abs() < 1e-3, "{at:?}");
        }
        let [x, y, z] = at.map(|index| index.round() as usize);
        assert_eq!(*value, wanted[[z, y, x]]);
    }
}
