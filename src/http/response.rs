//! HTTP replies as bytes.

use bytes::Bytes;

use crate::request::{HttpRefusal, HttpRequest, Method};

/// What a resource answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it went.
    pub status: Status,
    /// What the body is, as the field of that name says it.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// The statuses of our own resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 404.
    NotFound,
    /// 503.
    Unavailable,
}

const PLAIN: &str = "text/plain; charset=utf-8";

impl Status {
    const fn line(self) -> (u16, &'static str) {
        match self {
            Self::Ok => (200, "OK"),
            Self::NotFound => (404, "Not Found"),
            Self::Unavailable => (503, "Service Unavailable"),
        }
    }
}

impl Answer {
    /// A line of plain text.
    #[must_use]
    pub fn line(status: Status, text: &str) -> Self {
        Self { status, content_type: PLAIN, body: format!("{text}\n") }
    }
}

/// Head and body of the reply to `request`.
#[must_use]
pub fn encode(request: &HttpRequest, answer: Answer) -> (Bytes, Vec<Bytes>) {
    let Answer { status, content_type, body } = answer;
    let connection = if request.keep_alive { "keep-alive" } else { "close" };
    let head = head(status.line(), content_type, body.len(), connection, "");
    let body = match request.method {
        Method::Get => vec![Bytes::from(body)],
        Method::Head => Vec::new(),
    };
    (head, body)
}

/// The whole reply to what is no request we answer; the connection ends behind it.
#[must_use]
pub fn encode_refusal(refusal: HttpRefusal) -> Bytes {
    let body = format!("{refusal}\n");
    let more = match refusal {
        HttpRefusal::MethodNotAllowed => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    let mut reply = head(refusal.status(), PLAIN, body.len(), "close", more).to_vec();
    reply.extend_from_slice(body.as_bytes());
    Bytes::from(reply)
}

fn head(
    (status, reason): (u16, &str),
    content_type: &str,
    body_bytes: usize,
    connection: &str,
    more: &str,
) -> Bytes {
    Bytes::from(format!(
        "HTTP/1.1 {status} {reason}\r\n\
         Content-Type: {content_type}\r\n\
         Content-Length: {body_bytes}\r\n\
         Cache-Control: no-store\r\n\
         {more}\
         Connection: {connection}\r\n\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, keep_alive: bool) -> HttpRequest {
        HttpRequest { method, path: "/health".to_owned(), keep_alive }
    }

    #[test]
    fn get_has_head_and_body() {
        let answer = Answer::line(Status::Ok, "ok");
        let (head, body) = encode(&request(Method::Get, true), answer);
        assert_eq!(
            String::from_utf8_lossy(&head),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\
             Cache-Control: no-store\r\nConnection: keep-alive\r\n\r\n"
        );
        assert_eq!(body, [Bytes::from_static(b"ok\n")]);
    }

    #[test]
    fn head_says_the_length_and_sends_no_body() {
        let answer = Answer::line(Status::Unavailable, "stopping");
        let (head, body) = encode(&request(Method::Head, false), answer);
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        assert!(head.contains("Content-Length: 9\r\n"), "{head}");
        assert!(head.contains("Connection: close\r\n"), "{head}");
        assert!(body.is_empty());
    }

    #[test]
    fn a_refusal_says_why_and_closes() {
        let reply = encode_refusal(HttpRefusal::MethodNotAllowed);
        let reply = String::from_utf8_lossy(&reply).into_owned();
        assert!(reply.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{reply}");
        assert!(reply.contains("Allow: GET, HEAD\r\n"), "{reply}");
        assert!(reply.ends_with("\r\n\r\nmethod not allowed\n"), "{reply}");
    }
}
