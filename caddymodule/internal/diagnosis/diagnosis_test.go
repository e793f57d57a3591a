package diagnosis_test

import (
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const (
	secret = "zQ7kV2mXw9Lr4TbN8cJd"
	decoy  = "Hf3pYs6GaE1uRo5WiBxM"
	hexKey = "3d1f5b7c9e0a2468ace013579bdf2460"
	plain  = `{"zeta":1.50,"alpha":["quux","corge"],"grault":{},"n":1E400}`
)

// now is the time at which every delivery arrives.
var now = time.Unix(1_800_000_000, 0)

var hashes = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// sign shares nothing with the code under test.
func sign(algorithm, key, text string) []byte {
	mac := hmac.New(hashes[algorithm], []byte(key))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func hexOf(algorithm, key, text string) string { return hex.EncodeToString(sign(algorithm, key, text)) }

// hub returns a header section of the X-Hub-Signature family.
func hub(key, text string) http.Header {
	return header("X-Hub-Signature-256", "sha256="+hexOf("sha256", key, text))
}

func header(pairs ...string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "Via": {"1.1 relay"}}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func preset(name string) signature.Scheme {
	p, ok := signature.FindPreset(name)
	if !ok {
		panic(name)
	}
	return p.Scheme
}

// A faulty delivery differs in one thing from one that the gate accepts.
type faulty struct {
	want   diagnosis.Diagnosis
	hint   string // a part of it
	scheme signature.Scheme
	secret string // the gate's; default: secret
	header http.Header
	body   string // that arrives
	url    string
	target string
	method string // default: POST
	others []*diagnosis.Gate
	// What the cures need: the sender's key, the body and the URL that it signed, and the
	// scheme of the gate that the delivery was meant for.
	key, signed, signedURL, signedTarget string
	meant                                signature.Scheme
	// refused is why the gate refuses; default: SignatureMismatch.
	refused refusal.Reason
	// byForm says that the header section alone shows the diagnosis; otherwise it shows
	// the one in shown, or none.
	byForm bool
	shown  diagnosis.Diagnosis
}

// changed is a delivery whose body a hop changed.
func changed(want diagnosis.Diagnosis, hint, signed, arrived string) faulty {
	return faulty{want: want, hint: hint, header: hub(secret, signed), body: arrived, signed: signed}
}

// keyed is a delivery signed with another key than the gate's secret makes.
func keyed(want diagnosis.Diagnosis, hint, gates, senders string) faulty {
	return faulty{want: want, hint: hint, secret: gates, header: hub(senders, plain), body: plain, key: senders}
}

// formed is a delivery whose field is written as the gate does not expect it.
func formed(want diagnosis.Diagnosis, hint string, scheme signature.Scheme, value string) faulty {
	return faulty{
		want: want, hint: hint, scheme: scheme, header: header(scheme.Or(signature.Scheme{Headers: signature.DefaultHeaders}).Headers[0], value),
		body: plain, refused: refusal.MalformedSignature, byForm: true,
	}
}

func stripe(at time.Time, unit int64) http.Header {
	ts := strconv.FormatInt(at.UnixNano()/unit, 10)
	return header("Stripe-Signature", "t="+ts+",v1="+hexOf("sha256", secret, ts+"."+plain))
}

func standard(key string) http.Header {
	ts := strconv.FormatInt(now.Unix(), 10)
	value := "v1," + base64.StdEncoding.EncodeToString(sign("sha256", key, "msg_1."+ts+"."+plain))
	return header("webhook-id", "msg_1", "webhook-timestamp", ts, "webhook-signature", value)
}

func indent(text, by string) string {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(text), "", by); err != nil {
		panic(err)
	}
	return b.String()
}

func zip(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(text))
	w.Close()
	return b.String()
}

// deflated compresses in zlib's format, or in the raw one.
func deflated(text string, raw bool) string {
	var b bytes.Buffer
	var w io.WriteCloser = zlib.NewWriter(&b)
	if raw {
		w, _ = flate.NewWriter(&b, 6)
	}
	io.WriteString(w, text)
	w.Close()
	return b.String()
}

// wide encodes text in UTF-16.
func wide(text string, big bool) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		pair := []byte{byte(unit), byte(unit >> 8)}
		if big {
			pair[0], pair[1] = pair[1], pair[0]
		}
		b.Write(pair)
	}
	return b.String()
}

// digested is a delivery whose sender signed the digest of the body.
func digested(hint string, written func(sum []byte) string) faulty {
	sum := sha256.Sum256([]byte(plain))
	return faulty{want: "sender_signed_digest_of_body", hint: hint, header: hub(secret, written(sum[:])), body: plain}
}

// long is the SHA-512 of the body.
func long(written func(sum []byte) string) func([]byte) string {
	sum := sha512.Sum512([]byte(plain))
	return func([]byte) string { return written(sum[:]) }
}

