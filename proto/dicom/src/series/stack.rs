//! Which images belong together: one series may hold several stacks.

use std::collections::BTreeMap;

use super::record::{Frame, ImageFile, N_SPLITS};

/// More stacks than a folder of scans has.
const MAX_COMPARED: usize = 1000;

/// An image of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image<'a> {
    /// Index of the file.
    pub(super) file: usize,
    pub(super) of: &'a ImageFile,
    pub(super) frame: &'a Frame,
}

/// What images of one stack share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    series: String,
    frame_of_reference: Option<String>,
    modality: String,
    sop_class: String,
    rows_columns: [i64; 2],
    /// In ten-thousandths.
    orientation: Option<[i64; 6]>,
    spacing: Option<[i64; 2]>,
    kind: Option<String>,
    stack: Option<String>,
}

impl Key {
    fn of(image: &Image<'_>) -> Key {
        let rounded = |v: f64| (v * 1e4).round() as i64;
        Key {
            series: image.of.series_uid.clone(),
            frame_of_reference: image.of.frame_of_reference.clone(),
            modality: image.of.modality.clone(),
            sop_class: image.of.sop_class.clone(),
            rows_columns: image.of.rows_columns,
            orientation: image.frame.orientation.map(|values| values.map(rounded)),
            spacing: image.frame.spacing.map(|values| values.map(rounded)),
            kind: image.of.image_type.get(2).cloned(),
            stack: image.frame.stack.clone(),
        }
    }
}

/// Images by stack, those of one series one after the other.
pub(super) fn stacks<'a>(images: &[Image<'a>]) -> Vec<Vec<Image<'a>>> {
    let mut by_key: BTreeMap<Key, Vec<Image<'a>>> = BTreeMap::new();
    for image in images {
        let mut key = Key::of(image);
        // Rounding may cut one direction in two; of so many directions none is that of a scan.
        if by_key.len() < MAX_COMPARED
            && !by_key.contains_key(&key)
            && let Some(near) = by_key.keys().find(|other| is_near(other, &key))
        {
            key = near.clone();
        }
        by_key.entry(key).or_default().push(*image);
    }
    by_key.into_values().flat_map(apart).collect()
}

/// All the same, but for the last digit of directions and spacing.
fn is_near(a: &Key, b: &Key) -> bool {
    fn near<const N: usize>(a: &Option<[i64; N]>, b: &Option<[i64; N]>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1),
            (None, None) => true,
            _ => false,
        }
    }
    near(&a.orientation, &b.orientation)
        && near(&a.spacing, &b.spacing)
        && Key {
            orientation: None,
            spacing: None,
            ..a.clone()
        } == Key {
            orientation: None,
            spacing: None,
            ..b.clone()
        }
}

/// Images of one key at the same places, told apart by the first attribute that does it: phases, echoes, acquisitions.
fn apart(images: Vec<Image<'_>>) -> Vec<Vec<Image<'_>>> {
    if !has_repeats(&images) {
        return vec![images];
    }
    for split in 0..N_SPLITS {
        let mut parts: BTreeMap<Option<&str>, Vec<Image<'_>>> = BTreeMap::new();
        for image in &images {
            parts
                .entry(image.frame.splits[split].as_deref())
                .or_default()
                .push(*image);
        }
        // A slice that was sent twice is no stack of its own.
        let are_stacks = parts.values().all(|part| part.len() > 1 && !has_repeats(part));
        if parts.len() > 1 && are_stacks {
            return parts.into_values().collect();
        }
    }
    vec![images]
}

/// Whether two images lie at one place, to a hundredth of a millimeter.
fn has_repeats(images: &[Image<'_>]) -> bool {
    let rounded = |position: [f64; 3]| position.map(|v| (v * 100.0).round() as i64);
    let mut places: Vec<[i64; 3]> = images
        .iter()
        .filter_map(|image| image.frame.position.map(rounded))
        .collect();
    let n = places.len();
    places.sort_unstable();
    places.dedup();
    places.len() < n
}
