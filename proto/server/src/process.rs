//! The rest of a server's `main`.

use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::ServerError;

/// The services wait for sockets only; what takes time runs on threads of its own.
const ASYNC_THREADS: usize = 2;
/// Exit code of a process that was asked twice to stop.
const ASKED_TWICE: i32 = 130;

/// Listens on `address`, says where with `announce` (port 0 takes a free one), and serves with `serve` until SIGTERM or
/// SIGINT comes. A second signal ends the process at once: nothing is removed and no destructor runs, since threads of a
/// network may still work with what it would take away. What is left behind is swept at the next start.
///
/// `serve` gets the socket and a future that is ready when the server shall stop.
///
/// # Errors
/// [`ServerError::System`], [`ServerError::Listen`], and what `serve` says.
pub fn run_process<E, F>(
    address: SocketAddr,
    announce: impl FnOnce(SocketAddr),
    serve: impl FnOnce(TcpListener, Shutdown) -> F,
) -> Result<(), E>
where
    E: From<ServerError>,
    F: Future<Output = Result<(), E>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ASYNC_THREADS)
        .enable_all()
        .build()
        .map_err(ServerError::System)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new().map_err(ServerError::System)?;
        let listen = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        announce(listener.local_addr().map_err(listen)?);
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            signals.next().await;
            let _ = stop.send(());
            signals.next().await;
            signal_hook::low_level::exit(ASKED_TWICE);
        });
        serve(
            listener,
            Box::pin(async {
                let _ = stopped.await;
            }),
        )
        .await
    });
    runtime.shutdown_background(); // a step that takes minutes does not hold the process
    outcome
}

/// Ends the process of a server at once, without destructors of the process: a step that cannot be interrupted may still
/// run on a thread of its own when the drain is over. Standard output is written out first.
pub fn leave(code: u8) -> ! {
    let _ = std::io::stdout().flush(); // nobody need listen
    signal_hook::low_level::exit(code.into())
}

/// Ready when the process was asked to stop.
pub type Shutdown = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

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
