//! What the fuzz targets call; the tests replay their seeds through the same functions.

use ndarray::Array3;
use nephrite_types::{Affine, BoundingBox, Geometry, Labels, Limits, Shape3, Spacing};

use crate::deflate::deflate;
use crate::{EncodedLabel, EncodedMask, LabelStatus, LabelTable, Mask, MaskEncoding, RunMask};

/// Small, so that a run costs little.
fn limits() -> Limits {
    Limits {
        max_voxels: 1 << 20,
        max_mask_rows: 1 << 14,
        max_mask_runs: 1 << 16,
        ..Limits::default()
    }
}

fn geometry(shape: [usize; 3]) -> Option<Geometry> {
    let spacing = Spacing::new([1.5, 0.5, 0.75]).ok()?;
    Some(Geometry {
        shape: Shape3::new(shape).ok()?,
        spacing,
        affine: Affine::from_spacing(spacing, [1.0, 2.0, 3.0]),
    })
}

/// Decodes a message whose numbers and payload are any bytes, with a checksum that fits half of the time: no panic,
/// bounded memory, and what is accepted keeps its word.
pub fn decode_raw(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let mut next = move || bytes.next().unwrap_or(0);
    let flags = next();
    let mut triple = || [next(), next(), next()].map(usize::from);
    let (shape, start, end) = (triple(), triple(), triple());
    let label = EncodedLabel {
        id: next().into(),
        name: "a".to_owned(),
        status: LabelStatus::ALL[usize::from(flags & 3)],
        voxels: next().into(),
        bounding_box: (flags & 4 != 0).then_some(BoundingBox { start, end }),
    };
    let n_runs = u64::from(next()) | u64::from(next()) << 8;
    let raw = data.get(14..).unwrap_or(&[]);
    let Some(geometry) = geometry(shape) else { return };
    let encoded = EncodedMask {
        geometry,
        bounding_box: (flags & 8 == 0).then_some(BoundingBox { start, end }),
        labels: vec![label],
        encoding: MaskEncoding::RunsDeflate,
        label_bytes: 1 + (flags >> 4 & 3),
        n_runs,
        checksum: if flags & 64 == 0 { crc32fast::hash(raw) } else { 0 },
        payload: if flags & 128 == 0 {
            deflate(raw, 1)
        } else {
            raw.to_vec()
        },
    };
    if let Ok(mask) = encoded.decode(&limits()) {
        assert_eq!(mask.runs().shape(), shape);
        check_round_trip(&mask);
    }
}

/// Makes a mask of `data`, and a message of it; after any change of the payload that its checksum agrees with, the
/// message is refused or gives some mask of that shape.
pub fn decode_plausible(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let mut next = move || bytes.next().unwrap_or(0);
    let shape = [next() % 4 + 1, next() % 6 + 1, next() % 24 + 1].map(usize::from);
    let (at, change, wide) = (next(), next(), next() & 1 == 1);
    let voxels: usize = shape.iter().product();
    let labels = (0..voxels).map(|_| u16::from(next() % 5) * if wide { 100 } else { 1 });
    let array = Array3::from_shape_vec(shape, labels.collect()).expect("as many as the shape has");
    let geometry = geometry(shape).expect("no axis is empty");
    let runs = RunMask::from_labels(&Labels::U16(array), &geometry, &limits()).expect("small");
    let ids: Vec<u16> = runs.summaries().into_keys().collect();
    let mask = Mask::new(runs, LabelTable::numbered(ids)).expect("all ids are numbered");
    check_round_trip(&mask);
    let mut encoded = EncodedMask::encode_at(&mask, 0).expect("small");
    let mut raw = match crate::deflate::inflate(&encoded.payload, 1 << 20) {
        Ok(raw) if !raw.is_empty() => raw,
        _ => return,
    };
    let idx = usize::from(at) % raw.len();
    raw[idx] ^= change;
    encoded.checksum = crc32fast::hash(&raw);
    encoded.payload = deflate(&raw, 1);
    if let Ok(changed) = encoded.decode(&limits()) {
        assert_eq!(changed.runs().shape(), shape);
        check_round_trip(&changed);
    }
}

fn check_round_trip(mask: &Mask) {
    let encoded = EncodedMask::encode(mask).expect("small planes");
    assert_eq!(encoded.decode(&limits()).as_ref(), Ok(mask));
}
