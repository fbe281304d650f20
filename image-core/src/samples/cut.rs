//! A sample with its image: the crop of a scan around labels, the crop of the mask, and a picture of both.

use std::io::Write;

use ndarray::Axis;
use nephrite_kernel::{Artefact, Artefacts, CancelToken, Limits, Mask, OperationError};
use nephrite_merge::{Interpolation, resample_mask};
use nephrite_sample::{SampleError, choose, crop, crop_box, preview_over};
use nephrite_types::{Geometry, Volume, with_voxels};
use nephrite_volume::Orientation;

use crate::error::CoreError;

const IMAGE: &str = "image.nii.gz";
const MASK: &str = "mask.nii.gz";
const OVERLAY: &str = "overlay.png";

/// What a sample is made of.
pub(crate) const SAMPLE_FILES: [&str; 3] = [IMAGE, MASK, OVERLAY];

/// A scan as its reader gave it, and where it lies.
pub(crate) struct FramedScan<'a> {
    pub(crate) volume: &'a Volume,
    /// Of the file; what masks of the scan lie on.
    pub(crate) frame: Geometry,
    /// How the file's axes became those of the volume.
    pub(crate) orientation: Orientation,
}

/// Writes `image.nii.gz`, `mask.nii.gz` and `overlay.png` of the box around `labels` (all of the mask if empty).
///
/// The mask may lie on any grid; on the frame of the scan it is taken by voxel, from elsewhere it is brought there by world coordinates, nearest voxel. The margin is
/// rounded up to whole voxels and ends at the scan. The image keeps the scan's voxel type and scale factors, and every
/// voxel its place in the world; the mask holds only the labels that are named. The picture shows the slices with most of
/// the labels, as [`Window::of`] makes gray of intensities.
///
/// Nothing is read: everything comes from memory. An error may leave some of the files; whoever owns `folder` discards
/// them.
///
/// # Errors
/// [`CoreError::EmptySample`] if no voxel of the labels lies within the scan; [`CoreError::Operation`] for a label that the
/// mask does not know, a grid over the limits, or a file that cannot be written; [`CoreError::Cancelled`].
pub(crate) fn image_sample(
    scan: &FramedScan<'_>,
    mask: &Mask,
    labels: &[String],
    margin_mm: f64,
    folder: &Artefacts,
    limits: &Limits,
    cancel: &CancelToken,
) -> Result<Vec<Artefact>, CoreError> {
    let FramedScan {
        volume,
        frame,
        orientation,
    } = scan;
    let chosen = choose(mask, labels)?;
    let chosen = resample_mask(&chosen, frame, Interpolation::Nearest, limits, cancel)?;
    if chosen.runs().is_empty() {
        let entries = chosen.labels().entries().iter();
        return Err(CoreError::EmptySample {
            labels: entries.map(|entry| entry.name.clone()).collect(),
        });
    }
    let bounds = crop_box(chosen.runs(), margin_mm);
    let broken = |error| OperationError::from(SampleError::from(error));
    let part = volume.crop(&orientation.box_to_ras(&bounds, frame.shape.zyx()));
    let part = part.map_err(broken)?;
    let image = Volume {
        voxels: orientation.voxels_to_file(part.voxels),
        scale: part.scale,
        geometry: frame.crop(&bounds).map_err(broken)?,
    };
    let runs = crop(chosen.runs(), &bounds, limits)?;
    let mask = Mask::new(runs, chosen.labels().clone()).map_err(OperationError::from)?;

    cancel.check()?;
    let mut written = vec![folder.write_volume(IMAGE, &image)?];
    cancel.check()?;
    written.push(folder.write_label_map(
        MASK,
        &mask.runs().try_to_labels().map_err(OperationError::from)?,
        &image.geometry,
    )?);
    let window = Window::of(volume, &image);
    let gray = |voxel: [usize; 3]| with_voxels!(&image.voxels, array => window.level(image.scale.apply(array[voxel])));
    let picture = preview_over(&mask, &gray, cancel)?;
    written.push(folder.write(OVERLAY, "image/png", |out: &mut dyn Write| {
        out.write_all(&picture)
    })?);
    Ok(written)
}

