#!/bin/bash
# Makes etcd's data directory anew from a snapshot. Run it as root on a control-plane node whose etcd and API server are stopped.
# With several control-plane nodes, run it on each of them with the same snapshot. docs/etcd.md has the whole procedure.
set -euo pipefail
export LC_ALL=C

usage() {
  cat <<'EOF'
usage: etcd-restore.sh (--snapshot FILE | --snapshot s3://BUCKET/KEY | --latest s3://BUCKET/PREFIX) --name NAME --peer-url URL
                       [--initial-cluster NAME=URL,...] [--token TOKEN] [--data-dir DIR] [--move-aside]

  --snapshot         the snapshot: a file of this node, or an object
  --latest           the newest snapshot below a prefix, as in s3://acme-etcd-us-east-1-123456789012/etcd/primary
  --name             this member, as in etcd's own --name (kubeadm: the node's name)
  --peer-url         this member's --initial-advertise-peer-urls, as in https://10.0.0.4:2380
  --initial-cluster  all members of the new cluster; by default this one alone
  --token            --initial-cluster-token, the same on every member; by default made from the snapshot's revision
  --data-dir         etcd's data directory; by default /var/lib/etcd
  --move-aside       keep the old data beside the new; without this option, a data directory that holds data is never touched

Needs etcdutl, of the version of the etcd that will run, on PATH; for objects also the AWS CLI, with its usual configuration
(AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL).
EOF
}

fail() {
  printf 'etcd-restore: %s\n' "$*" >&2
  exit 1
}

