//! Encoded masks and their grids between messages and checked types.

use nephrite_mask_codec::{
    EncodedLabel, EncodedMask, LabelEntry, LabelStatus, LabelTable, LabelVolume, Mask, MaskEncoding,
};
use nephrite_types::{Affine, BoundingBox, Geometry, Shape3, Spacing};

use super::choice;
use crate::{ConvertError, v1};

/// Labels of one mask: as many as ids.
const MAX_LABELS: usize = u16::MAX as usize;
/// Bytes of one label's name.
const MAX_NAME_BYTES: usize = 256;

/// Numbers of a 4×4 matrix.
const AFFINE_NUMBERS: usize = 16;

impl TryFrom<&v1::MaskGeometry> for Geometry {
    type Error = ConvertError;

    fn try_from(wire: &v1::MaskGeometry) -> Result<Geometry, ConvertError> {
        let missing = |field| ConvertError::Missing { field };
        let shape = Shape3::try_from(wire.shape.ok_or(missing("geometry.shape"))?)?;
        let spacing = Spacing::try_from(wire.spacing.ok_or(missing("geometry.spacing"))?)?;
        let found = wire.affine.len();
        let rows =
            <&[f64; AFFINE_NUMBERS]>::try_from(wire.affine.as_slice()).map_err(|_| ConvertError::Value {
                field: "geometry.affine",
                expected: "16 numbers",
                found: format!("{found} numbers"),
            })?;
        let row = |r: usize| std::array::from_fn(|c| rows[4 * r + c]);
        if row(3) != [0.0, 0.0, 0.0, 1.0] {
            return Err(ConvertError::Value {
                field: "geometry.affine",
                expected: "a last row of 0, 0, 0, 1",
                found: format!("{:?}", row(3)),
            });
        }
        Ok(Geometry {
            shape,
            spacing,
            affine: Affine::new([row(0), row(1), row(2)])?,
        })
    }
}

impl From<&Geometry> for v1::MaskGeometry {
    fn from(geometry: &Geometry) -> Self {
        v1::MaskGeometry {
            shape: Some(geometry.shape.into()),
            spacing: Some(geometry.spacing.into()),
            affine: geometry.affine.rows().as_flattened().to_vec(),
        }
    }
}

/// Whether the box lies inside of the mask is for the decoder to say.
impl TryFrom<&v1::VoxelBox> for BoundingBox {
    type Error = ConvertError;

    fn try_from(wire: &v1::VoxelBox) -> Result<BoundingBox, ConvertError> {
        let index = |number: u64| {
            usize::try_from(number).map_err(|_| ConvertError::Value {
                field: "box",
                expected: "voxel indices",
                found: number.to_string(),
            })
        };
        let bounds = BoundingBox {
            start: [index(wire.z_start)?, index(wire.y_start)?, index(wire.x_start)?],
            end: [index(wire.z_end)?, index(wire.y_end)?, index(wire.x_end)?],
        };
        if (0..3).any(|axis| bounds.start[axis] >= bounds.end[axis]) {
            return Err(ConvertError::Value {
                field: "box",
                expected: "each end past its start",
                found: format!("{:?} to {:?} (z, y, x)", bounds.start, bounds.end),
            });
        }
        Ok(bounds)
    }
}

impl From<&BoundingBox> for v1::VoxelBox {
    fn from(bounds: &BoundingBox) -> Self {
        let [z_start, y_start, x_start] = bounds.start.map(|index| index as u64);
        let [z_end, y_end, x_end] = bounds.end.map(|index| index as u64);
        v1::VoxelBox {
            x_start,
            y_start,
            z_start,
            x_end,
            y_end,
            z_end,
        }
    }
}

impl From<LabelStatus> for v1::LabelStatus {
    fn from(status: LabelStatus) -> Self {
        match status {
            LabelStatus::Present => v1::LabelStatus::Present,
            LabelStatus::NotFound => v1::LabelStatus::NotFound,
            LabelStatus::NotSearched => v1::LabelStatus::NotSearched,
            LabelStatus::Failed => v1::LabelStatus::Failed,
        }
    }
}

impl From<&LabelVolume> for v1::LabelVolume {
    fn from(label: &LabelVolume) -> Self {
        v1::LabelVolume {
            id: label.id.into(),
            name: label.name.clone(),
            status: v1::LabelStatus::from(label.status).into(),
            voxels: label.voxels,
            volume_ml: label.volume_ml,
        }
    }
}

impl TryFrom<v1::LabelVolume> for LabelVolume {
    type Error = ConvertError;

    fn try_from(wire: v1::LabelVolume) -> Result<Self, ConvertError> {
        Ok(LabelVolume {
            id: u16::try_from(wire.id).map_err(|_| ConvertError::Value {
                field: "label.id",
                expected: "at most 65535",
                found: wire.id.to_string(),
            })?,
            name: wire.name,
            status: status(wire.status)?,
            voxels: wire.voxels,
            volume_ml: wire.volume_ml,
        })
    }
}