/// The intensities that are black and white.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Window {
    black: f32,
    white: f32,
}

impl Window {
    /// Of a CT of the abdomen: level 40, width 400 HU.
    const ABDOMEN: Window = Window {
        black: -160.0,
        white: 240.0,
    };

    /// That of the abdomen if the scan has voxels as dark as air in HU (-500 or less), which no other modality has; else
    /// from the 0.5th to the 99.5th percentile of the crop.
    fn of(scan: &Volume, crop: &Volume) -> Window {
        const AIR_HU: f32 = -500.0;
        if some_intensities(scan).iter().any(|hu| *hu <= AIR_HU) {
            return Window::ABDOMEN;
        }
        let mut values = some_intensities(crop);
        values.sort_unstable_by(f32::total_cmp);
        let at = |share: f64| {
            let last = values.len().saturating_sub(1);
            values.get((share * last as f64).round() as usize).copied()
        };
        let (black, white) = (at(0.005).unwrap_or(0.0), at(0.995).unwrap_or(1.0));
        Window { black, white }
    }

    fn level(self, intensity: f32) -> u8 {
        let width = (self.white - self.black).max(f32::MIN_POSITIVE);
        // A cast from a float saturates, and makes 0 of what is not a number.
        (255.0 * (intensity - self.black) / width).round() as u8
    }
}

