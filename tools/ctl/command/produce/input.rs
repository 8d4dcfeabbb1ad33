//! What produce reads. A pipe is read on a thread of its own: a read may wait for ever, and whoever stops the command shall not wait
//! with it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::lines::Blocks;
use crate::error::CtlError;

/// Blocks that are read ahead.
const BLOCKS_AHEAD: usize = 2;
/// How long an input that was told to stop is waited for: what is in its pipe comes at once, what somebody has yet to write
/// perhaps never.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// Where lines come from.
pub(super) struct Source {
    read: Box<dyn Read + Send>,
    /// 0 where nobody knows.
    pub(super) bytes: u64,
    kind: Kind,
}

/// What becomes of lines that were read and not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// They can be read again.
    File,
    /// They are lost.
    Pipe,
}

impl Source {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, CtlError> {
        if path.as_os_str() == "-" {
            return Ok(Self { read: Box::new(io::stdin()), bytes: 0, kind: Kind::Pipe });
        }
        let fault = |source| CtlError::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(fault)?;
        let facts = file.metadata().map_err(fault)?;
        let kind = if facts.is_file() { Kind::File } else { Kind::Pipe };
        Ok(Self { read: Box::new(file), bytes: facts.len(), kind })
    }
}

/// A source that is being read.
pub(super) struct Input {
    blocks: Reading,
    pub(super) kind: Kind,
}

/// Where the reading is done.
enum Reading {
    /// In place: a file keeps nobody waiting, and what it gives stays in this core's cache.
    Here(Blocks<Box<dyn Read + Send>>),
    /// On a thread of its own.
    Apart { blocks: mpsc::Receiver<io::Result<Vec<u8>>>, stopped: Arc<AtomicBool> },
}

impl Input {
    /// Begins to read.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(source: Source) -> Result<Self, CtlError> {
        let Source { read, kind, .. } = source;
        let blocks = match kind {
            Kind::File => Reading::Here(Blocks::new(read)),
            Kind::Pipe => apart(read)?,
        };
        Ok(Self { blocks, kind })
    }

    /// The next lines; `None` at the end. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        match &mut self.blocks {
            Reading::Here(blocks) => blocks.next().transpose(),
            Reading::Apart { blocks, .. } => blocks.recv().await,
        }
    }

    /// Reads no more. What was read of a pipe still comes.
    pub(super) fn stop(&self) {
        if let Reading::Apart { stopped, .. } = &self.blocks {
            stopped.store(true, Ordering::Release);
        }
    }

    /// As [`Input::next`] after [`Input::stop`].
    pub(super) async fn next_read(&mut self) -> Option<io::Result<Vec<u8>>> {
        let Reading::Apart { blocks, .. } = &mut self.blocks else { return None };
        tokio::time::timeout(LAST_WAIT, blocks.recv()).await.ok().flatten()
    }
}

/// Reads on a thread. Nobody waits for it: at the end it may be in the middle of a read.
fn apart(read: Box<dyn Read + Send>) -> Result<Reading, CtlError> {
    let (give, blocks) = mpsc::channel(BLOCKS_AHEAD);
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let thread = std::thread::Builder::new().name("kolk-input".to_owned());
    thread
        .spawn(move || {
            let mut input = Blocks::new(read);
            while !stop.load(Ordering::Acquire) {
                let Some(block) = input.next().transpose() else { return };
                let is_last = block.is_err();
                if give.blocking_send(block).is_err() || is_last {
                    return;
                }
            }
        })
        .map_err(|source| CtlError::Stream { what: "starting threads", source })?;
    Ok(Reading::Apart { blocks, stopped })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives lines for ever, and counts them.
    struct Endless(u64);

    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let line = format!("{}\n", self.0);
            self.0 += 1;
            let bytes = line.as_bytes();
            out[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        }
    }

    fn input(read: impl Read + Send + 'static) -> Input {
        Input::start(Source { read: Box::new(read), bytes: 0, kind: Kind::Pipe }).unwrap()
    }

    #[tokio::test]
    async fn an_input_that_is_stopped_gives_what_it_has_read_and_ends() {
        let mut input = input(Endless(0));
        let mut expected = 0;
        let mut check = |block: Option<io::Result<Vec<u8>>>| {
            let line = block.map(|block| String::from_utf8(block.unwrap()).unwrap());
            if let Some(line) = &line {
                assert_eq!(*line, format!("{expected}\n"));
                expected += 1;
            }
            line.is_some()
        };
        for _ in 0..10 {
            assert!(check(input.next().await));
        }
        input.stop();
        while check(input.next_read().await) {}
        assert!(input.next().await.is_none());
        assert!((10..20).contains(&expected), "{expected}");
    }

    #[tokio::test]
    async fn an_input_whose_writer_is_silent_is_not_waited_for() {
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"one\ntw").unwrap();
        let mut input = input(reader);
        assert_eq!(input.next().await.unwrap().unwrap(), b"one\n");
        input.stop();
        assert!(input.next_read().await.is_none());
        drop(writer);
    }

    #[tokio::test]
    async fn an_input_that_breaks_says_so_and_ends() {
        let mut input = input(Broken);
        assert_eq!(input.next().await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(input.next().await.is_none());
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _out: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}
