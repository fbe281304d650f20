//! Mask operations of a core, for callers of their own; and where those are that it does not have.

use std::sync::Arc;

use nephrite_image_core::masks::Endpoint;
use nephrite_kernel::{Affine, Geometry, LabelTable, Limits, Mask, RunMask, Shape3, Spacing};
use nephrite_mask_codec::EncodedMask;
use nephrite_proto::status::{ERROR_CODE_KEY, error_code};
use nephrite_proto::v1::mask::Content;
use nephrite_proto::v1::mask_service_client::MaskServiceClient;
use nephrite_proto::v1::{DescribeRequest, NamedMask, ProcessRequest};
use nephrite_types::{ErrorCode, Labels};
use tonic::{Code, Status};

use crate::harness::{TestServer, long_run};

/// A box of label 1, and a speck.
fn request(operation: &str) -> ProcessRequest {
    let spacing = Spacing::new([1.0; 3]).unwrap();
    let shape = [8, 8, 8];
    let geometry = Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let array = ndarray::Array3::from_shape_fn(shape, |(z, y, x)| {
        u8::from((z < 3 && y < 3 && x < 3) || [z, y, x] == [7; 3])
    });
    let runs = RunMask::from_labels(&Labels::U8(array), &geometry, &Limits::default()).unwrap();
    let mask = Arc::new(Mask::new(runs, LabelTable::numbered([1])).unwrap());
    let keep = nephrite_proto::v1::ParameterValue {
        value: Some(nephrite_proto::v1::parameter_value::Value::Integer(1)),
    };
    ProcessRequest {
        operation: operation.to_owned(),
        inputs: vec![NamedMask {
            name: "mask".to_owned(),
            mask: Some(nephrite_proto::v1::Mask {
                content: Some(Content::Encoded(EncodedMask::encode(&mask).unwrap().into())),
                labels: Vec::new(),
                grid: String::new(),
            }),
        }],
        parameters: [("keep_largest".to_owned(), keep)].into(),
        ..ProcessRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_offers_the_operations_that_it_runs_itself() {
    let server = TestServer::start(|config| {
        let elsewhere = Endpoint::parse("http://127.0.0.1:9").unwrap();
        config.operations.endpoints.insert("merge".to_owned(), elsewhere);
        config.max_concurrent_runs = 1;
    })
    .await;
    let mut client = MaskServiceClient::new(server.channel().await);
    let described = client.describe(DescribeRequest {}).await.unwrap().into_inner();
    let names: Vec<&str> = described
        .operations
        .iter()
        .map(|operation| operation.name.as_str())
        .collect();
    assert_eq!(
        (described.name.as_str(), names),
        ("image-core", vec!["cleanup", "compare", "sample"])
    );
    // A run of a network does not hold it up.
    let running = server.client.run(long_run("results/long.nii.gz")).await.unwrap();
    let answer = client.process(request("cleanup")).await.unwrap().into_inner();
    let Some(Content::Encoded(cleaned)) = answer.masks[0].mask.clone().unwrap().content else {
        panic!("{answer:?}")
    };
    assert_eq!(cleaned.labels[0].voxels, 27);
    drop(running);

    let told = |status: Status| {
        assert!(status.metadata().contains_key(ERROR_CODE_KEY), "{status:?}");
        (error_code(&status), status.message().to_owned())
    };
    let elsewhere = told(client.process(request("merge")).await.unwrap_err());
    assert_eq!(elsewhere.0, ErrorCode::InvalidArgument);
    assert!(
        elsewhere.1.contains("runs at merge (http://127.0.0.1:9)"),
        "{elsewhere:?}"
    );
    let unknown = told(client.process(request("sharpen")).await.unwrap_err());
    assert_eq!(unknown.0, ErrorCode::InvalidArgument);
    assert!(unknown.1.contains("cleanup, compare, sample"), "{unknown:?}");
    let mut outside = request("cleanup");
    outside.exchange_folder = "../elsewhere".to_owned();
    let outside = told(client.process(outside).await.unwrap_err());
    assert_eq!(outside.0, ErrorCode::PermissionDenied);
    assert!(outside.1.contains("../elsewhere"), "{outside:?}");
}

/// In full microservices a core has no operation of its own, and says that it has no such service.
#[tokio::test(flavor = "multi_thread")]
async fn a_core_without_operations_of_its_own_does_not_offer_them() {
    let server = TestServer::start(|config| {
        for name in ["merge", "cleanup", "sample", "compare"] {
            let elsewhere = Endpoint::parse("http://127.0.0.1:9").unwrap();
            config.operations.endpoints.insert(name.to_owned(), elsewhere);
        }
    })
    .await;
    let mut client = MaskServiceClient::new(server.channel().await);
    let refused = client.describe(DescribeRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert_eq!(error_code(&refused), ErrorCode::InvalidArgument);
    assert_eq!(refused.message(), "this process has no such service or method");
}
