#!/bin/bash
# Records the fleets whose truth is known, as they are shipped: nothing of this machine is in the recordings but its
# kernel release. As root, after `cargo build -p auditor -p auditor-tests --bins`; arguments are those of
# `auditor-truth record`.
#   tests/fleets/truth/record.sh [--model NAME]… [--concurrency N]… DIR
set -euo pipefail

fleets=$(cd "$(dirname "$0")/.." && pwd)
programs=${CARGO_TARGET_DIR:-$fleets/../../target}/debug

if [ -z "${RECORDING_IN_NAMESPACES:-}" ]; then
    # Host name, cgroups and paths of its own. The distribution's programs, not those in somebody's home.
    exec env RECORDING_IN_NAMESPACES=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        unshare --mount --uts --cgroup bash "$0" "$@"
fi
hostname node-a
mount -t tmpfs tmpfs /srv
mkdir -p /srv/shop/bin
cp -r "$fleets" /srv/shop/services
cp "$programs/auditor" "$programs/auditor-truth" "$programs/auditor-tokio" /srv/shop/bin
AUDITOR_FLEETS=/srv/shop/services /srv/shop/bin/auditor-truth record "$@"
