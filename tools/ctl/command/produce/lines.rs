//! Lines of a file or a pipe: whole lines come in blocks, a line is borrowed from its block. Nothing is allocated a line.

use std::io::{self, Read};

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;
/// The longest line; a longer one is refused rather than held.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Cuts what it reads into blocks of whole lines.
pub(super) struct Blocks<R> {
    input: R,
    buffer: Vec<u8>,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: vec![0; READ_BYTES], rest: Vec::new(), ended: false }
    }

    /// All lines that were read whole, with their line feeds, at least one. The last of all may lack it.
    ///
    /// # Errors
    /// The input's; [`io::ErrorKind::InvalidData`] for a line beyond [`LINE_BYTES_MAX`].
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while !self.ended {
            let read = match self.input.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            self.ended = read == 0;
            let fresh = self.buffer.get(..read).unwrap_or_default();
            let end = memchr::memrchr(b'\n', fresh).map_or(0, |at| at + 1);
            let (whole, rest) = fresh.split_at(end);
            if whole.is_empty() {
                self.rest.extend_from_slice(rest);
                check_length(self.rest.len())?;
                continue;
            }
            let mut block = std::mem::replace(&mut self.rest, rest.to_vec());
            block.extend_from_slice(whole);
            return Ok(Some(block));
        }
        let last = std::mem::take(&mut self.rest);
        Ok((!last.is_empty()).then_some(last))
    }
}

fn check_length(bytes: usize) -> io::Result<()> {
    if bytes <= LINE_BYTES_MAX {
        return Ok(());
    }
    let what = format!("a line is longer than {LINE_BYTES_MAX} bytes");
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

/// The first line of a block without its line feed, and what is behind it; a carriage return stays. `None` if nothing is left.
pub(super) fn split_line(block: &[u8]) -> Option<(&[u8], &[u8])> {
    if block.is_empty() {
        return None;
    }
    let end = memchr::memchr(b'\n', block).unwrap_or(block.len());
    let (line, rest) = block.split_at(end);
    Some((line, rest.get(1..).unwrap_or_default()))
}

/// Line by line, for who may wait for the input.
pub(crate) struct Lines<R> {
    blocks: Blocks<R>,
    block: Vec<u8>,
    /// Where the next line of the block begins.
    from: usize,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { blocks: Blocks::new(input), block: Vec::new(), from: 0 }
    }

    /// The next line without its line feed; a carriage return stays. The last line may lack the line feed.
    ///
    /// # Errors
    /// As [`Blocks::next`].
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.from >= self.block.len() {
            let Some(block) = self.blocks.next()? else { return Ok(None) };
            (self.block, self.from) = (block, 0);
        }
        let left = self.block.get(self.from..).unwrap_or_default();
        let Some((line, _)) = split_line(left) else { return Ok(None) };
        self.from += line.len() + 1;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes a call, as a pipe does.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(out.len());
            let (now, rest) = self.0.split_at(count);
            out[..count].copy_from_slice(now);
            self.0 = rest;
            Ok(count)
        }
    }

    fn split(bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(Drip(bytes, step));
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(line.to_vec());
        }
        found
    }

    #[test]
    fn lines_keep_their_bytes() {
        for step in [1, 3, 1000] {
            assert_eq!(split(b"a\n\r\n\n\xff\0b", step), [&b"a"[..], b"\r", b"", b"\xff\0b"]);
            assert_eq!(split(b"a\n", step), [b"a"]);
            assert_eq!(split(b"", step), Vec::<Vec<u8>>::new());
        }
    }

    #[test]
    fn a_line_may_be_longer_than_a_read() {
        let long = vec![b'x'; READ_BYTES * 3 + 5];
        let both = [long.as_slice(), b"\n", b"short"].concat();
        assert_eq!(split(&both, READ_BYTES), [long, b"short".to_vec()]);
    }

    #[test]
    fn a_line_without_an_end_is_refused_when_it_is_too_long() {
        let mut blocks = Blocks::new(io::repeat(b'x'));
        let refused = blocks.next().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_block_holds_what_was_read_whole() {
        let mut blocks = Blocks::new(Drip(b"one\ntwo\nthr", 6));
        let mut next = || blocks.next().unwrap().map(|block| String::from_utf8(block).unwrap());
        let found = [next(), next(), next(), next()];
        assert_eq!(found.map(Option::unwrap_or_default), ["one\n", "two\n", "thr", ""]);
    }

    proptest! {
        // A file of failures would lie among the sources; the failure itself prints its input.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn joined_again_they_are_the_input(bytes: Vec<u8>, step in 1_usize..50) {
            let mut joined = split(&bytes, step).join(&b'\n');
            if bytes.ends_with(b"\n") {
                joined.push(b'\n');
            }
            prop_assert_eq!(joined, bytes);
        }
    }
}
