#!/usr/bin/env bash
# Match, contribute and follow with curl alone. Set HASHDB_URL and HASHDB_KEY (scopes contribute, match and feed).
#   curl.sh match PICTURE | curl.sh contribute PICTURE LABEL | curl.sh follow
# To ask a sidecar: HASHDB_URL=http://127.0.0.1:8765 or unix:/run/hashdb-sidecar/sidecar.sock, without a key.
set -euo pipefail

base=${HASHDB_URL:-http://127.0.0.1:8000}
options=(--silent --show-error --fail-with-body --max-time 60)
if [[ $base == unix:* ]]; then
    options+=(--unix-socket "${base#unix:}") base=http://hashdb
fi

ask() {
    # The key is read from a file descriptor: as an argument, every user of the machine could see it.
    curl "${options[@]}" --header @<(printf '%s' "${HASHDB_KEY:+Authorization: Bearer $HASHDB_KEY}") "$@"
}

post() {
    ask --json "$2" "$base$1"
}

signals() {
    # The service hashes the picture and stores nothing. Prints ["pdq:…", …].
    local hashed
    hashed=$(ask --form "file=@$1" "$base/v1/signals")
    # Of a video, the hashes are only those of its file: another encoding of it would not match.
    if [[ $hashed == *'"duration"'* ]]; then
        echo "$1 is a video: send it to /v1/matches/media or /v1/contributions/media" >&2
        return 1
    fi
    grep -o '"signals": *\[[^]]*\]' <<<"$hashed" | head -n 1 | sed 's/^[^[]*//'
}

follow() {
    local after=0 epoch="" page
    while true; do
        if page=$(ask "$base/v1/changes?after=$after&wait=20${epoch:+&epoch=$epoch}"); then
            printf '%s\n' "$page"
            after=$(sed -E 's/.*"checkpoint": *([0-9]+).*/\1/' <<<"$page")
            epoch=$(sed -E 's/.*"epoch": *"([^"]+)".*/\1/' <<<"$page")
        elif [[ $page == *'"status": 410'* || $page == *'"status":410'* ]]; then
            after=0 epoch="" # The service has another log, for example after a restore: start over.
        else
            printf '%s\n' "$page" >&2
            sleep 5 # No answer, or a limit.
        fi
    done
}

case ${1:-} in
match)
    hashed=$(signals "$2")
    post /v1/matches "{\"queries\": [{\"signals\": $hashed}]}"
    ;;
contribute)
    hashed=$(signals "$2")
    item="\"signals\": $hashed, \"labels\": [\"$3\"], \"removed_at\": \"$(date -u +%FT%TZ)\""
    post '/v1/contributions?imported=1' "{\"contributions\": [{$item}]}"
    ;;
follow) follow ;;
*) sed -n '2,4s/^# //p' "$0" && exit 2 ;;
esac
