use std::io::IsTerminal as _;
use std::path::PathBuf;

use nephrite_image_core::serve::{LogFormat, ServeConfig, ServeError, run as serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::failure::Failure;

/// The services wait for sockets only; what takes time runs on threads of its own.
const ASYNC_THREADS: usize = 2;

pub(crate) fn run(config: PathBuf) -> Result<(), Failure> {
    let mut config = ServeConfig::read(&config)?;
    config.ort_dylib_path = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    log_to_stderr(config.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ASYNC_THREADS)
        .enable_all()
        .build()
        .map_err(ServeError::System)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new().map_err(ServeError::System)?;
        let listener = TcpListener::bind(config.listen).await;
        let address = listener
            .as_ref()
            .map_or(Ok(config.listen), TcpListener::local_addr);
        let listener = listener.and_then(|listener| address.map(|address| (listener, address)));
        let (listener, address) = listener.map_err(|source| ServeError::Listen {
            address: config.listen.to_string(),
            source,
        })?;
        super::print(&format!("listening on http://{address}\n"));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            signals.next().await;
            let _ = stop.send(());
            signals.next().await;
            std::process::exit(130); // asked twice: at once
        });
        serve(config, listener, async {
            let _ = stopped.await;
        })
        .await
    });
    runtime.shutdown_background(); // a tile that takes minutes does not hold the process
    Ok(outcome?)
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_env("NEPHRITE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
