//! The client before a server that answers, fails, hangs, dies and vanishes.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::*;
use crate::status::to_status;
use crate::v1::case_service_run_response::Event as Case;
use crate::v1::case_service_server::{CaseService, CaseServiceServer};
use crate::v1::step_service_server::{StepService, StepServiceServer};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(500);

type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// What it does is asked for by the name of the pipeline.
struct Fake;

#[tonic::async_trait]
impl CaseService for Fake {
    type RunStream = Messages<v1::CaseServiceRunResponse>;

    async fn run(
        &self,
        request: Request<v1::CaseServiceRunRequest>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let request = request.into_inner();
        let event = |event| Ok(v1::CaseServiceRunResponse { event: Some(event) });
        let (send, messages) = tokio::sync::mpsc::channel(8);
        tokio::spawn(async move {
            let _ = send.send(event(Case::Accepted(v1::Accepted::default()))).await;
            let _ = send.send(Ok(v1::CaseServiceRunResponse { event: None })).await; // of a newer server
            match request.pipeline.as_str() {
                "good" => {
                    let done = v1::CaseDone {
                        output: request.output,
                        ..Default::default()
                    };
                    let _ = send.send(event(Case::Done(done))).await;
                }
                "bad" => {
                    let _ = send
                        .send(Err(to_status(ErrorCode::InvalidInput, "scan: no NIfTI")))
                        .await;
                }
                "cut" => {}
                // Longer than any keepalive, and silent.
                _ => std::future::pending().await,
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }

    async fn estimate(
        &self,
        request: Request<v1::CaseServiceEstimateRequest>,
    ) -> Result<Response<v1::CaseServiceEstimateResponse>, Status> {
        if request.into_inner().request.is_none() {
            return Err(to_status(ErrorCode::InvalidArgument, "request is missing"));
        }
        let seconds = 7.0;
        Ok(Response::new(v1::CaseServiceEstimateResponse {
            seconds: Some(seconds),
            ..Default::default()
        }))
    }

    async fn get_mask(
        &self,
        _: Request<v1::GetMaskRequest>,
    ) -> Result<Response<v1::GetMaskResponse>, Status> {
        Err(to_status(ErrorCode::NotFound, "no mask here"))
    }
}

#[tonic::async_trait]
impl StepService for Fake {
    type RunStream = Messages<v1::StepServiceRunResponse>;

    async fn run(
        &self,
        request: Request<v1::StepServiceRunRequest>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let done = v1::StepDone {
            provider: v1::Provider::Cpu.into(),
            scan_bytes: request.into_inner().scan_bytes,
            ..Default::default()
        };
        let event = Some(StepEvent::Done(done));
        let messages = tokio_stream::iter([Ok(v1::StepServiceRunResponse { event })]);
        Ok(Response::new(Box::pin(messages)))
    }

    async fn sample(
        &self,
        request: Request<v1::SampleRequest>,
    ) -> Result<Response<v1::SampleResponse>, Status> {
        let scan_sha256 = request.into_inner().scan;
        Ok(Response::new(v1::SampleResponse {
            scan_sha256,
            ..Default::default()
        }))
    }
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Server::builder()
        .add_service(CaseServiceServer::new(Fake))
        .add_service(StepServiceServer::new(Fake));
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

fn case(pipeline: &str) -> v1::CaseServiceRunRequest {
    v1::CaseServiceRunRequest {
        pipeline: pipeline.to_owned(),
        output: "results/1".to_owned(),
        ..Default::default()
    }
}

/// What happens to the connections of a proxy.
#[derive(Clone, Copy, PartialEq)]
enum Line {
    /// Bytes pass.
    Open,
    /// They stay open, and nothing passes: as if the process behind them were stopped, or its machine were gone.
    Silent,
    /// They are closed: as if the process had died.
    Cut,
}

/// A way to `server` that can be disturbed.
async fn proxy(server: SocketAddr) -> (SocketAddr, watch::Sender<Line>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (change, line) = watch::channel(Line::Open);
    tokio::spawn(async move {
        while let Ok((mut here, _)) = listener.accept().await {
            let mut line = line.clone();
            tokio::spawn(async move {
                if *line.borrow() == Line::Open {
                    let mut there = TcpStream::connect(server).await.unwrap();
                    let disturbed = line.wait_for(|line| *line != Line::Open);
                    tokio::select! {
                        _ = copy_bidirectional(&mut here, &mut there) => return,
                        _ = disturbed => {}
                    }
                    let _ = line.wait_for(|line| *line == Line::Cut).await;
                } else {
                    let _ = line.wait_for(|line| *line != Line::Silent).await;
                }
                drop(here);
            });
        }
    });
    (address, change)
}

async fn impatient(address: SocketAddr) -> Client {
    let endpoint = endpoint(&format!("http://{address}"), SHORT).unwrap();
    Client::new(endpoint.connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_and_steps_go_there_and_come_back() {
    let address = format!("http://{}", serve().await);
    for client in [
        Client::connect(&address).await.unwrap(),
        Client::lazy(&address).unwrap(),
    ] {
        let mut events = client.run_case(case("good")).await.unwrap();
        assert!(matches!(events.next().await, Ok(Some(Case::Accepted(_)))));
        assert!(
            matches!(events.next().await, Ok(Some(Case::Done(_)))),
            "an unknown event is passed over"
        );
        assert!(matches!(events.next().await, Ok(None)));
        let done = client.run_case(case("good")).await.unwrap().done().await.unwrap();
        assert_eq!(done.output, "results/1");

        let failed = client
            .run_case(case("bad"))
            .await
            .unwrap()
            .done()
            .await
            .unwrap_err();
        assert_eq!(
            (failed.code, failed.message.as_str()),
            (ErrorCode::InvalidInput, "scan: no NIfTI")
        );
        let cut = client
            .run_case(case("cut"))
            .await
            .unwrap()
            .done()
            .await
            .unwrap_err();
        assert_eq!(cut.code, ErrorCode::Internal, "{cut}");

        let request = Some(case("good"));
        let estimate = client
            .estimate_case(v1::CaseServiceEstimateRequest { request })
            .await;
        assert_eq!(estimate.unwrap().seconds, Some(7.0));
        let refused = client
            .estimate_case(v1::CaseServiceEstimateRequest { request: None })
            .await;
        assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidArgument);

        let step = v1::StepServiceRunRequest {
            scan_bytes: 17,
            ..Default::default()
        };
        assert_eq!(
            client
                .run_step(step)
                .await
                .unwrap()
                .done()
                .await
                .unwrap()
                .scan_bytes,
            17
        );
        let sample = v1::SampleRequest {
            scan: "a.nii".to_owned(),
            ..Default::default()
        };
        assert_eq!(client.sample(sample).await.unwrap().scan_sha256, "a.nii");
    }
}

/// A call lives as long as the other side does, even if nothing is said; then it ends, soon.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_or_dies_is_noticed_and_one_that_is_silent_is_not_accused() {
    let server = serve().await;
    for trouble in [Line::Silent, Line::Cut] {
        let (address, line) = proxy(server).await;
        let client = impatient(address).await;
        let mut events = client.run_case(case("long")).await.unwrap();
        assert!(matches!(events.next().await, Ok(Some(Case::Accepted(_)))));
        let quiet = tokio::time::timeout(6 * SHORT, events.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        line.send(trouble).unwrap();
        let began = Instant::now();
        let gone = tokio::time::timeout(PATIENCE, events.next())
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(gone.code, ErrorCode::Unavailable, "{gone}");
        assert!(!gone.message.is_empty());
        if trouble == Line::Cut {
            assert!(began.elapsed() < SHORT, "{:?}", began.elapsed());
        }
        // The next call: nobody answers, and this too ends.
        let next = tokio::time::timeout(PATIENCE, client.run_case(case("good")))
            .await
            .unwrap();
        assert_eq!(next.unwrap_err().code, ErrorCode::Unavailable);
        // Somebody answers again, perhaps after a call on the connection that just ended.
        line.send(Line::Open).unwrap();
        let again = async {
            loop {
                if let Ok(events) = client.run_case(case("good")).await {
                    return events.done().await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, again).await.unwrap().unwrap();
    }
    const { assert!(2 * KEEPALIVE.as_secs() <= 30, "half a minute is promised") };
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_there_and_what_is_no_address() {
    let began = Instant::now();
    let nobody = Client::connect("http://127.0.0.1:1").await.unwrap_err();
    assert_eq!(nobody.code, ErrorCode::Unavailable);
    assert!(nobody.message.contains("http://127.0.0.1:1"), "{nobody}");
    let later = Client::lazy("http://127.0.0.1:1")
        .unwrap()
        .run_case(case("good"))
        .await;
    assert_eq!(later.unwrap_err().code, ErrorCode::Unavailable);
    assert!(began.elapsed() < 2 * CONNECT_PATIENCE);
    for refused in [Client::connect("no address").await, Client::lazy("no address")] {
        assert_eq!(refused.unwrap_err().code, ErrorCode::InvalidArgument);
    }
}
