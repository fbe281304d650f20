//! Writes and verifies the objects of a large mask, 512×512×600 with 100 labels, and says how long each takes and what it holds.
#![allow(clippy::print_stdout)] // a program

use std::collections::BTreeMap;
use std::time::Instant;

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use nephrite_dicom_objects::*;
use nephrite_mask_codec::{LabelTable, Mask, Run, RunMaskBuilder};
use nephrite_types::{Affine, Geometry, Limits, Shape3, Spacing};

const SHAPE: [usize; 3] = [600, 512, 512];

/// A hundred ellipsoids on a 4 × 5 × 5 lattice, row by row.
fn mask(geometry: Geometry) -> Result<Mask, Box<dyn std::error::Error>> {
    let mut rows = RunMaskBuilder::new(geometry, &Limits::default())?;
    for z in 0..SHAPE[0] {
        for y in 0..SHAPE[1] {
            let (kz, ky) = (z / 150, (y / 103).min(4));
            let (dz, dy) = (
                (z as f64 - (kz as f64 + 0.5) * 150.0) / 70.0,
                (y as f64 - (ky as f64 + 0.5) * 103.0) / 48.0,
            );
            let left = 1.0 - dz * dz - dy * dy;
            let run = |kx: usize| {
                let (center, half) = ((kx as f64 + 0.5) * 103.0, 48.0 * left.max(0.0).sqrt());
                Run {
                    start: (center - half).max(0.0) as u32,
                    end: ((center + half) as u32).min(SHAPE[2] as u32),
                    label: (1 + kx + 5 * ky + 25 * kz) as u16,
                }
            };
            rows.push_row((0..5).map(run).filter(|run| left > 0.0 && !run.is_empty()))?;
        }
    }
    Ok(Mask::new(rows.finish()?, LabelTable::numbered(1..=100))?)
}

fn source() -> SourceSeries {
    let slice = |k: usize| SourceSlice {
        sop_class_uid: uids::CT_IMAGE_STORAGE.to_owned(),
        sop_instance_uid: format!("1.2.3.{k}"),
        frame: None,
        position: [-180.0, -180.0, k as f64],
        row_direction: [1.0, 0.0, 0.0],
        column_direction: [0.0, 1.0, 0.0],
        spacing: [0.7; 2],
        thickness: None,
        rows: SHAPE[1],
        columns: SHAPE[2],
    };
    let study = DataElement::new(tags::STUDY_INSTANCE_UID, VR::UI, PrimitiveValue::from("1.2.3"));
    SourceSeries {
        study: InMemDicomObject::from_element_iter([study]),
        series_uid: "1.2.4".to_owned(),
        modality: "CT".to_owned(),
        frame_of_reference_uid: "1.2.5".to_owned(),
        position_reference: String::new(),
        date: "20250101".to_owned(),
        time: String::new(),
        is_lossy: false,
        lossy_details: None,
        slices: (0..SHAPE[0]).map(slice).collect(),
    }
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows = [
        [-0.7, 0.0, 0.0, 180.0],
        [0.0, -0.7, 0.0, 180.0],
        [0.0, 0.0, 1.0, 0.0],
    ];
    let geometry = Geometry {
        shape: Shape3::new(SHAPE)?,
        spacing: Spacing::new([1.0, 0.7, 0.7])?,
        affine: Affine::new(rows)?,
    };
    let (masks, source, codes) = ([mask(geometry)?], source(), BTreeMap::new());
    let algorithm = Algorithm {
        name: "a".to_owned(),
        version: "1".to_owned(),
    };
    let (equipment, limits) = (Equipment::nephrite(), ObjectLimits::default());
    let request = ObjectRequest {
        source: &source,
        masks: &masks,
        codes: &codes,
        placement: Placement::OnSource,
        case: [0; 32],
        role: "large",
        series_number: 1,
        description: "large",
        algorithm: &algorithm,
        equipment: &equipment,
        limits: &limits,
    };
    println!("{} runs; peak {} MiB", masks[0].runs().runs().len(), peak_mib());
    let rle = SegKind::Labelmap(LabelmapCompression::Rle);
    for (name, kind) in [("BINARY", SegKind::Binary), ("LABELMAP RLE", rle)] {
        let start = Instant::now();
        let mut bytes = Vec::new();
        let written = write_seg(&request, kind, &mut bytes)?;
        let (n, wrote, start) = (bytes.len(), start.elapsed(), Instant::now());
        println!(
            "{name}: {} MB in {wrote:.2?}; peak {} MiB",
            n / 1_000_000,
            peak_mib()
        );
        verify_seg(bytes, &request, &written)?;
        println!(
            "{name}: verified in {:.2?}; peak {} MiB",
            start.elapsed(),
            peak_mib()
        );
    }
    let start = Instant::now();
    let mut bytes = Vec::new();
    let written = write_structure_set(&request, Holes::Keyhole, &mut bytes)?;
    let (n, wrote, start) = (bytes.len(), start.elapsed(), Instant::now());
    println!(
        "RTSTRUCT: {} MB in {wrote:.2?}; peak {} MiB",
        n / 1_000_000,
        peak_mib()
    );
    verify_structure_set(bytes, &request, &written)?;
    println!(
        "RTSTRUCT: verified in {:.2?}; peak {} MiB",
        start.elapsed(),
        peak_mib()
    );
    Ok(())
}