/// Finite intensities of at most a quarter of a million voxels, evenly spread.
fn some_intensities(volume: &Volume) -> Vec<f32> {
    const PER_AXIS: usize = 63;
    with_voxels!(&volume.voxels, array => {
        let mut view = array.view();
        for axis in 0..3 {
            let step = view.len_of(Axis(axis)).div_ceil(PER_AXIS);
            view.slice_axis_inplace(Axis(axis), ndarray::Slice::from(..).step_by(step as isize)); // shorter than the axis
        }
        let values = view.iter().map(|stored| volume.scale.apply(*stored));
        values.filter(|value| value.is_finite()).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use cap_std::ambient_authority;
    use cap_std::fs::Dir;
    use ndarray::{Array3, s};
    use nephrite_kernel::{LabelEntry, LabelStatus, LabelTable, RunMask};
    use nephrite_types::{
        Affine, Coded, ErrorCode, IntensityScale, Labels, Shape3, Spacing, VoxelType, Voxels,
    };
    use nephrite_volume::{Reader, read_volume};

    use super::*;

    /// Voxels of 2 × 3 × 4 mm (x, y, z), x and y turned round as scanners store them, origin off zero.
    fn grid(shape: [usize; 3], origin: [f64; 3]) -> Geometry {
        let [x, y, z] = origin;
        Geometry {
            shape: Shape3::new(shape).unwrap(),
            spacing: Spacing::new([4.0, 3.0, 2.0]).unwrap(),
            affine: Affine::new([[-2.0, 0.0, 0.0, x], [0.0, -3.0, 0.0, y], [0.0, 0.0, 4.0, z]]).unwrap(),
        }
    }

    const SHAPE: [usize; 3] = [10, 20, 30];

    /// Stored values tell their voxel; intensities are `0.5 · stored - 1000`.
    fn scan() -> Volume {
        Volume {
            voxels: Voxels::I16(Array3::from_shape_fn(SHAPE, |(z, y, x)| {
                (z * 600 + y * 30 + x) as i16
            })),
            scale: IntensityScale {
                slope: 0.5,
                inter: -1000.0,
            },
            geometry: grid(SHAPE, [50.0, 60.0, 70.0]),
        }
    }

    /// Kidney (1) and tumor (2) in boxes of voxels, stone (3) without voxels.
    fn mask(geometry: Geometry) -> Mask {
        let mut array = Array3::<u8>::zeros(geometry.shape.zyx());
        array.slice_mut(s![4..7, 8..12, 10..16]).fill(1);
        array.slice_mut(s![5, 9, 20]).fill(2);
        let runs = RunMask::from_labels(&Labels::U8(array), &geometry, &Limits::default()).unwrap();
        let entry = |id, name: &str| LabelEntry {
            id,
            name: name.to_owned(),
            status: LabelStatus::Present,
        };
        let table = LabelTable::new(vec![entry(1, "kidney"), entry(2, "tumor"), entry(3, "stone")]);
        Mask::new(runs, table.unwrap()).unwrap()
    }

    struct Folder {
        temp: tempfile::TempDir,
        artefacts: Artefacts,
    }

    impl Folder {
        fn new() -> Folder {
            let temp = tempfile::tempdir().unwrap();
            let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
            let artefacts = Artefacts::new(dir, std::path::Path::new("case/s"));
            Folder { temp, artefacts }
        }

        fn sample(&self, mask: &Mask, labels: &[&str], margin_mm: f64) -> Result<Vec<Artefact>, CoreError> {
            let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            let (limits, cancel) = (Limits::default(), CancelToken::new());
            let scan = scan();
            let scan = FramedScan {
                volume: &scan,
                frame: scan.geometry,
                orientation: Orientation::RAS,
            };
            image_sample(&scan, mask, &labels, margin_mm, &self.artefacts, &limits, &cancel)
        }

        fn read(&self, name: &str) -> Volume {
            let file = File::open(self.temp.path().join(name)).unwrap();
            let scan = read_volume(
                file,
                name,
                Reader::Nibabel,
                &Limits::default(),
                &CancelToken::new(),
            );
            scan.unwrap().volume
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(self.temp.path()).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    fn stored(volume: &Volume) -> &Array3<i16> {
        match &volume.voxels {
            Voxels::I16(array) => array,
            other => panic!("{:?}", other.voxel_type()),
        }
    }

    #[test]
    fn image_and_mask_are_the_same_box_of_the_scan() {
        let folder = Folder::new();
        let written = folder.sample(&mask(scan().geometry), &["kidney"], 3.5).unwrap();
        let written: Vec<(&str, &str)> = written
            .iter()
            .map(|artefact| (artefact.name.as_str(), artefact.media_type.as_str()))
            .collect();
        assert_eq!(
            written,
            [
                ("image.nii.gz", "application/x-nifti"),
                ("mask.nii.gz", "application/x-nifti"),
                ("overlay.png", "image/png")
            ]
        );
        assert_eq!(folder.names(), ["image.nii.gz", "mask.nii.gz", "overlay.png"]);
        // 3.5 mm are one voxel along z, two along y and x
        let image = folder.read("image.nii.gz");
        let whole = scan();
        assert_eq!(stored(&image), stored(&whole).slice(s![3..8, 6..14, 8..18]));
        assert_eq!(image.scale, whole.scale);
        let (was, is) = ([10.0, 8.0, 4.0], [2.0, 2.0, 1.0]);
        assert_eq!(
            image.geometry.affine.world_from_voxel(is),
            whole.geometry.affine.world_from_voxel(was)
        );
        assert_eq!(whole.geometry.affine.world_from_voxel(was), [30.0, 36.0, 86.0]);
        let labels = folder.read("mask.nii.gz");
        assert_eq!(labels.geometry, image.geometry);
        let mut expected = Array3::<u8>::zeros([5, 8, 10]);
        expected.slice_mut(s![1..4, 2..6, 2..8]).fill(1);
        assert_eq!(labels.voxels, Voxels::U8(expected), "the tumor was not asked for");
    }

    #[test]
    fn without_names_all_labels_count_and_the_box_ends_at_the_scan() {
        let folder = Folder::new();
        folder.sample(&mask(scan().geometry), &[], 1000.0).unwrap();
        assert_eq!(stored(&folder.read("image.nii.gz")), stored(&scan()));
        let folder = Folder::new();
        folder.sample(&mask(scan().geometry), &[], 0.0).unwrap();
        let image = folder.read("image.nii.gz");
        assert_eq!(
            stored(&image),
            stored(&scan()).slice(s![4..7, 8..12, 10..21]),
            "the tumor is at x 20"
        );
        assert_eq!(image.voxels.voxel_type(), VoxelType::I16);
    }

    #[test]
    fn a_mask_on_another_grid_comes_through_the_world() {
        // Two voxels further along x (against the world), one along z: the same world is at smaller indices.
        let geometry = grid(SHAPE, [46.0, 60.0, 74.0]);
        let folder = Folder::new();
        folder.sample(&mask(geometry), &["tumor"], 0.0).unwrap();
        let image = folder.read("image.nii.gz");
        assert_eq!(stored(&image), stored(&scan()).slice(s![6..7, 9..10, 22..23]));
    }

    #[test]
    fn the_picture_shows_outlines_in_color_over_gray() {
        let folder = Folder::new();
        folder.sample(&mask(scan().geometry), &[], 10.0).unwrap();
        let file = File::open(folder.temp.path().join("overlay.png")).unwrap();
        let mut reader = png::Decoder::new(std::io::BufReader::new(file))
            .read_info()
            .unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        assert_eq!(frame.color_type, png::ColorType::Rgb);
        let count = |color: [u8; 3]| {
            let pixels = bytes[..frame.buffer_size()].as_chunks::<3>().0;
            pixels.iter().filter(|pixel| **pixel == color).count()
        };
        assert!(count(nephrite_sample::label_color(0)) > 100, "kidney");
        assert!(count(nephrite_sample::label_color(1)) > 20, "tumor");
        assert_eq!(count(nephrite_sample::label_color(2)), 0, "there is no stone");
        assert!(
            count([255; 3]) + count([0; 3]) > 100,
            "the scan, beyond its window"
        );
    }

    #[test]
    fn nothing_to_cut_out_is_refused_by_name() {
        let folder = Folder::new();
        let here = mask(scan().geometry);
        let check = |mask: &Mask, labels: &[&str], says: &str, code: ErrorCode| {
            let error = folder.sample(mask, labels, 5.0).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.code(), code, "{error}");
            assert!(folder.names().is_empty());
        };
        check(
            &here,
            &["stone"],
            "no voxel of stone lies",
            ErrorCode::InvalidInput,
        );
        check(
            &here,
            &["liver"],
            "\"liver\", known are kidney, tumor",
            ErrorCode::InvalidArgument,
        );
        let far = mask(grid(SHAPE, [5000.0, 60.0, 70.0]));
        check(
            &far,
            &[],
            "no voxel of kidney, tumor, stone lies",
            ErrorCode::InvalidInput,
        );
    }

    #[test]
    fn windows_are_those_of_ct_or_of_the_crop() {
        let volume = |values: Array3<f32>| Volume {
            geometry: grid(
                {
                    let (z, y, x) = values.dim();
                    [z, y, x]
                },
                [0.0; 3],
            ),
            voxels: Voxels::F32(values),
            scale: IntensityScale::IDENTITY,
        };
        let ct = volume(Array3::from_shape_fn([2, 2, 4], |(_, _, x)| {
            100.0 - 200.0 * x as f32
        }));
        assert_eq!(Window::of(&ct, &ct), Window::ABDOMEN);
        let mr = volume(Array3::from_shape_fn([1, 1, 63], |(_, _, x)| 10.0 * x as f32));
        let window = Window::of(&mr, &mr);
        assert_eq!((window.black, window.white), (0.0, 620.0));
        assert_eq!(
            [-5.0, 0.0, 310.0, 620.0, 1e9].map(|v| window.level(v)),
            [0, 0, 128, 255, 255]
        );
        assert_eq!(window.level(f32::NAN), 0);
        let flat = volume(Array3::from_elem([2, 2, 2], 7.0));
        let nothing = volume(Array3::from_elem([2, 2, 2], f32::NAN));
        assert_eq!(Window::of(&flat, &flat).level(7.0), 0);
        assert_eq!(Window::of(&nothing, &nothing).level(f32::NAN), 0);
    }
}
