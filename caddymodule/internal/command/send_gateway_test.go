package command_test

import (
	"encoding/json"
	"testing"
)

// A gate keeps its promise, and the command sees it.
func TestSendMatrix(t *testing.T) {
	port := folder(t, "http://localhost:PORT {\n\troute /webhook {\n\t\twebhook_auth {\n\t\t\tGATE\n\t\t}\n\t\trespond ok\n\t}\n\trespond 404\n}\n")
	serve(t)
	webhook(t, "", "send", "http://localhost:"+port+"/webhook").want(t, 0,
		"signed\tlet through\t200\tkept\nunsigned\t401\t401\tkept\ntampered\t401\t401\tkept\n"+
			"wrong secret\t401\t401\tkept\nalgorithm not allowed\t401\t401\tkept\nover the limit\t413\t413\tkept\n")
	o := webhook(t, "", "send", "--json", "http://localhost:"+port+"/webhook")
	var got struct {
		Gate       string
		Kept       bool
		Deliveries []struct{ Kept bool }
	}
	if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || o.code != 0 || !got.Kept || len(got.Deliveries) != 6 || got.Gate != "hub" {
		t.Errorf("%+v: %v", o, err)
	}
}
