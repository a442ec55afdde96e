//! The daemon's end of the socket.

use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::doorman::{Doorman, Host};
use super::protocol::{Refusal, Request, Response, Trouble};
use super::timed::Timed;
use super::{group, peer};

#[cfg(test)]
mod tests;

/// Conversations at the same time; the next one is told to come back.
const CONVERSATIONS: usize = 16;
/// Bytes of a request.
const LONGEST_REQUEST: u64 = 64 * 1024;
/// A long answer is sent in pieces of so many bytes.
const PIECE: usize = 32 * 1024;
/// The time a client has for its request, and for taking in the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A long answer may take so many times as long.
const LONGEST_ANSWER: u32 = 12;

/// Answers requests. It runs in a thread of the conversation, so that a slow one delays nobody.
pub type Handler = Arc<dyn Fn(Request) -> Reply + Send + Sync>;

/// Writes the line of an answer, with its end.
pub type Piecewise = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()>>;

/// Writes what comes behind the line of an answer.
pub type Rest = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()>>;

/// What the daemon says.
pub enum Reply {
    /// One answer.
    Line(Response),
    /// One answer that may be long: it is written as it is made, and never held whole, however many
    /// ask for it at once and however slowly they read. A client that does not take in some of it
    /// within some seconds, or all of it within a minute, is given up.
    Long(Piecewise),
    /// An answer, and behind its line whatever is written here. The conversation ends with it. A
    /// client that does not read for some seconds is given up.
    Stream(Response, Rest),
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Line(response)
    }
}

/// Why the socket could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another daemon answers there.
    #[error(
        "another portcullis is running: it answers at {0}. Stop it first (systemctl stop \
         portcullis), or give this one a [control] socket of its own"
    )]
    Running(PathBuf),
    /// There is a file, and it is no socket.
    #[error("{0} exists and is not a socket; move it away or change [control] socket")]
    NotASocket(PathBuf),
    /// The group is unknown.
    #[error("[control] group: there is no group {0:?}; create it with: groupadd --system {0}")]
    NoGroup(String),
    /// Something else.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A socket that answers. Dropping it without [`Server::stop`] leaves the thread running.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    /// Device and inode of our socket, so that only that one is removed.
    own: (u64, u64),
    doorman: Doorman<UnixListener>,
}

impl Server {
    /// Binds the socket and answers from a thread of its own.
    ///
    /// The directory is made if it is missing, closed to others (0750). The socket is for the
    /// daemon's user alone (0600), or for `group` too (0660). What an earlier run left behind is
    /// replaced.
    ///
    /// # Errors
    /// If somebody answers there already, the group is unknown, or the system refuses.
    pub fn start(path: &Path, group: Option<&str>, handler: Handler) -> Result<Self, StartError> {
        Self::start_with(path, group, handler, PATIENCE)
    }

    fn start_with(
        path: &Path,
        group: Option<&str>,
        handler: Handler,
        patience: Duration,
    ) -> Result<Self, StartError> {
        let gid = prepare(path, group)?;
        make_way(path)?;
        let listener = bind(path, gid)?;
        let own = fs::symlink_metadata(path)
            .map(|file| (file.dev(), file.ino()))
            .map_err(io_error("look at", path))?;
        let desk = Desk { group: group.is_some(), patience, handler };
        let doorman =
            Doorman::start(listener, desk).map_err(io_error("start a thread for", path))?;
        Ok(Self { path: path.to_owned(), own, doorman })
    }

    /// Takes the socket away and ends the thread. Conversations that have begun come to their
    /// end by themselves.
    pub fn stop(self) {
        let named = fs::symlink_metadata(&self.path).map(|file| (file.dev(), file.ino()));
        if named.is_ok_and(|named| named == self.own) {
            // If it cannot be removed, the next start will find that nobody answers and do it.
            let _ = fs::remove_file(&self.path);
        }
        self.doorman.stop();
    }
}

/// Makes the directory of a socket, closed to others (0750), if it is missing. Returns the number of
/// the group that may use the socket.
///
/// # Errors
/// The group is unknown, or the system refuses.
pub fn prepare(path: &Path, group: Option<&str>) -> Result<Option<u32>, StartError> {
    let number = |name: &str| {
        let number = group::number(name, Path::new("/etc/group"));
        number.ok_or_else(|| StartError::NoGroup(name.to_owned()))
    };
    let gid = group.map(number).transpose()?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    make_directory(directory.unwrap_or(Path::new(".")), gid)?;
    Ok(gid)
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::Io { what, path, source }
}

fn make_directory(directory: &Path, gid: Option<u32>) -> Result<(), StartError> {
    if !directory.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(directory)
            .map_err(io_error("create", directory))?;
    }
    let Some(gid) = gid else { return Ok(()) };
    // The group has to get through the directory. If it is ours and closed to others, nobody
    // else's way is changed by that; any other directory is left as it is.
    let found = fs::metadata(directory).map_err(io_error("look at", directory))?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if own && found.mode() & 0o7007 == 0 && found.gid() != gid {
        std::os::unix::fs::chown(directory, None, Some(gid))
            .map_err(io_error("give the group its way through", directory))?;
    }
    Ok(())
}

