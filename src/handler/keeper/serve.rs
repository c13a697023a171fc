//! The keeper itself: what the forked process does until its daemon is gone.
//!
//! It was forked from a process with many threads, of which it has one. Whatever lock another thread held stays locked
//! for ever, the allocator's too: so here is nothing but system calls on memory that is ours already. For the same
//! reason nothing here may panic.

use std::os::fd::RawFd;
use std::ptr;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_void};
use nix::sys::signal::SigSet;
use nix::unistd::Pid;

use super::launch;
use super::order::{DESCRIPTORS, Head, LONGEST};
use super::report::{Ended, LENGTH, Report};

/// Words that are no length of an order.
pub(super) const TERM: u64 = 1;
pub(super) const KILL: u64 = 2;

/// Where the connection to the daemon is, once all else is closed.
const SOCKET: RawFd = 3;
/// A program that ends within this time is told of in one go: to wake the daemon costs more than most that is done here.
const QUICK: Duration = Duration::from_millis(10);
/// How long to wait for what was killed before it is looked for again.
const AGAIN: Duration = Duration::from_millis(20);
/// Room for an order of the usual size.
const ROOM: usize = 64 * 1024;

/// Serves the daemon at the other end of `socket` until it is gone.
pub(super) fn serve(socket: RawFd) -> ! {
    settle(socket);
    if let Some(mut room) = Room::new(ROOM) {
        while let Some((order, descriptors)) = receive(&mut room) {
            if let Some(descriptors) = descriptors {
                if !keep(order, &descriptors) {
                    break;
                }
            } else {
                tell(Report::NotStarted(super::Step::Descriptors, Errno::EMFILE));
            }
        }
    }
    // SAFETY: ends the process, and nothing of the daemon's is run on the way out
    unsafe { libc::_exit(0) }
}

/// Becomes a process that has nothing of the daemon's but the socket.
fn settle(socket: RawFd) {
    SigSet::all().thread_block().ok();
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: handlers of the daemon's are taken away; SIGKILL and the like refuse, which is as well
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: a handler that does nothing. Without one the signal would not end a wait
    unsafe { libc::signal(libc::SIGCHLD, noticed as *const () as libc::sighandler_t) };
    // SAFETY: system calls on numbers and constant texts
    unsafe {
        // no terminal and no signal of the daemon's group reaches us or our programs
        libc::setsid();
        if socket != SOCKET {
            libc::dup2(socket, SOCKET);
        }
        libc::fcntl(SOCKET, libc::F_SETFD, libc::FD_CLOEXEC);
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for standard in 0..=2 {
            if null < 0 || libc::dup2(null, standard) < 0 {
                libc::close(standard);
            }
        }
        close_from(SOCKET + 1);
        libc::prctl(libc::PR_SET_NAME, super::NAME.as_ptr());
        // whatever the programs leave behind becomes our child
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        // a dump of a job's data belongs in no file
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
    }
    launch::expose();
}

extern "C" fn noticed(_: c_int) {}

fn close_from(first: c_int) {
    // SAFETY: nothing in this process uses what is closed
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) < 0 {
            // before Linux 5.9
            let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
            libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
            for number in first..c_int::try_from(limit.rlim_cur.min(1 << 20)).unwrap_or(1 << 20) {
                libc::close(number);
            }
        }
    }
}

/// Memory for orders.
struct Room {
    start: *mut c_void,
    length: usize,
}

impl Room {
    fn new(length: usize) -> Option<Self> {
        // SAFETY: new memory, nobody else's
        let start = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(ptr::null_mut(), length, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        (start != libc::MAP_FAILED).then_some(Self { start, length })
    }

    /// Larger, with the same beginning.
    fn grow(&mut self, length: usize) -> bool {
        // SAFETY: our own mapping, to which no reference is held
        let start = unsafe { libc::mremap(self.start, self.length, length, libc::MREMAP_MAYMOVE) };
        if start == libc::MAP_FAILED {
            return false;
        }
        (self.start, self.length) = (start, length);
        true
    }
}

/// Descriptors of an order, to be closed once the program has them.
struct Descriptors {
    numbers: [c_int; DESCRIPTORS],
    count: usize,
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        for number in self.numbers.iter().take(self.count) {
            // SAFETY: they were sent to us
            unsafe { libc::close(*number) };
        }
    }
}

