//! `preview.png`: three slices, a projection, a legend and a scale.

mod palette;
mod panel;
mod view;

use nephrite_kernel::{CancelToken, LabelStatus, Mask, OperationError};

use crate::SampleError;
use crate::canvas::{BRIGHT, Canvas, Color, Compression, DIM, LETTER};
pub use palette::label_color;
use panel::{Panel, Shown, best_slice, draw};
pub use view::Plane;
use view::{Side, View, view};

/// Of a panel, where there is no label.
const EMPTY: Color = [32, 35, 42];
/// Pixels of the longest side of a panel.
const PANEL: usize = 420;
const GAP: usize = 14;
const LINE: usize = LETTER[1] + 5;
/// Pixels of the colored square before a name.
const SWATCH: usize = 12;
/// Characters of a name.
const NAME: usize = 26;
/// Names in the legend; more are counted only.
const MAX_NAMES: usize = 150;
/// Share of brightness that the farthest voxel of a projection loses.
const SHADE: f64 = 0.6;
/// Share of a label's color over the scan, within its outline.
const WITHIN: f64 = 0.25;

/// A PNG with the axial, coronal and sagittal slice that have most labeled voxels, and all labels from the front: darker
/// with distance, and small ones over large ones, so that nothing hides what lies within or behind it. The patient's right is at the left; all panels have the same scale in mm; an oblique grid is
/// shown along its own axes. Labels have the color [`label_color`] of their position in the table.
pub(crate) fn preview(mask: &Mask, cancel: &CancelToken) -> Result<Vec<u8>, OperationError> {
    picture(mask, None, cancel)
}

/// The same over the scan: slices show its gray levels, and labels as outlines with a little color within. `gray` gives
/// the level of the voxel `[z, y, x]` of the mask's grid.
///
/// # Errors
/// [`OperationError::Cancelled`]; [`OperationError::Other`] if the picture cannot be packed.
pub fn preview_over(
    mask: &Mask,
    gray: &dyn Fn([usize; 3]) -> u8,
    cancel: &CancelToken,
) -> Result<Vec<u8>, OperationError> {
    picture(mask, Some(gray), cancel)
}

