//! What somebody who took the daemon over would try.
#![allow(unsafe_code, reason = "system calls that no crate wraps are made by their numbers")]

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use libc::{EACCES, EPERM, EXDEV, c_long};
use rustix::net::{AddressFamily, SocketType, netlink, socket};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, kill_process, pidfd_getfd, pidfd_open,
};

/// Does it work for whoever is not confined?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Free {
    /// Here, in namespaces of one's own, as their root: yes.
    Works,
    /// That depends on the kernel, or on who is root outside.
    Perhaps,
}

/// Something that is forbidden.
pub(super) struct Attempt {
    pub(super) what: &'static str,
    pub(super) free: Free,
    /// The errors of which one is the refusal.
    pub(super) errors: &'static [i32],
    /// Not prevented before this version of Linux.
    pub(super) since: Option<&'static str>,
    body: Body,
}

type Body = Box<dyn Fn() -> io::Result<()>>;

impl Attempt {
    /// What comes of it.
    pub(super) fn tried(&self) -> io::Result<()> {
        (self.body)()
    }

    fn since(mut self, linux: &'static str) -> Self {
        self.since = Some(linux);
        self
    }
}

/// A system call by its number. Nothing is passed that the kernel would write to.
fn call(number: c_long, arguments: [usize; 5]) -> io::Result<usize> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: each call below gets numbers, or pointers to memory that outlives it; what the kernel
    // is asked to write goes into memory of this thread that is not used otherwise.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, 0usize) };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

fn try_call(number: c_long, arguments: [usize; 5]) -> io::Result<()> {
    call(number, arguments).map(drop)
}

/// Calls that open something, which is closed again.
fn try_open(number: c_long, arguments: [usize; 5]) -> io::Result<()> {
    let opened = call(number, arguments)?;
    call(libc::SYS_close, [opened, 0, 0, 0, 0]).map(drop)
}

fn other(outcome: Result<impl Sized, rustix::io::Errno>) -> io::Result<()> {
    outcome.map(drop).map_err(Into::into)
}

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> io::Result<()> {
    let ended = Command::new(program).args(arguments).output()?;
    if ended.status.success() { Ok(()) } else { Err(io::Error::other(format!("{ended:?}"))) }
}

/// The program that the daemon runs.
pub(super) fn tool() -> PathBuf {
    let places = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].map(PathBuf::from);
    places.into_iter().find(|path| path.exists()).expect("nft is installed")
}

