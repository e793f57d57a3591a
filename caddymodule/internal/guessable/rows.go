package guessable

import (
	"crypto/x509"
	"encoding/base64"
	"regexp"
	"strings"
)

// A row is one kind of value that is no secret.
type row struct {
	is     func(text string) bool // of the whole text, see clean
	what   string
	cure   func(text string) string
	binary bool // whether bytes that are no text can be of this kind
}

// rows is every kind. The first one that fits gives the error.
var rows = []row{
	{isBlank, "is empty or blank: it holds nothing but white space, invisible characters and quotes", generate, false},
	{isRepeated, "is one character over and over, which anyone can guess", generate, true},
	{isPublicKey, "is a public key, a certificate or a PEM file, and a public key is known to anyone", useThePublicKey, true},
	{like(references), "looks like a reference that was not replaced", writeReference, false},
	{like(stores), "looks like a reference to a secret store, which nobody resolves here", fetch, false},
	{like(paths), "looks like the path of a file", writeFile, false},
	{like(assignments), "looks like a whole line of an environment file or of YAML, name included", keepValue, false},
	{like(brackets), "looks like a sample in brackets that nobody replaced", generate, false},
	{like(zeroIDs), "is nothing but zeros", generate, false},
	{like(masks), "looks like a masked value, copied from where the secret was hidden", generate, false},
	{isSample, "looks like a sample that nobody replaced", generate, false},
}

// references are the ways in which shells, templates and configurations write the
// name of a value. A name has capitals where a word would do as a secret.
var references = []string{
	`\$\{[A-Za-z_]\w*(:?[-=?+][^{}]*)?\}`,                 // ${NAME} ${NAME:-default}
	`\$[A-Z_][A-Z0-9_]{2,}`,                               // $NAME
	`(?i:\$\{?env:)\w+\}?`,                                // $env:NAME of PowerShell
	`\$\([A-Za-z_][A-Za-z0-9_.]*\)`,                       // $(NAME) of Kubernetes
	"(\\$\\(|`)(" + commands + ")\\b.*[)`]",               // $(cat /run/secrets/x)
	`%[A-Za-z_]\w*%`,                                      // %NAME% of Windows
	`\$?\{\{.*\}\}`,                                       // {{ .Values.x }} ${{ secrets.X }}
	`\{%.*%\}`, `<%.*%>`, `#\{.*\}`, `@@\w+@@`, `__\w+__`, // other templates
	`\{?(env|file|http|vars|system)\.[^\s{}]+\}?`, // Caddy's own, without braces or not expanded
	`\{\$[^{}]*\}`,                                           // {$NAME}
	`(process\.env|os\.environ|ENV)[.\[(].*`,                 // code
	`(!|Fn::)(Ref|Sub|GetAtt|ImportValue|secret|env_var) .*`, // YAML tags
}

const commands = "cat|echo|printf|printenv|head|tr|openssl|pwgen|pass|gpg|age|op|bw|vault|aws|gcloud|az|kubectl|sops|doppler|security"

// stores are references to where secrets are kept, and values that such a store has
// encrypted.
var stores = []string{
	`op://.*`, `vault:.*`, `ref\+\w+://.*`, `arn:aws[a-z-]*:.*`, `projects/.*`, `@Microsoft\.KeyVault\(.*`,
	`ENC[\[(].*`, `\$ANSIBLE_VAULT;.*`,
}

// paths begin with a known folder: of a thousand random secrets in base64, 16 begin
// with a slash.
var paths = []string{
	`@?(file://)?(~/|\.\.?/|/(run|var|etc|home|root|tmp|opt|srv|mnt|usr|Users|secrets?|config|app|data|vault)/|[A-Za-z]:\\)[A-Za-z0-9._/@\\ -]{3,}`,
}

// assignments are a name and a value of eight bytes or more. Base64 ends in "=", with
// nothing or another "=" behind it.
var assignments = []string{
	`(export |set )?[A-Z0-9_]*(SECRET|TOKEN|KEY|PASSWORD)[A-Z0-9_]* ?= ?[^ =].{7,}`,
	`[a-z0-9_.-]*(secret|token|key|password)[a-z0-9_.-]*: .{8,}`,
}

var brackets = []string{`<` + words + `>`, `\[` + words + `\]`, `\{` + words + `\}`}

const words = `[A-Za-z][A-Za-z0-9 _.,:'-]*`

var zeroIDs = []string{`[0-]+`} // the UUID of zeros

var masks = []string{`[*.•●·…]+`}

