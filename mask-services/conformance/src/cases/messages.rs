//! Messages that no honest caller sends.

use std::io::Write as _;

use nephrite_kernel::Limits;
use nephrite_mask_codec::EncodedMask;
use nephrite_proto::v1;
use nephrite_proto::v1::mask::Content;
use nephrite_types::ErrorCode;

use crate::kit::Kit;
use crate::masks;
use crate::stop::{Stop, ensure};
use crate::subject::{CallError, Reply, encode, named};

const CODES: &[ErrorCode] = &[
    ErrorCode::InvalidArgument,
    ErrorCode::InvalidInput,
    ErrorCode::LimitExceeded,
];

pub(crate) fn unknown_operation(kit: &Kit) -> Result<(), Stop> {
    let call = kit.call(&masks::ordinary());
    let answer = kit
        .service()?
        .of_operation("no-such-operation")
        .process(&call, kit.options.grace);
    let codes = [
        ErrorCode::InvalidArgument,
        ErrorCode::InvalidInput,
        ErrorCode::NotFound,
    ];
    kit.expect_refusal("an unknown operation", answer, &codes)
}

/// Sends `content` as the first required input; the others are as they should be.
pub(crate) fn send(
    kit: &Kit,
    content: Option<Content>,
    labels: Vec<v1::MaskLabel>,
) -> Result<Result<Reply, CallError>, Stop> {
    let service = kit.service()?;
    let call = kit.call(&masks::ordinary());
    let mut request = service.request(&call);
    for (idx, (name, mask)) in call.inputs.iter().enumerate() {
        request.inputs.push(match (&content, idx) {
            (Some(content), 0) => named(name, content.clone(), labels.clone()),
            (None, 0) => v1::NamedMask {
                name: name.clone(),
                mask: Some(v1::Mask::default()),
            },
            _ => named(name, Content::Encoded(encode(mask)), Vec::new()),
        });
    }
    Ok(service.send(request, &call, kit.options.grace))
}

