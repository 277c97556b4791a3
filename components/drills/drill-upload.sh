#!/bin/bash
# The last container of a drill. It puts the record where nobody can change it, and ends as the drill did, with its reason as the
# last message: 0 if it passed or had nothing to do, else 1. It runs in the AWS CLI's image.
#
#   BUCKET   the record goes to s3://BUCKET/KEY, and the file `key` has the KEY
#   WAIT     for how many seconds the verdict is waited for, where the step that judges runs beside this one
set -uo pipefail
export AWS_CONFIG_FILE=upload-config AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=4

readonly LAST_MESSAGE=${LAST_MESSAGE:-/dev/termination-log}

end() {
  printf '%s\n' "$2"
  [[ ! -e $LAST_MESSAGE ]] || printf '%s' "$2" >"$LAST_MESSAGE"
  exit "$1"
}

cd "${WORK:-/work}" || exit 1
until [[ -e verdict ]]; do
  ((SECONDS < WAIT)) || end 1 "the drill has come to no verdict within $WAIT s, and left no record"
  sleep 1
done
printf '[default]\n' >upload-config
if [[ ${AWS_ENDPOINT_URL:-} ]]; then printf 's3 =\n  addressing_style = path\n' >>upload-config; fi
{
  read -r word
  read -r told
} <verdict
key=$(<key)

# Only where nothing is yet: whoever may write records may not write one anew. A retry that finds its own is done.
said=$(aws s3api put-object --bucket "$BUCKET" --key "$key" --body record.json --if-none-match '*' --checksum-algorithm SHA256 \
  --content-type application/json --cli-connect-timeout 5 --cli-read-timeout 20 2>&1) || [[ $said == *PreconditionFailed* ]] ||
  end 1 "$word: $told; and its record could not be written to s3://$BUCKET/$key: $(tr -s '[:space:]' ' ' <<<"$said")"
[[ $word != failed ]] || end 1 "$told; the record: s3://$BUCKET/$key"
end 0 "$word: $told; the record: s3://$BUCKET/$key"