fn picture(
    mask: &Mask,
    gray: Option<&dyn Fn([usize; 3]) -> u8>,
    cancel: &CancelToken,
) -> Result<Vec<u8>, OperationError> {
    let geometry = mask.runs().geometry();
    let views = Plane::ALL.map(|plane| view(geometry, plane));
    let longest = views
        .iter()
        .flat_map(|view| [view.down, view.right])
        .map(|side| side.n as f64 * side.step_mm)
        .fold(0.0, f64::max);
    let pixels_per_mm = PANEL as f64 / longest;
    let size = |view: &View| {
        [
            pixels(&view.right, pixels_per_mm),
            pixels(&view.down, pixels_per_mm),
        ]
    };

    let mut panels: Vec<(String, [&str; 2], Panel)> = Vec::new();
    let mut levels: Vec<Option<Vec<u8>>> = Vec::new();
    // coronal and sagittal side by side, the axial one and the projection below them
    for plane in [Plane::Coronal, Plane::Sagittal, Plane::Axial] {
        let view = &views[plane as usize];
        let slice = best_slice(mask.runs(), view.across.array_axis);
        let drawn = draw(mask.runs(), view, size(view), Shown::Slice(slice), cancel)?;
        levels.push(gray.map(|gray| scan_levels(&drawn, view, slice, gray)));
        panels.push((title(mask, plane, view, slice), plane.edges(), drawn));
    }
    let front = &views[Plane::Coronal as usize];
    let drawn = draw(
        mask.runs(),
        front,
        size(front),
        Shown::Front(&ranks(mask)),
        cancel,
    )?;
    panels.push(("from the front".to_owned(), Plane::Coronal.edges(), drawn));

    let entries = mask.labels().entries();
    let mut colors = vec![EMPTY; entries.last().map_or(0, |last| usize::from(last.id) + 1)];
    for (k, entry) in entries.iter().enumerate() {
        colors[usize::from(entry.id)] = label_color(k);
    }
    let color_of = |label: u16| colors.get(usize::from(label)).copied().unwrap_or(EMPTY);

    let column = [0, 1].map(|c| panels[c].2.width.max(panels[c + 2].2.width).max(16 * LETTER[0]));
    let row = [0, 1].map(|r| panels[2 * r].2.height.max(panels[2 * r + 1].2.height));
    let left = [GAP, 3 * GAP + column[0]];
    let top = [GAP + LINE, 2 * GAP + 2 * LINE + row[0]];
    let legend_left = left[1] + column[1] + 2 * GAP;
    let panels_height = top[1] + row[1] + GAP + 2 * LINE;
    let legend = legend(mask);
    let letters = legend
        .iter()
        .map(|(_, name)| name.chars().count())
        .max()
        .unwrap_or(0);
    let legend_width = SWATCH + 6 + letters * LETTER[0] + GAP;
    let lines = ((panels_height - 2 * GAP) / LINE).max(legend.len().min(40));
    let height = panels_height.max(2 * GAP + lines * LINE);
    let width = legend_left + legend.len().div_ceil(lines).max(1) * legend_width + GAP;

    let mut canvas = Canvas::new(width, height);
    for (k, (title, edges, panel)) in panels.iter().enumerate() {
        let corner = [left[k % 2], top[k / 2]];
        canvas.text(title, [corner[0], corner[1] - LINE], DIM);
        let shaded = k == 3;
        let depth = shaded.then_some(front.across.n);
        match levels.get(k).and_then(Option::as_ref) {
            Some(levels) => paint_over(&mut canvas, panel, corner, levels, color_of),
            None => paint(&mut canvas, panel, corner, depth, color_of),
        }
        let middle = corner[1] + panel.height / 2 - LETTER[1].min(panel.height) / 2;
        canvas.text(edges[0], [corner[0].saturating_sub(LETTER[0] + 2), middle], DIM);
        canvas.text(edges[1], [corner[0] + panel.width + 2, middle], DIM);
    }
    scale_bar(&mut canvas, [left[0], top[1] + row[1] + GAP], pixels_per_mm);
    for (k, (color, name)) in legend.iter().enumerate() {
        let at = [legend_left + k / lines * legend_width, GAP + k % lines * LINE];
        if let Some(color) = color {
            canvas.fill(at, [SWATCH, SWATCH], *color);
        }
        let text_color = if color.is_some() { BRIGHT } else { DIM };
        canvas.text(name, [at[0] + SWATCH + 6, at[1]], text_color);
    }
    let packed = canvas.png(Compression::Balanced);
    Ok(packed.map_err(|error| SampleError::Picture {
        reason: error.to_string(),
    })?)
}

/// By label: labels with fewer voxels first, of equal ones the smaller id.
fn ranks(mask: &Mask) -> Vec<u32> {
    let mut by_size: Vec<(u64, u16)> = mask
        .summaries()
        .iter()
        .map(|(id, label)| (label.voxels, *id))
        .collect();
    by_size.sort_unstable();
    let mut ranks = vec![
        u32::MAX;
        by_size
            .iter()
            .map(|(_, id)| usize::from(*id) + 1)
            .max()
            .unwrap_or(0)
    ];
    for ((_, id), rank) in by_size.into_iter().zip(0..) {
        ranks[usize::from(id)] = rank;
    }
    ranks
}

fn pixels(side: &Side, pixels_per_mm: f64) -> usize {
    let pixels = (side.n as f64 * side.step_mm * pixels_per_mm).round();
    (pixels as usize).clamp(1, PANEL) // what is no number becomes 1
}

/// Such as `axial, z 12.5 mm`: the slice's place in the middle of the grid.
fn title(mask: &Mask, plane: Plane, view: &View, slice: usize) -> String {
    let geometry = mask.runs().geometry();
    let mut index = geometry.shape.xyz().map(|n| (n as f64 - 1.0) / 2.0);
    index[2 - view.across.array_axis] = slice as f64;
    let mm = geometry.affine.world_from_voxel(index)[plane.world_axes()[0]];
    let place = if mm.abs() < 1e6 {
        format!("{mm:.1}")
    } else {
        format!("{mm:.1e}")
    };
    format!("{}, {} {place} mm", plane.name(), plane.axis_name())
}

