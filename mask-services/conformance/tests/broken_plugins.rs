//! Deliberately broken plugins: each fails its case, and no other.
//!
//! Each stands between the kit and an honest service, and spoils what passes.

#![allow(clippy::unwrap_used)] // a test fails by panicking, in its helpers too

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nephrite_conformance::{Options, Row, Verdict, check_service};
use nephrite_kernel::test_util::Identity;
use nephrite_kernel::{CancelToken, LabelTable, Limits, MaskOperation, read_mask};
use nephrite_mask_codec::EncodedMask;
use nephrite_proto::v1;
use nephrite_proto::v1::mask::Content;
use nephrite_proto::v1::mask_service_client::MaskServiceClient;
use nephrite_proto::v1::mask_service_server::{MaskService, MaskServiceServer};
use nephrite_proto::v1::parameter_value::Value;
use support::{Place, runtime, serve};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

/// What is wrong with a plugin.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    // of its description
    DescriptionContradictsItself,
    DescriptionChanges,
    NoHelp,
    // of every reply
    Hangs,
    Slow,
    Garbage,
    HugeReply,
    NoOutputs,
    DropsLabelNames,
    OtherGeometry,
    OtherLabels,
    // of replies to some masks
    RefusesEmpty,
    DiesOnEmpty,
    RefusesFull,
    RefusesOneVoxel,
    RefusesHuge,
    IgnoresThickSlices,
    ForgetsRotation,
    RefusesIds(u16),
    LargeInline,
    // of sameness
    CountsCalls,
    MixesUpCallers,
    WrongAfterCancel,
    // of what it accepts
    UnknownParameter,
    WrongType,
    OutOfRange,
    UnknownInput,
    UnknownOperation,
    CorruptMask,
    CorruptFile,
    ArtefactsFolder,
    UnknownLabel,
    // of how it refuses
    NoMessage,
    MessageEndsInNewline,
    NoCode,
    // of files
    OtherFiles,
    ForgetsTableOfFile,
    ReadsOutside,
    WritesOutside,
    // of time
    IgnoresDeadline,
}

struct Broken {
    fault: Fault,
    honest: MaskServiceClient<Channel>,
    root: std::path::PathBuf,
    calls: AtomicU64,
    was_left: Arc<AtomicBool>,
    last: Mutex<Option<v1::ProcessResponse>>,
    /// Ends its process.
    die: tokio::sync::mpsc::UnboundedSender<()>,
}

/// Notes that a caller left.
struct Watch(Option<Arc<AtomicBool>>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(left) = &self.0 {
            left.store(true, Ordering::SeqCst);
        }
    }
}

fn encoded(masks: &[v1::NamedMask]) -> Option<&v1::EncodedMask> {
    match masks.first()?.mask.as_ref()?.content.as_ref()? {
        Content::Encoded(encoded) => Some(encoded),
        Content::Path(_) => None,
    }
}

fn content(masks: &mut [v1::NamedMask]) -> Option<&mut Content> {
    masks.first_mut()?.mask.as_mut()?.content.as_mut()
}

fn encoded_mut(masks: &mut [v1::NamedMask]) -> Option<&mut v1::EncodedMask> {
    match content(masks)? {
        Content::Encoded(encoded) => Some(encoded),
        Content::Path(_) => None,
    }
}

fn path(masks: &[v1::NamedMask]) -> Option<&Path> {
    match masks.first()?.mask.as_ref()?.content.as_ref()? {
        Content::Path(path) => Some(Path::new(path)),
        Content::Encoded(_) => None,
    }
}

