//! Places where a test stops the process, to see what a crash there leaves.
//!
//! Without the feature `fault-points`, [`reach`] does nothing and costs nothing.

/// Names of the places, in the order in which a job comes to them.
pub const POINTS: [&str; 5] = ["submitted", "leased", "mid_tile", "result_written", "before_ack"];

/// The process comes to a place. If the variable `NEPHRITE_STOP_AT` names it, and the file in `NEPHRITE_STOP_FILE` is not
/// there yet, that is made and the process stops (SIGSTOP), once.
#[cfg(feature = "fault-points")]
pub fn reach(point: &str) {
    let is_here = std::env::var_os("NEPHRITE_STOP_AT").is_some_and(|wanted| wanted == point);
    let Some(file) = std::env::var_os("NEPHRITE_STOP_FILE").filter(|_| is_here) else {
        return;
    };
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file);
    if made.is_ok() {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
    }
}

/// Nothing.
#[cfg(not(feature = "fault-points"))]
pub fn reach(_point: &str) {}
