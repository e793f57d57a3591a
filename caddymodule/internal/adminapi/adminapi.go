// Package adminapi is what the admin API says of gates and deliveries, as JSON: the module
// that answers and the commands that ask share it. Fields are added, and never renamed or
// removed.
package adminapi

import (
	"bytes"
	"fmt"
	"time"
	"unicode/utf16"
)

// Paths below the address of the admin API.
const (
	Gates      = "/webhook_auth/gates"
	Deliveries = "/webhook_auth/deliveries"

	// Below a delivery that was captured.
	Captured  = "captured"
	Judgement = "judgement"
)

// A Delivery is one request that met a gate. It holds no body, signature, secret or query.
type Delivery struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`     // when the request came
	Recorded time.Time `json:"recorded"` // when it was put into the history: what since=<time> compares
	Gate     string    `json:"gate"`
	Result   string    `json:"result"` // accepted, refused, observed or challenge, as in the metrics
	Reason   string    `json:"reason,omitempty"`
	Status   int       `json:"status,omitempty"` // of the answer, if there was one

	Method      string `json:"method"`
	Host        string `json:"host"`
	Path        string `json:"path"`
	ClientIP    string `json:"client_ip,omitempty"`
	UserAgent   string `json:"user_agent,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	Size        int64  `json:"size"` // of the body in bytes, as far as it was received

	Key    string `json:"key,omitempty"` // the name of the secret, public key or token
	Tenant string `json:"tenant,omitempty"`

	App            string  `json:"app,omitempty"` // what the app answered: 2xx to 5xx, timeout, none
	VerdictSeconds float64 `json:"verdict_seconds"`
	AnswerSeconds  float64 `json:"answer_seconds,omitempty"` // from the verdict to the app's answer

	Diagnosis string `json:"diagnosis,omitempty"`
	Hint      string `json:"hint,omitempty"`

	// Hidden names what is left out, because the API is asked over a network.
	Hidden []string `json:"hidden,omitempty"`
}

// A Line is one line of the stream: a delivery, or one of the others.
type Line struct {
	// Hello is the first line.
	Hello *Hello `json:"hello,omitempty"`
	// Live says that what follows is new: what was remembered has been sent.
	Live bool `json:"live,omitempty"`
	// Dropped is how many deliveries were left out, because the reader was too slow.
	Dropped int64 `json:"dropped,omitempty"`
	// Lost says that since is too old: deliveries that came after it are not remembered any
	// more, or may not be. How many is not known.
	Lost bool `json:"lost,omitempty"`
	// Update says that the delivery was recorded before, and that more is known of it now.
	Update bool `json:"update,omitempty"`

	*Delivery
}

// ASCII returns a JSON text without letters that are not printable ASCII, which a terminal
// may obey, or which turn a line around. It means the same.
func ASCII(raw []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(raw) {
		switch {
		case r < 0x7f: // JSON itself escapes those below a space
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}

// A Hello says who speaks.
type Hello struct {
	Process time.Time `json:"process"` // when the process began to remember
}

// A Capture is a refused request, as it came, with its signatures and credentials masked.
type Capture struct {
	ID     string              `json:"id"`
	Gate   string              `json:"gate"`
	Time   time.Time           `json:"time"`
	Method string              `json:"method"`
	Target string              `json:"target"`
	Host   string              `json:"host"`
	Header map[string][]string `json:"header"`
	Body   []byte              `json:"body"`  // in base64
	Whole  bool                `json:"whole"` // false: it was refused before, or is over 64 KiB
}

// A Verdict is what a gate makes of a captured request now, as of the time when it came.
type Verdict struct {
	ID        string    `json:"id"`
	Gate      string    `json:"gate"`
	Time      time.Time `json:"time"`
	Authentic bool      `json:"authentic"`
	Secret    string    `json:"secret,omitempty"`
	Algorithm string    `json:"algorithm,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Diagnosis string    `json:"diagnosis,omitempty"`
	Hint      string    `json:"hint,omitempty"`
	Bytes     int       `json:"body_bytes"`
	Whole     bool      `json:"whole"`
}

// A Gate is one webhook_auth of the configuration that runs, with what it did since the
// process started.
type Gate struct {
	Name      string   `json:"name"`
	Preset    string   `json:"preset,omitempty"`
	Kind      string   `json:"kind"` // secret, public_key or token
	URLs      []string `json:"urls,omitempty"`
	Mode      string   `json:"mode"` // enforce or observe
	OnRefusal string   `json:"on_refusal"`
	Challenge string   `json:"challenge,omitempty"`
	Replay    string   `json:"replay,omitempty"` // the window

	Keys       []Key            `json:"keys"`
	Deliveries map[string]int64 `json:"deliveries"` // by result
	Reasons    map[string]int64 `json:"reasons"`    // of what was refused or observed; what never happened is left out
	App        map[string]int64 `json:"app"`        // by class of answer

	LastAccepted   *time.Time `json:"last_accepted,omitempty"`
	AppLastSuccess *time.Time `json:"app_last_success,omitempty"`

	Tenants string `json:"tenants,omitempty"` // the folder with their files

	Files *Files `json:"files,omitempty"` // missing: what it verifies with is in no file

	Findings []Finding `json:"findings,omitempty"`
}

// Files says how the gate follows the files that hold what it verifies with.
type Files struct {
	Loaded   time.Time `json:"loaded"`  // when what is in force was taken from them
	Checked  time.Time `json:"checked"` // when they were last found to hold it
	Swaps    int64     `json:"swaps"`   // since the configuration was loaded
	Failures int64     `json:"failures"`
	Problem  string    `json:"problem,omitempty"` // why what they hold now is not in force
}

// A Key is one secret, public key or token of a gate, by its name.
type Key struct {
	Name     string     `json:"name"`
	Uses     int64      `json:"uses"`
	LastUsed *time.Time `json:"last_used,omitempty"`
}

// A Finding is what `caddy webhook check` says of the gate.
type Finding struct {
	Kind     string `json:"kind"`
	Severity string `json:"severity"`
	Problem  string `json:"problem"`
	Cure     string `json:"cure"`
}