// fraction returns a signature with a fraction in its time.
func fraction(field, format string) http.Header {
	ts := strconv.FormatInt(now.UnixMilli(), 10) + ".25"
	if field == "Stripe-Signature" {
		ts = strconv.FormatInt(now.Unix(), 10) + ".25"
	}
	return header(field, fmt.Sprintf(format, ts, hexOf("sha256", secret, ts+"."+plain)))
}

func concat(rows ...[]faulty) []faulty { return slices.Concat(rows...) }

func rows() []faulty {
	return concat(secretRows(), headerRows(), bodyRows(), jsonRows(), vocabularyRows())
}

// vocabularyRows are of senders that sign a hash of the body, a path, a nonce, or whose list
// has no tags.
func vocabularyRows() []faulty {
	short, long := sha256.Sum256([]byte(plain)), sha512.Sum512([]byte(plain))
	texts := map[string]string{
		"{body}": plain, "{body_sha256}": hex.EncodeToString(short[:]), "{body_sha512}": hex.EncodeToString(long[:]),
		"{body_sha256_base64}": base64.StdEncoding.EncodeToString(short[:]), "{body_sha512_base64}": base64.StdEncoding.EncodeToString(long[:]),
	}
	hashed := func(hint, payload, signed string) faulty {
		return faulty{want: "body_hash_differs", hint: hint, scheme: signature.Scheme{Payload: "{method} " + payload}, header: hub(secret, "POST "+texts[signed]), body: plain}
	}
	target := func(hint, arrived, signed string) faulty {
		return faulty{
			want: "target_differs", hint: hint, scheme: signature.Scheme{Payload: "{path_query}{body_sha256}"},
			header: hub(secret, signed+texts["{body_sha256}"]), body: plain, target: arrived, signedTarget: signed,
		}
	}
	untagged := signature.Scheme{Headers: []string{"X-Sig"}, Signature: "{ts},{hex},...", Payload: "{ts}.{body}", TimestampUnit: "ms"}
	list := func(ts string) http.Header { return header("X-Sig", ts+","+hexOf("sha256", secret, ts+"."+plain)) }
	late := strconv.FormatInt(now.Add(-time.Hour).UnixMilli(), 10)
	nonce := signature.Scheme{Headers: []string{"X-Sig"}, Signature: "t={nonce},s={hex}", Payload: "{nonce}.{body}"}
	dated := signature.Scheme{Headers: []string{"X-Sig"}, Signature: "{hex}", Payload: "{ts}.{body}", Timestamp: "Date", TimestampUnit: "http"}
	date := func(text string) http.Header {
		return header("X-Sig", hexOf("sha256", secret, text+"."+plain), "Date", text)
	}
	return []faulty{
		hashed("signs the body itself, and the payload has its SHA-256 in hex; write `payload \"{method} {body}\"`", "{body_sha256}", "{body}"),
		hashed("`payload \"{method} {body_sha256_base64}\"`", "{body_sha256}", "{body_sha256_base64}"),
		hashed("`payload \"{method} {body_sha256}\"`", "{body_sha512}", "{body_sha256}"),
		hashed("its SHA-512 in base64", "{body_sha512}", "{body_sha512_base64}"),
		hashed("its SHA-512 in hex", "{body_sha256_base64}", "{body_sha512}"),

		target("without the query", "/hooks/in?a=1", "/hooks/in"),
		target("a slash at the end", "/hooks/in/?a=1", "/hooks/in?a=1"),
		target("a slash at the end", "/hooks/in", "/hooks/in/"),
		target("decoded", "/hooks/a%20b?c=%2f", "/hooks/a b?c=/"),

		{want: "clock_is_off", hint: "3600 seconds in the past", scheme: untagged, header: list(late), body: plain, refused: refusal.TimestampOutOfRange, byForm: true},
		{want: "timestamp_unit_differs", hint: "`timestamp {ts} s`", scheme: untagged, header: list(strconv.FormatInt(now.Unix(), 10)), body: plain, refused: refusal.TimestampOutOfRange, byForm: true},
		{want: "signature_is_base64_not_hex", hint: "`signature {ts},{base64},...`", scheme: untagged, body: plain, refused: refusal.MalformedSignature, byForm: true, header: header("X-Sig",
			strconv.FormatInt(now.UnixMilli(), 10)+","+base64.StdEncoding.EncodeToString(sign("sha256", secret, strconv.FormatInt(now.UnixMilli(), 10)+"."+plain)))},

		{want: "signature_tags_differ", hint: "`signature n={nonce},s={hex}`", scheme: nonce, header: header("X-Sig", "n=7,s="+hexOf("sha256", secret, "7."+plain)), body: plain, refused: refusal.MalformedSignature, byForm: true},
		{want: "signature_tags_differ", hint: "`signature t={nonce},v1={hex}`", scheme: nonce, header: header("X-Sig", "t=7,v1="+hexOf("sha256", secret, "7."+plain)), body: plain, refused: refusal.MalformedSignature, byForm: true},

		{want: "clock_is_off", hint: "3600 seconds in the future", scheme: dated, header: date(now.Add(time.Hour).UTC().Format(http.TimeFormat)), body: plain, refused: refusal.TimestampOutOfRange, byForm: true},
		{want: "timestamp_unit_differs", hint: "`timestamp Date s`", scheme: dated, header: date(strconv.FormatInt(now.Unix(), 10)), body: plain, refused: refusal.TimestampMalformed, byForm: true},
	}
}

