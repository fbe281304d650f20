//! Scans in their stored type, with the factors that make intensities of them.

use ndarray::{Array3, s};

use crate::memory::{OutOfMemory, owned};
use crate::{BoundingBox, Geometry, GeometryError};

/// Type of the stored voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it all
pub enum VoxelType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl VoxelType {
    /// Bytes of one voxel.
    pub fn n_bytes(self) -> usize {
        match self {
            VoxelType::U8 | VoxelType::I8 => 1,
            VoxelType::U16 | VoxelType::I16 => 2,
            VoxelType::U32 | VoxelType::I32 | VoxelType::F32 => 4,
            VoxelType::U64 | VoxelType::I64 | VoxelType::F64 => 8,
        }
    }

    /// True if single precision holds every value of it.
    pub fn computes_in_f32(self) -> bool {
        !matches!(
            self,
            VoxelType::U32 | VoxelType::I32 | VoxelType::U64 | VoxelType::I64 | VoxelType::F64
        )
    }

    /// `int16`, `float32` … as numpy writes it.
    pub fn name(self) -> &'static str {
        match self {
            VoxelType::U8 => "uint8",
            VoxelType::I8 => "int8",
            VoxelType::U16 => "uint16",
            VoxelType::I16 => "int16",
            VoxelType::U32 => "uint32",
            VoxelType::I32 => "int32",
            VoxelType::U64 => "uint64",
            VoxelType::I64 => "int64",
            VoxelType::F32 => "float32",
            VoxelType::F64 => "float64",
        }
    }
}

/// Stored voxels in their native type, `[z, y, x]`, x fastest (standard layout).
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Voxels {
    U8(Array3<u8>),
    I8(Array3<i8>),
    U16(Array3<u16>),
    I16(Array3<i16>),
    U32(Array3<u32>),
    I32(Array3<i32>),
    U64(Array3<u64>),
    I64(Array3<i64>),
    F32(Array3<f32>),
    F64(Array3<f64>),
}

/// Runs `$body` with `$array` bound to the typed array inside a [`Voxels`].
#[macro_export]
macro_rules! with_voxels {
    ($voxels:expr, $array:ident => $body:expr) => {
        match $voxels {
            $crate::Voxels::U8($array) => $body,
            $crate::Voxels::I8($array) => $body,
            $crate::Voxels::U16($array) => $body,
            $crate::Voxels::I16($array) => $body,
            $crate::Voxels::U32($array) => $body,
            $crate::Voxels::I32($array) => $body,
            $crate::Voxels::U64($array) => $body,
            $crate::Voxels::I64($array) => $body,
            $crate::Voxels::F32($array) => $body,
            $crate::Voxels::F64($array) => $body,
        }
    };
}

/// The same with the array of a [`Voxels`] made into another of its type.
macro_rules! map_voxels {
    ($voxels:expr, $array:ident => $body:expr) => {
        match $voxels {
            Voxels::U8($array) => Voxels::U8($body),
            Voxels::I8($array) => Voxels::I8($body),
            Voxels::U16($array) => Voxels::U16($body),
            Voxels::I16($array) => Voxels::I16($body),
            Voxels::U32($array) => Voxels::U32($body),
            Voxels::I32($array) => Voxels::I32($body),
            Voxels::U64($array) => Voxels::U64($body),
            Voxels::I64($array) => Voxels::I64($body),
            Voxels::F32($array) => Voxels::F32($body),
            Voxels::F64($array) => Voxels::F64($body),
        }
    };
}

impl Voxels {
    /// A copy.
    ///
    /// # Errors
    /// [`OutOfMemory`]
    pub fn try_clone(&self) -> Result<Voxels, OutOfMemory> {
        Ok(map_voxels!(self, array => owned(array.view(), "a copy of a volume")?))
    }

    /// Voxels per axis, `[z, y, x]`.
    pub fn shape(&self) -> [usize; 3] {
        let (z, y, x) = with_voxels!(self, array => array.dim());
        [z, y, x]
    }

    /// The stored type.
    pub fn voxel_type(&self) -> VoxelType {
        match self {
            Voxels::U8(_) => VoxelType::U8,
            Voxels::I8(_) => VoxelType::I8,
            Voxels::U16(_) => VoxelType::U16,
            Voxels::I16(_) => VoxelType::I16,
            Voxels::U32(_) => VoxelType::U32,
            Voxels::I32(_) => VoxelType::I32,
            Voxels::U64(_) => VoxelType::U64,
            Voxels::I64(_) => VoxelType::I64,
            Voxels::F32(_) => VoxelType::F32,
            Voxels::F64(_) => VoxelType::F64,
        }
    }

    /// Bytes of all voxels.
    pub fn n_bytes(&self) -> usize {
        self.shape().iter().product::<usize>() * self.voxel_type().n_bytes()
    }
}

/// Intensity = stored · slope + inter, computed in f64 and rounded to f32 once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IntensityScale {
    /// Factor.
    pub slope: f64,
    /// Offset.
    pub inter: f64,
}

impl IntensityScale {
    /// Stored values are intensities.
    pub const IDENTITY: IntensityScale = IntensityScale {
        slope: 1.0,
        inter: 0.0,
    };

    /// True if stored values are intensities.
    pub fn is_identity(self) -> bool {
        self == Self::IDENTITY
    }
}

/// A 3-D image: voxels in their native type, the factors that make intensities of them, and where they lie.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Stored values, `[z, y, x]`.
    pub voxels: Voxels,
    /// From stored values to intensities.
    pub scale: IntensityScale,
    /// Where the voxels lie; its shape equals that of `voxels`.
    pub geometry: Geometry,
}

/// A stored voxel type; gives intensities as nnU-Net's readers compute them.
pub trait Stored: Copy + Send + Sync + PartialOrd + 'static {
    /// The value as f64 (exact but for 64-bit integers beyond 2^53).
    fn to_f64(self) -> f64;
    /// The value rounded to f32 once.
    fn to_f32(self) -> f32;
}

macro_rules! stored {
    ($($t:ty),*) => {$(
        impl Stored for $t {
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }
        }
    )*};
}
stored!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

impl IntensityScale {
    /// The intensity of a stored value.
    #[inline(always)]
    pub fn apply<T: Stored>(self, stored: T) -> f32 {
        if self.is_identity() {
            stored.to_f32()
        } else {
            (stored.to_f64() * self.slope + self.inter) as f32
        }
    }
}

impl Volume {
    /// A copy of a box of its voxels, `[z, y, x]`: type, scale and world positions stay.
    ///
    /// # Errors
    /// As [`Geometry::crop`]; [`GeometryError::OutOfMemory`].
    ///
    /// # Panics
    /// Panics if the box does not lie within the volume.
    pub fn crop(&self, bounds: &BoundingBox) -> Result<Volume, GeometryError> {
        let ([z0, y0, x0], [z1, y1, x1]) = (bounds.start, bounds.end);
        Ok(Volume {
            geometry: self.geometry.crop(bounds)?,
            voxels: map_voxels!(&self.voxels, array => owned(array.slice(s![z0..z1, y0..y1, x0..x1]), "a part of a scan")?),
            scale: self.scale,
        })
    }

    /// All intensities as f32, `[z, y, x]`. Costs four bytes per voxel; prefer to convert plane by plane.
    pub fn to_intensities(&self) -> Array3<f32> {
        let scale = self.scale;
        with_voxels!(&self.voxels, array => array.mapv(|v| scale.apply(v)))
    }
}
