//! seccomp: the system calls that there are.
//!
//! The list says what is allowed, so that a call which the kernel learns next year is refused. It
//! follows systemd's group `@system-service`, which the unit has always allowed and which every
//! distribution's nft and iptables live with, without what none of us needs: other namespaces,
//! users, devices, links, keys, and code that is written and then run.
//!
//! What is refused is an error (EPERM), not an end: a library that tries something new in nft shall
//! find that it may not, and do without; a killed nft would be a gate that cannot ban. Only calls by
//! another processor mode than the program's own (32 bits) end the process, for they would pass the
//! list by.

use std::collections::BTreeMap;

use libc::c_long;
use rustix::fs::{MemfdFlags, memfd_create};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

/// Calls that are allowed whatever their arguments are.
const ALLOWED: &[c_long] = &[
    // Files.
    libc::SYS_chdir,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    // To give the control socket to [control] group.
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_lseek,
    libc::SYS_memfd_create,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readahead,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat2,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_sync_file_range,
    libc::SYS_umask,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
    // Sockets; which kinds, see `socket`.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
    // Waiting.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_getitimer,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_setitimer,
    libc::SYS_timer_create,
    libc::SYS_timer_delete,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_gettime,
    libc::SYS_timer_settime,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
    // Signals.
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_signalfd4,
    libc::SYS_tgkill,
    // Memory; code, see `mmap` and `mprotect`.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mincore,
    libc::SYS_mremap,
    libc::SYS_msync,
    libc::SYS_munmap,
    // Processes and threads; which programs are run, Landlock decides.
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_prctl,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_wait4,
    libc::SYS_waitid,
    // Not really: see `restrict`.
    libc::SYS_clone3,
    // What a process may know of itself and the system.
    libc::SYS_capget,
    libc::SYS_get_robust_list,
    libc::SYS_getcpu,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getgroups,
    libc::SYS_getpgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getpriority,
    libc::SYS_getrandom,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getrlimit,
    libc::SYS_getrusage,
    libc::SYS_getsid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_yield,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_uname,
];

/// Older forms of the above, which newer processors' kernels do not have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_alarm,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_creat,
    libc::SYS_dup2,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_fork,
    libc::SYS_getdents,
    libc::SYS_getpgrp,
    libc::SYS_lchown,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pause,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_vfork,
];
#[cfg(target_arch = "aarch64")]
const OLDER: &[c_long] = &[libc::SYS_renameat];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OLDER: &[c_long] = &[];

/// Namespaces that a new process could be put into (clone(2)).
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32 as u64;

/// What is left.
#[derive(Debug)]
pub(super) struct Calls {
    /// So many.
    pub(super) count: usize,
    /// What is made in memory cannot be run.
    pub(super) sealed: bool,
}

/// Restricts this thread.
///
/// # Errors
/// Why it is not restricted, in words.
pub(super) fn enforce() -> Result<Calls, String> {
    restrict().map_err(|error| match error {
        Error::Seccomp(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            "the kernel has no seccomp filters".to_owned()
        }
        Error::Seccomp(error) | Error::Prctl(error) => error.to_string(),
        other => other.to_string(),
    })
}

fn restrict() -> Result<Calls, Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(Error::Backend)?;
    // Linux 6.3
    let sealed = memfd_create("portcullis", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL).is_ok();
    let rules = rules(sealed).map_err(Error::Backend)?;
    let count = rules.len() - 1;
    // Its flags lie in memory, where no filter sees them. Where the kernel has no such call, libc
    // takes the older one. Of two filters the stricter counts.
    let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    apply_filter(&compiled(clone3, SeccompAction::Allow, errno(libc::ENOSYS), arch)?)?;
    apply_filter(&compiled(rules, errno(libc::EPERM), SeccompAction::Allow, arch)?)?;
    Ok(Calls { count, sealed })
}

fn errno(number: i32) -> SeccompAction {
    SeccompAction::Errno(number.unsigned_abs())
}

fn compiled(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    then: SeccompAction,
    arch: TargetArch,
) -> Result<BpfProgram, Error> {
    Ok(SeccompFilter::new(rules, otherwise, then, arch)?.try_into()?)
}

