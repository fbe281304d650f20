//! Times of the algorithms on a label map: `time_runs FILE NZ NY NX [SZ SY SX]`, raw bytes, x fastest, spacing in mm.
//!
//! Prints medians in milliseconds; the algorithms on one label take the one with the most voxels.
#![allow(clippy::print_stdout)] // what it is for

use std::time::Instant;

use ndarray::Array3;
use nephrite_mask_codec::RunMask;
use nephrite_runs::*;
use nephrite_types::{Affine, CancelToken, Geometry, Labels, Limits, Shape3, Spacing};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, shape @ ..] = arguments.as_slice() else {
        return Err("usage: time_runs FILE NZ NY NX [SZ SY SX]".into());
    };
    let shape: [usize; 3] = numbers(shape.get(..3).unwrap_or_default())?;
    let spacing: [f64; 3] = match arguments.get(4..7) {
        Some(spacing) => numbers(spacing)?,
        None => [1.0; 3],
    };
    let spacing = Spacing::new(spacing)?;
    let geometry = Geometry {
        shape: Shape3::new(shape)?,
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let labels = Labels::U8(Array3::from_shape_vec(shape, std::fs::read(file)?)?);
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let mask = RunMask::from_labels(&labels, &geometry, &limits)?;
    println!(
        "{} runs, {} threads",
        mask.runs().len(),
        rayon::current_num_threads()
    );
    time("statistics, all labels", || Ok(statistics(&mask)))?;
    let largest = statistics(&mask)
        .into_iter()
        .max_by_key(|label| label.voxels)
        .map_or(0, |label| label.label);
    for connectivity in Connectivity::ALL {
        time(
            &format!("components, all labels, {}", connectivity.number()),
            || Ok(components(&mask, connectivity, &cancel)?),
        )?;
    }
    let corners = Connectivity::Corners26;
    time("drop below 100 voxels, all labels", || {
        Ok(drop_small(&mask, 100, corners, &cancel)?)
    })?;
    let one = time("select one label", || Ok(select(&mask, |label| label == largest)))?;
    println!("  label {largest}: {} runs", one.runs().len());
    time("select one label and keep its largest part", || {
        let one = select(&mask, |label| label == largest);
        Ok(keep_largest(&one, 1, corners, &cancel)?)
    })?;
    for mode in [Holes::Volume, Holes::Slices] {
        time(&format!("fill holes of one label, {mode:?}"), || {
            Ok(fill_holes(&one, mode, &limits, &cancel)?)
        })?;
    }
    for radius in [2.0, 10.0, 1000.0] {
        time(&format!("grow one label by {radius} mm"), || {
            Ok(grow(&one, radius, &limits, &cancel)?)
        })?;
        time(&format!("shrink one label by {radius} mm"), || {
            Ok(shrink(&one, radius, &limits, &cancel)?)
        })?;
    }
    time("grow all labels by 5 mm", || {
        Ok(grow(&mask, 5.0, &limits, &cancel)?)
    })?;
    time("subtract one label from all", || {
        Ok(subtract(&mask, &one, &limits)?)
    })?;
    Ok(())
}

fn numbers<T: std::str::FromStr<Err: std::error::Error + 'static>>(
    texts: &[String],
) -> Result<[T; 3], Failure> {
    let parsed: Result<Vec<T>, _> = texts.iter().map(|text| text.parse()).collect();
    parsed?.try_into().map_err(|_| "expected three numbers".into())
}

fn time<T>(what: &str, work: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    const REPEATS: usize = 9;
    let mut times = Vec::with_capacity(REPEATS);
    let mut result = work()?;
    for _ in 0..REPEATS {
        let start = Instant::now();
        result = work()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("{what:44} {:8.2} ms  (least {:.2})", times[REPEATS / 2], times[0]);
    Ok(result)
}