func secretRows() []faulty {
	b64, raw := base64.StdEncoding.EncodeToString([]byte(secret)), []byte(hexKey)
	bytes16, _ := hex.DecodeString(string(raw))
	other := func(name, scheme string) []*diagnosis.Gate {
		return []*diagnosis.Gate{
			nil, gate("first", preset("slack"), decoy+"0"),
			gate(name, preset(scheme), decoy+"1", decoy+"2"),
		}
	}
	encoded := preset("standard-webhooks")
	hexed := signature.Scheme{SecretEncoding: "hex"}
	return []faulty{
		keyed("secret_has_surrounding_whitespace", "line break", secret+"\n", secret),
		keyed("secret_has_surrounding_whitespace", "", secret+"\r\n", secret),
		keyed("secret_has_surrounding_whitespace", "", " "+secret, secret),
		keyed("secret_has_byte_order_mark", "UTF-8", "\xEF\xBB\xBF"+secret, secret),
		keyed("secret_has_byte_order_mark", "UTF-8", "\xEF\xBB\xBF"+secret+"\r\n", secret),
		keyed("secret_has_byte_order_mark", "UTF-16", "\xFF\xFE"+wide(secret+"\r\n", false), secret),
		keyed("secret_has_byte_order_mark", "UTF-16", "\xFE\xFF"+wide(secret, true), secret),
		keyed("secret_is_quoted", "", `"`+secret+`"`, secret),
		keyed("secret_is_quoted", "", "'"+secret+"'\n", secret),
		keyed("secret_needs_base64_decode", "`secret_encoding base64`", b64, secret),
		keyed("secret_needs_base64_decode", "", strings.TrimRight(b64, "=")+"\n", secret),
		keyed("secret_needs_hex_decode", "`secret_encoding hex`", hexKey, string(bytes16)),
		keyed("secret_needs_whsec_decode", "`secret_encoding base64 whsec_`", "whsec_"+b64, secret),
		{want: "secret_should_not_be_decoded", hint: "`secret_encoding text`", scheme: encoded, secret: "whsec_" + b64, header: standard("whsec_" + b64), body: plain},
		{want: "secret_should_not_be_decoded", hint: "`secret_encoding text whsec_`", scheme: encoded, secret: "whsec_" + b64, header: standard(b64), body: plain},
		{want: "secret_should_not_be_decoded", scheme: hexed, secret: hexKey, header: hub(hexKey, plain), body: plain},
		keyed("sender_secret_ends_with_newline", "a newline", secret, secret+"\n"),
		keyed("sender_secret_ends_with_newline", "a carriage return and", secret, secret+"\r\n"),
		keyed("sender_secret_ends_with_newline", "a blank", secret, secret+" "),
		keyed("sender_secret_ends_with_newline", "a blank in front", secret, " "+secret),
		keyed("secret_lacks_whsec", "", secret, "whsec_"+secret),
		keyed("sender_secret_is_quoted", "double", secret, `"`+secret+`"`),
		keyed("sender_secret_is_quoted", "single", secret, "'"+secret+"'"),
		keyed("sender_secret_is_empty", "", secret, ""),
		keyed("sender_key_is_base64_of_secret", "Kubernetes", secret, b64),
		keyed("sender_key_is_hex_of_secret", "", secret, hex.EncodeToString([]byte(secret))),
		{want: "signed_with_another_gates_secret", hint: `"payments"`, header: hub(decoy+"2", plain), body: plain, others: other("payments", "github")},
		{want: "signed_with_another_gates_secret", hint: `"payments"`, header: hub(decoy+"1", plain), body: plain, others: other("payments", "linear")},
		{
			want: "meant_for_another_gate", hint: `"issues"`, refused: refusal.MissingSignature, shown: "signature_in_another_field",
			header: header("Linear-Signature", hexOf("sha256", decoy+"1", plain)), body: plain, others: other("issues", "linear"), meant: preset("linear"),
		},
	}
}

