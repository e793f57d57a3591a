package command

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Which gate a URL means, of those that a request meets.
func TestFindGate(t *testing.T) {
	a := &Gate{Name: "a", URLs: []string{"http://a.example/", "http://a.example/hook"}}
	b := &Gate{Name: "b", URLs: []string{"https://b.example/"}}
	signed := &Gate{Name: "signed"} // met only with a signature
	ways := map[string]Way{
		"/a":      {Gates: []*Gate{a}},
		"/both":   {Gates: []*Gate{a, b}},
		"/hidden": {Hidden: []*Gate{b}, Answered: "reverse_proxy localhost:3000"},
	}
	meet := func(_ string, u *url.URL, header http.Header) (Way, error) {
		switch {
		case u.Path == "/wrong":
			return Way{}, errors.New("the server speaks HTTPS")
		case u.Path == "/signed" && header.Get("X-Hub-Signature-256") != "":
			return Way{Gates: []*Gate{signed}}, nil
		}
		return ways[u.Path], nil
	}
	list := ":\n  http://a.example/ (a)\n  http://a.example/hook (a)\n  https://b.example/ (b)"
	for _, c := range []struct {
		gates         []*Gate
		address, want string
		err           string
	}{
		{[]*Gate{a}, "", "a", ""},
		{nil, "", "", "the configuration has no webhook_auth; there is nothing to try"},
		{[]*Gate{a, b}, "", "", "the configuration has 2 gates; add --url with the one you mean" + list},
		{[]*Gate{a, b}, "http://a.example/a", "a", ""},
		{[]*Gate{a, b}, "http://a.example/signed", "signed", ""},
		{[]*Gate{a, b}, "http://a.example/both", "", "2 gates guard POST http://a.example/both, and a delivery is signed for one; the configuration guards" + list},
		{[]*Gate{a, b}, "http://user:password@a.example/other", "", "no gate guards POST http://user:xxxxx@a.example/other; the configuration guards" + list},
		{[]*Gate{a, b}, "http://a.example/hidden", "", "no delivery meets the gate b: reverse_proxy localhost:3000 answers POST http://a.example/hidden before it; " +
			"put webhook_auth in front of what answers, and remove an order option for it"},
		{[]*Gate{a, b}, "http://a.example/wrong", "", "the server speaks HTTPS"},
		{[]*Gate{a, b}, "a.example", "", "--url is not a URL such as http://localhost:8080/webhook"},
		{[]*Gate{a, b}, "ftp://a.example", "", "--url is not a URL such as http://localhost:8080/webhook"},
	} {
		config := &Configuration{Gates: c.gates, Meet: meet}
		got, err := config.find(http.MethodPost, c.address, http.Header{})
		if err != nil && err.Error() != c.err || err == nil && (c.err != "" || got.Name != c.want) {
			t.Errorf("%q: %v, %v", c.address, got, err)
		}
	}
	if _, err := (&target{Gate: &Gate{}}).signer("nobody"); err == nil || !strings.Contains(err.Error(), "--secret-name") {
		t.Error(err)
	}
}
