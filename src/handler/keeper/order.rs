//! What a keeper is told to run, as one message: a head of numbers, a table of places and the texts they point to. The
//! keeper, which must not allocate, makes addresses of the places and hands them to the kernel as they are.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Gid, Uid};

/// More than any system takes for arguments and environment.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;
/// Descriptors a program may be given, the standard ones too.
pub(super) const DESCRIPTORS: usize = 8;
/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// In place of a number that is not given.
pub(crate) const NONE: u64 = u64::MAX;

/// A program and what it becomes.
#[derive(Debug, Default)]
pub(crate) struct Launch {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    limits: Limits,
    account: Option<Account>,
}

/// Bounds of one process, soft and hard; [`NONE`] where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Limits {
    /// Bytes of memory it may write to.
    pub(crate) memory: u64,
    /// Seconds of processor time.
    pub(crate) cpu: u64,
    /// Open files.
    pub(crate) files: u64,
    /// Processes of its user.
    pub(crate) processes: u64,
    /// Bytes of a file it writes.
    pub(crate) file_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: NONE, cpu: NONE, files: NONE, processes: NONE, file_size: NONE }
    }
}

/// Whom a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: Uid,
    pub(crate) group: Gid,
    pub(crate) groups: Vec<Gid>,
}

/// The beginning of an order. Places count bytes from here.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Head {
    /// Of the whole order, in bytes.
    pub(super) length: u64,
    /// Three lists of places, each closed by a zero, one behind the other: where the program may be, its arguments, its
    /// environment.
    pub(super) programs: u64,
    pub(super) arguments: u64,
    pub(super) environment: u64,
    /// Where the lists end.
    pub(super) texts: u64,
    /// Zero: where the keeper is.
    pub(super) directory: u64,
    pub(super) limits: Limits,
    /// [`NONE`]: as the keeper.
    pub(super) user: u64,
    pub(super) group: u64,
    /// Numbers of 32 bits.
    pub(super) groups: u64,
    pub(super) group_count: u64,
}

const HEAD: usize = size_of::<Head>();

impl Launch {
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), ..Self::default() }
    }

    pub(crate) fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Of a name set twice the last counts.
    pub(crate) fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> &mut Self {
        for (name, value) in variables {
            self.env(name, value);
        }
        self
    }

    pub(crate) fn directory(&mut self, directory: impl Into<PathBuf>) -> &mut Self {
        self.directory = Some(directory.into());
        self
    }

    pub(crate) fn limits(&mut self, limits: Limits) -> &mut Self {
        self.limits = limits;
        self
    }

    pub(crate) fn account(&mut self, account: Account) -> &mut Self {
        self.account = Some(account);
        self
    }

    /// Where the program may be: as it is when its name holds a slash, else along the PATH it is given.
    fn places(&self) -> Vec<PathBuf> {
        if self.program.as_os_str().as_bytes().contains(&b'/') {
            return vec![self.program.clone()];
        }
        let path = self.environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
        std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH)))
            .map(|directory| {
                if directory == Path::new("") {
                    Path::new(".").join(&self.program)
                } else {
                    directory.join(&self.program)
                }
            })
            .collect()
    }

    /// The message. `EINVAL` when something holds a NUL, `E2BIG` when no system would take it.
    pub(super) fn order(&self) -> io::Result<Vec<u8>> {
        let text = |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| io::Error::from(Errno::EINVAL));
        let mut texts = Texts::default();
        let programs = self.places().iter().map(|place| text(place.as_os_str())).collect::<io::Result<Vec<_>>>()?;
        let arguments = std::iter::once(self.program.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str));
        let arguments = arguments.map(text).collect::<io::Result<Vec<_>>>()?;
        let mut environment = Vec::with_capacity(self.environment.len());
        for (at, (name, value)) in self.environment.iter().enumerate() {
            if self.environment[at + 1..].iter().all(|(later, _)| later != name) {
                let mut variable = name.clone();
                variable.push("=");
                variable.push(value);
                environment.push(text(&variable)?);
            }
        }
        let mut places = Vec::new();
        let mut list = |strings: &[CString]| {
            let start = HEAD + places.len() * size_of::<u64>();
            places.extend(strings.iter().map(|string| texts.add(string.as_bytes_with_nul())));
            places.push(Texts::END);
            start as u64
        };
        let (programs, arguments, environment) = (list(&programs), list(&arguments), list(&environment));
        let directory = self.directory.as_ref().map(|directory| text(directory.as_os_str())).transpose()?;
        let directory = directory.map_or(Texts::END, |directory| texts.add(directory.as_bytes_with_nul()));
        let groups = self.account.iter().flat_map(|account| &account.groups);
        let groups: Vec<u8> = groups.flat_map(|group| group.as_raw().to_ne_bytes()).collect();
        // numbers stand where numbers may stand
        texts.align();
        let first_group = texts.add(&groups);

        let start = HEAD + places.len() * size_of::<u64>();
        let place = |within: u64| if within == Texts::END { 0 } else { within + start as u64 };
        let head = Head {
            length: (start + texts.bytes.len()) as u64,
            programs,
            arguments,
            environment,
            texts: start as u64,
            directory: place(directory),
            limits: self.limits,
            user: self.account.as_ref().map_or(NONE, |account| account.user.as_raw().into()),
            group: self.account.as_ref().map_or(NONE, |account| account.group.as_raw().into()),
            groups: place(first_group),
            group_count: (groups.len() / size_of::<u32>()) as u64,
        };
        if head.length > LONGEST as u64 {
            return Err(Errno::E2BIG.into());
        }
        let mut order = Vec::with_capacity(start + texts.bytes.len());
        order.extend_from_slice(head.bytes());
        order.extend(places.into_iter().flat_map(|within| place(within).to_ne_bytes()));
        order.extend_from_slice(&texts.bytes);
        Ok(order)
    }
}

impl Head {
    #[expect(unsafe_code, reason = "the bytes of a struct of numbers without gaps")]
    fn bytes(&self) -> &[u8] {
        // SAFETY: every field is a u64, so there is no byte that is not set
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), HEAD) }
    }
}

/// What places point to, before it is known where it stands.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
}

impl Texts {
    /// Nothing is there.
    const END: u64 = u64::MAX;

    fn add(&mut self, bytes: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        at
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(size_of::<u64>()), 0);
    }
}