/// The next order with its places made addresses; no descriptors when there was no room for them. `None` when the daemon
/// is gone.
fn receive(room: &mut Room) -> Option<(*const Head, Option<Descriptors>)> {
    let mut descriptors = Descriptors { numbers: [-1; DESCRIPTORS], count: 0 };
    let mut filled = 0;
    let mut length = size_of::<Head>();
    let mut is_cut = false;
    while filled < length {
        if length > room.length && !room.grow(length) {
            return None;
        }
        let took = receive_some(room, filled, &mut descriptors, &mut is_cut)?;
        filled = filled.saturating_add(took);
        if filled >= size_of::<Head>() {
            // SAFETY: the head is there, and mappings begin at a page
            length = unsafe { (*room.start.cast::<Head>()).length }.try_into().ok()?;
            if length > LONGEST {
                return None;
            }
        }
    }
    let head = room.start.cast::<Head>();
    // SAFETY: the daemon wrote the order, and it is whole. Places lie between the head and the texts, in eights
    unsafe {
        let base = room.start as u64;
        let places = room.start.cast::<u64>();
        let mut at = (*head).programs / size_of::<u64>() as u64;
        while at < (*head).texts / size_of::<u64>() as u64 {
            let place = places.add(usize::try_from(at).ok()?);
            if *place != 0 {
                *place = place.read().wrapping_add(base);
            }
            at = at.wrapping_add(1);
        }
    }
    Some((head.cast_const(), (!is_cut).then_some(descriptors)))
}

/// Bytes that arrived behind the first `filled`; `None` at the end.
fn receive_some(room: &Room, filled: usize, descriptors: &mut Descriptors, is_cut: &mut bool) -> Option<usize> {
    // aligned as the kernel wants it, and large enough for all that may come
    let mut control = [0_u64; 16];
    let mut part =
        libc::iovec { iov_base: room.start.wrapping_byte_add(filled), iov_len: room.length.saturating_sub(filled) };
    // SAFETY: numbers and null pointers
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: what the message points to is ours and outlives the call
    let took = unsafe { libc::recvmsg(SOCKET, &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    *is_cut |= message.msg_flags & libc::MSG_CTRUNC != 0;
    // SAFETY: the kernel has filled in the message
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if !header.is_null() && (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
            let bytes = ((*header).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            let sent = libc::CMSG_DATA(header).cast::<[u8; size_of::<c_int>()]>();
            for n in 0..bytes / size_of::<c_int>() {
                if let Some(number) = descriptors.numbers.get_mut(descriptors.count) {
                    *number = c_int::from_ne_bytes(sent.add(n).read());
                    descriptors.count = descriptors.count.saturating_add(1);
                }
            }
        }
    }
    usize::try_from(took).ok().filter(|took| *took > 0)
}

/// Runs one program until nothing is left of it. Whether the daemon is still there.
fn keep(order: *const Head, descriptors: &Descriptors) -> bool {
    let numbers = descriptors.numbers.get(..descriptors.count).unwrap_or_default();
    let leader = match launch::launch(order, numbers) {
        Ok(leader) => leader,
        Err((step, errno)) => {
            tell(Report::NotStarted(step, errno));
            return true;
        }
    };
    for number in numbers {
        // SAFETY: the program has its own. That they are closed once more later meets numbers nobody has
        unsafe { libc::close(*number) };
    }
    let mut started = Some(Report::Started(Pid::from_raw(leader)));
    let (mut is_served, mut has_ended, mut is_killing) = (true, false, false);
    loop {
        let mut is_alone = false;
        let mut end = None;
        loop {
            match reap() {
                Some((pid, status, cpu)) if pid == leader => end = Some((status, cpu)),
                Some((0, ..)) => break,
                Some(_) => {}
                None => {
                    is_alone = true;
                    break;
                }
            }
        }
        if let Some((status, cpu)) = end {
            has_ended = true;
            is_killing = true;
            let status = std::os::unix::process::ExitStatusExt::from_raw(status);
            let ended = Report::Ended { end: Ended { status, cpu }, is_alone };
            match started.take() {
                Some(started) => tell_both(started, ended),
                None => tell(ended),
            }
            if is_alone {
                return is_served;
            }
        }
        if is_alone {
            tell(Report::Gone);
            return is_served;
        }
        if is_killing {
            kill(-leader, libc::SIGKILL);
            kill_children();
        }
        let longest = if is_killing { Some(AGAIN) } else { started.map(|_| QUICK) };
        match wait(is_served, longest) {
            Heard::Nothing => {}
            Heard::Late => started.take().into_iter().for_each(tell),
            Heard::Term if has_ended => {}
            Heard::Term => kill(-leader, libc::SIGTERM),
            Heard::Kill => is_killing = true,
            Heard::End => (is_served, is_killing) = (false, true),
        }
    }
}

/// Collects one child that has ended: process, status and processor time; zero for the process when all are alive, `None` when there is none.
fn reap() -> Option<(c_int, c_int, Duration)> {
    let mut status = 0;
    // SAFETY: numbers
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both live longer than the call
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    let time = |time: libc::timeval| {
        Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default())
            .saturating_add(Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default()))
    };
    (pid >= 0).then(|| (pid, status, time(usage.ru_utime).saturating_add(time(usage.ru_stime))))
}