fn status(number: i32) -> Result<LabelStatus, ConvertError> {
    match choice::<v1::LabelStatus>("label.status", Some(number))? {
        Some(v1::LabelStatus::Present) => Ok(LabelStatus::Present),
        Some(v1::LabelStatus::NotFound) => Ok(LabelStatus::NotFound),
        Some(v1::LabelStatus::NotSearched) => Ok(LabelStatus::NotSearched),
        Some(v1::LabelStatus::Failed) => Ok(LabelStatus::Failed),
        Some(v1::LabelStatus::Unspecified) | None => Err(ConvertError::NoChoice {
            field: "label.status",
            number,
        }),
    }
}

impl TryFrom<&v1::MaskLabel> for EncodedLabel {
    type Error = ConvertError;

    fn try_from(wire: &v1::MaskLabel) -> Result<EncodedLabel, ConvertError> {
        let id = u16::try_from(wire.id).map_err(|_| ConvertError::Value {
            field: "label.id",
            expected: "1 to 65535",
            found: wire.id.to_string(),
        })?;
        if wire.name.len() > MAX_NAME_BYTES {
            return Err(ConvertError::TooLong {
                field: "label.name",
                limit: MAX_NAME_BYTES,
                found: wire.name.len(),
            });
        }
        Ok(EncodedLabel {
            id,
            name: wire.name.clone(),
            status: status(wire.status)?,
            voxels: wire.voxels,
            bounding_box: wire.r#box.as_ref().map(BoundingBox::try_from).transpose()?,
        })
    }
}

fn labels(wire: &[v1::MaskLabel]) -> Result<Vec<EncodedLabel>, ConvertError> {
    if wire.len() > MAX_LABELS {
        return Err(ConvertError::TooMany {
            field: "labels",
            limit: MAX_LABELS,
            found: wire.len(),
        });
    }
    wire.iter().map(EncodedLabel::try_from).collect()
}

/// Takes the payload out of the message instead of copying it.
impl TryFrom<v1::EncodedMask> for EncodedMask {
    type Error = ConvertError;

    fn try_from(wire: v1::EncodedMask) -> Result<EncodedMask, ConvertError> {
        let geometry = wire
            .geometry
            .as_ref()
            .ok_or(ConvertError::Missing { field: "geometry" })?;
        let encoding = match choice::<v1::MaskEncoding>("encoding", Some(wire.encoding))? {
            Some(v1::MaskEncoding::RunsDeflate) => MaskEncoding::RunsDeflate,
            Some(v1::MaskEncoding::Unspecified) | None => {
                return Err(ConvertError::NoChoice {
                    field: "encoding",
                    number: wire.encoding,
                });
            }
        };
        let label_bytes = u8::try_from(wire.label_bytes).map_err(|_| ConvertError::Value {
            field: "label_bytes",
            expected: "1 or 2",
            found: wire.label_bytes.to_string(),
        })?;
        Ok(EncodedMask {
            geometry: geometry.try_into()?,
            bounding_box: wire.r#box.as_ref().map(BoundingBox::try_from).transpose()?,
            labels: labels(&wire.labels)?,
            encoding,
            label_bytes,
            n_runs: wire.n_runs,
            checksum: wire.checksum,
            payload: wire.payload,
        })
    }
}

impl From<EncodedMask> for v1::EncodedMask {
    fn from(mask: EncodedMask) -> Self {
        let labels = mask.labels.iter().map(|label| v1::MaskLabel {
            id: label.id.into(),
            name: label.name.clone(),
            status: v1::LabelStatus::from(label.status).into(),
            voxels: label.voxels,
            volume_ml: label.volume_ml(&mask.geometry),
            r#box: label.bounding_box.as_ref().map(Into::into),
        });
        v1::EncodedMask {
            geometry: Some((&mask.geometry).into()),
            r#box: mask.bounding_box.as_ref().map(Into::into),
            labels: labels.collect(),
            encoding: match mask.encoding {
                MaskEncoding::RunsDeflate => v1::MaskEncoding::RunsDeflate.into(),
            },
            label_bytes: mask.label_bytes.into(),
            n_runs: mask.n_runs,
            checksum: mask.checksum,
            payload: mask.payload,
        }
    }
}

/// The table of a mask that travels by path.
///
/// # Errors
/// [`ConvertError`]
pub fn label_table(wire: &[v1::MaskLabel]) -> Result<LabelTable, ConvertError> {
    let entries = labels(wire)?.into_iter().map(|label| LabelEntry {
        id: label.id,
        name: label.name,
        status: label.status,
    });
    Ok(LabelTable::new(entries.collect())?)
}

