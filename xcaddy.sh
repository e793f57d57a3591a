#!/usr/bin/env bash
# Builds ./caddy with the webhook_auth module. Needs Go, git and bash.
#
#   ./xcaddy.sh [--with MODULE...]       build; arguments go on to xcaddy
#   ./xcaddy.sh run [--with MODULE...]   build, then try the gateway with Caddyfile.example
#
# Caddy's version is the one in go.mod, CADDY_VERSION overrides it. So do
# XCADDY_VERSION, OUTPUT (default ./caddy) and MODULE_VERSION (default: what git says).
set -euo pipefail
output=${OUTPUT:-}
[[ -z $output || $output == /* ]] || output=$PWD/$output
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

say() { printf '%s\n' "$*" >&2; }

fail() {
	say "xcaddy.sh: $*"
	exit 1
}

# version prints the tag of the clone, or what git calls a commit behind one, in a
# form that is a version to Go too. Where this folder is no clone it prints nothing,
# rather than something of a repository around it.
version() {
	local commit
	[[ -e .git ]] || return 0
	git describe --tags --match 'v[0-9]*.[0-9]*.[0-9]*' --dirty && return
	commit=$(git describe --always --exclude '*' --dirty) && echo "v0.0.0-g$commit"
}

# progress runs a command and shows that it is still at work. What the command prints
# is shown only where it fails.
progress() {
	local log started=$SECONDS pid
	log=$(mktemp)
	"$@" >"$log" 2>&1 &
	pid=$!
	trap 'kill "$pid" 2>/dev/null; rm -f "$log"' EXIT
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		[[ ! -t 2 ]] || printf '\r  %d s ' $((SECONDS - started)) >&2
	done
	[[ ! -t 2 ]] || printf '\r' >&2
	if ! wait "$pid"; then
		cat "$log" >&2
		fail "the build failed; what it printed is above"
	fi
	trap - EXIT
	rm -f "$log"
	say "Built $output in $((SECONDS - started)) s."
}

build() {
	local module modules caddy version flags
	version=${MODULE_VERSION:-$(version 2>/dev/null || true)}
	[[ -z $version || $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
		fail "MODULE_VERSION is a version such as v1.2.3, not \"$version\""
	module=$(go list -m)
	caddy=${CADDY_VERSION:-$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)}
	# The version is what list-modules and build-info show. Without one, Go would look for
	# published ones; the one with zeros is Go's own word for none. The flags are xcaddy's
	# own, which these replace, and what comes before Caddy's version in `caddy version`.
	flags="-ldflags '-w -s -X \"github.com/caddyserver/caddy/v2.CustomVersion=webhook_auth ${version:-unknown} Caddy\"'"
	flags+=" -trimpath -tags nobadger,nomysql,nopgx"
	say "Building Caddy $caddy with webhook_auth ${version:-of an unknown version}."
	say "The first build downloads about 1 GB of Go modules and compiles Caddy, which takes some minutes; later ones take seconds."
	GOWORK=off XCADDY_GO_BUILD_FLAGS=${XCADDY_GO_BUILD_FLAGS:-$flags} progress \
		go run "github.com/caddyserver/xcaddy/cmd/xcaddy@${XCADDY_VERSION:-v0.4.5}" build "$caddy" \
		--with "$module@${version:-v0.0.0-00010101000000-000000000000}=$PWD" --output "$output" "$@"
	# Not into grep -q: it leaves at the first match, and caddy would fail to write.
	modules=$("$output" list-modules --skip-standard)
	grep -qx 'http.handlers.webhook_auth' <<<"$modules" ||
		fail "$output lacks the module http.handlers.webhook_auth"
}

# free fails where something listens on a port that Caddyfile.example needs.
free() {
	local port
	for port in "$@"; do
		! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
			fail "port $port is taken, and Caddyfile.example needs it; stop what listens there, or change the port in Caddyfile.example"
	done
}

run() {
	local body='{"eventType":"demo","eventData":{"hello":"app"}}' field
	: "${WEBHOOK_SECRET:=wk-$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')}"
	export WEBHOOK_SECRET
	secret=$(mktemp) # readable by this user alone, and no secret on a command line
	trap 'rm -f "$secret"' EXIT # not local, so that it is still known then
	printf %s "$WEBHOOK_SECRET" >"$secret"
	field=$("$output" webhook sign --config Caddyfile.example --data "$body")
	cat <<-TXT

		The gateway listens on http://localhost:8080, in front of a demo app. In another terminal:

		# signed with the secret: 200, and the app's answer
		curl -i http://localhost:8080/webhook -H '$field' --data-binary '$body'

		# forged: 401, and the app never hears of it
		curl -i http://localhost:8080/webhook -H '${field%%=*}=$(printf %064d 0)' --data-binary '$body'

		# six deliveries, one of them authentic: does the gate keep its promise?
		'$output' webhook send --secret-file '$secret' http://localhost:8080/webhook

		Control-C stops it. Its log:
	TXT
	"$output" run --config Caddyfile.example --adapter caddyfile
}

output=${output:-$PWD/caddy}
command=build
if [[ ${1-} == run ]]; then
	command=run
	shift
	free 8080 9000
fi
build "$@"
[[ $command == build ]] || run
