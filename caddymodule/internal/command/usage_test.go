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

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"github", "github", 0},
		{"githb", "github", 1},
		{"gitgub", "github", 1},
		{"gihtub", "github", 1},
		{"kitten", "sitting", 3},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("%q to %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
