if command -v systemd-tmpfiles >/dev/null 2>&1; then
    systemd-tmpfiles --create oxherd.conf || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
if [ "$1" = 1 ]; then
    echo "oxherd: describe queues in /etc/oxherd/oxherd.toml, then: systemctl enable --now oxherd"
fi