func headerRows() []faulty {
	sum := sign("sha256", secret, plain)
	std, raw, hexed := base64.StdEncoding.EncodeToString(sum), base64.RawURLEncoding.EncodeToString(sum), hex.EncodeToString(sum)
	urlScheme := signature.Scheme{Headers: []string{"X-Sig"}, Signature: "{base64url}"}
	signed := func(url string) http.Header {
		return header("X-Square-HmacSha256-Signature", base64.StdEncoding.EncodeToString(sign("sha256", secret, url+plain)))
	}
	square := func(hint, url string) faulty {
		return faulty{want: "url_differs", hint: hint, scheme: preset("square"), url: "https://hooks.example.com/in?a=1", header: signed(url), body: plain, signedURL: url}
	}
	timed := func(want diagnosis.Diagnosis, hint, scheme string, h http.Header) faulty {
		return faulty{want: want, hint: hint, scheme: preset(scheme), header: h, body: plain, refused: refusal.TimestampOutOfRange, byForm: true}
	}
	slack := func(ts string) http.Header {
		return header("X-Slack-Request-Timestamp", ts, "X-Slack-Signature", "v0="+hexOf("sha256", secret, "v0:"+ts+":"+plain))
	}
	zendesk := func(ts string) http.Header {
		return header("X-Zendesk-Webhook-Signature-Timestamp", ts,
			"X-Zendesk-Webhook-Signature", base64.StdEncoding.EncodeToString(sign("sha256", secret, ts+plain)))
	}
	date := timed("timestamp_unit_differs", "X-Slack-Request-Timestamp rfc3339`", "slack", slack(now.UTC().Format(time.RFC3339)))
	date.refused = refusal.TimestampMalformed
	unlisted := formed("algorithm_not_listed", "sha1", signature.Scheme{}, "sha1="+hexOf("sha1", secret, plain))
	unlisted.refused = refusal.AlgorithmNotAllowed
	label := formed("algorithm_label_wrong", "labels its digest sha1, and it is one of sha256", signature.Scheme{}, "sha1="+hexed)
	label.refused = refusal.AlgorithmNotAllowed
	elsewhere := faulty{
		want: "signature_in_another_field", hint: "`header X-Hub-Signature-256`", scheme: preset("chatbotkit"),
		header: hub(secret, plain), body: plain, refused: refusal.MissingSignature, byForm: true,
	}
	svix := elsewhere
	svix.hint, svix.scheme, svix.secret = "`webhook_auth svix`", preset("hub"), "whsec_"+base64.StdEncoding.EncodeToString([]byte(secret))
	svix.header = header()
	for name, lines := range standard(secret) {
		svix.header.Set(strings.Replace(name, "Webhook-", "svix-", 1), lines[0])
	}
	listed := preset("pagerduty")
	tagged := func(hint string, scheme signature.Scheme, value string) faulty {
		return formed("signature_tags_differ", hint, scheme, value)
	}
	inField := func(hint, scheme, own string, h http.Header) faulty {
		return faulty{
			want: "signature_in_another_field", hint: hint, scheme: preset(scheme), secret: own, header: h, body: plain,
			refused: refusal.MissingSignature, byForm: true,
		}
	}
	spelled := func(want diagnosis.Diagnosis, hint, label, digest string) faulty {
		f := formed(want, hint, signature.Scheme{}, label+digest)
		if name, _, named := strings.Cut(label+digest, "="); named && name != "sha256" {
			f.refused = refusal.AlgorithmNotAllowed
		}
		return f
	}
	broken := func(want diagnosis.Diagnosis, hint, scheme string, h http.Header) faulty {
		f := timed(want, hint, scheme, h)
		f.refused = refusal.TimestampMalformed
		return f
	}
	untimed := func(hint, tag string) faulty {
		f := formed("signature_tags_differ", hint, preset("stripe"), strings.Replace(stripe(now, 1e9).Get("Stripe-Signature"), "t=", tag, 1))
		f.refused = refusal.TimestampMissing
		return f
	}
	square512 := signature.Scheme{Algorithms: []string{"sha512", "sha256"}}
	dated := preset("xobni")
	dated.Timestamp, dated.TimestampUnit = "X-Xobni-Timestamp", "rfc3339"
	day := now.UTC().Format("2006-01-02T15:04:05")
	xobni := header("X-Xobni-Timestamp", day, "X-Xobni-Signature", "sha256="+hexOf("sha256", secret, day+"."+plain))
	zoneless := broken("timestamp_has_no_zone", "Z", "xobni", xobni)
	zoneless.scheme = dated
	return []faulty{
		formed("signature_is_base64_not_hex", "`signature {alg}={base64}`", preset("github"), "sha256="+std),
		formed("signature_is_base64_not_hex", "`signature {base64url}`", preset("linear"), raw),
		formed("signature_is_hex_not_base64", "`signature {hex}`", preset("shopify"), hexed),
		formed("signature_is_hex_not_base64", "`signature {hex}`", urlScheme, hexed),
		formed("signature_is_base64url_not_base64", "", preset("shopify"), raw),
		formed("signature_is_base64_not_base64url", "", urlScheme, std),
		formed("signature_has_another_form", "`signature {alg}={hex}`", preset("linear"), "sha256="+hexed),
		formed("signature_has_another_form", "`signature {hex}`", preset("github"), hexed),
		formed("signature_has_another_form", "`signature {base64}`", preset("notion"), std),
		formed("algorithm_label_wrong", "labels its digest sha256, and it is one of sha1", signature.Scheme{}, "sha256="+hexOf("sha1", secret, plain)),
		label,
		unlisted,
		formed("algorithm_differs", "`algorithms sha512`", preset("linear"), hexOf("sha512", secret, plain)),
		elsewhere, svix,
		inField("`webhook_auth standard-webhooks`", "svix", "whsec_"+base64.StdEncoding.EncodeToString([]byte(secret)), standard(secret)),
		inField("`webhook_auth firstpromoter`", "github", "", header("X-Webhook-Signature", hexed)),
		inField("`webhook_auth cursor`", "linear", "", header("X-Webhook-Signature", "sha256="+hexed)),
		inField("`webhook_auth intercom`", "linear", "", header("X-Hub-Signature", "sha1="+hexOf("sha1", secret, plain))),
		inField("`webhook_auth chatbotkit` or `webhook_auth ", "linear", "", header("X-Hub-Signature", "sha256="+hexed)),

		spelled("signature_label_is_spelled_differently", "`signature SHA-256={hex}`", "SHA-256=", hexed),
		spelled("signature_label_is_spelled_differently", "`signature SHA256={hex}`", "SHA256=", hexed),
		spelled("signature_label_is_spelled_differently", "`signature hmac-sha256={hex}`", "hmac-sha256=", hexed),
		spelled("signature_label_is_spelled_differently", "`signature HMAC-SHA512={hex}` and `algorithms sha512`", "HMAC-SHA512=", hexOf("sha512", secret, plain)),
		spelled("signature_label_is_spelled_differently", "`signature \"sha256= {hex}\"`", "sha256= ", hexed),
		spelled("signature_label_is_spelled_differently", "`signature sha256:{hex}`", "sha256:", hexed),
		spelled("signature_label_is_spelled_differently", "`signature \"HMAC-SHA256 {base64}\"`", "HMAC-SHA256 ", std),
		formed("signature_label_is_spelled_differently", "`signature sha256:{hex}` and `algorithms sha256`", square512, "sha256:"+hexed),
		formed("signature_label_is_spelled_differently", "`signature SHA256={hex}`", preset("notion"), "SHA256="+hexed),
		formed("signature_has_another_form", "`signature v1={hex}`", preset("notion"), "v1="+hexed),
		formed("signature_has_another_form", "`signature \"HMAC {base64}\"`", preset("shopify"), "HMAC "+std),
		formed("signature_is_base64_of_hex", "", signature.Scheme{}, "sha256="+base64.StdEncoding.EncodeToString([]byte(hexed))),
		formed("signature_is_base64_of_hex", "", preset("shopify"), base64.StdEncoding.EncodeToString([]byte(hexed))),
		spelled("signature_is_quoted", "", `"sha256=`, hexed+`"`),
		formed("signature_is_quoted", "", signature.Scheme{}, `sha256="`+hexed+`"`),
		formed("signature_is_quoted", "", preset("linear"), "'"+hexed+"'"),
		formed("signature_is_quoted", "", listed, `v1="`+hexed+`"`),

		tagged("`signature v2={hex},...`", listed, "v2="+hexed),
		tagged("`signature sha256={hex},...`", listed, "v0=anything, sha256="+hexed),
		tagged("`signature 2/SHA256/{hex},...`", listed, "2/SHA256/"+hexed),
		formed("signature_tags_differ", "`signature t={ts},s={hex}`", preset("stripe"), strings.Replace(stripe(now, 1e9).Get("Stripe-Signature"), ",v1=", ",s=", 1)),
		formed("signature_tags_differ", "`signature \"V1,{base64} ...\"`", signature.Scheme{Headers: []string{"X-Sig"}, Signature: "v1,{base64} ..."}, "V1,"+std),

		untimed("`signature timestamp={ts},v1={hex}`", "timestamp="),
		untimed("`signature T={ts},v1={hex}`", "T="),

		broken("timestamp_is_fraction", "whole seconds", "slack", slack(strconv.FormatInt(now.Unix(), 10)+".1234567")),
		broken("timestamp_is_fraction", "whole seconds", "stripe", fraction("Stripe-Signature", "t=%s,v1=%s")),
		broken("timestamp_is_fraction", "whole milliseconds", "workos", fraction("WorkOS-Signature", "t=%s, v1=%s")),
		zoneless,
		timed("timestamp_unit_differs", "`timestamp {ts} ms`", "stripe", stripe(now, 1e6)),
		timed("timestamp_unit_differs", "`timestamp {ts} s`", "workos", header("WorkOS-Signature", strings.Replace(
			stripe(now, 1e9).Get("Stripe-Signature"), ",v1", ", v1", 1))),
		date,
		timed("clock_is_off", "3600 seconds in the past, and the gate allows 300", "stripe", stripe(now.Add(-time.Hour), 1e9)),
		timed("clock_is_off", "301 seconds in the future", "slack", slack(strconv.FormatInt(now.Unix()+301, 10))),
		timed("clock_is_off", "601 seconds in the past", "zendesk", zendesk(now.Add(-601*time.Second).UTC().Format(time.RFC3339))),
		timed("clock_is_off", "200 seconds in the past, and the gate allows 180", "workos", header("WorkOS-Signature", strings.Replace(
			stripe(now.Add(-200*time.Second), 1e6).Get("Stripe-Signature"), ",v1", ", v1", 1))),
		square("http://", "http://hooks.example.com/in?a=1"),
		square("slash", "https://hooks.example.com/in?a=1/"),
		square("query", "https://hooks.example.com/in"),
		{want: "url_differs", scheme: preset("square"), url: "http://hooks.example.com/in/", header: signed("https://hooks.example.com/in"), body: plain, signedURL: "https://hooks.example.com/in"},
	}
}

