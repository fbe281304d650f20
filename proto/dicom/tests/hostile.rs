//! Thousands of broken, cut, nested and inflating files: no panic, no abort, memory and time within bounds.
//!
//! `NEPHRITE_HOSTILE_FILES=20000 cargo test --release -p nephrite-dicom --test hostile -- --nocapture` tries so many, and
//! prints what they cost. With the samples (`make dicom-samples`) compressed files are among them.
#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use ndarray::Array3;
use nephrite_dicom::test_util::{Labels, Way, enhanced, single_frame};
use nephrite_dicom::{DicomLimits, Frames, open_bytes};
use nephrite_types::{Affine, Geometry, IntensityScale, Shape3, Spacing, Volume, Voxels};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const FILES: usize = 600;
const MAX_BYTES: usize = 200 << 20;
const MAX_TIME: Duration = Duration::from_secs(2);

/// xorshift64*: the same files in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn volume() -> Volume {
    let (shape, spacing) = (
        Shape3::new([4, 16, 12]).unwrap(),
        Spacing::new([2.0, 1.0, 1.0]).unwrap(),
    );
    Volume {
        voxels: Voxels::I16(Array3::from_shape_fn((4, 16, 12), |(z, y, x)| {
            (z * 100 + y * 7 + x) as i16
        })),
        scale: IntensityScale::IDENTITY,
        geometry: Geometry {
            shape,
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        },
    }
}

/// Whole files to start from.
fn seeds() -> Vec<Vec<u8>> {
    let mut file = single_frame(&volume(), Way::PLAIN, &Labels::default()).remove(0);
    let mut seeds = vec![file.bytes()];
    file.syntax = "1.2.840.10008.1.2".to_owned();
    seeds.push(file.bytes());
    file.syntax = "1.2.840.10008.1.2.2".to_owned();
    seeds.push(file.bytes());
    seeds.push(enhanced(&volume(), Way::PLAIN, &Labels::default()).bytes());
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/dicom-samples");
    for name in [
        "pydicom/MR_small_RLE.dcm",
        "pydicom/MR_small_jp2klossless.dcm",
        "pydicom/JPEG2000.dcm",
        "pydicom-data/JPEG-LL.dcm",
        "pydicom/image_dfl.dcm",
        "pydicom-data/emri_small_RLE.dcm",
        "pydicom-data/emri_small_jpeg_2k_lossless.dcm",
    ] {
        match std::fs::read(samples.join(name)) {
            Ok(bytes) => seeds.push(bytes),
            Err(_) => eprintln!("without {name}"),
        }
    }
    seeds
}

fn deflated(dataset: &[u8]) -> Vec<u8> {
    let uid = b"1.2.840.10008.1.2.1.99";
    let mut bytes = [
        &[0; 128][..],
        b"DICM\x02\0\x10\0UI",
        &(uid.len() as u16).to_le_bytes(),
        uid,
    ]
    .concat();
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(dataset).unwrap();
    bytes.extend(encoder.finish().unwrap());
    bytes
}

