# A job's program looks around in its sandbox: one word for each thing.
{
    for path in /etc/oxherd/oxherd.toml /etc/new /usr/bin/new /var/lib/new /root/new; do
        (: >>$path) 2>/dev/null && echo "writes:$path"
    done
    (: >/var/lib/oxherd/new) 2>/dev/null && echo state:writable
    (: >/tmp/new) 2>/dev/null && echo tmp:writable
    cat /etc/oxherd/credentials/redis-password 2>/dev/null && echo credentials:readable
    env | grep -E '^(NOTIFY_SOCKET|WATCHDOG_|CREDENTIALS_DIRECTORY|STATE_DIRECTORY|JOURNAL_STREAM|INVOCATION_ID|OXHERD__)'
    echo "uid:$(id -u)"
} | tr '\n' ' '
