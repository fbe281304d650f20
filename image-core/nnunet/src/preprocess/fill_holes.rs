//! Fills what the non-zero mask encloses, as scipy does, in linear time whatever the content.

use ndarray::{Array3, Ix3};
use nephrite_types::{OutOfMemory, memory};

/// Sets every `false` voxel that cannot reach the outside of the array through face neighbors.
///
/// The space around the array counts as background, so a cavity that touches a border face stays open. Array
/// `[d0, d1, d2]`; time and memory are linear in its size, whatever its content.
///
/// Source: acvl-utils 0.2.6 / scipy `binary_fill_holes`, as called by nnunetv2 2.8.1,
/// `preprocessing/cropping/cropping.py` (`create_nonzero_mask`).
///
/// # Errors
/// [`OutOfMemory`]
pub(crate) fn fill_holes(mask: &mut Array3<bool>) -> Result<(), OutOfMemory> {
    let (n0, n1, n2) = mask.dim();
    let mut outside: Array3<bool> = memory::zeroed_array(Ix3(n0, n1, n2), FILLED)?;
    let mut stack: Vec<[usize; 3]> = Vec::new();
    for ((i, j, k), &inside) in mask.indexed_iter() {
        let border = i == 0 || j == 0 || k == 0 || i + 1 == n0 || j + 1 == n1 || k + 1 == n2;
        if border && !inside && !outside[[i, j, k]] {
            outside[[i, j, k]] = true;
            stack.push([i, j, k]);
            drain(mask, &mut outside, &mut stack)?;
        }
    }
    mask.zip_mut_with(&outside, |inside, outside| *inside |= !outside);
    Ok(())
}

/// What an allocation is for, in messages.
const FILLED: &str = "the mask of what is not zero";

/// Visits everything that the voxels on the stack reach.
fn drain(
    mask: &Array3<bool>,
    outside: &mut Array3<bool>,
    stack: &mut Vec<[usize; 3]>,
) -> Result<(), OutOfMemory> {
    let shape = mask.dim();
    let shape = [shape.0, shape.1, shape.2];
    while let Some(voxel) = stack.pop() {
        if stack.capacity() - stack.len() < 6 {
            memory::make_room(stack, stack.len() + 6, FILLED)?;
        }
        for axis in 0..3 {
            for next in [
                voxel[axis].checked_sub(1),
                Some(voxel[axis] + 1).filter(|i| *i < shape[axis]),
            ] {
                let Some(next) = next else { continue };
                let mut neighbour = voxel;
                neighbour[axis] = next;
                if !mask[neighbour] && !outside[neighbour] {
                    outside[neighbour] = true;
                    stack.push(neighbour);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Array3<bool> {
        Array3::from_shape_fn((5, 5, 5), |(i, j, k)| {
            [i, j, k].iter().all(|v| (1..4).contains(v))
        })
    }

    #[test]
    fn a_closed_cavity_is_filled() {
        let mut mask = block();
        mask[[2, 2, 2]] = false;
        fill_holes(&mut mask).unwrap();
        assert_eq!(mask, block());
    }

    #[test]
    fn a_tunnel_stays_open_and_a_diagonal_leak_does_not_count() {
        let mut tunnel = block();
        tunnel[[2, 2, 2]] = false;
        tunnel[[1, 2, 2]] = false;
        let before = tunnel.clone();
        fill_holes(&mut tunnel).unwrap();
        assert_eq!(tunnel, before);

        let mut diagonal = block();
        diagonal[[2, 2, 2]] = false;
        diagonal[[1, 1, 2]] = false; // opens to the outside, touches the cavity along an edge only
        fill_holes(&mut diagonal).unwrap();
        assert!(diagonal[[2, 2, 2]]);
        assert!(!diagonal[[1, 1, 2]]);
    }

    #[test]
    fn a_flat_array_is_never_filled() {
        let mut ring = Array3::from_elem((1, 3, 3), true);
        ring[[0, 1, 1]] = false;
        fill_holes(&mut ring).unwrap();
        assert!(!ring[[0, 1, 1]]);
    }

    #[test]
    fn a_cavity_that_touches_the_border_stays_open() {
        let mut mask = Array3::from_elem((3, 3, 3), true);
        mask[[0, 1, 1]] = false;
        mask[[1, 1, 1]] = false;
        let before = mask.clone();
        fill_holes(&mut mask).unwrap();
        assert_eq!(mask, before);
    }
}