func bodyRows() []faulty {
	umlaut := `{"zeta":"Grützwurst"}`
	latin := strings.ReplaceAll(umlaut, "ü", "\xFC")
	return []faulty{
		changed("body_is_empty", "redirect", plain, ""),
		{want: "method_sends_no_body", hint: "is a GET", header: hub(secret, plain), method: http.MethodGet, signed: plain},
		{want: "method_sends_no_body", hint: "is a HEAD", header: hub(secret, plain), method: http.MethodHead, signed: plain},
		digested("the 32 bytes of its SHA-256", func(sum []byte) string { return string(sum) }),
		digested("write `payload {body_sha256}`", hex.EncodeToString),
		digested("in hex, in capitals", func(sum []byte) string { return strings.ToUpper(hex.EncodeToString(sum)) }),
		digested("write `payload {body_sha256_base64}`", base64.StdEncoding.EncodeToString),
		digested("write `payload {body_sha512}`", long(hex.EncodeToString)),
		digested("write `payload {body_sha512_base64}`", long(base64.StdEncoding.EncodeToString)),
		changed("sender_signed_empty_body", "", "", plain),
		changed("sender_signed_form_payload", "", plain, "token=x&payload="+url.QueryEscape(plain)+"&z=1"),
		changed("trailing_newline_was_removed", "--data-binary", plain+"\n", plain),
		changed("trailing_newline_was_removed", "", plain+"\r\n", plain),
		changed("trailing_newline_was_added", "printf %s", plain, plain+"\n"),
		changed("trailing_newline_was_added", "", plain, plain+"\r\n"),
		changed("line_breaks_were_changed", "CRLF where", "quux\r\ncorge\r\n", "quux\ncorge\n"),
		changed("line_breaks_were_changed", "LF where", indent(plain, " "), strings.ReplaceAll(indent(plain, " "), "\n", "\r\n")),
		changed("line_breaks_were_removed", "--data-binary", indent(plain, "  "), strings.ReplaceAll(indent(plain, "  "), "\n", "")),
		changed("line_breaks_were_removed", "", indent(plain, "    ")+"\n", strings.ReplaceAll(indent(plain, "    "), "\n", "")),
		changed("byte_order_mark_was_added", "", plain, "\xEF\xBB\xBF"+plain),
		changed("charset_was_changed", "ISO-8859-1", latin, umlaut),
		changed("charset_was_changed", "UTF-8", umlaut, latin),
		changed("charset_was_changed", "UTF-16, little-endian", wide(plain, false), plain),
		changed("charset_was_changed", "UTF-16, big-endian", wide(umlaut, true), umlaut),
		changed("charset_was_changed", "ASCII", `{"zeta":"Gr?tzwurst"}`, umlaut),
		changed("charset_was_changed", "ASCII", `{"zeta":"??"}`, `{"zeta":"😀"}`),
		changed("charset_was_changed", "ASCII", `{"zeta":"?"}`, `{"zeta":"😀"}`),
		changed("body_was_gzipped", "", plain, zip(plain)),
		changed("body_was_deflated", "", plain, deflated(plain, false)),
		changed("body_was_deflated", "", plain, deflated(plain, true)),
	}
}

