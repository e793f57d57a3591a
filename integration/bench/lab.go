package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A lab holds what all gateways of a run share.
type lab struct {
	options options
	dir     string // for temporary files
	binary  string
	secret  string
	redis   string // the address of the shared store; empty: there is none
	roots   *x509.CertPool
}

// newLab builds the binary and makes a certificate.
func newLab(ctx context.Context, root string, o options) (*lab, error) {
	dir, err := os.MkdirTemp("", "webhook-auth-bench-*")
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, dir: dir, binary: o.binary, secret: rand.Text() + rand.Text()}
	if l.binary == "" {
		l.binary = filepath.Join(dir, "caddy")
		err = build(ctx, root, l.binary)
	}
	if err == nil {
		l.roots, err = makeCertificate(dir)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) close() { _ = os.RemoveAll(l.dir) }

func build(ctx context.Context, root, output string) error {
	progress("building with xcaddy.sh")
	command := exec.CommandContext(ctx, "./xcaddy.sh")
	command.Dir, command.Env = root, append(os.Environ(), "OUTPUT="+output)
	if log, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("xcaddy.sh: %w\n%s", err, log)
	}
	return nil
}

// makeCertificate writes cert.pem and key.pem, good for 127.0.0.1, into dir.
func makeCertificate(dir string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, derErr := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
	pkcs8, keyErr := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(derErr, keyErr); err != nil {
		return nil, err
	}
	roots, chain := x509.NewCertPool(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots.AppendCertsFromPEM(chain)
	return roots, errors.Join(
		os.WriteFile(filepath.Join(dir, "cert.pem"), chain, 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
}
