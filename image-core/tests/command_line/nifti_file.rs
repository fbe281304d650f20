//! Tiny NIfTI-1 files, byte by byte, so that tests can break them.

use std::io::Write as _;

/// Size of a NIfTI-1 header with its empty extension field: where the voxels begin.
pub(crate) const HEADER_BYTES: usize = 352;

/// A scan of 16-bit integers.
#[derive(Debug, Clone)]
pub(crate) struct NiftiFile {
    /// `dim[0..8]`.
    pub(crate) dim: [i16; 8],
    /// `pixdim[1..4]`, mm.
    pub(crate) spacing: [f32; 3],
    /// Rows of the sform.
    pub(crate) srow: [[f32; 4]; 3],
    /// Stored values, x fastest.
    pub(crate) voxels: Vec<i16>,
}

impl NiftiFile {
    /// Smooth blobs of plausible HU, all above zero or below, so that nothing is cropped.
    pub(crate) fn scan(shape_xyz: [i16; 3], spacing: [f32; 3]) -> Self {
        let [nx, ny, nz] = shape_xyz;
        let mut voxels = Vec::new();
        for z in 0..nz {
            for y in 0..ny {
                for x in 0..nx {
                    let wave = |i: i16, period: f32| (f32::from(i) / period).sin();
                    let hu = 150.0 * wave(x, 3.0) * wave(y, 4.0) + 100.0 * wave(z, 5.0);
                    voxels.push(hu as i16 | 1); // never zero
                }
            }
        }
        let [sx, sy, sz] = spacing;
        NiftiFile {
            dim: [3, nx, ny, nz, 1, 1, 1, 1],
            spacing,
            srow: [[sx, 0.0, 0.0, -10.0], [0.0, sy, 0.0, 5.0], [0.0, 0.0, sz, 20.0]],
            voxels,
        }
    }

    /// Values as they would be without compression: `.nii`.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut header = vec![0u8; HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &348i32.to_le_bytes());
        for (i, n) in self.dim.iter().enumerate() {
            put(40 + 2 * i, &n.to_le_bytes());
        }
        put(70, &4i16.to_le_bytes()); // datatype: int16
        put(72, &16i16.to_le_bytes()); // bitpix
        put(76, &1f32.to_le_bytes()); // pixdim[0]: qfac
        for (i, mm) in self.spacing.iter().enumerate() {
            put(80 + 4 * i, &mm.to_le_bytes());
        }
        put(108, &(HEADER_BYTES as f32).to_le_bytes()); // vox_offset
        put(112, &1f32.to_le_bytes()); // scl_slope
        put(123, &[2]); // mm
        put(254, &1i16.to_le_bytes()); // sform_code
        for (i, value) in self.srow.iter().flatten().enumerate() {
            put(280 + 4 * i, &value.to_le_bytes());
        }
        put(344, b"n+1\0");
        header.extend(self.voxels.iter().flat_map(|v| v.to_le_bytes()));
        header
    }

    /// `.nii.gz`.
    pub(crate) fn gzip(&self) -> Vec<u8> {
        gzip(&self.bytes())
    }
}

/// Compressed with gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
