//! The signals that ask a command to end. Apart because commands that have something to finish do it alike.

use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::error::CtlError;

/// Takes the signals from now on: none of them ends the process by itself any more.
#[derive(Debug)]
pub(crate) struct Stop {
    by_hand: Signal,
    term: Signal,
    asked: watch::Sender<bool>,
}

impl Stop {
    /// Begins to listen. Must be called within a runtime.
    pub(crate) fn listen() -> Result<Self, CtlError> {
        let broken = |source| CtlError::Stream { what: "signals", source };
        let by_hand = signal(SignalKind::interrupt()).map_err(broken)?;
        let term = signal(SignalKind::terminate()).map_err(broken)?;
        let (asked, _) = watch::channel(false);
        Ok(Self { by_hand, term, asked })
    }

    /// Waits until somebody stops the command: by hand, or as `timeout`, systemd and containers do. May be dropped and called
    /// again.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.by_hand.recv() => {}
            _ = self.term.recv() => {}
        }
    }

    /// For the work that [`Stop::around`] is given: whether it was asked to end.
    pub(crate) fn asking(&self) -> Asking {
        Asking(self.asked.subscribe())
    }

    /// Does a work to its end. The first signal asks it to end, and `first` is called; the second drops it, and there is no outcome.
    pub(crate) async fn around<W: Future>(
        mut self,
        first: impl Fn(),
        work: W,
    ) -> Option<W::Output> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.asked() => {
                    if self.asked.send_replace(true) {
                        return None;
                    }
                    first();
                }
                outcome = &mut work => return Some(outcome),
            }
        }
    }
}

/// Whether a work was asked to end.
#[derive(Debug)]
pub(crate) struct Asking(watch::Receiver<bool>);

impl Asking {
    /// Waits until it is. May be dropped and called again.
    pub(crate) async fn asked(&mut self) {
        if self.0.wait_for(|asked| *asked).await.is_err() {
            // Nobody is there to ask any more.
            std::future::pending::<()>().await;
        }
    }

    /// Whether it is by now.
    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }
}
