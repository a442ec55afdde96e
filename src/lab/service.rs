//! Services for the lab's hosts: just enough for the kernel to see the server speak.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};

use super::host::Host;

/// How soon a service notices that it shall stop.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// How a service behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trade {
    /// It waits for a request and answers it, like a web server.
    Web,
    /// It speaks first, like ssh; whatever is said next is a wrong password.
    Login,
}

/// A service on a host; it ends when dropped.
#[derive(Debug)]
pub struct Service {
    stop: Arc<AtomicBool>,
    accepted: Arc<AtomicU64>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Service {
    /// Listens on `at` of `host`; the unspecified IPv6 address means both families.
    pub fn start(host: &Host, at: SocketAddr, trade: Trade) -> io::Result<Self> {
        let listener = host.run(|| listen(at)).map_err(io::Error::other)??;
        let (stop, accepted) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (told, count) = (Arc::clone(&stop), Arc::clone(&accepted));
        let serving = host.spawn(move || serve(&listener, trade, &told, &count));
        let thread = serving.map_err(io::Error::other)?;
        Ok(Self { stop, accepted, thread: Some(thread) })
    }

    /// How many connections reached it.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&at.into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn serve(listener: &TcpListener, trade: Trade, stop: &AtomicBool, accepted: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                accepted.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || answer(stream, trade));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&TICK));
            }
            // The client gave up while it waited; that is its affair.
            Err(_) => {}
        }
    }
}

/// One conversation. Whoever says nothing for ten seconds is hung up on.
fn answer(mut stream: TcpStream, trade: Trade) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = [0; 1024];
    match trade {
        Trade::Web => {
            if stream.read(&mut request)? > 0 {
                stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\nwelcome\n")?;
            }
        }
        Trade::Login => {
            stream.write_all(b"SSH-2.0-lab\r\n")?;
            let _ = stream.read(&mut request);
        }
    }
    Ok(())
}
