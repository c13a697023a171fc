//! What the server is, and whether it takes writes.

use super::codes::{
    REDIS_CLUSTER, REDIS_EVICTION, REDIS_LOADING, REDIS_MEMORY, REDIS_PERSISTENCE, REDIS_REPLICAS, REDIS_ROLE,
    REDIS_SAVING, REDIS_VERSION,
};
use super::facts::Facts;
use super::finding::{Finding, Known};
use crate::config;
use crate::config::list::hash_tag;
use crate::store::{ServerInfo, ServerKind};

/// A replica that has said nothing for longer is behind, in seconds.
const LAG: u64 = 10;
/// Of the memory allowed, in percent, from which on it is worth a warning and an error.
const FULL: (u64, u64) = (80, 95);

pub fn examine(facts: &Facts, redis: &config::Redis) -> Vec<Finding> {
    vec![
        version(facts),
        role(facts),
        loading(facts),
        cluster(facts, &redis.prefix),
        replicas(facts),
        eviction(facts),
        memory(facts),
        persistence(facts),
        saving(facts),
    ]
}

fn version(facts: &Facts) -> Finding {
    let lines = ["redis_version", "valkey_version", "dragonfly_version", "executable"];
    let text = lines.iter().filter_map(|name| Some(format!("{name}:{}\n", facts.info(name).ok()?))).collect::<String>();
    let info = ServerInfo::parse(&text);
    REDIS_VERSION.judge(facts.info("redis_version"), |code, _| match info.kind {
        _ if info.require().is_err() => code.error(&info),
        ServerKind::Redis | ServerKind::Valkey => code.ok(&info),
        ServerKind::Dragonfly | ServerKind::KeyDb => {
            code.warning(format_args!("{info}, which oxherd is not tested with"))
        }
    })
}

fn role(facts: &Facts) -> Finding {
    REDIS_ROLE.judge(facts.info("role"), |code, role| {
        if role == "master" {
            return code.ok("primary");
        }
        let of = |name| facts.info(name).unwrap_or("?");
        code.error(format_args!("a replica of {}:{}", of("master_host"), of("master_port")))
    })
}

fn loading(facts: &Facts) -> Finding {
    REDIS_LOADING.judge(facts.info("loading"), |code, loading| match loading {
        "0" => code.ok("the data is loaded"),
        _ => code.warning(format_args!("{} % are read", facts.info("loading_loaded_perc").unwrap_or("0"))),
    })
}

fn cluster(facts: &Facts, prefix: &str) -> Finding {
    REDIS_CLUSTER.judge(facts.info("cluster_enabled"), |code, enabled| match (enabled, hash_tag(prefix)) {
        ("0", _) => code.ok("no cluster"),
        (_, Some(_)) => code.ok(format_args!("a cluster, and prefix {prefix:?} keeps to one slot")),
        (_, None) => code.error(format_args!("a cluster, and prefix {prefix:?} has no hash tag")),
    })
}

fn replicas(facts: &Facts) -> Finding {
    REDIS_REPLICAS.judge(facts.number("connected_slaves"), |code, count| {
        let wanted = facts.parameter("min-replicas-to-write").ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        let good = facts.number("min_slaves_good_slaves").unwrap_or(count);
        if good < wanted {
            return code.error(format_args!("{good} replicas are near enough, min-replicas-to-write is {wanted}"));
        }
        let lag = |line: &str| line.split(',').find_map(|field| field.strip_prefix("lag=")?.parse::<u64>().ok());
        match facts.lines("slave").iter().filter_map(|line| lag(line)).max() {
            Some(lag) if lag > LAG => code.warning(format_args!("{count} replicas, one of them {lag} s behind")),
            _ => code.ok(format_args!("{count} replicas")),
        }
    })
}

fn eviction(facts: &Facts) -> Finding {
    REDIS_EVICTION.judge(facts.info("maxmemory_policy"), |code, policy| match policy {
        "noeviction" => code.ok(policy),
        _ => code.error(format_args!("maxmemory-policy is {policy}")),
    })
}

fn memory(facts: &Facts) -> Finding {
    let figures = || -> Known<_> {
        let limit = match facts.number("maxmemory")? {
            0 => (facts.number("total_system_memory")?, "of the machine"),
            limit => (limit, "of maxmemory"),
        };
        Ok((facts.number("used_memory")?, limit))
    };
    REDIS_MEMORY.judge(figures(), |code, (used, (limit, of))| {
        let percent = used.saturating_mul(100) / limit.max(1);
        let seen = format!("{} MiB used, {percent} % {of}", used / (1024 * 1024));
        match percent {
            percent if percent >= FULL.1 => code.error(seen),
            percent if percent >= FULL.0 => code.warning(seen),
            _ => code.ok(seen),
        }
    })
}

