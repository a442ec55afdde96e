//! Which program has a socket open.
//!
//! The kernel does not say it of a socket, only of a program: every descriptor of every process is
//! looked at. An ordinary user sees that of his own processes only.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

/// A process, as an admin knows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Program {
    /// Its number.
    pub pid: u32,
    /// Its name, at most 15 bytes (`/proc/PID/comm`).
    pub name: String,
}

/// The programs that have these sockets open, by the sockets' inodes; where several do, the one
/// with the lowest number, which is mostly the parent of the others. What may not be read is left
/// out.
pub fn programs(inodes: &HashSet<u32>) -> HashMap<u32, Program> {
    search(Path::new("/proc"), inodes)
}

fn search(proc: &Path, inodes: &HashSet<u32>) -> HashMap<u32, Program> {
    let mut found: HashMap<u32, Program> = HashMap::new();
    let mut pids: Vec<u32> = fs::read_dir(proc)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    for pid in pids {
        if found.len() == inodes.len() {
            break;
        }
        let home = proc.join(pid.to_string());
        let Ok(descriptors) = fs::read_dir(home.join("fd")) else { continue };
        let open = descriptors
            .filter_map(|descriptor| inode(&fs::read_link(descriptor.ok()?.path()).ok()?))
            .filter(|inode| inodes.contains(inode));
        let mut name = None;
        for inode in open {
            found.entry(inode).or_insert_with(|| {
                let name = name.get_or_insert_with(|| {
                    fs::read_to_string(home.join("comm")).unwrap_or_default().trim().to_owned()
                });
                Program { pid, name: name.clone() }
            });
        }
    }
    found
}

/// From `socket:[12345]`.
fn inode(link: &Path) -> Option<u32> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn descriptors_lead_to_programs() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, name, sockets) in
            [(9, "worker", &[77, 5][..]), (8, "server", &[77]), (10, "other", &[78])]
        {
            let home = proc.path().join(pid.to_string());
            fs::create_dir_all(home.join("fd")).unwrap();
            fs::write(home.join("comm"), format!("{name}\n")).unwrap();
            for socket in sockets {
                let link = home.join(format!("fd/{socket}"));
                symlink(format!("socket:[{socket}]"), link).unwrap();
            }
            symlink("pipe:[77]", home.join("fd/0")).unwrap();
        }
        fs::create_dir(proc.path().join("net")).unwrap();
        let found = search(proc.path(), &[77, 78, 79].into_iter().collect());
        let program = |pid, name: &str| Program { pid, name: name.into() };
        let expected = [(77, program(8, "server")), (78, program(10, "other"))];
        assert_eq!(found, expected.into_iter().collect());
    }

    #[test]
    fn our_own_socket_is_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sockets = crate::host::tcp_sockets(crate::host::TcpState::Listen.into()).unwrap();
        let own = sockets.iter().find(|socket| socket.local.port() == port).unwrap();
        let found = programs(&[own.inode].into_iter().collect());
        assert_eq!(found[&own.inode].pid, std::process::id());
    }
}
