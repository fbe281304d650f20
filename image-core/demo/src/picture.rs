//! The picture: every scan in three planes, with what was found on it in color.

use std::ops::Range;

use nephrite_sample::canvas::{BRIGHT, Canvas, Color, Compression, DIM};
use nephrite_sample::{Plane, label_color};
use nephrite_types::{LabelMap, Volume};

use crate::DemoError;
use crate::slice::{Slice, array_axes, best_indices, cut_labels, cut_volume};

/// A structure to color.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PictureStructure {
    /// Its id in the mask.
    pub(crate) id: u16,
    /// What the legend says; ISO 8859-1.
    pub(crate) legend: String,
}

/// One scan with its mask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PictureColumn<'a> {
    /// Heading; ISO 8859-1.
    pub(crate) title: &'a str,
    /// HU.
    pub(crate) scan: &'a Volume,
    /// On the scan's grid.
    pub(crate) mask: &'a LabelMap,
    /// What to color, in order of the legend.
    pub(crate) structures: &'a [PictureStructure],
}

/// Pixels per millimeter.
const SCALE: f64 = 1.25;
/// Soft-tissue window, wide enough to tell bright vessels from bone: level 80, width 480 HU.
const WINDOW_HU: [f32; 2] = [-160.0, 320.0];
/// Share of a mask's color over the scan.
const OPACITY: f32 = 0.5;
/// Gap between panels and around, pixels.
const GAP: usize = 12;
const TITLE_HEIGHT: usize = 26;
const LEGEND_LINE: usize = 18;
/// Above this the scan shows the patient.
const BODY_HU: f32 = -300.0;

/// One slice ready to draw: cropped to the patient.
struct Panel {
    plane: Plane,
    scan: Slice<f32>,
    labels: Slice<u16>,
}

impl Panel {
    fn new(column: &PictureColumn<'_>, plane: Plane, index: usize, body: &[Range<usize>; 2]) -> Panel {
        let [rows, columns] = body.clone();
        Panel {
            plane,
            scan: cut_volume(column.scan, plane, index).crop(rows.clone(), columns.clone()),
            labels: cut_labels(&column.mask.labels, &column.scan.geometry, plane, index).crop(rows, columns),
        }
    }

    /// Width and height in pixels.
    fn size(&self) -> [usize; 2] {
        let pixels = |axis: usize| {
            ((self.scan.shape[axis] as f64 * self.scan.spacing[axis] * SCALE).round() as usize).max(1)
        };
        [pixels(1), pixels(0)]
    }
}

/// Position between the samples of an axis.
#[derive(Clone, Copy)]
struct Between {
    low: usize,
    high: usize,
    /// Weight of `high`.
    t: f32,
}

/// Where pixel `i` of `n_pixels` lies among `n` samples over the same extent.
fn sample(i: usize, n_pixels: usize, n: usize) -> Between {
    let x = ((i as f64 + 0.5) * n as f64 / n_pixels as f64 - 0.5).clamp(0.0, (n - 1) as f64);
    let low = x.floor() as usize;
    Between {
        low,
        high: (low + 1).min(n - 1),
        t: (x - low as f64) as f32,
    }
}

fn corners(y: Between, x: Between) -> [(usize, usize, f32); 4] {
    [
        (y.low, x.low, (1.0 - y.t) * (1.0 - x.t)),
        (y.low, x.high, (1.0 - y.t) * x.t),
        (y.high, x.low, y.t * (1.0 - x.t)),
        (y.high, x.high, y.t * x.t),
    ]
}

/// The label with most weight: smooth outlines instead of voxel steps.
fn label_at(labels: &Slice<u16>, corners: [(usize, usize, f32); 4]) -> u16 {
    let ids = corners.map(|(row, column, _)| labels.at(row, column));
    let weight = |id: u16| {
        ids.iter()
            .zip(corners)
            .filter(|(other, _)| **other == id)
            .map(|(_, corner)| corner.2)
            .sum::<f32>()
    };
    ids.into_iter()
        .fold((0, -1.0), |best, id| {
            if weight(id) > best.1 {
                (id, weight(id))
            } else {
                best
            }
        })
        .0
}

