#!/bin/bash
# Fetches the traffic flag, for the guard. It runs as an init container, in the AWS CLI's image, and ends with 0 whatever happens:
# the guard says what a flag that did not come means.
#
#   BUCKET, KEY, REGION   the flag: s3://BUCKET/KEY in REGION
#   PATIENCE              for how many seconds it is tried: when a node has just come back, its network may not be there yet
set -uo pipefail
export AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=1

cd /flag || exit
if [[ ${AWS_ENDPOINT_URL:-} ]]; then
  export AWS_CONFIG_FILE=/flag/aws-config
  printf '[default]\ns3 =\n  addressing_style = path\n' >"$AWS_CONFIG_FILE"
fi
# One byte more than a flag may have: what is longer is no flag, and need not be fetched whole.
# What an earlier run of this container has left must not pass for the flag.
rm -f active.json answer.json
until aws s3api get-object --bucket "$BUCKET" --key "$KEY" --region "$REGION" --output json \
  --range bytes=0-5120 --cli-connect-timeout 3 --cli-read-timeout 5 fetched.json >said.json 2>error; do
  ((SECONDS < PATIENCE)) || exit 0
  sleep 1
done
mv fetched.json active.json
mv said.json answer.json
