#!/bin/bash
# The last container of a drill. It puts the record where nobody can change it, and ends as the drill did, with its reason as the
# last message: 0 if it passed or had nothing to do, else 1. It runs in the AWS CLI's image, beside the step that judges. Where that
# one comes to no verdict, as when it was killed, it writes a record of that.
#
#   BUCKET     the record goes to s3://BUCKET/KEY, and the file `key` has the KEY
#   WAIT       for how many seconds the verdict is waited for
#   SILENCE    after how many seconds without a sign of life the step that judges is taken for dead
#   TEMPLATE   the record of a drill without a verdict, which goes below PLACE: @RUN@, @STARTED@, @ENDED@, @BY@ and @REASON@ are
#              filled in
#   CRONJOB, JOB_NAME, POD_UID   the run
set -uo pipefail
export AWS_CONFIG_FILE=upload-config AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=4

readonly LAST_MESSAGE=${LAST_MESSAGE:-/dev/termination-log}
began=$(date -u +%Y-%m-%dT%H:%M:%SZ)

end() {
  printf '%s\n' "$2"
  [[ ! -e $LAST_MESSAGE ]] || printf '%s' "$2" >"$LAST_MESSAGE"
  exit "$1"
}

# Nothing that is filled in has a character that JSON would want escaped.
unfinished() {
  local run by="Job/$JOB_NAME, made by a person" record=$TEMPLATE
  run=$(tr -cd '0-9a-z' <<<"${POD_UID,,}")
  run=${run:0:8}
  [[ ! $JOB_NAME =~ ^$CRONJOB-[0-9]{8}$ ]] || by=CronJob/$CRONJOB
  record=${record//@RUN@/"$run"}
  record=${record//@STARTED@/"$began"}
  record=${record//@ENDED@/"$(date -u +%Y-%m-%dT%H:%M:%SZ)"}
  record=${record//@BY@/"$by"}
  printf '%s\n' "${record//@REASON@/"$1"}" >unfinished.json
  body=unfinished.json word=failed told=$1 key=$PLACE/$(tr -d ':-' <<<"$began")-$run.json
}

# By the age of the file that the judge touches. Before its first sign its image may still be pulled.
dead() {
  [[ -e alive ]] && (($(date +%s) - $(stat -c %Y alive) > SILENCE))
}

cd "${WORK:-/work}" || exit 1
# Kubernetes tells all containers at once to end: the judge cleans up, and leaves its verdict for this one.
told_to_end=
trap 'told_to_end=yes' TERM

body=record.json word='' told='' key=''
until [[ -e verdict || $word ]]; do
  if dead; then
    unfinished 'the step that judges was killed, as by a limit of memory; what it has made is deleted by the next drill'
  elif [[ $told_to_end && ! -e alive ]]; then
    unfinished 'the Pod was told to end before the step that judges began'
  elif ((SECONDS >= WAIT)); then
    unfinished "the step that judges has come to no verdict within $WAIT s"
  else
    sleep 1
  fi
done
printf '[default]\n' >upload-config
if [[ ${AWS_ENDPOINT_URL:-} ]]; then printf 's3 =\n  addressing_style = path\n' >>upload-config; fi
if [[ ! $word ]]; then
  {
    read -r word
    read -r told
  } <verdict
  key=$(<key)
fi

# Only where nothing is yet: whoever may write records may not write one anew. A retry that finds its own is done, and one that S3
# has not finished with yet is a conflict (409), which the AWS CLI does not try again.
for pause in 1 3 9 0; do
  said=$(aws s3api put-object --bucket "$BUCKET" --key "$key" --body "$body" --if-none-match '*' --checksum-algorithm SHA256 \
    --content-type application/json --cli-connect-timeout 5 --cli-read-timeout 20 2>&1) && written=yes || written=
  [[ ! $written && $said == *ConditionalRequestConflict* ]] || break
  sleep $pause
done
[[ $written || $said == *PreconditionFailed* ]] ||
  end 1 "$word: $told; and its record could not be written to s3://$BUCKET/$key: $(tr -s '[:space:]' ' ' <<<"$said")"
[[ $word != failed ]] || end 1 "$told; the record: s3://$BUCKET/$key"
end 0 "$word: $told; the record: s3://$BUCKET/$key"
