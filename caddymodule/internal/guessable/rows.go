package guessable

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
)

// A row is one kind of guessable value.
type row struct {
	is     func(text string) bool // judges the whole text, see clean
	what   string                 // what the value looks like, for the error
	cure   func(text string) string
	binary bool // also applies to bytes that are not text
}

// rows lists every kind. The first match gives the error.
var rows = []row{
	{isBlank, "is empty or blank: it holds only white space, invisible characters and quotes", generate, false},
	{isRepeated, "is one character over and over, which anyone can guess", generate, true},
	{isPublicKey, "is a public key, a certificate or a PEM file, and anyone may know a public key", useThePublicKey, true},
	{like(references), "looks like a reference that was not replaced", writeReference, false},
	{like(stores), "looks like a reference to a secret store, which Caddy does not resolve", fetch, false},
	{like(paths), "looks like the path of a file", writeFile, false},
	{like(assignments), "looks like a whole line of an environment or YAML file, name included", keepValue, false},
	{like(brackets), "looks like a sample in brackets that nobody replaced", generate, false},
	{like(zeroIDs), "is only zeros", generate, false},
	{like(masks), "looks like a masked value, copied from a page that hides the secret", generate, false},
	{isSample, "looks like a sample that nobody replaced", generate, false},
}

// references are how shells, templates and configurations refer to a value by name. The
// name must be in capitals where a word could be a real secret.
var references = []string{
	`[$\\]?\$\{[A-Za-z_]\w*(:?[-=?+][^{}]*)?\}`, // ${NAME} ${NAME:-default}, and escaped: $${NAME} \${NAME}
	`[$\\]?\$[A-Z_][A-Z0-9_]{2,}`,               // $NAME
	`(?i:\$\{?env:)\w+\}?`,                      // $env:NAME of PowerShell
	`\$\([A-Za-z_][A-Za-z0-9_.]*\)`,             // $(NAME) of Kubernetes
	"(\\$\\(|`)(" + commands + ")\\b.*[)`]",     // $(cat /run/secrets/x)
	`%[A-Za-z_]\w*%`,                            // %NAME% of Windows
	`%env\(.*\)%`, `%\{[^{}]*\}`,                // %env(NAME)% of Symfony, %{NAME}
	`\[\[.*\]\]`, `<<.*>>`, `@[A-Z_][A-Z0-9_]*@`, // other templates
	`(?i:([a-z]+\.)*getenv)\(.*\)`, `(?i:env):[A-Za-z_]\w*`, // os.getenv("NAME") env:NAME
	`\$?\{\{.*\}\}`,                                       // {{ .Values.x }} ${{ secrets.X }}
	`\{%.*%\}`, `<%.*%>`, `#\{.*\}`, `@@\w+@@`, `__\w+__`, // other templates
	`\{?(env|file|http|vars|system)\.[^\s{}]+\}?`, // Caddy's own, without braces or not expanded
	`\{\$[^{}]*\}`,                                           // {$NAME}
	`(process\.env|os\.environ|ENV)[.\[(].*`,                 // code
	`(!|Fn::)(Ref|Sub|GetAtt|ImportValue|secret|env_var) .*`, // YAML tags
}

const commands = "cat|echo|printf|printenv|head|tr|openssl|pwgen|pass|gpg|age|op|bw|vault|aws|gcloud|az|kubectl|sops|doppler|security"

// stores are references to secret stores, and values that such a store has encrypted.
var stores = []string{
	`op://.*`, `vault:.*`, `ref\+\w+://.*`, `arn:aws[a-z-]*:.*`, `projects/.*`, `@Microsoft\.KeyVault\(.*`,
	`ENC[\[(].*`, `\$ANSIBLE_VAULT;.*`,
}

// paths begin with a known folder. A slash alone is not enough: 16 of a thousand random
// secrets in base64 begin with one.
var paths = []string{
	`@?(file://)?(~/|\.\.?/|/(run|var|etc|home|root|tmp|opt|srv|mnt|usr|Users|secrets?|config|app|data|vault)/|[A-Za-z]:\\)[A-Za-z0-9._/@\\ -]{3,}`,
}

// assignments are a name and a value of at least eight bytes. So base64, which ends in
// "=" or "==", is not one.
var assignments = []string{
	`(export |set )?[A-Z0-9_]*(SECRET|TOKEN|KEY|PASSWORD)[A-Z0-9_]* ?= ?[^ =].{7,}`,
	`[a-z0-9_.-]*(secret|token|key|password)[a-z0-9_.-]*: .{8,}`,
}

var brackets = []string{`<` + words + `>`, `\[` + words + `\]`, `\{` + words + `\}`}

const words = `[A-Za-z][A-Za-z0-9 _.,:'-]*`

var zeroIDs = []string{`[0-]+`} // the UUID of zeros

var masks = []string{`[*.•●·…]+`}

// publicKeys matches the beginnings of public keys as text.
var publicKeys = like([]string{
	`-----BEGIN .*`, `whpk_.*`,
	`(sk-)?(ssh-(rsa|dss|ed25519)|ecdsa-sha2-\w+)(@openssh\.com)? .*`,
	`(AAAAB3NzaC1|AAAAC3NzaC1lZDI1NTE5|AAAAE2VjZHNhLXNoYTIt).*`, // the same without its name
	`age1[02-9ac-hj-np-z]{58}`,
	`(MCowBQYDK2VwAyEA|MFkwEwYHKoZIzj0|MIIBIjANBgkqhkiG9w0).*`, // SPKI: Ed25519, P-256, RSA-2048
	`\{.*"kty"\s*:.*\}`, // JWK
})

