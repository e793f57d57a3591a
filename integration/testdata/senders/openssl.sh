#!/usr/bin/env bash
# openssl and curl, as an operator tries it by hand.
set -euo pipefail
url=$1 method=$2 framing=$3
shift 3

body=$(mktemp)
trap 'rm -f -- "$body"' EXIT
cat >"$body"
key=$(printf %s "$WEBHOOK_SECRET" | od -An -tx1 -v | tr -d ' \n')
digest=$(openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r "$body")
digest=${digest%% *}

fields=(-H "$SIGNATURE_FIELD: sha256=$digest" -H 'Content-Type:') # curl would claim a form
if [[ $framing == chunked ]]; then
	fields+=(-H 'Transfer-Encoding: chunked')
fi
for field in "$@"; do
	fields+=(-H "$field")
done
answer=$(mktemp)
trap 'rm -f -- "$body" "$answer"' EXIT
curl --silent --show-error --noproxy '*' --request "$method" "${fields[@]}" \
	--data-binary "@$body" --output "$answer" --write-out '%{http_code}\n' "$url"
cat "$answer"
