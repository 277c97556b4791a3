#!/bin/bash
# The last step of an etcd backup. It uploads the verified snapshot under its final name, checks what arrived, and keeps a copy on
# this node for some days. It runs in the AWS CLI's image, which has bash, coreutils, curl and sed, but no jq.
#
#   CLUSTER, BUCKET, PREFIX   whose snapshot it is, and where it goes: s3://BUCKET/PREFIX/etcd-snapshot-TIME-CLUSTER-rREVISION.db
#   DIRECTORY                 where incoming.db is, and where copies stay
#   KEEP_SECONDS              how long copies stay
#   SINGLE_PUT, PART          bytes from which an upload is made in parts, and bytes of each part
#   POD_NAMESPACE, POD_NAME   this Pod, in whose log the step "verify" told the snapshot's revision
#
# An incomplete file never has a final name, neither on this node (it is renamed last) nor in S3 (which shows whole objects only).
# A run that fails leaves its incoming.db, which the next run overwrites. So the node's disk, which etcd uses too, never holds
# more than one snapshot that was not uploaded.
set -euo pipefail
export LC_ALL=C

readonly API=/var/run/secrets/api
readonly SNAPSHOT=$DIRECTORY/incoming.db

fail() {
  printf 'etcd backup: %s\n' "$*" >&2
  exit 1
}

# etcd appends a snapshot's SHA-256 to the file. `etcdutl snapshot status` does not check it, and does not notice pages that are
# missing at the end as long as none of them holds a key. `etcdutl snapshot restore` refuses both.
check_own_digest() {
  local size=$1 appended computed
  ((size % 512 == 32)) || fail "the snapshot is truncated: $size bytes are not whole blocks of 512 bytes and a digest of 32"
  appended=$(tail -c 32 "$SNAPSHOT" | od -An -v -tx1 | tr -d ' \n')
  computed=$(head -c -32 "$SNAPSHOT" | sha256sum | cut -c 1-64)
  [[ $appended == "$computed" ]] || fail "the snapshot is damaged: its SHA-256 is $computed and etcd wrote $appended"
}

# etcd's image has no shell that could pass a result on, so this asks the API server for the log of the step "verify".
revision() {
  local host=$KUBERNETES_SERVICE_HOST
  [[ $host != *:* ]] || host="[$host]"
  curl --silent --show-error --fail --retry 5 --retry-connrefused --max-time 20 --cacert "$API/ca.crt" \
    --header @<(printf 'Authorization: Bearer %s' "$(<"$API/token")") \
    "https://$host:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$POD_NAMESPACE/pods/$POD_NAME/log?container=verify" |
    sed -n 's/.*"revision":\([0-9][0-9]*\).*/\1/p'
}

# Reads a line of sha256sum and writes its hexadecimal SHA-256 as bytes.
bytes() {
  printf '%b' "$(cut -c 1-64 | sed 's/../\\x&/g')"
}

# The checksum that S3 must answer, in base64: the SHA-256 or, for an upload in parts, the SHA-256 of all parts' SHA-256 in order.
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

# Old copies are deleted before the snapshot is taken, too: on a full disk no run would ever reach the end of this script.
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
# S3 appends the number of parts, as in …=-3. Not every store does, so it is not compared.
[[ ${found%-*} == "$expected" ]] ||
  fail "s3://$BUCKET/$key is not what was uploaded: size and checksum are $found instead of $expected"

mv -- "$SNAPSHOT" "$DIRECTORY/$name"
delete_old_copies
echo "s3://$BUCKET/$key: $size bytes, revision $revision, checksum ${expected#*$'\t'}"
