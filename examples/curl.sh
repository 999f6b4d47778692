#!/usr/bin/env bash
# Match, contribute and follow with curl alone. Set HASHDB_URL and HASHDB_KEY (scopes contribute, match and feed).
#   curl.sh match PICTURE | curl.sh contribute PICTURE LABEL | curl.sh follow
# To use a sidecar, set HASHDB_URL=http://127.0.0.1:8765 or unix:/run/hashdb-sidecar/sidecar.sock, and no key.
set -euo pipefail

base=${HASHDB_URL:-http://127.0.0.1:8000}
options=(--silent --show-error --fail-with-body --max-time 60)
if [[ $base == unix:* ]]; then
    options+=(--unix-socket "${base#unix:}") base=http://hashdb
fi

request() {
    # Pass the key by a file descriptor: every user of the machine can see the arguments of a process.
    curl "${options[@]}" --header @<(printf '%s' "${HASHDB_KEY:+Authorization: Bearer $HASHDB_KEY}") "$@"
}

post() {
    request --json "$2" "$base$1"
}

signals() {
    # The service hashes the picture and stores nothing. Prints ["pdq:…", …].
    local hashed
    hashed=$(request --form "file=@$1" "$base/v1/signals")
    # For a video, the service returns only hashes of the file: a re-encoded copy would not match.
    if [[ $hashed == *'"duration"'* ]]; then
        echo "$1 is a video: send it to /v1/matches/media or /v1/contributions/media" >&2
        return 1
    fi
    grep -o '"signals": *\[[^]]*\]' <<<"$hashed" | head -n 1 | sed 's/^[^[]*//'
}

follow() {
    local after=0 epoch="" page
    while true; do
        if page=$(request "$base/v1/changes?after=$after&wait=20${epoch:+&epoch=$epoch}"); then
            printf '%s\n' "$page"
            after=$(sed -E 's/.*"checkpoint": *([0-9]+).*/\1/' <<<"$page")
            epoch=$(sed -E 's/.*"epoch": *"([^"]+)".*/\1/' <<<"$page")
        elif [[ $page == *'"status": 410'* || $page == *'"status":410'* ]]; then
            after=0 epoch="" # The service has another log, for example after a restore: start over.
        else
            printf '%s\n' "$page" >&2
            sleep 5 # The service did not answer, or a limit is reached.
        fi
    done
}

case $#:${1:-} in
2:match)
    hashed=$(signals "$2")
    post /v1/matches "{\"queries\": [{\"signals\": $hashed}]}"
    ;;
3:contribute)
    hashed=$(signals "$2")
    item="\"signals\": $hashed, \"labels\": [\"$3\"], \"removed_at\": \"$(date -u +%FT%TZ)\""
    post '/v1/contributions?imported=1' "{\"contributions\": [{$item}]}"
    ;;
1:follow) follow ;;
*) sed -n '2,4s/^# //p' "$0" && exit 2 ;;
esac
