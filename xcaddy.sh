#!/usr/bin/env bash
# Builds ./caddy with the webhook_auth module. Needs Go, git and bash.
#
#   ./xcaddy.sh [--with MODULE...]       build; passes its arguments on to xcaddy
#   ./xcaddy.sh run [--with MODULE...]   build, then run the gateway with Caddyfile.example
#
# Environment variables override the defaults: CADDY_VERSION (the version in go.mod),
# XCADDY_VERSION, OUTPUT (./caddy) and MODULE_VERSION (the version that git shows).
set -euo pipefail
output=${OUTPUT:-}
[[ -z $output || $output == /* ]] || output=$PWD/$output
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

say() { printf '%s\n' "$*" >&2; }

fail() {
	say "xcaddy.sh: $*"
	exit 1
}

# version prints the tag of the clone, or git's description of a later commit, in a form
# that Go accepts as a version. If this folder is not a clone, it prints nothing, and
# never the version of a repository around it.
version() {
	local commit
	[[ -e .git ]] || return 0
	git describe --tags --match 'v[0-9]*.[0-9]*.[0-9]*' --dirty && return
	commit=$(git describe --always --exclude '*' --dirty) && echo "v0.0.0-g$commit"
}

# progress runs a command and shows how long it has been running. It shows the command's
# output only if the command fails.
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
		fail "the build failed; its output is above"
	fi
	trap - EXIT
	rm -f "$log"
	say "Built $output in $((SECONDS - started)) s."
}

build() {
	local module modules caddy version flags
	version=${MODULE_VERSION:-$(version 2>/dev/null || true)}
	[[ -z $version || $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
		fail "MODULE_VERSION must be a version such as v1.2.3, not \"$version\""
	module=$(go list -m)
	caddy=${CADDY_VERSION:-$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)}
	# list-modules and build-info show the version of the module. Without one, Go would look
	# for published versions, so "no version" is written with zeros, as Go writes it. The
	# flags are those of xcaddy, which they replace, and the text that `caddy version` prints
	# before Caddy's version.
	flags="-ldflags '-w -s -X \"github.com/caddyserver/caddy/v2.CustomVersion=webhook_auth ${version:-unknown} Caddy\"'"
	flags+=" -trimpath -tags nobadger,nomysql,nopgx"
	say "Building Caddy $caddy with webhook_auth ${version:-of an unknown version}."
	say "The first build downloads about 1 GB of Go modules and compiles Caddy, which takes a few minutes. Later builds take seconds."
	GOWORK=off XCADDY_GO_BUILD_FLAGS=${XCADDY_GO_BUILD_FLAGS:-$flags} progress \
		go run "github.com/caddyserver/xcaddy/cmd/xcaddy@${XCADDY_VERSION:-v0.4.5}" build "$caddy" \
		--with "$module@${version:-v0.0.0-00010101000000-000000000000}=$PWD" --output "$output" "$@"
	# Not piped into grep -q, which exits at the first match, so that caddy cannot write.
	modules=$("$output" list-modules --skip-standard)
	grep -qx 'http.handlers.webhook_auth' <<<"$modules" ||
		fail "$output lacks the module http.handlers.webhook_auth"
}

# free fails if something listens on a port that Caddyfile.example needs.
free() {
	local port
	for port in "$@"; do
		! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
			fail "port $port is in use, and Caddyfile.example needs it; stop the program that listens there, or change the port in Caddyfile.example"
	done
}

run() {
	local body='{"eventType":"demo","eventData":{"hello":"app"}}' field
	: "${WEBHOOK_SECRET:=wk-$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')}"
	export WEBHOOK_SECRET
	secret=$(mktemp) # only this user can read it, and no secret is on a command line
	trap 'rm -f "$secret"' EXIT # not local, so that it is still known then
	printf %s "$WEBHOOK_SECRET" >"$secret"
	field=$("$output" webhook sign --config Caddyfile.example --data "$body")
	cat <<-TXT

		The gateway listens on http://localhost:8080, in front of a demo app. In another terminal:

		# signed with the secret: 200, with the app's answer
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