/// All of them. `victim` is a process that the confined one has not started.
pub(super) fn attempts(inside: &Path, outside: &Path, victim: u32) -> Vec<Attempt> {
    use Free::{Perhaps, Works};
    const DENIED: &[i32] = &[EACCES];
    const FORBIDDEN: &[i32] = &[EPERM];
    let attempt = |what: &'static str, free: Free, errors: &'static [i32], body: Body| Attempt {
        what,
        free,
        errors,
        since: None,
        body,
    };
    macro_rules! tries {
        ($($what:literal, $free:ident, $errors:expr, $body:expr;)*) => {
            vec![$(attempt($what, $free, $errors, Box::new($body))),*]
        };
    }
    let (at, from) = (|name: &str| outside.join(name), |name: &str| inside.join(name));
    // What is there to be overwritten, removed, moved and run. Whoever is confined finds it there.
    for name in ["there", "gone"] {
        let _ = fs::write(at(name), "theirs");
    }
    let _ = fs::write(from("ours"), "ours");
    let program = from("program");
    let _ = fs::copy(tool(), &program);
    let _ = fs::set_permissions(&program, fs::Permissions::from_mode(0o755));
    let target = Pid::from_raw(victim as i32).expect("a process");
    let victim_memory = victim as usize;
    let (new, there, gone, folder) = (at("new"), at("there"), at("gone"), at("folder"));
    let (truncated, moved, moved_from) = (at("there"), at("moved"), from("ours"));
    let (link, node, own_folder, mount_at) =
        (from("link"), from("node"), from("folder"), outside.to_owned());
    let mut all = tries![
        "makes a file elsewhere", Works, DENIED, move || fs::write(&new, "");
        "writes to a file elsewhere", Works, DENIED, move || {
            OpenOptions::new().append(true).open(&there).map(drop)
        };
        "truncates a file elsewhere", Works, FORBIDDEN, move || {
            let name = std::ffi::CString::new(truncated.as_os_str().as_encoded_bytes())?;
            try_call(libc::SYS_truncate, [name.as_ptr() as usize, 0, 0, 0, 0])
        };
        "removes a file elsewhere", Works, DENIED, move || fs::remove_file(&gone);
        "makes a folder elsewhere", Works, DENIED, move || {
            fs::create_dir(&folder).and_then(|()| fs::remove_dir(&folder))
        };
        "makes a folder where it writes", Works, DENIED, move || {
            fs::create_dir(&own_folder).and_then(|()| fs::remove_dir(&own_folder))
        };
        "moves a file out", Works, &[EACCES, EXDEV], move || fs::rename(&moved_from, &moved);
        "makes a symbolic link", Works, FORBIDDEN, move || {
            symlink("/etc/shadow", &link).and_then(|()| fs::remove_file(&link))
        };
        "makes a named pipe", Works, FORBIDDEN, move || {
            let name = std::ffi::CString::new(node.as_os_str().as_encoded_bytes())?;
            let cwd = libc::AT_FDCWD as usize;
            let mode = (libc::S_IFIFO | 0o600) as usize;
            try_call(libc::SYS_mknodat, [cwd, name.as_ptr() as usize, mode, 0, 0])?;
            fs::remove_file(&node)
        };
        "writes to a device", Perhaps, DENIED, || {
            OpenOptions::new().write(true).open("/dev/zero").map(drop)
        };
        "runs /bin/sh", Works, DENIED, || run("/bin/sh", &["-c", "true"]);
        "runs another program of the system", Works, DENIED, || run("/bin/ls", &["/"]);
        "runs a program that it has written", Works, DENIED, move || run(&program, &["--version"]);
        "runs a file by its descriptor", Works, FORBIDDEN, || {
            let file = File::open(tool())?;
            let (number, empty) = (file.as_raw_fd() as usize, c"".as_ptr() as usize);
            // With arguments that are none, so that whoever may run it learns only that (EFAULT).
            let nowhere = usize::MAX;
            let flags = libc::AT_EMPTY_PATH as usize;
            match try_call(libc::SYS_execveat, [number, empty, nowhere, 0, flags]) {
                Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
                outcome => outcome,
            }
        };
        "enters new namespaces", Works, FORBIDDEN, || {
            try_call(libc::SYS_unshare, [libc::CLONE_NEWNS as usize, 0, 0, 0, 0])
        };
        "enters others' namespaces", Works, FORBIDDEN, || {
            let own = File::open("/proc/self/ns/net")?;
            try_call(libc::SYS_setns, [own.as_raw_fd() as usize, 0, 0, 0, 0])
        };
        "mounts", Works, FORBIDDEN, move || {
            let place = std::ffi::CString::new(mount_at.as_os_str().as_encoded_bytes())?;
            let (place, kind) = (place.as_ptr() as usize, c"tmpfs".as_ptr() as usize);
            try_call(libc::SYS_mount, [c"none".as_ptr() as usize, place, kind, 0, 0])?;
            try_call(libc::SYS_umount2, [place, libc::MNT_DETACH as usize, 0, 0, 0])
        };
        "changes its root folder", Works, FORBIDDEN, || {
            try_call(libc::SYS_chroot, [c"/".as_ptr() as usize, 0, 0, 0, 0])
        };
        "opens a socket for raw frames (AF_PACKET)", Works, FORBIDDEN, || {
            other(socket(AddressFamily::PACKET, SocketType::RAW, None))
        };
        "opens a raw IP socket", Works, FORBIDDEN, || {
            try_open(libc::SYS_socket, [libc::AF_INET as usize, libc::SOCK_RAW as usize, 6, 0, 0])
        };
        "speaks another netlink (NETLINK_GENERIC)", Works, FORBIDDEN, || {
            let (family, protocol) = (libc::AF_NETLINK as usize, libc::NETLINK_GENERIC as usize);
            try_open(libc::SYS_socket, [family, libc::SOCK_RAW as usize, protocol, 0, 0])
        };
        "signals another process", Works, FORBIDDEN, move || other(kill_process(target, Signal::CONT));
        "signals all processes", Perhaps, FORBIDDEN, || {
            // Signal 0 only asks whether it might.
            try_call(libc::SYS_kill, [-1_i32 as usize, 0, 0, 0, 0])
        };
        "traces another process", Works, FORBIDDEN, move || {
            const PTRACE_SEIZE: usize = 0x4206;
            try_call(libc::SYS_ptrace, [PTRACE_SEIZE, victim_memory, 0, 0, 0])
        };
        "reads another's memory", Perhaps, FORBIDDEN, move || {
            try_call(libc::SYS_process_vm_readv, [victim_memory, 0, 0, 0, 0])
        };
        "takes another's descriptors", Works, FORBIDDEN, move || {
            let process = pidfd_open(target, PidfdFlags::empty())?;
            other(pidfd_getfd(process.as_fd(), 0, PidfdGetfdFlags::empty()))
        };
        "sets another's limits", Works, FORBIDDEN, move || {
            try_call(libc::SYS_prlimit64, [victim_memory, libc::RLIMIT_CPU as usize, 0, 0, 0])
        };
        "loads a kernel module", Perhaps, FORBIDDEN, || {
            try_call(libc::SYS_init_module, [1, 1, c"".as_ptr() as usize, 0, 0])
        };
        "loads a program into the kernel (bpf)", Perhaps, FORBIDDEN, || {
            try_call(libc::SYS_bpf, [0, 0, 0, 0, 0])
        };
        "measures the kernel (perf)", Perhaps, FORBIDDEN, || {
            try_call(libc::SYS_perf_event_open, [0, 0, 0, usize::MAX, 0])
        };
        "makes calls through a ring (io_uring)", Perhaps, FORBIDDEN, || {
            try_call(libc::SYS_io_uring_setup, [0, 0, 0, 0, 0])
        };
        "handles page faults (userfaultfd)", Perhaps, FORBIDDEN, || {
            try_open(libc::SYS_userfaultfd, [0, 0, 0, 0, 0])
        };
        "looks at keys", Perhaps, FORBIDDEN, || {
            const KEYCTL_GET_KEYRING_ID: usize = 0;
            const PROCESS_KEYRING: usize = -2_i32 as usize;
            try_call(libc::SYS_keyctl, [KEYCTL_GET_KEYRING_ID, PROCESS_KEYRING, 1, 0, 0])
        };
        "sets the clock", Perhaps, FORBIDDEN, || {
            let now = [0_i64; 2];
            try_call(libc::SYS_clock_settime, [99, now.as_ptr() as usize, 0, 0, 0])
        };
        "reboots", Perhaps, FORBIDDEN, || try_call(libc::SYS_reboot, [0, 0, 0, 0, 0]);
        "opens a file by its handle", Perhaps, FORBIDDEN, || {
            try_call(libc::SYS_open_by_handle_at, [0, 0, 0, 0, 0])
        };
        "changes its user", Works, FORBIDDEN, || try_call(libc::SYS_setuid, [0, 0, 0, 0, 0]);
        "takes capabilities back", Works, FORBIDDEN, || {
            let sets = rustix::thread::capabilities(None)?;
            other(rustix::thread::set_capabilities(None, sets))
        };
        "writes code into memory", Works, FORBIDDEN, || {
            let (all, kind) = (libc::PROT_WRITE | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let got = call(libc::SYS_mmap, [0, 4096, all as usize, kind as usize, usize::MAX])?;
            try_call(libc::SYS_munmap, [got, 4096, 0, 0, 0])
        };
        "turns memory into code", Works, FORBIDDEN, || {
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let own = [0, 4096, libc::PROT_WRITE as usize, kind as usize, usize::MAX];
            let got = call(libc::SYS_mmap, own)?;
            let code = libc::PROT_READ | libc::PROT_EXEC;
            let outcome = try_call(libc::SYS_mprotect, [got, 4096, code as usize, 0, 0]);
            try_call(libc::SYS_munmap, [got, 4096, 0, 0, 0])?;
            outcome
        };
        "types into a terminal", Perhaps, FORBIDDEN, || {
            let letter = c"x".as_ptr() as usize;
            let file = File::open("/dev/null")?;
            try_call(libc::SYS_ioctl, [file.as_raw_fd() as usize, libc::TIOCSTI as usize, letter, 0, 0])
        };
    ];
    for signalling in all.iter_mut().filter(|attempt| attempt.what == "signals another process") {
        signalling.since = Some("6.12");
    }
    all.push(
        attempt(
            "makes a program in memory",
            Works,
            FORBIDDEN,
            Box::new(|| {
                let file =
                    File::from(rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC)?);
                file.write_all_at(&fs::read(tool())?, 0)?;
                // As long as this is open, it has that name.
                run(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()), &["--version"])
            }),
        )
        .since("6.3"),
    );
    all.push(
        attempt(
            "listens at a TCP port",
            Works,
            DENIED,
            Box::new(|| TcpListener::bind("127.0.0.1:8099").map(drop)),
        )
        .since("6.7"),
    );
    all.push(
        attempt(
            "connects by TCP",
            Works,
            DENIED,
            Box::new({
                let server = TcpListener::bind("127.0.0.1:0").ok();
                let address = server.as_ref().and_then(|server| server.local_addr().ok());
                let kept: Option<(TcpListener, std::net::SocketAddr)> = server.zip(address);
                move || match &kept {
                    Some((_, address)) => TcpStream::connect(address).map(drop),
                    // Whoever is confined cannot even have a server of his own.
                    None => TcpStream::connect("127.0.0.1:80").map(drop),
                }
            }),
        )
        .since("6.7"),
    );
    all
}

