//! From an order to a process: what the new process does to itself before it becomes the program.
//!
//! It borrows the keeper's memory, and the keeper stands still until it has become the program or given up (as `vfork`
//! does it). So nothing is copied, however large the daemon is, and what kept it from the program is simply written down.

use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::libc::{self, c_char, c_int, c_void};

use super::Step;
use super::order::{Head, NONE};

/// The kernel's readiness to end a process when memory runs out, from -1000 to 1000.
const EXPOSED: c_int = 500;
/// Of the new process, until it has become the program.
const STACK: usize = 64 * 1024;

#[repr(align(64))]
struct Stack([MaybeUninit<u8>; STACK]);

/// What keeper and new process share.
struct Shared<'a> {
    order: *const Head,
    /// What becomes of them: 0 and up.
    descriptors: &'a [RawFd],
    keeper: c_int,
    failed: Option<(Step, Errno)>,
}

/// Starts the program and returns its process, which leads a group of its own.
pub(super) fn launch(order: *const Head, descriptors: &[RawFd]) -> Result<c_int, (Step, Errno)> {
    #[expect(clippy::large_stack_arrays, reason = "nothing may be allocated here, and the keeper uses no other stack")]
    let mut stack = Stack([MaybeUninit::uninit(); STACK]);
    // SAFETY: numbers
    let keeper = unsafe { libc::getpid() };
    let mut shared = Shared { order, descriptors, keeper, failed: None };
    // SAFETY: the process runs on the stack given, and until it ends or has become the program we do not go on, so that
    // it alone uses what is shared
    let pid = unsafe {
        let top = stack.0.as_mut_ptr().add(STACK).cast::<c_void>();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(new_process, top, flags, (&raw mut shared).cast())
    };
    if pid < 0 {
        return Err((Step::Fork, Errno::last()));
    }
    // it was written by the other process
    // SAFETY: ours again
    if let Some(failed) = unsafe { (&raw const shared.failed).read_volatile() } {
        // SAFETY: it ends at once, and no status is asked for
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        return Err(failed);
    }
    Ok(pid)
}

extern "C" fn new_process(shared: *mut c_void) -> c_int {
    let shared = shared.cast::<Shared>();
    // SAFETY: the keeper stands still
    unsafe {
        (*shared).failed = Some(become_program(&*shared));
    }
    // the end of the process
    127
}

/// Comes back only when it failed.
unsafe fn become_program(shared: &Shared) -> (Step, Errno) {
    // SAFETY: system calls on numbers and on texts of the order, which the daemon has closed with a zero
    unsafe {
        let order = &*shared.order;
        let at = |place: u64| shared.order.wrapping_byte_add(usize::try_from(place).unwrap_or_default());
        let list = |place: u64| at(place).cast::<*const c_char>();
        let failed = |step| (step, Errno::last());

        libc::setpgid(0, 0);
        for (target, number) in (0..).zip(shared.descriptors) {
            // each was received above the place it goes to, and later ones above those
            let done =
                if *number == target { libc::fcntl(target, libc::F_SETFD, 0) } else { libc::dup2(*number, target) };
            if done < 0 {
                return failed(Step::Descriptors);
            }
        }
        if order.directory != 0 && libc::chdir(at(order.directory).cast()) < 0 {
            return failed(Step::Directory);
        }
        let limits = &order.limits;
        for (resource, limit, beyond) in [
            (libc::RLIMIT_DATA, limits.memory, 0),
            // a program that does not listen to SIGXCPU is killed a little later
            (libc::RLIMIT_CPU, limits.cpu, 2),
            (libc::RLIMIT_NOFILE, limits.files, 0),
            (libc::RLIMIT_NPROC, limits.processes, 0),
            (libc::RLIMIT_FSIZE, limits.file_size, 0),
        ] {
            let mut rlimit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            if limit == NONE {
                continue;
            }
            if libc::getrlimit(resource, &raw mut rlimit) < 0 {
                return failed(Step::Limits);
            }
            // what we are held to ourselves holds for the program as well
            rlimit.rlim_max = rlimit.rlim_max.min(limit.saturating_add(beyond));
            rlimit.rlim_cur = rlimit.rlim_max.min(limit);
            if libc::setrlimit(resource, &raw const rlimit) < 0 {
                return failed(Step::Limits);
            }
        }
        if order.user != NONE {
            #[expect(clippy::cast_possible_truncation, reason = "they were numbers of 32 bits")]
            let (user, group, count) = (order.user as u32, order.group as u32, order.group_count as usize);
            // the groups first: who is not root any more cannot
            if libc::setgroups(count, at(order.groups).cast()) < 0
                || libc::setresgid(group, group, group) < 0
                || libc::setresuid(user, user, user) < 0
            {
                return failed(Step::Account);
            }
        }
        // after the change of user, which forgets it
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != shared.keeper {
            return (Step::Fork, Errno::ESRCH);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());

        let mut program = list(order.programs);
        let mut why = Errno::ENOENT;
        while !(*program).is_null() {
            libc::execve(*program, list(order.arguments), list(order.environment));
            match Errno::last() {
                // not here, but perhaps at the next place
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => why = Errno::EACCES,
                other => return (Step::Program, other),
            }
            program = program.add(1);
        }
        (Step::Program, why)
    }
}

/// Makes us, and so what we start, a likelier victim of the kernel than whoever else is there by default. Whoever may not,
/// or is one already, stays as it is.
pub(super) fn expose() {
    let mut text = [0_u8; 8];
    // SAFETY: system calls on memory of our own and constant texts
    unsafe {
        let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        let read = usize::try_from(libc::read(file, text.as_mut_ptr().cast(), text.len())).unwrap_or_default();
        let digits = text.iter().take(read).filter(|byte| byte.is_ascii_digit());
        let value =
            digits.fold(0_i32, |value, digit| value.wrapping_mul(10).wrapping_add(i32::from(*digit).wrapping_sub(48)));
        if text.first() == Some(&b'-') || value < EXPOSED {
            libc::write(file, c"500".as_ptr().cast(), 3);
        }
        libc::close(file);
    }
}
