//! The command line's end of the socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Request, Response};
use super::timed::Timed;

/// The time the daemon has for its answer. A reload may read a million prefixes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer: every standing that the kernel's sets can hold, and more.
const LONGEST_ANSWER: u64 = 512 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "portcullis is not running: nobody answers at {0}\n\
         start it with: systemctl start portcullis\n\
         (if it uses another socket, name it with --socket)"
    )]
    NotRunning(PathBuf),
    /// The socket is closed to this user.
    #[error(
        "you may not talk to the daemon at {0}\n\
         use sudo, or join the group that [control] group names in the policy file"
    )]
    NotAllowed(PathBuf),
    /// No answer in time.
    #[error(
        "the daemon at {0} does not answer\n\
         start it anew: systemctl restart portcullis\n\
         or take the gate out of the way: portcullis panic\n\
         its log: journalctl -u portcullis -e"
    )]
    Silent(PathBuf),
    /// An answer that makes no sense.
    #[error(
        "the daemon at {0} gave an answer that this program does not understand: {1}\n\
         are both of the same version? after an update: systemctl restart portcullis"
    )]
    Nonsense(PathBuf, serde_json::Error),
    /// Something else.
    #[error("cannot talk to the daemon at {0}: {1}")]
    Io(PathBuf, io::Error),
}

impl AskError {
    /// The exit code (sysexits.h).
    pub fn code(&self) -> u8 {
        match self {
            AskError::NotRunning(_) | AskError::Silent(_) | AskError::Io(..) => 69,
            AskError::NotAllowed(_) => 77,
            AskError::Nonsense(..) => 76,
        }
    }
}

/// Asks the daemon behind `socket`.
///
/// # Errors
/// Each says what to do about it. A request that the daemon refuses is no error here, but a
/// [`Response::Error`].
pub fn ask(socket: &Path, request: &Request) -> Result<Response, AskError> {
    ask_within(socket, request, PATIENCE)
}

/// The same, for an answer that is not worth waiting for half a minute.
///
/// # Errors
/// As [`ask`].
pub fn ask_within(
    socket: &Path,
    request: &Request,
    patience: Duration,
) -> Result<Response, AskError> {
    let path = || socket.to_owned();
    let (line, _) = exchange(socket, request, patience).map_err(|error| lost(socket, error))?;
    serde_json::from_slice(&line).map_err(|error| AskError::Nonsense(path(), error))
}

/// What comes behind the line of an answer. Reading fails if nothing comes for longer than the
/// patience.
pub struct Streamed {
    stream: BufReader<Timed>,
    patience: Duration,
}

impl Streamed {
    /// Ends it from another thread: whoever reads is at the end then.
    ///
    /// # Errors
    /// If the system has no more descriptors.
    pub fn stopper(&self) -> io::Result<impl Fn() + Send + 'static> {
        let stopper = self.stream.get_ref().stopper()?;
        Ok(move || {
            // If it has ended already, there is nothing to end.
            let _ = stopper.shutdown(std::net::Shutdown::Both);
        })
    }
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.get_mut().extend(self.patience);
        self.stream.read(buffer)
    }
}

/// Asks the daemon behind `socket` for an answer that goes on behind its line.
///
/// # Errors
/// As [`ask`].
pub fn follow(
    socket: &Path,
    request: &Request,
    patience: Duration,
) -> Result<(Response, Streamed), AskError> {
    let (line, stream) =
        exchange(socket, request, patience).map_err(|error| lost(socket, error))?;
    serde_json::from_slice(&line)
        .map(|response| (response, Streamed { stream, patience }))
        .map_err(|error| AskError::Nonsense(socket.to_owned(), error))
}

fn lost(socket: &Path, error: io::Error) -> AskError {
    let path = || socket.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::NotADirectory => AskError::NotRunning(path()),
        io::ErrorKind::PermissionDenied => AskError::NotAllowed(path()),
        io::ErrorKind::TimedOut
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => AskError::Silent(path()),
        _ => AskError::Io(path(), error),
    }
}

/// The line of the answer, and what comes behind it.
fn exchange(
    socket: &Path,
    request: &Request,
    patience: Duration,
) -> io::Result<(Vec<u8>, BufReader<Timed>)> {
    let mut stream = Timed::connect(socket, patience)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // A daemon that refuses to listen may have said why: read before giving up.
    let sent = stream.write_all(&line);
    let mut answer = Vec::new();
    let mut stream = BufReader::new(stream);
    stream.by_ref().take(LONGEST_ANSWER).read_until(b'\n', &mut answer)?;
    if answer.ends_with(b"\n") {
        return Ok((answer, stream));
    }
    sent.and(Err(io::ErrorKind::UnexpectedEof.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn daemons_that_do_not_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let ask = || ask_within(&path, &Request::Status, Duration::from_millis(50)).unwrap_err();
        // Stopped: it neither accepts nor reads.
        let error = ask();
        assert!(matches!(error, AskError::Silent(_)), "{error}");
        assert_eq!(error.code(), 69);
        // Its backlog is full: not even connecting works.
        rustix::net::listen(&listener, 0).unwrap();
        let waiting: Vec<Timed> =
            std::iter::from_fn(|| Timed::connect(&path, Duration::from_millis(50)).ok())
                .take(10)
                .collect();
        assert!(waiting.len() < 10, "the backlog takes everybody");
        let error = ask();
        assert!(matches!(error, AskError::Silent(_)), "{error}");
        drop(listener);
        let error = ask();
        assert!(matches!(error, AskError::NotRunning(_)), "{error}");
    }

    #[test]
    fn a_daemon_that_speaks_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let answers = [&b"hello\n"[..], b"{\"status\":{}}\n", b"{\"done\":"];
        let server = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(answer).unwrap();
            }
        });
        let codes = answers.map(|_| ask(&path, &Request::Status).unwrap_err().code());
        assert_eq!(codes, [76, 76, 69]);
        server.join().unwrap();
    }
}