fn draw_panel(canvas: &mut Canvas, panel: &Panel, at: [usize; 2], color_of: impl Fn(u16) -> Option<Color>) {
    let [width, height] = panel.size();
    let [rows, columns] = panel.scan.shape;
    let mut ids = vec![0u16; width * height];
    let mut gray = vec![0.0f32; width * height];
    for y in 0..height {
        for x in 0..width {
            let around = corners(sample(y, height, rows), sample(x, width, columns));
            let hu: f32 = around
                .iter()
                .map(|&(row, column, weight)| weight * panel.scan.at(row, column))
                .sum();
            let level = (hu - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0]);
            gray[y * width + x] = 255.0 * level.clamp(0.0, 1.0);
            ids[y * width + x] = label_at(&panel.labels, around);
        }
    }
    for y in 0..height {
        for x in 0..width {
            let here = y * width + x;
            let id = ids[here];
            let level = gray[here];
            let pixel = match color_of(id) {
                None => [level as u8; 3],
                Some(color) => {
                    let neighbours = [(x > 0, 1), (y > 0, width)];
                    let before = neighbours
                        .iter()
                        .any(|&(inside, step)| inside && ids[here - step] != id);
                    let after =
                        x + 1 < width && ids[here + 1] != id || y + 1 < height && ids[here + width] != id;
                    let opacity = if before || after { 1.0 } else { OPACITY };
                    color.map(|c| (f32::from(c) * opacity + level * (1.0 - opacity)) as u8)
                }
            };
            canvas.set(at[0] + x, at[1] + y, pixel);
        }
    }
    let [left, right] = panel.plane.edges();
    let middle = at[1] + height / 2 - 6;
    canvas.text(left, [at[0] + 4, middle], DIM);
    canvas.text(right, [at[0] + width - 12, middle], DIM);
    canvas.text(panel.plane.name(), [at[0] + 4, at[1] + 3], DIM);
}

/// Rows and columns of the plane's picture that show any of the patient, with a small margin; all where nothing is above air.
fn body_range(scan: &Volume, plane: Plane) -> [Range<usize>; 2] {
    let [across, _, _] = array_axes(plane);
    let n_planes = scan.geometry.shape.zyx()[across];
    let first = cut_volume(scan, plane, 0);
    let [rows, columns] = first.shape;
    let (mut row_used, mut column_used) = (vec![false; rows], vec![false; columns]);
    // every eighth plane finds the outline well enough
    for index in (0..n_planes).step_by(8) {
        let slice = cut_volume(scan, plane, index);
        for (i, _) in slice.values.iter().enumerate().filter(|(_, hu)| **hu > BODY_HU) {
            row_used[i / columns] = true;
            column_used[i % columns] = true;
        }
    }
    let range = |used: &[bool]| {
        let (first, last) = (used.iter().position(|&u| u), used.iter().rposition(|&u| u));
        match (first, last) {
            (Some(first), Some(last)) => first.saturating_sub(3)..(last + 4).min(used.len()),
            _ => 0..used.len(),
        }
    };
    [range(&row_used), range(&column_used)]
}

