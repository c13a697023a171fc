#!/bin/sh
# Stands for a real export: takes a moment, and fails its first attempt now and then, so that a retry can be seen.
set -eu
story=$1
sleep 0.5
case "$OXHERD_ATTEMPT:$story" in
    1:*0 | 1:*5)
        echo "the disk was busy, try $story again" >&2
        exit 1
        ;;
esac
printf '{"story":"%s","pages":%d}\n' "$story" "${#story}"
