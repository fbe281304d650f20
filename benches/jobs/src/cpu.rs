//! CPU time of this process and of the server that it started.

use std::time::Instant;

use anyhow::Context as _;

/// Ticks per second in `/proc`; the same on every Linux that we build for.
const TICKS: f64 = 100.0;

/// Counts from when it was made.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    began: Instant,
    own: f64,
    server: f64,
    pid: Option<u32>,
}

/// What was used since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuUse {
    /// Cores that were busy on average, of this process.
    pub(crate) own_cores: f64,
    /// Of the server.
    pub(crate) server_cores: f64,
}

impl CpuMeter {
    /// `pid` is the server's, if there is one.
    pub(crate) fn start(pid: Option<u32>) -> anyhow::Result<CpuMeter> {
        Ok(CpuMeter {
            began: Instant::now(),
            own: seconds("self")?,
            server: of_server(pid)?,
            pid,
        })
    }

    pub(crate) fn read(&self) -> anyhow::Result<CpuUse> {
        let wall = self.began.elapsed().as_secs_f64();
        Ok(CpuUse {
            own_cores: (seconds("self")? - self.own) / wall,
            server_cores: (of_server(self.pid)? - self.server) / wall,
        })
    }
}

fn of_server(pid: Option<u32>) -> anyhow::Result<f64> {
    pid.map_or(Ok(0.0), |pid| seconds(&pid.to_string()))
}

fn seconds(process: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program stands in parentheses and may hold blanks.
    let (_, fields) = text.rsplit_once(')').context("no name in /proc/*/stat")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next =
        || -> anyhow::Result<f64> { Ok(fields.next().context("no times in /proc/*/stat")?.parse()?) };
    Ok((next()? + next()?) / TICKS)
}
