//! Which instructions and which precision.

use std::fmt;
use std::str::FromStr;

use pulp::Arch;

use crate::CpuError;

/// Instructions that the kernels use. All levels compute the same sums; the order of rounding differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// x86-64 with AVX-512 F, BW, CD, DQ and VL: 16 lanes, 32 registers.
    Avx512,
    /// x86-64 with AVX2 and FMA: 8 lanes, 16 registers.
    Avx2,
    /// 64-bit Arm: 4 lanes, 32 registers.
    Neon,
    /// Any processor: one value at a time. The twin that the others are tested against.
    Portable,
}

impl Level {
    /// All of them, the fastest first.
    pub const ALL: [Level; 4] = [Level::Avx512, Level::Avx2, Level::Neon, Level::Portable];

    /// The fastest one of this processor.
    pub fn best() -> Level {
        Level::ALL
            .into_iter()
            .find(|level| level.arch().is_some())
            .unwrap_or(Level::Portable)
    }

    /// The name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Level::Avx512 => "avx512",
            Level::Avx2 => "avx2",
            Level::Neon => "neon",
            Level::Portable => "portable",
        }
    }

    /// Whether this processor has these instructions.
    pub fn is_available(self) -> bool {
        self.arch().is_some()
    }

    /// f32 values of one vector.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Level::Avx512 => 16,
            Level::Avx2 => 8,
            Level::Neon => 4,
            Level::Portable => 1,
        }
    }

    /// What runs the kernels.
    pub(crate) fn arch(self) -> Option<Arch> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => pulp::x86::V4::try_new().map(Arch::V4),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => pulp::x86::V3::try_new().map(Arch::V3),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => pulp::aarch64::Neon::try_new().map(Arch::Neon),
            Level::Portable => Some(Arch::Scalar),
            #[allow(unreachable_patterns)] // those of other processors
            _ => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = CpuError;

    fn from_str(name: &str) -> Result<Self, CpuError> {
        Level::ALL
            .into_iter()
            .find(|level| level.name() == name)
            .ok_or_else(|| CpuError::UnknownLevel {
                name: name.to_owned(),
            })
    }
}

/// In what the factors of the matrix products are held. Sums, statistics and all that flows between layers are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Full precision.
    #[default]
    F32,
    /// 8 bits of mantissa; needs a processor with AVX-512 BF16.
    Bf16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 2] = [Precision::F32, Precision::Bf16];

    /// The name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = CpuError;

    fn from_str(name: &str) -> Result<Self, CpuError> {
        Precision::ALL
            .into_iter()
            .find(|precision| precision.name() == name)
            .ok_or_else(|| CpuError::UnknownPrecision {
                name: name.to_owned(),
            })
    }
}

/// How networks are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CpuOptions {
    /// Instructions.
    pub level: Level,
    /// Factors.
    pub precision: Precision,
}

impl CpuOptions {
    /// The fastest instructions of this processor, f32.
    pub fn best() -> Self {
        CpuOptions {
            level: Level::best(),
            precision: Precision::F32,
        }
    }
}