func jsonRows() []faulty {
	python := `{"zeta": "Gr\u00fc\u00dfe, \ud83d\ude00: \"/\\/", "a": [1, 2.50, [], {}]}`
	php := `{"zeta":"Gr\u00fc\u00dfe, \ud83d\ude00: \"\/\\\/","a":[1,2.50,[],{}]}`
	node := `{"zeta":"Grüße, 😀: \"/\\/","a":[1,2.50,[],{}]}`
	golang := `{"zeta":"\u003cquux\u0026corge\u003e"}`
	lower := `{"zeta":"Gr\u00fc\u00dfe, \ud83d\ude00: \"/\\/","a":[1,2.50,[],{}]}`
	upper := `{"zeta":"Gr\u00FC\u00DFe, \uD83D\uDE00: \"/\\/","a":[1,2.50,[],{}]}`
	slashes := strings.ReplaceAll(node, "/", `\/`)
	spacing := strings.NewReplacer(`,"`, `, "`, `:`, `: `, `["q`, `["q`).Replace(plain)
	return []faulty{
		changed("json_was_pretty_printed", "", plain, indent(plain, "  ")),
		changed("json_was_pretty_printed", "", plain, spacing),
		changed("json_was_compacted", "2 blanks", indent(plain, "  "), plain),
		changed("json_was_compacted", "4 blanks", indent(plain, "    "), plain),
		changed("json_was_compacted", "a tab", indent(plain, "\t"), spacing),
		changed("json_spacing_was_changed", "Python", spacing, plain),
		changed("json_spacing_was_changed", "indented by 4 blanks", indent(plain, "    "), indent(plain, "  ")),
		changed("json_slash_was_unescaped", "PHP", slashes, node),
		changed("json_slash_was_escaped", "PHP", node, slashes),
		changed("json_unicode_was_unescaped", "lower case", lower, node),
		changed("json_unicode_was_unescaped", "upper case", upper, node),
		changed("json_unicode_was_unescaped", "Go", golang, `{"zeta":"<quux&corge>"}`),
		changed("json_unicode_was_unescaped", "beyond U+FFFF", `{"zeta":"Grüße \ud83d\ude00"}`, `{"zeta":"Grüße 😀"}`),
		changed("json_unicode_was_unescaped", "beyond U+FFFF", `{"zeta":"Grüße \uD83D\uDE00"}`, `{"zeta":"Grüße 😀"}`),
		changed("json_unicode_was_unescaped", "U+2028", `{"zeta":"ü<\u2028"}`, "{\"zeta\":\"ü<\u2028\"}"),
		changed("json_escapes_changed_case", "lower", `{"zeta":"\u001b \ud83d\ude00"}`, `{"zeta":"\u001B \uD83D\uDE00"}`),
		changed("json_escapes_changed_case", "upper", `{"zeta":"\u001B"}`, `{"zeta":"\u001b"}`),
		changed("json_was_reencoded", ".NET", `{"zeta":"\u00FC \u0022it\u0027s\u0022 \u003C1\u002B1\u003E \\n"}`, `{"zeta": "ü \"it's\" <1+1> \\n"}`),
		changed("json_was_reencoded", "JSON_UNESCAPED_UNICODE", `{"zeta":"ü\/\u2029"}`, "{\"zeta\":\"ü/\u2029\"}"),
		changed("sender_signed_sorted_json", "without white space", `{"a":{"b":[{"x":1,"y":2}],"c":1},"z":"ü"}`, `{"z": "ü","a":{"c":1,"b":[{"y":2,"x":1}]}}`),
		changed("sender_signed_sorted_json", "Python", `{"a": [1, 2], "z": "\u00fc"}`, `{"z":"ü","a":[1,2]}`),
		changed("sender_signed_sorted_json", "a blank after", `{"a": [1, 2], "z": "ü"}`, `{"z":"ü","a":[1,2]}`),
		changed("sender_signed_sorted_json", "escapes", `{"a":[1,2],"z":"\u00fc"}`, `{"z":"ü","a":[1,2]}`),
		changed("json_unicode_was_escaped", "", node, lower),
		changed("json_unicode_was_escaped", "", node, upper),
		changed("json_unicode_was_escaped", "", `{"zeta":"<quux&corge>"}`, golang),
		changed("json_was_reencoded", "Python", python, node),
		changed("json_was_reencoded", "PHP", php, node),
		changed("json_was_reencoded", `without white space and \u`, node, python),
		changed("json_was_reencoded", "without escapes of slashes", node, php),
	}
}