/// Every call that is allowed, and where its arguments matter, those that are. With `sealed`, files
/// in memory are made only such that nobody can run them: Landlock knows no place of theirs.
fn rules(sealed: bool) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, seccompiler::BackendError> {
    use SeccompCmpOp::{Eq, Le, MaskedEq, Ne};
    let argument =
        |index, op, value: u64| SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value);
    let number = |number: i32| u64::from(number.unsigned_abs());
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        ALLOWED.iter().chain(OLDER).map(|call| (*call, Vec::new())).collect();
    let mut only = |call, kinds: Vec<Vec<SeccompCondition>>| {
        let kinds = kinds.into_iter().map(SeccompRule::new).collect::<Result<_, _>>()?;
        rules.insert(call, kinds);
        Ok(())
    };
    // Packets of every kind (AF_PACKET), Bluetooth, virtual machines' sockets and the like are not
    // ours; of netlink only what the gate and its tools speak.
    let mut sockets = vec![];
    for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
        sockets.push(vec![argument(0, Eq, number(family))?]);
    }
    for protocol in [libc::NETLINK_ROUTE, libc::NETLINK_NETFILTER, libc::NETLINK_SOCK_DIAG] {
        let netlink = argument(0, Eq, number(libc::AF_NETLINK))?;
        sockets.push(vec![netlink, argument(2, Eq, number(protocol))?]);
    }
    only(libc::SYS_socket, sockets)?;
    // Processes and threads, but in no namespace of their own.
    only(libc::SYS_clone, vec![vec![argument(0, MaskedEq(NAMESPACES), 0)?]])?;
    // Memory is written or run, never both, and does not become code later.
    let (write, run) = (number(libc::PROT_WRITE), number(libc::PROT_EXEC));
    let never_run = || argument(2, MaskedEq(run), 0);
    only(libc::SYS_mmap, vec![vec![never_run()?], vec![argument(2, MaskedEq(write), 0)?]])?;
    only(libc::SYS_mprotect, vec![vec![never_run()?]])?;
    if sealed {
        let seal = u64::from(MemfdFlags::NOEXEC_SEAL.bits());
        only(libc::SYS_memfd_create, vec![vec![argument(1, MaskedEq(seal), seal)?]])?;
    }
    // No typing into the terminal that it was started from (TIOCSTI, and TIOCLINUX's pasting).
    let typing = [libc::TIOCSTI, libc::TIOCLINUX];
    let harmless = typing.map(|request| argument(1, Ne, request & u64::from(u32::MAX)));
    only(libc::SYS_ioctl, vec![harmless.into_iter().collect::<Result<_, _>>()?])?;
    // One process, not all at once (0, -1), nor another group of them.
    let one = vec![argument(0, Le, u64::from(i32::MAX.unsigned_abs()))?, argument(0, Ne, 0)?];
    only(libc::SYS_kill, vec![one])?;
    // Its own limits: a limit can end another process of the same user.
    only(libc::SYS_prlimit64, vec![vec![argument(0, Eq, 0)?]])?;
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_makes_a_filter_on_every_processor_that_is_known() {
        let rules = rules(true).unwrap();
        assert!(rules.len() > 150, "{}", rules.len());
        for arch in [TargetArch::x86_64, TargetArch::aarch64, TargetArch::riscv64] {
            let errno = errno(libc::EPERM);
            let filter = compiled(rules.clone(), errno, SeccompAction::Allow, arch).unwrap();
            // BPF_MAXINSNS
            assert!(filter.len() < 4096, "{}", filter.len());
        }
    }

    #[test]
    fn nothing_stands_there_twice() {
        let mut all: Vec<c_long> = ALLOWED.iter().chain(OLDER).copied().collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    /// What would undo the rest, or has nothing to do with guarding.
    #[test]
    fn what_must_never_be_added() {
        let rules = rules(true).unwrap();
        for call in [
            libc::SYS_bpf,
            libc::SYS_chroot,
            libc::SYS_execveat,
            libc::SYS_finit_module,
            libc::SYS_init_module,
            libc::SYS_io_uring_setup,
            libc::SYS_kexec_load,
            libc::SYS_keyctl,
            libc::SYS_mknodat,
            libc::SYS_mount,
            libc::SYS_move_mount,
            libc::SYS_open_by_handle_at,
            libc::SYS_perf_event_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_pivot_root,
            libc::SYS_process_vm_writev,
            libc::SYS_ptrace,
            libc::SYS_reboot,
            libc::SYS_setns,
            libc::SYS_setuid,
            libc::SYS_unshare,
            libc::SYS_userfaultfd,
        ] {
            assert!(!rules.contains_key(&call), "{call}");
        }
        for call in [libc::SYS_socket, libc::SYS_clone, libc::SYS_memfd_create, libc::SYS_ioctl] {
            assert!(!rules[&call].is_empty(), "{call}");
        }
    }
}