fn kill(process: c_int, signal: c_int) {
    // SAFETY: numbers
    unsafe { libc::kill(process, signal) };
}

/// Stops what are our children now, so that they start no others, and kills them with their groups. What they have
/// started becomes our child in turn.
fn kill_children() {
    for signal in [libc::SIGSTOP, libc::SIGKILL] {
        let mut text = [0_u8; 4096];
        // SAFETY: reads into memory of our own
        let read = unsafe {
            let file = libc::open(c"/proc/thread-self/children".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            let read = libc::read(file, text.as_mut_ptr().cast(), text.len());
            libc::close(file);
            usize::try_from(read).unwrap_or_default()
        };
        let mut pid: c_int = 0;
        // a number that is cut off at the end is not taken for another
        for byte in text.iter().take(read) {
            if byte.is_ascii_digit() {
                pid = pid.wrapping_mul(10).wrapping_add(c_int::from(*byte).wrapping_sub(48));
            } else if pid > 0 {
                // SAFETY: numbers
                let (group, own) = unsafe { (libc::getpgid(pid), libc::getpgrp()) };
                kill(if group > 0 && group != own { -group } else { pid }, signal);
                pid = 0;
            }
        }
    }
}

enum Heard {
    Nothing,
    Late,
    Term,
    Kill,
    End,
}

/// Waits for a word of the daemon, for the end of a child, or that long.
fn wait(is_served: bool, longest: Option<Duration>) -> Heard {
    let mut socket = libc::pollfd { fd: SOCKET, events: libc::POLLIN, revents: 0 };
    let longest = longest.map(|longest| libc::timespec { tv_sec: 0, tv_nsec: longest.subsec_nanos().into() });
    let mut word = 0_u64;
    // SAFETY: everything pointed to outlives the calls. The mask lets through the end of a child, and nothing else
    let read = unsafe {
        let mut blocked = std::mem::zeroed();
        libc::sigfillset(&raw mut blocked);
        libc::sigdelset(&raw mut blocked, libc::SIGCHLD);
        let longest = longest.as_ref().map_or(ptr::null(), ptr::from_ref);
        let count = libc::ppoll(&raw mut socket, is_served.into(), longest, &raw const blocked);
        if count <= 0 {
            return if count == 0 { Heard::Late } else { Heard::Nothing };
        }
        libc::read(SOCKET, (&raw mut word).cast(), size_of::<u64>())
    };
    match (read, word) {
        (8, TERM) => Heard::Term,
        (8, KILL) => Heard::Kill,
        // whoever cannot be understood is as good as gone
        _ => Heard::End,
    }
}

/// Fails only when nobody listens any more, which is noticed elsewhere.
fn tell(report: Report) {
    write(&report.bytes());
}

fn tell_both(first: Report, second: Report) {
    let mut bytes = [0; 2 * LENGTH];
    for (to, from) in bytes.iter_mut().zip(first.bytes().into_iter().chain(second.bytes())) {
        *to = from;
    }
    write(&bytes);
}

fn write(bytes: &[u8]) {
    // SAFETY: reads what is ours; SIGPIPE is blocked
    unsafe { libc::write(SOCKET, bytes.as_ptr().cast(), bytes.len()) };
}
