//! What does not fit is refused before it is read, what fits later waits, and the service goes on.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use nephrite_kernel::grpc::Outgoing;
use nephrite_kernel::test_util::write_hollow_label_map;
use nephrite_kernel::{ErrorCode, Limits, OperationError, write_mask};
use nephrite_proto::status::error_code;
use nephrite_proto::v1::mask::Content;
use nephrite_proto::v1::{ProcessRequest, ProcessResponse};
use tonic::Status;

use crate::harness::{TestService, decoded, identity, large, named, small};

const MIB: u64 = 1 << 20;

async fn process(service: &TestService, request: ProcessRequest) -> Result<ProcessResponse, Status> {
    let reply = service.client.clone().process(request).await;
    reply.map(tonic::Response::into_inner)
}

fn by_path(path: &str) -> ProcessRequest {
    ProcessRequest {
        operation: "identity".to_owned(),
        inputs: vec![named("mask", Content::Path(path.to_owned()))],
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mask_that_can_never_fit_is_refused_from_its_header() {
    let service = TestService::start(|config| config.max_memory_bytes = Some(256 * MIB)).await;
    write_hollow_label_map(&service.path("masks/huge.nii"), 900).unwrap();
    let began = Instant::now();
    let refused = process(&service, by_path("masks/huge.nii")).await.unwrap_err();
    assert_eq!(error_code(&refused), ErrorCode::LimitExceeded, "{refused}");
    assert!(
        refused.message().contains("bytes of memory"),
        "{}",
        refused.message()
    );
    assert!(began.elapsed() < Duration::from_secs(5));
    service.serves().await;
}

/// Each needs two thirds of what there is.
#[tokio::test(flavor = "multi_thread")]
async fn masks_wait_for_one_another() {
    let service = TestService::start(|config| {
        config.max_memory_bytes = Some(24 * MIB + 64 * MIB);
        config.max_concurrent_requests = 4;
    })
    .await;
    write_hollow_label_map(&service.path("masks/some.nii"), 200).unwrap(); // 32 MB to read
    let request = || process(&service, by_path("masks/some.nii"));
    let (a, b, c, d) = tokio::join!(request(), request(), request(), request());
    for reply in [a, b, c, d] {
        assert!(decoded(&reply.unwrap().masks[0]).runs().is_empty());
    }
}

/// Noise has twenty times the runs that a file of its size is expected to have.
#[tokio::test(flavor = "multi_thread")]
async fn a_mask_that_turns_out_larger_is_refused_once_that_is_known() {
    let service = TestService::start(|config| config.max_memory_bytes = Some(24 * MIB + 60 * MIB)).await;
    let folder = Dir::open_ambient_dir(service.path("masks"), ambient_authority()).unwrap();
    write_mask(&folder, "noise.nii", &large(), &Limits::default()).unwrap();
    let refused = process(&service, by_path("masks/noise.nii")).await.unwrap_err();
    assert_eq!(error_code(&refused), ErrorCode::LimitExceeded, "{refused}");
    assert!(
        refused.message().contains("bytes of memory"),
        "{}",
        refused.message()
    );
    let reply = process(&service, identity(&small())).await.unwrap();
    assert_eq!(decoded(&reply.masks[0]), small());
}

#[test]
fn a_mask_that_goes_by_file_asks_for_room_and_leaves_nothing_without_it() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Dir::open_ambient_dir(temp.path(), ambient_authority()).unwrap();
    let limits = Limits::default();
    let mut outgoing = Outgoing::new(Some((&folder, temp.path())), "m-".to_owned(), &limits);
    outgoing
        .mask_in(&Arc::new(small()), |bytes| -> Result<(), OperationError> {
            panic!("{bytes} bytes for a mask inside of the message")
        })
        .unwrap();
    let mask = Arc::new(large());
    let mut asked = 0;
    let refused = outgoing.mask_in(&mask, |bytes| {
        asked = bytes;
        Err::<(), _>(OperationError::Internal {
            what: "no room".to_owned(),
        })
    });
    assert!(matches!(refused, Err(OperationError::Internal { .. })));
    assert!(asked > mask.runs().geometry().shape.n_voxels() as u64 * 2);
    outgoing.sent();
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}