func gate(name string, scheme signature.Scheme, texts ...string) *diagnosis.Gate {
	return diagnosis.NewGate(name, scheme, secrets(texts...))
}

func secrets(texts ...string) []signature.Secret {
	all := make([]signature.Secret, len(texts))
	for i, text := range texts {
		all[i] = signature.Secret{Name: strconv.Itoa(i + 1), Text: text}
	}
	return all
}

// texts returns the gate's secrets: only the row's, or the row's as the second of as many
// as a gate can have.
func (f *faulty) texts(rotating bool) []string {
	own := f.secret
	if own == "" {
		own = secret
	}
	if !rotating {
		return []string{own}
	}
	other := decoy
	switch f.scheme.SecretEncoding {
	case "hex", "base64":
		other = hex.EncodeToString([]byte(decoy))
	}
	texts := []string{other, own}
	for len(texts) < signature.MaxSecrets {
		texts = append(texts, other)
	}
	return texts
}

func (f *faulty) delivery() *signature.Delivery {
	return &signature.Delivery{Header: f.header, Method: cmp.Or(f.method, http.MethodPost), URL: f.url, Target: f.target, Now: now}
}

func TestEveryDiagnosisIsReached(t *testing.T) {
	reached := map[diagnosis.Diagnosis]bool{"unknown": true} // by the tests of forgeries
	for _, c := range checkRows() {
		reached[cmp.Or(c.want, "unknown")] = true // see TestChecks
	}
	for _, f := range publicFaults() {
		reached[f.want] = true // see TestPublicKeyDiagnoses
	}
	for _, f := range tokenFaults() {
		reached[cmp.Or(f.want, "unknown")] = true // see TestTokenDiagnoses
	}
	for i, f := range rows() {
		t.Run(fmt.Sprintf("%d %s", i, f.want), func(t *testing.T) {
			f.diagnose(t, f.texts(false))
			f.diagnose(t, f.texts(true))
		})
		reached[f.want] = true
	}
	for _, d := range diagnosis.Diagnoses() {
		if !reached[d] {
			t.Errorf("no delivery reaches %s", d)
		}
		delete(reached, d)
	}
	for d := range reached {
		t.Errorf("%s is not in the closed set", d)
	}
}