/// What a daemon goes on doing.
pub(super) fn permitted(inside: &Path) -> Vec<(&'static str, io::Result<()>)> {
    let (file, renamed, socket_at) =
        (inside.join("new"), inside.join("renamed"), inside.join("socket"));
    let write = || {
        fs::write(&file, "one")?;
        fs::write(&file, "two")?;
        OpenOptions::new().append(true).open(&file)?.set_len(1)?;
        fs::rename(&file, &renamed)?;
        fs::set_permissions(&renamed, fs::Permissions::from_mode(0o640))?;
        fs::remove_file(&renamed)
    };
    let serve = || {
        let server = UnixListener::bind(&socket_at)?;
        let client = UnixStream::connect(&socket_at)?;
        server.accept()?;
        drop(client);
        fs::remove_file(&socket_at)
    };
    let own_child = || {
        let mut child = Command::new(tool())
            .args(["-i"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()?;
        child.kill()?;
        child.wait().map(drop)
    };
    vec![
        ("writes where it may", write()),
        ("serves a unix socket", serve()),
        ("runs nft", run(tool(), &["--version"])),
        ("ends what it has started", own_child()),
        ("starts a thread", thread::Builder::new().spawn(|| ()).map(|thread| drop(thread.join()))),
        ("reads", fs::read("/etc/passwd").map(drop)),
        (
            "sends over UDP",
            UdpSocket::bind("127.0.0.1:0")
                .and_then(|own| own.send_to(b"", own.local_addr()?))
                .map(drop),
        ),
        (
            "speaks netfilter's netlink",
            other(socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::NETFILTER))),
        ),
        (
            "binds an abstract name",
            SocketAddr::from_abstract_name("portcullis-test")
                .and_then(|name| UnixListener::bind_addr(&name))
                .map(drop),
        ),
    ]
}
