package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
)

// appEnv makes a process of this binary the app.
const appEnv = "WEBHOOK_AUTH_BENCH_APP"

// serveApp is the app: it reads each body to its end and answers 200. It speaks just
// enough HTTP for reverse_proxy, because it shares the cores with the gateway and takes
// time from it. It ends with the process that started it, however that ends.
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
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go answerAll(conn)
	}
}

func answerAll(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReaderSize(conn, 32<<10)
	for {
		_, length, err := readHead(in)
		if err != nil || length < 0 {
			return // closed, or framed in a way that the gateway never uses
		}
		if _, err := in.Discard(length); err != nil {
			return
		}
		if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")); err != nil {
			return
		}
	}
}

// readHead reads the head of an HTTP/1.1 message. It returns the first line and the
// Content-Length, or -1 if there is none.
func readHead(in *bufio.Reader) (first string, length int, err error) {
	length = -1
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case err != nil:
			return "", 0, err
		case n == 0:
			first = string(line)
		case len(line) <= len("\r\n"):
			return first, length, nil
		default:
			length = contentLength(line, length)
		}
	}
}

// contentLength returns the length in line, or otherwise if line has none.
func contentLength(line []byte, otherwise int) int {
	const name = "content-length: "
	if len(line) < len(name) || !strings.EqualFold(string(line[:len(name)]), name) {
		return otherwise
	}
	length := 0
	for _, digit := range line[len(name):] {
		if digit < '0' || digit > '9' {
			break
		}
		length = 10*length + int(digit-'0')
	}
	return length
}

// An app is the process of the app.
type app struct {
	process *exec.Cmd
	address string
	stdin   io.Closer
}

func startApp(ctx context.Context) (*app, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	a := &app{process: exec.CommandContext(ctx, self)} //nolint:gosec // this very binary
	a.process.Env = append(os.Environ(), appEnv+"=1")
	in, inErr := a.process.StdinPipe()
	out, outErr := a.process.StdoutPipe()
	if err := errors.Join(inErr, outErr, a.process.Start()); err != nil {
		return nil, err
	}
	a.stdin = in
	a.address, err = bufio.NewReader(out).ReadString('\n')
	a.address = strings.TrimSpace(a.address)
	if err != nil {
		return nil, errors.Join(errors.New("the app does not start"), err)
	}
	return a, nil
}

func (a *app) stop() {
	_ = a.stdin.Close()
	_ = a.process.Wait()
}
