//! Lines of a file or a pipe, borrowed from one buffer: nothing is allocated a line.

use std::io::{self, Read};

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;
/// The longest line; a longer one is refused rather than held.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Splits what it reads at line feeds.
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    /// The part of `buffer` that was not given out.
    from: usize,
    to: usize,
    ended: bool,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: vec![0; READ_BYTES], from: 0, to: 0, ended: false }
    }

    /// The next line without its line feed; a carriage return stays. The last line may lack the line feed.
    ///
    /// # Errors
    /// The input's; [`io::ErrorKind::InvalidData`] for a line beyond [`LINE_BYTES_MAX`].
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = self.from;
        loop {
            let fresh = self.buffer.get(searched..self.to).unwrap_or_default();
            if let Some(at) = memchr::memchr(b'\n', fresh) {
                let (from, end) = (self.from, searched + at);
                self.from = end + 1;
                return Ok(self.buffer.get(from..end));
            }
            let seen = self.to - self.from;
            if self.ended {
                let from = std::mem::replace(&mut self.from, self.to);
                return Ok(if seen == 0 { None } else { self.buffer.get(from..self.to) });
            }
            self.fill()?;
            searched = self.from + seen;
        }
    }

    /// Reads more, behind what is left.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.from..self.to, 0);
        self.to -= self.from;
        self.from = 0;
        if self.to > LINE_BYTES_MAX {
            let what = format!("a line is longer than {LINE_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        if self.to == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let room = self.buffer.get_mut(self.to..).unwrap_or_default();
        let read = loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ended = read == 0;
        self.to += read;
        Ok(())
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