/// What is done to a message.
type Spoil = (&'static str, fn(&mut v1::EncodedMask));

pub(crate) fn corrupt_mask(kit: &Kit) -> Result<(), Stop> {
    let good = encode(&masks::ordinary());
    for (what, spoil) in SPOILS {
        let mut bad = good.clone();
        spoil(&mut bad);
        let answer = send(kit, Some(Content::Encoded(bad)), Vec::new())?;
        kit.expect_refusal(what, answer, CODES)?;
    }
    for bit in flips(&good) {
        let mut bad = good.clone();
        bad.payload[bit / 8] ^= 1 << (bit % 8);
        let answer = send(kit, Some(Content::Encoded(bad)), Vec::new())?;
        kit.expect_refusal(&format!("bit {bit} of the payload flipped"), answer, CODES)?;
    }
    let answer = send(kit, None, Vec::new())?;
    kit.expect_refusal("a mask without content", answer, CODES)?;
    let again = send(kit, Some(Content::Encoded(good)), Vec::new())?;
    ensure(again.is_ok(), || {
        "after corrupt masks, a good one is refused".to_owned()
    })
}

/// Some bits of the payload, all over it, whose change our own decoder notices. Few do not matter: the last byte of a
/// deflate stream may have room to spare.
fn flips(good: &v1::EncodedMask) -> Vec<usize> {
    const N_FLIPS: usize = 8;
    let n_bits = good.payload.len() * 8;
    let bits = (0..N_FLIPS).map(|idx| idx * n_bits / N_FLIPS + 3 * idx % 8);
    let matters = |bit: &usize| {
        let mut bad = good.clone();
        bad.payload[bit / 8] ^= 1 << (bit % 8);
        is_refused(bad)
    };
    bits.filter(|bit| *bit < n_bits).filter(matters).collect()
}

fn is_refused(wire: v1::EncodedMask) -> bool {
    EncodedMask::try_from(wire).is_ok_and(|mask| mask.decode(&Limits::default()).is_err())
}

fn geometry(mask: &mut v1::EncodedMask) -> &mut v1::MaskGeometry {
    mask.geometry.get_or_insert_default()
}

fn shape(mask: &mut v1::EncodedMask) -> &mut v1::Shape {
    geometry(mask).shape.get_or_insert_default()
}

fn spacing(mask: &mut v1::EncodedMask) -> &mut v1::Spacing {
    geometry(mask).spacing.get_or_insert_default()
}

fn covered(mask: &mut v1::EncodedMask) -> &mut v1::VoxelBox {
    mask.r#box.get_or_insert_default()
}

/// 64 MiB of zeros.
fn bomb() -> Vec<u8> {
    let mut deflater = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let block = [0; 1 << 16];
    let written = (0..1024).try_for_each(|_| deflater.write_all(&block));
    written.and_then(|()| deflater.finish()).expect("memory takes it")
}

const SPOILS: &[Spoil] = &[
    ("a payload that is cut off", |m| {
        m.payload.truncate(m.payload.len() / 2)
    }),
    ("a payload without its last byte", |m| {
        m.payload.truncate(m.payload.len() - 1)
    }),
    ("a payload with a byte too many", |m| m.payload.push(0)),
    ("an empty payload", |m| m.payload.clear()),
    ("a payload that inflates past its runs", |m| m.payload = bomb()),
    ("a wrong checksum", |m| m.checksum ^= 1),
    ("a run too many", |m| m.n_runs += 1),
    ("a run too few", |m| m.n_runs -= 1),
    ("2^64 - 1 runs", |m| m.n_runs = u64::MAX),
    ("labels of 2 bytes that have 1", |m| m.label_bytes = 2),
    ("labels of 3 bytes", |m| m.label_bytes = 3),
    ("no encoding", |m| m.encoding = 0),
    ("an unknown encoding", |m| m.encoding = 99),
    ("a voxel count that lies", |m| m.labels[0].voxels += 1),
    ("a voxel count of 2^64 - 1", |m| m.labels[0].voxels = u64::MAX),
    ("a label's box that lies", |m| {
        m.labels[0].r#box.get_or_insert_default().x_end -= 1
    }),
    ("a label with voxels and no box", |m| m.labels[0].r#box = None),
    ("a label that is not in the table", |m| drop(m.labels.remove(0))),
    ("an empty table", |m| m.labels.clear()),
    ("an id twice", |m| m.labels[1].id = m.labels[0].id),
    ("a name twice", |m| m.labels[1].name = m.labels[0].name.clone()),
    ("the id 0", |m| m.labels[0].id = 0),
    ("the id 65536", |m| m.labels[0].id = 65536),
    ("a label without a name", |m| m.labels[0].name.clear()),
    ("a label without a status", |m| m.labels[0].status = 0),
    ("no box", |m| m.r#box = None),
    ("a box outside of the mask", |m| covered(m).z_end += 100),
    ("a box that ends before it starts", |m| covered(m).y_end = 0),
    ("a box that is too small", |m| covered(m).z_end -= 1),
    ("no geometry", |m| m.geometry = None),
    ("no shape", |m| geometry(m).shape = None),
    ("an axis without voxels", |m| shape(m).z = 0),
    ("axes whose product overflows", |m| {
        *shape(m) = v1::Shape {
            x: 1 << 32,
            y: 1 << 32,
            z: 1 << 32,
        }
    }),
    ("no spacing", |m| geometry(m).spacing = None),
    ("a spacing of 0", |m| spacing(m).x = 0.0),
    ("a negative spacing", |m| spacing(m).y = -1.0),
    ("a spacing that is NaN", |m| spacing(m).z = f64::NAN),
    ("no affine", |m| geometry(m).affine.clear()),
    ("an affine of 15 numbers", |m| geometry(m).affine.truncate(15)),
    ("a singular affine", |m| geometry(m).affine[..4].fill(0.0)),
    ("an affine with NaN", |m| geometry(m).affine[1] = f64::NAN),
    ("a projective affine", |m| geometry(m).affine[15] = 2.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_decoder_refuses_every_spoil() {
        let good = encode(&masks::ordinary());
        for (what, spoil) in SPOILS {
            let mut bad = good.clone();
            spoil(&mut bad);
            let decoded = EncodedMask::try_from(bad).map(|mask| mask.decode(&Limits::default()).is_ok());
            assert!(!decoded.unwrap_or(false), "{what}");
        }
        assert!(flips(&good).len() >= 6);
    }
}
