//! Statistics as JSON and CSV; `README.md` describes both.

use std::io::{Result, Write};

use nephrite_kernel::Geometry;
use serde::Serialize;

use crate::statistics::LabelReport;

/// Changes with the meaning or the name of a field.
const FORMAT: &str = "nephrite.sample.statistics/1";

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    grid: Grid,
    labels: Vec<Label<'a>>,
}

#[derive(Serialize)]
struct Grid {
    shape_xyz: [usize; 3],
    spacing_xyz_mm: [f64; 3],
    affine: [[f64; 4]; 4],
}

#[derive(Serialize)]
struct Label<'a> {
    id: u16,
    name: &'a str,
    status: &'static str,
    voxels: u64,
    volume_ml: Option<f64>,
    components: u64,
    surface_mm2: Option<f64>,
    diameter_mm: Option<f64>,
    centroid_mm: Option<[f64; 3]>,
    box_mm: Option<Box>,
}

#[derive(Serialize)]
struct Box {
    min: [f64; 3],
    max: [f64; 3],
}

/// All three or none.
fn all_three(values: [Option<f64>; 3]) -> Option<[f64; 3]> {
    let [x, y, z] = values;
    Some([x?, y?, z?])
}

pub(crate) fn write_json(out: &mut dyn Write, geometry: &Geometry, reports: &[LabelReport]) -> Result<()> {
    let document = Document {
        format: FORMAT,
        grid: Grid {
            shape_xyz: geometry.shape.xyz(),
            spacing_xyz_mm: geometry.spacing.xyz(),
            affine: geometry.affine.rows(),
        },
        labels: reports
            .iter()
            .map(|report| Label {
                id: report.id,
                name: &report.name,
                status: report.status.name(),
                voxels: report.voxels,
                volume_ml: report.volume_ml,
                components: report.components,
                surface_mm2: report.surface_mm2,
                diameter_mm: report.diameter_mm,
                centroid_mm: all_three(report.centroid_mm),
                box_mm: all_three(report.box_mm[0])
                    .zip(all_three(report.box_mm[1]))
                    .map(|(min, max)| Box { min, max }),
            })
            .collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

const COLUMNS: &str = "id,name,status,voxels,volume_ml,components,surface_mm2,diameter_mm,\
                       centroid_x_mm,centroid_y_mm,centroid_z_mm,\
                       box_min_x_mm,box_min_y_mm,box_min_z_mm,box_max_x_mm,box_max_y_mm,box_max_z_mm";

pub(crate) fn write_csv(out: &mut dyn Write, reports: &[LabelReport]) -> Result<()> {
    writeln!(out, "{COLUMNS}")?;
    for report in reports {
        let first = [
            Some(report.voxels as f64),
            report.volume_ml,
            Some(report.components as f64),
        ];
        let second = [report.surface_mm2, report.diameter_mm];
        let numbers = first
            .into_iter()
            .chain(second)
            .chain(report.centroid_mm)
            .chain(report.box_mm[0])
            .chain(report.box_mm[1]);
        let numbers: Vec<String> = numbers
            .map(|value| value.map_or(String::new(), |value| value.to_string()))
            .collect();
        let name = quoted(&report.name);
        writeln!(
            out,
            "{},{name},{},{}",
            report.id,
            report.status.name(),
            numbers.join(",")
        )?;
    }
    Ok(())
}

/// As RFC 4180 has it: quoted only if it must be. Names hold no line breaks.
fn quoted(text: &str) -> String {
    if text.contains([',', '"']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_and_quotes_stay_one_field() {
        for (name, expected) in [
            ("liver", "liver"),
            ("left kidney", "left kidney"),
            ("a,b", "\"a,b\""),
            ("5\" cyst", "\"5\"\" cyst\""),
            (" a", "\" a\""),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }
}
