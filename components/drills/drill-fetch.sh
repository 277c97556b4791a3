#!/bin/bash
# Fetches for a drill what a plan names. It runs as an init container, in the AWS CLI's image, and ends with 0 whatever happens: the
# drill's last step says what it means that something did not come. components/kube/runner/drill_fetch.py has the plan's form.
#
#   PLAN   the file with the plan, in /work
set -uo pipefail
export AWS_CONFIG_FILE=aws-config AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=4

cd "${WORK:-/work}" || exit 0
printf '[default]\n' >aws-config
if [[ ${AWS_ENDPOINT_URL:-} ]]; then printf 's3 =\n  addressing_style = path\n' >>aws-config; fi

readonly OBJECTS='Contents[].[Key,Size,LastModified]' DIRECTORIES='CommonPrefixes[].[Prefix]'

# As text the CLI prints a page at a time, so that a bucket with a million objects needs no memory.
list() {
  aws s3api list-objects-v2 --bucket "$1" --prefix "$2" --output text --cli-connect-timeout 5 --cli-read-timeout 60 "${@:3}"
}

while IFS=$'\t' read -r what bucket name file; do
  case $what in
    list) list "$bucket" "$name" --query "$OBJECTS" >part 2>said ;;
    dirs) list "$bucket" "$name" --query "$DIRECTORIES" --delimiter / >part 2>said ;;
    get)
      # S3 sends the checksum with which an object was written, and the CLI compares what came with it.
      aws s3api get-object --bucket "$bucket" --key "$name" --checksum-mode ENABLED --cli-connect-timeout 5 \
        --cli-read-timeout 60 part >/dev/null 2>said
      ;;
    link)
      ln -sf "$file" "$bucket"
      continue
      ;;
  esac && mv part "$file" || mv said "$file.error"
  rm -f part said
done <"$PLAN"
exit 0