/// A good mask in place of a bad one: a voxel of label 1.
fn stock() -> Content {
    use nephrite_kernel::{Affine, Geometry, Mask, Run, RunMaskBuilder, Shape3, Spacing};
    let spacing = Spacing::new([1.0; 3]).unwrap();
    let geometry = Geometry {
        shape: Shape3::new([1, 1, 4]).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let mut builder = RunMaskBuilder::new(geometry, &Limits::default()).unwrap();
    builder
        .push_row([Run {
            start: 1,
            end: 2,
            label: 1,
        }])
        .unwrap();
    let mask = Mask::new(builder.finish().unwrap(), LabelTable::numbered([1])).unwrap();
    Content::Encoded(EncodedMask::encode(&mask).unwrap().into())
}

/// The file, wherever it lies, inside of the message.
fn read(path: &Path) -> Option<Content> {
    let file = std::fs::File::open(path).ok()?;
    let cancel = CancelToken::new();
    let mask = read_mask(file, "", &LabelTable::default(), &Limits::default(), &cancel).ok()?;
    Some(Content::Encoded(EncodedMask::encode(&mask).unwrap().into()))
}

impl Broken {
    async fn spoil_request(&self, request: &mut v1::ProcessRequest) -> Result<(), Status> {
        let no = |what: &str| Err(Status::failed_precondition(what.to_owned()));
        let mask = encoded(&request.inputs).cloned();
        // One of the kit's masks states 2^64 - 1.
        let voxels = mask.as_ref().map(|mask| {
            let voxels = mask.labels.iter().map(|label| label.voxels);
            voxels.fold(0, u64::saturating_add)
        });
        let shape = mask.as_ref().and_then(|mask| mask.geometry.as_ref()?.shape);
        let n_voxels = shape.map(|shape| shape.x.saturating_mul(shape.y).saturating_mul(shape.z));
        let is_huge = n_voxels == Some(512 * 512 * 800);
        let is_empty = mask
            .as_ref()
            .is_some_and(|mask| mask.n_runs == 0 && mask.payload.is_empty());
        let max_id = mask
            .iter()
            .flat_map(|mask| &mask.labels)
            .map(|label| label.id)
            .max();
        match self.fault {
            Fault::Hangs => std::future::pending().await,
            Fault::Slow => tokio::time::sleep(Duration::from_secs(8)).await,
            Fault::RefusesEmpty if is_empty => return no("empty"),
            Fault::DiesOnEmpty if is_empty => {
                self.die.send(()).unwrap();
                std::future::pending().await
            }
            Fault::RefusesFull if voxels.is_some() && voxels == n_voxels => return no("full"),
            Fault::RefusesOneVoxel if voxels == Some(1) => return no("one voxel"),
            Fault::RefusesHuge if is_huge => return no("huge"),
            Fault::RefusesIds(id) if max_id == Some(id.into()) => return no("too many ids"),
            Fault::UnknownParameter => drop(request.parameters.remove("no_such_parameter")),
            Fault::WrongType => {
                request.parameters.retain(|name, value| {
                    name == "no_such_parameter" || matches!(value.value, Some(Value::Number(_)))
                });
            }
            Fault::OutOfRange => request.parameters.retain(|_, value| match value.value {
                Some(Value::Number(number)) => (0.0..3600.0).contains(&number),
                _ => true,
            }),
            Fault::UnknownInput => request.inputs.retain(|input| input.name == "mask"),
            Fault::UnknownOperation => request.operation = "identity".to_owned(),
            Fault::CorruptMask => {
                let decoded =
                    mask.map(|mask| EncodedMask::try_from(mask).map(|mask| mask.decode(&Limits::default())));
                let is_good = matches!(decoded, Some(Ok(Ok(_)))) || path(&request.inputs).is_some();
                if !is_good && let Some(input) = request.inputs.first_mut() {
                    input.mask = Some(v1::Mask {
                        content: Some(stock()),
                        labels: Vec::new(),
                        grid: String::new(),
                    });
                }
            }
            Fault::CorruptFile => {
                let bad = path(&request.inputs)
                    .is_some_and(|path| path.starts_with(&self.root) && read(path).is_none());
                if bad {
                    request.inputs[0].mask = Some(v1::Mask {
                        content: Some(stock()),
                        labels: Vec::new(),
                        grid: String::new(),
                    });
                }
            }
            Fault::ArtefactsFolder => request.artefacts_folder.clear(),
            Fault::UnknownLabel => request.parameters.retain(|_, value| match &value.value {
                Some(Value::Texts(texts)) => texts.values != ["no such label"],
                _ => true,
            }),
            Fault::ForgetsTableOfFile if path(&request.inputs).is_some() => {
                request.inputs[0].mask.as_mut().unwrap().labels.clear();
            }
            Fault::ReadsOutside => {
                let elsewhere = |path: &&Path| {
                    path.canonicalize()
                        .is_ok_and(|path| !path.starts_with(&self.root))
                };
                let found = path(&request.inputs).filter(elsewhere).and_then(read);
                if let Some(found) = found {
                    request.inputs[0].mask = Some(v1::Mask {
                        content: Some(found),
                        labels: Vec::new(),
                        grid: String::new(),
                    });
                }
            }
            Fault::WritesOutside if !request.exchange_folder.is_empty() => {
                let file = Path::new(&request.exchange_folder).join("scratch");
                let _ = std::fs::write(file, "x");
            }
            Fault::WrongAfterCancel if is_huge => tokio::time::sleep(Duration::from_millis(400)).await,
            _ => {}
        }
        Ok(())
    }

    async fn answer(&self, mut request: v1::ProcessRequest) -> Result<v1::ProcessResponse, Status> {
        self.spoil_request(&mut request).await?;
        let answer = self.honest.clone().process(request).await;
        let mut reply = answer.map_err(|status| self.spoil_status(status))?.into_inner();
        self.spoil_reply(&mut reply).await;
        Ok(reply)
    }

    fn spoil_status(&self, status: Status) -> Status {
        let message = match self.fault {
            Fault::NoMessage => String::new(),
            Fault::MessageEndsInNewline => format!("{}\n", status.message()),
            Fault::NoCode => return Status::new(status.code(), status.message()),
            _ => return status,
        };
        Status::with_metadata(status.code(), message, status.metadata().clone())
    }

    async fn spoil_reply(&self, reply: &mut v1::ProcessResponse) {
        let n_calls = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.fault == Fault::NoOutputs {
            reply.masks.clear();
        }
        if self.fault == Fault::CountsCalls {
            let value = n_calls as f64;
            reply.measurements.push(v1::Measurement {
                value,
                ..v1::Measurement::default()
            });
        }
        if self.fault == Fault::MixesUpCallers {
            *self.last.lock().unwrap() = Some(reply.clone());
            tokio::time::sleep(Duration::from_millis(100)).await;
            *reply = self.last.lock().unwrap().clone().unwrap();
        }
        if self.fault == Fault::LargeInline
            && let Some(found) = path(&reply.masks).and_then(read)
        {
            *content(&mut reply.masks).unwrap() = found;
        }
        if self.fault == Fault::OtherFiles {
            let files = reply.artefacts.iter();
            files.for_each(|file| std::fs::write(&file.path, n_calls.to_string()).unwrap());
        }
        let Some(mask) = encoded_mut(&mut reply.masks) else {
            return;
        };
        let geometry = mask.geometry.as_mut().unwrap();
        let is_rotated = geometry.affine[2] != 0.0;
        match self.fault {
            Fault::Garbage => mask.payload = vec![0xA5; 1000],
            Fault::HugeReply => mask.payload = vec![0; 100 << 20],
            Fault::DropsLabelNames => mask.labels.clear(),
            Fault::OtherGeometry => geometry.affine[3] += 1.0,
            Fault::OtherLabels => mask.labels[0].name = "other".to_owned(),
            Fault::IgnoresThickSlices if geometry.affine[10] > 5.0 => geometry.affine[10] = 1.0,
            Fault::ForgetsRotation if is_rotated => geometry.affine[2] = 0.0,
            _ => {}
        }
    }
}

#[tonic::async_trait]
impl MaskService for Broken {
    async fn describe(
        &self,
        request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let mut reply = self.honest.clone().describe(request.into_inner()).await?;
        let operation = &mut reply.get_mut().operations[0];
        match self.fault {
            Fault::DescriptionContradictsItself => operation.outputs[0].on_grid_of = "nothing".to_owned(),
            Fault::DescriptionChanges => {
                operation.version = self.calls.fetch_add(1, Ordering::SeqCst).to_string()
            }
            Fault::NoHelp => operation.help.clear(),
            _ => {}
        }
        Ok(reply)
    }

    async fn process(
        &self,
        request: Request<v1::ProcessRequest>,
    ) -> Result<Response<v1::ProcessResponse>, Status> {
        let deadline = request.metadata().get("grpc-timeout").cloned();
        let is_short = deadline.is_some_and(|text| text == "100000u" || text == "1000000n");
        if self.fault == Fault::IgnoresDeadline && is_short {
            std::thread::sleep(Duration::from_secs(3)); // also blocks whoever else would look at the clock
        }
        let watched = self.fault == Fault::WrongAfterCancel && !is_short;
        let mut watch = Watch(watched.then(|| self.was_left.clone()));
        let answer = self.answer(request.into_inner()).await;
        watch.0 = None;
        if self.fault == Fault::WrongAfterCancel && self.was_left.swap(false, Ordering::SeqCst) {
            return Err(Status::internal("the call before this one was cancelled"));
        }
        answer.map(Response::new)
    }
}

/// Serves a broken plugin from a thread whose runtime is gone once it dies; gives the address.
fn serve_broken(fault: Fault, honest: &str, root: std::path::PathBuf) -> String {
    let honest = Channel::from_shared(honest.to_owned()).unwrap();
    let (tell, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // One thread for everything, as in many a plugin.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let (die, mut dies) = tokio::sync::mpsc::unbounded_channel();
            let plugin = Broken {
                fault,
                honest: MaskServiceClient::new(honest.connect_lazy()).max_encoding_message_size(256 << 20),
                root,
                calls: AtomicU64::new(0),
                was_left: Arc::default(),
                last: Mutex::default(),
                die,
            };
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(format!("http://{}", listener.local_addr().unwrap()))
                .unwrap();
            let service = MaskServiceServer::new(plugin).max_encoding_message_size(256 << 20);
            let serving = Server::builder().add_service(service);
            tokio::select! {
                ended = serving.serve_with_incoming(TcpListenerStream::new(listener)) => ended.unwrap(),
                _ = dies.recv() => {}
            }
        });
        runtime.shutdown_background(); // connections and all
    });
    address.recv().unwrap()
}

