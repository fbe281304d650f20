//! The headers of NRRD and MetaImage files that are written: as ITK writes them, numbers with all their digits.

use std::fmt::Display;

use nephrite_types::VoxelType;

use crate::source_geometry::SourceGeometry;

/// From RAS+ to LPS+.
const TO_LPS: [f64; 3] = [-1.0, -1.0, 1.0];

/// The place of the voxels in LPS+ millimeters, in so many axes.
struct Place {
    /// Step of each axis.
    steps: Vec<Vec<f64>>,
    origin: Vec<f64>,
}

impl Place {
    fn of(source: &SourceGeometry) -> Place {
        let (rows, n) = (source.rows_mm(), source.dims().len());
        let column = |c: usize| (0..n).map(|r| TO_LPS[r] * rows[r][c] + 0.0).collect::<Vec<f64>>();
        Place {
            steps: (0..n).map(column).collect(),
            origin: column(3),
        }
    }
}

fn joined<T: Display>(values: &[T], between: &str) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(between)
}

/// Header of an NRRD file whose voxels are compressed with gzip, and follow, unless they are in a file of their own.
pub(crate) fn nrrd_header(source: &SourceGeometry, voxel_type: VoxelType, data_file: Option<&str>) -> String {
    let place = Place::of(source);
    let n = place.steps.len();
    let vector = |values: &Vec<f64>| format!("({})", joined(values, ","));
    let directions: Vec<String> = place.steps.iter().map(vector).collect();
    let space = match n {
        3 => "space: left-posterior-superior".to_owned(),
        n => format!("space dimension: {n}"),
    };
    let kind = match voxel_type {
        VoxelType::F32 => "float",
        VoxelType::F64 => "double",
        integer => integer.name(),
    };
    format!(
        "NRRD0004\ntype: {kind}\ndimension: {n}\n{space}\nsizes: {}\nspace directions: {}\nkinds: {}\nendian: little\n\
         encoding: gzip\nspace origin: {}\n{}\n",
        joined(source.dims(), " "),
        directions.join(" "),
        vec!["domain"; n].join(" "),
        vector(&place.origin),
        data_file.map_or_else(String::new, |name| format!("data file: {name}\n")),
    )
}

/// Header of a MetaImage file whose voxels are compressed with zlib, and where in it the length of these stands.
pub(crate) struct MetaImageHeader {
    pub(crate) text: String,
    /// Of the digits.
    pub(crate) size_at: usize,
}

/// Digits of the largest length.
const SIZE_DIGITS: usize = 20;

/// The length of the compressed voxels as it stands in the header.
pub(crate) fn meta_image_size(n_bytes: u64) -> String {
    format!("{n_bytes:0SIZE_DIGITS$}")
}

/// See [`MetaImageHeader`]. The voxels follow, unless they are in a file of their own.
pub(crate) fn meta_image_header(
    source: &SourceGeometry,
    voxel_type: VoxelType,
    data_file: Option<&str>,
    n_bytes: u64,
) -> MetaImageHeader {
    let place = Place::of(source);
    let length = |step: &Vec<f64>| step.iter().map(|v| v * v).sum::<f64>().sqrt();
    let lengths: Vec<f64> = place.steps.iter().map(length).collect();
    let directions = place.steps.iter().zip(&lengths);
    let matrix: Vec<f64> = directions
        .flat_map(|(step, length)| step.iter().map(move |v| v / length))
        .collect();
    let n = place.steps.len();
    let kind = match voxel_type {
        VoxelType::U8 => "MET_UCHAR",
        VoxelType::I8 => "MET_CHAR",
        VoxelType::U16 => "MET_USHORT",
        VoxelType::I16 => "MET_SHORT",
        VoxelType::U32 => "MET_UINT",
        VoxelType::I32 => "MET_INT",
        VoxelType::U64 => "MET_ULONG_LONG",
        VoxelType::I64 => "MET_LONG_LONG",
        VoxelType::F32 => "MET_FLOAT",
        VoxelType::F64 => "MET_DOUBLE",
    };
    let before = format!(
        "ObjectType = Image\nNDims = {n}\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = True\n\
         CompressedDataSize = "
    );
    let text = format!(
        "{before}{}\nTransformMatrix = {}\nOffset = {}\nCenterOfRotation = {}\nElementSpacing = {}\nDimSize = {}\n\
         ElementType = {kind}\nElementDataFile = {}\n",
        meta_image_size(n_bytes),
        joined(&matrix, " "),
        joined(&place.origin, " "),
        vec!["0"; n].join(" "),
        joined(&lengths, " "),
        joined(source.dims(), " "),
        data_file.unwrap_or("LOCAL"),
    );
    MetaImageHeader {
        size_at: before.len(),
        text,
    }
}