/// A PNG with one column per scan: its title, a legend, and the axial, coronal and sagittal slice that show most of its
/// structures, under colored masks. All panels have the same scale in mm; the patient's right is at the left.
///
/// The scans lie along the world's axes, each in either direction.
///
/// # Errors
/// [`DemoError::NoScan`]; [`DemoError::Shape`] if a mask has another shape than its scan; [`DemoError::Encode`].
pub(crate) fn picture(columns: &[PictureColumn<'_>]) -> Result<Vec<u8>, DemoError> {
    if columns.is_empty() {
        return Err(DemoError::NoScan);
    }
    let mut panels = Vec::new();
    for column in columns {
        let (expected, found) = (column.scan.voxels.shape(), column.mask.labels.shape());
        if expected != found {
            return Err(DemoError::Shape { expected, found });
        }
        let ids: Vec<u16> = column.structures.iter().map(|structure| structure.id).collect();
        let best = best_indices(&column.mask.labels, &ids);
        panels.push(Plane::ALL.map(|plane| {
            Panel::new(
                column,
                plane,
                best[array_axes(plane)[0]],
                &body_range(column.scan, plane),
            )
        }));
    }

    let widths: Vec<usize> = panels
        .iter()
        .map(|column| column.iter().map(|p| p.size()[0]).max().unwrap_or(0).max(150))
        .collect();
    let heights: [usize; 3] = std::array::from_fn(|row| {
        panels
            .iter()
            .map(|column| column[row].size()[1])
            .max()
            .unwrap_or(0)
    });
    let n_legend_lines = columns
        .iter()
        .map(|column| column.structures.len())
        .max()
        .unwrap_or(0);
    let header = GAP + TITLE_HEIGHT + n_legend_lines * LEGEND_LINE;
    let width = GAP + widths.iter().map(|w| w + GAP).sum::<usize>();
    let height = header + heights.iter().map(|h| GAP + h).sum::<usize>() + GAP;

    let mut canvas = Canvas::new(width, height);
    let (mut left, mut n_colored) = (GAP, 0);
    for ((column, panels), column_width) in columns.iter().zip(&panels).zip(&widths) {
        let color_of = |position: usize| label_color(n_colored + position);
        canvas.heading(column.title, [left, GAP], BRIGHT);
        for (position, structure) in column.structures.iter().enumerate() {
            let top = GAP + TITLE_HEIGHT + position * LEGEND_LINE;
            canvas.fill([left, top + 1], [11, 11], color_of(position));
            canvas.text(&structure.legend, [left + 18, top], BRIGHT);
        }
        let mut top = header;
        for (panel, row_height) in panels.iter().zip(heights) {
            top += GAP;
            let [panel_width, panel_height] = panel.size();
            let at = [
                left + (column_width - panel_width) / 2,
                top + (row_height - panel_height) / 2,
            ];
            draw_panel(&mut canvas, panel, at, |id| {
                column
                    .structures
                    .iter()
                    .position(|structure| structure.id == id)
                    .map(color_of)
            });
            top += row_height;
        }
        left += column_width + GAP;
        n_colored += column.structures.len();
    }
    Ok(canvas.png(Compression::High)?)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, s};
    use nephrite_types::{Affine, Geometry, IntensityScale, Labels, Shape3, Spacing, Voxels};

    use super::*;

    const SHAPE: [usize; 3] = [20, 40, 60];

    /// A block of soft tissue with a bar of label 3 at the patient's right; x stored toward the left.
    fn case() -> (Volume, LabelMap) {
        let spacing = Spacing::new([6.0, 4.0, 3.0]).unwrap();
        let rows = [
            [-3.0, 0.0, 0.0, 90.0],
            [0.0, -4.0, 0.0, 80.0],
            [0.0, 0.0, 6.0, 0.0],
        ];
        let geometry = Geometry {
            shape: Shape3::new(SHAPE).unwrap(),
            spacing,
            affine: Affine::new(rows).unwrap(),
        };
        let scan = Volume {
            voxels: Voxels::I16(Array3::from_elem(SHAPE, 40)),
            scale: IntensityScale::IDENTITY,
            geometry,
        };
        let mut labels = Array3::<u8>::zeros(SHAPE);
        labels.slice_mut(s![5..15, 15..25, 6..18]).fill(3);
        (
            scan,
            LabelMap {
                labels: Labels::U8(labels),
                geometry,
            },
        )
    }

    /// Width, height and pixels.
    fn decode(file: &[u8]) -> (usize, usize, Vec<[u8; 3]>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        assert_eq!(
            (frame.color_type, frame.bit_depth),
            (png::ColorType::Rgb, png::BitDepth::Eight)
        );
        let pixels = bytes[..frame.buffer_size()].as_chunks::<3>().0.to_vec();
        (frame.width as usize, frame.height as usize, pixels)
    }

    fn draw(n_columns: usize) -> (usize, usize, Vec<[u8; 3]>) {
        let (scan, mask) = case();
        let structures = [PictureStructure {
            id: 3,
            legend: "bar".to_owned(),
        }];
        let column = PictureColumn {
            title: "scan",
            scan: &scan,
            mask: &mask,
            structures: &structures,
        };
        decode(&picture(&vec![column; n_columns]).unwrap())
    }

    #[test]
    fn the_size_follows_millimetres_not_voxels() {
        let (width, height, pixels) = draw(2);
        // 180 × 160 × 120 mm at 1.25 pixels per mm: axial 225 × 200, coronal 225 × 150, sagittal 200 × 150
        assert_eq!(width, GAP + 2 * (225 + GAP));
        assert_eq!(
            height,
            GAP + TITLE_HEIGHT + LEGEND_LINE + GAP + 200 + GAP + 150 + GAP + 150 + GAP
        );
        assert_eq!(pixels.len(), width * height);
    }

    #[test]
    fn the_patients_right_is_at_the_left_and_the_mask_has_its_extent() {
        let (width, _, pixels) = draw(1);
        let top = GAP + TITLE_HEIGHT + LEGEND_LINE + GAP;
        let colored: Vec<(usize, usize)> = (0..200)
            .flat_map(|y| (0..225).map(move |x| (x, y)))
            .filter(|(x, y)| {
                let [r, g, b] = pixels[(top + y) * width + GAP + x];
                r > g.saturating_add(40) && r > b.saturating_add(40)
            })
            .collect();
        let (left, right) = (
            colored.iter().map(|p| p.0).min().unwrap(),
            colored.iter().map(|p| p.0).max().unwrap(),
        );
        // columns 6 to 18 of 3 mm at 1.25 pixels per mm: 22.5 to 67.5
        assert!(
            (22..=24).contains(&left) && (66..=68).contains(&right),
            "{left} {right}"
        );
        let expected = 45.0 * 50.0;
        assert!(
            (colored.len() as f64 / expected - 1.0).abs() < 0.05,
            "{} pixels",
            colored.len()
        );
    }

    #[test]
    fn columns_get_colors_of_their_own() {
        let (_, _, pixels) = draw(2);
        for color in [0, 1].map(label_color) {
            let n = pixels.iter().filter(|&&pixel| pixel == color).count();
            assert!(n > 200, "outline and swatch, {n} pixels");
        }
        assert!(!pixels.contains(&label_color(2)));
    }

    #[test]
    fn wrong_calls_are_refused() {
        assert!(matches!(picture(&[]), Err(DemoError::NoScan)));
        let (scan, mut mask) = case();
        mask.labels = Labels::U8(Array3::zeros([20, 40, 61]));
        let column = PictureColumn {
            title: "",
            scan: &scan,
            mask: &mask,
            structures: &[],
        };
        let error = picture(&[column]).unwrap_err();
        assert!(
            matches!(
                error,
                DemoError::Shape {
                    expected: SHAPE,
                    found: [20, 40, 61]
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn an_empty_scan_of_one_voxel_is_drawn() {
        let spacing = Spacing::new([1.0; 3]).unwrap();
        let geometry = Geometry {
            shape: Shape3::new([1; 3]).unwrap(),
            spacing,
            affine: Affine::from_spacing(spacing, [0.0; 3]),
        };
        let scan = Volume {
            voxels: Voxels::I16(Array3::from_elem([1; 3], -1000)),
            scale: IntensityScale::IDENTITY,
            geometry,
        };
        let mask = LabelMap {
            labels: Labels::U8(Array3::zeros([1; 3])),
            geometry,
        };
        let column = PictureColumn {
            title: "air",
            scan: &scan,
            mask: &mask,
            structures: &[],
        };
        assert!(decode(&picture(&[column]).unwrap()).2.len() > 100);
    }
}