#[track_caller]
fn check(fault: Fault, expected: &[&str]) {
    check_of(Arc::new(Identity::default()), fault, expected);
}

#[track_caller]
fn check_of(operation: Arc<dyn MaskOperation>, fault: Fault, expected: &[&str]) {
    let place = Place::new();
    let runtime = runtime();
    let honest = serve(&runtime, vec![operation], place.root());
    let endpoint = serve_broken(fault, &honest, place.root());
    let options = Options {
        deadline: Duration::from_secs(5),
        ..place.options()
    };
    let report = runtime.block_on(check_service(&endpoint, &options)).unwrap();
    let failed: Vec<&str> = report.failed().map(|row| row.case).collect();
    assert_eq!(failed, expected, "{fault:?}\n{report}");
    assert_eq!(report.passed(), expected.is_empty());
    let after_death =
        |row: &&Row| matches!(&row.verdict, Verdict::Skipped(reason) if reason.contains("is gone since"));
    let n_after_death = report.rows.iter().filter(after_death).count();
    assert_eq!(n_after_death > 0, fault == Fault::DiesOnEmpty, "{report}");
}

#[test]
fn the_honest_one_passes_behind_the_same_proxy() {
    check(Fault::None, &[]);
}

#[test]
fn a_wrong_description() {
    check(Fault::DescriptionContradictsItself, &["describes_itself"]);
    check(Fault::DescriptionChanges, &["describes_itself"]);
    check(Fault::NoHelp, &["describes_itself"]);
}

