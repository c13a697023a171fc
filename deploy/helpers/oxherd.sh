#!/bin/sh
# Runs a command for each job as a process of an oxherd pool (docs/handlers/helpers.md). POSIX sh and awk, nothing else.
#
#   sh oxherd.sh [--stdio] [--source FILE] COMMAND [ARGUMENT…]
#
# COMMAND is a program, or a function of the shell file that --source names. It gets the job as one line of JSON on
# standard input, and OXHERD_QUEUE, OXHERD_JOB_ID, OXHERD_JOB_NAME, OXHERD_ATTEMPT, OXHERD_MAX_ATTEMPTS,
# OXHERD_DEADLINE_MS and OXHERD_IDEMPOTENCY_KEY in its environment; nothing of a job is ever read as shell. Standard
# output is the result: a JSON document, or text. Standard error is the job's log. Descriptor 3 takes
# {"t":"progress","value":40} and what else a running job may say. Exit codes mean what they mean for the command
# handler: 0 complete, 64 and 65 fail, 75 defer, others retry. A job that is to stop gets TERM.
#
# One job at a time. --stdio: frames on standard input and output instead of descriptors 3 and 4.
set -u
PARSE='
# One JSON value from p on: moves p behind it and answers whether it is one. name is the path of members to it.
function value(name,    c, start, key, ok) {
    blank(); start = p; c = substr(s, p, 1)
    if (c == "{" || c == "[") {
        p++; blank()
        if (substr(s, p, 1) == (c == "{" ? "}" : "]")) { p++; return 1 }
        while (1) {
            key = ""
            if (c == "{") {
                blank(); if (!string(1)) return 0
                key = text; blank(); if (substr(s, p++, 1) != ":") return 0
            }
            if (!value(c == "{" ? name "." key : name "[]")) return 0
            blank(); ok = substr(s, p++, 1)
            if (ok == ",") continue
            return ok == (c == "{" ? "}" : "]")
        }
    }
    if (c == "\"") { if (!string(name in wanted)) return 0 }
    else {
        while (index(" \t\r\n,]}", substr(s, p, 1)) == 0) p++
        text = substr(s, start, p - start)
        if (text !~ /^(true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?)$/) return 0
    }
    if (name in wanted) { raw[name] = substr(s, start, p - start); got[name] = text }
    return 1
}
function blank() { while (p <= n && index(" \t\r\n", substr(s, p, 1))) p++ }
# The string at p; text is what it says, if anybody wants to know.
function string(is_wanted,    c, at, skip) {
    if (substr(s, p, 1) != "\"") return 0
    text = ""
    for (at = ++p; p <= n; p++) {
        while ((skip = match(substr(s, p, 512), /["\\\001-\037]/)) == 0 && p <= n) p += 512
        p += skip > 0 ? skip - 1 : 0
        c = substr(s, p, 1)
        if (c == "\"") { if (is_wanted) text = text substr(s, at, p - at); p++; return 1 }
        if (c < " ") return 0
        if (c != "\\") continue
        if (is_wanted) text = text substr(s, at, p - at)
        c = substr(s, ++p, 1)
        if (c == "u") {
            if (substr(s, p + 1, 4) !~ /^[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]$/) return 0
            if (is_wanted) text = text utf8(hex(substr(s, p + 1, 4)))
            p += 4
        } else if (c in unescaped) text = is_wanted ? text unescaped[c] : ""
        else return 0
        at = p + 1
    }
    return 0
}
function hex(digits,    at, number) {
    for (at = 1; at <= 4; at++) number = number * 16 + index("0123456789abcdef", tolower(substr(digits, at, 1))) - 1
    return number
}
function utf8(code,    low) {
    if (code >= 55296 && code < 56320 && substr(s, p + 5, 2) == "\\u") {
        low = hex(substr(s, p + 7, 4))
        if (low >= 56320 && low < 57344) { p += 6; code = 65536 + (code - 55296) * 1024 + low - 56320 }
    }
    if (code == 0) return ""
    if (code < 128) return sprintf("%c", code)
    if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
    if (code < 65536) return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
    return sprintf("%c%c%c%c", 240 + int(code / 262144), 128 + int(code / 4096) % 64, 128 + int(code / 64) % 64, 128 + code % 64)
}
function tables(    at) {
    unescaped["\""] = "\""; unescaped["\\"] = "\\"; unescaped["/"] = "/"; unescaped["b"] = "\b"
    unescaped["f"] = "\f"; unescaped["n"] = "\n"; unescaped["r"] = "\r"; unescaped["t"] = "\t"
    for (at = 1; at < 256; at++) byte[sprintf("%c", at)] = at
}
# A text as a JSON string; bytes that are no UTF-8 become question marks.
function quote(line,    at, c, b, more, k, whole, out) {
    if (line !~ /[^ !#-[\]-~]/) return "\"" line "\""
    for (at = 1; at <= length(line); at++) {
        c = substr(line, at, 1); b = byte[c]
        if (c == "\"" || c == "\\") out = out "\\" c
        else if (c == "\n") out = out "\\n"
        else if (c == "\t") out = out "\\t"
        else if (b < 32) out = out sprintf("\\u%04x", b)
        else if (b < 128) out = out c
        else {
            more = b >= 194 && b < 224 ? 1 : b >= 224 && b < 240 ? 2 : b >= 240 && b < 245 ? 3 : 0
            whole = more > 0
            for (k = 1; k <= more; k++) { b = byte[substr(line, at + k, 1)] + 0; if (b < 128 || b > 191) whole = 0 }
            if (more > 1) {
                k = byte[substr(line, at + 1, 1)] + 0; b = byte[c]
                if (b == 224 && k < 160 || b == 237 && k > 159 || b == 240 && k < 144 || b == 244 && k > 143) whole = 0
            }
            if (whole) { out = out substr(line, at, more + 1); at += more } else out = out "?"
        }
    }
    return "\"" out "\""
}
'
# What a frame says, a line each; a backslash stands before a backslash, and \n for a new line.
FRAME=$PARSE'
function show(text) { gsub(/\\/, "&&", text); gsub(/\n/, "\\n", text); print text }
BEGIN {
    tables()
    list = ".t .ref .n .job.id .job.queue .job.name .job.attempt .job.maxAttempts .job.deadline .idempotencyKey"
    count = split(list, names, " ")
    for (at = 1; at <= count; at++) wanted[names[at]] = 1
}
{ s = $0; n = length(s); p = 1; ok = value(""); exit }
END {
    print ok ? "ok" : "nonsense"
    print raw[".ref"]; print raw[".n"] == "" ? "null" : raw[".n"]
    for (at = 1; at <= count; at++) if (names[at] != ".ref" && names[at] != ".n") show(got[names[at]])
}
'
# The result of a job from what it printed: a JSON document as it is, anything else as text.
RESULT=$PARSE'
BEGIN { tables() }
{ s = s sep $0; sep = "\n" }
END {
    n = length(s); p = 1
    if (s ~ /^[ \t\r\n]*$/) { print "null"; exit }
    if (value("")) { blank(); if (p > n) { gsub(/[\r\n]/, " ", s); print s; exit } }
    print quote(s)
}
'
LOG=$PARSE'
BEGIN { tables() }
{ print "{\"t\":\"log\",\"ref\":" ref ",\"line\":" quote(substr($0, 1, 1500)) "}"; fflush(); print $0 > kept; fflush(kept) }
'

usage() {
    echo "oxherd.sh: $1
usage: sh oxherd.sh [--stdio] [--source FILE] COMMAND [ARGUMENT…]" >&2
    exit 2
}

stdio=
while [ $# -gt 0 ]; do
    case $1 in
    --stdio) stdio=1 ;;
    --source)
        [ $# -gt 1 ] || usage "--source expects a file"
        [ -r "$2" ] || { echo "oxherd.sh: cannot read $2" >&2; exit 1; }
        case $2 in */*) . "$2" ;; *) . "./$2" ;; esac
        shift
        ;;
    --) shift; break ;;
    --*) usage "unknown option $1" ;;
    *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || usage "no command given"
if [ -n "$stdio" ]; then
    exec 3<&0 4>&1 0</dev/null 1>&2
fi
{ : <&3 >&4; } 2>/dev/null || usage "descriptors 3 and 4 are not open; it is started by oxherd, or with --stdio"

base=$(mktemp -d "${TMPDIR:-/tmp}/oxherd.XXXXXX") || exit 1
# again if a job that is being stopped has still written something
trap 'rm -rf "$base" 2>/dev/null || { sleep 0.2 2>/dev/null || sleep 1; rm -rf "$base"; }' EXIT
trap 'exit 0' TERM INT HUP
mkdir "$base/jobs"

# A frame, which must not be torn by another.
say() {
    until mkdir "$base/lock" 2>/dev/null; do sleep 0.02 2>/dev/null || sleep 1; done
    cat >&4 || kill -TERM $$
    rmdir "$base/lock"
}

program() { LC_ALL=C awk "$@"; }

# decoded TEXT: sets decoded to what show() of the parser wrote.
decode() {
    case $1 in
    *\\*) decoded=$(printf '%b.' "$1"); decoded=${decoded%.} ;;
    *) decoded=$1 ;;
    esac
}

# One job, in a process of its own; $job is its directory, $ref its ref as JSON.
run() {
    trap - EXIT TERM INT HUP
    {
        {
            "$@" <"$job/in" 2>&1 >"$job/out" 3>&5 4>&- 5>&- &
            echo $! >"$job/starting" && mv "$job/starting" "$job/pid"
            [ ! -e "$job/cancelled" ] || stop "$job"
            wait $!
            echo $? >"$job/code"
        } 2>&1 4>&- | program -v ref="$ref" -v kept="$job/err" "$LOG" >&4
    } 5>&1 | while IFS= read -r line; do
        case $line in {*) printf '%s\n' "{\"ref\":$ref,${line#?}" | say ;; esac
    done
    # with the daemon gone it is removed
    [ -d "$job" ] || exit 0
    code=$(cat "$job/code")
    if [ "$code" = 0 ]; then
        { printf '%s' "{\"t\":\"done\",\"ref\":$ref,\"result\":"; tr -d '\000' <"$job/out" | head -c 262144 |
            program "$RESULT" | tr -d '\n'; printf '}\n'; } >"$job/frame"
    else
        outcome=retry
        what="exit code $code"
        case $code in
        64 | 65) outcome=fail ;;
        75) outcome=defer ;;
        126 | 127) outcome=defer what="handler broken: $1 ended with $what" ;;
        12[89] | 1[3-9]? | 2??) what="killed by signal $((code - 128))" ;;
        esac
        if [ -e "$job/cancelled" ]; then what="told to stop: $what"; fi
        { printf '%s' "{\"t\":\"fail\",\"ref\":$ref,\"outcome\":\"$outcome\",\"message\":"
            { printf '%s' "$what"; [ ! -s "$job/err" ] || { printf ': '; tail -n 5 "$job/err" | head -c 500; }; } |
                tr -d '\000' | tr '\n' ' ' | program "$TEXT" | tr -d '\n'
            printf '}\n'; } >"$job/frame"
    fi
    say <"$job/frame"
    rm -rf "$job"
    [ ! -e "$base/draining" ] || depart
}
TEXT=$PARSE'
BEGIN { tables() }
{ s = s $0 }
END { sub(/ +$/, "", s); print quote(s) }
'

# Ends the helper when the last job has ended; whoever comes first does.
depart() {
    rmdir "$base/jobs" 2>/dev/null || return 0
    echo '{"t":"bye"}' | say
    kill -TERM $$
}

# start COMMAND…: the job of the frame in $line.
start() {
    number=$((number + 1))
    job=$base/jobs/$number
    mkdir "$job"
    printf '%s\n' "$line" >"$job/in"
    printf '%s' "$ref" >"$job/ref"
    decode "$id"; OXHERD_JOB_ID=$decoded
    decode "$queue"; OXHERD_QUEUE=$decoded
    decode "$name"; OXHERD_JOB_NAME=$decoded
    OXHERD_ATTEMPT=$attempt OXHERD_MAX_ATTEMPTS=$most OXHERD_DEADLINE_MS=$deadline OXHERD_IDEMPOTENCY_KEY=$key
    export OXHERD_JOB_ID OXHERD_QUEUE OXHERD_JOB_NAME OXHERD_ATTEMPT OXHERD_MAX_ATTEMPTS OXHERD_DEADLINE_MS
    export OXHERD_IDEMPOTENCY_KEY
    run "$@" 3<&- &
}

# stop DIRECTORY: TERM to a job's command and to all it has started.
stop() {
    pid=$(cat "$1/pid" 2>/dev/null) || return 0
    # shellcheck disable=SC2046 # numbers
    kill -TERM $({ cat /proc/[0-9]*/stat 2>/dev/null || ps -A -o pid= -o ppid= | sed 's/ *\([0-9]*\) */\1 () ? /'; } |
        program -v root="$pid" '
            { id = $1; sub(/.*\) /, ""); parent[id] = $2 }
            END {
                is[root] = 1
                do { grown = 0; for (id in parent) if (!(id in is) && parent[id] in is) { is[id] = 1; grown = 1 } } while (grown)
                for (id in is) print id
            }') 2>/dev/null
}

# cancel: the job of $ref is to stop.
cancel() {
    for job in "$base"/jobs/*; do
        if [ "$(cat "$job/ref" 2>/dev/null)" = "$ref" ]; then
            touch "$job/cancelled" 2>/dev/null && stop "$job"
        fi
    done
}

number=0
printf '%s\n' '{"t":"hello","proto":1,"slots":1}' '{"t":"ready"}' >&4
while IFS= read -r line <&3; do
    [ -n "$line" ] || continue
    {
        IFS= read -r ok && IFS= read -r ref && IFS= read -r n && IFS= read -r t && IFS= read -r id &&
            IFS= read -r queue && IFS= read -r name && IFS= read -r attempt && IFS= read -r most &&
            IFS= read -r deadline && IFS= read -r key
    } <<EOF
$(printf '%s\n' "$line" | program "$FRAME")
EOF
    case $ok:$t in
    ok:job) start "$@" ;;
    ok:ping) printf '{"t":"pong","n":%s}\n' "$n" | say ;;
    ok:cancel) cancel ;;
    ok:drain) : >"$base/draining"; depart ;;
    ok:*) ;;
    *) echo "oxherd.sh: a frame that is not JSON" >&2 ;;
    esac
done
# the daemon is gone, and somebody else will run what runs here
for job in "$base"/jobs/*; do stop "$job"; done
exit 0
