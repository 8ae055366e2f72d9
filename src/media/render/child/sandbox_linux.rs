//! Landlock and seccomp.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use std::{collections::BTreeMap, os::fd::AsFd, path::Path};

/// What a tool may read and run: programs, libraries, fonts and what names them. No settings, nobody's data.
const READABLE: [&str; 12] = [
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/fonts",
    "/var/cache/fontconfig",
    "/dev/urandom",
];

/// No file can be opened any more, no port reached or opened, no process outside signalled.
pub(in super::super) fn deny_files() -> Result<(), String> {
    restrict(ruleset()?)
}

/// A tool reads the system and its source, writes to what is open, and reaches nothing else.
pub(super) fn confine_tool(program: &Path) -> Result<(), String> {
    let reading = AccessFs::from_read(ABI::V10);
    let mut ruleset = ruleset()?;
    let folder = program.parent().and_then(|folder| folder.canonicalize().ok());
    let paths = READABLE.iter().map(Path::new).chain(folder.as_deref());
    for path in paths.filter(|path| path.exists()) {
        let allowed = if path.is_dir() { reading } else { reading & AccessFs::from_file(ABI::V10) };
        ruleset = allow(ruleset, PathFd::new(path).map_err(in_words)?, allowed)?;
    }
    ruleset = allow(ruleset, std::io::stdin().as_fd(), AccessFs::ReadFile.into())?;
    ruleset = allow(
        ruleset,
        PathFd::new("/dev/null").map_err(in_words)?,
        AccessFs::ReadFile | AccessFs::WriteFile,
    )?;
    // Where the kernel lacks one of the two, the other and the resource limits have to do.
    let by_landlock = restrict(ruleset);
    let never = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_io_uring_setup,
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
        libc::SYS_keyctl,
    ];
    let rules = never.into_iter().map(|call| (call, Vec::new())).collect();
    let by_filter = install(rules, SeccompAction::Allow, refusal());
    by_landlock.or(by_filter)
}

fn ruleset() -> Result<RulesetCreated, String> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V10))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(ABI::V10)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(ABI::V10)))
        .and_then(Ruleset::create)
        .map_err(in_words)
}

fn allow(
    ruleset: RulesetCreated,
    place: impl AsFd,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, String> {
    ruleset.add_rule(PathBeneath::new(place, access)).map_err(in_words)
}

fn restrict(ruleset: RulesetCreated) -> Result<(), String> {
    let status = ruleset.restrict_self().map_err(in_words)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel has no Landlock".to_owned()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// Leaves the system calls that decoding needs; all others fail as if the file or the right weren't there.
pub(in super::super) fn deny_system_calls() -> Result<(), String> {
    let always = [
        libc::SYS_read,
        libc::SYS_pread64,
        libc::SYS_readv,
        libc::SYS_lseek,
        libc::SYS_recvmsg,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_brk,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_getrandom,
        libc::SYS_clock_gettime,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_clone3,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        always.into_iter().map(|call| (call, Vec::new())).collect();
    let executable = number(libc::PROT_EXEC)?;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![rule(&[(2, SeccompCmpOp::MaskedEq(executable), 0)])?]);
    }
    // The line and the last words.
    let outputs = [number(libc::STDOUT_FILENO)?, number(libc::STDERR_FILENO)?];
    for call in [libc::SYS_write, libc::SYS_writev] {
        let to = outputs.into_iter().map(|output| rule(&[(0, SeccompCmpOp::Eq, output)]));
        rules.insert(call, to.collect::<Result<_, _>>()?);
    }
    // The next order's allowance, and an abort's signal to itself.
    let cpu = u64::from(libc::RLIMIT_CPU);
    rules.insert(libc::SYS_prlimit64, vec![rule(&[(0, SeccompCmpOp::Eq, 0), (1, SeccompCmpOp::Eq, cpu)])?]);
    let own = u64::from(std::process::id());
    for call in [libc::SYS_tgkill, libc::SYS_kill] {
        rules.insert(call, vec![rule(&[(0, SeccompCmpOp::Eq, own)])?]);
    }
    // Threads, which the JPEG decoder works with, and no processes. The flags of the newer call can't be looked at: it
    // has to look as if it weren't there, so that the older one is used.
    let thread = number(libc::CLONE_THREAD | libc::CLONE_VM)?;
    rules.insert(libc::SYS_clone, vec![rule(&[(0, SeccompCmpOp::MaskedEq(thread), thread)])?]);
    rules.insert(libc::SYS_prctl, vec![rule(&[(0, SeccompCmpOp::Eq, number(libc::PR_SET_NAME)?)])?]);
    let absent = SeccompAction::Errno(u32::try_from(libc::ENOSYS).map_err(in_words)?);
    install(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), SeccompAction::Allow, absent)?;
    install(rules, refusal(), SeccompAction::Allow)
}

fn refusal() -> SeccompAction {
    SeccompAction::Errno(u32::try_from(libc::EPERM).unwrap_or(1))
}

fn number(value: libc::c_int) -> Result<u64, String> {
    u64::try_from(value).map_err(in_words)
}

/// Holds when each argument compares as given; four bytes of each are looked at.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, String> {
    let conditions = conditions.iter().map(|(argument, operator, value)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operator.clone(), *value)
    });
    let conditions = conditions.collect::<Result<Vec<_>, _>>().map_err(in_words)?;
    SeccompRule::new(conditions).map_err(in_words)
}

fn install(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<(), String> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(in_words)?;
    let filter = SeccompFilter::new(rules, otherwise, listed, architecture).map_err(in_words)?;
    let program = BpfProgram::try_from(filter).map_err(in_words)?;
    seccompiler::apply_filter(&program).map_err(in_words)
}

fn in_words(error: impl std::fmt::Display) -> String {
    error.to_string()
}
