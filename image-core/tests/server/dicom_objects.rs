//! DICOM objects where a mask of a message may lie in a file.

use std::fs::File;

use ndarray::Array3;
use nephrite_kernel::{LabelEntry, LabelStatus, LabelTable, Limits, Mask, RunMask};
use nephrite_proto::status::error_code;
use nephrite_proto::v1;
use nephrite_proto::v1::mask::Content;
use nephrite_proto::v1::mask_service_client::MaskServiceClient;
use nephrite_types::{CancelToken, ErrorCode, Labels};
use nephrite_volume::{Reader, read_volume};

use crate::harness::{SMALL_SCAN, TestServer};
use crate::object_files::{source, write_objects, write_series};

/// A server whose root has the small scan as `series`, and `mask.seg.dcm`, `mask.labelmap.dcm` and `mask.rtstruct.dcm`: a box of 60
/// voxels with the name of a kidney.
async fn server() -> TestServer {
    let server = TestServer::start(|_| {}).await;
    let scan = server.root.path().join(SMALL_SCAN);
    let (limits, cancel) = (Limits::default(), CancelToken::new());
    let volume = read_volume(
        File::open(&scan).unwrap(),
        "scan",
        Reader::Nibabel,
        &limits,
        &cancel,
    )
    .unwrap()
    .volume;
    let is_inside = |(z, y, x)| (2..5).contains(&z) && (3..7).contains(&y) && (4..9).contains(&x);
    let array = Array3::from_shape_fn(volume.voxels.shape(), |index| u8::from(is_inside(index)));
    let geometry = volume.geometry.measured();
    let runs = RunMask::from_labels(&Labels::U8(array), &geometry, &limits).unwrap();
    let kidney = LabelEntry {
        id: 1,
        name: "kidney".to_owned(),
        status: LabelStatus::Present,
    };
    let mask = Mask::new(runs, LabelTable::new(vec![kidney]).unwrap()).unwrap();
    let series = server.root.path().join("series");
    write_series(&scan, &series, [0.0; 3]);
    write_objects(&server.root.path().join("mask"), &source(&series), &mask);
    server
}

fn request(content: Content, grid: &str) -> v1::ProcessRequest {
    v1::ProcessRequest {
        operation: "cleanup".to_owned(),
        inputs: vec![v1::NamedMask {
            name: "mask".to_owned(),
            mask: Some(v1::Mask {
                content: Some(content),
                grid: grid.to_owned(),
                labels: Vec::new(),
            }),
        }],
        ..v1::ProcessRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_masks_on_the_grid_that_is_named() {
    let server = server().await;
    let mut client = MaskServiceClient::new(server.channel().await);
    let scan_shape = (37, 22, 30);
    for (file, grid) in [
        ("mask.seg.dcm", ""),
        ("mask.seg.dcm", "series"),
        ("mask.labelmap.dcm", SMALL_SCAN),
        ("mask.rtstruct.dcm", "series"),
        ("mask.rtstruct.dcm", SMALL_SCAN),
    ] {
        let answer = client
            .process(request(Content::Path(file.to_owned()), grid))
            .await;
        let answer = answer.unwrap().into_inner();
        assert!(answer.warnings.is_empty(), "{:?}", answer.warnings);
        let Some(Content::Encoded(mask)) = answer.masks[0].mask.clone().unwrap().content else {
            panic!("{answer:?}")
        };
        let label = &mask.labels[0];
        assert_eq!(
            (label.name.as_str(), label.voxels),
            ("kidney", 60),
            "{file} {grid}"
        );
        let shape = mask.geometry.unwrap().shape.unwrap();
        let is_whole = (shape.x, shape.y, shape.z) == scan_shape;
        assert_eq!(is_whole, !grid.is_empty(), "{file} {grid}: {shape:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_is_inspected_as_its_volume() {
    let server = server().await;
    let inspect = async |input: &str| {
        let input = input.to_owned();
        let request = v1::VolumeServiceInspectRequest { input };
        server.client.inspect_volume(request).await
    };
    let file = inspect(SMALL_SCAN).await.unwrap();
    for input in ["series", "series#1.2.826.0.1.3680043.10.1"] {
        let series = inspect(input).await.unwrap();
        assert_eq!((series.format.as_str(), series.nifti_version), ("DICOM", 0));
        assert_eq!((series.compressed, series.big_endian), (false, false));
        assert_eq!(
            (&series.dims, &series.voxel_type),
            (&file.dims, &"int16".to_owned())
        );
        assert_eq!(series.unit, v1::LengthUnit::Millimeter as i32);
        let (found, right) = (series.spacing.unwrap(), file.spacing.unwrap());
        let pairs = [(found.x, right.x), (found.y, right.y), (found.z, right.z)];
        assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 1e-5), "{pairs:?}");
        assert_eq!((series.affine.len(), series.orientation.len()), (16, 3));
    }
    let slice = std::fs::read_dir(server.root.path().join("series"))
        .unwrap()
        .next()
        .unwrap();
    let slice = format!("series/{}", slice.unwrap().file_name().display());
    let of_series = "name its folder, series#1.2.826.0.1.3680043.10.1;";
    for (input, code, says) in [
        (slice.as_str(), ErrorCode::InvalidInput, of_series),
        (
            "mask.seg.dcm",
            ErrorCode::InvalidInput,
            "a segmentation is no scan",
        ),
        ("series#1.2", ErrorCode::NotFound, "holds no series 1.2"),
        ("scans", ErrorCode::InvalidInput, "holds no DICOM series"),
    ] {
        let refused = inspect(input).await.unwrap_err();
        assert_eq!(refused.code, code, "{refused}");
        assert!(refused.message.contains(says), "{says}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grids_that_do_not_go_with_a_mask_are_refused() {
    let server = server().await;
    let mut client = MaskServiceClient::new(server.channel().await);
    let in_file = |file: &str| Content::Path(file.to_owned());
    let encoded = Content::Encoded(v1::EncodedMask::default());
    for (content, grid, code, says) in [
        (
            in_file("mask.rtstruct.dcm"),
            "",
            ErrorCode::InvalidInput,
            "grid is missing",
        ),
        (
            in_file("mask.rtstruct.dcm"),
            "nothing",
            ErrorCode::NotFound,
            "nothing",
        ),
        (
            in_file("mask.rtstruct.dcm"),
            "../scan",
            ErrorCode::PermissionDenied,
            "../scan",
        ),
        (
            in_file("mask.seg.dcm"),
            "series#1.2",
            ErrorCode::NotFound,
            "no series 1.2",
        ),
        (
            in_file(SMALL_SCAN),
            "series",
            ErrorCode::InvalidArgument,
            "has a grid of its own",
        ),
        (encoded, "series", ErrorCode::InvalidArgument, "mask.grid"),
    ] {
        let refused = client.process(request(content, grid)).await.unwrap_err();
        assert_eq!(error_code(&refused), code, "{grid}: {refused:?}");
        assert!(refused.message().contains(says), "{says}: {refused:?}");
    }
}
