//! All that can be found. The names are public interface; `docs/doctor.md` has the same table.

use super::finding::Code;

macro_rules! codes {
    ($($constant:ident = $name:literal, $about:literal, $remedy:literal;)*) => {
        $(pub const $constant: Code = Code { name: $name, about: $about, remedy: $remedy };)*

        /// Every code there is.
        pub const ALL: &[Code] = &[$($constant),*];
    };
}

codes! {
    REDIS_REACH = "redis-reach",
        "Redis does not answer",
        "start Redis, or correct redis.url; a firewall or a wrong port looks the same";
    REDIS_LOGIN = "redis-login",
        "Redis refuses the login",
        "correct user and password in redis.url, redis.username and redis.password";
    REDIS_VERSION = "redis-version",
        "Redis is older than 6.2, or a relative that is not tested",
        "use Redis 6.2 or newer, or any Valkey";
    REDIS_ROLE = "redis-role",
        "the server is a replica, which takes no writes",
        "let redis.url name the primary";
    REDIS_LOADING = "redis-loading",
        "Redis is reading its data from disk",
        "wait until it is done; the daemon does, too";
    REDIS_CLUSTER = "redis-cluster",
        "the server is a node of a cluster, and the prefix has no hash tag, or other nodes hold keys of it",
        "write the prefix in braces, as in prefix = \"{bull}\", and let redis.url name the node that holds its slot";
    REDIS_REPLICAS = "redis-replicas",
        "writes are refused for want of replicas, or a replica is far behind",
        "look at the replicas and the network to them, or lower min-replicas-to-write";
    REDIS_EVICTION = "redis-eviction",
        "Redis deletes keys of its own choice when its memory is full",
        "set maxmemory-policy noeviction";
    REDIS_MEMORY = "redis-memory",
        "memory is almost used up",
        "raise maxmemory, keep fewer finished jobs (keep_completed, keep_failed), or give Redis a larger machine";
    REDIS_PERSISTENCE = "redis-persistence",
        "a restart of Redis forgets jobs",
        "turn on appendonly yes, with appendfsync everysec";
    REDIS_SAVING = "redis-saving",
        "Redis could not write its data to disk",
        "look at the log of Redis and the space on its disk; while stop-writes-on-bgsave-error holds, writes are refused";
    REDIS_CLIENTS = "redis-clients",
        "the connections that Redis allows are nearly used up",
        "raise maxclients, and the limit on open files of Redis with it";
    REDIS_IDLE = "redis-idle",
        "Redis closes connections that are idle, or never notices dead ones",
        "set timeout 0 and tcp-keepalive 300";
    REDIS_PUBSUB = "redis-pubsub",
        "Redis cuts off subscribers that are a moment behind",
        "set client-output-buffer-limit \"pubsub 32mb 8mb 60\"";
    REDIS_ROUND_TRIP = "redis-round-trip",
        "Redis is far away or slow to answer",
        "bring oxherd and Redis nearer together; look at what else the server does (redis-slowlog, redis-latency)";
    REDIS_SCRIPT = "redis-script",
        "a short script takes long",
        "look at what else the server does (redis-slowlog, redis-latency)";
    REDIS_SLOWLOG = "redis-slowlog",
        "scripts of oxherd are in the slow log",
        "look at the size of the queues' jobs and keys; a server that swaps or shares its core is slow at everything";
    REDIS_LATENCY = "redis-latency",
        "Redis has noted that it stood still",
        "ask redis-cli LATENCY DOCTOR; forks and slow disks are the usual reasons";
    REDIS_PLAIN = "redis-plain",
        "jobs, and the password, go over the network in the clear",
        "use rediss:// and a server with TLS, or a network nobody else is in";
    REDIS_OPEN = "redis-open",
        "whoever reaches the server may do anything",
        "set a password (requirepass or ACL), or bind Redis to 127.0.0.1; `oxherd acl` prints a rule for a user of its own";
    REDIS_HOST = "redis-host",
        "the kernel under Redis is not set up as Redis wants it",
        "sysctl vm.overcommit_memory=1; echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
    CLOCK_SKEW = "clock-skew",
        "this host's clock and the server's differ by more than 500 ms, or more than 5 s",
        "let both hosts keep time by NTP; due times follow the server's clock, logs follow this host's";
    RIGHTS_MISSING = "rights-missing",
        "the user may not do all that a daemon with this configuration does",
        "`oxherd acl` prints a rule that allows it";
    QUEUE_LOOK = "queue-look",
        "a queue cannot be looked at",
        "see what it says; a key of another type means that another program uses the same prefix";
    QUEUE_PAUSED = "queue-paused",
        "a queue is paused",
        "`oxherd queue resume NAME` when it is to go on";
    QUEUE_WORKERS = "queue-workers",
        "jobs wait in a queue that no worker is connected to",
        "start a daemon with the queue in its configuration";
    QUEUE_AGE = "queue-age",
        "a job has waited for more than 10 minutes, though workers are there",
        "raise the queue's concurrency, start more daemons, or see what its handler waits for with `oxherd queue show NAME`";
    QUEUE_FAILED = "queue-failed",
        "jobs have failed for good",
        "`oxherd job ls NAME --state failed` shows why; `oxherd job retry NAME --state failed` runs them again";
    QUEUE_OVERDUE = "queue-overdue",
        "delayed jobs are due and not promoted",
        "start a daemon with the queue in its configuration; every take promotes what is due";
    QUEUE_STALLED = "queue-stalled",
        "active jobs have no lock: their worker is gone",
        "any worker of the queue puts them back with its next stalled check; start one";
    QUEUE_CLIENTS = "queue-clients",
        "clients of several releases share a queue in a way that can lose jobs",
        "see docs/protocol.md, mixed fleets; set placement for the queue";
    QUEUE_LIMITS = "queue-limits",
        "limits stored in a queue are not those of the file",
        "reload or restart a daemon, which writes the file's, or change them with `oxherd queue limit NAME`";
    QUEUE_GATES = "queue-gates",
        "a handler takes no jobs for now",
        "see what it says; it goes on by itself when what it waits for is there";
    QUEUE_EVENTS = "queue-events",
        "the event stream of a queue holds more than 100,000 entries: somebody adds to it and does not trim",
        "let the clients of NAME trim it (streams.events.maxLen), and shorten it once with XTRIM";
    QUEUE_LARGE = "queue-large",
        "a job that waits has more than a MiB of data; the twenty that are next are looked at",
        "store the data elsewhere and let the job name it; every take of a job moves all its data";
    QUEUE_KEPT = "queue-kept",
        "more than 200,000 finished jobs are kept",
        "set keep_completed and keep_failed, or `oxherd queue clean NAME --state completed --older 24h --yes`";
    QUEUE_ORPHANS = "queue-orphans",
        "keys are left over that nothing will ever come to; a part of the key space is looked at, of ten queues",
        "`oxherd queue orphans NAME` lists them all, and deletes them with --delete";
    LIST_LOOK = "list-look",
        "a list cannot be looked at",
        "see what it says; a key of another type means that another program uses it";
    LIST_PAUSED = "list-paused",
        "a list is paused",
        "`oxherd queue resume NAME` when it is to go on";
    LIST_WORKERS = "list-workers",
        "elements wait in a list that no process works",
        "start a daemon with the list in its configuration";
    LIST_HELD = "list-held",
        "elements are held by processes that have gone",
        "any daemon with the list in its configuration puts them back when the lease has ended; start one";
    LIST_DEAD = "list-dead",
        "elements were given up and lie in the dead list",
        "`oxherd job ls NAME --state failed` shows why; `oxherd job retry NAME --state failed` runs them again";
    LIST_LIMITS = "list-limits",
        "limits stored beside a list are not those of the file",
        "reload or restart a daemon, which writes the file's";
    SCHEDULE_MISSING = "schedule-missing",
        "a schedule of the file is not in Redis",
        "start or reload a daemon with this file";
    SCHEDULE_DIFFERS = "schedule-differs",
        "a schedule is another one in Redis than in the file, or only there",
        "start or reload a daemon with this file; `oxherd schedule diff` shows what would change";
    SCHEDULE_CONFLICT = "schedule-conflict",
        "somebody else's schedule has the name, or a higher revision is in force",
        "rename the file's schedule, remove the other with `oxherd schedule remove NAME`, or raise revision";
    SCHEDULE_LATE = "schedule-late",
        "the time of a schedule passed more than a minute ago, and no job came",
        "start a daemon with the schedule's queue in its configuration";
    SCHEDULE_LEGACY = "schedule-legacy",
        "a repeatable job of an old release of BullMQ",
        "make it a job scheduler (upsertJobScheduler) or a schedule of the file, and remove the old one";
    CONFIG_WARNING = "config-warning",
        "the configuration holds something doubtful",
        "`oxherd check` shows where";
    CONFIG_MODE = "config-mode",
        "a configuration file with a secret may be read by anybody, or one may be written by anybody",
        "chmod 640 the file, or keep the secret in a file of its own: password = { file = \"/run/secrets/redis\" }";
    MACHINE_FILES = "machine-files",
        "the limit on open files is too low for the slots of the queues",
        "raise it: LimitNOFILE of the unit, ulimits of the container, or ulimit -n";
    MACHINE_STATE = "machine-state",
        "there is no state_dir, or it cannot be used",
        "set [daemon] state_dir to a directory of this daemon alone that its user may write";
    MACHINE_DISK = "machine-disk",
        "the disk with the state directory is full",
        "make room";
    MACHINE_PROGRAM = "machine-program",
        "the program of a handler is not there or may not be run",
        "install the program of NAME, or correct argv; its jobs are put off until then";
    MACHINE_PROCESSES = "machine-processes",
        "the limit on processes is too low for what handlers start",
        "raise it: TasksMax and LimitNPROC of the unit, pids of the container, or ulimit -u";
    HANDLER_SETTINGS = "handler-settings",
        "a handler cannot be made of its settings",
        "correct the settings of NAME; `oxherd check` may tell more";
    HANDLER_REACH = "handler-reach",
        "what a handler calls takes no connection; looked at with --handlers",
        "start what NAME calls, or correct its url; its jobs are tried again until then";
    HANDLER_MAIL = "handler-mail",
        "the mail server of a handler does not take part in a greeting; looked at with --handlers",
        "correct the url of NAME, or see to the server; its jobs are tried again until then";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ALL;

    #[test]
    fn every_code_is_in_the_documentation_with_its_remedy_and_no_other() {
        let page = include_str!("../../../docs/doctor.md");
        let (_, table) = page.split_once("## Codes").unwrap();
        let rows: BTreeSet<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
        let wanted: BTreeSet<String> =
            ALL.iter().map(|code| format!("| `{}` | {} | {} |", code.name, code.about, code.remedy)).collect();
        let missing: Vec<_> = wanted.iter().filter(|row| !rows.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "docs/doctor.md lacks these rows:\n{missing:#?}");
        let extra: Vec<_> = rows.iter().filter(|row| !wanted.contains(**row)).collect();
        assert!(extra.is_empty(), "docs/doctor.md has rows of no code: {extra:#?}");
    }

    #[test]
    fn codes_are_plain_and_none_is_there_twice() {
        let names: BTreeSet<&str> = ALL.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), ALL.len());
        for code in ALL {
            assert!(code.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", code.name);
            assert!(!code.remedy.ends_with('.') && !code.about.ends_with('.'), "{}", code.name);
        }
    }
}