/// What this thread has computed for, whatever else the machine does.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// One hostile file.
fn hostile(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    match random.below(8) {
        // Cut.
        0 => bytes.truncate(random.below(bytes.len())),
        // A length or a tag that is anything.
        1 => {
            for _ in 0..1 + random.below(4) {
                let at = random.below(bytes.len() - 4);
                bytes[at..at + 4].copy_from_slice(&(random.next() as u32).to_le_bytes());
            }
        }
        // A length that is undefined or huge.
        2 => {
            let at = random.below(bytes.len() - 4);
            let huge = [u32::MAX, u32::MAX - 1, 0x7fff_ffff, 0x4000_0000, 0][random.below(5)];
            bytes[at..at + 4].copy_from_slice(&huge.to_le_bytes());
        }
        // Flipped bits, most of them among the pixels.
        3 => {
            for _ in 0..1 + random.below(16) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
        // A part that is there twice.
        4 => {
            let at = random.below(bytes.len());
            let part = bytes[at..(at + random.below(400)).min(bytes.len())].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, part);
        }
        // Nested in all encodings.
        5 => {
            let at = 132 + random.below(bytes.len() - 132);
            let open: &[u8] = match random.below(3) {
                0 => b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff",
                1 => b"\x08\0\x40\x11\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff",
                _ => b"\x09\0\x40\x11UN\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff",
            };
            let nested = open.repeat(1 + random.below(20_000));
            bytes.splice(at..at, nested);
        }
        // Elements, values, or bytes that inflate.
        6 => {
            let n = random.below(20 << 20);
            let content = match random.below(3) {
                0 => vec![0; n],
                1 => b"\x08\0\x60\0CS\0\0".repeat(n / 8),
                _ => b"\x08\0\x60\0CS\xfe\xff"
                    .iter()
                    .copied()
                    .chain(std::iter::repeat_n(b'\\', n))
                    .collect(),
            };
            bytes = deflated(&content);
        }
        // Headers of rows, columns and bits that are anything.
        _ => {
            let tags: [&[u8]; 6] = [
                b"(\0\x10\0US",
                b"(\0\x11\0US",
                b"(\0\0\x01US",
                b"(\0\x01\x01US",
                b"(\0\x03\x01US",
                b"(\0\x08\0IS",
            ];
            let tag = tags[random.below(tags.len())];
            // Rows and columns are huge together, now and then, with a code stream that says the same.
            if random.below(4) == 0 {
                for (tag, n) in [(tags[0], 0xffffu16), (tags[1], 0xffff - random.below(2) as u16)] {
                    if let Some(at) = bytes.windows(6).position(|window| window == tag) {
                        bytes[at + 8..at + 10].copy_from_slice(&n.to_le_bytes());
                    }
                    if let Some(at) = bytes
                        .windows(4)
                        .position(|window| window == [0xff, 0x4f, 0xff, 0x51])
                    {
                        let at = at + if tag == tags[0] { 12 } else { 8 };
                        bytes[at..at + 4].copy_from_slice(&u32::from(n).to_be_bytes());
                    }
                }
            }
            if let Some(at) = bytes.windows(6).position(|window| window == tag) {
                let value = random.next().to_le_bytes();
                bytes[at + 8..at + 10].copy_from_slice(&value[..2]);
            }
        }
    }
    bytes
}

#[test]
fn hostile_files_cost_little_and_end_nothing() {
    let n = std::env::var("NEPHRITE_HOSTILE_FILES").map_or(FILES, |n| n.parse().unwrap());
    let seeds = seeds();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut worst_bytes, mut worst_time, mut opened, mut decoded) = (0, Duration::ZERO, 0, 0);
    for index in 0..n {
        let bytes = hostile(&mut random, &seeds);
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let start = cpu_time();
        if let Ok(object) = open_bytes(bytes, "hostile", &DicomLimits::default()) {
            opened += 1;
            if let Ok(frames) = Frames::of(&object) {
                for frame in 1..=frames.format().frames.min(20) {
                    decoded += usize::from(frames.decode(frame).is_ok());
                }
            }
        }
        let (time, used) = (
            cpu_time().saturating_sub(start),
            ALLOCATOR.peak_usage().saturating_sub(before),
        );
        assert!(used < MAX_BYTES, "file {index} took {used} bytes");
        // Debug builds of the decoders are slower.
        let allowed = if cfg!(debug_assertions) {
            5 * MAX_TIME
        } else {
            MAX_TIME
        };
        assert!(time < allowed, "file {index} took {time:?}");
        worst_bytes = worst_bytes.max(used);
        worst_time = worst_time.max(time);
    }
    println!(
        "{n} files, {opened} opened, {decoded} frames decoded; at most {worst_bytes} bytes, {worst_time:?}"
    );
    assert!(
        opened > n / 20 && decoded > n / 20,
        "{opened} opened, {decoded} decoded: nothing was tried"
    );
}
