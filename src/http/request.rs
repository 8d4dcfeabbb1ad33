//! The head of an HTTP/1.x request, parsed from bytes: as much of RFC 9112 as a scrape and a health probe
//! need. Pure, so that it can be fuzzed.

use thiserror::Error;

/// Longest request head (request line and fields) accepted, in bytes.
pub const HEAD_BYTES_MAX: usize = 8 << 10;

/// Most fields a head may have.
const FIELDS_MAX: usize = 64;

/// Longest request target, in bytes.
const TARGET_BYTES_MAX: usize = 1 << 10;

/// Most empty lines skipped before a request line (RFC 9112 §2.2 asks for at least one).
const EMPTY_LINES_MAX: usize = 4;

/// A request that may be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// What is to be done.
    pub method: Method,
    /// The target's path, query removed; begins with `/`.
    pub path: String,
    /// Whether the connection may be used for another request.
    pub keep_alive: bool,
}

/// The methods answered: both read only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The resource, whole.
    Get,
    /// As GET, without the body.
    Head,
}

/// Why a request gets an error reply and its connection is closed. All are the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HttpRefusal {
    /// The head does not follow the grammar.
    #[error("malformed request head")]
    Malformed,
    /// The head is longer than [`HEAD_BYTES_MAX`] or has too many fields.
    #[error("request head too large")]
    HeadTooLarge,
    /// The target is longer than 1 KiB.
    #[error("request target too long")]
    TargetTooLong,
    /// The method is neither GET nor HEAD.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// The request has a body; none of our resources takes one.
    #[error("request has a body")]
    BodyRefused,
    /// The version is not HTTP/1.0 or HTTP/1.1.
    #[error("version not supported")]
    VersionNotSupported,
}

impl HttpRefusal {
    /// The status code and reason phrase of the reply.
    #[must_use]
    pub const fn status(self) -> (u16, &'static str) {
        match self {
            Self::Malformed => (400, "Bad Request"),
            Self::HeadTooLarge => (431, "Request Header Fields Too Large"),
            Self::TargetTooLong => (414, "URI Too Long"),
            Self::MethodNotAllowed => (405, "Method Not Allowed"),
            Self::BodyRefused => (413, "Content Too Large"),
            Self::VersionNotSupported => (505, "HTTP Version Not Supported"),
        }
    }
}

/// Parses the request at the start of `bytes`. `Ok(None)`: the head is not complete yet. Otherwise the
/// request and the bytes it took.
///
/// # Errors
/// A [`HttpRefusal`] as soon as it is certain, also before the head is complete. Whatever follows on the
/// connection can't be trusted then.
pub fn parse(bytes: &[u8]) -> Result<Option<(HttpRequest, usize)>, HttpRefusal> {
    let mut lines = Lines { rest: bytes, taken: 0 };
    let mut empty_lines = 0;
    let request_line = loop {
        match lines.next_line()? {
            None => return incomplete(bytes, lines.rest),
            Some([]) if empty_lines < EMPTY_LINES_MAX => empty_lines += 1,
            Some([]) => return Err(HttpRefusal::Malformed),
            Some(line) => break line,
        }
    };
    let (method, path, version) = parse_request_line(request_line)?;
    let mut fields = Fields::default();
    for _ in 0..=FIELDS_MAX {
        match lines.next_line()? {
            None => return incomplete(bytes, &[]),
            Some([]) => {
                let keep_alive = fields.finish(version)?;
                return Ok(Some((HttpRequest { method, path, keep_alive }, lines.taken)));
            }
            Some(line) => fields.take(line)?,
        }
    }
    Err(HttpRefusal::HeadTooLarge)
}

