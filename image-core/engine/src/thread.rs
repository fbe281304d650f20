//! One thread owns each engine, so that tiles come from any thread and sessions are never shared.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nephrite_types::CancelToken;

use crate::{EngineError, InferenceEngine, Interrupt, TileShape};

/// How often one who waits for a tile looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(20);

/// The thread that owns an engine. Dropping it ends the thread after the tile that is running.
#[derive(Debug)]
pub struct EngineThread {
    handle: EngineHandle,
    /// `Some` until dropped; joined so that no tile runs after the model is gone.
    join: Option<JoinHandle<()>>,
}

/// Sends tiles to an engine. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    orders: mpsc::SyncSender<Order>,
    shape: TileShape,
    provider: String,
    current: Arc<Current>,
}

/// The tile that an engine runs now, so that a caller stops its own tile and no other.
struct Current {
    /// `None` between tiles.
    number: Mutex<Option<u64>>,
    interrupt: Option<Arc<dyn Interrupt>>,
    n_tiles: AtomicU64,
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Current {
    fn begin(&self, tile: u64) {
        *self.number.lock().unwrap_or_else(PoisonError::into_inner) = Some(tile);
    }

    fn end(&self) {
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        *number = None;
        if let Some(interrupt) = &self.interrupt {
            interrupt.resume();
        }
    }

    /// Stops a tile if it runs now.
    fn stop(&self, tile: u64) {
        let number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        if *number == Some(tile)
            && let Some(interrupt) = &self.interrupt
        {
            interrupt.stop();
        }
    }
}

/// A tile on its way through the engine.
#[derive(Debug)]
pub struct PendingTile {
    reply: mpsc::Receiver<TileReply>,
    number: u64,
    current: Arc<Current>,
}

/// Input and output buffers travel with the tile and come back, so that a loop allocates them once.
type TileReply = Result<(Vec<f32>, Vec<f32>), EngineError>;

/// What the thread is to do next.
enum Order {
    Tile {
        input: Vec<f32>,
        output: Vec<f32>,
        number: u64,
        /// A caller that went away listens no longer.
        reply: mpsc::SyncSender<TileReply>,
    },
    Rest,
    End,
}

impl EngineThread {
    /// Builds an engine on a new thread of its own and keeps it there.
    ///
    /// `queue` tiles may wait; a further [`EngineHandle::submit`] blocks.
    ///
    /// # Errors
    /// What `build` returns; [`EngineError::Stopped`] if it panics or no thread can be had.
    pub fn spawn<F>(name: &str, queue: usize, build: F) -> Result<Self, EngineError>
    where
        F: FnOnce() -> Result<Box<dyn InferenceEngine>, EngineError> + Send + 'static,
    {
        let (orders, inbox) = mpsc::sync_channel(queue.max(1));
        let (ready, is_ready) = mpsc::sync_channel(1);
        let join = std::thread::Builder::new()
            .name(name.chars().take(15).collect())
            .spawn(move || {
                let mut engine = match build() {
                    Ok(engine) => engine,
                    Err(error) => {
                        let _ = ready.send(Err(error)); // the spawner waits for exactly one message
                        return;
                    }
                };
                let current = Arc::new(Current {
                    number: Mutex::default(),
                    interrupt: engine.interrupt(),
                    n_tiles: AtomicU64::new(0),
                });
                let what = (engine.tile_shape().clone(), engine.provider().to_owned());
                let _ = ready.send(Ok((what, current.clone())));
                drop(ready);
                while let Ok(order) = inbox.recv() {
                    let (input, mut output, number, reply) = match order {
                        Order::Tile {
                            input,
                            output,
                            number,
                            reply,
                        } => (input, output, number, reply),
                        Order::Rest => {
                            engine.rest();
                            continue;
                        }
                        Order::End => break,
                    };
                    output.resize(engine.tile_shape().output_len(), 0.0);
                    current.begin(number);
                    let result = engine.run(&input, &mut output).map(|()| (input, output));
                    current.end();
                    let _ = reply.send(result); // a caller that went away does not want it
                }
            })
            .map_err(|_| EngineError::Stopped)?;
        let ((shape, provider), current) = is_ready.recv().unwrap_or(Err(EngineError::Stopped))?;
        Ok(EngineThread {
            handle: EngineHandle {
                orders,
                shape,
                provider,
                current,
            },
            join: Some(join),
        })
    }