/// `depth`: number of voxels from the front to the back, to shade by.
fn paint(
    canvas: &mut Canvas,
    panel: &Panel,
    [left, top]: [usize; 2],
    depth: Option<usize>,
    color_of: impl Fn(u16) -> Color,
) {
    for y in 0..panel.height {
        for x in 0..panel.width {
            let here = y * panel.width + x;
            let spot = panel.spots[here];
            let color = if spot.label == 0 {
                EMPTY
            } else {
                let bright = depth.map_or(1.0, |n| 1.0 - SHADE * f64::from(spot.depth) / n as f64);
                color_of(spot.label).map(|c| (f64::from(c) * bright).round() as u8)
            };
            canvas.set(left + x, top + y, color);
        }
    }
}

/// The level under the middle of each pixel of a slice, row by row.
fn scan_levels(panel: &Panel, view: &View, slice: usize, gray: &dyn Fn([usize; 3]) -> u8) -> Vec<u8> {
    let voxel_of = |i: usize, n_pixels: usize, side: &Side| {
        let at = (2 * i as u128 + 1) * side.n as u128 / (2 * n_pixels as u128);
        let at = (at as usize).min(side.n - 1); // less than n already
        if side.reversed { side.n - 1 - at } else { at }
    };
    let mut voxel = [0; 3];
    voxel[view.across.array_axis] = slice;
    let mut levels = Vec::with_capacity(panel.spots.len());
    for y in 0..panel.height {
        voxel[view.down.array_axis] = voxel_of(y, panel.height, &view.down);
        for x in 0..panel.width {
            voxel[view.right.array_axis] = voxel_of(x, panel.width, &view.right);
            levels.push(gray(voxel));
        }
    }
    levels
}

/// A slice of the scan, and labels on it as outlines with a little color within.
fn paint_over(
    canvas: &mut Canvas,
    panel: &Panel,
    [left, top]: [usize; 2],
    levels: &[u8],
    color_of: impl Fn(u16) -> Color,
) {
    for y in 0..panel.height {
        for x in 0..panel.width {
            let here = y * panel.width + x;
            let (label, level) = (panel.spots[here].label, levels[here]);
            let color = if label == 0 {
                [level; 3]
            } else {
                let neighbours = [
                    (x > 0).then(|| here - 1),
                    (y > 0).then(|| here - panel.width),
                    (x + 1 < panel.width).then(|| here + 1),
                    (y + 1 < panel.height).then(|| here + panel.width),
                ];
                let inside = neighbours
                    .into_iter()
                    .flatten()
                    .all(|n| panel.spots[n].label == label);
                let share = if inside { WITHIN } else { 1.0 };
                color_of(label)
                    .map(|c| (f64::from(c) * share + f64::from(level) * (1.0 - share)).round() as u8)
            };
            canvas.set(left + x, top + y, color);
        }
    }
}

/// A line of a round length (1, 2 or 5 times a power of ten), at most half as long as a panel.
fn scale_bar(canvas: &mut Canvas, [left, top]: [usize; 2], pixels_per_mm: f64) {
    let most = PANEL as f64 / 2.0 / pixels_per_mm;
    let power = 10f64.powf(most.log10().floor());
    let length = [5.0, 2.0, 1.0]
        .into_iter()
        .map(|n| n * power)
        .find(|mm| *mm <= most);
    let pixels = length.map_or(0.0, |mm| mm * pixels_per_mm).round();
    if let Some(mm) = length.filter(|mm| mm.is_finite())
        && (1.0..=PANEL as f64).contains(&pixels)
    {
        let pixels = pixels as usize;
        canvas.fill([left, top + 6], [pixels, 2], BRIGHT);
        canvas.fill([left, top + 2], [2, 10], BRIGHT);
        canvas.fill([left + pixels - 2, top + 2], [2, 10], BRIGHT);
        let text = if (1e-3..1e6).contains(&mm) {
            format!("{} mm", round3(mm))
        } else {
            format!("{mm:.0e} mm")
        };
        canvas.text(&text, [left + pixels + 8, top], BRIGHT);
    }
}

fn round3(mm: f64) -> f64 {
    (mm * 1e3).round() / 1e3
}