// diagnose checks what is found with and without the body, and its cure.
func (f *faulty) diagnose(t *testing.T, texts []string) {
	t.Helper()
	want := cmp.Or(f.refused, refusal.SignatureMismatch)
	if err := (situation{f.scheme, texts, f.delivery(), f.body}).verdict(t); !errors.Is(err, want) {
		t.Fatalf("the gate says %v, want %v", err, want)
	}
	g := gate("own", f.scheme, texts...)
	found := g.Diagnose(f.delivery(), []byte(f.body), append([]*diagnosis.Gate{g}, f.others...))
	f.check(t, found)
	f.wantCured(t, found, texts)
	if got := g.Inspect(f.delivery(), want); f.byForm {
		f.check(t, got)
	} else if got.Diagnosis != f.shown {
		t.Errorf("the header section alone shows %+v, want %q", got, f.shown)
	}
}

func (f *faulty) check(t *testing.T, got diagnosis.Finding) {
	t.Helper()
	if got.Diagnosis != f.want || !strings.Contains(got.Hint, f.hint) {
		t.Errorf("got %+v, want %s with %q", got, f.want, f.hint)
	}
	if strings.Contains(got.Hint, "%!") || !strings.HasSuffix(got.Hint, ".") {
		t.Errorf("the hint is not a sentence: %s", got.Hint)
	}
	for what, hidden := range f.hidden() {
		if part := common(hidden, got.Hint, 8); part != "" {
			t.Errorf("the hint holds %q of the %s: %s", part, what, got.Hint)
		}
	}
}

// hidden returns texts of which no hint may show a part.
func (f *faulty) hidden() map[string]string {
	all := map[string]string{"secret": secret, "decoy": decoy, "own secret": strings.TrimPrefix(f.secret, "whsec_"), "body": f.body, "URL": strings.TrimPrefix(f.url, "https://"), "target": f.target}
	for name, lines := range f.header {
		for i, line := range lines {
			if f.showsLabel() && len(line) > 40 {
				line = line[len(line)-40:] // a part of the digest
			}
			all[fmt.Sprintf("%s, line %d", name, i)] = line
		}
	}
	delete(all, "Content-Type, line 0") // a hint may name the type of JSON, which does not come from the request
	return all
}

// showsLabel reports whether the hint may show what is in front of the digest.
func (f *faulty) showsLabel() bool {
	return slices.Contains([]diagnosis.Diagnosis{
		"signature_label_is_spelled_differently", "signature_tags_differ", "signature_has_another_form",
	}, f.want)
}

// common returns n bytes that both texts contain, or "".
func common(hidden, hint string, n int) string {
	for i := 0; i+n <= len(hidden); i++ {
		if strings.Contains(hint, hidden[i:i+n]) {
			return hidden[i : i+n]
		}
	}
	return ""
}

// Only a digest that was proven is called right.
func TestSignatureIsRightExceptItsTime(t *testing.T) {
	g := gate("own", preset("stripe"), secret)
	d := &signature.Delivery{Header: stripe(now.Add(-time.Hour), 1e9), Now: now}
	const proven = "The signature itself is right."
	if f := g.Diagnose(d, []byte(plain), nil); !strings.HasSuffix(f.Hint, proven) {
		t.Error("not proven:", f)
	}
	if f := g.Diagnose(d, []byte(plain+" "), nil); f.Diagnosis != "clock_is_off" || strings.Contains(f.Hint, proven) {
		t.Error("proven with another body:", f)
	}
}
