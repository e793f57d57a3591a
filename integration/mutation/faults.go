package main

// A fault is a mistake that somebody could make, or has made elsewhere.
type fault struct {
	name   string
	file   string
	sound  string // a piece of the file that occurs exactly once
	broken string // its replacement
}

const (
	handler    = "caddymodule/handler.go"
	body       = "caddymodule/body.go"
	report     = "caddymodule/report.go"
	diagnose   = "caddymodule/diagnose.go"
	metrics    = "caddymodule/metrics.go"
	references = "caddymodule/internal/secretref/secretref.go"
	files      = "caddymodule/internal/secretref/file.go"
	replays    = "caddymodule/replay.go"
	apps       = "caddymodule/app.go"
	answers    = "caddymodule/answer.go"
	memory     = "caddymodule/replay/memory/memory.go"
	options    = "caddymodule/caddyfile.go"
	blocks     = "caddymodule/internal/options/options.go"
	hidden     = "caddymodule/internal/mistake/secret.go"
	suggest    = "caddymodule/internal/mistake/suggest.go"
	shared     = "caddymodule/keys.go"
	guessable  = "caddymodule/internal/guessable/guessable.go"
	secrets    = "caddymodule/secret.go" //nolint:gosec // the name of a file
	challenge  = "caddymodule/challenge.go"
	check      = "caddymodule/internal/signature/signature.go"
	asymmetric = "caddymodule/internal/signature/asymmetric.go"
	der        = "caddymodule/internal/signature/der.go"
	public     = "caddymodule/internal/signature/publickey.go"
	prints     = "caddymodule/internal/signature/fingerprint.go"
	keys       = "caddymodule/publickey.go"
	token      = "caddymodule/internal/signature/token.go"
	tokenGate  = "caddymodule/token.go"
	tokenLog   = "caddymodule/internal/lint/tokenlog.go"
	logs       = "caddymodule/internal/lint/accesslog.go"
	verdict    = "caddymodule/verdict.go"
	key        = "caddymodule/internal/signature/secret.go"
	pattern    = "caddymodule/internal/signature/pattern.go"
	payload    = "caddymodule/internal/signature/payload.go"
	fence      = "caddymodule/internal/signature/fence.go"
	bodyHash   = "caddymodule/internal/signature/bodyhash.go"
	scheme     = "caddymodule/internal/signature/scheme.go"
	clock      = "caddymodule/internal/signature/clock.go"
	algorithm  = "caddymodule/internal/signature/algorithm.go"
	oracle     = "caddymodule/internal/signature/challenge.go"
	forms      = "caddymodule/internal/signature/challengeforms.go"
	verify     = "caddymodule/internal/command/judge.go"
	follow     = "caddymodule/follow.go"
	index      = "caddymodule/index.go"
	tenants    = "caddymodule/tenants.go"
	cache      = "caddymodule/internal/tenant/cache.go"
	folder     = "caddymodule/internal/tenant/folder.go"
	spool      = "caddymodule/internal/spool/spool.go"
	unnamed    = "caddymodule/internal/spool/file_linux.go"
)