/// The labels of a mask, for one that travels by path.
pub fn mask_labels(mask: &Mask) -> Vec<v1::MaskLabel> {
    let voxel_ml = mask.runs().geometry().voxel_mm3() / 1000.0;
    let entries = mask.labels().entries().iter();
    let labels = entries.map(|entry| {
        let summary = mask.summaries().get(&entry.id);
        let voxels = summary.map_or(0, |summary| summary.voxels);
        v1::MaskLabel {
            id: entry.id.into(),
            name: entry.name.clone(),
            status: v1::LabelStatus::from(entry.status).into(),
            voxels,
            volume_ml: voxels as f64 * voxel_ml,
            r#box: summary.map(|summary| (&summary.bounding_box).into()),
        }
    });
    labels.collect()
}

#[cfg(test)]
mod tests {
    use nephrite_mask_codec::{Run, RunMaskBuilder};
    use nephrite_types::Limits;

    use super::*;

    fn mask() -> Mask {
        let spacing = Spacing::new([2.0, 0.7, 0.8]).unwrap();
        let rows = [
            [0.8, 0.1, 0.0, -3.0],
            [-0.1, 0.7, 0.2, 4.0],
            [0.0, -0.2, 2.0, 7.0],
        ];
        let geometry = Geometry {
            shape: Shape3::new([2, 1, 9]).unwrap(),
            spacing,
            affine: Affine::new(rows).unwrap(),
        };
        let mut builder = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
        let run = |start, end, label| Run { start, end, label };
        builder.push_row([run(1, 4, 300), run(4, 6, 2)]).unwrap();
        builder.push_row([run(2, 3, 2)]).unwrap();
        let entry = |id: u16, status| LabelEntry {
            id,
            name: format!("n{id}"),
            status,
        };
        let entries = vec![
            entry(2, LabelStatus::Present),
            entry(300, LabelStatus::Present),
            entry(5, LabelStatus::NotSearched),
            entry(6, LabelStatus::Failed),
            entry(7, LabelStatus::NotFound),
        ];
        Mask::new(builder.finish().unwrap(), LabelTable::new(entries).unwrap()).unwrap()
    }

    #[test]
    fn masks_come_back_from_the_wire() {
        let mask = mask();
        let wire = v1::EncodedMask::from(EncodedMask::encode(&mask).unwrap());
        let bytes = prost::Message::encode_to_vec(&wire);
        let received: v1::EncodedMask = prost::Message::decode(&bytes[..]).unwrap();
        assert!(
            (received.labels[0].volume_ml - 3.0 * 1.172 / 1000.0).abs() < 1e-12,
            "the determinant"
        );
        let decoded = EncodedMask::try_from(received)
            .unwrap()
            .decode(&Limits::default());
        assert_eq!(decoded.unwrap(), mask);
        assert_eq!(label_table(&mask_labels(&mask)).unwrap(), *mask.labels());
    }

    #[test]
    fn what_no_mask_may_state_is_refused() {
        let good = v1::EncodedMask::from(EncodedMask::encode(&mask()).unwrap());
        let check = |name: &str, spoil: &dyn Fn(&mut v1::EncodedMask)| {
            let mut wire = good.clone();
            spoil(&mut wire);
            assert!(EncodedMask::try_from(wire).is_err(), "{name}");
        };
        let geometry = |wire: &mut v1::EncodedMask, change: &dyn Fn(&mut v1::MaskGeometry)| {
            change(wire.geometry.as_mut().unwrap());
        };
        check("no geometry", &|wire| wire.geometry = None);
        check("no shape", &|wire| geometry(wire, &|g| g.shape = None));
        check("zero-size", &|wire| {
            geometry(wire, &|g| g.shape.as_mut().unwrap().y = 0)
        });
        check("overflow", &|wire| {
            geometry(wire, &|g| g.shape.as_mut().unwrap().y = u64::MAX)
        });
        check("no spacing", &|wire| {
            geometry(wire, &|g| g.spacing.as_mut().unwrap().x = 0.0)
        });
        check("singular", &|wire| geometry(wire, &|g| g.affine[..4].fill(0.0)));
        check("NaN", &|wire| geometry(wire, &|g| g.affine[1] = f64::NAN));
        check("projective", &|wire| geometry(wire, &|g| g.affine[15] = 2.0));
        check("15 numbers", &|wire| geometry(wire, &|g| g.affine.truncate(15)));
        check("empty box", &|wire| wire.r#box.as_mut().unwrap().x_end = 0);
        check("encoding", &|wire| wire.encoding = 0);
        check("unknown encoding", &|wire| wire.encoding = 9);
        check("label bytes", &|wire| wire.label_bytes = 256);
        check("label id", &|wire| wire.labels[0].id = 65536);
        check("label name", &|wire| wire.labels[0].name = "x".repeat(257));
        check("label status", &|wire| wire.labels[0].status = 0);
        check("label box", &|wire| {
            wire.labels[0].r#box.as_mut().unwrap().z_end = 0
        });
    }
}