// isPublicKey matches the text, and parses it both as it is and decoded from base64.
func isPublicKey(text string) bool {
	if publicKeys(text) || isDER(text) {
		return true
	}
	if !strings.HasPrefix(text, "M") {
		return false // DER begins with a SEQUENCE
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	return err == nil && isDER(string(der))
}

func isDER(text string) bool {
	if !strings.HasPrefix(text, "\x30") {
		return false
	}
	_, pkcs1 := x509.ParsePKCS1PublicKey([]byte(text))
	_, certificate := x509.ParseCertificate([]byte(text))
	return isSPKI([]byte(text)) || pkcs1 == nil || certificate == nil
}

// isSPKI looks at the form alone. The key may be of an algorithm or a curve, or written
// in a form, that crypto/x509 does not read: everyone knows it even so.
func isSPKI(der []byte) bool {
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &key)
	return err == nil && len(rest) == 0
}

// sampleWords are the words of samples, folded to lower-case letters and digits. A value
// that consists of them is a sample: changeme, your-webhook-secret, secret-secret,
// test1234.
var sampleWords = strings.Fields(`
	my your the this is a an some please to be goes 256bit 256bits with here me it not in production insert put enter paste add set
	use generate change changed replace replaced fill update super very top really random strong long safe secure real actual private
	shared common webhook webhooks hook hooks github gitlab gitea stripe slack shopify meta facebook zoom twitch signing signature
	verify verification client app api auth access hmac sha256 jwt secret secrets token tokens key keys password passwords passwd
	passw0rd pa55word passphrase pass value string text test tests testing dummy example examples sample samples default placeholder
	fake demo temp tmp dev local todo tbd fixme xxx xxxx xxxxx foo bar baz qux abc qwerty qwertyuiop asdf asdfghjkl letmein admin
	hunter2 deadbeef cafebabe lorem ipsum dolor helloworld hello world sesame valid invalid none null nil undefined true false unset
	empty missing redacted hidden masked unknown`)

// orders are the characters that people type one after the other: digits, hex digits, the
// alphabet, over and over.
var orders = []string{
	"01234567890123456789", "0123456789abcdef0123456789abcdef", "1234567890abcdef1234567890abcdef",
	"0123456789abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
}

// ordered is all orders, forwards and backwards.
var ordered = strings.Join(orders, " ") + " " + reversed(strings.Join(orders, " "))

func reversed(text string) string {
	letters := []byte(text)
	slices.Reverse(letters)
	return string(letters)
}

// isSample reports whether the folded text consists of sampleWords and of characters in
// order, and up to four digits at the end.
func isSample(text string) bool {
	folded := fold(text)
	ends := make([]bool, len(folded)+1) // true where a sequence of pieces can end
	ends[0] = true
	for i := range folded {
		if !ends[i] {
			continue
		}
		for _, length := range pieces(folded[i:]) {
			end := i + length
			ends[end] = true
			if len(folded)-end <= 4 && strings.Trim(folded[end:], "0123456789") == "" {
				return true
			}
		}
	}
	return false
}

// pieces returns the lengths of what a sample may begin with: words, and four to seven
// characters in order. More of them are several pieces.
func pieces(folded string) (lengths []int) {
	for _, word := range sampleWords {
		if strings.HasPrefix(folded, word) {
			lengths = append(lengths, len(word))
		}
	}
	for n := 4; n <= min(7, len(folded)) && strings.Contains(ordered, folded[:n]); n++ {
		lengths = append(lengths, n)
	}
	return lengths
}

// fold returns only the letters, in lower case, and the digits of text. It replaces what
// is not ASCII by a question mark, which is in no word.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case '0' <= r && r <= '9' || 'a' <= r && r <= 'z':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case r > '~':
			return '?'
		}
		return -1
	}, text)
}

// like returns a function that reports whether one of the shapes matches a whole text.
func like(shapes []string) func(string) bool {
	return regexp.MustCompile(`(?s)^(?:` + strings.Join(shapes, "|") + `)$`).MatchString
}

func generate(string) string {
	return "make a secret of its own, for example with: openssl rand -hex 32"
}

func useThePublicKey(string) string {
	return "only the sender may know the secret too, and its public key goes into public_key"
}

func fetch(string) string {
	return "let the store's own tool put the secret into a variable or a file, and write {env.NAME} or {file./path}"
}

func writeFile(string) string { return "write {file./path}" }

func keepValue(string) string { return "keep only the value" }

// envName finds the name of a variable. No random secret contains such a name, so an
// error may show it.
var envName = regexp.MustCompile(`(?:^|[^A-Za-z0-9_]|__)([A-Z]+(?:_[A-Z]+)*_(?:SECRET|TOKEN|KEY|PASSWORD|HOOK)(?:_[A-Z]+)*)(?:$|[^A-Za-z0-9_]|__)`)

func writeReference(text string) string {
	if m := envName.FindStringSubmatch(text); m != nil {
		return "write {env." + m[1] + "}"
	}
	return "write {env.NAME} or {file./path}"
}