/// Colors and names in the order of the table; those that are absent without a color, and why.
fn legend(mask: &Mask) -> Vec<(Option<Color>, String)> {
    let entries = mask.labels().entries();
    if entries.is_empty() {
        return vec![(None, "no labels".to_owned())];
    }
    let mut lines: Vec<(Option<Color>, String)> = entries
        .iter()
        .take(MAX_NAMES)
        .enumerate()
        .map(|(k, entry)| {
            let mut name: String = entry.name.chars().take(NAME).collect();
            if entry.name.chars().count() > NAME {
                name.truncate(name.char_indices().nth(NAME - 2).map_or(name.len(), |(at, _)| at));
                name.push_str("..");
            }
            match entry.status {
                LabelStatus::Present => (Some(label_color(k)), name),
                status => (None, format!("{name} {}", status.name().replace('_', " "))),
            }
        })
        .collect();
    if entries.len() > MAX_NAMES {
        lines.push((None, format!("and {} more", entries.len() - MAX_NAMES)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};
    use nephrite_kernel::{Geometry, LabelEntry, LabelTable, Limits, RunMask};
    use nephrite_types::{Affine, Labels, Shape3, Spacing};

    use super::*;
    use crate::canvas::tests::decode;

    fn mask(array: Array3<u16>, rows: [[f64; 4]; 3], names: &[(u16, &str, LabelStatus)]) -> Mask {
        let (z, y, x) = array.dim();
        let geometry = Geometry {
            shape: Shape3::new([z, y, x]).unwrap(),
            spacing: Spacing::new([1.0; 3]).unwrap(),
            affine: Affine::new(rows).unwrap(),
        };
        let runs = RunMask::from_labels(&Labels::U16(array), &geometry, &Limits::default()).unwrap();
        let entries = names.iter().map(|&(id, name, status)| LabelEntry {
            id,
            name: name.to_owned(),
            status,
        });
        Mask::new(runs, LabelTable::new(entries.collect()).unwrap()).unwrap()
    }

    const STRAIGHT: [[f64; 4]; 3] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0]];

    /// Label 3 at the patient's right and head, 5 at the left and feet.
    fn two_blocks() -> Mask {
        let mut array = Array3::zeros([20, 50, 60]);
        array.slice_mut(s![12..18, 10..40, 40..55]).fill(3);
        array.slice_mut(s![2..8, 10..40, 5..20]).fill(5);
        let names = [
            (3, "liver", LabelStatus::Present),
            (4, "spleen", LabelStatus::NotSearched),
            (5, "kidney", LabelStatus::Present),
        ];
        mask(array, STRAIGHT, &names)
    }

    #[test]
    fn colors_legend_scale_and_sides() {
        let (width, height, pixels) = decode(&preview(&two_blocks(), &CancelToken::new()).unwrap());
        let at = |x: usize, y: usize| pixels[y * width + x];
        // the coronal panel is first: 60 mm wide and high, as wide as a panel may be
        let [left, top] = [GAP, GAP + LINE];
        assert_eq!(
            at(left + PANEL / 4, top + PANEL / 4),
            label_color(0),
            "right and head"
        );
        assert_eq!(
            at(left + 3 * PANEL / 4, top + 3 * PANEL / 4),
            label_color(2),
            "left and feet"
        );
        assert_eq!(at(left + 3 * PANEL / 4, top + PANEL / 4), EMPTY);
        // 15 of 60 mm wide, 18 of 60 mm high: the aspect of 1 × 3 mm voxels
        let line = (left..left + PANEL)
            .filter(|&x| at(x, top + PANEL / 4) == label_color(0))
            .count();
        let column = (top..top + PANEL)
            .filter(|&y| at(left + PANEL / 4, y) == label_color(0))
            .count();
        assert_eq!((line, column), (PANEL * 15 / 60, PANEL * 18 / 60));
        // legend: a square for each label that is there, none for the one that is not
        let legend_left = 3 * GAP + 2 * PANEL + 2 * GAP;
        let swatch = |k: usize| at(legend_left + SWATCH / 2, GAP + k * LINE + SWATCH / 2);
        assert_eq!(swatch(0), label_color(0));
        assert_ne!(swatch(1), label_color(1));
        assert_eq!(swatch(2), label_color(2));
        assert!(!pixels.contains(&label_color(1)));
        // scale: 20 mm of 7 pixels each
        let bar = (0..height).map(|y| {
            (0..width)
                .filter(|&x| at(x, y) == BRIGHT && x < left + PANEL)
                .count()
        });
        assert!(bar.max().unwrap() >= 140, "the bar");
        assert!(width < 1500 && height < 1200, "{width} {height}");
    }

    #[test]
    fn over_the_scan_labels_are_outlines() {
        // Brighter toward the patient's left; label 3 is stored at large x, which lies at the right of the patient.
        let gray = |[_, _, x]: [usize; 3]| 200 - 3 * x as u8;
        let picture = preview_over(&two_blocks(), &gray, &CancelToken::new()).unwrap();
        let (width, _, pixels) = decode(&picture);
        let at = |x: usize, y: usize| pixels[y * width + x];
        let [left, top] = [GAP, GAP + LINE];
        // 7 pixels per voxel along x; x runs from 0 at the patient's left, which is at the right
        let level = |x: usize| 200 - 3 * (59 - x / 7) as u8;
        let outside = [PANEL - 1, 3 * PANEL / 4];
        assert_eq!(at(left + outside[0], top + PANEL / 4), [level(outside[0]); 3]);
        assert_eq!(at(left + outside[1], top + PANEL / 4), [level(outside[1]); 3]);
        let middle = PANEL / 4;
        let within = label_color(0)
            .map(|c| (f64::from(c) * WITHIN + f64::from(level(middle)) * (1.0 - WITHIN)).round() as u8);
        assert_eq!(at(left + middle, top + middle), within);
        let line = (left..left + PANEL).filter(|&x| at(x, top + middle) == label_color(0));
        assert_eq!(line.count(), 2, "left and right outline");
    }

    #[test]
    fn the_projection_is_darker_behind() {
        let mut array = Array3::zeros([10, 10, 10]);
        array.slice_mut(s![.., 9, ..5]).fill(1); // in front
        array.slice_mut(s![.., 0, 5..]).fill(1);
        let mask = mask(array, STRAIGHT, &[(1, "plates", LabelStatus::Present)]);
        let (width, _, pixels) = decode(&preview(&mask, &CancelToken::new()).unwrap());
        let shown: std::collections::BTreeSet<Color> = pixels.iter().copied().collect();
        let far = label_color(0).map(|c| (f64::from(c) * (1.0 - SHADE * 0.9)).round() as u8);
        assert!(shown.contains(&label_color(0)) && shown.contains(&far), "{width}");
    }

    #[test]
    fn nothing_one_voxel_and_strange_grids_are_drawn() {
        let check = |mask: Mask| {
            let (width, height, _) = decode(&preview(&mask, &CancelToken::new()).unwrap());
            assert!(
                (100..4000).contains(&width) && (100..4000).contains(&height),
                "{width} {height}"
            );
        };
        let names = [(1, "a", LabelStatus::Present)];
        check(mask(Array3::zeros([2, 3, 4]), STRAIGHT, &[]));
        check(mask(Array3::zeros([2, 3, 4]), STRAIGHT, &names));
        check(mask(Array3::ones([1, 1, 1]), STRAIGHT, &names));
        check(mask(Array3::ones([1, 1, 1000]), STRAIGHT, &names));
        let tiny = [
            [1e-90, 0.0, 0.0, 0.0],
            [0.0, 1e-90, 0.0, 0.0],
            [0.0, 0.0, 1e-90, 0.0],
        ];
        check(mask(Array3::ones([2, 2, 2]), tiny, &names));
        let huge = [
            [1e99, 0.0, 0.0, 0.0],
            [0.0, 1e99, 0.0, 0.0],
            [0.0, 0.0, 1e99, 0.0],
        ];
        check(mask(Array3::ones([2, 2, 2]), huge, &names));
        let flat = [[1e9, 0.0, 0.0, 0.0], [0.0, 1e-9, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        check(mask(Array3::ones([2, 2, 2]), flat, &names));
        let many: Vec<(u16, String)> = (1..=400)
            .map(|id| (id, format!("ünïcode läbel 漢字 {id} {}", "x".repeat(99))))
            .collect();
        let many: Vec<_> = many
            .iter()
            .map(|(id, name)| (*id, name.as_str(), LabelStatus::Present))
            .collect();
        check(mask(
            Array3::from_shape_fn([1, 20, 20], |(_, y, x)| (y * 20 + x) as u16 + 1),
            STRAIGHT,
            &many,
        ));
    }
}
