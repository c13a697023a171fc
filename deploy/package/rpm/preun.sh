# not on an upgrade
if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now oxherd.service || :
    systemctl stop 'oxherd@*.service' || :
fi