    /// A way to send tiles.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }
}

impl Drop for EngineThread {
    fn drop(&mut self) {
        let _ = self.handle.orders.send(Order::End); // fails only if the thread has ended already
        if let Some(join) = self.join.take() {
            let _ = join.join(); // a panic was reported by the hook; callers see `Stopped`
        }
    }
}

impl EngineHandle {
    /// The shapes of the network.
    pub fn tile_shape(&self) -> &TileShape {
        &self.shape
    }

    /// What runs the network.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Sends one tile, `[channel, patch…]`; `output` is a buffer to reuse (any length). Blocks while the queue is
    /// full.
    ///
    /// # Errors
    /// [`EngineError::WrongLength`]; [`EngineError::Stopped`] if the engine is gone.
    pub fn submit(&self, input: Vec<f32>, output: Vec<f32>) -> Result<PendingTile, EngineError> {
        let expected = self.shape.input_len();
        if input.len() != expected {
            return Err(EngineError::WrongLength {
                what: "input tile",
                expected,
                found: input.len(),
            });
        }
        let (reply, receiver) = mpsc::sync_channel(1);
        let number = self.current.n_tiles.fetch_add(1, Ordering::Relaxed);
        self.orders
            .send(Order::Tile {
                input,
                output,
                number,
                reply,
            })
            .map_err(|_| EngineError::Stopped)?;
        Ok(PendingTile {
            reply: receiver,
            number,
            current: self.current.clone(),
        })
    }