/// An unfinished head: wait for more, unless it is too long already or its first bytes can't become a
/// request (a native client or TLS on the HTTP port is told at once).
fn incomplete(
    bytes: &[u8],
    first_line: &[u8],
) -> Result<Option<(HttpRequest, usize)>, HttpRefusal> {
    if bytes.len() >= HEAD_BYTES_MAX {
        return Err(HttpRefusal::HeadTooLarge);
    }
    if first_line.iter().any(|byte| !is_text(*byte) && *byte != b'\r') {
        return Err(HttpRefusal::Malformed);
    }
    Ok(None)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// Cuts lines off the head, without their CRLF (a bare LF is accepted, RFC 9112 §2.2).
struct Lines<'a> {
    rest: &'a [u8],
    taken: usize,
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<Option<&'a [u8]>, HttpRefusal> {
        let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        self.taken += end + 1;
        if self.taken > HEAD_BYTES_MAX {
            return Err(HttpRefusal::HeadTooLarge);
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.iter().all(|byte| is_text(*byte)) {
            Ok(Some(line))
        } else {
            Err(HttpRefusal::Malformed)
        }
    }
}

/// Printable ASCII, space, tab, and bytes above ASCII, which field values may contain.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Letters, digits and the marks a token may have (RFC 9110 §5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

fn parse_request_line(line: &[u8]) -> Result<(Method, String, Version), HttpRefusal> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HttpRefusal::Malformed);
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(HttpRefusal::Malformed);
    }
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        other if other.starts_with(b"HTTP/") => return Err(HttpRefusal::VersionNotSupported),
        _ => return Err(HttpRefusal::Malformed),
    };
    let path = parse_target(target)?;
    match method {
        b"GET" => Ok((Method::Get, path, version)),
        b"HEAD" => Ok((Method::Head, path, version)),
        _ => Err(HttpRefusal::MethodNotAllowed),
    }
}

/// The path of an origin-form target. Percent-encoding is left alone: none of our paths needs it.
fn parse_target(target: &[u8]) -> Result<String, HttpRefusal> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(HttpRefusal::TargetTooLong);
    }
    if target.first() != Some(&b'/') || !target.iter().all(u8::is_ascii_graphic) {
        return Err(HttpRefusal::Malformed);
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    String::from_utf8(path.to_vec()).map_err(|_| HttpRefusal::Malformed)
}

/// The fields that matter here.
#[derive(Default)]
struct Fields {
    hosts: usize,
    close: bool,
    keep_alive: bool,
    has_body: bool,
}

