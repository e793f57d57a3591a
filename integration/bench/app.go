package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// appEnv makes a process of this binary the app.
const appEnv = "WEBHOOK_AUTH_BENCH_APP"

// serveApp is the app: it reads each body to its end and answers 200. An app that answers
// earlier would make large bodies cheap. It ends with the process that started it.
func serveApp() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // until the process ends
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	server := http.Server{ReadHeaderTimeout: time.Hour, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})}
	return server.Serve(listener)
}

// startApp starts the app and returns its process, its address and what ends it.
func startApp(ctx context.Context) (process *exec.Cmd, address string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", nil, err
	}
	process = exec.CommandContext(ctx, self) //nolint:gosec // this very binary
	process.Env = append(os.Environ(), appEnv+"=1")
	in, inErr := process.StdinPipe()
	out, outErr := process.StdoutPipe()
	if err := errors.Join(inErr, outErr, process.Start()); err != nil {
		return nil, "", nil, err
	}
	address, err = bufio.NewReader(out).ReadString('\n')
	return process, strings.TrimSpace(address), func() { _, _ = in.Close(), process.Wait() }, err
}