var faults = []fault{
	// What decides.
	{"every digest is the right one", check, "equal = hmac.Equal(signed, signature) || equal", "equal = hmac.Equal(nil, nil) && len(signature) > i"},
	{"a prefix of the digest is enough", check, "hmac.Equal(signed, signature)", "hmac.Equal(signed[:4], signature[:4])"},
	{"all signatures of a list must match", check, "hmac.Equal(signed, signature) || equal", "hmac.Equal(signed, signature) && (i == 0 || equal)"},
	{"the first of two field lines counts", check, "if len(lines) > 1 {\n\t\t\treturn refusal.AmbiguousSignature\n\t\t}\n", ""},
	{"a request without a signature passes on", check, "if !present {\n\t\treturn refusal.MissingSignature\n\t}\n", "if !present {\n\t\treturn nil\n\t}\n"},
	{"the weaker field counts as well", check, "if present = true; !scheme.anyHeader {", "if present = true; false {"},
	{"any known algorithm is allowed", check, "if c.algorithm < 0 || !scheme.allowed[c.algorithm] {", "if c.algorithm < 0 {"},
	{"the second secret is not tried", check, "for i, key := range c.keys {", "for i, key := range c.keys[:1] {"},
	{"the MAC of the delivery before goes on", check, "\tmac.Reset()\n", ""},
	{"what is signed before the body is left out", check, "_, _ = mac.Write(c.around[:c.split])", "_ = mac"},
	{"what is signed after the body is left out", check, "_, _ = mac.Write(c.around[c.split:])", "_ = mac"},
	{"an empty secret is a key", key, "if len(key) == 0 {", "if false {"},
	{"the prefix is part of the key", key, "strings.TrimPrefix(s.Text, k.prefix)", "s.Text"},
	{"short digests are filled up with zeros", check, "return ok && n == a.size", "c.sizes[i] = a.size\n\t\treturn ok && n > 0"},
	{"base64 may have spare bits", pattern, "encoding.Strict().Decode", "encoding.Decode"},
	{"a comma in the value is text", pattern, "if strings.IndexByte(value, ',') >= 0 {", "if false {"},
	{"a second time in the list wins", pattern, "if *word != \"\" {\n\t\treturn refusal.AmbiguousSignature\n\t}\n", ""},
	{"a list needs no nonce", pattern, " || p.nonced && f.nonce == \"\" {", " {"},
	{"in a list without tags anything is a digest", pattern, "p.separator != 0 && !p.untagged }", "p.separator != 0 }"},
	{"a list has no end", pattern, "if f.n == maxSignatures {\n\t\treturn refusal.MalformedSignature\n\t}\n", "if f.n == maxSignatures {\n\t\treturn nil\n\t}\n"},
	{"a value may hold the text that ends it", fence, "return strings.Index(value+p.fence, p.fence) == len(value)", "return true"},
	{"digits of a field may be the time's", fence, "if number && (p.leaks(i-1, i+1) || p.leaks(i+1, i-1)) {", "if false {"},
	{"a zone may follow a time without one", fence, "|| p.kind == partText && strings.IndexByte(", "|| p.kind == partText || strings.IndexByte("},
	{"a point ends a target", fence, "(p.kind != partTarget || endsTarget(neighbour.text))", "true"},
	{"any text is a target", fence, "case p.kind == partTarget && !strings.HasPrefix(value, \"/\"):", "case false:"},
	{"a part beside the body itself may be open", fence, "if err == nil || p.hash == nil {", "if err == nil {"},
	{"the hash of the delivery before goes on", bodyHash, "\tc.bodyHash.Reset()\n", ""},
	{"the target is that after a rewrite", handler, "Target: line.target}", "Target: r.RequestURI}"},
	{"a date of HTTP may have any day of the week", clock, "if err != nil || at.Format(http.TimeFormat) != s {", "if err != nil {"},
	{"a nonce need not be signed", scheme, "case sent && !signed:", "case false:"},
	{"a list without a digest passes on", check, "if c.found.n = kept; kept == from ||", "if c.found.n = kept; false ||"},
	{"the body need not be signed", payload, "if bodies != 1 {", "if bodies > 1 {"},
	{"a time in the future is fine", clock, "age > k.past || age < -k.ahead", "age > k.past"},
	{"an old time is fine", clock, "age > k.past || age < -k.ahead", "age < -k.ahead"},
	{"a time need not be signed", clock, "{compiled && k.on && !c.payload.stamped, ", "{false, "},
	{"sha1 is allowed by default", algorithm, "{name: \"sha1\", size: sha1.Size, new: sha1.New},", "{name: \"sha1\", size: sha1.Size, new: sha1.New, standard: true},"},
	{"X's check signs any text", oracle, "fits: upTo(maxKeyedToken)", "fits: func(string) bool { return true }"},
	{"LinkedIn's check signs any token", oracle, "fits: isUUID", "fits: upTo(maxKeyedToken)"},
	{"a part of a UUID is a delivery", oracle, "fits: isUUID, answer: linkedIn,\n\t\tsums: true, keyed: uuidLetters,", "fits: isUUID, answer: linkedIn,\n\t\tsums: true,"},
	{"a digest of the body is signed for strangers", oracle, "case c.kind.keyed != \"\" && !strings.Contains(", "case false && !strings.Contains("},
	{"a check swallows a signed delivery", oracle, "!c.asks(r) || v.carries(r.Header) {", "!c.asks(r) {"},
	{"a signed delivery is read as a check", oracle, "c.kind.body && c.asks(r) && !v.carries(r.Header) &&", "c.kind.body && c.asks(r) &&"},
	{"a check in a body needs no token", oracle, " && v.scheme.token == nil", ""},
	{"a check has chunks", oracle, "r.Length >= 0 && r.Length <= maxChallengeBody", "r.Length <= maxChallengeBody"},
	{"a check has any length", oracle, "r.Length >= 0 && r.Length <= maxChallengeBody", "r.Length >= 0"},
	{"any method is a check", oracle, "c.kind.signed || r.Method != c.kind.method {", "c.kind.signed {"},
	{"every body of a gate for Event Grid is read", oracle, "c.kind.head != nil && !c.kind.head(r.Header)", "false"},
	{"a signed check is answered before it is verified", oracle, "if m.key == nil || !c.Wants", "if !c.Wants"},
	{"an unsigned check swallows what is signed", oracle, "c.kind.late && !m.Signed() && c.asks(r)", "c.kind.late && c.asks(r)"},
	{"every origin may deliver", forms, "slices.Contains(c.args, origin)", "origin != \"\""},
	{"a preflight is a check", forms, " && len(q.header[\"Access-Control-Request-Method\"]) == 0", ""},
	{"a doubled parameter counts", forms, "if len(all) != 1 {", "if len(all) == 0 {"},
	{"a doubled field counts", forms, "if len(header[name]) != 1 {", "if len(header[name]) == 0 {"},
	{"an echo may be a template", forms, "strings.Trim(token, tokenLetters+\" .:+/=~\") == \"\"", "true"},
	{"any event of Event Grid is its check", forms, "len(events) != 1 ||", "len(events) == 0 ||"},

	// Public keys.
	{"a signature that does not match is right", asymmetric, "if ed25519.Verify(key.(ed25519.PublicKey), message, signature) {", "if ed25519.Verify(key.(ed25519.PublicKey), message, signature) || len(message) > 0 {"},
	{"ECDSA takes any signature", asymmetric, "if ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), hashed, signature) {", "if ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), hashed, signature) || len(hashed) > 0 {"},
	{"a key of small order loads", asymmetric, "if y == small {", "if false && y == small {"},
	{"a key in another encoding loads", asymmetric, "case !lessLittle(y[:], fieldPrime[:]):", "case false:"},
	{"a key that is no point loads", asymmetric, "case !isPoint(y):", "case false:"},
	{"S need not be reduced", asymmetric, "n == ed25519.SignatureSize && lessLittle(signature[32:n], groupOrder[:])", "n == ed25519.SignatureSize"},
	{"a short RSA key loads", asymmetric, "case bits < minRSA:", "case false:"},
	{"an RSA key of any length loads", asymmetric, "case bits > maxRSA:", "case false:"},
	{"an exponent of one loads", asymmetric, "case public.E < 3 || ", "case "},
	{"a key on another curve loads", asymmetric, "!ok || public.Curve != curve {", "!ok || public == nil {"},
	{"bytes may follow a signature", der, "return r, s, ok && len(rest) == 0", "return r, s, ok"},
	{"a number may be negative", der, "return number, rest, number[0] < 0x80", "return number, rest, true"},
	{"a number may be zero", der, "return len(number) > 0 && len(number) < len(order)", "return len(number) < len(order)"},
	{"a number may be the order", der, "return bytes.Compare(number, order) < 0", "return bytes.Compare(number, order) <= 0"},
	{"a private key is a public one", public, "case privateBlock.MatchString(text):", "case false:"},
	{"a key id chooses nothing", check, "c.keys = c.keys[i : i+1]", "_ = i"},
	{"an unknown key id passes on", check, "return refusal.KeyUnknown", "return nil"},
	{"keys times signatures have no bound", check, " || c.Verifications() > maxSignatures {", " {"},
	{"a longer body than was counted is verified", check, "return 0, errLonger", "return len(p), nil"},
	{"a secret is in the fingerprint", prints, "key := sha256.Sum256([]byte(\"webhook_auth replay v2\\x00\" + text))", "key := [32]byte(v.keys[0].sum(text))"},
	{"the parts are not framed", prints, "for _, length := range c.parts {", "for _, length := range c.parts[:0] {"},
	{"secrets and public keys go together", keys, "case min(1, len(h.Secrets))+min(1, len(h.PublicKeys))+min(1, len(h.Tokens)) > 1:", "case false:"},
	{"verifications have no bound", keys, "case <-patience.C:\n\t\treturn false", "case <-patience.C:\n\t\tverifications() <- struct{}{}\n\t\treturn false"},
	{"one piece is not counted", keys, "if !m.verifier.OnePiece() {", "if true {"},
	{"every interaction is a PING", forms, "fields[\"type\"] == 1.0 && token != \"\" && !has(fields, \"event\")", "token != \"\""},
	{"an event is a PING", forms, "fields[\"type\"] == 0.0 && !has(fields, \"event\")", "!has(fields, \"data\")"},

	// Tokens.
	{"every token is the right one", token, "return hmac.Equal(digest[:], t.digest[:])", "return hmac.Equal(digest[:0], t.digest[:0])"},
	{"the first of two lines with tokens counts", token, "case len(lines) > 1:\n\t\treturn refusal.TokenAmbiguous\n", ""},
	{"the old token is not compared", token, "for i, key := range c.verifier.keys {", "for i, key := range c.verifier.keys[:1] {"},
	{"a token that is wrong passes on", token, "if c.keys == nil {\n\t\treturn refusal.TokenMismatch\n\t}\n", "if c.keys == nil {\n\t\tc.keys = c.verifier.keys[:1]\n\t}\n"},
	{"the text in front of a token is not compared", token, "return f.prefix + text", "return text"},
	{"any field may hold a token", token, "case len(s.Headers) > 1 || s.AnyHeader:", "case false:"},
	{"the fingerprint holds the token", token, "if part.kind == partField && len(s.Headers) > 0 && part.text ==", "if part.kind == partField && len(s.Headers) > 1 && part.text =="},
	{"what makes a delivery is left out", token, "\tc.open(c.mac)\n", ""},
	{"a field that makes a delivery may be missing", token, "return withToken(err)", "return nil"},
	{"a token and a time go together", token, "{s.Timestamp+s.TimestampUnit != \"\",", "{false,"},
	{"a token is a signature", token, "return m.Algorithm != \"\"", "return true"},
	{"what is refused is signed", verdict, "v.verified() && v.match.Signed()", "v.match.Signed()"},
	{"replay guesses what makes a delivery", tokenGate, "case h.Replay != nil && h.scheme().Payload == \"\":", "case false:"},
	{"a payload looks as if it protected something", tokenGate, "case h.Replay == nil && h.Payload != \"\":", "case false:"},
	{"a password that anyone knows loads", tokenGate, "if guessed := (guessable.Secret{Text: password}).Check(); guessed != nil {", "if guessed := error(nil); guessed != nil {"},
	{"a token may be a secret of another gate", shared, "if k.kind != other.kind {", "if false {"},
	{"the error log holds no token", tokenLog, "\"http.log.error\", \"http.handlers.reverse_proxy\"", "\"http.handlers.nobody\", \"http.handlers.nobody\""},
	{"a renamed field is hidden", logs, "slices.Contains(hiding, field.Filter)", "field.Filter != \"\""},
	{"a wildcard covers no host", logs, "if p[i] != h[i] && p[i] != \"*\" && h[i] != \"*\" {", "if p[i] != h[i] {"},

	// What happens to a request.
	{"it goes on before the verdict", handler, "if err := h.verify(w, r, a); err != nil {", "if err := h.verify(w, r, a); err != nil && a.body.Size() == 0 {"},
	{"CONNECT is a delivery", handler, "case r.Method == http.MethodConnect:", "case false:"},
	{"early data is a delivery", handler, "case early(r.TLS):", "case false:"},
	{"Incremental is a delivery", handler, "case caddyhttp.IsIncremental(r.Header):", "case false:"},
	{"the declared length is not judged", handler, "if r.ContentLength > h.MaxSize {", "if false {"},
	{"a body that broke off is whole", handler, "if r.ContentLength >= 0 && r.ContentLength != body.Size() {", "if false {"},
	{"an empty body ends before its stream", handler, "if r.ContentLength == 0 && r.ProtoMajor == 1 {", "if r.ContentLength == 0 {"},
	{"no deadline for the body", handler, "if err := h.limitBody(w, deadline); err != nil {", "if err := h.limitBody(w, time.Time{}); err != nil {"},
	{"a hidden deadline is let pass", handler, "return refusal.Internal\n\t}\n\treturn nil\n}\n\n// deliver", "return nil\n\t}\n\treturn nil\n}\n\n// deliver"},
	{"the delivery ends with the sender's connection", handler, "context.WithoutCancel(r.Context())", "r.Context()"},
	{"the app has all the time in the world", handler, "time.Duration(h.DeliveryTimeout))\n\tdefer cancel()", "1000*time.Hour)\n\tdefer cancel()"},
	{"the lock is forgotten after a delivery", handler, "\tdefer lock(r) // an error route must not deliver it a second time\n", ""},
	{"the lock is forgotten at a refusal", handler, "\tdefer lock(r)\n\tdefer endBody(", "\tdefer endBody("},
	{"a copy of a refused request keeps the body", handler, "\tdefer endBody(w, r, a.whole, drainTimeout)\n", ""},
	{"a refusal asks the error routes", handler, "if h.OnRefusal == handleErrors && status >= http.StatusBadRequest {", "if status >= http.StatusBadRequest {"},
	{"a failed delivery asks the error routes", handler, "if h.OnRefusal == handleErrors {", "if true {"},
	{"nobody's answer is an empty 200", handler, "if err == nil && a.answer.silent() {", "if false {"},
	{"a placeholder takes the body away", handler, "\tsent.Body = a.body.Reader()\n", ""},
	{"the stalled body of a refusal is waited for", body, "time.Now().Add(patience)", "time.Now().Add(time.Hour)"},
	{"the answer tells the reason", handler, "fields(w.Header(), a, status)", "fields(w.Header(), a, status)\n\tw.Header().Set(\"Webhook-Auth-Reason\", string(a.reason))"},
	{"no challenge with 401", handler, "header.Set(\"WWW-Authenticate\", \"HMAC\") // RFC 9110, section 15.5.2: a challenge is a must", "_ = header"},
	{"an unread Expect is waited for", body, "if r.Header.Get(\"Expect\") != \"\" {", "if false {"},
	{"a body under way keeps the connection", body, "w.Header().Set(\"Connection\", \"close\")", "return"},
	{"the body is not released", handler, "\tdefer a.body.Release()\n", ""},

	// The body on its way on.
	{"a repeatable request is repeated", body, "case !repeatable(r):", "case true:"},
	{"Upgrade reaches the app", body, "[]string{\"Connection\", \"Expect\", \"Trailer\", \"Upgrade\"}", "[]string{\"Connection\", \"Expect\", \"Trailer\"}"},
	{"trailers reach the app", body, "r.TransferEncoding, r.Trailer = nil, nil", "r.TransferEncoding = nil"},
	{"the length is that of the sender", body, "r.Header.Set(\"Content-Length\", strconv.FormatInt(body.Size(), 10))", "_ = strconv.IntSize"},
	{"a full disk is the sender's fault", body, "case errors.Is(err, spool.ErrFull):", "case false:"},
	{"a byte is lost where a segment ends", spool, "if r.skip == len(r.body.segments[r.segment]) {", "if r.skip >= len(r.body.segments[r.segment])-1 {"},
	{"one byte over the limit is taken", spool, "case b.size > limits.Size:", "case b.size > limits.Size+1:"},
	{"two bodies share a segment", spool, "\t*segment = nil\n", ""},
	{"a body is read after its end", spool, "case r.body.released || r.closed.Load():", "case r.closed.Load():"},
	{"the memory budget has no end", spool, "\t\treturn b.budget.Memory.take(largeSegment)\n", "\t\tb.budget.Memory.take(largeSegment)\n\t\treturn true\n"},
	{"large bodies take the whole memory budget", spool, "b.budget.Memory.takeHalf(largeSegment)", "b.budget.Memory.take(largeSegment)"},
	{"a written memory is no bound", handler, "Stretch: h.stretch}", "Stretch: true}"},
	{"the disk budget has no end", spool, "if !b.budget.Disk.take(n) {", "if b.budget.Disk.take(n); false {"},
	{"the file of a body has a name", unnamed, "return os.OpenFile(dir, os.O_RDWR|os.O_EXCL|oTmpfile, 0o600) //nolint:gosec // the temporary folder", "return nil, errors.ErrUnsupported"},

	// Secrets, and what is told of them.
	{"a blank secret loads", references, "if strings.TrimSpace(text) == \"\" {", "if false {"},
	{"an error shows a secret in the place of a name", references, "source.mayBeSecret(name) && !source.exists(name)", "source.mayBeSecret(name) && false"},
	{"a device is read as a file", files, "case !info.Mode().IsRegular():", "case false:"},
	{"an empty literal loads", references, "case strings.TrimSpace(value) == \"\":", "case false:"},
	{"a failed delivery is remembered", answers, "if status/100 == 2 {", "if true {"},
	{"a short literal loads", secrets, "len(text) < minLiteral {", "len(text) < 0 {"},
	{"a secret that anyone knows loads", secrets, "if guessed := secret.Check(); guessed != nil {", "if guessed := secret.Check(); false {"},
	{"the decoded key may be known", guessable, "key != s.Text && s.Key != nil", "false && key != \"\""},
	{"a key of zeros is a key", key, "if len(bytes.Trim(key, \"\\x00\")) == 0 {", "if false && len(bytes.Trim(key, \"\")) == 0 {"},
	{"the first of two words is a name", options, "case len(l.Args) == 2 && l.Named():", "case len(l.Args) == 2:"},
	{"a variable may hold a name and a secret", hidden, "value.Quoted && !variableHolds(", "value.Quoted || variableHolds("},
	{"an error shows a line of a variable", hidden, "IsVariable(option) || isLine(option)", "IsVariable(option)"},
	{"an error shows a word that may be a secret", hidden, "if MayBeSecret(text) {", "if false {"},
	{"a suggestion tells what a secret is like", suggest, "folded == \"\" || isHeld(word)", "folded == \"\""},
	{"a store's error shows its values", blocks, "if l.table.Silent {", "if false {"},
	{"what one gate signs for strangers is a delivery at another", shared, "if k.oracle == other.oracle {", "if true {"},
	{"gates share a key in silence", shared, "if k.message == other.message && !k.cuts(other) {", "if true {"},
	{"a store that is down lets all through", replays, "return h.Replay.OnError == \"pass\"", "return true"},
	{"a repetition reaches the app", replays, "case replay.Done:\n\t\treturn refusal.Duplicate", "case replay.Done:\n\t\treturn \"\""},
	{"anyone finishes a claim", memory, "if s.claimed[c.Key].Token == c.Token {", "if true {"},
	{"a delivery is remembered for ever", memory, "ok && now < taken.ends", "ok && now >= 0"},
	{"a claim waits for the sender to read", answers, "a.begin(status)\n\ta.ResponseWriter.WriteHeader(status)", "a.ResponseWriter.WriteHeader(status)\n\ta.begin(status)"},
	{"a tunnel is written into", answers, "a.hijacked = a.hijacked || err == nil", "_ = err"},
	{"two apps share a guard", apps, "if a.guarded[name] {", "if false {"},
	{"a secret's name may be a secret", secrets, "len(s.Name) >= minSecret || ", ""},
	{"the log shows the secrets", report, "zap.Strings(\"secrets\", a.material.labels)", "zap.Any(\"secrets\", h.Secrets)"},
	{"the log shows all of the hash", report, "sum.Sum(nil)[:4]", "sum.Sum(nil)"},
	{"a flood fills the log", report, "time.Second, 100, 1000, count", "time.Second, 1_000_000, 1, count"},
	{"what a client says is logged at any length", report, "return text[:min(len(text), limit)]", "_ = limit\n\treturn text"},
	{"every mismatch is diagnosed", diagnose, "|| !h.diagnoses.Allow()", ""},
	{"diagnosis waits for the worker", diagnose, "\tdefault:\n\t\th.meter.diagnose(skipped)\n", ""},
	{"a panic of diagnosis ends the process", diagnose, "if p := recover(); p != nil {", "if p := any(nil); p != nil {"},
	{"a refusal is counted as accepted", metrics, "deliveries.WithLabelValues(m.series.name, result, string(reason)).Inc()", "m.accepted.Inc()"},
	{"every body may be the challenge", oracle, "if size > maxChallengeBody {", "if false {"},
	{"the body of any unsigned request is read", challenge, "|| !m.challenge.ReadsBody(asked(r), m.verifier) {\n\t\treturn refused", "{\n\t\treturn refused"},
	{"a cache keeps an answer", challenge, "w.Header().Set(\"Cache-Control\", \"no-store\")", "_ = w"},
	{"what X had signed is a delivery", challenge, "if m.challenge.Forgeable(held.Bytes()) {", "if false {"},

	// Files that are followed, and tenants.
	{"a secret is taken while it is written", follow, "if now != refused && !h.files.settled(ctx, now) {", "if false {"},
	{"a changed secret meets another gate's", index, "found, err := fresh.add(h, m)\n\tif err != nil {", "found, err := fresh.add(h, m)\n\tif false {"},
	{"a file that cannot be used is said again and again", follow, "if known {", "if false {"},
	{"a check is answered with the secrets of now", challenge, "m := a.material\n\tif m.challenge == nil || !a.mayBeCheck(r) {", "m := h.material()\n\ta.material = m\n\tif m.challenge == nil || !a.mayBeCheck(r) {"},
	{"a name leads out of the folder", folder, "if !IsName(name) {\n\t\treturn File{}, ErrUnknown", "if name == \"\" {\n\t\treturn File{}, ErrUnknown"},
	{"two spellings are two tenants", folder, "return err == nil && os.SameFile(as, other)", "return err != nil && os.SameFile(as, other)"},
	{"dot segments choose the tenant", tenants, "s == \".\" || s == \"..\"", "s == \".\""},
	{"an encoded slash chooses the tenant", tenants, "{\"%2f\", ", "{"},
	{"only the rewritten path is looked at", tenants, "|| !isPlainTarget(target)) {", "|| false && !isPlainTarget(target)) {"},
	{"a tenant's delivery is another's repetition", tenants, "h.printKey + \"\\x00tenant \" + name", "h.printKey + name[:0]"},
	{"one tenant fills the gate", tenants, "held.deliveries == maxHeld || ", ""},
	{"made-up names drive tenants out", cache, "c.unknown.Add(name, absence{until:", "c.known.RemoveOldest()\n\tc.unknown.Add(name, absence{until:"},
	{"a tenant has what another gate shows", index, "if other.shown != nowhere {", "if false {"},
	{"a busy tenant drives out the others", memory, "if own == nil || own.Len() <= share {", "if own == nil || true {"},

	// What the command says.
	{"verify takes what X had signed", verify, "if gate.Challenge.Forgeable(body) {", "if false {"},
	{"verify forgets the body behind the first secret", verify, "check.End(content(body))", "check.End(content(nil))"},
}