#[test]
fn replies_that_are_none() {
    check(Fault::Hangs, &["answers"]);
    check(Fault::Slow, &["answers"]);
    check(Fault::Garbage, &["answers"]);
    check(Fault::HugeReply, &["answers"]);
    check(Fault::NoOutputs, &["answers"]);
    check(Fault::DropsLabelNames, &["answers"]);
    check(Fault::OtherGeometry, &["keeps_geometry"]);
    check(Fault::OtherLabels, &["keeps_labels"]);
}

#[test]
fn masks_that_have_no_result() {
    check(Fault::RefusesEmpty, &["empty_mask"]);
    check(Fault::RefusesFull, &["full_mask"]);
    check(Fault::RefusesOneVoxel, &["one_voxel"]);
    check(Fault::RefusesHuge, &["huge_mask"]);
    check(Fault::IgnoresThickSlices, &["anisotropic_mask"]);
    check(Fault::ForgetsRotation, &["oblique_mask"]);
    check(Fault::RefusesIds(255), &["labels_255"]);
    check(Fault::RefusesIds(300), &["labels_300"]);
    check(Fault::LargeInline, &["large_mask"]);
}

#[test]
fn one_that_dies() {
    check(Fault::DiesOnEmpty, &["empty_mask", "stays_alive"]);
}

#[test]
fn results_that_are_not_the_same() {
    check(Fault::CountsCalls, &["repeatable"]);
    check(Fault::MixesUpCallers, &["concurrent_calls"]);
    check(Fault::WrongAfterCancel, &["cancel_kept"]);
}

#[test]
fn what_must_be_refused() {
    check(Fault::UnknownParameter, &["unknown_parameter_refused"]);
    check(Fault::WrongType, &["wrong_type_refused"]);
    check(Fault::OutOfRange, &["out_of_range_refused"]);
    check(Fault::UnknownInput, &["wrong_inputs_refused"]);
    check(Fault::UnknownOperation, &["unknown_operation_refused"]);
    check(Fault::CorruptMask, &["corrupt_mask_refused"]);
    check(Fault::CorruptFile, &["corrupt_file_refused"]);
    check(Fault::ArtefactsFolder, &["artefacts_in_folder"]);
    check_of(sample(), Fault::UnknownLabel, &["unknown_label_refused"]);
}

#[test]
fn refusals_that_tell_nothing() {
    check(Fault::NoMessage, &["refusals_are_told"]);
    check(Fault::MessageEndsInNewline, &["refusals_are_told"]);
    check(Fault::NoCode, &["refusals_are_told"]);
}

/// An operation with labels among its parameters, and with files.
fn sample() -> Arc<dyn MaskOperation> {
    Arc::new(nephrite_sample::Sample::new())
}

#[test]
fn files_elsewhere() {
    check(Fault::ForgetsTableOfFile, &["inline_and_path_agree"]);
    check(Fault::ReadsOutside, &["path_outside_root_refused"]);
    check(Fault::WritesOutside, &["path_outside_root_refused"]);
    check_of(sample(), Fault::OtherFiles, &["artefacts_in_folder"]);
}

#[test]
fn a_deadline_that_is_ignored() {
    check(Fault::IgnoresDeadline, &["deadline_kept"]);
}