wrong_usage() {
  printf 'etcd-restore: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

needs() {
  command -v "$1" >/dev/null || fail "there is no $1 on PATH: $2"
}

read_arguments() {
  snapshot='' latest='' name='' peer_url='' initial_cluster='' token='' data_dir=/var/lib/etcd move_aside=''
  while (($#)); do
    case $1 in
      --help | -h) usage && exit ;;
      --move-aside) move_aside=yes && shift && continue ;;
      --snapshot | --latest | --name | --peer-url | --initial-cluster | --token | --data-dir) ;;
      *) wrong_usage "there is no option $1" ;;
    esac
    [[ ${2:-} && $2 != --* ]] || wrong_usage "$1 needs a value"
    local variable=${1#--}
    printf -v "${variable//-/_}" '%s' "$2"
    shift 2
  done
  [[ $snapshot || $latest ]] || wrong_usage "say which snapshot: --snapshot or --latest"
  [[ ! $snapshot || ! $latest ]] || wrong_usage "--snapshot and --latest both choose a snapshot; keep one"
  [[ ! $latest || $latest == s3://?*/?* ]] || wrong_usage "--latest needs s3://BUCKET/PREFIX"
  [[ $name ]] || wrong_usage "--name is missing"
  [[ $peer_url ]] || wrong_usage "--peer-url is missing"
  initial_cluster=${initial_cluster:-$name=$peer_url}
  [[ ,$initial_cluster, == *",$name=$peer_url,"* ]] ||
    wrong_usage "--initial-cluster does not hold this member, $name=$peer_url"
}

# A running etcd holds a lock on its database, whoever started it.
check_data_directory() {
  local database=$data_dir/member/snap/db
  [[ -e $data_dir/member ]] || return 0
  if [[ -e $database ]] && ! flock --nonblock --exclusive "$database" true; then
    fail "an etcd is running on $data_dir: stop it first (kubeadm: move etcd.yaml out of /etc/kubernetes/manifests)"
  fi
  [[ $move_aside ]] || fail "$data_dir holds the data of an etcd: add --move-aside to keep it beside the new data"
}

newest() {
  local bucket=${latest#s3://} keys
  keys=$(aws s3api list-objects-v2 --bucket "${bucket%%/*}" --prefix "${bucket#*/}" --query 'Contents[].[Key]' --output text) ||
    fail "$latest cannot be listed"
  # Names begin with the snapshot's time, so the last one is the newest.
  keys=$(grep '/etcd-snapshot-[0-9]\{8\}T[0-9]\{6\}Z-[^/]*\.db$' <<<"$keys" | sort | tail -n 1) || true
  [[ $keys ]] || fail "there is no snapshot below $latest"
  printf 's3://%s/%s' "${bucket%%/*}" "$keys"
}

fetch() {
  if [[ $latest ]]; then
    snapshot=$(newest)
  fi
  if [[ $snapshot == s3://* ]]; then
    echo "downloading $snapshot"
    aws s3 cp "$snapshot" "$work/snapshot.db" --checksum-mode ENABLED --only-show-errors || fail "$snapshot cannot be downloaded"
    file=$work/snapshot.db
  else
    [[ -f $snapshot ]] || fail "there is no file $snapshot"
    file=$snapshot
  fi
}

# etcd appends a snapshot's SHA-256 to the file, so this checks any copy of it, wherever it was kept.
verify() {
  local size appended computed
  size=$(stat -c %s "$file")
  ((size % 512 == 32)) ||
    fail "$snapshot is truncated or no snapshot: $size bytes are not whole blocks of 512 bytes and a digest of 32"
  appended=$(tail -c 32 "$file" | od -An -v -tx1 | tr -d ' \n')
  computed=$(head -c -32 "$file" | sha256sum | cut -c 1-64)
  [[ $appended == "$computed" ]] || fail "$snapshot is damaged: its SHA-256 is $computed and etcd wrote $appended"
  etcdutl snapshot status "$file" --write-out=table
  revision=$(etcdutl snapshot status "$file" --write-out=json | sed -n 's/.*"revision":\([0-9][0-9]*\).*/\1/p')
  [[ $revision ]] || fail "etcdutl finds no revision in $snapshot"
}

# Clients that watch must never see the revision go back. So it is raised by more than any cluster writes between two snapshots,
# and everything before it counts as compacted, so that every client reads everything anew.
restore() {
  etcdutl snapshot restore "$file" --data-dir "$work/data" --name "$name" --initial-cluster "$initial_cluster" \
    --initial-cluster-token "${token:-restored-r$revision}" --initial-advertise-peer-urls "$peer_url" \
    --bump-revision 1000000000 --mark-compacted || fail "etcdutl cannot restore $snapshot; $data_dir is as it was"
}

# Works within the data directory, which may be a file system of its own, and by renaming, so that it holds the old data or the
# new, and never half of either.
replace() {
  local aside=''
  chown -R --reference="$data_dir" "$work/data"
  if [[ -e $data_dir/member ]]; then
    aside=$data_dir/before-restore-$(date -u +%Y%m%dT%H%M%SZ)
    mkdir -m 0700 "$aside"
    mv "$data_dir/member" "$aside/member"
  fi
  mv "$work/data/member" "$data_dir/member"
  sync -f "$data_dir"
  echo
  echo "$data_dir now holds revision $revision of $snapshot, as member $name of $initial_cluster."
  [[ ! $aside ]] || echo "The old data is in $aside; delete it once the cluster is healthy."
  cat <<'EOF'
Next:
  1. On every other control-plane node: the same snapshot, with that node's --name and --peer-url.
  2. Start etcd on all of them (kubeadm: move etcd.yaml back into /etc/kubernetes/manifests), then kube-apiserver.
  3. etcdctl endpoint health --cluster; kubectl get --raw '/readyz?verbose'
  4. Restart what watches: kube-controller-manager, kube-scheduler, every kubelet, then operators and CNI agents.
  5. Look for what was made after the snapshot and is unknown to the cluster: volumes, load balancers, nodes. See docs/etcd.md.
EOF
}

read_arguments "$@"
needs etcdutl "take it out of the image of your etcd, or out of etcd's release archive"
[[ $latest$snapshot != s3://* ]] || needs aws "install the AWS CLI, or download the snapshot elsewhere and pass the file"
check_data_directory
mkdir -p -m 0700 "$data_dir"
work=$(mktemp -d "$data_dir/restoring.XXXXXX")
trap 'rm -rf "$work"' EXIT
fetch
verify
restore
replace
