//! `[handlers.NAME.command]` and `[handlers.NAME.process]`: what runs programs.

use super::super::Shape::{Duration, Either, List, Named, Off, Size, Table, Whole, Word};
use super::super::{ANY_TEXT, DURATION_OR_OFF, Key, PATH, SIZE_OR_OFF, Shape, TEXT, TEXTS, key, optional, required};
use super::ANSWERS;

pub(super) const COMMAND: &[Key] = &[
    required("argv", ARGV, "Program and arguments, without a shell; a placeholder is a whole argument."),
    DIRECTORY,
    ENV,
    ENV_ALLOW,
    key("kill_after", Duration, "5s", "From TERM to KILL when it is stopped."),
    key("max_output", Size, "256KiB", "Bytes of stdout, and of stderr, that are kept."),
    USER,
    GROUP,
    LIMITS,
    optional("work_dir", PATH, "Where each attempt gets a directory of its own, which is removed after it."),
    optional("exit", Named("^[0-9]{1,3}$", &EXIT), "What exit codes mean, over the built-in table."),
];

pub(super) const PROCESS: &[Key] = &[
    required("argv", ARGV, "Program and arguments of every process, without a shell and without placeholders."),
    DIRECTORY,
    ENV,
    ENV_ALLOW,
    key("kill_after", Duration, "5s", "From telling a job or a process to stop until its process is ended."),
    USER,
    GROUP,
    LIMITS,
    key("workers", WORKERS, "1", "How many processes, or the least, and the most while jobs wait."),
    key("transport", Word(&["fds", "stdio"]), "fds", "Frames on descriptors 3 and 4, or on stdin and stdout."),
    key("slots", Whole(1, MOST), "100", "Jobs at once in one process, at most."),
    key("start_timeout", Duration, "10s", "Until a process must be ready."),
    key("idle", DURATION_OR_OFF, "5m", "Without a job for this long, processes above min are stopped."),
    optional("max_jobs", Either(&[Whole(1, i64::MAX), Off]), "Jobs after which a process is replaced."),
    optional("max_age", DURATION_OR_OFF, "Age at which a process is replaced."),
    optional("max_memory", SIZE_OR_OFF, "Resident memory at which a process is replaced."),
    key("ping", DURATION_OR_OFF, "10s", "How often a process must show that it is alive; false for never."),
    key("max_frame", Size, "8MiB", "Longest line a process may write."),
    optional(
        "app",
        List(&Word(&["cache", "session", "limit", "presence"])),
        "What its jobs may use of what stands beside the queues.",
    ),
];

/// Processes, and jobs in one of them, nobody means to exceed.
const MOST: i64 = 10_000;

const ARGV: Shape = List(&ANY_TEXT);
const DIRECTORY: Key = optional("directory", PATH, "Where it runs.");
const ENV: Key = optional("env", Named("^[^=]+$", &super::VALUE), "Variables set for it.");
const ENV_ALLOW: Key =
    optional("env_allow", TEXTS, "Variables passed on from the environment of oxherd, beside PATH, HOME and LANG.");
const USER: Key = optional("user", TEXT, "Name or number of the user it runs as, when oxherd runs as root.");
const GROUP: Key = optional("group", TEXT, "Name or number of the group it runs as, when oxherd runs as root.");
const LIMITS: Key = optional("limits", Table(LIMIT), "What each of its processes may take.");
const COUNT: Shape = Either(&[Whole(1, 1 << 30), Off]);

const LIMIT: &[Key] = &[
    key("memory", SIZE_OR_OFF, "false", "Memory each process may write to."),
    key("cpu", DURATION_OR_OFF, "false", "Processor time of each, in whole seconds."),
    key("files", Either(&[Whole(8, 1 << 30), Off]), "false", "Open files of each."),
    key("processes", COUNT, "false", "Processes of its user, whoever started them."),
    key("file_size", SIZE_OR_OFF, "false", "The largest file each may write."),
];

const WORKERS: Shape = Either(&[
    Whole(1, MOST),
    Table(&[
        key("min", Whole(0, MOST), "1", "So many always."),
        key("max", Whole(1, MOST), "1", "So many while jobs wait."),
    ]),
]);

const EXIT: Shape = Either(&[
    Word(ANSWERS),
    Table(&[
        required("outcome", Word(ANSWERS), "What the code means."),
        optional("after", DURATION_OR_OFF, "How long a retry or a deferral waits."),
    ]),
]);
