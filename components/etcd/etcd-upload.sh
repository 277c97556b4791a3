#!/bin/bash
# The last step of an etcd backup: the verified snapshot goes to the bucket under its name, is checked there, and stays on this
# node for some days under the same name. Runs in the AWS CLI's image, which has bash, coreutils, curl and sed, and no jq.
#
#   CLUSTER, BUCKET, PREFIX   whose snapshot it is, and where it goes: s3://BUCKET/PREFIX/etcd-snapshot-TIME-CLUSTER-rREVISION.db
#   DIRECTORY                 where incoming.db is, and where copies stay
#   KEEP_SECONDS              for how long
#   SINGLE_PUT, PART          bytes up to which an upload is one request, and of each part of a larger one
#   POD_NAMESPACE, POD_NAME   this Pod, whose step "verify" said the snapshot's revision
#
# A file that is not complete never bears a final name, neither here (rename) nor there (S3 shows whole objects only). A run that
# fails leaves its own incoming.db, which the next one overwrites: so the node's disk, which is etcd's too, never holds more than
# one that was not uploaded.
set -euo pipefail
export LC_ALL=C

readonly API=/var/run/secrets/api
readonly SNAPSHOT=$DIRECTORY/incoming.db

fail() {
  printf 'etcd backup: %s\n' "$*" >&2
  exit 1
}

# etcd appends the SHA-256 of a snapshot to it. `etcdutl snapshot status` passes over it, and over pages that are missing at the
# end of the file as long as none of them holds a key; `etcdutl snapshot restore` refuses both.
check_own_digest() {
  local size=$1 said is
  ((size % 512 == 32)) || fail "the snapshot is truncated: $size bytes are no whole blocks and a digest"
  said=$(tail -c 32 "$SNAPSHOT" | od -An -v -tx1 | tr -d ' \n')
  is=$(head -c -32 "$SNAPSHOT" | sha256sum | cut -c 1-64)
  [[ $said == "$is" ]] || fail "the snapshot is damaged: its SHA-256 is $is and etcd wrote $said"
}

# etcd's image has no shell that could pass a result on, so the API server is asked what the step before this one said.
revision() {
  local host=$KUBERNETES_SERVICE_HOST
  [[ $host != *:* ]] || host="[$host]"
  curl --silent --show-error --fail --retry 5 --retry-connrefused --max-time 20 --cacert "$API/ca.crt" \
    --header @<(printf 'Authorization: Bearer %s' "$(<"$API/token")") \
    "https://$host:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$POD_NAMESPACE/pods/$POD_NAME/log?container=verify" |
    sed -n 's/.*"revision":\([0-9][0-9]*\).*/\1/p'
}

# Hexadecimal SHA-256 of a line of sha256sum, as bytes.
bytes() {
  printf '%b' "$(cut -c 1-64 | sed 's/../\\x&/g')"
}

# What S3 must answer: the SHA-256 or, for an upload in parts, that of the parts' SHA-256 one after the other; in base64.
checksum() {
  local size=$1 offset
  if ((size < SINGLE_PUT)); then
    sha256sum <"$SNAPSHOT" | bytes | base64
    return
  fi
  for ((offset = 0; offset < size; offset += PART)); do
    dd if="$SNAPSHOT" bs=1M iflag=skip_bytes,count_bytes skip="$offset" count="$PART" status=none | sha256sum | bytes
  done | sha256sum | bytes | base64
}

configure_aws() {
  export AWS_CONFIG_FILE=/tmp/aws-config AWS_RETRY_MODE=standard
  {
    printf '[default]\ns3 =\n  multipart_threshold = %s\n  multipart_chunksize = %s\n' "$SINGLE_PUT" "$PART"
    [[ -z ${AWS_ENDPOINT_URL:-} ]] || printf '  addressing_style = path\n'
  } >"$AWS_CONFIG_FILE"
}

delete_old_copies() {
  local oldest copy time
  oldest=$(date -u -d "@$(($(date +%s) - KEEP_SECONDS))" +%Y%m%dT%H%M%SZ)
  for copy in "$DIRECTORY"/etcd-snapshot-*Z-*-r*.db; do
    time=${copy##*/etcd-snapshot-}
    time=${time%%-*}
    if [[ $time =~ ^[0-9]{8}T[0-9]{6}Z$ && $time < $oldest ]]; then
      rm -- "$copy"
      echo "deleted the copy ${copy##*/}"
    fi
  done
}

# Before the snapshot is taken too: on a full disk nothing would ever get as far as the end of this script.
if [[ ${1:-} == clean ]]; then
  delete_old_copies
  exit
fi

size=$(stat -c %s "$SNAPSHOT")
check_own_digest "$size"
revision=$(revision) || fail "the API server does not say what the step verify found"
[[ $revision ]] || fail "the step verify has found no revision in the snapshot"
name=etcd-snapshot-$(date -u -d "@$(stat -c %Y "$SNAPSHOT")" +%Y%m%dT%H%M%SZ)-$CLUSTER-r$revision.db
key=$PREFIX/$name

configure_aws
aws s3 cp "$SNAPSHOT" "s3://$BUCKET/$key" --checksum-algorithm SHA256 --only-show-errors --cli-connect-timeout 10 ||
  fail "the upload to s3://$BUCKET/$key failed"
expected=$size$'\t'$(checksum "$size")
found=$(aws s3api head-object --bucket "$BUCKET" --key "$key" --checksum-mode ENABLED --cli-connect-timeout 10 \
  --query '[ContentLength, ChecksumSHA256]' --output text) || fail "s3://$BUCKET/$key cannot be checked"
# The number of parts, as in …=-3, which not every store appends.
[[ ${found%-*} == "$expected" ]] ||
  fail "s3://$BUCKET/$key is not what was uploaded: size and checksum are $found instead of $expected"

mv -- "$SNAPSHOT" "$DIRECTORY/$name"
delete_old_copies
echo "s3://$BUCKET/$key: $size bytes, revision $revision, checksum ${expected#*$'\t'}"
