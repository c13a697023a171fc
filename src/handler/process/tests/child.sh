# A process of a pool, for tests: does what the data of a job says.
# By the environment: SLOTS; HELLO, what to say instead; STARTS, a file that gets a line per start; FAMILY, one per child;
# ONCE, a file that tells the first time from others.
once() { [ ! -e "$ONCE" ] && : > "$ONCE"; }
say() { printf '%s\n' "$1" >&4; }
[ -n "$STARTS" ] && echo "$$" >> "$STARTS"
slots=${SLOTS:-1}
say "${HELLO:-"{\"t\":\"hello\",\"proto\":1,\"slots\":$slots}"}"
[ -z "$HELLO" ] && say '{"t":"ready"}'
while IFS= read -r line <&3; do
    ref=${line#*'"ref":"'} ref=${ref%%'"'*}
    done="{\"t\":\"done\",\"ref\":\"$ref\",\"result\":$$}"
    case $line in
    '{"t":"job"'*)
        case $line in
        *'"do":"echo"'*) say "{\"t\":\"done\",\"ref\":\"$ref\",\"result\":$line}" ;;
        *'"do":"speak"'*)
            say "{\"t\":\"progress\",\"ref\":\"$ref\",\"value\":40}"
            say "{\"t\":\"log\",\"ref\":\"$ref\",\"line\":\"halfway\"}"
            say "{\"t\":\"fail\",\"ref\":\"$ref\",\"message\":\"no\",\"outcome\":\"defer\",\"after\":\"90s\"}" ;;
        *'"do":"crash"'*) echo "out of cheese" >&2; kill -9 $$ ;;
        *'"do":"exit"'*) exit 3 ;;
        *'"do":"late"'*) say '{"t":"done","ref":"a0"}'; say "$done"; say "$done" ;;
        *'"do":"nonsense"'*) i=0; while [ $i -lt 30 ]; do say "what?"; i=$((i + 1)); done ;;
        *'"do":"babble"'*) say "what?"; say "$done" ;;
        *'"do":"long"'*) say "{\"t\":\"done\",\"ref\":\"$ref\",\"result\":\"$(head -c 5000 /dev/zero | tr '\0' x)\"}" ;;
        *'"do":"leave-once"'*) once && { say '{"t":"bye"}'; exit; }; say "$done" ;;
        *'"do":"hang-once"'*) once || say "$done" ;;
        *'"do":"family"'*) sleep 1000 & echo "$!" >> "$FAMILY"; kill -9 $$ ;;
        *'"do":"print"'*) echo "printed"; echo "complained" >&2; sleep 0.1; say "$done" ;;
        *'"do":"silent"'*) exec 4>&-; sleep 1000 ;;
        *'"do":"stuck"'*) [ "$slots" = 1 ] && { trap '' TERM; sleep 1000; sleep 1000; } ;;
        *'"do":"block"'*) kill -STOP $$ ;;
        *'"do":"busy"'*) sleep 0.5; say "$done" ;;
        *'"do":"wait"'*) (sleep 0.3; say "$done") & ;;
        *) say "$done" ;;
        esac ;;
    '{"t":"cancel"'*'"reason":"requested"'*)
        say "{\"t\":\"fail\",\"ref\":\"$ref\",\"message\":\"stopped\",\"outcome\":\"fail\"}" ;;
    '{"t":"ping"'*) say '{"t":"pong","n":1}' ;;
    '{"t":"drain"'*) wait; say '{"t":"bye"}'; exit ;;
    esac
done
