#!/usr/bin/env bash
# Exports the example segment to the sandbox, on free ports and in a temporary
# directory that it removes at the end. Run it with: make demo
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
standalone=
cleanup() {
	if [ -n "$standalone" ]; then
		kill "$standalone" 2>/dev/null || true
		wait "$standalone" 2>/dev/null || true
	fi
	rm -rf "$dir"
}
trap cleanup EXIT

echo "== starting Temporal, its Web UI, a worker and the Omnisend sandbox"
bin/standalone --sandbox --sandbox-port 0 --temporal-port 0 --ui-port 0 --console-port none --metrics-address none \
	--data-dir "$dir/data" --files-root . --output json >"$dir/ready" &
standalone=$!
for _ in $(seq 300); do
	[ -s "$dir/ready" ] && break
	kill -0 "$standalone" 2>/dev/null || { echo "standalone did not start; see its message above" >&2; exit 1; }
	sleep 0.1
done
value() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$dir/ready"; }
TEMPORAL_ADDRESS=$(value temporal_address)
export TEMPORAL_ADDRESS SEGMENT_EXPORT_DATA_DIR="$dir/data" OMNISEND_API_KEY=sandbox-key
echo "   Web UI while this runs: $(value ui_url)"

step() { echo; echo "\$ starter $*"; bin/starter "$@"; }
step source add crm --kind files --path examples/segments
step connection add "Spring shop" --agree
step export add spring --connection "Spring shop" --source crm --segment spring_buyers --id CustomerId \
	--map email=Email --map first-name=FirstName --map last-name=LastName --map address=Street --map country=Country \
	--map state=State --map city=City --map postal-code=PostalCode --map consent=EmailConsent --map consent-date=ConsentDate
code=0
step run spring --yes || code=$?
# 3 means that some rows were rejected. The example has such rows on purpose.
[ "$code" = 0 ] || [ "$code" = 3 ] || { echo "the run ended with exit code $code" >&2; exit 1; }

cat <<'END'

== The export is done. To look around, start everything and keep it running:

     make dev                  Temporal, worker and sandbox, kept in ./data; its API key is sandbox-key
     http://127.0.0.1:8234     the console: exports and runs as pages; make dev prints its login address
     http://127.0.0.1:8233     the Temporal Web UI: every step of every run

   In another terminal, set up the same again by answering questions (the folder is examples/segments), then:

     export SEGMENT_EXPORT_DATA_DIR=./data OMNISEND_API_KEY=sandbox-key
     bin/starter init                  source, connection and export, step by step
     bin/starter plan spring           what a run would send, without sending it
     bin/starter run spring            send it; the second time nothing has changed
     bin/starter runs rejects spring   which rows were rejected, and why
     curl http://127.0.0.1:9900/sandbox/state   what reached the sandbox

   Next: docs/first-export.md
END
