//! What objects hold at their peak, beside what they say before they start. One test, in a program of its own: the allocator
//! counts for the whole process.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_dicom::test_util::{Labels as SeriesLabels, Way, single_frame, write};
use nephrite_dicom::{DicomLimits, SeriesOptions, list};
use nephrite_dicom_objects::*;
use nephrite_mask_codec::{LabelTable, Mask, RunMask};
use nephrite_types::{
    Affine, CancelToken, Geometry, IntensityScale, Labels, Limits, OutputFormat, Shape3, Spacing, Volume,
    Voxels,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Few large frames, and many small ones.
const SHAPES: [[usize; 3]; 2] = [[120, 256, 256], [300, 80, 80]];

fn geometry(shape: [usize; 3]) -> Geometry {
    let spacing = Spacing::new([1.5, 0.8, 0.8]).unwrap();
    Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    }
}

fn source(shape: [usize; 3]) -> SourceSeries {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    let volume = Volume {
        voxels: Voxels::I16(ndarray::Array3::zeros(shape)),
        scale: IntensityScale::IDENTITY,
        geometry: geometry(shape),
    };
    write(&dir, &single_frame(&volume, Way::PLAIN, &SeriesLabels::default()));
    let (limits, cancel) = (DicomLimits::default(), CancelToken::new());
    let listing = list(&dir, "scan", &limits, &SeriesOptions::default(), &cancel).unwrap();
    SourceSeries::of(listing.select(None).unwrap()).unwrap()
}

fn mask(shape: [usize; 3], n_labels: u16, label: impl Fn([usize; 3]) -> u16) -> Mask {
    let array = ndarray::Array3::from_shape_fn(shape, |(z, y, x)| label([z, y, x]));
    let runs = RunMask::from_labels(&Labels::U16(array), &geometry(shape), &Limits::default()).unwrap();
    Mask::new(runs, LabelTable::numbered(1..=n_labels)).unwrap()
}

/// Whether a voxel lies in an ellipsoid; center and radius as parts of the grid.
fn is_in(shape: [usize; 3], at: [usize; 3], center: [f64; 3], radius: f64) -> bool {
    let d = (0..3).map(|i| (at[i] as f64 / shape[i] as f64 - center[i]).powi(2));
    d.sum::<f64>() < radius * radius
}

/// Masks as organs are, as bad thresholds are, of many labels, and of one from end to end.
fn masks(shape: [usize; 3]) -> [(&'static str, Mask); 4] {
    let organs = mask(shape, 3, |at| match () {
        () if is_in(shape, at, [0.5, 0.3, 0.3], 0.1) => 2,
        () if is_in(shape, at, [0.5, 0.3, 0.3], 0.25) => 1,
        () if is_in(shape, at, [0.4, 0.7, 0.7], 0.2) => 3,
        () => 0,
    });
    let speckles = mask(shape, 1, |[z, y, x]| {
        let mixed = (z * 73_856_093) ^ (y * 19_349_663) ^ (x * 83_492_791);
        u16::from(mixed % 7 == 0 && z % 8 == 0)
    });
    let (block_y, block_x) = (shape[1] / 10, shape[2] / 10);
    let many = mask(shape, 100, |[z, y, x]| {
        let id = (y / block_y) * 10 + x / block_x + 1;
        let is_inside = z > 10 && y % block_y > 2 && x % block_x > 2 && x / block_x < 10 && id <= 100;
        if is_inside { id as u16 } else { 0 }
    });
    let body = mask(shape, 1, |[_, y, x]| {
        u16::from(is_in(shape, [0, y, x], [0.0, 0.5, 0.5], 0.45))
    });
    [
        ("organs", organs),
        ("speckles", speckles),
        ("100 labels", many),
        ("body", body),
    ]
}

#[test]
fn nothing_holds_more_than_it_says_and_what_it_says_is_not_far_off() {
    let (equipment, limits) = (Equipment::nephrite(), ObjectLimits::default());
    let algorithm = Algorithm {
        name: "test".to_owned(),
        version: "1".to_owned(),
    };
    let rle = SegKind::Labelmap(LabelmapCompression::Rle);
    let forms = [
        ("binary", OutputFormat::DicomSeg, SegKind::Binary),
        ("labelmap", OutputFormat::DicomSeg, rle),
        ("rtstruct", OutputFormat::Rtstruct, SegKind::Binary),
    ];
    let mut wrong = Vec::new();
    let all = SHAPES.map(|shape| (source(shape), masks(shape)));
    let all = all
        .iter()
        .flat_map(|(source, masks)| masks.iter().map(move |(name, mask)| (source, name, mask)));
    for (source, name, mask) in all {
        let request = ObjectRequest {
            source,
            masks: std::slice::from_ref(mask),
            codes: &BTreeMap::new(),
            placement: Placement::OnSource,
            case: [7; 32],
            role: "test",
            series_number: 9001,
            description: "test",
            algorithm: &algorithm,
            equipment: &equipment,
            limits: &limits,
        };
        mask.summaries(); // made once, and kept
        for (form, format, seg) in forms {
            let before = ALLOCATOR.current_usage();
            ALLOCATOR.reset_peak_usage();
            let mut bytes = Vec::new();
            match format {
                OutputFormat::Rtstruct => {
                    let written = write_structure_set(&request, Holes::Keyhole, &mut bytes).unwrap();
                    verify_structure_set(bytes.clone(), &request, &written).unwrap();
                }
                _ => {
                    let written = write_seg(&request, seg, &mut bytes).unwrap();
                    verify_seg(bytes.clone(), &request, &written).unwrap();
                }
            }
            let held = (ALLOCATOR.peak_usage() - before) as u64;
            let said = ObjectAmount::of(&request).unwrap().peak_bytes(format, seg);
            let ratio = said as f64 / held as f64;
            println!(
                "{name:12} {form:9} {:3} frames {:9} runs, object {:6.2} MB, held {:7.2} MB, said {:7.2} MB: {ratio:.2}",
                source.slices.len(),
                mask.runs().runs().len(),
                bytes.len() as f64 / 1e6,
                held as f64 / 1e6,
                said as f64 / 1e6
            );
            if !(1.0..2.5).contains(&ratio) {
                wrong.push(format!("{name} as {form}: {ratio:.2}"));
            }
        }
    }
    assert!(wrong.is_empty(), "said by held: {wrong:?}");
}
