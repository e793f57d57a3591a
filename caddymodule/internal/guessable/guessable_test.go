package guessable_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/guessable"
)

// An example is a value and a part of its error.
type example struct{ value, want string }

const (
	blank      = "empty or blank"
	repeated   = "one character over and over"
	reference  = "a reference that was not replaced"
	store      = "a secret store"
	path       = "the path of a file; write {file./path}"
	assignment = "name included; keep only the value"
	sample     = "sample"
	masked     = "masked"
	publicKey  = "public_key"
)

// guessed covers each alternative of each row.
var guessed = []example{
	{"", blank},
	{" \t\r\n", blank},
	{"\uFEFF", blank},
	{"\u200b\u200b", blank},
	{"\u3164\u2800\ufe0f\u00ad", blank},
	{"\xff\xfe \x00\t\x00", blank},
	{"\xfe\xff\x00 \x00 ", blank},
	{" \x00 \x00", blank},
	{`""`, blank},
	{`''`, blank},
	{"“”", blank},
	{"\"\u200b\"", blank},
	{"```", blank},

	{strings.Repeat("\x00", 32), blank}, // as a file of NULs
	{strings.Repeat("a", 32), repeated},
	{strings.Repeat("0", 64), repeated},
	{strings.Repeat("\xff", 20), repeated},
	{strings.Repeat("é", 20), repeated},
	{"x", repeated},

	{"${GITHUB_WEBHOOK_SECRET}", reference + "; write {env.GITHUB_WEBHOOK_SECRET}"},
	{"${webhook_secret}", reference + "; write {env.NAME} or {file./path}"},
	{"${WEBHOOK_SECRET:-}", reference + "; write {env.WEBHOOK_SECRET}"},
	{"${WEBHOOK_SECRET:?not set}", reference},
	{"${WEBHOOK_SECRET-other}", reference},
	{"$GITHUB_WEBHOOK_SECRET", reference + "; write {env.GITHUB_WEBHOOK_SECRET}"},
	{"$SECRET", reference},
	{"$env:WEBHOOK_SECRET", reference + "; write {env.WEBHOOK_SECRET}"},
	{"$Env:hook", reference},
	{"${env:WEBHOOK_SECRET}", reference},
	{"$(WEBHOOK_SECRET)", reference},
	{"$(cat /run/secrets/webhook)", reference},
	{"$(echo $SECRET | base64 -d)", reference},
	{"$(printenv HOOK)", reference},
	{"$(pass show webhook)", reference},
	{"$(op read op://x/y)", reference},
	{"$(vault kv get -field=x y)", reference},
	{"$(aws ssm get-parameter)", reference},
	{"$(gcloud secrets versions access 1)", reference},
	{"$(kubectl get secret x)", reference},
	{"$(sops -d x)", reference},
	{"`cat /run/secrets/x`", reference},
	{"%WEBHOOK_SECRET%", reference + "; write {env.WEBHOOK_SECRET}"},
	{"{{ .Values.webhookSecret }}", reference},
	{"{{webhook_secret}}", reference},
	{"${{ secrets.WEBHOOK_SECRET }}", reference},
	{"{% env 'WEBHOOK_SECRET' %}", reference},
	{"<%= ENV['WEBHOOK_SECRET'] %>", reference},
	{"#{webhook_secret}", reference},
	{"@@WEBHOOK_SECRET@@", reference},
	{"__WEBHOOK_SECRET__", reference + "; write {env.WEBHOOK_SECRET}"},
	{"env.WEBHOOK_SECRET", reference + "; write {env.WEBHOOK_SECRET}"},
	{"{env.WEBHOOK_SECRET}", reference + "; write {env.WEBHOOK_SECRET}"},
	{"file./run/secrets/x", reference},
	{"http.request.host", reference},
	{"vars.secret", reference},
	{"system.hostname", reference},
	{"{$WEBHOOK_SECRET}", reference},
	{"process.env.WEBHOOK_SECRET", reference},
	{"!Ref WebhookSecret", reference},
	{"%env(WEBHOOK_SECRET)%", reference + "; write {env.WEBHOOK_SECRET}"},
	{"%env(base64:WEBHOOK_SECRET)%", reference},
	{`getenv("WEBHOOK_SECRET")`, reference + "; write {env.WEBHOOK_SECRET}"},
	{`os.getenv('WEBHOOK_SECRET')`, reference},
	{`os.Getenv("HOOK")`, reference},
	{`java.lang.System.getenv("HOOK")`, reference},
	{"env:WEBHOOK_SECRET", reference + "; write {env.WEBHOOK_SECRET}"},
	{"ENV:hook", reference},
	{"[[WEBHOOK_SECRET]]", reference + "; write {env.WEBHOOK_SECRET}"},
	{"[[ hook.secret ]]", reference},
	{"<<WEBHOOK_SECRET>>", reference + "; write {env.WEBHOOK_SECRET}"},
	{"@WEBHOOK_SECRET@", reference + "; write {env.WEBHOOK_SECRET}"},
	{"@HOOK2@", reference},
	{"%{WEBHOOK_SECRET}", reference + "; write {env.WEBHOOK_SECRET}"},
	{"%{hook.secret}", reference},
	{"$${WEBHOOK_SECRET}", reference + "; write {env.WEBHOOK_SECRET}"},
	{`\${WEBHOOK_SECRET}`, reference + "; write {env.WEBHOOK_SECRET}"},
	{`\${HOOK:-none}`, reference},
	{"$$WEBHOOK_SECRET", reference},
	{`\$WEBHOOK_SECRET`, reference},

	{"op://vault/webhook/secret", store},
	{"vault:secret/data/webhook#key", store},
	{"ref+awsssm://path/webhook", store},
	{"arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhook", store},
	{"arn:aws-cn:ssm:x", store},
	{"projects/123/secrets/webhook/versions/1", store},
	{"@Microsoft.KeyVault(SecretUri=https://x)", store},
	{"ENC[AES256_GCM,data:abc=,iv:def=,type:str]", store},

	{"/run/secrets/webhook", path},
	{"@/run/secrets/x", path},
	{"file:///run/secrets/webhook", path},
	{"~/webhook.secret", path},
	{"./webhook.secret", path},
	{"../secrets/webhook", path},
	{"/var/lib/webhook", path},
	{"/etc/caddy/webhook secret", path},
	{"/home/app/secret", path},
	{"/root/secret", path},
	{"/tmp/secret", path},
	{"/opt/app/secret", path},
	{"/srv/app/secret", path},
	{"/mnt/secrets/x", path},
	{"/usr/local/etc/x", path},
	{"/secret/webhook", path},
	{"/secrets/webhook", path},
	{"/config/webhook", path},
	{"/app/webhook", path},
	{"/data/webhook", path},
	{"/vault/secrets/webhook", path},
	{`C:\secrets\webhook.txt`, path},

	{"WEBHOOK_SECRET=abcdefgh", assignment},
	{"export WEBHOOK_TOKEN=0123456789", assignment},
	{"SECRET_KEY_BASE=0123456789", assignment},
	{"PASSWORD=hunter2hunter2", assignment},
	{"webhook_secret: 0123456789", assignment},

	{"<your-webhook-secret>", sample},
	{"<your webhook secret>", sample},
	{"[insert secret here]", sample},
	{"{your-secret}", sample},
	{"changeme", sample},
	{"changeme-changeme", sample},
	{"changeme-changeme-changeme-changeme", sample},
	{"CHANGE_ME", sample},
	{"your-webhook-secret", sample},
	{"YOUR_WEBHOOK_SECRET_HERE", sample},
	{"my super secret key", sample},
	{"secret", sample},
	{"test1234", sample},
	{"1234567890", sample},
	{"12345678", sample},
	{"01234567890123456789012345678901", sample},
	{"12345678901234567890123456789012", sample},
	{"1234567812345678", sample},
	{"123456123456123456", sample},
	{"987654321", sample},
	{"12345678-1234-1234-1234-123456789012", sample},
	{"0123456789abcdef", sample},
	{"0123456789ABCDEF0123456789ABCDEF", sample},
	{"0123456789abcdef0123456789ab", sample},
	{"1234567890abcdef1234567890abcdef", sample},
	{"123456789abcdef0", sample},
	{"fedcba9876543210", sample},
	{"abcdefghijklmnopqrstuvwxyz", sample},
	{"abcdefghijklmnop", sample},
	{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", sample},
	{"abcdefghijklmnopqrstuvwxyz0123456789", sample},
	{"abcd1234abcd1234", sample},
	{"secret_123456789", sample},
	{"webhook-secret-0123456789abcdef", sample},
	{"1234567890_secret_key", sample},
	{"your-256-bit-secret", sample},
	{"This is a secret.", sample},
	{"replace-with-a-random-string", sample},
	{"WEBHOOK_SECRET", sample},
	{"00000000-0000-0000-0000-000000000000", "zeros"},
	{"'changeme'", sample},
	{"\uFEFFchangeme\r\n", sample},
	{inUTF16("changeme"), sample},

	{"****************", repeated},
	{"••••••••", repeated},
	{"**.**", masked},

	{"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----", publicKey},
	{"whpk_MCowBQYDK2VwAyEA", publicKey},
	{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@host", publicKey},
	{"ssh-rsa AAAAB3NzaC1yc2EAAAA", publicKey},
	{"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY", publicKey},
	{"AAAAC3NzaC1lZDI1NTE5AAAAIA", publicKey},
	{"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", publicKey},
	{"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=", publicKey},
	{"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", publicKey},
	{"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", publicKey},
	{"MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgAClf3DPE/Yp1OboN5GPq8xCdhtIjGAbGQhIZlU3te6y2U=", publicKey},                                         // P-256, compressed
	{"MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE+1ePI96/IkhTtsUXwZwfbrT5YsZ38CAO8MCRpIvBYqIN5ywFVuOqW7ntJe6abHW+wWr0p1IrO3beY77OV6ZW+A==", publicKey}, // secp256k1
	{`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, publicKey},
}

func inUTF16(text string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		b.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	return b.String()
}

func TestGuessable(t *testing.T) {
	for _, e := range guessed {
		err := guessable.Secret{Text: e.value, Key: []byte(e.value)}.Check()
		if err == nil || !strings.Contains(err.Error(), e.want) {
			t.Errorf("%q: %v; want %q", e.value, err, e.want)
		} else if len(e.value) > 8 && strings.Contains(err.Error(), e.value) && !strings.Contains(e.want, e.value) {
			t.Errorf("the error shows the value: %v", err)
		}
	}
	if len(guessed) < 44 {
		t.Errorf("only %d values", len(guessed))
	}
}

// The same values are refused in each encoding that can hold them.
func TestGuessableOnceDecoded(t *testing.T) {
	for _, e := range guessed {
		if e.value == "" {
			continue
		}
		for encoding, text := range map[string]string{
			"base64": base64.StdEncoding.EncodeToString([]byte(e.value)), "hex": hex.EncodeToString([]byte(e.value)),
		} {
			if err := (guessable.Secret{Text: text, Key: []byte(e.value)}).Check(); err == nil {
				t.Errorf("%q in %s was accepted", e.value, encoding)
			} else if len(text) > 8 && strings.Contains(err.Error(), text) {
				t.Errorf("the error shows the value: %v", err)
			}
		}
	}
}

// TestForms: Check looks at the text with its prefix, the text without it, and the key.
func TestForms(t *testing.T) {
	for _, s := range []guessable.Secret{
		{Text: "whsec_your_secret_here"},
		{Text: "whsec_test_secret", Key: []byte("whsec_test_secret")},
		{Text: "whsec_1234567890"},
		{Text: "whsec_xxxxxxxxxxxxxxxx"},
		{Text: "whsec_${WHSEC}"},
		{Text: "whsec_"},
		{Text: "'whsec_changeme'\n"},
		{Text: "v1,whsec_changeme", Prefix: "v1,"},
		{Text: "wk-changeme", Prefix: "wk-"},
		{Text: "whsec_your_secret_here", Prefix: "whsec_"},
		{Text: "whsec_<your secret>", Prefix: "whsec_"},
		{Text: "whsec_", Prefix: "whsec_"},
		{Text: "${WHSEC}", Prefix: "whsec_"},
		{Text: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Prefix: "whsec_", Key: make([]byte, 24)},
	} {
		if s.Check() == nil {
			t.Errorf("%q was accepted", s.Text)
		}
	}
}

// Each kind of public key is refused, as text and as decoded bytes.
func TestPublicKeys(t *testing.T) {
	for name, der := range publicKeys(t) {
		text := base64.StdEncoding.EncodeToString(der)
		for form, s := range map[string]guessable.Secret{
			"PEM":           {Text: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))},
			"base64":        {Text: text},
			"base64, lines": {Text: text[:20] + "\n" + text[20:] + "\n"},
			"decoded":       {Text: "in base64 or hex", Key: der},
		} {
			if err := s.Check(); err == nil || !strings.Contains(err.Error(), publicKey) {
				t.Errorf("%s in %s: %v", name, form, err)
			}
		}
	}
}

// publicKeys returns one public key of each kind, in DER.
func publicKeys(t *testing.T) map[string][]byte {
	t.Helper()
	r, errRSA := rsa.GenerateKey(rand.Reader, 2048)
	e, errECDSA := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	d, _, errEd25519 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errRSA, errECDSA, errEd25519); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &r.PublicKey, r)
	if err != nil {
		t.Fatal(err)
	}
	ders := map[string][]byte{"certificate": certificate, "RSA, PKCS #1": x509.MarshalPKCS1PublicKey(&r.PublicKey)}
	for name, key := range map[string]any{"RSA": &r.PublicKey, "P-384": &e.PublicKey, "Ed25519": d} {
		if ders[name], err = x509.MarshalPKIXPublicKey(key); err != nil {
			t.Fatal(err)
		}
	}
	return ders
}

// good are secrets that look odd but that nobody can guess.
var good = []string{
	`$k{9 B]w%/<z}Rq8[ T>0v&h;M)x(2~Jd=!f_Y-c+u^L|N @e`,      // WooCommerce: 50 characters of any kind
	`<wK8 >p$A{v}/[Qz]%nT4b 9&_rE;x)YcM(2~Hd=!f-J+u^L|N`,     // the same, in brackets at first sight
	"/run8Zk3+Vx0bQwq1mJ5rT2yLd7nHs4Gf9eAoPcUiK=",            // base64 that begins with a slash
	"/Var9kz+q3Xw0bQ1mJ5rT2yLd7nHs4Gf",                       //
	"00000000000000000000000000000001",                       // hex with zeros
	"000102030405060708090a0b0c0d0e0f101112131415161718191a", //
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=",           // one, in base64
	"$2b$12$abcdefghijklmnopqrstuv",                          // begins with a dollar sign
	"$aB3xQ9zK",                                              //
	"%7Bx9Kq%3D0zW",                                          //
	"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
	"wk-5f1d0c9a7be24e63880f4a6f1c2d3e4b5a69788796a5b4c3d2e1f00f1e2d3c4b",
	"correct horse battery staple",
	"the secret of our third warehouse",
	"pa$$word-Tz91!kQ",
	"KEY9zW0=",                                 // base64 that ends in =
	"SECRETKEY0zW8qPlm==",                      // the same, with a word in it
	"key: short",                               // under eight bytes
	"meatyhamhock",                             // a verify token of a sender's own documents
	"env-Zk3Vx0bQwq1mJ5rT",                     //
	"vaultZk3Vx0bQwq1mJ5rT",                    //
	"https://user:Zk3Vx0bQwq1@hooks.example/x", //
	"MIIEZk3Vx0bQwq1mJ5rT2yLd7nHs4Gf9eAoPcUiK", // begins as DER does
	"ssh-Zk3Vx0bQwq1mJ5rT",                     //
	"age1Zk3Vx0bQwq1mJ5rT",                     //
	"пароль вебхука 7Zk3Vx0b",
	"wk-0123456789abcdef0123456789abcdef", // has a word that is not of samples
	"00112233445566778899aabbccddeeff",
	"9182736450918273",
	`{"a":"Zk3Vx0bQwq1mJ5rT"}`,
	"@Zk3Vx0bQwq1mJ5rT@",
	"env:Zk3Vx0bQ/wq1mJ5rT",
	"%{Zk3Vx0bQwq1mJ5rT",
	"[[Zk3Vx0bQwq1mJ5rT",
	"$$Zk3Vx0bQwq1mJ5rT",
}

func TestGoodSecrets(t *testing.T) {
	for _, text := range good {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			key = []byte(text)
		}
		if err := (guessable.Secret{Text: text, Prefix: "whsec_", Key: key}).Check(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestRandomSecrets: of a million random secrets in the usual forms, the rule refuses
// at most two.
func TestRandomSecrets(t *testing.T) {
	t.Parallel()
	total, allowed := 1_000_000, 3
	if testing.Short() {
		total = 100_000
	}
	random := mathrand.NewChaCha8([32]byte{12})
	raw := make([]byte, 50)
	var refused []string
	for i := range total {
		random.Read(raw)
		if s := usualForms[i%len(usualForms)](raw); s.Check() != nil {
			refused = append(refused, s.Text)
		}
	}
	t.Logf("%d of %d are refused: %q", len(refused), total, refused)
	if len(refused) >= allowed {
		t.Errorf("%d of %d are refused: %q", len(refused), total, refused)
	}
}

// usualForms make a secret of 50 random bytes.
var usualForms = []func(raw []byte) guessable.Secret{
	func(raw []byte) guessable.Secret { return inBase64(raw[:24]) },
	func(raw []byte) guessable.Secret { return inBase64(raw[:32]) },
	func(raw []byte) guessable.Secret {
		return guessable.Secret{Text: hex.EncodeToString(raw[:20]), Key: raw[:20]}
	},
	func(raw []byte) guessable.Secret {
		return guessable.Secret{Text: base64.RawURLEncoding.EncodeToString(raw[:24])}
	},
	func(raw []byte) guessable.Secret { return guessable.Secret{Text: printable(raw[:20])} },
	func(raw []byte) guessable.Secret { return guessable.Secret{Text: printable(raw)} },
}

func inBase64(key []byte) guessable.Secret {
	return guessable.Secret{Text: base64.StdEncoding.EncodeToString(key), Key: key}
}

// printable turns random bytes into printable ASCII.
func printable(raw []byte) string {
	for i := range raw {
		raw[i] = ' ' + raw[i]%95
	}
	return string(raw)
}

func TestOdd(t *testing.T) {
	const text = "Zk3Vx0bQwq1mJ5rT"
	for _, tc := range []struct {
		text string
		want []string
	}{
		{text, nil},
		{"Zk3Vx0bQ wq1mJ5rT", nil},
		{"\uFEFF" + text, []string{"byte order mark"}},
		{inUTF16(text), []string{"UTF-16"}},
		{"\xff\xfe" + inUTF16(text), []string{"UTF-16"}},
		{text + " ", []string{"white space"}},
		{text + "\r", []string{"white space"}},
		{"Zk3Vx0bQ\nwq1mJ5rT", []string{"line break"}},
		{"Zk3Vx0bQ\u200bwq1mJ5rT", []string{"invisible"}},
		{`"` + text + `"`, []string{"quotes"}},
		{"\uFEFF'" + text + "\r\nx'\n", []string{"byte order mark", "white space", "line break", "quotes"}},
	} {
		got := guessable.Secret{Text: tc.text}.Odd()
		if len(got) != len(tc.want) {
			t.Errorf("%q: %q, want %q", tc.text, got, tc.want)
			continue
		}
		for i, want := range tc.want {
			if !strings.Contains(got[i], want) || strings.Contains(got[i], text) {
				t.Errorf("%q: %q, want %q", tc.text, got[i], want)
			}
		}
	}
}

// The secrets in senders' documents are known, as text and as keys.
func TestPublishedSecrets(t *testing.T) {
	whsec := func(text string) []byte {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	const standard, svix = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_plJ3nmyCDGBKInavdOK15jsl"
	for _, s := range []guessable.Secret{
		{Text: standard},
		{Text: svix},
		{Text: "in base64", Key: whsec(standard)},
		{Text: "in base64", Key: whsec(svix)},
		{Text: "It's a Secret to Everybody"},
		{Text: "It's a Secret to Everybody\n"},
	} {
		if s.PublishedBy() == "" {
			t.Errorf("%q is not known", s.Text)
		}
	}
	if by := (guessable.Secret{Text: "Zk3Vx0bQwq1mJ5rT"}).PublishedBy(); by != "" {
		t.Errorf("published by %s", by)
	}
}

// Each secret of a published vector draws an error or a warning.
func TestSecretsOfPublishedVectors(t *testing.T) {
	var published struct {
		Vectors []struct{ Name, Secret string }
	}
	raw, err := os.ReadFile("../signature/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &published); err != nil || len(published.Vectors) == 0 {
		t.Fatalf("%d vectors, %v", len(published.Vectors), err)
	}
	for _, v := range published.Vectors {
		s := guessable.Secret{Text: v.Secret}
		if s.PublishedBy() == "" && s.Check() == nil {
			t.Errorf("%s: the secret %q of a published vector draws no warning", v.Name, v.Secret)
		}
	}
}