impl Fields {
    fn take(&mut self, line: &[u8]) -> Result<(), HttpRefusal> {
        let colon = line.iter().position(|byte| *byte == b':').ok_or(HttpRefusal::Malformed)?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // Also refuses folded lines and blanks before the colon, both ways to smuggle (RFC 9112 §5).
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return Err(HttpRefusal::Malformed);
        }
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"connection") {
            for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.has_body |= value != b"0";
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.has_body = true;
        }
        Ok(())
    }

    /// Checks what can be told at the end alone; says whether the connection is kept.
    const fn finish(&self, version: Version) -> Result<bool, HttpRefusal> {
        if self.has_body {
            return Err(HttpRefusal::BodyRefused);
        }
        match version {
            Version::Http11 if self.hosts != 1 => Err(HttpRefusal::Malformed),
            Version::Http11 => Ok(!self.close),
            Version::Http10 => Ok(self.keep_alive && !self.close),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, expected: Result<Option<(&str, bool)>, HttpRefusal>) {
        let found = parse(head.as_bytes());
        let found = found.map(|parsed| {
            parsed.map(|(request, taken)| {
                assert_eq!(taken, head.len(), "{head:?}");
                (request.path, request.keep_alive)
            })
        });
        let expected = expected.map(|parsed| parsed.map(|(path, keep)| (path.to_owned(), keep)));
        assert_eq!(found, expected, "{head:?}");
    }

    #[test]
    fn get_is_parsed_with_its_path_and_connection() {
        check("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some(("/metrics", true))));
        check("GET /ready?verbose=1 HTTP/1.1\nhost: a\n\n", Ok(Some(("/ready", true))));
        check("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", Ok(Some(("/", false))));
        check("GET / HTTP/1.0\r\n\r\n", Ok(Some(("/", false))));
        check("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Ok(Some(("/", true))));
        check("\r\nGET / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", Ok(Some(("/", false))));
    }

    #[test]
    fn head_is_told_from_get() {
        let (request, _) = parse(b"HEAD / HTTP/1.0\r\n\r\n").unwrap().unwrap();
        assert_eq!(request.method, Method::Head);
    }

    #[test]
    fn bytes_after_the_head_are_left_for_the_next_request() {
        let bytes = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\n";
        let (request, taken) = parse(bytes).unwrap().unwrap();
        assert_eq!(request.path, "/a");
        assert_eq!(bytes.get(taken..).unwrap(), b"GET /b HTTP/1.1\r\n");
    }

    #[test]
    fn every_prefix_of_a_request_waits_for_more() {
        let head = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
        for end in 0..head.len() {
            check(&head[..end], Ok(None));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let cases = [
            ("GET /\r\n\r\n", HttpRefusal::Malformed),
            ("GET  / HTTP/1.1\r\n\r\n", HttpRefusal::Malformed),
            ("GET metrics HTTP/1.1\r\nHost: a\r\n\r\n", HttpRefusal::Malformed),
            ("GET / HTTP/1.1\r\n\r\n", HttpRefusal::Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", HttpRefusal::Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", HttpRefusal::Malformed),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", HttpRefusal::Malformed),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", HttpRefusal::Malformed),
            ("GET /\u{1} HTTP/1.1\r\n", HttpRefusal::Malformed),
            ("\u{16}\u{3}\u{1}", HttpRefusal::Malformed),
            ("\r\n\r\n\r\n\r\n\r\n\r\n", HttpRefusal::Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", HttpRefusal::MethodNotAllowed),
            ("GET / HTTP/2.0\r\n", HttpRefusal::VersionNotSupported),
            ("GET / FTP/1.0\r\n", HttpRefusal::Malformed),
            ("GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", HttpRefusal::BodyRefused),
            ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HttpRefusal::BodyRefused),
        ];
        for (head, refusal) in cases {
            check(head, Err(refusal));
        }
    }

    #[test]
    fn endless_heads_are_refused() {
        let long_line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(TARGET_BYTES_MAX));
        check(&long_line, Err(HttpRefusal::TargetTooLong));
        check(&"a".repeat(HEAD_BYTES_MAX), Err(HttpRefusal::HeadTooLarge));
        let many = format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX + 1));
        check(&many, Err(HttpRefusal::HeadTooLarge));
        let most = format!("GET / HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(FIELDS_MAX));
        check(&most, Ok(Some(("/", false))));
        let wide = format!("GET / HTTP/1.0\r\na: {}\r\n\r\n", "b".repeat(HEAD_BYTES_MAX));
        check(&wide, Err(HttpRefusal::HeadTooLarge));
    }

    /// Twin of the fuzz target: whatever the bytes, parsing ends, takes no more than it was given, and
    /// a head is judged the same however it is cut.
    #[test]
    fn random_heads_never_panic_and_never_overrun() {
        let seed = 0x6b6f_6c6b;
        let mut chance = XorShift(seed);
        let pieces: [&[u8]; 14] = [
            b"GET ",
            b"HEAD ",
            b"/metrics",
            b" HTTP/1.1",
            b"\r\n",
            b"\n",
            b"Host: a",
            b"Connection: close",
            b"Content-Length: 7",
            b":",
            b"\0",
            b"\xff",
            b" ",
            b"/?",
        ];
        for case in 0..4_000 {
            let mut bytes = Vec::new();
            for _ in 0..chance.below(24) {
                if chance.below(8) == 0 {
                    bytes.push(u8::try_from(chance.below(256)).unwrap());
                } else {
                    bytes.extend_from_slice(pieces[chance.below(pieces.len())]);
                }
            }
            let whole = parse(&bytes);
            if let Ok(Some((request, taken))) = &whole {
                assert!(*taken <= bytes.len(), "seed {seed} case {case}: {bytes:?}");
                assert!(request.path.starts_with('/'), "seed {seed} case {case}: {bytes:?}");
                assert_eq!(parse(&bytes[..*taken]), whole, "seed {seed} case {case}: {bytes:?}");
            }
            for end in 0..bytes.len() {
                match parse(&bytes[..end]) {
                    Ok(None) => {}
                    decided => {
                        assert_eq!(decided, whole, "seed {seed} case {case} end {end}: {bytes:?}");
                        break;
                    }
                }
            }
        }
    }

    struct XorShift(u64);

    impl XorShift {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % bound as u64).unwrap()
        }
    }
}
