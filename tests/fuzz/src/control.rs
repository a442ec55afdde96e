//! The control socket: `Request::read`, and the server's lines and ends of lines over a real socket.
//!
//! The first two bytes, times two, are how many spaces stand before the rest: so a short input
//! reaches the longest request.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use portcullis::control::{Done, Handler, Reply, Request, Response, Server, Trouble};

/// Bytes of a request, its end among them.
const LONGEST: usize = 64 * 1024;

/// What is read of a request is all that it says, and each line gets its answer.
pub fn check(bytes: &[u8]) {
    let Some((spaces, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let spaces = usize::from(u16::from_le_bytes(*spaces));
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(request) = Request::read(line) {
            let again = serde_json::to_vec(&request).expect("it can be written");
            assert_eq!(Request::read(&again).ok(), Some(request), "written and read");
        }
    }
    let sent = [&vec![b' '; spaces * 2][..], bytes].concat();
    let expected = expected(&sent);
    let answers = converse(&sent);
    if answers.iter().any(|answer| is_error(answer, Trouble::Unavailable)) {
        // The conversations before this one have not ended yet.
        return;
    }
    let told: Vec<bool> =
        answers.iter().map(|answer| matches!(answer, Response::Done(_))).collect();
    assert_eq!(told, expected, "{answers:?}");
}

/// Which lines are to be carried out, up to the end of the conversation.
fn expected(sent: &[u8]) -> Vec<bool> {
    let mut expected = Vec::new();
    for line in sent.split_inclusive(|byte| *byte == b'\n') {
        if line.len() > LONGEST || line.len() == LONGEST && !line.ends_with(b"\n") {
            expected.push(false);
            break;
        }
        let request = Request::read(line);
        expected.push(request.is_ok());
        if matches!(request, Ok(Request::Capture(_))) {
            break;
        }
    }
    expected
}

fn is_error(response: &Response, kind: Trouble) -> bool {
    matches!(response, Response::Error(refusal) if refusal.kind == kind)
}

/// Sends it all, and reads the answers up to the end.
fn converse(sent: &[u8]) -> Vec<Response> {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    let path = PLACE.get_or_init(|| {
        // The fuzzer ends without telling anybody: the folder stays.
        let path = super::folder().keep().join("control.sock");
        let handler: Handler = Arc::new(|request| match request {
            Request::Capture(_) => Reply::Stream(done(), Box::new(|_| Ok(()))),
            _ => done().into(),
        });
        match Server::start(&path, None, handler) {
            Ok(server) => std::mem::forget(server),
            Err(error) => panic!("{error}"),
        }
        path
    });
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    // Whoever answers may have heard enough before all is sent.
    let _ = stream.write_all(sent);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answers) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "no answer, and no end");
    }
    let lines = answers.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| serde_json::from_slice(line).expect("an answer is a response")).collect()
}

fn done() -> Response {
    Response::Done(Done::default())
}
