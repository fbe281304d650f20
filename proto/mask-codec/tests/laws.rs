//! Laws of run masks and of their message: what goes in comes out, however small or odd the mask.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

use std::collections::BTreeMap;

use ndarray::Array3;
use nephrite_mask_codec::{EncodedMask, LabelTable, Mask, RunMask, RunMaskBuilder};
use nephrite_types::{Affine, BoundingBox, Geometry, Labels, Limits, Shape3, Spacing};
use proptest::prelude::*;

fn geometry(shape: [usize; 3]) -> Geometry {
    let spacing = Spacing::new([2.5, 0.7, 0.9]).unwrap();
    let rows = [
        [0.9, 0.1, 0.0, -3.0],
        [-0.1, 0.7, 0.3, 4.0],
        [0.0, -0.2, 2.4, 7.0],
    ];
    Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::new(rows).unwrap(),
    }
}

/// Blobs of labels, so that planes resemble each other, and noise, so that they do not.
fn label_maps() -> impl Strategy<Value = Array3<u16>> {
    let shape = (1usize..6, 1usize..8, 1usize..40);
    let top = prop_oneof![Just(1u16), Just(4), Just(255), Just(300), Just(u16::MAX)];
    (shape, top, 0u32..100, 0u32..30).prop_flat_map(|((nz, ny, nx), top, filled, noisy)| {
        let boxes = prop::collection::vec((0..nz, 0..ny, 0..nx, 1..=nx, 1..=top), 0..6);
        let noise = prop::collection::vec((0..100u32, 1..=top), nz * ny * nx);
        (boxes, noise).prop_map(move |(boxes, noise)| {
            let mut map = Array3::<u16>::zeros((nz, ny, nx));
            for (z, y, x, length, label) in boxes {
                if label as u32 % 100 <= filled {
                    let end = (x + length).min(nx);
                    map.slice_mut(ndarray::s![z.., y.., x..end]).fill(label);
                }
            }
            for (voxel, (chance, label)) in map.iter_mut().zip(noise) {
                if chance < noisy {
                    *voxel = label;
                }
            }
            map
        })
    })
}

fn of(map: &Array3<u16>) -> RunMask {
    let (z, y, x) = map.dim();
    RunMask::from_labels(
        &Labels::U16(map.clone()),
        &geometry([z, y, x]),
        &Limits::default(),
    )
    .unwrap()
}

fn wide(labels: Labels) -> Array3<u16> {
    match labels {
        Labels::U8(array) => array.mapv(u16::from),
        Labels::U16(array) => array,
    }
}

fn mask(runs: RunMask) -> Mask {
    let ids: Vec<u16> = runs.summaries().into_keys().collect();
    Mask::new(runs, LabelTable::numbered(ids)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn runs_give_the_label_map_back(map in label_maps()) {
        let runs = of(&map);
        prop_assert_eq!(wide(runs.to_labels()), map.clone());
        for ((z, y, x), &label) in map.indexed_iter() {
            prop_assert_eq!(runs.label_at([z, y, x]), label);
        }
        // The same through a builder, and canonical: relabelling with itself changes nothing.
        let mut builder = RunMaskBuilder::new(*runs.geometry(), &Limits::default()).unwrap();
        for row in runs.rows() {
            builder.push_row(row.iter().copied()).unwrap();
        }
        prop_assert_eq!(&builder.finish().unwrap(), &runs);
        prop_assert_eq!(&runs.relabel(|_, run| run.label), &runs);
    }

    #[test]
    fn summaries_are_those_of_the_voxels(map in label_maps()) {
        let mut expected: BTreeMap<u16, (u64, BoundingBox)> = BTreeMap::new();
        for ((z, y, x), &label) in map.indexed_iter().filter(|(_, label)| **label > 0) {
            let here = BoundingBox { start: [z, y, x], end: [z + 1, y + 1, x + 1] };
            let entry = expected.entry(label).or_insert((0, here));
            *entry = (entry.0 + 1, entry.1.union(&here));
        }
        let runs = of(&map);
        let found: BTreeMap<u16, (u64, BoundingBox)> =
            runs.summaries().into_iter().map(|(id, s)| (id, (s.voxels, s.bounding_box))).collect();
        let whole = expected.values().map(|(_, bounds)| *bounds).reduce(|a, b| a.union(&b));
        prop_assert_eq!(runs.bounding_box(), whole);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn messages_give_the_mask_back(map in label_maps(), level in 0u32..10) {
        let mask = mask(of(&map));
        let encoded = EncodedMask::encode_at(&mask, level).unwrap();
        prop_assert_eq!(&encoded.decode(&Limits::default()).unwrap(), &mask);
        let counted: u64 = encoded.labels.iter().map(|label| label.voxels).sum();
        prop_assert_eq!(counted, map.iter().filter(|label| **label > 0).count() as u64);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes(map in label_maps()) {
        let at = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| EncodedMask::encode(&mask(of(&map))).unwrap())
        };
        prop_assert_eq!(at(1), at(3));
    }

    #[test]
    fn any_bytes_are_refused_or_decoded_and_never_panic(
        map in label_maps(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
        n_runs in prop::option::of(0u64..50),
    ) {
        let mut encoded = EncodedMask::encode_at(&mask(of(&map)), 0).unwrap();
        if encoded.payload.is_empty() {
            return Ok(());
        }
        for (index, bits) in flips {
            let at = index.index(encoded.payload.len());
            encoded.payload[at] ^= bits;
        }
        if let Some(n_runs) = n_runs {
            encoded.n_runs = n_runs;
        }
        // With the right checksum, so that what lies behind it is reached.
        let mut raw = Vec::new();
        let mut inflate = flate2::read::DeflateDecoder::new(&encoded.payload[..]);
        if std::io::Read::read_to_end(&mut inflate, &mut raw).is_ok() {
            encoded.checksum = crc32fast::hash(&raw);
        }
        if let Ok(decoded) = encoded.decode(&Limits::default()) {
            prop_assert_eq!(decoded.runs().shape(), [map.dim().0, map.dim().1, map.dim().2]);
        }
    }
}

#[test]
fn touching_runs_of_one_label_become_one_and_lies_are_refused() {
    use nephrite_mask_codec::{MaskError, Run};
    let run = |start, end, label| Run { start, end, label };
    let build = |rows: &[&[Run]]| {
        let mut builder = RunMaskBuilder::new(geometry([1, rows.len(), 9]), &Limits::default())?;
        for row in rows {
            builder.push_row(row.iter().copied())?;
        }
        builder.finish()
    };
    let joined = build(&[&[
        run(0, 2, 1),
        run(2, 4, 1),
        run(4, 4, 3),
        run(4, 5, 0),
        run(5, 6, 1),
    ]])
    .unwrap();
    assert_eq!(joined.runs(), [run(0, 4, 1), run(5, 6, 1)]);
    for wrong in [run(3, 2, 1), run(8, 10, 1)] {
        assert_eq!(build(&[&[wrong]]), Err(MaskError::RunOrder { row: 0 }));
    }
    assert_eq!(
        build(&[&[], &[run(2, 4, 1), run(3, 5, 1)]]),
        Err(MaskError::RunOrder { row: 1 })
    );
    let mut builder = RunMaskBuilder::new(geometry([1, 3, 9]), &Limits::default()).unwrap();
    builder.skip_to_row(2).unwrap();
    assert_eq!(
        builder.skip_to_row(4),
        Err(MaskError::RowCount {
            expected: 3,
            found: 4
        })
    );
    assert_eq!(
        builder.finish(),
        Err(MaskError::RowCount {
            expected: 3,
            found: 2
        })
    );
}
