#!/bin/bash
# Writes down how fresh this region's copy of the truth is. It runs every two minutes in the AWS CLI's image, which has bash,
# coreutils, curl and sed, but no jq.
#
# A region that writes an archive keeps a small object beside it, its mark, which names the last WAL segments and the last base
# backups that were archived, with the time. S3 replication carries the mark to the peer like anything else, so the peer knows what
# it should have, and when the region last said so. In the secondary this also records when the primary last answered: an outage
# that people discuss for an hour is then not taken for an hour of lag. Neither waits for the other: a bucket that hangs must not
# keep the primary's answer from being noted.
#
#   BUCKET, ARCHIVE, MARKS   bucket, prefix of archives and prefix of marks: s3://BUCKET/MARKS/SERVER.json
#   SERVERS                  the server names that this region archives under, with spaces between them
#   PROBE                    the URL that answers while the primary serves; unset in the primary
#   RECORD, NAMESPACE        the ConfigMap that keeps when the primary was asked, and when it last answered
set -uo pipefail
export LC_ALL=C AWS_CONFIG_FILE=/tmp/aws-config AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=2

# Servers are marked side by side: AT_ONCE of them, for which the container's limits are made, and none for longer than PATIENCE
# seconds. The Job has a deadline, and what hangs must leave the others their time.
readonly API=/var/run/secrets/api RECENT=32 AT_ONCE=4 PATIENCE=40

# A run comes every EVERY seconds, and begins by TURN millionths of all servers later than the one before.
readonly EVERY=120 TURN=618034
failed=0

complain() {
  printf 'freshness: %s\n' "$*" >&2
  failed=1
}

now() {
  date -u +%Y-%m-%dT%H:%M:%SZ
}

# Lines of an attribute each; a directory without anything is one line, None.
list() {
  aws s3api list-objects-v2 --bucket "$BUCKET" --prefix "$1" --query "$2" --output text "${@:3}" \
    --cli-connect-timeout 5 --cli-read-timeout 20
}

# The last WAL segments of a server in order, and when each was archived; nothing if there is none. A partial segment and the label
# of a base backup are no segments. The last directory may hold few, or nothing else, so the ones before it are read then.
last_segments() {
  local directories directory objects key time found=
  directories=$(list "$ARCHIVE/$1/wals/" 'CommonPrefixes[].[Prefix]' --delimiter /) || return
  for directory in $(sort -r <<<"$directories" | head -n 3); do
    [[ $directory == */wals/* ]] || continue
    objects=$(list "$directory" 'Contents[].[Key,LastModified]') || return
    while read -r key time; do
      [[ $key =~ /([0-9A-F]{24})(\.[a-z][a-z0-9]*)?$ && $key != *.partial ]] || continue
      found+="${BASH_REMATCH[1]} $time"$'\n'
    done <<<"$objects"
    (($(wc -l <<<"$found") <= RECENT)) || break
  done
  printf '%s' "$found" | sort | tail -n $RECENT
}

# The last two base backups of a server, as in "20260302T000000":{"backup.info":9,"data.tar":5}. The last may still be taken.
last_bases() {
  local objects key size id bases=
  objects=$(list "$ARCHIVE/$1/base/" 'Contents[].[Key,Size]') || return
  for id in $(sed -n 's|.*/base/\([^/]*\)/.*|\1|p' <<<"$objects" | sort -u | tail -n 2); do
    local files=
    while read -r key size; do
      [[ $key != */base/$id/* ]] || files+=",\"${key##*/}\":$size"
    done <<<"$objects"
    bases+=",\"$id\":{${files#,}}"
  done
  echo "${bases#,}"
}

mark() {
  local server=$1 segment= archived= recent= found bases written name time
  # The time comes first: what is archived while this runs is newer than the mark.
  written=$(now)
  found=$(last_segments "$server") && bases=$(last_bases "$server") || return
  while read -r name time; do
    [[ $name ]] || continue
    segment=$name archived=$time recent+=",\"$name\":\"$time\""
  done <<<"$found"
  printf '{"written":"%s","segment":"%s","archived":"%s","recent":{%s},"bases":{%s}}\n' \
    "$written" "$segment" "$archived" "${recent#,}" "$bases" >"/tmp/$server.json"
  aws s3api put-object --bucket "$BUCKET" --key "$MARKS/$server.json" --body "/tmp/$server.json" \
    --content-type application/json --cli-connect-timeout 5 --cli-read-timeout 20 >/dev/null
}

# A status below 500 is an answer: a server lives there, whatever it thinks of the question.
answers() {
  local status
  status=$(curl --silent --insecure --max-time 5 --output /dev/null --write-out '%{http_code}' "$PROBE")
  ((10#${status:-0} >= 100 && 10#$status < 500))
}

record() {
  local host=$KUBERNETES_SERVICE_HOST data
  [[ $host != *:* ]] || host="[$host]"
  data=$(printf '"asked":"%s"' "$(now)")
  if answers; then data+=$(printf ',"answered":"%s"' "$(now)"); fi
  curl --silent --show-error --fail --output /dev/null --retry 3 --retry-connrefused --max-time 20 --cacert "$API/ca.crt" \
    --header @<(printf 'Authorization: Bearer %s' "$(<"$API/token")") --header 'Content-Type: application/merge-patch+json' \
    --request PATCH --data "{\"data\":{$data}}" \
    "https://$host:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$NAMESPACE/configmaps/$RECORD"
}

# This script again, for one server: `timeout` ends a program with all that it has started, and a function is none.
if (($#)); then
  mark "$1"
  exit
fi

if [[ ${AWS_ENDPOINT_URL:-} ]]; then
  printf '[default]\ns3 =\n  addressing_style = path\n' >"$AWS_CONFIG_FILE"
fi

# One database whose archive cannot be read keeps neither the others from their marks nor the primary from being asked.
asking=
if [[ ${PROBE:-} ]]; then
  record &
  asking=$!
fi
# A line in the pipe is a place that is free; `wait -n` is newer than the bash of some images.
rm -f /tmp/places && mkfifo /tmp/places && exec 3<>/tmp/places
printf '\n%.0s' $(seq $AT_ONCE) >&3
declare -A marking=()
# Where there are more servers than a run has time for, the last ones get no mark. They must not be the same each time, so each run
# begins with another one, by its number: nothing is kept for it that could be lost, and those that hang come first no more often
# than others. Turns by the golden section leave no server long without a mark, however many a run has time for.
# shellcheck disable=SC2086
set -- ${SERVERS:-}
first=$(($(date +%s) / EVERY * TURN % 1000000 * $# / 1000000))
for server in "${@:first + 1}" "${@:1:first}"; do
  read -r -u 3
  (
    timeout $PATIENCE bash "$0" "$server"
    status=$?
    echo >&3
    exit $status
  ) &
  marking[$server]=$!
done
for server in "$@"; do
  wait "${marking[$server]}" || complain "s3://$BUCKET/$MARKS/$server.json could not be written"
done
[[ -z $asking ]] || wait $asking || complain "the record $RECORD could not be written"
exit $failed
