if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    # what runs goes on with the new program
    if [ "$1" -ge 1 ]; then
        systemctl try-restart oxherd.service 'oxherd@*.service' || :
    fi
fi
