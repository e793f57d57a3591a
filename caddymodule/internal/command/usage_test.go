package command

import "testing"

func TestNearest(t *testing.T) {
	commands := []string{"check", "send", "sign", "verify"}
	for word, want := range map[string]string{
		"sing": "sign", "Sign": "sign", "snd": "send", "veryfi": "verify", "verif": "verify", "chek": "check", "ver": "verify",
		"": "", "x": "", "s": "", "validate": "", "s3cr3t-v4lue-that-is-long": "",
	} {
		if got := nearest(word, commands); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
