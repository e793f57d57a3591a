package command

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/adminapi"
)

const helpInspect = `
Serves a page that shows the gates of the running server and its deliveries as they
come, with the reason and the cure of each refusal. It prints the page's address and
ends with Control-C.

    $ caddy webhook inspect
    http://127.0.0.1:43817/q5vz…/

The page is for this machine alone: it listens on 127.0.0.1, and only who has seen the
address can open it. It asks the admin API of the server, as "caddy webhook tail" does,
also over a Unix socket, and loads nothing from elsewhere.

To see it from another machine, forward the port: ssh -L 43817:127.0.0.1:43817 HOST

Exit status: 0 it was ended; 2 the server did not answer.
`

func inspectCommand(g Gateway) *cobra.Command {
	cmd, o := g.subcommand("inspect", "Serves a page with the gates and deliveries of the running server", helpInspect, (*command).inspect)
	addAddressFlag(cmd, o)
	cmd.Flags().IntVar(&o.port, "port", 0, "the `port` of the page (default: a free one)")
	return cmd
}

//go:embed page
var page embed.FS

func (c *command) inspect() error {
	if err := c.noArguments(); err != nil {
		return err
	}
	var gates []adminapi.Gate
	if err := c.get(adminapi.Gates, nil, &gates); err != nil { // so that an address that is wrong is told at once
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", c.port))
	if err != nil {
		return fmt.Errorf("--port: %w", err)
	}
	p := newPageServer(c, listener.Addr().String())
	server := &http.Server{
		Handler: p, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	context.AfterFunc(ctx, func() { _ = server.Close() }) // streams end with it
	if err := c.out.text(p.url()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// A pageServer serves the page to whoever knows its token.
type pageServer struct {
	*command
	host  string // and port
	token string
	files http.Handler
}

func newPageServer(c *command, host string) *pageServer {
	files, _ := fs.Sub(page, "page") // it is embedded
	p := &pageServer{command: c, host: host, token: strings.ToLower(rand.Text())}
	p.files = http.StripPrefix("/"+p.token, http.FileServerFS(files))
	return p
}

func (p *pageServer) url() string { return "http://" + p.host + "/" + p.token + "/" }

// ServeHTTP answers only requests that name this address as their host, because a page
// of elsewhere could otherwise reach it under a name of its own (DNS rebinding), and that
// know the token, because other users of the machine can reach the port.
func (p *pageServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	token, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	known := subtle.ConstantTimeCompare([]byte(token), []byte(p.token)) == 1
	switch {
	case r.Host != p.host || !known:
		http.Error(w, "403 the address is not that of this page", http.StatusForbidden)
	case r.Method != http.MethodGet:
		http.Error(w, "405 it only answers GET", http.StatusMethodNotAllowed)
	case r.URL.Path == "/"+p.token+"/events":
		p.stream(w, r)
	default:
		p.files.ServeHTTP(w, r)
	}
}

// stream hands on what the server sends, from one of its streams to the next, as
// server-sent events. The list of gates comes with each, and not more often: Caddy logs
// each request to the admin API.
func (p *pageServer) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	s := &pageStream{pageServer: p, w: w, out: http.NewResponseController(w), query: url.Values{"follow": {""}}}
	for told := false; r.Context().Err() == nil; {
		err := s.next(r.Context())
		if err != nil && !told {
			err = s.send(pageState{"the server does not answer; waiting for it"})
			told = true
		} else if err == nil {
			told = false
		}
		if errors.Is(err, errReaderLeft) {
			return
		}
		select {
		case <-r.Context().Done():
		case <-time.After(pause):
		}
	}
}

// errReaderLeft says that there is nobody to send to any more.
var errReaderLeft = errors.New("the reader has left")

// A pageState is what the page says of its connection.
type pageState struct {
	State string `json:"state"`
}

// A pageStream is one open page.
type pageStream struct {
	*pageServer
	w     io.Writer
	out   *http.ResponseController
	query url.Values
}

// next hands on one stream of the server, to its end.
func (s *pageStream) next(ctx context.Context) error {
	var gates []adminapi.Gate
	if err := s.get(adminapi.Gates, nil, &gates); err != nil {
		return err
	}
	answer, err := s.ask(adminapi.Deliveries, s.query)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	leave := context.AfterFunc(ctx, func() { _ = answer.Body.Close() })
	defer leave()
	if err := s.send(pageState{"connected"}); err != nil {
		return err
	}
	if err := s.send(map[string]any{"gates": gates}); err != nil {
		return err
	}
	return s.copy(answer.Body)
}

// A pageDelivery says whether a delivery is counted in the list of gates already, or was
// shown before.
type pageDelivery struct {
	adminapi.Delivery
	Live   bool `json:"live"`
	Update bool `json:"update"`
}

func (s *pageStream) copy(body io.Reader) error {
	live := false
	for lines := bufio.NewScanner(body); lines.Scan(); {
		var line adminapi.Line
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		var err error
		switch {
		case line.Live:
			live = true
		case line.Dropped > 0:
			err = s.send(adminapi.Line{Dropped: line.Dropped})
		case line.Lost:
			err = s.send(adminapi.Line{Lost: true})
		case line.Delivery != nil:
			if !line.Update {
				s.query.Set("since", line.ID)
			}
			err = s.send(pageDelivery{*line.Delivery, live, line.Update})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *pageStream) send(v any) error {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = io.Copy(s.w, io.MultiReader(strings.NewReader("data: "), bytes.NewReader(text), strings.NewReader("\n\n")))
	}
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		return errReaderLeft
	}
	return nil
}
