package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

const manyWays = `
&(shared) {
	webhook_auth GATE:shared
}
:8080 {
	@a path /a*
	handle @a {
		webhook_auth GATE:a
		respond a
	}
	handle_path /strip/* {
		route /b {
			webhook_auth GATE:b
			reverse_proxy 127.0.0.1:1
		}
	}
	@put method PUT
	handle @put {
		webhook_auth GATE:put
	}
	handle /c {
		invoke shared
	}
	handle /rewritten {
		route {
			uri replace /rewritten /x
			webhook_auth /x GATE:x
			respond x
		}
	}
	handle /fields {
		@hook header X-Kind hook
		route {
			request_header X-Kind hook
			webhook_auth @hook GATE:fields
		}
	}
	handle /early {
		route {
			respond early
			webhook_auth GATE:late
		}
	}
	handle /two {
		webhook_auth GATE:two
		route {
			webhook_auth GATE:three
		}
	}
	respond 404
}`

func TestWayOf(t *testing.T) {
	server := provisionedServer(t, manyWays)
	for _, c := range []struct{ method, path, want string }{
		{"POST", "/a", "a"},
		{"POST", "/abc", "a"},
		{"POST", "/strip/b", "b"},
		{"POST", "/b", ""},
		{"PUT", "/other", "put"},
		{"POST", "/other", ""},
		{"POST", "/c", "shared"},
		{"POST", "/rewritten", "x"},
		{"POST", "/fields", "fields"},
		{"POST", "/early", ""},
		{"POST", "/two", "two three"},
		{"POST", "/", ""},
	} {
		got := namesOf(wayOf(server, httptest.NewRequest(c.method, c.path, nil)).gates)
		if got != c.want {
			t.Errorf("%s %s meets the gates %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

func TestWayOfHost(t *testing.T) {
	server := provisionedServer(t, "http://one.example, http://two.example {\n webhook_auth GATE:hosts\n respond x\n}")
	for host, want := range map[string]string{"one.example": "hosts", "two.example:80": "hosts", "localhost": ""} {
		r := httptest.NewRequest(http.MethodPost, "http://"+host+"/", nil)
		if got := namesOf(wayOf(server, r).gates); got != want {
			t.Errorf("%s meets the gates %q, want %q", host, got, want)
		}
	}
}
