//! Binary STL.

use std::io::{BufWriter, Error, ErrorKind, Result, Write};

use crate::mesh::Triangle;

/// Bytes before the triangles, and of each.
pub(crate) const HEADER_BYTES: u64 = 84;
pub(crate) const TRIANGLE_BYTES: u64 = 50;

/// Writes triangles as they come: `triangles` calls its argument once for each of the `n`.
///
/// Source: 3D Systems, StereoLithography Interface Specification, 1989: 80 bytes of any text, the number of triangles,
/// then per triangle its normal and three corners as 32-bit floats and two bytes of zero; little-endian.
pub(crate) fn write(
    out: &mut dyn Write,
    n: u64,
    triangles: impl FnOnce(&mut dyn FnMut(Triangle)) -> Result<()>,
) -> Result<()> {
    let n =
        u32::try_from(n).map_err(|_| Error::new(ErrorKind::InvalidInput, "more than 2^32 - 1 triangles"))?;
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let mut header = [b' '; 80];
    let text = b"nephrite label surface, world mm RAS+";
    header[..text.len()].copy_from_slice(text); // does not begin with "solid", which means text
    out.write_all(&header)?;
    out.write_all(&n.to_le_bytes())?;
    let mut result = Ok(());
    triangles(&mut |triangle| {
        if result.is_ok() {
            result = out.write_all(&bytes(&triangle));
        }
    })?;
    result?;
    out.flush()
}

fn bytes(triangle: &Triangle) -> [u8; 50] {
    let mut bytes = [0; 50];
    let numbers = [normal(triangle)].into_iter().chain(*triangle).flatten();
    for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// Of length 1; zero for a triangle without area.
fn normal(triangle: &Triangle) -> [f32; 3] {
    let [a, b, c] = triangle.map(|corner| corner.map(f64::from));
    let (u, v): ([f64; 3], [f64; 3]) = (
        std::array::from_fn(|k| b[k] - a[k]),
        std::array::from_fn(|k| c[k] - a[k]),
    );
    let cross = [
        u[1] * v[2] - u[2] * v[1],
        u[2] * v[0] - u[0] * v[2],
        u[0] * v[1] - u[1] * v[0],
    ];
    let length = cross.iter().map(|x| x * x).sum::<f64>().sqrt();
    if length > 0.0 {
        cross.map(|x| (x / length) as f32)
    } else {
        [0.0; 3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_format() {
        let triangle = [[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0]];
        let mut file = Vec::new();
        write(&mut file, 1, |emit| {
            emit(triangle);
            Ok(())
        })
        .unwrap();
        assert_eq!(file.len() as u64, HEADER_BYTES + TRIANGLE_BYTES);
        assert_eq!(file[80..84], 1u32.to_le_bytes());
        let numbers: Vec<f32> = file[84..132]
            .chunks(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        assert_eq!(
            numbers,
            [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0]
        );
        assert_eq!(file[132..], [0, 0]);
    }
}
