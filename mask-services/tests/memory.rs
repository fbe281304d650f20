//! What operations hold at their peak, beside what they say before they start. One test, in a program of its own: the
//! allocator counts for the whole process.

#![allow(clippy::unwrap_used)] // in helpers too

use std::collections::BTreeMap;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_kernel::memory::request_bytes;
use nephrite_kernel::{
    Affine, Artefacts, CancelToken, Context, Geometry, Inputs, LabelEntry, LabelStatus, LabelTable, Limits,
    Mask, MaskSize, OperationError, ParameterValue, Parameters, Run, RunMask, RunMaskBuilder, Shape3,
    Spacing, UnreadMask, run_checked, write_mask,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// `label(z, y, x)` on a grid of 1 mm.
fn mask(shape: [usize; 3], n_labels: u16, label: impl Fn(usize, usize, usize) -> u16) -> Mask {
    let spacing = Spacing::new([1.0; 3]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let [nz, ny, nx] = shape;
    let limits = Limits::default();
    let mut out = RunMaskBuilder::new(geometry, &limits).unwrap();
    for (z, y) in (0..nz).flat_map(|z| (0..ny).map(move |y| (z, y))) {
        let mut runs: Vec<Run> = Vec::new();
        for x in 0..nx {
            let label = label(z, y, x);
            match runs.last_mut() {
                Some(run) if run.label == label && run.end == x as u32 => run.end += 1,
                _ if label != 0 => runs.push(Run {
                    start: x as u32,
                    end: x as u32 + 1,
                    label,
                }),
                _ => {}
            }
        }
        out.push_row(runs).unwrap();
    }
    let entries = (1..=n_labels).map(|id| LabelEntry {
        id,
        name: format!("label_{id}"),
        status: LabelStatus::Present,
    });
    let runs: RunMask = out.finish().unwrap();
    Mask::new(runs, LabelTable::new(entries.collect()).unwrap()).unwrap()
}

/// Nested and separate balls, as organs are.
fn organs() -> Mask {
    let n = 240;
    mask([n, n, n], 4, |z, y, x| {
        let near = |c: [i64; 3], r: i64| {
            let d = [z as i64 - c[0], y as i64 - c[1], x as i64 - c[2]];
            d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < r * r
        };
        match () {
            () if near([80, 80, 80], 20) => 2,
            () if near([80, 80, 80], 60) => 1,
            () if near([160, 160, 160], 50) => 3,
            () if near([160, 60, 160], 30) => 4,
            () => 0,
        }
    })
}

/// One structure from end to end of the grid, and two in it.
fn body() -> Mask {
    mask([160, 160, 160], 3, |z, y, x| {
        let d = [z, y, x].map(|i| i as i64 - 80);
        match d.iter().map(|d| d * d).sum::<i64>() {
            0..100 => 3,
            100..400 => 2,
            400..6084 => 1,
            _ => 0,
        }
    })
}

/// A wiggle of hashes: as many runs as a mask can have.
fn noise() -> Mask {
    mask([96, 96, 96], 3, |z, y, x| {
        let hash = (z * 73_856_093) ^ (y * 19_349_663) ^ (x * 83_492_791);
        ((hash >> 7) % 4) as u16
    })
}

fn many_labels() -> Mask {
    mask([120, 120, 120], 1000, |z, y, x| {
        let at = |n: usize| n % 12 < 8;
        match at(z) && at(y) && at(x) {
            true => (z / 12 * 100 + y / 12 * 10 + x / 12 + 1) as u16,
            false => 0,
        }
    })
}

/// No labels, on a grid of twice as many planes and rows around the same place.
fn finer_grid(mask: &Mask) -> Mask {
    let [nz, ny, nx] = mask.runs().shape();
    let spacing = Spacing::new([0.5, 0.5, 1.0]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([2 * nz, 2 * ny, nx]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.25, -0.25, -0.25]),
    };
    let runs = RunMask::empty(geometry, &Limits::default()).unwrap();
    Mask::new(runs, LabelTable::new(Vec::new()).unwrap()).unwrap()
}

/// The same, two voxels further along x where there is room.
fn shifted(mask: &Mask) -> Mask {
    let limits = Limits::default();
    let nx = mask.runs().shape()[2] as u32;
    let mut out = RunMaskBuilder::new(*mask.runs().geometry(), &limits).unwrap();
    for row in mask.runs().rows() {
        let moved = row.iter().filter(|run| run.start + 2 < nx).map(|run| Run {
            start: run.start + 2,
            end: (run.end + 2).min(nx),
            label: run.label,
        });
        out.push_row(moved).unwrap();
    }
    Mask::new(out.finish().unwrap(), mask.labels().clone()).unwrap()
}

fn texts(values: &[&str]) -> ParameterValue {
    ParameterValue::Texts(values.iter().map(|text| (*text).to_owned()).collect())
}

fn text(value: &str) -> ParameterValue {
    ParameterValue::Text(value.to_owned())
}

/// Operation, input, parameters.
type Request = (&'static str, &'static str, Vec<(&'static str, ParameterValue)>);

fn requests() -> Vec<Request> {
    use ParameterValue::{Integer, Number};
    vec![
        ("cleanup", "mask", vec![("keep_largest", Integer(1))]),
        (
            "cleanup",
            "mask",
            vec![("fill_holes", text("volume")), ("min_volume_mm3", Number(100.0))],
        ),
        ("cleanup", "mask", vec![("dilate_mm", Number(3.0))]),
        (
            "cleanup",
            "mask",
            vec![("open_mm", Number(2.0)), ("close_mm", Number(2.0))],
        ),
        (
            "cleanup",
            "mask",
            vec![
                ("near_label", text("label_1")),
                ("near_mm", Number(5.0)),
                ("labels", texts(&["label_3"])),
            ],
        ),
        ("cleanup", "mask", vec![("preset", text("nnunet"))]),
        ("merge", "masks", vec![]),
        ("merge", "finer", vec![]),
        ("merge", "finer", vec![("interpolation", text("linear"))]),
        (
            "merge",
            "masks",
            vec![("steps", texts(&["both = label_1 union label_2"]))],
        ),
        ("compare", "shifted", vec![]),
        ("sample", "mask", vec![]),
        ("sample", "mask", vec![("max_voxels", Integer(100_000))]),
    ]
}

/// What an operation said, and what it held.
struct Row {
    mask: &'static str,
    request: String,
    expected: u64,
    held: u64,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.expected as f64 / self.held as f64
    }
}

fn measured(mask_name: &'static str, mask: &Arc<Mask>, rows: &mut Vec<Row>) {
    let (registry, limits, cancel) = (
        nephrite_mask_services::operations(),
        Limits::default(),
        CancelToken::new(),
    );
    let (size, finer, shifted) = (
        MaskSize::of(mask),
        Arc::new(finer_grid(mask)),
        Arc::new(shifted(mask)),
    );
    for (name, input, given) in requests() {
        let operation = registry.get(name).unwrap();
        let given: BTreeMap<String, ParameterValue> = given
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let parameters = Parameters::check(&operation.description().parameters, &given).unwrap();
        let (inputs, sizes) = match input {
            "finer" => (
                Inputs::new()
                    .with("masks", mask.clone())
                    .with("reference", finer.clone()),
                vec![size, MaskSize::of(&finer)],
            ),
            "shifted" => (
                Inputs::new()
                    .with("mask", mask.clone())
                    .with("reference", shifted.clone()),
                vec![size, MaskSize::of(&shifted)],
            ),
            input => (Inputs::new().with(input, mask.clone()), vec![size]),
        };
        let temp = tempfile::tempdir().unwrap();
        let folder = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
        let folder = Artefacts::new(folder, temp.path());
        let context = Context {
            limits: &limits,
            cancel: &cancel,
            artefacts: operation.description().artefacts.then_some(&folder),
        };
        let before = ALLOCATOR.current_usage() as u64;
        ALLOCATOR.reset_peak_usage();
        let outcome = run_checked(operation.as_ref(), &inputs, &given, &context).unwrap();
        let held = ALLOCATOR.peak_usage() as u64 - before;
        drop(outcome);
        rows.push(Row {
            mask: mask_name,
            request: format!("{name} {input} {given:?}"),
            expected: operation.working_bytes(&sizes, &parameters) + FIXED_BYTES,
            held,
        });
    }
}

/// What a request makes room for besides: [`nephrite_kernel::memory::request_bytes`].
const FIXED_BYTES: u64 = 8 << 20;

/// A file of noise has far more runs than its header lets expect. They are counted before they are kept, and whoever has no
/// room for them says so then.
fn a_file_that_has_no_room_is_refused_before_its_runs_are_kept(noise: &Mask) {
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let temp = tempfile::tempdir().unwrap();
    let folder = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    write_mask(&folder, "noise.nii", noise, &limits).unwrap();
    let open = || std::fs::File::open(temp.path().join("noise.nii")).unwrap();
    let unread = UnreadMask::of(&open().into(), "noise", &limits).unwrap();
    let (expected, found) = (unread.size(), MaskSize::of(noise));
    assert!(found.n_runs > 20 * expected.n_runs);
    let read = |has_room: bool| {
        let before = ALLOCATOR.current_usage() as u64;
        ALLOCATOR.reset_peak_usage();
        let mut told = 0;
        let table = noise.labels();
        let read = unread.read(open(), "noise", table, &limits, &cancel, |size| {
            told = size.n_runs;
            let what = "no room".to_owned();
            has_room.then_some(()).ok_or(OperationError::Internal { what })
        });
        let held = ALLOCATOR.peak_usage() as u64 - before;
        assert_eq!((read.is_ok(), told), (has_room, found.n_runs));
        held
    };
    let (refused, taken) = (read(false), read(true));
    let reading = expected.reading_bytes + (1 << 20);
    assert!(refused < reading && found.run_bytes() > reading, "{refused}");
    assert!(taken < request_bytes(&[found], expected.reading_bytes), "{taken}");
}

#[test]
fn no_operation_holds_more_than_it_said() {
    a_file_that_has_no_room_is_refused_before_its_runs_are_kept(&noise());

    let mut rows = Vec::new();
    measured("body", &Arc::new(body()), &mut rows);
    let steps_of_body = rows.len();
    measured("organs", &Arc::new(organs()), &mut rows);
    measured("noise", &Arc::new(noise()), &mut rows);
    measured("many labels", &Arc::new(many_labels()), &mut rows);
    for row in &rows {
        println!(
            "{:12} held {:9} expected {:9} {:6.2} {:.90}",
            row.mask,
            row.held,
            row.expected,
            row.ratio(),
            row.request
        );
    }
    let most = rows
        .iter()
        .min_by(|a, b| a.ratio().total_cmp(&b.ratio()))
        .unwrap();
    assert!(
        most.ratio() >= 1.0,
        "{} {}: {:.2}",
        most.mask,
        most.request,
        most.ratio()
    );
    // Nor is the guess without bound: where a structure fills the grid, distances are not counted twice over.
    let dense = rows[..steps_of_body]
        .iter()
        .filter(|row| row.request.contains("_mm\""));
    let most = dense.max_by(|a, b| a.ratio().total_cmp(&b.ratio())).unwrap();
    assert!(most.ratio() < 2.5, "{}: {:.2}", most.request, most.ratio());
}
