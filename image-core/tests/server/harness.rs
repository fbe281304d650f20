//! A server on port 0 over a temporary root with tiny models and scans.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ndarray::Array3;
use nephrite_image_core::server::{self, ServeConfig, ServeError};
use nephrite_proto::Client;
use nephrite_proto::v1::{RunRequest, SegmentationOptions};
use nephrite_types::{Affine, Geometry, IntensityScale, Shape3, Spacing, Volume, Voxels};
use nephrite_volume::{SourceGeometry, write_volume};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// One channel, patch 16 × 20 × 16, folds 0, 1 and all; random weights.
pub(crate) const MODEL: &str = "models/Dataset901_Iso/nnUNetTrainer__nnUNetPlans__3d_fullres";
/// Two channels.
pub(crate) const TWO_CHANNELS: &str = "models/Dataset903_TwoChannel/nnUNetTrainer__nnUNetPlans__3d_fullres";
/// 30 × 22 × 37 voxels; a run takes a moment.
pub(crate) const SMALL_SCAN: &str = "scans/small.nii.gz";
/// Enough tiles, at a small step, that a run takes minutes.
pub(crate) const LARGE_SCAN: &str = "scans/large.nii.gz";

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running server.
pub(crate) struct TestServer {
    pub(crate) root: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    ended: Option<JoinHandle<Result<(), ServeError>>>,
}

/// A root with models and scans.
pub(crate) fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let golden = project().join("tests/golden");
    for model in [MODEL, TWO_CHANNELS] {
        copy_folder(&golden.join(model), &root.path().join(model));
    }
    for folder in ["scans", "results"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    let small = golden.join("cases/iso3d/input_0000.nii.gz");
    fs::copy(small, root.path().join(SMALL_SCAN)).unwrap();
    write_large_scan(&root.path().join("scans"), "large.nii.gz");
    root
}

pub(crate) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn write_large_scan(folder: &Path, name: &str) {
    write_scan(folder, name, [96, 96, 96], [1.7, 1.6, 1.4]);
}

/// A scan of this shape and spacing in mm, `[z, y, x]`, no voxel of it zero for long.
pub(crate) fn write_scan(folder: &Path, name: &str, shape: [usize; 3], spacing: [f64; 3]) {
    let spacing = Spacing::new(spacing).unwrap();
    let voxels = Array3::from_shape_fn(shape, |(z, y, x)| {
        ((z * 7 + y * 13 + x * 29) % 251) as i16 * 4 - 300
    });
    let geometry = Geometry {
        shape: Shape3::new(shape).unwrap(),
        spacing,
        affine: Affine::from_spacing(spacing, [0.0; 3]),
    };
    let volume = Volume {
        voxels: Voxels::I16(voxels),
        scale: IntensityScale::IDENTITY,
        geometry,
    };
    let dir = Dir::open_ambient_dir(folder, ambient_authority()).unwrap();
    write_volume(&dir, name, &volume, &SourceGeometry::from_geometry(&geometry)).unwrap();
}

impl TestServer {
    /// Starts a server and waits until it serves.
    pub(crate) async fn start(change: impl FnOnce(&mut ServeConfig)) -> TestServer {
        let server = TestServer::launch(root(), change).await;
        server.wait_until_serving().await;
        server
    }

    /// Starts a server and does not wait.
    pub(crate) async fn launch(root: TempDir, change: impl FnOnce(&mut ServeConfig)) -> TestServer {
        capture_log();
        let mut config = ServeConfig::new(root.path().to_owned());
        config.ort_dylib_path = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
        config.threads = std::num::NonZeroUsize::new(1);
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = tokio::spawn(server::run(config, listener, async {
            let _ = stopped.await;
        }));
        TestServer {
            client: Client::connect(&format!("http://{address}")).await.unwrap(),
            root,
            address,
            stop: Some(stop),
            ended: Some(ended),
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) async fn channel(&self) -> Channel {
        let uri = format!("http://{}", self.address);
        Channel::from_shared(uri).unwrap().connect().await.unwrap()
    }

    async fn wait_until_serving(&self) {
        let mut health = HealthClient::new(self.channel().await);
        let started = Instant::now();
        loop {
            let answer = health.check(HealthCheckRequest::default()).await.unwrap();
            if answer.into_inner().status() == ServingStatus::Serving {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "the server does not become ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks the server to stop.
    pub(crate) fn ask_to_stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> Result<(), ServeError> {
        let ended = self.ended.take().unwrap();
        tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap()
    }

    /// Makes a mask of the small scan, as proof that the server still serves.
    pub(crate) async fn serves(&self) {
        let done = self
            .client
            .run(small_run("results/proof.nii.gz"))
            .await
            .unwrap()
            .done();
        let done = tokio::time::timeout(PATIENCE, done).await.unwrap().unwrap();
        assert_eq!(done.mask, "results/proof.nii.gz");
        fs::remove_file(self.path("results/proof.nii.gz")).unwrap();
    }

    /// Names of files in `results`; temporary ones too.
    pub(crate) fn results(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("results")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

/// A run that takes a moment.
pub(crate) fn small_run(output: &str) -> RunRequest {
    RunRequest {
        model: MODEL.to_owned(),
        folds: vec!["0".to_owned()],
        input: vec![SMALL_SCAN.to_owned()],
        output: output.to_owned(),
        options: Some(SegmentationOptions {
            mirroring: Some(false),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A run that takes minutes, in tiles of milliseconds.
pub(crate) fn long_run(output: &str) -> RunRequest {
    RunRequest {
        input: vec![LARGE_SCAN.to_owned()],
        options: Some(SegmentationOptions {
            tile_step_size: Some(0.1),
            ..Default::default()
        }),
        ..small_run(output)
    }
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log of all servers of this process, as JSON, down to `info`.
fn capture_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
            .with_writer(|| LogWriter)
            .init();
    });
}

/// Everything logged so far.
pub(crate) fn log_text() -> String {
    String::from_utf8(LOG.lock().unwrap().clone()).unwrap()
}

/// Waits for the line that says how a run ended.
pub(crate) async fn log_of(request_id: &str, message: &str) -> Value {
    let started = Instant::now();
    loop {
        for line in log_text().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if line["request_id"] == request_id && line["message"] == message {
                return line;
            }
        }
        assert!(
            started.elapsed() < PATIENCE,
            "no line {message:?} of {request_id}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
