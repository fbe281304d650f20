//! One thread owns each engine, so that tiles come from any thread and sessions are never shared.

use std::sync::mpsc;
use std::thread::JoinHandle;

use crate::{EngineError, InferenceEngine, TileShape};

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
    jobs: mpsc::SyncSender<Job>,
    shape: TileShape,
    provider: String,
}

/// A tile on its way through the engine.
#[derive(Debug)]
pub struct PendingTile {
    reply: mpsc::Receiver<TileReply>,
}

/// Input and output buffers travel with the tile and come back, so that a loop allocates them once.
type TileReply = Result<(Vec<f32>, Vec<f32>), EngineError>;

struct Job {
    /// `None` asks the thread to end.
    tile: Option<(Vec<f32>, Vec<f32>)>,
    /// Dropped by a caller that went away; the tile is skipped then only if it has not begun.
    reply: mpsc::SyncSender<TileReply>,
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
        let (jobs, inbox) = mpsc::sync_channel::<Job>(queue.max(1));
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
                let _ = ready.send(Ok((engine.tile_shape().clone(), engine.provider().to_owned())));
                drop(ready);
                while let Ok(Job { tile, reply }) = inbox.recv() {
                    let Some((input, mut output)) = tile else { break };
                    output.resize(engine.tile_shape().output_len(), 0.0);
                    let result = engine.run(&input, &mut output).map(|()| (input, output));
                    let _ = reply.send(result); // a caller that went away does not want it
                }
            })
            .map_err(|_| EngineError::Stopped)?;
        let (shape, provider) = is_ready.recv().unwrap_or(Err(EngineError::Stopped))?;
        Ok(EngineThread {
            handle: EngineHandle {
                jobs,
                shape,
                provider,
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
        let (reply, _) = mpsc::sync_channel(1);
        let _ = self.handle.jobs.send(Job { tile: None, reply }); // fails only if the thread has ended already
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
        self.jobs
            .send(Job {
                tile: Some((input, output)),
                reply,
            })
            .map_err(|_| EngineError::Stopped)?;
        Ok(PendingTile { reply: receiver })
    }
}

impl PendingTile {
    /// Waits for the logits, `[class, patch…]`; gives back the input buffer too: `(input, output)`.
    ///
    /// # Errors
    /// What the engine returned; [`EngineError::Stopped`] if it is gone.
    pub fn wait(self) -> Result<(Vec<f32>, Vec<f32>), EngineError> {
        self.reply.recv().unwrap_or(Err(EngineError::Stopped))
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
            let (input, output) = pending.wait().unwrap();
            assert_eq!(input, vec![i as f32; 8]);
            assert_eq!(output[..8], vec![i as f32; 8]);
            assert_eq!(output[8..], vec![i as f32 + 1.0; 8]);
        }
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
            .and_then(PendingTile::wait);
        assert!(matches!(outcome, Err(EngineError::Stopped)));
        assert!(matches!(
            handle
                .submit(vec![0.0; 8], Vec::new())
                .and_then(PendingTile::wait),
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
                .and_then(PendingTile::wait)
                .is_err()
        );
    }

    #[test]
    fn a_failing_build_is_reported() {
        let failed = EngineThread::spawn("t", 1, || Err(EngineError::Load { reason: "no".into() }));
        assert!(matches!(failed, Err(EngineError::Load { .. })));
    }
}
