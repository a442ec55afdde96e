//! Lets clients in, so many at a time, each to a thread of its own.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What clients come in by.
pub(crate) trait Door: AsFd + Send + Sync + 'static {
    /// What there is of a client.
    type Client: Send + 'static;

    /// Waits for the next one.
    fn next(&self) -> io::Result<Self::Client>;
}

impl Door for UnixListener {
    type Client = UnixStream;

    fn next(&self) -> io::Result<UnixStream> {
        self.accept().map(|(client, _)| client)
    }
}

impl Door for TcpListener {
    type Client = TcpStream;

    fn next(&self) -> io::Result<TcpStream> {
        self.accept().map(|(client, _)| client)
    }
}

/// What becomes of clients.
pub(crate) trait Host<Client>: Send + Sync + 'static {
    /// The name of the thread at the door; a client's thread is called so too, with ` client`.
    const NAME: &str;
    /// Clients that are served at the same time.
    const SEATS: usize;

    /// Serves one, in a thread of its own. A client that goes away in the middle is no trouble.
    fn serve(&self, client: Client) -> io::Result<()>;

    /// Sends one away, because every seat is taken. Runs in the thread at the door, so it must not
    /// wait.
    fn turn_away(&self, client: Client);
}

/// The thread at a door. Dropping it without [`Doorman::stop`] leaves the thread running.
#[derive(Debug)]
pub(crate) struct Doorman<D> {
    door: Arc<D>,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl<D: Door> Doorman<D> {
    /// Begins to let clients in.
    ///
    /// # Errors
    /// If the system has no room for another thread.
    pub(crate) fn start<H: Host<D::Client>>(door: D, host: H) -> io::Result<Self> {
        let (door, host) = (Arc::new(door), Arc::new(host));
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = {
            let (door, stopping) = (Arc::clone(&door), Arc::clone(&stopping));
            thread::Builder::new()
                .name(H::NAME.into())
                .spawn(move || admit(&*door, &stopping, &host))?
        };
        Ok(Self { door, stopping, thread })
    }

    /// The door.
    #[cfg(test)]
    pub(crate) fn door(&self) -> &D {
        &self.door
    }

    /// Lets nobody in any more and ends the thread. Clients that are being served are served to
    /// the end.
    pub(crate) fn stop(self) {
        self.stopping.store(true, SeqCst);
        // Makes a waiting accept return.
        if rustix::net::shutdown(&*self.door, rustix::net::Shutdown::Both).is_ok() {
            let _ = self.thread.join();
        }
    }
}

fn admit<D: Door, H: Host<D::Client>>(door: &D, stopping: &AtomicBool, host: &Arc<H>) {
    let busy = Arc::new(AtomicUsize::new(0));
    loop {
        let next = door.next();
        if stopping.load(SeqCst) {
            return;
        }
        let Ok(client) = next else {
            // No file descriptors or no memory: others may give some back.
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let Some(seat) = Seat::take(&busy, H::SEATS) else {
            host.turn_away(client);
            continue;
        };
        let host = Arc::clone(host);
        // If no thread can be had, the connection is closed, and the client tries again.
        let _ = thread::Builder::new().name(format!("{} client", H::NAME)).spawn(move || {
            let _seat = seat;
            let _ = host.serve(client);
        });
    }
}

/// One of some seats; given back when dropped.
struct Seat(Arc<AtomicUsize>);

impl Seat {
    /// Takes a seat, if fewer than `most` are taken.
    fn take(busy: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        busy.fetch_update(SeqCst, SeqCst, |busy| (busy < most).then_some(busy + 1))
            .map(|_| Self(Arc::clone(busy)))
            .ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
