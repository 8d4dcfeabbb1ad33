//! Two threads of an executor for calls that block and that no ring does better.
//!
//! Names are made, changed and listed here: the kernel gives such operations of a ring to a worker
//! thread as well, and older kernels have none of them. Removals have a thread of their own, since
//! freeing a large file's blocks takes long and nothing else should wait for it.
#![allow(clippy::disallowed_methods, reason = "the threads and the file calls of this crate")]

use std::cell::OnceCell;
use std::future::Future;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::channel;
use crate::error::IoError;

type Job = Box<dyn FnOnce() + Send>;

/// Started with their first job, ended with the executor.
#[derive(Default)]
pub(in crate::uring) struct Workers {
    names: OnceCell<Sender<Job>>,
    removals: OnceCell<Sender<Job>>,
}

/// Which thread a job is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::uring) enum Lane {
    Names,
    Removals,
}

impl Workers {
    /// Starts a job; it runs to its end even if the future is dropped.
    pub(in crate::uring) fn run<T, J>(
        &self,
        lane: Lane,
        job: J,
    ) -> impl Future<Output = Result<T, IoError>> + use<T, J>
    where
        T: Send + 'static,
        J: FnOnce() -> Result<T, IoError> + Send + 'static,
    {
        let (done, result) = channel::pair(1);
        let job: Job = Box::new(move || {
            // Nobody may be waiting any more.
            let _unheard = done.try_send(job()).is_err();
        });
        let (thread, name) = match lane {
            Lane::Names => (&self.names, "kolk-names"),
            Lane::Removals => (&self.removals, "kolk-removals"),
        };
        let sent = thread.get_or_init(|| start(name)).send(job);
        if let Err(job) = sent {
            // The kernel has no thread for us: the executor blocks, but the broker works.
            (job.0)();
        }
        async move { result.recv().await.unwrap_or(Err(IoError::ExecutorGone)) }
    }
}

fn start(name: &str) -> Sender<Job> {
    let (jobs, queue) = channel();
    let thread = std::thread::Builder::new().name(name.to_owned());
    if let Err(error) = thread.spawn(move || work(&queue)) {
        tracing::warn!(%error, name, "no thread for blocking calls");
    }
    jobs
}

fn work(queue: &Receiver<Job>) {
    for job in queue {
        job();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::block_on;

    #[test]
    fn removals_do_not_keep_names_waiting() {
        let workers = Workers::default();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let removal = workers.run(Lane::Removals, move || {
            held.recv().unwrap_or(());
            Ok(1)
        });
        assert_eq!(block_on(workers.run(Lane::Names, || Ok(2))), Ok(2));
        drop(release);
        assert_eq!(block_on(removal), Ok(1));
    }

    #[test]
    fn a_job_whose_future_is_dropped_is_still_done() {
        let workers = Workers::default();
        let (done, seen) = std::sync::mpsc::channel();
        drop(workers.run(Lane::Names, move || {
            done.send(()).unwrap_or(());
            Ok(())
        }));
        seen.recv().unwrap();
    }
}
