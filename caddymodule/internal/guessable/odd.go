package guessable

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
)

// Odd returns what is probably wrong with a secret that nobody can guess. Such a secret
// works, but the sender seldom has the same bytes.
func (s Secret) Odd() []string {
	if _, ok := fromUTF16(s.Text); ok {
		return []string{"the secret is UTF-16, as Windows' editors and PowerShell write it; senders use UTF-8, so save it as that"}
	}
	var all []string
	text, marked := strings.CutPrefix(s.Text, byteOrderMark)
	inner := strings.TrimSpace(text)
	for _, oddity := range []struct {
		found bool
		what  string
	}{
		{marked, "the secret begins with a byte order mark, which is part of it; save the file as UTF-8 without one"},
		{inner != text, "the secret begins or ends with white space, which is part of it; senders seldom mean that, so take it out of the variable or file"},
		{strings.ContainsAny(inner, "\r\n"), "the secret has a line break in it; senders seldom mean that, so look for a second line in its file or variable"},
		{holdsInvisible(inner), "the secret has an invisible character in it; senders seldom mean that, so copy it again"},
		{len(inner) > 0 && clean(inner) != inner, "the secret is in quotes, which are part of it; take them out of the variable or file"},
	} {
		if oddity.found {
			all = append(all, oddity.what)
		}
	}
	return all
}

// holdsInvisible reports whether text has an invisible character other than a blank
// or a line break.
func holdsInvisible(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return isInvisible(r) && !unicode.IsSpace(r) }) >= 0
}

// published maps the SHA-256 of secrets in senders' documents and tests to the sender.
// Such a secret loads with a warning, because people try the sender's example with it.
var published = map[string]string{
	"2f8894d90ffb75600928464c7839208284c8687671dc831cc2667a7ae04aa455": "GitHub",
	"96ad2ccd81462a766178ae09a71df55f548a3f66da11606f9cdf40b391e22dd0": "Standard Webhooks",
	"f74e1720b76148810ffaeb4dc46a600cfa2fc3720e96da67a85a3dcb3f14c7a3": "Standard Webhooks",
	"ce5db258282b9663fd2657d169f02e0f1efea3868e65bc3ea9bd78b4da414f07": "Svix",
	"26bc179eeed9133f5fd63890f2eafb8aa7687598b7ce3c6492c87a585057129e": "Svix",
	"6adbfd178516c8efe5896d4d0d66d2704d167cbb4ca881efde33af658d39826f": "Slack",
	"a4cc8ccf307ae2ff2fd079b0ba919e918a6aa397f62dff84ea66092fba916a2a": "PagerDuty",
	"e4c4aa49874d373fb6e337ae86c2e83d4871834fc595d6820f7c5cea37b74a73": "Paddle",
	"23130e3a91b6f5bebc4cfe26f0579bdd20ad48d210cf5a75f5cf4b2e168f0c7c": "GoCardless",
	"e4d12f849ede90f821c4fc8d80be84cec42d8fee252d1b3a5ab2559eb8894f66": "Adyen",
	"1f1d54cc7e5710d752eadfd8c3e5e4e31e333fc60aa938f11342b0372315a21b": "Adyen",
	"099829beec92e55583dbc35d0ed4172ae447e6fb5d0086b9099fe0d2977ec2c4": "Square",
	"dc8331bcb2283e89d275a1c2fe66f7bf5ac3163ec1967f149dd7e27906365f0c": "Shopify",
	"76c9e81529b8e49134bc1c3b99732fe915409cad3271efad7014197d803093e0": "Box",
	"9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f": "go-github",
	"ce1807e913c97047dafef68295a8968c894cc8d1d8cc2c38fa84e06e7d5c0f06": "CircleCI",
	"875b9380866e9d56e7110b0ee310962c16d9d4ae103f829d62bdffd2cbe7c61d": "Octokit",
	"5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5": "Twilio",
	"be18301013c0f4d0482081b2948c500274d5405986854806e171cc9550f8ad5e": "Sinch",
}

// PublishedBy returns the sender whose documents show the secret, or "".
func (s Secret) PublishedBy() string {
	for _, text := range []string{s.Text, strings.TrimSpace(s.Text), string(s.Key)} {
		hashed := sha256.Sum256([]byte(text))
		if sender := published[hex.EncodeToString(hashed[:])]; sender != "" {
			return sender
		}
	}
	return ""
}
