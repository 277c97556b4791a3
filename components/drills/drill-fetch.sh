#!/bin/bash
# Fetches for a drill what a plan names. It runs as an init container, in the AWS CLI's image, and ends with 0 whatever happens: the
# drill's last step says what it means that something did not come. components/kube/runner/drill_fetch.py has the plan's form.
#
#   PLAN   the file with the plan, in /work
#   ROOM   how many bytes all that it fetches may have, so that the Pod is not evicted
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

fetch() {
  case $1 in
    list) list "$2" "$3" --query "$OBJECTS" >part ;;
    dirs) list "$2" "$3" --query "$DIRECTORIES" --delimiter / >part ;;
    # S3 sends the checksum with which an object was written, and the CLI compares what came with it.
    get) aws s3api get-object --bucket "$2" --key "$3" --checksum-mode ENABLED --cli-connect-timeout 5 --cli-read-timeout 60 part >/dev/null ;;
  esac
}

while IFS=$'\t' read -r what bucket name file most; do
  if [[ $what == link ]]; then
    ln -sf "$file" "$bucket"
    continue
  fi
  ((most <= ROOM)) || most=$ROOM
  # A file that grows beyond the limit ends the CLI, whatever the listing said of its size.
  (
    ulimit -c 0 -f $((most / 1024 + 1))
    fetch "$what" "$bucket" "$name"
  ) 2>said
  ended=$? size=0
  [[ ! -e part ]] || size=$(stat -c %s part)
  if ((size > most)); then
    printf 'it has more than the %s bytes that are read of it\n' "$most" >"$file.error"
  elif ((ended == 0)); then
    mv part "$file"
    ((ROOM -= size))
  else
    mv said "$file.error"
  fi
  rm -f part said
done <"$PLAN"
exit 0