fn persistence(facts: &Facts) -> Finding {
    REDIS_PERSISTENCE.judge(facts.info("aof_enabled"), |code, aof| {
        if aof == "1" {
            return match facts.parameter("appendfsync") {
                Ok("no") => code.note("appendonly yes, but appendfsync no: the last half minute may be lost"),
                Ok(fsync) => code.ok(format_args!("appendonly yes, appendfsync {fsync}")),
                Err(_) => code.ok("appendonly yes"),
            };
        }
        match facts.parameter("save") {
            Ok("") => code.warning("neither appendonly nor snapshots: a restart forgets every job"),
            Ok(save) => {
                code.warning(format_args!("snapshots only (save {save}): a crash forgets what came after the last"))
            }
            Err(why) => {
                code.unknown(format_args!("appendonly no, and whether there are snapshots is not known: {why}"))
            }
        }
    })
}

fn saving(facts: &Facts) -> Finding {
    let failed = |name| Ok::<_, String>(facts.info(name)? != "ok");
    let all = || -> Known<_> {
        let (save, write) = (failed("rdb_last_bgsave_status")?, failed("aof_last_write_status")?);
        Ok((save, write, failed("aof_last_bgrewrite_status")?))
    };
    REDIS_SAVING.judge(all(), |code, (save, write, rewrite)| match (save, write, rewrite) {
        (_, true, _) => code.error("the last write to the append-only file failed"),
        (true, ..) if facts.parameter("stop-writes-on-bgsave-error") == Ok("no") => {
            code.warning("the last snapshot failed")
        }
        (true, ..) => code.error("the last snapshot failed"),
        (.., true) => code.warning("the last rewrite of the append-only file failed"),
        _ => code.ok("the last write to disk went well"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::checkup::{Known, Severity};

    const NONE: Known<&[(&str, &str)]> = Ok(&[]);

    fn severity(check: impl Fn(&Facts) -> Finding, info: &[(&str, &str)]) -> Severity {
        check(&Facts::made_up(info, NONE)).severity
    }

    #[test]
    fn f50_old_servers_and_strange_relatives_are_told() {
        assert_eq!(severity(version, &[("redis_version", "6.0.16")]), Severity::Error);
        assert_eq!(severity(version, &[("redis_version", "6.2.0")]), Severity::Ok);
        assert_eq!(severity(version, &[("redis_version", "7.2.4"), ("valkey_version", "9.1.0")]), Severity::Ok);
        assert_eq!(severity(version, &[("redis_version", "7.2.4"), ("dragonfly_version", "1.0")]), Severity::Warning);
        assert_eq!(severity(version, &[]), Severity::Unknown);
    }

    #[test]
    fn f32_a_server_that_reads_its_data_is_told() {
        assert_eq!(severity(loading, &[("loading", "1"), ("loading_loaded_perc", "12.5")]), Severity::Warning);
        assert_eq!(severity(loading, &[("loading", "0")]), Severity::Ok);
    }

    #[test]
    fn f45_a_cluster_wants_a_hash_tag() {
        let of = |prefix: &'static str| move |facts: &Facts| cluster(facts, prefix);
        assert_eq!(severity(of("bull"), &[("cluster_enabled", "1")]), Severity::Error);
        assert_eq!(severity(of("{bull}"), &[("cluster_enabled", "1")]), Severity::Ok);
        assert_eq!(severity(of("bull"), &[("cluster_enabled", "0")]), Severity::Ok);
    }

    #[test]
    fn f31_what_could_not_be_written_is_told() {
        let of = |save, write, rewrite| {
            let info = [
                ("rdb_last_bgsave_status", save),
                ("aof_last_write_status", write),
                ("aof_last_bgrewrite_status", rewrite),
            ];
            severity(saving, &info)
        };
        assert_eq!(of("ok", "ok", "ok"), Severity::Ok);
        assert_eq!(of("err", "ok", "ok"), Severity::Error);
        assert_eq!(of("ok", "err", "ok"), Severity::Error);
        assert_eq!(of("ok", "ok", "err"), Severity::Warning);
        let info =
            [("rdb_last_bgsave_status", "err"), ("aof_last_write_status", "ok"), ("aof_last_bgrewrite_status", "ok")];
        let quiet = Facts::made_up(&info, Ok(&[("stop-writes-on-bgsave-error", "no")]));
        assert_eq!(saving(&quiet).severity, Severity::Warning);
    }

    #[test]
    fn replicas_behind_are_told() {
        let of = |lag| severity(replicas, &[("connected_slaves", "1"), ("slave0", lag)]);
        assert_eq!(of("ip=10.0.0.2,port=6379,state=online,offset=1,lag=1"), Severity::Ok);
        assert_eq!(of("ip=10.0.0.2,port=6379,state=online,offset=1,lag=11"), Severity::Warning);
    }

    #[test]
    fn where_config_is_forbidden_snapshots_are_unknown() {
        let facts = Facts::made_up(&[("aof_enabled", "0")], Err("CONFIG GET is not allowed".into()));
        let found = persistence(&facts);
        assert_eq!((found.severity, found.remedy), (Severity::Unknown, None));
        assert!(found.seen.ends_with("CONFIG GET is not allowed"), "{}", found.seen);
    }
}