    /// Has the engine give back the memory that only runs need, after the tiles that wait; the next tile takes it again.
    pub fn rest(&self) {
        let _ = self.orders.send(Order::Rest); // an engine that is gone holds nothing
    }
}

impl PendingTile {
    /// Waits for the logits, `[class, patch…]`; gives back the input buffer too: `(input, output)`. A tile that is not wanted
    /// any more is stopped within one layer of the network, where the engine can do that, and waited for.
    ///
    /// # Errors
    /// What the engine returned; [`EngineError::Cancelled`]; [`EngineError::Stopped`] if the engine is gone.
    pub fn wait(self, cancel: &CancelToken) -> Result<(Vec<f32>, Vec<f32>), EngineError> {
        loop {
            match self.reply.recv_timeout(POLL) {
                Ok(reply) => {
                    cancel.check()?;
                    return reply;
                }
                Err(RecvTimeoutError::Disconnected) => return Err(EngineError::Stopped),
                Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => self.current.stop(self.number),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeEngine;

    fn shape() -> TileShape {
        TileShape {
            n_channels: 1,
            n_classes: 2,
            patch: vec![2, 2, 2],
        }
    }

    #[test]
    fn tiles_come_back_in_order_with_their_buffers() {
        let thread = EngineThread::spawn("t", 4, || {
            Ok(Box::new(FakeEngine::pointwise(shape(), |x, c| x[0] + c as f32)))
        })
        .unwrap();
        let handle = thread.handle();
        let pending: Vec<_> = (0..4)
            .map(|i| handle.submit(vec![i as f32; 8], Vec::new()).unwrap())
            .collect();
        for (i, pending) in pending.into_iter().enumerate() {
            let (input, output) = pending.wait(&CancelToken::new()).unwrap();
            assert_eq!(input, vec![i as f32; 8]);
            assert_eq!(output[..8], vec![i as f32; 8]);
            assert_eq!(output[8..], vec![i as f32 + 1.0; 8]);
        }
    }

    #[test]
    fn an_engine_rests_after_the_tiles_that_wait_and_runs_again() {
        let engine = FakeEngine::pointwise(shape(), |x, _| x[0]);
        let n_rests = engine.n_rests();
        let thread = EngineThread::spawn("t", 4, || Ok(Box::new(engine))).unwrap();
        let handle = thread.handle();
        let run = || handle.submit(vec![1.0; 8], Vec::new()).unwrap();
        let waiting = run();
        handle.rest();
        waiting.wait(&CancelToken::new()).unwrap();
        assert_eq!(run().wait(&CancelToken::new()).unwrap().1, vec![1.0; 16]);
        assert_eq!(n_rests.load(Ordering::SeqCst), 1);
        drop(thread);
        handle.rest(); // nobody is there
    }

    #[test]
    fn a_wrong_length_is_refused_and_a_panicking_engine_is_reported() {
        let thread = EngineThread::spawn("t", 1, || {
            Ok(Box::new(FakeEngine::pointwise(shape(), |_, _| panic!("script"))))
        })
        .unwrap();
        let handle = thread.handle();
        assert!(matches!(
            handle.submit(vec![0.0; 7], Vec::new()),
            Err(EngineError::WrongLength { .. })
        ));
        let outcome = handle
            .submit(vec![0.0; 8], Vec::new())
            .and_then(|tile| tile.wait(&CancelToken::new()));
        assert!(matches!(outcome, Err(EngineError::Stopped)));
        assert!(matches!(
            handle
                .submit(vec![0.0; 8], Vec::new())
                .and_then(|tile| tile.wait(&CancelToken::new())),
            Err(EngineError::Stopped)
        ));
    }

    #[test]
    fn dropping_the_thread_stops_it() {
        let thread = EngineThread::spawn("t", 1, || {
            Ok(Box::new(FakeEngine::pointwise(shape(), |x, _| x[0])))
        })
        .unwrap();
        let handle = thread.handle();
        drop(thread);
        assert!(
            handle
                .submit(vec![0.0; 8], Vec::new())
                .and_then(|tile| tile.wait(&CancelToken::new()))
                .is_err()
        );
    }

    /// Runs until it is told to stop.
    struct Endless(Arc<Told>);

    #[derive(Default)]
    struct Told(std::sync::atomic::AtomicBool);

    impl Interrupt for Told {
        fn stop(&self) {
            self.0.store(true, Ordering::SeqCst);
        }

        fn resume(&self) {
            self.0.store(false, Ordering::SeqCst);
        }
    }

    impl InferenceEngine for Endless {
        fn tile_shape(&self) -> &TileShape {
            static SHAPE: std::sync::OnceLock<TileShape> = std::sync::OnceLock::new();
            SHAPE.get_or_init(shape)
        }

        fn provider(&self) -> &str {
            "fake"
        }

        fn run(&mut self, input: &[f32], _: &mut [f32]) -> Result<(), EngineError> {
            while input[0] < 0.0 && !self.0.0.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            match self.0.0.load(Ordering::SeqCst) {
                true => Err(EngineError::Run {
                    reason: "told to stop".to_owned(),
                }),
                false => Ok(()),
            }
        }

        fn interrupt(&self) -> Option<Arc<dyn Interrupt>> {
            Some(self.0.clone())
        }
    }

    #[test]
    fn a_tile_that_nobody_wants_is_stopped_and_the_next_one_runs() {
        let thread = EngineThread::spawn("t", 2, || Ok(Box::new(Endless(Arc::default())))).unwrap();
        let handle = thread.handle();
        let endless = handle.submit(vec![-1.0; 8], Vec::new()).unwrap();
        let next = handle.submit(vec![1.0; 8], Vec::new()).unwrap();
        let (unwanted, wanted) = (CancelToken::new(), CancelToken::new());
        unwanted.cancel();
        let stopped = endless.wait(&unwanted);
        assert!(matches!(stopped, Err(EngineError::Cancelled(_))), "{stopped:?}");
        assert!(next.wait(&wanted).is_ok());
        // One that waits behind another is not what is stopped.
        let done = handle.submit(vec![1.0; 8], Vec::new()).unwrap();
        let waiting = handle.submit(vec![-1.0; 8], Vec::new()).unwrap();
        assert!(done.wait(&wanted).is_ok());
        assert!(waiting.wait(&unwanted).is_err());
    }

    #[test]
    fn a_failing_build_is_reported() {
        let failed = EngineThread::spawn("t", 1, || Err(EngineError::Load { reason: "no".into() }));
        assert!(matches!(failed, Err(EngineError::Load { .. })));
    }
}
