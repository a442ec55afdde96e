//! Bytes → request → bytes, of the little HTTP/1.1 that reading numbers takes (RFC 9112). Requests
//! are read by the `httparse` crate. Every answer ends the connection.

use httparse::{EMPTY_HEADER, Error, Request, Status};

/// The longest head of a request that is read, in bytes. Prometheus sends about 400.
pub(super) const LONGEST: usize = 8 * 1024;
/// The most header fields.
const MOST_FIELDS: usize = 64;
/// Where the numbers are.
const PATH: &str = "/metrics";
/// What they are (OpenMetrics 1.0, section "Protocol negotiation").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was understood of a request so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Not all of it has come.
    Part,
    /// It asks for the numbers; if not `body`, only for the head of the answer.
    Metrics { body: bool },
    /// It asks for something else, or is no request.
    Other(Refusal),
}

/// Why there are no numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400
    NoRequest,
    /// 404
    NotHere,
    /// 405
    OnlyReading,
    /// 431
    TooLong,
    /// 503
    Busy,
}

/// Looks at what has come so far. Never panics, whatever the bytes are.
pub(super) fn hear(bytes: &[u8]) -> Heard {
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(Status::Partial) if bytes.len() >= LONGEST => Heard::Other(Refusal::TooLong),
        Ok(Status::Partial) => Heard::Part,
        Err(Error::TooManyHeaders) => Heard::Other(Refusal::TooLong),
        Err(_) => Heard::Other(Refusal::NoRequest),
        Ok(Status::Complete(_)) => {
            let path = request.path.and_then(|path| path.split('?').next());
            match (request.method, path) {
                (Some("GET"), Some(PATH)) => Heard::Metrics { body: true },
                (Some("HEAD"), Some(PATH)) => Heard::Metrics { body: false },
                (_, Some(PATH)) => Heard::Other(Refusal::OnlyReading),
                _ => Heard::Other(Refusal::NotHere),
            }
        }
    }
}

/// The answer with the numbers.
pub(super) fn metrics(text: &str, body: bool) -> Vec<u8> {
    answer("200 OK", OPEN_METRICS, "", text, body)
}

impl Refusal {
    /// The answer without them.
    pub(super) fn answer(self) -> Vec<u8> {
        let (status, field, text) = match self {
            Refusal::NoRequest => ("400 Bad Request", "", "this is no HTTP request\n"),
            Refusal::NotHere => ("404 Not Found", "", "the numbers are at /metrics\n"),
            Refusal::OnlyReading => {
                ("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "the numbers can only be read\n")
            }
            Refusal::TooLong => {
                ("431 Request Header Fields Too Large", "", "the request is too long\n")
            }
            Refusal::Busy => {
                ("503 Service Unavailable", "Retry-After: 5\r\n", "too many ask at once\n")
            }
        };
        answer(status, "text/plain; charset=utf-8", field, text, true)
    }
}

fn answer(status: &str, kind: &str, field: &str, text: &str, body: bool) -> Vec<u8> {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{field}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    );
    let text = if body { text } else { "" };
    [head.as_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests() {
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_FIELDS + 1));
        let long = format!("GET /metrics HTTP/1.1\r\na: {}", "b".repeat(LONGEST));
        for (bytes, expected) in [
            ("", Heard::Part),
            ("GET /met", Heard::Part),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n", Heard::Part),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", Heard::Metrics { body: true }),
            ("GET /metrics HTTP/1.0\r\n\r\n", Heard::Metrics { body: true }),
            ("GET /metrics?name=x HTTP/1.1\r\n\r\nmore", Heard::Metrics { body: true }),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", Heard::Metrics { body: false }),
            ("POST /metrics HTTP/1.1\r\n\r\n", Heard::Other(Refusal::OnlyReading)),
            ("GET / HTTP/1.1\r\n\r\n", Heard::Other(Refusal::NotHere)),
            ("GET /metrics/../etc HTTP/1.1\r\n\r\n", Heard::Other(Refusal::NotHere)),
            ("get the numbers\r\n\r\n", Heard::Other(Refusal::NoRequest)),
            ("\u{16}\u{3}\u{1}", Heard::Other(Refusal::NoRequest)),
            ("GET /metrics HTTP/1.1\r\nno field\r\n\r\n", Heard::Other(Refusal::NoRequest)),
            (&many, Heard::Other(Refusal::TooLong)),
            (&long, Heard::Other(Refusal::TooLong)),
        ] {
            assert_eq!(hear(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_answer_says_how_long_it_is() {
        let whole = String::from_utf8(metrics("a 1\n# EOF\n", true)).unwrap();
        let head = String::from_utf8(metrics("a 1\n# EOF\n", false)).unwrap();
        assert_eq!(whole, format!("{head}a 1\n# EOF\n"));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("\r\nContent-Length: 10\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Type: {OPEN_METRICS}\r\n")), "{head}");
    }

    proptest! {
        #[test]
        fn garbage_is_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..LONGEST + 10)) {
            hear(&bytes);
        }

        #[test]
        fn however_it_is_cut_it_is_the_same_request(cut in 0_usize..40) {
            let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
            prop_assert_eq!(hear(&request[..cut]), Heard::Part);
            prop_assert_eq!(hear(request), Heard::Metrics { body: true });
        }
    }
}
