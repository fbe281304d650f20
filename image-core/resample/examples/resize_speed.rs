//! Times the preprocessing resize of a CT: int16 to normalized f32 to the network's grid, cubic.
//!
//! `cargo run --release -p nephrite-resample --example resize_speed [f64] [cubic|linear|nearest]`

use std::time::Instant;

use nephrite_resample::{Interpolation, Real, ResizePlan, resize_planes};
use nephrite_types::CancelToken;

const FROM: [usize; 3] = [488, 404, 336];
const TO: [usize; 3] = [244, 202, 224];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).map(|arg| arg.to_lowercase()).collect();
    let wide = args.iter().any(|arg| arg == "f64");
    let is_wanted = |interpolation: &Interpolation| {
        let name = format!("{interpolation:?}").to_lowercase();
        args.contains(&name) || args.iter().all(|arg| arg == "f64")
    };
    let plane_len = FROM[1] * FROM[2];
    let scan: Vec<i16> = (0..FROM[0] * plane_len)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 21) as i16 % 1500)
        .collect();
    let all = [
        Interpolation::Cubic,
        Interpolation::Linear,
        Interpolation::Nearest,
    ];
    for interpolation in all.into_iter().filter(is_wanted) {
        let mut seconds: Vec<f64> = (0..5)
            .map(|_| {
                if wide {
                    time::<f64>(&scan, interpolation)
                } else {
                    time::<f32>(&scan, interpolation)
                }
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        let voxels_per_second = scan.len() as f64 / seconds[2] / 1e6;
        print_line(&format!(
            "{interpolation:?}: best {:.3} s, median {:.3} s, {voxels_per_second:.0} source Mvoxel/s, {} threads",
            seconds[0],
            seconds[2],
            rayon::current_num_threads()
        ));
    }
    print_line(&format!(
        "peak resident memory {} (the scan itself: {} MB)",
        peak_memory(),
        scan.len() * 2 / 1_000_000
    ));
    Ok(())
}

fn time<T: Real>(scan: &[i16], interpolation: Interpolation) -> f64 {
    let plane_len = FROM[1] * FROM[2];
    let (mean, std) = (T::from_f64(97.3), T::from_f64(137.9));
    let fill = |k: usize, plane: &mut [T]| {
        for (value, &stored) in plane.iter_mut().zip(&scan[k * plane_len..]) {
            *value = (T::from_f64(f64::from(stored.clamp(-160, 420))) - mean) / std;
        }
    };
    let start = Instant::now();
    let resized = resize_planes(
        FROM,
        TO,
        &ResizePlan::new(interpolation),
        &fill,
        &CancelToken::new(),
    );
    let seconds = start.elapsed().as_secs_f64();
    assert!(resized.is_ok_and(|array| array.iter().all(|v| v.is_finite())));
    seconds
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".into(), |value| value.trim().to_owned())
}

#[allow(clippy::print_stdout)] // an example is a program
fn print_line(line: &str) {
    println!("{line}");
}