/// Removes the socket of a daemon that is no more.
fn make_way(path: &Path) -> Result<(), StartError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("look at", path)(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(StartError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    // Asked twice: somebody who starts at this moment may be about to listen.
    for pause in [Duration::from_millis(50), Duration::ZERO] {
        match Timed::connect(path, Duration::from_secs(1)) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => thread::sleep(pause),
            // It answers, or it is so busy or so well guarded that somebody must be there.
            _ => return Err(StartError::Running(path.to_owned())),
        }
    }
    fs::remove_file(path).map_err(io_error("remove the old", path))
}

/// Binds, sets the permissions, and only then listens: before that nobody can connect.
fn bind(path: &Path, gid: Option<u32>) -> Result<UnixListener, StartError> {
    let make = || -> io::Result<UnixListener> {
        let address = SocketAddrUnix::new(path)?;
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        rustix::net::bind(&socket, &address)?;
        if gid.is_some() {
            std::os::unix::fs::chown(path, None, gid)?;
        }
        let mode = if gid.is_some() { 0o660 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        rustix::net::listen(&socket, CONVERSATIONS as i32)?;
        Ok(UnixListener::from(socket))
    };
    make().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::Running(path.to_owned()),
        _ => io_error("set up the control socket", path)(error),
    })
}

/// What every conversation needs.
struct Desk {
    /// Members of a group may ask too.
    group: bool,
    patience: Duration,
    handler: Handler,
}

impl Host<UnixStream> for Desk {
    const NAME: &str = "control";
    const SEATS: usize = CONVERSATIONS;

    fn serve(&self, client: UnixStream) -> io::Result<()> {
        self.converse(client)
    }

    fn turn_away(&self, client: UnixStream) {
        let _ = client.set_nonblocking(true);
        let text = "too many conversations at once; try again in a few seconds";
        let _ = answer(&mut &client, &refuse(Trouble::Unavailable, text));
    }
}

impl Desk {
    fn converse(&self, stream: UnixStream) -> io::Result<()> {
        let allowed = peer::may_ask(&stream, self.group)?;
        let mut stream = BufReader::new(Timed::new(stream, self.patience));
        if !allowed {
            let text = "only root and the daemon's user may use this socket; use sudo";
            return answer(stream.get_mut(), &refuse(Trouble::Permission, text));
        }
        loop {
            let mut line = Vec::new();
            stream.by_ref().take(LONGEST_REQUEST).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(());
            }
            let whole = line.ends_with(b"\n");
            let reply = match Request::read(&line) {
                _ if line.len() as u64 == LONGEST_REQUEST && !whole => {
                    refuse(Trouble::Usage, "the request is longer than 64 KiB").into()
                }
                Ok(request) => (self.handler)(request),
                Err(error) => refuse(Trouble::Usage, format!("this is no request: {error}")).into(),
            };
            let (response, rest) = match reply {
                Reply::Line(response) => (response, None),
                Reply::Stream(response, rest) => (response, Some(rest)),
                Reply::Long(write) => {
                    let end = Instant::now() + self.patience * LONGEST_ANSWER;
                    let pieces = Pieces { stream: stream.get_mut(), patience: self.patience, end };
                    let mut pieces = BufWriter::with_capacity(PIECE, pieces);
                    let written = write(&mut pieces).and_then(|()| pieces.flush());
                    // What is left of a line that broke off is not sent after it.
                    let _ = pieces.into_parts();
                    written?;
                    if !whole {
                        return Ok(());
                    }
                    stream.get_mut().extend(self.patience);
                    continue;
                }
            };
            let line = line_of(&response)?;
            stream.get_mut().extend(self.patience);
            stream.get_mut().write_all(&line)?;
            if let Some(rest) = rest {
                return rest(&mut Patient { stream: stream.into_inner(), patience: self.patience });
            }
            if !whole {
                return Ok(());
            }
            stream.get_mut().extend(self.patience);
        }
    }
}

/// A stream that has so much time for each piece, and not for all of it.
struct Patient {
    stream: Timed,
    patience: Duration,
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.extend(self.patience);
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A stream that has so much time for each piece that it is given, and for all of them until the
/// end.
struct Pieces<'a> {
    stream: &'a mut Timed,
    patience: Duration,
    end: Instant,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        self.stream.extend(self.patience.min(left));
        self.stream.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn refuse(kind: Trouble, line: impl Into<String>) -> Response {
    Response::Error(Refusal::new(kind, line))
}

fn answer(stream: &mut impl Write, response: &Response) -> io::Result<()> {
    stream.write_all(&line_of(response)?)
}

fn line_of(response: &Response) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    Ok(line)
}
