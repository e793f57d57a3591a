package main

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

// People rely on the numbers of a benchmark, so the code that computes them is tested.
func TestQuantile(t *testing.T) {
	for _, test := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.25, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{5, 1, 4, 2, 3}, 0.25, 2},
		{[]float64{5, 1, 4, 2, 3}, 1, 5},
	} {
		if got := quantile(test.values, test.q); got != test.want {
			t.Errorf("quantile(%v, %v) = %v, want %v", test.values, test.q, got, test.want)
		}
	}
}

// A plain delivery costs 1 ms and an HMAC 0.5 ms, so the bound is 2/3. The gateway adds
// 1 ms and so reaches 1/2.
func sample() *comparison {
	return &comparison{
		protocol: "HTTP/1.1",
		size:     sizes[3],
		plain:    side{rates: []float64{2000, 1000, 4000}, costs: []float64{1, 1, 4}, count: 7000, machine: 7 * time.Second},
		guarded:  side{rates: []float64{1000, 600, 1000}, costs: []float64{2, 4, 5}, count: 2600, machine: 5200 * time.Millisecond},
		bare:     side{count: 4000, machine: 2 * time.Second},
	}
}

func TestComparison(t *testing.T) {
	c := sample()
	for name, got := range map[string][2]float64{
		"the median of the pairs": {median(c.ratios()), 0.5},
		"the ratio by CPU":        {median(c.ratiosByCPU()), 0.5},
		"the bound":               {c.bound(), 2. / 3},
	} {
		if math.Abs(got[0]-got[1]) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, got[0], got[1])
		}
	}
}

// Without /proc, costs are computed from the rates, as if all cores were busy.
func TestComparisonWithoutProc(t *testing.T) {
	c := sample()
	c.plain.machine, c.guarded.machine, c.bare = 0, 0, side{rates: []float64{4000}}
	if got := c.bound(); math.Abs(got-2./3) > 1e-9 {
		t.Errorf("the bound is %v, want 2/3", got)
	}
}

func TestReadAnswer(t *testing.T) {
	for _, test := range []struct {
		answer string
		status int // 0: an error
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200},
		{"HTTP/1.1 401 Unauthorized\r\nServer: Caddy\r\ncontent-length: 3\r\n\r\nabc", 401},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", 0},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
		{"HTTP/1.1 2xx\r\nContent-Length: 0\r\n\r\n", 0},
		{"HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 0},
		{"HTTP/1.1 200 OK\r\nContent-", 0},
		{"", 0},
	} {
		in := bufio.NewReader(strings.NewReader(test.answer))
		status, err := readAnswer(in)
		if (err != nil) != (test.status == 0) || err == nil && status != test.status {
			t.Errorf("%q: status %d, %v", test.answer, status, err)
		}
		if rest, _ := io.ReadAll(in); err == nil && len(rest) > 0 {
			t.Errorf("%q: %q was not read", test.answer, rest)
		}
	}
}

func TestHead(t *testing.T) {
	got := string(head(site{address: "127.0.0.1:1"}, signed("secret", 2)))
	for _, want := range []string{
		"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1:1\r\n",
		// printf xx | openssl dgst -sha256 -hmac secret
		"\r\nX-Hub-Signature: sha256=962f24884a6376537f39fc3f84eefe85598286efcb125001657af90aa01e8a31\r\n",
		"\r\nContent-Length: 2\r\n\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if got := string(head(site{}, unsigned(2))); strings.Contains(got, "Signature") {
		t.Errorf("%q is signed", got)
	}
}

func TestParseStat(t *testing.T) {
	for _, test := range []struct {
		stat string
		want time.Duration
		ok   bool
	}{
		{"12 (caddy) S 1 12 12 0 -1 4194560 9 0 0 0 150 25 0 0 20 0 9", 1750 * time.Millisecond, true},
		{"12 (a) name) S 1 12 12 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 9", 30 * time.Millisecond, true},
		{"12 (caddy) S 1 12 12 0 -1 4194560 9 0 0 0 x 2", 0, false},
		{"12 (caddy) S 1", 0, false},
		{"", 0, false},
	} {
		got, err := parseStat([]byte(test.stat))
		if (err == nil) != test.ok || test.ok && got != test.want {
			t.Errorf("%q: %v, %v", test.stat, got, err)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
}

// The report names Caddy's version, whatever precedes it.
func TestCaddyVersion(t *testing.T) {
	for _, printed := range []string{
		"webhook_auth v0.1.0-3-gabc1234 Caddy v2.11.9 h1:bhZt=\n", "v2.11.9 h1:bhZt=\n", "v2.11.9\n",
	} {
		if got := caddyVersion(printed); got != "v2.11.9" {
			t.Errorf("%q has version %q", printed, got)
		}
	}
}

// The chart is well-formed: a browser shows nothing of a picture that is not.
func TestChart(t *testing.T) {
	picture := chart([]*comparison{sample()}, "<a caption>")
	for decoder := xml.NewDecoder(strings.NewReader(picture)); ; {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{">0.50<", "1 MiB: 0.50 of a bound of 0.67", "&lt;a caption&gt;"} {
		if !strings.Contains(picture, want) {
			t.Errorf("the chart lacks %q", want)
		}
	}
}

// Every row of a table has as many cells as its header, with /proc and without.
func TestMarkdown(t *testing.T) {
	r := report{
		rates:   []*comparison{sample()},
		flood:   sample(),
		ways:    []*way{{name: "a way", shares: true, count: 10, gateway: time.Millisecond, redis: 100 * time.Microsecond}},
		burst:   &burst{quiet: []float64{1}, forged: []float64{2}, refused: []float64{3}},
		uploads: []*uploads{{name: "signed", count: 1000, expected: 200, answers: map[int]int{200: 1000}}},
	}
	text := r.markdown()
	columns := 0
	for line := range strings.Lines(text) {
		cells := strings.Count(line, "|")
		if columns > 0 && cells > 0 && cells != columns {
			t.Errorf("%d cells under %d columns: %s", cells-1, columns-1, line)
		}
		columns = cells
	}
	if !strings.Contains(text, "| among forged ones | 2000.00 ms | 2000.00 ms | 2.00 |") {
		t.Errorf("the burst is missing:\n%s", text)
	}
	if !strings.Contains(text, "| a way | 100 µs | 10,000 | 10 µs |") {
		t.Errorf("the ways are missing:\n%s", text)
	}
	if !strings.Contains(text, "| signed | 1,000 × 200 |") {
		t.Errorf("the uploads are missing:\n%s", text)
	}
}

// The Caddyfile listens on each address of ports exactly once. A site whose address is not
// filled in would listen on every address.
func TestBenchCaddyfile(t *testing.T) {
	g := &gateway{Dir: "/dir", App: "127.0.0.1:1"}
	if err := g.take(); err != nil {
		t.Fatal(err)
	}
	var config bytes.Buffer
	if err := caddyfile.Execute(&config, g); err != nil {
		t.Fatal(err)
	}
	for _, address := range g.all() {
		if strings.Count(config.String(), *address) != 1 {
			t.Errorf("the Caddyfile does not have the site %s exactly once", *address)
		}
	}
}