// publicKeys are the beginnings of public keys as text.
var publicKeys = like([]string{
	`-----BEGIN .*`, `whpk_.*`,
	`(sk-)?(ssh-(rsa|dss|ed25519)|ecdsa-sha2-\w+)(@openssh\.com)? .*`,
	`(AAAAB3NzaC1|AAAAC3NzaC1lZDI1NTE5|AAAAE2VjZHNhLXNoYTIt).*`, // the same without its name
	`age1[02-9ac-hj-np-z]{58}`,
	`(MCowBQYDK2VwAyEA|MFkwEwYHKoZIzj0|MIIBIjANBgkqhkiG9w0).*`, // SPKI: Ed25519, P-256, RSA-2048
	`\{.*"kty"\s*:.*\}`, // JWK
})

// isPublicKey also parses the text and what it stands for in base64.
func isPublicKey(text string) bool {
	if publicKeys(text) || isDER(text) {
		return true
	}
	if !strings.HasPrefix(text, "MI") && !strings.HasPrefix(text, "MC") && !strings.HasPrefix(text, "MF") && !strings.HasPrefix(text, "MH") {
		return false // DER begins with a SEQUENCE
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	return err == nil && isDER(string(der))
}

func isDER(text string) bool {
	if !strings.HasPrefix(text, "\x30") {
		return false
	}
	_, spki := x509.ParsePKIXPublicKey([]byte(text))
	_, pkcs1 := x509.ParsePKCS1PublicKey([]byte(text))
	_, certificate := x509.ParseCertificate([]byte(text))
	return spki == nil || pkcs1 == nil || certificate == nil
}

// sampleWords are what samples are made of, once folded to lower-case letters and
// digits. A value made of nothing else is a sample: changeme, your-webhook-secret,
// secret-secret, test1234.
var sampleWords = strings.Fields(`
	my your the this is a an some please to be goes 256bit 256bits with here me it not in production insert put enter paste add set
	use generate change changed replace replaced fill update super very top really random strong long safe secure real actual private
	shared common webhook webhooks hook hooks github gitlab gitea stripe slack shopify meta facebook zoom twitch signing signature
	verify verification client app api auth access hmac sha256 jwt secret secrets token tokens key keys password passwords passwd
	passw0rd pa55word passphrase pass value string text test tests testing dummy example examples sample samples default placeholder
	fake demo temp tmp dev local todo tbd fixme xxx xxxx xxxxx foo bar baz qux abc qwerty qwertyuiop asdf asdfghjkl letmein admin
	hunter2 deadbeef cafebabe lorem ipsum dolor helloworld hello world sesame valid invalid none null nil undefined true false unset
	empty missing redacted hidden masked unknown`)

// isSample reports whether the folded text is words and at most four digits behind them,
// or digits in their order.
func isSample(text string) bool {
	folded := fold(text)
	if len(folded) >= 6 && strings.Contains("01234567890", folded) {
		return true
	}
	ends := make([]bool, len(folded)+1) // where a row of words can end
	ends[0] = true
	for i := range folded {
		if !ends[i] {
			continue
		}
		for _, word := range sampleWords {
			if !strings.HasPrefix(folded[i:], word) {
				continue
			}
			end := i + len(word)
			ends[end] = true
			if len(folded)-end <= 4 && strings.Trim(folded[end:], "0123456789") == "" {
				return true
			}
		}
	}
	return false
}

// fold returns letters in lower case and digits, and a mark that is in no word for what
// is not ASCII.
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

// like returns what reports whether one of the shapes fits a whole text.
func like(shapes []string) func(string) bool {
	return regexp.MustCompile(`(?s)^(?:` + strings.Join(shapes, "|") + `)$`).MatchString
}

func generate(string) string {
	return "make a secret of its own, for example with: openssl rand -hex 32"
}

func useThePublicKey(string) string {
	return "a secret is shared with the sender alone, and a sender's public key goes into public_key"
}

func fetch(string) string {
	return "let the store's own tool write the secret to a variable or a file, and write {env.NAME} or {file./path}"
}

func writeFile(string) string { return "write {file./path}" }

func keepValue(string) string { return "keep only the value" }

// envName finds a name that no random secret has in it, so that it can be shown.
var envName = regexp.MustCompile(`(?:^|[^A-Za-z0-9_]|__)([A-Z]+(?:_[A-Z]+)*_(?:SECRET|TOKEN|KEY|PASSWORD|HOOK)(?:_[A-Z]+)*)(?:$|[^A-Za-z0-9_]|__)`)

func writeReference(text string) string {
	if m := envName.FindStringSubmatch(text); m != nil {
		return "write {env." + m[1] + "}"
	}
	return "write {env.NAME} or {file./path}"
}
