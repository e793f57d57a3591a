#!/usr/bin/env bash
# Builds ./caddy with the webhook_auth module. Needs Go, git and bash.
#
#   ./xcaddy.sh [--with MODULE...]       build; arguments go on to xcaddy
#   ./xcaddy.sh run [--with MODULE...]   build, then try the gateway with Caddyfile.example
#
# Caddy's version is the one in go.mod, CADDY_VERSION overrides it. XCADDY_VERSION,
# OUTPUT (default ./caddy) and MODULE_VERSION (default: what git says) likewise.
# REPLAY_REDIS=no leaves out the replay guard's Redis store, and its client.
set -euo pipefail
output=${OUTPUT:-}
[[ -z $output || $output == /* ]] || output=$PWD/$output
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

# version prints the tag of the clone, or what git calls a commit behind one, in a
# form that is a version to Go too. Where this folder is no clone it prints nothing,
# rather than something of a repository around it.
version() {
	local commit
	[[ -e .git ]] || return 0
	git describe --tags --match 'v[0-9]*.[0-9]*.[0-9]*' --dirty && return
	commit=$(git describe --always --exclude '*' --dirty) && echo "v0.0.0-g$commit"
}

build() {
	local module modules caddy packages proxies version
	module=$(go list -m)
	caddy=${CADDY_VERSION:-$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)}
	packages=(--with "$module/caddymodule")
	[[ ${REPLAY_REDIS-} == no ]] || packages+=(--with "$module/caddymodule/replayredis")
	version=${MODULE_VERSION:-$(version 2>/dev/null || true)}
	# A module that is replaced has no version, unless the replacement names one: it is
	# what list-modules and build-info show. The flags are xcaddy's own, which these
	# replace, and what stands in front of Caddy's version in `caddy version`.
	local flags="-ldflags '-w -s -X \"github.com/caddyserver/caddy/v2.CustomVersion=webhook_auth ${version:-unknown} Caddy\"'"
	flags+=" -trimpath -tags nobadger,nomysql,nopgx"
	# xcaddy makes Go look for $module/caddymodule as a module of its own first. A
	# proxy that answers anything but 404 or 410, or no network at all, would end the
	# build there: '|' goes on after any error, and 'off' ends the search for good.
	proxies=$(go env GOPROXY | sed 's/,direct$//; s/,/|/g')
	GOWORK=off GOPROXY="$proxies|off" XCADDY_GO_BUILD_FLAGS=${XCADDY_GO_BUILD_FLAGS:-$flags} \
		go run "github.com/caddyserver/xcaddy/cmd/xcaddy@${XCADDY_VERSION:-v0.4.5}" build "$caddy" \
		"${packages[@]}" --replace "$module${version:+@$version}=$PWD" --output "$output" "$@"
	# Not into grep -q: it leaves at the first match, and caddy would fail to write.
	modules=$("$output" list-modules --skip-standard)
	grep -qx 'http.handlers.webhook_auth' <<<"$modules" ||
		{ echo "xcaddy.sh: $output lacks the module http.handlers.webhook_auth" >&2; exit 1; }
}

run() {
	local body='{"eventType":"demo","eventData":{"hello":"app"}}' field
	: "${WEBHOOK_SECRET:=wk-$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')}"
	export WEBHOOK_SECRET
	field=$("$output" webhook sign --config Caddyfile.example --data "$body")
	cat <<-TXT

		The gateway listens on http://localhost:8080. In another terminal:

		# signed with the secret: 200, and the app's answer
		curl -i http://localhost:8080/webhook -H '$field' --data-binary '$body'

		# forged: 401, and the app never hears of it
		curl -i http://localhost:8080/webhook -H '${field%%=*}=$(printf %064d 0)' --data-binary '$body'

		Control-C stops it. Its log:
	TXT
	exec "$output" run --config Caddyfile.example --adapter caddyfile
}

output=${output:-./caddy}
command=build
if [[ ${1-} == run ]]; then
	command=run
	shift
fi
build "$@"
[[ $command == build ]] || run
